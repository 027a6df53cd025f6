//! Ports are looked at before anything starts: a message about a taken port is worth more than a half-started stack.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::Path;

use anyhow::{Result, bail};

use crate::config::StackConfig;

/// Fails for the first port that somebody else has.
pub(crate) fn check(config: &StackConfig) -> Result<()> {
    for (n, agent) in config.agents.iter().enumerate() {
        check_port(
            agent.kafka,
            Ipv4Addr::UNSPECIFIED,
            &format!("agent {n}"),
            "YAKS_BROKER_PORT",
        )?;
        check_port(
            agent.admin,
            Ipv4Addr::UNSPECIFIED,
            &format!("agent {n}'s health and metrics"),
            "YAKS_METRICS_PORT",
        )?;
        if config.sidecars {
            check_port(
                agent.sidecar,
                Ipv4Addr::UNSPECIFIED,
                &format!("the sidecar of agent {n}"),
                "YAKS_CACHE_PORT",
            )?;
        }
    }
    if config.outside.is_none() {
        check_port(config.s3_port, Ipv4Addr::LOCALHOST, "S3", "YAKS_DEV_S3_PORT")?;
    }
    let part = "the stack's own port";
    check_port(config.dev_port, Ipv4Addr::LOCALHOST, part, "YAKS_DEV_PORT")?;
    if let Some(port) = config.postgres_port {
        check_port(port, Ipv4Addr::LOCALHOST, "Postgres", "YAKS_DEV_POSTGRES_PORT")?;
    }
    Ok(())
}

fn check_port(port: u16, address: Ipv4Addr, part: &str, setting: &str) -> Result<()> {
    match TcpListener::bind((IpAddr::V4(address), port)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let holder = holder(port).map_or(String::new(), |holder| format!(" (by {holder})"));
            bail!("port {port}, wanted for {part}, is in use{holder}: stop that, or set {setting} to another port")
        }
        Err(error) => bail!("cannot listen on port {port} for {part}: {error}; set {setting} to another port"),
    }
}

/// "name, process 123", as far as /proc tells.
fn holder(port: u16) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .find_map(|table| listening_inode(&fs::read_to_string(table).ok()?, port))?;
    let link = format!("socket:[{inode}]");
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let mut files = fs::read_dir(process.path().join("fd")).ok()?.flatten();
        let found = files.any(|file| fs::read_link(file.path()).is_ok_and(|target| target == Path::new(&link)));
        let name = fs::read_to_string(process.path().join("comm")).ok()?;
        found.then(|| format!("{}, process {pid}", name.trim()))
    })
}

/// The socket that listens on `port`, in a table of /proc/net.
fn listening_inode(table: &str, port: u16) -> Option<String> {
    const LISTEN: &str = "0A";
    let suffix = format!(":{port:04X}");
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let ours = fields.get(1)?.ends_with(&suffix) && *fields.get(3)? == LISTEN;
        ours.then(|| fields.get(9).map(|inode| (*inode).to_owned())).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_its_holder_and_its_setting() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let said = check_port(port, Ipv4Addr::UNSPECIFIED, "agent 0", "YAKS_BROKER_PORT")
            .unwrap_err()
            .to_string();
        assert!(
            said.contains(&port.to_string()) && said.contains("set YAKS_BROKER_PORT"),
            "{said}"
        );
        if Path::new("/proc/net/tcp").exists() {
            assert!(said.contains(&format!("process {}", std::process::id())), "{said}");
        }
    }

    #[test]
    fn only_listening_sockets_hold_a_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:2384 00000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 111 1\n\
             1: 0100007F:2384 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1\n";
        assert_eq!(listening_inode(table, 9092).as_deref(), Some("222"));
        assert_eq!(listening_inode(table, 9093), None);
    }
}
