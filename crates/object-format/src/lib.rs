//! The S3 object of yaks, version 1: batches of many partitions, then a footer, then a fixed trailer.
//! Pure: bytes in, values out.
//!
//! ```text
//! | batches, grouped by partition | footer (<= 256 KiB) | trailer (24 bytes) |
//!
//! trailer, numbers in network order:
//!    0  u32  length of the footer
//!    4  u32  CRC-32C of the footer
//!    8  u16  format version, 1
//!   10  u16  reserved, 0
//!   12  u32  CRC-32C of bytes 0..12 of the trailer
//!   16  [8]  magic 89 59 41 4b 53 0d 0a 1a
//! ```
//!
//! The trailer has this layout in every version, and its own checksum: damage is told from a newer version and a cut-off
//! object without reading the footer. The footer is a compact sequence of varints; `docs/OBJECT_FORMAT.md` has its
//! byte tables. What always holds: `decode(encode(footer)) == footer`, unknown tagged fields included; no input makes the
//! reader panic or allocate more than a small multiple of the footer's size. A footer is at most 256 KiB, so that one
//! suffix-range GET of [`TAIL_BYTES_MAX`] bytes always holds it.
//!
//! Left to others: whether a batch's bytes are sound (`record-batch`), and what a footer means (`commit`).

mod check;
mod error;
mod footer;
mod key;
mod previous;
mod reader;
mod trailer;
mod wire;
mod writer;

pub use error::FormatError;
pub use footer::{Footer, FooterBatch, FooterTopic, Kind, TRACE_CONTEXT_TAG, Tags};
pub use key::{DATA_PREFIX, KeyError, parse_slot_key, slot_key, stream_prefix};
pub use reader::{decode_footer, decode_tail, tail_of};
pub use trailer::MAGIC;
pub use writer::{TRACE_CONTEXT_BYTES_MAX, encode_tail, footer_bytes_upper_bound};

/// Bytes of the fixed trailer.
pub const TRAILER_BYTES: usize = 24;

/// One suffix-range GET of this many bytes always holds the whole footer and trailer.
pub const TAIL_BYTES_MAX: usize = types::limits::FOOTER_BYTES_MAX + TRAILER_BYTES;

/// The version this build writes, and the highest it reads.
pub const FORMAT_VERSION: u16 = 1;

/// Required feature bits this build knows: version 1 has none yet.
pub const KNOWN_REQUIRED_FEATURES: u64 = 0;
