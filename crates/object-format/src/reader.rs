//! (skeleton) bytes -> footer.
use crate::{Footer, FormatError};

/// Decodes the footer from the last bytes of an object of `object_bytes` bytes.
pub fn decode_tail(_tail: &[u8], _object_bytes: u64) -> Result<Footer, FormatError> {
    unimplemented!()
}

/// Decodes footer + trailer as `encode_tail` returned them (stored beside a pending slot, or sent in an invocation);
/// the ranges are checked against the start of the tail, which `body_bytes` names.
pub fn decode_footer(_tail: &[u8], _body_bytes: u64) -> Result<Footer, FormatError> {
    unimplemented!()
}
