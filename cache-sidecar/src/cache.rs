//! Pages in memory and on disk: the only file that names foyer.
//!
//! A page is written to disk when it enters the cache, not when it leaves memory: the bytes written are the same in
//! the long run, and a restart finds what is on the disk (`admission.rs` says what that is).

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use foyer::{
    BlockEngineConfig, Cache, CacheBuilder, Code, DeviceBuilder, Error, ErrorKind, FsDeviceBuilder, HybridCache,
    HybridCacheBuilder, HybridCachePolicy, LfuConfig, Result, Source, Statistics, StorageFilter,
    StorageFilterCondition, StorageFilterResult,
};
use types::ObjectKey;

use crate::admission::Admission;
use crate::damage::Damage;
use crate::metrics::{self, PageSource};
use crate::page::PageBytes;

/// What an entry weighs beyond its bytes and the text of its key: links, index entry.
const ENTRY_OVERHEAD_BYTES: usize = 256;

/// Sizes of objects remembered: some 10 MB with keys of ours, 64 MB with the longest that S3 has, and far more objects than pages fit.
const SIZES_MAX: usize = 65_536;

/// Least memory of a shard. Shards exist for their locks; one much smaller than this would evict pages although the
/// cache as a whole has room.
const SHARD_BYTES_MIN: usize = 64 * 1024 * 1024;

/// The part of memory in which pages are the newest ones, whether read or not: the end of the log, which is pushed before
/// anybody reads it. The rest belongs to what is read often: in `protected` is what was read again after that.
const NEWEST_RATIO: f64 = 0.5;
const PROTECTED_RATIO: f64 = 0.4;

/// Pages waiting to be written to disk; what comes on top of that is not written. Twice this is taken from memory.
const DISK_QUEUE_BYTES: usize = 64 * 1024 * 1024;

/// A page of an object. The size of pages is part of it: a disk cache may have been written with another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PageKey {
    pub(crate) object: ObjectKey,
    pub(crate) page_bytes: PageBytes,
    pub(crate) index: u64,
}

/// Bytes of a page as handed out.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) bytes: Bytes,
    /// Size of the object it is part of.
    pub(crate) object_bytes: u64,
}

/// A page as kept.
#[derive(Debug)]
struct Kept {
    page: Page,
    crc32c: u32,
    /// Whether this copy was compared with its checksum. Once per stay in memory is enough, and a reader of 4 KiB
    /// does not pay for a whole page each time.
    checked: AtomicBool,
}

impl Kept {
    fn is_intact(&self) -> bool {
        if self.checked.load(Ordering::Relaxed) {
            return true;
        }
        let intact = crc32c::crc32c(&self.page.bytes) == self.crc32c;
        self.checked.store(intact, Ordering::Relaxed);
        intact
    }
}

/// Pages in memory and on disk, and the sizes of objects.
#[derive(Clone, Debug)]
pub(crate) struct PageCache {
    pages: HybridCache<PageKey, Kept>,
    sizes: Cache<ObjectKey, u64>,
    /// `None` without a disk.
    admission: Option<Arc<Admission>>,
    damage: Arc<Damage>,
}

/// What became of looking for a page: it, and where it was. A damaged one is counted, dropped, and as good as never kept.
pub(crate) type Looked = Option<(PageSource, Page)>;

/// Puts `Admission` before the disk.
#[derive(Debug)]
struct Admit(Arc<Admission>);

impl StorageFilterCondition for Admit {
    fn filter(&self, statistics: &Arc<Statistics>, hash: u64, _entry_bytes: usize) -> StorageFilterResult {
        if self.0.admits(hash, statistics.disk_write_bytes() as u64) {
            StorageFilterResult::Admit
        } else {
            metrics::count_turned_away();
            StorageFilterResult::Reject
        }
    }
}

impl PageCache {
    /// Opens the cache; with a disk, what was on it is there again.
    pub(crate) async fn open(memory_bytes: usize, page_bytes: PageBytes, disk: Option<(&Path, usize)>) -> Result<Self> {
        let memory = HybridCacheBuilder::new()
            .with_name("pages")
            .with_policy(HybridCachePolicy::WriteOnInsertion)
            .with_flush_on_close(false)
            .memory(memory_bytes)
            .with_shards((memory_bytes / SHARD_BYTES_MIN).clamp(1, 8))
            // A page leaves the newest ones for good unless it is read oftener than another: a scan pushes out what was
            // scanned before, not what is read again and again.
            .with_eviction_config(LfuConfig {
                window_capacity_ratio: NEWEST_RATIO,
                protected_capacity_ratio: PROTECTED_RATIO,
                ..LfuConfig::default()
            })
            .with_weighter(|key: &PageKey, kept: &Kept| {
                kept.page.bytes.len() + key.object.as_str().len() + ENTRY_OVERHEAD_BYTES
            });
        let mut admission = None;
        let pages = match disk {
            None => memory.storage().build().await?,
            Some((dir, disk_bytes)) => {
                let page_bytes = u64::from(page_bytes.get());
                let admits = Arc::new(Admission::new(disk_bytes as u64, written_bytes(dir), page_bytes));
                admission = Some(Arc::clone(&admits));
                let device = FsDeviceBuilder::new(dir).with_capacity(disk_bytes).build()?;
                let engine = BlockEngineConfig::new(device)
                    .with_buffer_pool_size(DISK_QUEUE_BYTES)
                    .with_submit_queue_size_threshold(DISK_QUEUE_BYTES)
                    .with_admission_filter(StorageFilter::new().with_condition(Admit(admits)));
                memory.storage().with_engine_config(engine).build().await?
            }
        };
        Ok(Self {
            pages,
            sizes: CacheBuilder::new(SIZES_MAX).build(),
            admission,
            damage: Arc::default(),
        })
    }

    /// Looks for the page in memory, then on disk. One read from disk however many ask.
    pub(crate) async fn get(&self, key: &PageKey) -> Looked {
        let in_memory = self.look_in_memory(key);
        if in_memory.is_some() || !self.pages.is_hybrid() {
            return in_memory;
        }
        // foyer has a checksum of its own for what it reads back, and answers a mismatch as if the page had never been there: so
        // it is asked first. (A page evicted from the disk between the two questions looks the same; that is rare.)
        let on_disk = self.pages.storage().may_contains(key);
        match self.pages.get(key).await {
            Ok(Some(entry)) => {
                let source = if entry.source() == Source::Disk {
                    // It is in memory now.
                    metrics::set_memory_bytes(self.pages.memory().usage());
                    PageSource::Disk
                } else {
                    PageSource::Memory
                };
                self.intact(key, entry.value(), source)
            }
            Ok(None) => {
                if on_disk && !self.pages.storage().may_contains(key) {
                    self.damage.seen(key, self.hash(key));
                }
                None
            }
            Err(error) => {
                tracing::warn!(%error, object.key = %key.object, page.index = key.index, "page on disk is unreadable");
                metrics::count_disk_error();
                None
            }
        }
    }

    /// The page, if it is in memory, and intact.
    pub(crate) fn get_in_memory(&self, key: &PageKey) -> Option<Page> {
        self.look_in_memory(key).map(|(_, page)| page)
    }

    fn look_in_memory(&self, key: &PageKey) -> Looked {
        let entry = self.pages.memory().get(key)?;
        self.intact(key, entry.value(), PageSource::Memory)
    }

    /// Keeps a page whose bytes are known to be right.
    pub(crate) fn insert(&self, key: PageKey, page: Page) {
        let crc32c = crc32c::crc32c(&page.bytes);
        self.insert_kept(
            key,
            Kept {
                page,
                crc32c,
                checked: AtomicBool::new(true),
            },
        );
    }

    /// The same for a page that an agent pushed: it will be read, so that it always has a place on the disk.
    pub(crate) fn insert_pushed(&self, key: PageKey, page: Page) {
        if let Some(admission) = &self.admission {
            admission.expect(self.hash(&key));
        }
        self.insert(key, page);
    }

    /// The object's size, if a page of it was seen lately.
    pub(crate) fn object_bytes(&self, object: &ObjectKey) -> Option<u64> {
        self.sizes.get(object).map(|entry| *entry.value())
    }

    /// Remembers the object's size.
    pub(crate) fn remember_size(&self, object: &ObjectKey, object_bytes: u64) {
        self.sizes.insert(object.clone(), object_bytes);
    }

    /// Waits until the disk has what it was given.
    pub(crate) async fn close(&self) -> Result<()> {
        self.pages.close().await
    }

    fn insert_kept(&self, key: PageKey, kept: Kept) {
        self.remember_size(&key.object, kept.page.object_bytes);
        let hash = self.hash(&key);
        self.pages.insert(key, kept);
        // Afterwards: until then readers may see the copy that it takes the place of.
        self.damage.kept_anew(hash);
        metrics::set_memory_bytes(self.pages.memory().usage());
    }

    /// A damaged page is dropped, so that it is fetched again.
    fn intact(&self, key: &PageKey, kept: &Kept, source: PageSource) -> Looked {
        if kept.is_intact() {
            return Some((source, kept.page.clone()));
        }
        self.damage.seen(key, self.hash(key));
        self.pages.remove(key);
        None
    }

    fn hash(&self, key: &PageKey) -> u64 {
        self.pages.memory().hash(key)
    }
}

impl Code for PageKey {
    fn encode(&self, writer: &mut impl Write) -> Result<()> {
        self.object.as_str().to_owned().encode(writer)?;
        self.page_bytes.get().encode(writer)?;
        self.index.encode(writer)
    }

    fn decode(reader: &mut impl Read) -> Result<Self> {
        let object = ObjectKey::new(String::decode(reader)?);
        let page_bytes = PageBytes::new(u32::decode(reader)?).ok_or_else(|| foreign("page size"))?;
        Ok(Self {
            object,
            page_bytes,
            index: u64::decode(reader)?,
        })
    }

    fn estimated_size(&self) -> usize {
        8 + self.object.as_str().len() + 4 + 8
    }
}

impl Code for Kept {
    fn encode(&self, writer: &mut impl Write) -> Result<()> {
        self.crc32c.encode(writer)?;
        self.page.object_bytes.encode(writer)?;
        (self.page.bytes.len() as u64).encode(writer)?;
        writer.write_all(&self.page.bytes).map_err(Error::io_error)
    }

    fn decode(reader: &mut impl Read) -> Result<Self> {
        let crc32c = u32::decode(reader)?;
        let object_bytes = u64::decode(reader)?;
        let len = u64::decode(reader)?;
        if len > u64::from(PageBytes::MAX) {
            return Err(foreign("page length"));
        }
        let mut bytes = Vec::new();
        reader.take(len).read_to_end(&mut bytes).map_err(Error::io_error)?;
        let page = Page {
            bytes: bytes.into(),
            object_bytes,
        };
        Ok(Self {
            page,
            crc32c,
            checked: AtomicBool::new(false),
        })
    }

    fn estimated_size(&self) -> usize {
        4 + 8 + 8 + self.page.bytes.len()
    }
}

/// What has been written to the disk's files so far: they are as long as the disk from the start, but hold blocks only where
/// something was written.
fn written_bytes(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let blocks = files.filter_map(|file| Some(file.metadata().ok()?.blocks()));
    blocks.sum::<u64>() * 512
}

fn foreign(what: &str) -> Error {
    Error::new(ErrorKind::Parse, format!("{what} out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(index: u64) -> PageKey {
        let page_bytes = PageBytes::new(PageBytes::MIN).unwrap();
        PageKey {
            object: ObjectKey::new("data/v1/ab/1"),
            page_bytes,
            index,
        }
    }

    fn page(fill: u8) -> Page {
        Page {
            bytes: Bytes::from(vec![fill; PageBytes::MIN as usize]),
            object_bytes: 1 << 20,
        }
    }

    async fn open(memory_bytes: usize, dir: Option<&Path>) -> Result<PageCache> {
        let page_bytes = PageBytes::new(PageBytes::MIN).unwrap();
        PageCache::open(memory_bytes, page_bytes, dir.map(|dir| (dir, 256 << 20))).await
    }

    impl PageCache {
        async fn find(&self, key: &PageKey) -> Option<Page> {
            self.get(key).await.map(|(_, page)| page)
        }
    }

    #[tokio::test]
    async fn a_page_that_does_not_match_its_checksum_is_gone() {
        let cache = open(16 << 20, None).await.unwrap();
        let crc32c = crc32c::crc32c(&page(1).bytes);
        cache.insert_kept(
            key(0),
            Kept {
                page: page(2),
                crc32c,
                checked: AtomicBool::new(false),
            },
        );
        cache.insert_kept(
            key(1),
            Kept {
                page: page(1),
                crc32c,
                checked: AtomicBool::new(false),
            },
        );
        for _ in 0..2 {
            assert!(cache.find(&key(0)).await.is_none(), "it is gone, and stays gone");
        }
        assert!(!cache.damage.is_first(cache.hash(&key(0))), "it has been counted");
        assert_eq!(cache.find(&key(1)).await.unwrap().bytes, page(1).bytes);
    }

    #[test]
    fn a_page_is_the_same_after_the_disk_and_a_flipped_bit_shows() {
        let kept = Kept {
            crc32c: crc32c::crc32c(&page(7).bytes),
            page: page(7),
            checked: AtomicBool::new(true),
        };
        let mut stored = Vec::new();
        kept.encode(&mut stored).unwrap();
        assert_eq!(stored.len(), kept.estimated_size());
        let read = Kept::decode(&mut &stored[..]).unwrap();
        assert!(read.is_intact() && read.page.bytes == page(7).bytes && read.page.object_bytes == 1 << 20);
        for position in [20, stored.len() - 1] {
            let mut damaged = stored.clone();
            damaged[position] ^= 1;
            assert!(!Kept::decode(&mut &damaged[..]).unwrap().is_intact(), "byte {position}");
        }
        stored.truncate(stored.len() - 1);
        assert!(!Kept::decode(&mut &stored[..]).unwrap().is_intact());
    }

    #[tokio::test]
    async fn a_restart_finds_its_pages_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let reopen = || open(16 << 20, Some(dir.path()));
        let cache = reopen().await.unwrap();
        for index in 0..20 {
            cache.insert(key(index), page(index as u8));
        }
        cache.close().await.unwrap();
        drop(cache);
        let reopened = reopen().await.unwrap();
        for index in 0..20 {
            let found = reopened.find(&key(index)).await.unwrap();
            assert_eq!(found.bytes, page(index as u8).bytes, "page {index}");
        }
        assert!(reopened.find(&key(20)).await.is_none());
    }

    /// Flips a bit in every kibibyte of what was written.
    fn damage(dir: &Path) -> usize {
        let mut flipped = 0;
        for file in std::fs::read_dir(dir).unwrap() {
            let path = file.unwrap().path();
            let mut bytes = std::fs::read(&path).unwrap();
            for kib in bytes.chunks_mut(1024).filter(|kib| kib.iter().any(|byte| *byte != 0)) {
                kib[500] ^= 1;
                flipped += 1;
            }
            std::fs::write(&path, bytes).unwrap();
        }
        flipped
    }

    #[tokio::test]
    async fn a_damaged_disk_gives_no_wrong_byte_after_a_restart_or_before() {
        for restart in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            // So little memory that pages have to come from the disk.
            let reopen = || open(1 << 20, Some(dir.path()));
            let mut cache = reopen().await.unwrap();
            for index in 0..200 {
                cache.insert(key(index), page(index as u8));
            }
            if restart {
                cache.close().await.unwrap();
                drop(cache);
                assert!(damage(dir.path()) > 200);
                cache = reopen().await.unwrap();
            } else {
                cache.pages.storage().wait().await;
                assert!(damage(dir.path()) > 0);
            }
            let mut there = 0;
            for index in 0..200 {
                if let Some(found) = cache.find(&key(index)).await {
                    assert_eq!(found.bytes, page(index as u8).bytes, "page {index}, restart: {restart}");
                    there += 1;
                }
            }
            assert!(
                there < 200,
                "some pages are damaged and gone, {there} are there, restart: {restart}"
            );
            cache.insert(key(0), page(0));
            assert!(cache.find(&key(0)).await.is_some(), "the cache goes on");
        }
    }
}
