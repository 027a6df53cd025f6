//! HTTP handlers; health and metrics are `daemon`'s.

pub(crate) mod objects;
