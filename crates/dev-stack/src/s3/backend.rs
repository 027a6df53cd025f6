//! The S3 operations we serve, over the store.

use std::future::Future;
use std::sync::Arc;

use s3s::dto::{
    BucketName, CommonPrefix, ContentLength, CreateBucketInput, CreateBucketOutput, DeleteObjectInput,
    DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, ETag, ETagCondition, GetObjectInput,
    GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListObjectsV2Input,
    ListObjectsV2Output, Object, PutObjectInput, PutObjectOutput, Range, Timestamp,
};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use tokio::time::sleep_until;

use super::body::{self, blocking};
use super::faulty::NotBefore;
use super::listing::{self, ListQuery, Listing};
use super::store::{ObjectInfo, Published, Store};
use super::{CreatedObject, OnCreated, Operation, S3Stats};

/// S3's own page size.
const LIST_KEYS_MAX: usize = 1000;

#[derive(Clone)]
pub(super) struct Backend {
    pub(super) store: Arc<Store>,
    pub(super) stats: Arc<S3Stats>,
    pub(super) on_created: OnCreated,
}

impl Backend {
    async fn counted<T>(
        &self,
        operation: Operation,
        work: impl Future<Output = S3Result<T>> + Send,
    ) -> S3Result<S3Response<T>> {
        let result = work.await;
        self.stats.count(operation, result.is_ok());
        result.map(S3Response::new)
    }

    fn check_bucket(&self, bucket: &BucketName) -> S3Result<()> {
        if self.store.bucket_exists(bucket) {
            Ok(())
        } else {
            Err(s3_error!(NoSuchBucket))
        }
    }

    async fn put(&self, request: S3Request<PutObjectInput>) -> S3Result<PutObjectOutput> {
        let S3Request {
            mut input,
            trailing_headers,
            extensions,
            ..
        } = request;
        self.check_bucket(&input.bucket)?;
        let only_if_absent = match (&input.if_none_match, &input.if_match) {
            (None, None) => false,
            (Some(ETagCondition::Any), None) => true,
            _ => {
                return Err(s3_error!(
                    NotImplemented,
                    "the only condition of a PUT here is If-None-Match: *"
                ));
            }
        };
        let (upload, object_bytes) = body::receive(Arc::clone(&self.store), &mut input, trailing_headers).await?;
        self.stats.add_bytes(Operation::PutObject, object_bytes);
        if let Some(NotBefore(due)) = extensions.get() {
            sleep_until(*due).await;
        }
        let (store, bucket, key) = (Arc::clone(&self.store), input.bucket.clone(), input.key.clone());
        match blocking(move || store.publish(upload, &bucket, &key, only_if_absent)).await? {
            Published::AlreadyExists => Err(s3_error!(PreconditionFailed)),
            Published::Created(info) => {
                let etag = info.etag.clone();
                (self.on_created)(CreatedObject {
                    bucket: input.bucket,
                    key: input.key,
                    object_bytes,
                    etag,
                });
                Ok(PutObjectOutput {
                    e_tag: Some(ETag::Strong(info.etag)),
                    ..PutObjectOutput::default()
                })
            }
        }
    }

    async fn get(&self, input: GetObjectInput) -> S3Result<GetObjectOutput> {
        self.check_bucket(&input.bucket)?;
        let store = Arc::clone(&self.store);
        let (file, info) = blocking(move || store.open_object(&input.bucket, &input.key)).await?;
        let range = match input.range {
            None => 0..info.object_bytes,
            Some(range) => satisfiable(range, info.object_bytes)?,
        };
        let length = range.end - range.start;
        self.stats.add_bytes(Operation::GetObject, length);
        Ok(GetObjectOutput {
            content_range: input.range.map(|_| content_range(&range, info.object_bytes)),
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(content_length(length)?),
            body: Some(body::send(file, range.start, length)),
            e_tag: Some(ETag::Strong(info.etag)),
            last_modified: Some(Timestamp::from(info.modified)),
            ..GetObjectOutput::default()
        })
    }

    async fn head(&self, input: HeadObjectInput) -> S3Result<HeadObjectOutput> {
        self.check_bucket(&input.bucket)?;
        let store = Arc::clone(&self.store);
        let (_, info) = blocking(move || store.open_object(&input.bucket, &input.key)).await?;
        Ok(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(content_length(info.object_bytes)?),
            e_tag: Some(ETag::Strong(info.etag)),
            last_modified: Some(Timestamp::from(info.modified)),
            ..HeadObjectOutput::default()
        })
    }

    async fn delete(&self, bucket: BucketName, key: String) -> S3Result<()> {
        self.check_bucket(&bucket)?;
        let store = Arc::clone(&self.store);
        blocking(move || store.delete(&bucket, &key)).await
    }

    async fn delete_several(&self, input: DeleteObjectsInput) -> S3Result<DeleteObjectsOutput> {
        let mut deleted = Vec::new();
        for object in input.delete.objects {
            self.delete(input.bucket.clone(), object.key.clone()).await?;
            deleted.push(DeletedObject {
                key: Some(object.key),
                ..DeletedObject::default()
            });
        }
        let said = if input.delete.quiet == Some(true) {
            None
        } else {
            Some(deleted)
        };
        Ok(DeleteObjectsOutput {
            deleted: said,
            ..DeleteObjectsOutput::default()
        })
    }

    async fn list(&self, input: ListObjectsV2Input) -> S3Result<ListObjectsV2Output> {
        self.check_bucket(&input.bucket)?;
        let query = ListQuery {
            prefix: input.prefix.clone().unwrap_or_default(),
            after: input
                .continuation_token
                .clone()
                .or_else(|| input.start_after.clone())
                .unwrap_or_default(),
            delimiter: input.delimiter.clone(),
            keys_max: input
                .max_keys
                .and_then(|keys| usize::try_from(keys).ok())
                .unwrap_or(LIST_KEYS_MAX)
                .min(LIST_KEYS_MAX),
        };
        let keys_max = query.keys_max;
        let path = self.store.bucket_path(&input.bucket);
        let listing = blocking(move || listing::list(&path, &query)).await?;
        Ok(list_output(input, listing, keys_max))
    }
}

#[async_trait::async_trait]
impl S3 for Backend {
    async fn create_bucket(&self, request: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        let (store, bucket) = (Arc::clone(&self.store), request.input.bucket);
        let work = async move {
            if blocking(move || store.create_bucket(&bucket)).await? {
                Ok(CreateBucketOutput::default())
            } else {
                Err(s3_error!(BucketAlreadyOwnedByYou))
            }
        };
        self.counted(Operation::CreateBucket, work).await
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        let result = self
            .check_bucket(&request.input.bucket)
            .map(|()| HeadBucketOutput::default());
        self.counted(Operation::HeadBucket, async { result }).await
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        self.counted(Operation::PutObject, self.put(request)).await
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        self.counted(Operation::GetObject, self.get(request.input)).await
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        self.counted(Operation::HeadObject, self.head(request.input)).await
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        let DeleteObjectInput { bucket, key, .. } = request.input;
        let work = async { self.delete(bucket, key).await.map(|()| DeleteObjectOutput::default()) };
        self.counted(Operation::DeleteObject, work).await
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        self.counted(Operation::DeleteObjects, self.delete_several(request.input))
            .await
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.counted(Operation::ListObjectsV2, self.list(request.input)).await
    }
}

/// An empty object has no byte that a range could hold, not even a suffix.
fn satisfiable(range: Range, object_bytes: u64) -> S3Result<std::ops::Range<u64>> {
    let found = range.check(object_bytes)?;
    if found.is_empty() {
        Err(s3_error!(InvalidRange))
    } else {
        Ok(found)
    }
}

/// `bytes first-last/size`; the range is not empty.
fn content_range(range: &std::ops::Range<u64>, object_bytes: u64) -> String {
    format!("bytes {}-{}/{object_bytes}", range.start, range.end - 1)
}

fn content_length(bytes: u64) -> S3Result<ContentLength> {
    ContentLength::try_from(bytes).map_err(s3s::S3Error::internal_error)
}

fn list_output(input: ListObjectsV2Input, listing: Listing, keys_max: usize) -> ListObjectsV2Output {
    let count = listing.objects.len() + listing.common_prefixes.len();
    let prefixes = listing
        .common_prefixes
        .into_iter()
        .map(|prefix| CommonPrefix { prefix: Some(prefix) })
        .collect();
    ListObjectsV2Output {
        is_truncated: Some(listing.next_after.is_some()),
        next_continuation_token: listing.next_after,
        contents: Some(listing.objects.into_iter().map(list_entry).collect()),
        common_prefixes: Some(prefixes),
        key_count: i32::try_from(count).ok(),
        max_keys: i32::try_from(keys_max).ok(),
        name: Some(input.bucket),
        prefix: input.prefix,
        delimiter: input.delimiter,
        start_after: input.start_after,
        continuation_token: input.continuation_token,
        ..ListObjectsV2Output::default()
    }
}

fn list_entry((key, info): (String, ObjectInfo)) -> Object {
    Object {
        key: Some(key),
        size: i64::try_from(info.object_bytes).ok(),
        e_tag: Some(ETag::Strong(info.etag)),
        last_modified: Some(Timestamp::from(info.modified)),
        ..Object::default()
    }
}
