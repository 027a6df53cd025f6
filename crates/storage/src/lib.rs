//! The S3 client of yaks behind one small trait.

mod error;
mod store;

pub use error::{StorageError, StorageErrorKind};
pub use store::{GetRange, Got, ListedObject, ObjectStore, PutOutcome};
