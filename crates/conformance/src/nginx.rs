//! An nginx that gives two agents one address.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use private_postgres::leash::{Leash, LeashedChild, describe};
use tokio::time::Instant;

const READY_WITHIN: Duration = Duration::from_secs(10);

/// A running nginx. Dropping it kills it.
pub(crate) struct Nginx(LeashedChild);

impl Nginx {
    /// Starts it, to listen on `port` and share connections out to the agents' ports.
    pub(crate) async fn start(installed: &Path, folder: &Path, port: u16, agents: &[u16]) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let (config, log) = (folder.join("nginx.conf"), folder.join("nginx.log"));
        fs::write(&config, configuration(installed, folder, port, agents))?;
        let mut command = Command::new(installed.join("nginx").join("run"));
        command.arg("-p").arg(folder).arg("-e").arg(&log).arg("-c").arg(&config);
        let output = File::create(folder.join("nginx.out"))?;
        let errors = output.try_clone()?;
        let child = Leash::default().spawn(&command, |shell| {
            shell.stdout(output).stderr(errors);
        });
        let mut nginx = Self(child.context("cannot start nginx")?);
        nginx.ready(port, &log).await?;
        Ok(nginx)
    }

    async fn ready(&mut self, port: u16, log: &Path) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = self.0.try_wait()? {
                let said = fs::read_to_string(log).unwrap_or_default();
                anyhow::bail!("nginx ended ({}): {said}", describe(status));
            }
            ensure!(Instant::now() < deadline, "nginx does not listen on port {port}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

/// Connections of consumers are quiet for as long as their longest poll and no longer; an hour is never.
fn configuration(installed: &Path, folder: &Path, port: u16, agents: &[u16]) -> String {
    let module = installed.join("nginx-files/usr/lib/nginx/modules/ngx_stream_module.so");
    let servers: Vec<String> = agents
        .iter()
        .map(|agent| format!("        server 127.0.0.1:{agent};\n"))
        .collect();
    format!(
        "load_module {module};\n\
         daemon off;\n\
         worker_processes 1;\n\
         pid {folder}/nginx.pid;\n\
         events {{ worker_connections 4096; }}\n\
         stream {{\n    upstream agents {{\n{servers}    }}\n    \
             server {{\n        listen 127.0.0.1:{port};\n        proxy_pass agents;\n        proxy_timeout 1h;\n    }}\n}}\n",
        module = module.display(),
        folder = folder.display(),
        servers = servers.concat(),
    )
}
