//! The request header, versions 1 and 2.

use super::WireError;
use super::cursor::Cursor;

/// What stands before every request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHeader<'a> {
    /// Which API.
    pub api_key: i16,
    /// Which version of it.
    pub api_version: i16,
    /// What the answer has to repeat.
    pub correlation_id: i32,
    /// `client.id`, of the second part of the header.
    pub client_id: Option<&'a str>,
    /// Where the body starts within the frame.
    pub body_start: usize,
    frame: &'a [u8],
}

impl<'a> RequestHeader<'a> {
    /// Reads the part that is the same for every API and version; the client id and what follows it are left out.
    pub fn fixed_part(frame: &'a [u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(frame);
        Ok(Self {
            api_key: cursor.i16()?,
            api_version: cursor.i16()?,
            correlation_id: cursor.i32()?,
            client_id: None,
            body_start: frame.len() - cursor.left(),
            frame,
        })
    }

    /// Reads on after the fixed part: the client id, which is never compact (KIP-511 needs the header of an unknown version to be
    /// readable), then the tagged fields, which we know none of, if the header is flexible.
    pub fn with_client(self, flexible: bool) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(&self.frame[self.body_start..]);
        let client_id = match cursor.i16()? {
            -1 => None,
            length => {
                let length = usize::try_from(length).map_err(|_| WireError::NegativeLength(length.into()))?;
                Some(std::str::from_utf8(cursor.take(length)?).map_err(|_| WireError::ClientId)?)
            }
        };
        if flexible {
            skip_tagged(&mut cursor)?;
        }
        Ok(Self {
            client_id,
            body_start: self.frame.len() - cursor.left(),
            ..self
        })
    }
}

fn skip_tagged(cursor: &mut Cursor<'_>) -> Result<(), WireError> {
    for _ in 0..cursor.varint()? {
        cursor.varint()?;
        let size = cursor.varint()? as usize;
        cursor.skip(size)?;
    }
    Ok(())
}
