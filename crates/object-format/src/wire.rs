//! The few primitives a footer is made of: unsigned LEB128 varints, zigzag for values that may be negative, fixed
//! numbers in network order. The reading side never trusts a length or a count: both are held against the bytes left.

use crate::FormatError;

/// Maps small negative numbers to small unsigned ones: 0, -1, 1, -2 -> 0, 1, 2, 3.
pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// Appends `value` in groups of seven bits, lowest first.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(0x80 | (value & 0x7f) as u8);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends `value` zigzagged.
pub(crate) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, zigzag(value));
}

/// What is left of a footer to read.
#[derive(Debug)]
pub(crate) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn bytes(&mut self, len: u64) -> Result<&'a [u8], FormatError> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let (head, rest) = self.0.split_at_checked(len).ok_or(ENDS_EARLY)?;
        self.0 = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let (head, rest) = self.0.split_first_chunk().ok_or(ENDS_EARLY)?;
        self.0 = rest;
        Ok(*head)
    }

    pub(crate) fn varint(&mut self) -> Result<u64, FormatError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let group = u64::from(byte & 0x7f);
            if shift == 63 && group > 1 {
                return Err(OVERFLOW);
            }
            value |= group << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(OVERFLOW)
    }

    pub(crate) fn signed(&mut self) -> Result<i64, FormatError> {
        self.varint().map(unzigzag)
    }

    /// A varint that fits `T`.
    pub(crate) fn varint_as<T: TryFrom<u64>>(&mut self) -> Result<T, FormatError> {
        T::try_from(self.varint()?).map_err(|_| OVERFLOW)
    }

    /// A zigzagged varint that fits `T`.
    pub(crate) fn signed_as<T: TryFrom<i64>>(&mut self) -> Result<T, FormatError> {
        T::try_from(self.signed()?).map_err(|_| OVERFLOW)
    }

    /// A number of items of at least `item_bytes_min` each: never more than the bytes left can hold, so that it may
    /// size an allocation.
    pub(crate) fn count(&mut self, item_bytes_min: usize) -> Result<usize, FormatError> {
        let count: usize = self.varint_as()?;
        if count > self.0.len() / item_bytes_min {
            return Err(FormatError::Invalid("a count is larger than the bytes left allow"));
        }
        Ok(count)
    }
}

pub(crate) const OVERFLOW: FormatError = FormatError::Invalid("a number does not fit its field");
const ENDS_EARLY: FormatError = FormatError::Invalid("the footer ends within a field");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_of_more_than_64_bits_are_refused() {
        let most = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(Cursor::new(&most).varint(), Ok(u64::MAX));
        let over = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        assert_eq!(Cursor::new(&over).varint(), Err(OVERFLOW));
        assert_eq!(Cursor::new(&[0x80; 11]).varint(), Err(OVERFLOW));
        assert_eq!(Cursor::new(&[0x80, 0x80, 0x04]).varint_as::<u16>(), Err(OVERFLOW));
        assert_eq!(Cursor::new(&[0x80]).varint(), Err(ENDS_EARLY));
    }

    #[test]
    fn a_count_is_held_against_the_bytes_left() {
        assert_eq!(Cursor::new(&[2, 0, 0, 0, 0, 0]).count(2), Ok(2));
        assert!(Cursor::new(&[3, 0, 0, 0, 0, 0]).count(2).is_err());
        assert!(Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0x7f]).count(1).is_err());
    }

    proptest! {
        #[test]
        fn varints_come_back(unsigned: u64, signed: i64) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, unsigned);
            put_signed(&mut bytes, signed);
            let mut cursor = Cursor::new(&bytes);
            prop_assert_eq!(cursor.varint(), Ok(unsigned));
            prop_assert_eq!(cursor.signed(), Ok(signed));
            prop_assert!(cursor.is_empty());
        }
    }
}
