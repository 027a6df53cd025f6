//! Listeners: where this agent listens, and what the clients that come in there are told to connect to. ADR 0005.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use metastore::AdvertisedListener;

/// The listener of an agent that was told of no other (Kafka's default, too).
pub const DEFAULT_LISTENER: &str = "PLAINTEXT";

/// The host that stands for this machine's own address, to be asked of ECS.
pub const AUTO: &str = "auto";

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name; metadata names the addresses that others have under the same one.
    pub name: Arc<str>,
    /// Where it listens.
    pub bind: SocketAddr,
    /// Host that its clients are told; [`AUTO`] until it is known.
    pub host: String,
    /// Port that its clients are told.
    pub port: u16,
}

/// The value of `YAKS_LISTENERS`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listeners(pub Vec<Described>);

/// One listener as described there: what it leaves out is as for an agent with one listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    name: String,
    bind: SocketAddr,
    host: Option<String>,
    port: Option<u16>,
}

impl Listeners {
    /// Reads `NAME://address:port=host:port,...`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let all = parts
            .map(|part| describe(part).map_err(|why| format!("`{part}`: {why}")))
            .collect::<Result<Vec<_>, _>>()?;
        for (n, listener) in all.iter().enumerate() {
            let before = &all[..n];
            if before.iter().any(|other| other.name == listener.name) {
                return Err(format!("the name {} stands there twice", listener.name));
            }
            if before.iter().any(|other| other.bind.port() == listener.bind.port()) {
                return Err(format!("the port {} is listened on twice", listener.bind.port()));
            }
        }
        Ok(Self(all))
    }

    /// The listeners; `host` is what those advertise that do not say.
    pub fn complete(self, host: &str) -> Vec<Listener> {
        let complete = |described: Described| Listener {
            name: described.name.into(),
            host: described.host.unwrap_or_else(|| host.to_owned()),
            port: described.port.unwrap_or(described.bind.port()),
            bind: described.bind,
        };
        self.0.into_iter().map(complete).collect()
    }
}

impl Described {
    /// Whether clients are told this host.
    pub fn leaves_host_to(&self, host: &str) -> bool {
        self.host.as_deref() == Some(host)
    }

    /// Tells clients `new` instead of `old`.
    pub fn replace_host(&mut self, old: &str, new: &str) {
        if self.leaves_host_to(old) {
            self.host = Some(new.to_owned());
        }
    }
}

impl Listener {
    /// As it stands in the agent's lease.
    pub fn advertised(&self) -> AdvertisedListener {
        AdvertisedListener {
            name: self.name.to_string(),
            host: self.host.clone(),
            port: self.port,
        }
    }
}

fn describe(text: &str) -> Result<Described, String> {
    let (name, rest) = text
        .split_once("://")
        .ok_or("expected NAME://address:port=advertised host:port")?;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || !name.chars().all(legal) {
        return Err("a name has letters, digits, `_`, `-` and `.`".to_owned());
    }
    let (bind, advertised) = match rest.split_once('=') {
        Some((bind, advertised)) => (bind, Some(advertised)),
        None => (rest, None),
    };
    let (host, port) = advertised.map(advertised_address).transpose()?.unwrap_or_default();
    Ok(Described {
        // As in Kafka, case makes no difference.
        name: name.to_ascii_uppercase(),
        bind: bind_address(bind)?,
        host,
        port,
    })
}

fn bind_address(text: &str) -> Result<SocketAddr, String> {
    let wrong =
        || format!("`{text}` is no address to listen on: expected an IP address, or nothing for all, and a port");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let address = match host.trim_start_matches('[').trim_end_matches(']') {
        "" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        address => address.parse().map_err(|_| wrong())?,
    };
    let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
    Ok(SocketAddr::new(address, port))
}

fn advertised_address(text: &str) -> Result<(Option<String>, Option<u16>), String> {
    let wrong = || format!("`{text}` is no address for clients: expected host:port or a host");
    let (host, port) = match text.rsplit_once(':') {
        // The colons of an IPv6 address without a port.
        Some((_, port)) if port.ends_with(']') => (text, None),
        Some((host, port)) => (
            host,
            Some(port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?),
        ),
        None => (text, None),
    };
    if host.is_empty() || host == "0.0.0.0" || host.contains('/') {
        return Err(wrong());
    }
    Ok((Some(host.to_owned()), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listeners(text: &str) -> Vec<(String, String, String)> {
        let all = Listeners::parse(text).unwrap().complete("own-host");
        let shown = |listener: Listener| {
            let advertised = format!("{}:{}", listener.host, listener.port);
            (listener.name.to_string(), listener.bind.to_string(), advertised)
        };
        all.into_iter().map(shown).collect()
    }

    fn of(name: &str, bind: &str, advertised: &str) -> (String, String, String) {
        (name.to_owned(), bind.to_owned(), advertised.to_owned())
    }

    #[test]
    fn each_listener_has_its_own_addresses() {
        let text = "INTERNAL://0.0.0.0:29092=agent-1:29092, external://:9092=localhost:19092";
        assert_eq!(
            listeners(text),
            [
                of("INTERNAL", "0.0.0.0:29092", "agent-1:29092"),
                of("EXTERNAL", "0.0.0.0:9092", "localhost:19092")
            ]
        );
    }

    #[test]
    fn what_is_left_out_is_as_for_an_agent_with_one_listener() {
        assert_eq!(listeners(""), []);
        assert_eq!(
            listeners("A://127.0.0.1:1,B://[::1]:2=lb,C://:3=[fe80::1],D://:4=auto:5"),
            [
                of("A", "127.0.0.1:1", "own-host:1"),
                of("B", "[::1]:2", "lb:2"),
                of("C", "0.0.0.0:3", "[fe80::1]:3"),
                of("D", "0.0.0.0:4", "auto:5")
            ]
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused_and_said() {
        for (text, why) in [
            ("0.0.0.0:9092", "expected NAME://"),
            ("://0.0.0.0:9092", "a name has"),
            ("A B://:1", "a name has"),
            ("A://host:9092", "no address to listen on"),
            ("A://:0", "no address to listen on"),
            ("A://:9092=:9092", "no address for clients"),
            ("A://:9092=0.0.0.0:9092", "no address for clients"),
            ("A://:9092=host:x", "no address for clients"),
            ("A://:9092=A://host:9092", "no address for clients"),
            ("A://:1,a://:2", "the name A stands there twice"),
            ("A://:1,B://:1", "the port 1 is listened on twice"),
        ] {
            let message = Listeners::parse(text).unwrap_err();
            assert!(message.contains(why), "{text}: {message}");
        }
    }
}
