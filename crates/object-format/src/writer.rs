//! (skeleton) footer -> bytes.
use bytes::Bytes;

use crate::{Footer, FormatError};

/// Footer and trailer, to be put behind the batches' bytes.
pub fn encode_tail(_footer: &Footer) -> Result<Bytes, FormatError> {
    unimplemented!()
}

/// No footer of this many batches and topics (names of this many bytes in sum) is longer than this.
pub fn footer_bytes_upper_bound(_batches: usize, _topics: usize, _topic_name_bytes: usize) -> usize {
    unimplemented!()
}
