//! Settings of the sidecar.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use daemon::Alias;
use storage::S3Config;
use telemetry::TelemetryConfig;

use crate::page::PageBytes;

/// Names from the time of the Go program's groupcache.
pub const ALIASES: [Alias; 2] = [
    Alias {
        new: "YAKS_CACHE_PORT",
        old: "YAKS_GROUPCACHE_PORT",
    },
    Alias {
        new: "YAKS_CACHE_SIZE_MB",
        old: "YAKS_GROUPCACHE_CACHE_SIZE_MB",
    },
];

/// Least disk that is of use: foyer evicts in blocks of 16 MiB, and with fewer than 16 of them evicts much at once.
const DISK_MB_MIN: u64 = 256;

/// What `yaks-cache` does besides serving.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Command {
    /// Ask the sidecar of this machine, or container, whether it is alive; the exit code says so.
    Health,
}

/// The sidecar of one agent: byte ranges of S3 objects from memory, then disk, then S3.
#[derive(Parser, Clone, Debug)]
#[command(name = "yaks-cache", version = types::version())]
pub struct CacheConfig {
    /// What to do; nothing: serve.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Address to listen on. Whoever reaches it can read every object: keep it inside the task or the VPC.
    #[arg(
        long = "cache-host",
        env = "YAKS_CACHE_HOST",
        value_name = "YAKS_CACHE_HOST",
        default_value = "0.0.0.0"
    )]
    pub host: IpAddr,
    /// Port of objects, health and metrics alike.
    #[arg(
        long = "cache-port",
        env = "YAKS_CACHE_PORT",
        value_name = "YAKS_CACHE_PORT",
        default_value_t = 9080
    )]
    pub port: u16,
    /// Memory for pages, in MB. The process takes up to 650 MB more for requests under way: 256 for answers, 192 for GETs of S3, 64
    /// for reads from other sidecars, and 128 for pages on their way to the disk.
    #[arg(
        long = "cache-size",
        env = "YAKS_CACHE_SIZE_MB",
        value_name = "YAKS_CACHE_SIZE_MB",
        default_value_t = 512,
        value_parser = clap::value_parser!(u64).range(16..=1_048_576)
    )]
    pub size_mb: u64,
    /// Disk for pages, in MB, 256 or more; 0: none. Every page that agents push is written to it once, so it should take
    /// the cluster's write rate; pages it is too slow for are kept in memory only. When it is full, other pages are written the
    /// second time they are asked for. It survives a restart.
    #[arg(
        long = "cache-disk",
        env = "YAKS_CACHE_DISK_MB",
        value_name = "YAKS_CACHE_DISK_MB",
        default_value = "0",
        value_parser = parse_disk_mb
    )]
    pub disk_mb: u64,
    /// Directory of the disk cache, made if it is missing. One sidecar each, and one bucket: empty it when the bucket
    /// changes.
    #[arg(
        long = "cache-disk-dir",
        env = "YAKS_CACHE_DISK_DIR",
        value_name = "YAKS_CACHE_DISK_DIR",
        default_value = "/var/cache/yaks"
    )]
    pub disk_dir: PathBuf,
    /// Bytes of a page, 65536 to 8388608: what one missing byte makes us read from S3. Larger pages mean fewer S3
    /// requests, smaller ones less memory for bytes that nobody asked for. 1 MiB takes S3 about as long to send as to
    /// find, and is five pages per default object. A change makes the disk cache start empty.
    #[arg(
        long = "cache-page-bytes",
        env = "YAKS_CACHE_PAGE_BYTES",
        value_name = "YAKS_CACHE_PAGE_BYTES",
        default_value = "1048576",
        value_parser = parse_page_bytes
    )]
    pub page_bytes: PageBytes,
    /// How many of a hundred GETs of S3 may be sent a second time, when they take longer than nineteen of the last twenty did;
    /// the first answer is taken. 0: none. More cut off more of the slowest reads, and cost as many more requests.
    #[arg(
        long = "cache-hedge-percent",
        env = "YAKS_CACHE_HEDGE_PERCENT",
        value_name = "YAKS_CACHE_HEDGE_PERCENT",
        default_value_t = 2,
        value_parser = clap::value_parser!(u8).range(0..=100)
    )]
    pub hedge_percent: u8,
    /// The bucket behind the cache.
    #[command(flatten)]
    pub s3: S3Config,
    /// Logs and metrics.
    #[command(flatten)]
    pub telemetry: TelemetryConfig,
}

fn parse_disk_mb(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(0) => Ok(0),
        Ok(mb) if mb >= DISK_MB_MIN => Ok(mb),
        _ => Err(format!("expected 0 (no disk) or at least {DISK_MB_MIN}")),
    }
}

fn parse_page_bytes(text: &str) -> Result<PageBytes, String> {
    let page_bytes = text.parse().ok().and_then(PageBytes::new);
    page_bytes.ok_or_else(|| format!("expected {} to {}", PageBytes::MIN, PageBytes::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(arg: &str) -> String {
        CacheConfig::try_parse_from(["yaks-cache", arg])
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_wrong_value_is_refused_by_the_name_of_its_variable() {
        assert!(refused("--cache-disk=100").contains("YAKS_CACHE_DISK_MB"));
        assert!(refused("--cache-page-bytes=1").contains("YAKS_CACHE_PAGE_BYTES"));
        assert!(refused("--cache-size=0").contains("YAKS_CACHE_SIZE_MB"));
    }

    #[test]
    fn defaults_are_those_of_the_go_program() {
        // Asked of the table, not of a parsed line: the environment of whoever runs this does not count.
        let command = <CacheConfig as clap::CommandFactory>::command();
        for (variable, value) in [("YAKS_CACHE_PORT", "9080"), ("YAKS_CACHE_SIZE_MB", "512")] {
            let mut settings = command.get_arguments();
            let setting = settings.find(|arg| arg.get_env().is_some_and(|name| name == variable));
            assert_eq!(setting.unwrap().get_default_values(), [value]);
        }
    }
}
