//! Lengths of Kafka's wire format, each checked against the bytes that are left.

/// Why bytes are not the request they claim to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A value reaches past the end.
    #[error("{wanted} bytes or elements claimed with {left} bytes left")]
    Truncated {
        /// What the bytes claim.
        wanted: usize,
        /// What is left of them.
        left: usize,
    },
    /// A length below -1 (-1 is null).
    #[error("length {0} is negative")]
    NegativeLength(i32),
    /// A varint of more than 32 bits.
    #[error("varint of more than 32 bits")]
    OverlongVarint,
    /// A request with more elements than we take.
    #[error("more than {max} array elements and tagged fields")]
    TooManyElements {
        /// The limit.
        max: usize,
    },
    /// A tagged field whose content is not as long as its size says.
    #[error("content of tag {tag} does not fill its {size} bytes")]
    TagSize {
        /// The tag.
        tag: u32,
        /// Its size field.
        size: usize,
    },
    /// A client id that is no UTF-8.
    #[error("client id is not UTF-8")]
    ClientId,
}

#[derive(Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes that will be left when `count` of them are gone.
    pub(super) fn left_after(&self, count: usize) -> Result<usize, WireError> {
        self.bytes.len().checked_sub(count).ok_or(WireError::Truncated {
            wanted: count,
            left: self.bytes.len(),
        })
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        self.left_after(count)?;
        let (taken, rest) = self.bytes.split_at(count);
        self.bytes = rest;
        Ok(taken)
    }

    pub(super) fn skip(&mut self, count: usize) -> Result<(), WireError> {
        self.take(count).map(|_| ())
    }

    pub(super) fn byte(&mut self) -> Result<u8, WireError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(super) fn i16(&mut self) -> Result<i16, WireError> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub(super) fn i32(&mut self) -> Result<i32, WireError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// KIP-482's unsigned varint. Stricter than the decoder, which ignores what does not fit into 32 bits.
    pub(super) fn varint(&mut self) -> Result<u32, WireError> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            if shift == 28 && byte > 0x0f {
                return Err(WireError::OverlongVarint);
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        Ok(value)
    }

    /// Length before a string; null is 0.
    pub(super) fn short_length(&mut self) -> Result<usize, WireError> {
        self.i16().and_then(|length| nullable(length.into()))
    }

    /// Length before bytes and arrays; null is 0.
    pub(super) fn long_length(&mut self) -> Result<usize, WireError> {
        self.i32().and_then(nullable)
    }

    /// Length in a flexible version: one more than it is, 0 for null.
    pub(super) fn compact_length(&mut self) -> Result<usize, WireError> {
        Ok(self.varint()?.saturating_sub(1) as usize)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("take gives exactly N bytes"))
    }
}

fn nullable(length: i32) -> Result<usize, WireError> {
    match length {
        -1 => Ok(0),
        _ => usize::try_from(length).map_err(|_| WireError::NegativeLength(length)),
    }
}
