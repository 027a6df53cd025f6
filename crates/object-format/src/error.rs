//! Ways in which bytes are not a readable object, told apart by what the caller can do about them.

/// Why an object's tail could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The magic is not ours: somebody else's file.
    #[error("not an object of yaks: no trailer magic")]
    Foreign,
    /// Fewer bytes than the trailer or the footer it announces needs.
    #[error("truncated: {need} bytes needed, {have} there")]
    Truncated {
        /// Bytes needed.
        need: u64,
        /// Bytes there.
        have: u64,
    },
    /// Checksum does not match.
    #[error("damaged: footer checksum {found:#010x}, trailer says {expected:#010x}")]
    Damaged {
        /// What the trailer says.
        expected: u32,
        /// What the bytes give.
        found: u32,
    },
    /// A format version or required feature that this build does not know.
    #[error("written by a newer version: {0}")]
    Newer(String),
    /// The checksum holds, yet the footer contradicts itself or the object's size.
    #[error("invalid footer: {0}")]
    Invalid(&'static str),
    /// More footer than the limit allows (on writing, or a trailer that claims so).
    #[error("footer of {bytes} bytes is over the limit of {max}")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        max: u64,
    },
}
