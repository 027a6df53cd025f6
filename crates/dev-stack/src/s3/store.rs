//! Objects as files, one each, without a second file for metadata: what S3 says about an object (size, time, tag) is
//! read from the file itself.
//!
//! An object is written to a temporary file and appears under its key complete, by one system call. For a conditional
//! PUT that call is `link`, which fails if the name exists: the file system is the lock, and of any number of writers
//! exactly one wins. Nothing is synced: what the machine loses when it crashes is a developer's test data.
//!
//! Everything here blocks; callers are on the blocking pool.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;

use super::keys;

/// Below the root; buckets cannot be named so.
const UPLOADS: &str = ".uploads";

/// The directory with all buckets.
#[derive(Debug)]
pub(super) struct Store {
    root: PathBuf,
    next_upload: AtomicU64,
}

/// What there is to know about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ObjectInfo {
    pub(super) object_bytes: u64,
    pub(super) modified: SystemTime,
    pub(super) etag: String,
}

impl ObjectInfo {
    /// S3's tag is opaque; this one differs between any two files that ever existed at once, and survives a restart.
    pub(super) fn of(metadata: &fs::Metadata) -> Self {
        let etag = format!(
            "{:016x}{:08x}{:08x}",
            metadata.ino(),
            metadata.mtime() as u32,
            metadata.mtime_nsec() as u32
        );
        Self {
            object_bytes: metadata.len(),
            modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
            etag,
        }
    }
}

/// An object on its way in. Dropping it forgets it.
#[derive(Debug)]
pub(super) struct Upload {
    file: File,
    path: PathBuf,
}

/// How a PUT ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Published {
    Created(ObjectInfo),
    AlreadyExists,
}

impl Store {
    /// Opens or makes the directory; what was half uploaded when the last run ended is deleted.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let uploads = root.join(UPLOADS);
        if uploads.exists() {
            fs::remove_dir_all(&uploads)?;
        }
        fs::create_dir_all(&uploads)?;
        Ok(Self {
            root: root.to_owned(),
            next_upload: AtomicU64::new(0),
        })
    }

    /// Makes a bucket; `false` if it was there.
    pub(super) fn create_bucket(&self, bucket: &str) -> io::Result<bool> {
        match fs::create_dir(self.root.join(bucket)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn bucket_exists(&self, bucket: &str) -> bool {
        self.root.join(bucket).is_dir()
    }

    /// The directory of a bucket.
    pub(super) fn bucket_path(&self, bucket: &str) -> PathBuf {
        self.root.join(bucket)
    }

    pub(super) fn begin_upload(&self) -> io::Result<Upload> {
        let number = self.next_upload.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join(UPLOADS).join(number.to_string());
        let file = File::create_new(&path)?;
        Ok(Upload { file, path })
    }

    /// Gives the upload its key; `only_if_absent` leaves an object that is there as it is.
    pub(super) fn publish(
        &self,
        upload: Upload,
        bucket: &str,
        key: &str,
        only_if_absent: bool,
    ) -> io::Result<Published> {
        let target = self.object_path(bucket, key)?;
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        let info = ObjectInfo::of(&upload.file.metadata()?);
        if !only_if_absent {
            fs::rename(&upload.path, &target)?;
            return Ok(Published::Created(info));
        }
        match fs::hard_link(&upload.path, &target) {
            Ok(()) => Ok(Published::Created(info)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Published::AlreadyExists),
            Err(error) => Err(error),
        }
    }

    /// Opens an object; `NotFound` is the file system's own error.
    pub(super) fn open_object(&self, bucket: &str, key: &str) -> io::Result<(File, ObjectInfo)> {
        let file = File::open(self.object_path(bucket, key)?)?;
        let info = ObjectInfo::of(&file.metadata()?);
        Ok((file, info))
    }

    /// Deletes an object; a missing one is no error, as in S3. The folders stay: removing one would race a PUT into it.
    pub(super) fn delete(&self, bucket: &str, key: &str) -> io::Result<()> {
        match fs::remove_file(self.object_path(bucket, key)?) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn object_path(&self, bucket: &str, key: &str) -> io::Result<PathBuf> {
        let too_long = || {
            io::Error::new(
                io::ErrorKind::InvalidFilename,
                "a segment of the key is too long for this store",
            )
        };
        Ok(self.root.join(bucket).join(keys::path_of(key).ok_or_else(too_long)?))
    }
}

impl Upload {
    pub(super) fn append(&mut self, chunks: &[Bytes]) -> io::Result<()> {
        chunks.iter().try_for_each(|chunk| self.file.write_all(chunk))
    }
}

impl Drop for Upload {
    /// After a rename there is nothing to remove; after a link the object keeps the file alive.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Reads `range` of a file.
pub(super) fn read(file: &File, start: u64, length: usize) -> io::Result<Bytes> {
    let mut buffer = vec![0; length];
    file.read_exact_at(&mut buffer, start)?;
    Ok(Bytes::from(buffer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (Store, PathBuf) {
        let root = std::env::temp_dir().join(format!("yaks-store-{}", uuid::Uuid::now_v7()));
        let store = Store::open(&root).unwrap();
        store.create_bucket("b").unwrap();
        (store, root)
    }

    fn upload(store: &Store, text: &'static str) -> Upload {
        let mut upload = store.begin_upload().unwrap();
        upload.append(&[Bytes::from_static(text.as_bytes())]).unwrap();
        upload
    }

    #[test]
    fn a_condition_keeps_the_first_object_and_its_absence_replaces_it() {
        let (store, root) = store();
        assert!(matches!(
            store.publish(upload(&store, "one"), "b", "k", true).unwrap(),
            Published::Created(_)
        ));
        assert_eq!(
            store.publish(upload(&store, "two"), "b", "k", true).unwrap(),
            Published::AlreadyExists
        );
        let (file, info) = store.open_object("b", "k").unwrap();
        assert_eq!(read(&file, 0, 3).unwrap(), "one");
        assert!(matches!(
            store.publish(upload(&store, "three"), "b", "k", false).unwrap(),
            Published::Created(_)
        ));
        let (file, replaced) = store.open_object("b", "k").unwrap();
        assert_eq!(read(&file, 0, 5).unwrap(), "three");
        assert_ne!(info.etag, replaced.etag);
        assert_eq!(fs::read_dir(root.join(UPLOADS)).unwrap().count(), 0);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_deleted_key_is_free_again() {
        let (store, root) = store();
        store.publish(upload(&store, "one"), "b", "k/l", true).unwrap();
        store.delete("b", "k/l").unwrap();
        store.delete("b", "k/l").unwrap();
        assert_eq!(
            store.open_object("b", "k/l").unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        assert!(matches!(
            store.publish(upload(&store, "two"), "b", "k/l", true).unwrap(),
            Published::Created(_)
        ));
        fs::remove_dir_all(root).unwrap();
    }
}
