//! The last 24 bytes of every object. Their layout is the same in all versions of the format, so that any build can
//! tell "not ours", "cut off", "damaged" and "newer than me" apart before it reads anything else.

use crate::{FORMAT_VERSION, FormatError, TRAILER_BYTES};

/// The very last bytes of an object. Chosen as PNG's signature is: a byte that is no text, a name, and a line end that a
/// text conversion would spoil.
pub const MAGIC: [u8; 8] = *b"\x89YAKS\r\n\x1a";

const FIELDS_BYTES: usize = 12;

/// The trailer's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    pub(crate) footer_bytes: u32,
    pub(crate) footer_crc: u32,
    pub(crate) version: u16,
}

impl Trailer {
    /// The trailer of a version 1 object.
    pub(crate) fn of(footer: &[u8]) -> Self {
        Self {
            footer_bytes: u32::try_from(footer.len()).expect("a footer is at most 256 KiB"),
            footer_crc: crc32c::crc32c(footer),
            version: FORMAT_VERSION,
        }
    }

    pub(crate) fn encode(self) -> [u8; TRAILER_BYTES] {
        let mut bytes = [0; TRAILER_BYTES];
        bytes[0..4].copy_from_slice(&self.footer_bytes.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.footer_crc.to_be_bytes());
        bytes[8..10].copy_from_slice(&self.version.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[..FIELDS_BYTES]);
        bytes[12..16].copy_from_slice(&crc.to_be_bytes());
        bytes[16..24].copy_from_slice(&MAGIC);
        bytes
    }

    /// Checks magic, own checksum and version, in this order: a bit that flipped in the version is damage.
    pub(crate) fn decode(bytes: &[u8; TRAILER_BYTES]) -> Result<Self, FormatError> {
        if bytes[16..24] != MAGIC {
            return Err(FormatError::Foreign);
        }
        verify_crc(&bytes[..FIELDS_BYTES], u32_at(bytes, 12))?;
        let version = u16::from_be_bytes([bytes[8], bytes[9]]);
        match version {
            FORMAT_VERSION => {}
            0 => return Err(FormatError::Invalid("there is no format version 0")),
            newer => return Err(FormatError::Newer(format!("format version {newer}"))),
        }
        if bytes[10..12] != [0, 0] {
            return Err(FormatError::Invalid("the trailer's reserved bytes are not zero"));
        }
        Ok(Self {
            footer_bytes: u32_at(bytes, 0),
            footer_crc: u32_at(bytes, 4),
            version,
        })
    }
}

/// Compares a checksum.
pub(crate) fn verify_crc(bytes: &[u8], expected: u32) -> Result<(), FormatError> {
    let found = crc32c::crc32c(bytes);
    if found == expected {
        return Ok(());
    }
    Err(FormatError::Damaged { expected, found })
}

fn u32_at(bytes: &[u8; TRAILER_BYTES], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
