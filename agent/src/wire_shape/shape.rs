//! The words in which a request is described.

/// One request: its body, and since which version it is encoded flexibly (KIP-482: compact lengths, tagged fields).
#[derive(Debug)]
pub struct RequestShape {
    /// First flexible version.
    pub flexible_since: i16,
    /// The request itself.
    pub body: &'static Shape,
}

/// A struct: its fields in order, then, in flexible versions, its tagged fields.
#[derive(Debug)]
pub struct Shape {
    /// Fields in the order of the wire.
    pub fields: &'static [Field],
    /// Tagged fields that the decoder looks into.
    pub tagged: &'static [TaggedField],
}

/// A field and the versions that have it.
#[derive(Debug)]
pub struct Field {
    /// First version with it.
    pub since: i16,
    /// Last version with it, inclusive.
    pub until: i16,
    /// What it is.
    pub kind: Kind,
}

/// A tagged field whose content the decoder takes apart.
#[derive(Debug)]
pub struct TaggedField {
    /// Its tag.
    pub tag: u32,
    /// First version that knows it.
    pub since: i16,
    /// What it is.
    pub kind: Kind,
}

/// What a value is on the wire.
#[derive(Debug)]
pub enum Kind {
    /// So many bytes: numbers, booleans, UUIDs.
    Fixed(usize),
    /// A string: 16 bits of length, compact when flexible.
    Text,
    /// Bytes: 32 bits of length, compact when flexible.
    Blob,
    /// An array: 32 bits of count, compact when flexible.
    Array(&'static Kind),
    /// A struct.
    Struct(&'static Shape),
    /// A struct after a byte that is 1, or nothing after any other byte.
    MaybeStruct(&'static Shape),
}
