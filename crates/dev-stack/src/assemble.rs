//! How the parts are put together: what each is started with, and who tells whom.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use private_postgres::{PrivatePostgres, PrivatePostgresConfig};
use tokio::task::JoinSet;
use types::Clock;

use crate::config::StackConfig;
use crate::data_dir::DataDir;
use crate::environment::{self, BUCKET, DATABASE, FUNCTION, S3_KEY, Variables};
use crate::events::{EventQueue, QueueConfig, delay_for, deliver, s3_event};
use crate::lambda::{Function, FunctionConfig, OnDeath};
use crate::part::PartCommand;
use crate::s3::{CreatedObject, OnCreated, S3Config, S3Server};
use crate::sweep;

/// S3 tells the queue about objects under this prefix only, as the bucket's notification filter does.
const EVENT_PREFIX: &str = "data/";
/// How long a part other than an agent may take to stop.
pub(crate) const GRACE: Duration = Duration::from_secs(10);
/// How often it is looked whether a part has ended.
pub(crate) const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// Ends the function's processes with the stack, whoever else still holds the function.
#[derive(Debug)]
pub(crate) struct OwnFunction(pub(crate) Arc<Function>);

impl Drop for OwnFunction {
    fn drop(&mut self) {
        self.0.kill();
    }
}

/// All deployables are there.
pub(crate) fn check_binaries(folder: &Path) -> Result<()> {
    for binary in ["yaks-agent", "yaks-materializer", "yaks-cache"] {
        let path = folder.join(binary);
        ensure!(
            path.is_file(),
            "{} is missing: build it first (make build)",
            path.display()
        );
    }
    Ok(())
}

pub(crate) async fn postgres(config: &StackConfig, data_dir: &DataDir) -> Result<PrivatePostgres> {
    let mut postgres = PrivatePostgresConfig::new(data_dir.join("postgres"));
    postgres.log_file = data_dir.log("postgres");
    postgres.port = config.postgres_port;
    postgres.sync_new_cluster = config.sync_new_cluster;
    let started = tokio::task::spawn_blocking(move || {
        let server = PrivatePostgres::start(postgres)?;
        server.ensure_database(DATABASE).map(|()| server)
    });
    Ok(started.await??)
}

pub(crate) async fn migrate(config: &StackConfig, data_dir: &DataDir, env: Variables) -> Result<()> {
    let command = PartCommand {
        name: "migrate".to_owned(),
        program: config.binaries.join("yaks-agent"),
        args: vec!["migrate".to_owned()],
        env,
        log_file: data_dir.log("migrate"),
        grace: GRACE,
    };
    command.run().await
}

pub(crate) async fn s3(config: &StackConfig, data_dir: &DataDir, on_created: OnCreated) -> Result<S3Server> {
    let s3 = S3Config {
        directory: data_dir.join("s3"),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, config.s3_port)),
        bucket: BUCKET.to_owned(),
        access_key: S3_KEY.to_owned(),
        secret_key: S3_KEY.to_owned(),
        seed: config.seed,
    };
    S3Server::start(s3, on_created).await
}

pub(crate) fn queue(config: &StackConfig) -> Arc<EventQueue> {
    let path = environment::commit_path(config);
    let delay = config
        .event_delay
        .unwrap_or_else(|| delay_for(config.event_source, path.as_deref()));
    let manners = QueueConfig { delay, ..config.queue };
    Arc::new(EventQueue::with_seed(manners, config.seed))
}

pub(crate) fn tell_queue(queue: &Arc<EventQueue>, clock: &Arc<dyn Clock>) -> OnCreated {
    let (queue, clock) = (Arc::clone(queue), Arc::clone(clock));
    Arc::new(move |object: CreatedObject| {
        if object.key.starts_with(EVENT_PREFIX) {
            let now = clock.now();
            queue.send(&s3_event(&object, now).to_string(), Instant::now(), now);
        }
    })
}

pub(crate) fn function_config(config: &StackConfig, data_dir: &DataDir, shared_env: &Variables) -> FunctionConfig {
    let command = PartCommand {
        name: FUNCTION.to_owned(),
        program: config.binaries.join("yaks-materializer"),
        args: Vec::new(),
        env: [shared_env.clone(), environment::function(config)].concat(),
        log_file: data_dir.log(FUNCTION),
        grace: GRACE,
    };
    FunctionConfig {
        name: FUNCTION.to_owned(),
        command,
        log_dir: data_dir.join("log"),
        instances: config.function_instances,
        timeout: config.function_timeout,
        on_death: config.on_function_death,
    }
}

pub(crate) fn spawn_deliveries(
    config: &StackConfig,
    queue: &Arc<EventQueue>,
    function: &Arc<Function>,
    clock: &Arc<dyn Clock>,
    tasks: &mut JoinSet<()>,
) {
    for _ in 0..config.function_instances {
        tasks.spawn(deliver(
            config.event_source,
            Arc::clone(queue),
            Arc::clone(function),
            Arc::clone(clock),
        ));
    }
    if !config.sweep_interval.is_zero() {
        tasks.spawn(sweep::schedule(
            config.sweep_interval,
            Arc::clone(function),
            Arc::clone(clock),
        ));
    }
    if config.on_function_death == OnDeath::Restart {
        let function = Arc::clone(function);
        tasks.spawn(async move {
            loop {
                tokio::time::sleep(WATCH_INTERVAL).await;
                function.deaths().await;
            }
        });
    }
}
