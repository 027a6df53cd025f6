//! LIST of a directory bucket (S3 Express), which knows no `StartAfter` and keeps no order: all of a prefix is listed, and the first keys
//! after the wanted one are kept.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-express-differences.html>

use std::collections::BTreeMap;

use types::ObjectKey;

use crate::ListedObject;

/// The name of every such bucket ends so, and of no other.
const NAME_SUFFIX: &str = "--x-s3";

/// Whether `bucket` is a directory bucket.
pub(crate) fn is_directory(bucket: &str) -> bool {
    bucket.ends_with(NAME_SUFFIX)
}

/// The first keys after one, of all that are offered in whatever order. Holds one more than it gives.
#[derive(Debug)]
pub(crate) struct FirstAfter {
    after: Option<String>,
    objects_max: usize,
    first: BTreeMap<ObjectKey, u64>,
}

impl FirstAfter {
    pub(crate) fn new(after: Option<&str>, objects_max: usize) -> Self {
        Self {
            after: after.map(str::to_owned),
            objects_max,
            first: BTreeMap::new(),
        }
    }

    pub(crate) fn offer(&mut self, object: ListedObject) {
        if self.after.as_deref().is_some_and(|after| object.key.as_str() <= after) {
            return;
        }
        self.first.insert(object.key, object.object_bytes);
        if self.first.len() > self.objects_max {
            self.first.pop_last();
        }
    }

    /// By key.
    pub(crate) fn into_objects(self) -> Vec<ListedObject> {
        let objects = self.first.into_iter();
        objects
            .map(|(key, object_bytes)| ListedObject { key, object_bytes })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_after(after: Option<&str>, objects_max: usize, offered: &[&str]) -> Vec<String> {
        let mut first = FirstAfter::new(after, objects_max);
        for key in offered {
            first.offer(ListedObject {
                key: ObjectKey::new(*key),
                object_bytes: 1,
            });
        }
        let objects = first.into_objects().into_iter();
        objects.map(|object| object.key.as_str().to_owned()).collect()
    }

    #[test]
    fn the_first_keys_after_one_are_kept_whatever_their_order() {
        let offered = ["k/4", "k/1", "k/3", "k/5", "k/2", "k/3"];
        assert_eq!(first_after(None, 2, &offered), ["k/1", "k/2"]);
        assert_eq!(first_after(Some("k/2"), 2, &offered), ["k/3", "k/4"]);
        assert_eq!(first_after(Some("k/4"), 2, &offered), ["k/5"]);
        assert!(first_after(Some("k/5"), 2, &offered).is_empty());
    }

    #[test]
    fn a_directory_bucket_is_known_by_its_name() {
        assert!(is_directory("yaks--use1-az4--x-s3"));
        assert!(!is_directory("yaks--x-s3-logs"));
    }
}
