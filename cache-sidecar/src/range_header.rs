//! The `Range` header (RFC 9110, section 14): one range, in its three forms. Pure.

use types::ByteRange;

/// Which bytes a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// No `Range` header: all of it.
    Full,
    /// `bytes=a-b`.
    Bytes(ByteRange),
    /// `bytes=a-`.
    From(u64),
    /// `bytes=-n`.
    Last(u64),
}

impl Wanted {
    /// The bytes meant, cut at the object's end; `None` where there are none (416). All of an empty object is empty.
    pub fn within(self, object_bytes: u64) -> Option<ByteRange> {
        let (start, end) = match self {
            Self::Full => {
                return Some(ByteRange {
                    start: 0,
                    end: object_bytes,
                });
            }
            Self::Bytes(range) => (range.start, range.end.min(object_bytes)),
            Self::From(start) => (start, object_bytes),
            Self::Last(bytes) => (object_bytes.saturating_sub(bytes), object_bytes),
        };
        ByteRange::new(start, end).filter(|range| !range.is_empty())
    }
}

/// Reads the header's value. RFC 9110 lets a server ignore what it does not understand; here that would send a whole
/// object to somebody who wanted a part of it, so it is an error.
pub(crate) fn parse(header: &str) -> Result<Wanted, &'static str> {
    const WRONG: &str = "expected bytes=a-b, bytes=a- or bytes=-n";
    let (first, last) = header
        .strip_prefix("bytes=")
        .and_then(|ranges| ranges.split_once('-'))
        .ok_or(WRONG)?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if digits {
            text.parse::<u64>().map_err(|_| WRONG)
        } else {
            Err(WRONG)
        }
    };
    match (first, last) {
        ("", last) => Ok(Wanted::Last(number(last)?)),
        (first, "") => Ok(Wanted::From(number(first)?)),
        (first, last) => {
            let end = number(last)?.checked_add(1).ok_or(WRONG)?;
            let range = ByteRange::new(number(first)?, end).filter(|range| !range.is_empty());
            range.map(Wanted::Bytes).ok_or("the range ends before it starts")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_are_understood_and_nothing_else() {
        assert_eq!(parse("bytes=0-0"), Ok(Wanted::Bytes(ByteRange { start: 0, end: 1 })));
        assert_eq!(parse("bytes=5-"), Ok(Wanted::From(5)));
        assert_eq!(parse("bytes=-5"), Ok(Wanted::Last(5)));
        for wrong in [
            "bytes=",
            "bytes=-",
            "bytes=2-1",
            "bytes=0-1,3-4",
            "bytes=+1-2",
            "lines=0-1",
            "bytes=0-18446744073709551615",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_range_without_a_byte_is_none() {
        assert_eq!(Wanted::Full.within(0), Some(ByteRange { start: 0, end: 0 }));
        assert_eq!(Wanted::Last(9).within(4), Some(ByteRange { start: 0, end: 4 }));
        for wanted in [
            Wanted::From(4),
            Wanted::Last(0),
            Wanted::Bytes(ByteRange { start: 4, end: 9 }),
        ] {
            assert_eq!(wanted.within(4), None, "{wanted:?}");
        }
    }
}
