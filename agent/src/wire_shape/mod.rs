//! Walks a request's bytes before they are decoded.
//!
//! `kafka-protocol` 0.18 reserves memory for as many array elements as the bytes claim (`Vec::with_capacity` in its
//! `protocol/types.rs`), so five bytes can ask for gigabytes and end the process. The walk follows a static description
//! of every request we serve ([`tables`]) and makes sure that each length and count fits into the bytes that are left and that all
//! elements together stay below [`ELEMENTS_MAX`]. It takes no memory itself, and its depth is that of the description.
//! Whether the values make sense is left to the decoder: null is taken everywhere, text need not be UTF-8.

mod cursor;
mod header;
mod shape;
pub mod tables;

pub use cursor::WireError;
pub use header::RequestHeader;
pub use shape::{Field, Kind, RequestShape, Shape, TaggedField};

use cursor::Cursor;

/// Most array elements and tagged fields of one request, all levels together.
///
/// One element of two bytes on the wire becomes up to about 150 bytes decoded (a `FetchPartition` with its empty tag map): this
/// bounds a decoded request to some 30 MB, however dense its frame. Twice what one Fetch over 100,000 partitions needs.
pub const ELEMENTS_MAX: usize = 200_000;

/// Checks that decoding `body` as `version` of this request takes no more memory than its bytes justify. Returns the number
/// of bytes the request covers; what may follow is ignored, as Kafka does.
pub fn walk(request: &RequestShape, version: i16, body: &[u8]) -> Result<usize, WireError> {
    let mut walker = Walker {
        cursor: Cursor::new(body),
        version,
        flexible: version >= request.flexible_since,
        elements_left: ELEMENTS_MAX,
    };
    walker.shape(request.body)?;
    Ok(body.len() - walker.cursor.left())
}

struct Walker<'a> {
    cursor: Cursor<'a>,
    version: i16,
    flexible: bool,
    elements_left: usize,
}

impl Walker<'_> {
    fn shape(&mut self, shape: &Shape) -> Result<(), WireError> {
        for field in shape.fields {
            if (field.since..=field.until).contains(&self.version) {
                self.value(&field.kind)?;
            }
        }
        if self.flexible {
            self.tagged(shape.tagged)
        } else {
            Ok(())
        }
    }

    fn value(&mut self, kind: &Kind) -> Result<(), WireError> {
        match kind {
            Kind::Fixed(bytes) => self.cursor.skip(*bytes),
            Kind::Text => self.short_length().and_then(|bytes| self.cursor.skip(bytes)),
            Kind::Blob => self.long_length().and_then(|bytes| self.cursor.skip(bytes)),
            Kind::Array(element) => self.array(element),
            Kind::Struct(shape) => self.shape(shape),
            Kind::MaybeStruct(shape) => match self.cursor.byte()? {
                1 => self.shape(shape),
                _ => Ok(()),
            },
        }
    }

    fn array(&mut self, element: &Kind) -> Result<(), WireError> {
        let count = self.long_length()?;
        self.count_elements(count)?;
        (0..count).try_for_each(|_| self.value(element))
    }

    fn tagged(&mut self, known: &[TaggedField]) -> Result<(), WireError> {
        let count = self.cursor.varint()? as usize;
        self.count_elements(count)?;
        for _ in 0..count {
            let tag = self.cursor.varint()?;
            let size = self.cursor.varint()? as usize;
            let end = self.cursor.left_after(size)?;
            match known
                .iter()
                .find(|field| field.tag == tag && field.since <= self.version)
            {
                Some(field) => self.value(&field.kind)?,
                None => self.cursor.skip(size)?,
            }
            // The decoder trusts the content of a tag it knows over the tag's size; the two have to agree.
            if self.cursor.left() != end {
                return Err(WireError::TagSize { tag, size });
            }
        }
        Ok(())
    }

    /// An element is at least one byte, so a count above the bytes left is a lie.
    fn count_elements(&mut self, count: usize) -> Result<(), WireError> {
        self.cursor.left_after(count)?;
        let left = self.elements_left.checked_sub(count);
        self.elements_left = left.ok_or(WireError::TooManyElements { max: ELEMENTS_MAX })?;
        Ok(())
    }

    /// Length before a string, in this version's encoding; null is 0.
    fn short_length(&mut self) -> Result<usize, WireError> {
        if self.flexible {
            self.cursor.compact_length()
        } else {
            self.cursor.short_length()
        }
    }

    /// Length before bytes or an array, likewise.
    fn long_length(&mut self) -> Result<usize, WireError> {
        if self.flexible {
            self.cursor.compact_length()
        } else {
            self.cursor.long_length()
        }
    }
}

#[cfg(test)]
mod tests;
