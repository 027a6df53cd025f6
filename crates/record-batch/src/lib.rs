//! Kafka's RecordBatch, magic 2: header view, validation, CRC, stamping, and its records. Pure.

mod codec;
mod error;
mod header;
mod records;
mod stamp;
mod validate;

pub use error::BatchError;
pub use header::{BatchHeader, Codec, HEADER_BYTES, batches};
pub use records::{RecordMeta, RecordsError, records};
pub use stamp::{stamp_log_append_time, stamp_position};
pub use validate::{Rules, crc_holds, validate_single};
