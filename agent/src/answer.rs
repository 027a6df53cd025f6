//! Answers as they leave: frames of the wire, in pieces, so that records need not be copied into them.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::{Encodable, HeaderVersion};

/// One whole frame, length included: its pieces in order.
pub type Answer = Vec<Bytes>;

/// An answer of ours that the wire cannot carry: a bug of whoever made it.
#[derive(Debug, thiserror::Error)]
#[error("cannot encode the answer: {0}")]
pub struct EncodeError(pub String);

/// Encodes a response of this version, with the header that belongs to it.
pub fn encode<R: Encodable + HeaderVersion>(
    version: i16,
    correlation_id: i32,
    response: &R,
) -> Result<Answer, EncodeError> {
    let body_bytes = response.compute_size(version).map_err(unencodable)?;
    let mut frame = BytesMut::with_capacity(HEADER_BYTES_MAX + body_bytes);
    frame.put_i32(0);
    put_header(&mut frame, correlation_id, R::header_version(version));
    response.encode(&mut frame, version).map_err(unencodable)?;
    let length = frame_length(frame.len() - LENGTH_BYTES)?;
    frame[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    Ok(vec![frame.freeze()])
}

/// Another agent's answer: everything after its correlation id, under the one that the client knows.
pub fn passed_back(correlation_id: i32, rest: Bytes) -> Result<Answer, EncodeError> {
    let mut frame = BytesMut::with_capacity(2 * LENGTH_BYTES);
    frame.put_i32(frame_length(rest.len() + LENGTH_BYTES)?);
    frame.put_i32(correlation_id);
    Ok(vec![frame.freeze(), rest])
}

/// Bytes of the length before a frame.
pub(crate) const LENGTH_BYTES: usize = 4;

/// Length, correlation id and the count of no tagged fields.
pub(crate) const HEADER_BYTES_MAX: usize = LENGTH_BYTES + 4 + 1;

/// The response header: version 1 (KIP-482) ends with tagged fields, of which we send none.
pub(crate) fn put_header(frame: &mut BytesMut, correlation_id: i32, header_version: i16) {
    frame.put_i32(correlation_id);
    if header_version >= 1 {
        frame.put_u8(0);
    }
}

/// A frame's length field.
pub(crate) fn frame_length(bytes: usize) -> Result<i32, EncodeError> {
    i32::try_from(bytes).map_err(|_| EncodeError(format!("{bytes} bytes are more than a frame holds")))
}

#[expect(clippy::needless_pass_by_value, reason = "it is made for map_err")]
fn unencodable(error: impl ToString) -> EncodeError {
    EncodeError(error.to_string())
}
