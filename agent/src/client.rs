//! Who is asking: facts about a connection that handlers may use.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use kafka_protocol::messages::ApiVersionsRequest;

use crate::group::relay::marker;
use crate::listeners::DEFAULT_LISTENER;

/// The client at the other end of a connection, as far as it has told us.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its address.
    pub peer: SocketAddr,
    /// The listener it came through.
    pub listener: Arc<str>,
    /// `client.id` of the request's header.
    pub client_id: Option<Arc<str>>,
    /// Address of the client for which another agent passed the request on (`group/relay`).
    pub passed_on_for: Option<IpAddr>,
    /// Name of its library, from ApiVersions 3 and up (KIP-511).
    pub software_name: Option<Arc<str>>,
    /// Version of its library, likewise.
    pub software_version: Option<Arc<str>>,
}

/// Library and version, as a client gives them in ApiVersions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Software {
    /// Such as `librdkafka`.
    pub name: Arc<str>,
    /// Such as `2.0.2`.
    pub version: Arc<str>,
}

impl Software {
    /// What the request says; `None` below version 3.
    pub fn of(request: &ApiVersionsRequest) -> Option<Self> {
        let said = !request.client_software_name.is_empty();
        said.then(|| Self {
            name: request.client_software_name.as_str().into(),
            version: request.client_software_version.as_str().into(),
        })
    }
}

impl Client {
    /// A client that has not said anything yet, at the only listener of an agent that has no others.
    pub fn new(peer: SocketAddr) -> Self {
        Self {
            peer,
            listener: DEFAULT_LISTENER.into(),
            client_id: None,
            passed_on_for: None,
            software_name: None,
            software_version: None,
        }
    }

    /// The zone in a `client.id` such as `app-1,zone=eu-west-1a` (parts separated by commas, semicolons or blanks).
    pub fn zone(&self) -> Option<&str> {
        let parts = self.client_id.as_deref()?.split([',', ';', ' ']);
        parts
            .filter_map(|part| part.strip_prefix("zone="))
            .find(|zone| !zone.is_empty())
    }

    /// Where it is, whichever way it came.
    pub fn host(&self) -> IpAddr {
        self.passed_on_for.unwrap_or(self.peer.ip())
    }

    /// Takes over the `client.id` of a request; most clients never change it.
    pub(crate) fn identify(&mut self, client_id: Option<&str>) {
        let passed_on = client_id.and_then(marker::unmark);
        self.passed_on_for = passed_on.map(|(host, _)| host);
        let client_id = passed_on.map_or(client_id, |(_, client_id)| client_id);
        if self.client_id.as_deref() != client_id {
            self.client_id = client_id.map(Arc::from);
        }
    }

    /// Remembers what the client said of itself.
    pub(crate) fn introduce(&mut self, software: Software) {
        self.software_name = Some(software.name);
        self.software_version = Some(software.version);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zone_is_read_from_the_client_id() {
        let mut client = Client::new(([127, 0, 0, 1], 1).into());
        assert_eq!(client.zone(), None);
        for (client_id, zone) in [
            ("app-1,zone=eu-west-1a", Some("eu-west-1a")),
            ("zone=b;x", Some("b")),
            ("zone=", None),
            ("myzone=c", None),
        ] {
            client.identify(Some(client_id));
            assert_eq!(client.zone(), zone, "{client_id}");
        }
    }
}
