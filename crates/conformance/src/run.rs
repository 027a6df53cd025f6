//! All layouts one after the other, and in each all clients, a few at a time.

use std::time::Instant;

use anyhow::{Result, bail, ensure};
use futures::StreamExt as _;

use crate::catalog::Client;
use crate::config::Config;
use crate::ground::Ground;
use crate::layout::Layout;
use crate::program::{Program, Report};
use crate::table::{Found, Table};
use crate::{docs, say};

/// Whether all is well. An error means that it could not be run.
pub(crate) async fn run(config: &Config) -> Result<bool> {
    ensure!(
        config.write_docs.is_none() || config.is_whole(),
        "--write-docs wants all clients and all layouts"
    );
    let mut found = Vec::new();
    match &config.against {
        Some(bootstrap) => found.extend(on(config, &Ground::of_others(bootstrap), "other").await?),
        None => {
            for layout in config.layouts() {
                found.extend(in_layout(config, layout).await?);
            }
        }
    }
    let table = Table::new(found);
    say::line(&table.text());
    if let Some(document) = &config.write_docs {
        docs::write(document, &table.markdown())?;
    }
    Ok(table.failures().is_empty() && !(config.all_must_run && table.not_run() > 0))
}

async fn in_layout(config: &Config, layout: Layout) -> Result<Vec<Found>> {
    let ground = Ground::start(config, layout).await?;
    let found = tokio::select! {
        found = on(config, &ground, layout.name()) => found?,
        death = ground.died() => bail!("in layout {}, {death}", layout.name()),
    };
    let failed = found.iter().any(|found| !found.failures().is_empty());
    if let Some(folder) = ground.stop(failed).await {
        say::line(&format!(
            "{}: data and logs are kept in {}",
            layout.name(),
            folder.display()
        ));
    }
    Ok(found)
}

async fn on(config: &Config, ground: &Ground, layout: &'static str) -> Result<Vec<Found>> {
    say::line(&format!("{layout}: {}", ground.bootstrap));
    let run_one = |client| one(config, ground, layout, client);
    let mut running = futures::stream::iter(config.clients())
        .map(run_one)
        .buffer_unordered(usize::from(config.jobs));
    let mut all = Vec::new();
    while let Some(found) = running.next().await {
        all.push(found?);
    }
    Ok(all)
}

async fn one(config: &Config, ground: &Ground, layout: &'static str, client: &'static Client) -> Result<Found> {
    let began = Instant::now();
    let program = Program {
        client,
        installed: &config.installed,
        timeout: config.timeout(),
    };
    let run = format!("{layout}-{}-{}", client.name, std::process::id());
    let report = program.run(&ground.bootstrap, &run).await?;
    let found = Found { layout, client, report };
    let what = match &found.report {
        Report::NotRun(reason) => format!("not run: {reason}"),
        Report::Ran(_) => format!("{} s, {} failed", began.elapsed().as_secs(), found.failures().len()),
    };
    say::line(&format!("{layout}: {}: {what}", client.name));
    Ok(found)
}
