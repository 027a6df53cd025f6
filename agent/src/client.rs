//! Who is asking: facts about a connection that handlers may use.

use std::net::SocketAddr;
use std::sync::Arc;

/// The client at the other end of a connection, as far as it has told us.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its address.
    pub peer: SocketAddr,
    /// `client.id` of the request's header.
    pub client_id: Option<Arc<str>>,
    /// Name of its library, from ApiVersions 3 and up (KIP-511).
    pub software_name: Option<Arc<str>>,
    /// Version of its library, likewise.
    pub software_version: Option<Arc<str>>,
}

impl Client {
    /// The zone in a `client.id` such as `app-1,zone=eu-west-1a` (parts separated by commas, semicolons or blanks).
    pub fn zone(&self) -> Option<&str> {
        let parts = self.client_id.as_deref()?.split([',', ';', ' ']);
        parts
            .filter_map(|part| part.strip_prefix("zone="))
            .find(|zone| !zone.is_empty())
    }
}
