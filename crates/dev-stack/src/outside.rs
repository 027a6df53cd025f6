//! A stack on an AWS that runs already, such as LocalStack: S3 and SQS are its own, the rest is ours. Where it has no Lambda the
//! function reads the event queue itself, as it does on ECS and Kubernetes.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;

use crate::assemble::{self, GRACE, WATCH_INTERVAL};
use crate::config::StackConfig;
use crate::data_dir::DataDir;
use crate::dev_api;
use crate::environment::{self, BUCKET, DATABASE, FUNCTION};
use crate::fleet::Fleet;
use crate::parts::Parts;
use crate::ports;
use crate::stack::{Death, Report};

/// A running stack. Dropping it kills everything; `stop` is the orderly way.
#[derive(Debug)]
pub struct OutsideStack {
    // Dropped in this order: the users before what they use.
    tasks: JoinSet<()>,
    worker: Fleet,
    pub(crate) parts: Arc<Parts>,
}

impl OutsideStack {
    /// Starts everything on `config.outside`, and tells of every part as it becomes ready. Dropping the future ends what was started.
    pub async fn start_reporting(config: StackConfig, report: Report<'_>) -> Result<Self> {
        let aws = config.outside.clone().context("there is no outside AWS")?;
        assemble::check_binaries(&config.binaries)?;
        ports::check(&config)?;
        let data_dir = DataDir::open(&config.data_dir)?;
        report("s3", &format!("{}/{BUCKET}", aws.endpoint));
        let postgres = assemble::postgres(&config, &data_dir).await?;
        report("postgres", &postgres.url(DATABASE));
        let shared_env = environment::shared(&config, &postgres);
        let migrate_env = [shared_env.clone(), environment::migrate(&postgres)].concat();
        assemble::migrate(&config, &data_dir, migrate_env).await?;
        report("migrations", "the schema is up to date");
        let parts = Arc::new(Parts {
            agents: Fleet::new(config.agents.len()),
            sidecars: Fleet::new(config.agents.len()),
            postgres,
            shared_env,
            config,
            data_dir,
        });
        let mut tasks = JoinSet::new();
        dev_api::serve_parts(Arc::downgrade(&parts), parts.config.dev_port, &mut tasks).await?;

        let worker = Fleet::new(1);
        let mut command = parts.command("yaks-materializer", FUNCTION, GRACE);
        command.env.extend(environment::worker(&parts.config, &aws));
        worker.start_unprobed(0, &command).await?;
        report("function", &format!("reads {}", aws.event_queue_url));
        let stack = Self { tasks, worker, parts };
        stack.parts.start(report).await?;
        Ok(stack)
    }

    /// Waits until a part ends that nobody asked to end.
    pub async fn died(&self) -> Death {
        loop {
            if let Some((part, how, log_file)) = self.worker.find_ended().await {
                return Death::new(&part, how, log_file);
            }
            if let Some(death) = self.parts.find_ended().await {
                return death;
            }
            tokio::time::sleep(WATCH_INTERVAL).await;
        }
    }

    /// Stops everything in order: agents with time to finish, then what they use.
    pub async fn stop(mut self, report: Report<'_>) {
        self.parts.agents.stop_reporting(report).await;
        self.tasks.shutdown().await;
        self.worker.stop_reporting(report).await;
        self.parts.sidecars.stop_reporting(report).await;
        self.parts.stop_postgres(report).await;
    }
}
