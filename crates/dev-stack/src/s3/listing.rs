//! ListObjectsV2 over the directory tree.
//!
//! Only the directory that the prefix names is walked, and all of it is sorted: a LIST of one stream costs what that
//! stream has, a LIST of the bucket what the bucket has.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use super::keys;
use super::store::ObjectInfo;

/// What to list.
#[derive(Clone, Debug, Default)]
pub(super) struct ListQuery {
    pub(super) prefix: String,
    /// Keys up to and including this one are left out.
    pub(super) after: String,
    pub(super) delimiter: Option<String>,
    pub(super) keys_max: usize,
}

/// One page of a listing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) objects: Vec<(String, ObjectInfo)>,
    pub(super) common_prefixes: Vec<String>,
    /// The key or common prefix to go on after, if there is more.
    pub(super) next_after: Option<String>,
}

/// Lists the bucket in `bucket_path`.
pub(super) fn list(bucket_path: &Path, query: &ListQuery) -> io::Result<Listing> {
    let mut all_keys = BTreeSet::new();
    walk(
        bucket_path,
        &bucket_path.join(keys::directory_of(&query.prefix)),
        &mut all_keys,
    )?;
    let mut listing = Listing::default();
    let mut last = String::new();
    for key in all_keys
        .iter()
        .filter(|key| key.starts_with(&query.prefix) && **key > query.after)
    {
        let entry = common_prefix(key, query).unwrap_or(key);
        if listing.common_prefixes.last().is_some_and(|seen| seen == entry) || (entry != key && *entry <= *query.after)
        {
            continue;
        }
        if listing.objects.len() + listing.common_prefixes.len() == query.keys_max {
            listing.next_after = Some(last);
            break;
        }
        if entry.len() < key.len() {
            listing.common_prefixes.push(entry.to_owned());
        } else if let Some(info) = describe(bucket_path, key) {
            listing.objects.push((key.clone(), info));
        }
        entry.clone_into(&mut last);
    }
    Ok(listing)
}

/// The part of `key` up to the first delimiter behind the query's prefix.
fn common_prefix<'key>(key: &'key str, query: &ListQuery) -> Option<&'key str> {
    let delimiter = query.delimiter.as_deref().filter(|text| !text.is_empty())?;
    let at = key[query.prefix.len()..].find(delimiter)?;
    Some(&key[..query.prefix.len() + at + delimiter.len()])
}

/// `None` if the object was deleted since it was seen.
fn describe(bucket_path: &Path, key: &str) -> Option<ObjectInfo> {
    let metadata = fs::metadata(bucket_path.join(keys::path_of(key)?)).ok()?;
    Some(ObjectInfo::of(&metadata))
}

fn walk(bucket_path: &Path, directory: &Path, all_keys: &mut BTreeSet<String>) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            walk(bucket_path, &entry.path(), all_keys)?;
        } else if let Some(key) = entry
            .path()
            .strip_prefix(bucket_path)
            .ok()
            .and_then(Path::to_str)
            .and_then(keys::key_of)
        {
            all_keys.insert(key);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(keys_there: &[&str]) -> std::path::PathBuf {
        let root = std::env::temp_dir().join(format!("yaks-listing-{}", uuid::Uuid::now_v7()));
        for key in keys_there {
            let path = root.join(keys::path_of(key).unwrap());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, key).unwrap();
        }
        root
    }

    fn names(listing: &Listing) -> Vec<&str> {
        listing.objects.iter().map(|(key, _)| key.as_str()).collect()
    }

    #[test]
    fn pages_follow_each_other_in_key_order_without_gap_or_repeat() {
        let root = bucket(&["a", "a/b", "a-b", "b/1", "b/2", "c"]);
        let mut query = ListQuery {
            keys_max: 2,
            ..ListQuery::default()
        };
        let mut seen = Vec::new();
        loop {
            let page = list(&root, &query).unwrap();
            seen.extend(page.objects.into_iter().map(|(key, _)| key));
            match page.next_after {
                Some(after) => query.after = after,
                None => break,
            }
        }
        assert_eq!(seen, ["a", "a-b", "a/b", "b/1", "b/2", "c"]);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_prefix_may_end_inside_a_segment() {
        let root = bucket(&["data/v1/aa/1", "data/v1/ab/1", "other/1"]);
        let query = ListQuery {
            prefix: "data/v1/ab".to_owned(),
            keys_max: 10,
            ..ListQuery::default()
        };
        assert_eq!(names(&list(&root, &query).unwrap()), ["data/v1/ab/1"]);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_delimiter_folds_keys_into_common_prefixes() {
        let root = bucket(&["a/1", "a/2", "b", "c/1"]);
        let mut query = ListQuery {
            delimiter: Some("/".to_owned()),
            keys_max: 2,
            ..ListQuery::default()
        };
        let first = list(&root, &query).unwrap();
        assert_eq!(
            (names(&first), first.common_prefixes.clone()),
            (vec!["b"], vec!["a/".to_owned()])
        );
        query.after = first.next_after.unwrap();
        let second = list(&root, &query).unwrap();
        assert_eq!(
            (names(&second), second.common_prefixes.clone()),
            (vec![], vec!["c/".to_owned()])
        );
        assert_eq!(second.next_after, None);
        fs::remove_dir_all(root).unwrap();
    }
}
