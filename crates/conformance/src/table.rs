//! What was found, as tables.

use std::fmt::Write as _;

use crate::catalog::{CLIENTS, Client, Suite};
use crate::program::Report;
use crate::said::Outcome;

/// One client in one layout.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) layout: &'static str,
    pub(crate) client: &'static Client,
    pub(crate) report: Report,
}

impl Found {
    /// Features with the reasons why they failed.
    pub(crate) fn failures(&self) -> Vec<(&str, &str)> {
        let Report::Ran(said) = &self.report else {
            return Vec::new();
        };
        let failed = said.outcomes.iter().filter_map(|(feature, outcome)| match outcome {
            Outcome::Failed(reason) => Some((feature.as_str(), reason.as_str())),
            Outcome::Passed | Outcome::Skipped(_) => None,
        });
        failed.collect()
    }

    fn count(&self, wanted: impl Fn(&Outcome) -> bool) -> usize {
        match &self.report {
            Report::NotRun(_) => 0,
            Report::Ran(said) => said.outcomes.values().filter(|outcome| wanted(outcome)).count(),
        }
    }
}

/// All of it.
#[derive(Clone, Debug)]
pub(crate) struct Table(Vec<Found>);

impl Table {
    pub(crate) fn new(found: Vec<Found>) -> Self {
        Self(found)
    }

    /// One line each.
    pub(crate) fn failures(&self) -> Vec<String> {
        let of_one = |found: &Found| {
            let lines = found.failures().into_iter();
            let lines =
                lines.map(|(feature, why)| format!("{}: {}: {feature}: {why}", found.layout, found.client.name));
            lines.collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of_one).collect()
    }

    /// How many clients were not run, layouts counted.
    pub(crate) fn not_run(&self) -> usize {
        self.0
            .iter()
            .filter(|found| matches!(found.report, Report::NotRun(_)))
            .count()
    }

    /// For a terminal: the tables, what failed and why, and the sums.
    pub(crate) fn text(&self) -> String {
        let mut text = self.markdown();
        for failure in self.failures() {
            writeln!(text, "FAILED {failure}").expect("a String takes all");
        }
        let sum = |wanted: fn(&Outcome) -> bool| self.0.iter().map(|found| found.count(wanted)).sum::<usize>();
        let passed = sum(|outcome| *outcome == Outcome::Passed);
        let failed = sum(|outcome| matches!(outcome, Outcome::Failed(_)));
        let skipped = sum(|outcome| matches!(outcome, Outcome::Skipped(_)));
        writeln!(text, "\n{} clients not run", self.not_run()).expect("a String takes all");
        write!(text, "conformance: {passed} passed, {failed} failed, {skipped} skipped").expect("a String takes all");
        text
    }

    /// A table for each suite: its features down, its clients across.
    pub(crate) fn markdown(&self) -> String {
        let tables: Vec<String> = Suite::ALL.into_iter().filter_map(|suite| self.suite(suite)).collect();
        tables.join("\n")
    }

    fn suite(&self, suite: Suite) -> Option<String> {
        let of_suite = CLIENTS.iter().filter(|client| client.suite == suite);
        let clients: Vec<&Client> = of_suite.filter(|client| self.of(client).next().is_some()).collect();
        if clients.is_empty() {
            return None;
        }
        let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let mut table = format!("### {}\n\n", suite.title());
        let heads = clients.iter().map(|client| self.head(client));
        table += &row(std::iter::once("feature".to_owned()).chain(heads).collect());
        table += &row(vec!["---".to_owned(); clients.len() + 1]);
        for feature in suite.features() {
            let cells = clients.iter().map(|client| self.cell(client, feature));
            table += &row(std::iter::once((*feature).to_owned()).chain(cells).collect());
        }
        Some(table)
    }

    fn of<'a>(&'a self, client: &'a Client) -> impl Iterator<Item = &'a Found> {
        self.0.iter().filter(move |found| found.client == client)
    }

    /// The client with the versions that it used.
    fn head(&self, client: &Client) -> String {
        let versions = self.of(client).find_map(|found| match &found.report {
            Report::NotRun(_) => None,
            Report::Ran(said) => Some(&said.versions),
        });
        let versions = versions.into_iter().flatten();
        let named = versions.map(|(name, version)| {
            if name == client.name {
                version.clone()
            } else {
                format!("{name} {version}")
            }
        });
        let named: Vec<String> = named.collect();
        format!("{} ({})", client.name, named.join(", "))
    }

    /// `yes` where it passed in every layout, `-` where the client does not have it, else the layouts where it did not.
    fn cell(&self, client: &Client, feature: &str) -> String {
        let (mut failed, mut skipped) = (Vec::new(), false);
        for found in self.of(client) {
            match &found.report {
                Report::NotRun(_) => return "not run".to_owned(),
                Report::Ran(said) => match said.outcomes.get(feature) {
                    Some(Outcome::Passed) => {}
                    Some(Outcome::Skipped(_)) => skipped = true,
                    Some(Outcome::Failed(_)) | None => failed.push(found.layout),
                },
            }
        }
        match (failed.is_empty(), skipped) {
            (false, _) => format!("**no** ({})", failed.join(", ")),
            (true, true) => "-".to_owned(),
            (true, false) => "yes".to_owned(),
        }
    }
}
