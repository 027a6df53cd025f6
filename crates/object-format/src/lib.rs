//! The S3 object of yaks, version 1: batches of many partitions, then a footer, then a fixed trailer.
//! Pure: bytes in, values out.

mod error;
mod footer;
mod key;
mod reader;
mod writer;

pub use error::FormatError;
pub use footer::{Footer, FooterBatch, FooterTopic, Kind, Tags};
pub use key::{DATA_PREFIX, KeyError, parse_slot_key, slot_key, stream_prefix};
pub use reader::{decode_footer, decode_tail};
pub use writer::{encode_tail, footer_bytes_upper_bound};

/// Bytes of the fixed trailer.
pub const TRAILER_BYTES: usize = 24;

/// One suffix-range GET of this many bytes always holds the whole footer and trailer.
pub const TAIL_BYTES_MAX: usize = types::limits::FOOTER_BYTES_MAX + TRAILER_BYTES;
