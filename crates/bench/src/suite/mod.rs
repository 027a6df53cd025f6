//! The standard set of loads against a dev-stack, and what was aimed at beside what was found. `make bench` runs it once,
//! `make bench-full` five times and writes `docs/PERFORMANCE.md`.

mod cases;
mod document;
pub mod machine;
mod parts;
pub mod plot;
mod stack;
pub mod targets;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde::Serialize;

use self::cases::CASES;
use self::machine::Machine;
use self::plot::Curve;
use self::targets::{Findings, Row, markdown, rows};
use crate::report::Report;
use crate::units::parse_bytes;

/// Below the folder of pictures.
const PICTURE: &str = "ack-latency.svg";

/// What to run and where to tell it.
#[derive(Args, Clone, Debug)]
pub struct SuiteFlags {
    /// How often; the table has the medians.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub runs: u32,
    /// Only these, in the order of the set: inline, event, invoke, tail, standard, express, cold, mixed, commit, plan, function. `cold`
    /// and `mixed` read what `inline` has written.
    #[arg(long, value_delimiter = ',', value_name = "CASE,...")]
    pub cases: Vec<String>,
    /// How much is produced where it is done as fast as it goes.
    #[arg(long, default_value = "1GiB", value_parser = parse_bytes)]
    pub bytes: u64,
    /// Where the stacks keep their data, in a folder of the run's own, which is deleted.
    #[arg(long, default_value = ".yaks/bench")]
    pub data_dir: PathBuf,
    /// The folder with yaks-dev and what it starts; the default is this program's own.
    #[arg(long)]
    pub binaries: Option<PathBuf>,
    /// The function as it is deployed, from infra/dist/zip.sh; the default is the program beside the others, in no zip.
    #[arg(long, value_name = "FILE")]
    pub zip: Option<PathBuf>,
    /// Where the table and all reports go as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// A document between whose markers the table goes.
    #[arg(long, value_name = "FILE", requires = "pictures")]
    pub document: Option<PathBuf>,
    /// The folder for the plots.
    #[arg(long, value_name = "FOLDER")]
    pub pictures: Option<PathBuf>,
}

/// One run of the set.
struct Suite<'a> {
    flags: &'a SuiteFlags,
    binaries: PathBuf,
    data_dir: PathBuf,
    seed: u64,
    say: &'a dyn Fn(&str),
    /// Of what `inline` has written.
    pages: Option<u64>,
    curves: Vec<Curve>,
    reports: Vec<Report>,
}

/// What is written as JSON.
#[derive(Serialize)]
struct Outcome<'a> {
    machine: &'a Machine,
    table: &'a [Row],
    runs: &'a [Findings],
    reports: &'a [Report],
}

impl Suite<'_> {
    /// Tells what a load has measured, and keeps it.
    fn tell(&mut self, report: Report) -> Report {
        (self.say)(&report.to_string());
        self.reports.push(report.clone());
        report
    }
}

/// Runs the set. Returns whether every case could be measured; a target that is missed is a finding, not a failure.
pub fn run(flags: &SuiteFlags, say: &dyn Fn(&str)) -> Result<bool> {
    let unknown = flags
        .cases
        .iter()
        .find(|case| CASES.iter().all(|(name, _)| name != case));
    ensure!(
        unknown.is_none(),
        "there is no case {}",
        unknown.map_or("", |case| case)
    );
    let machine = Machine::this();
    say(&machine.sentence());
    let (mut runs, mut reports, mut curves) = (Vec::new(), Vec::new(), Vec::new());
    let mut whole = true;
    for number in 1..=flags.runs {
        let mut suite = Suite {
            flags,
            binaries: binaries(flags)?,
            data_dir: flags.data_dir.join(format!("{}-{number}", std::process::id())),
            seed: number.into(),
            say,
            pages: None,
            curves: Vec::new(),
            reports: Vec::new(),
        };
        fs::create_dir_all(&suite.data_dir).with_context(|| format!("cannot make {}", suite.data_dir.display()))?;
        suite.data_dir = fs::canonicalize(&suite.data_dir)?;
        let (found, all) = one(&mut suite);
        whole &= all;
        runs.push(found);
        reports.append(&mut suite.reports);
        curves = suite.curves;
    }
    let table = rows(&runs);
    say(&format!("\n{}\n{}", machine.sentence(), markdown(&table)));
    write(flags, &machine, (&table, &runs, &reports), &curves)?;
    Ok(whole)
}

/// A case that fails does not keep the others from running.
fn one(suite: &mut Suite<'_>) -> (Findings, bool) {
    let mut all = Findings::new();
    let mut whole = true;
    let wanted = |name: &str| suite.flags.cases.is_empty() || suite.flags.cases.iter().any(|case| case == name);
    let cases: Vec<_> = CASES.into_iter().filter(|(name, _)| wanted(name)).collect();
    for (name, case) in cases {
        (suite.say)(&format!("\n== {name}"));
        let began = Instant::now();
        match case(suite) {
            Ok(found) => {
                (suite.say)(&format!("== {name}: done in {} s", began.elapsed().as_secs()));
                all.extend(found);
            }
            Err(error) => {
                whole = false;
                (suite.say)(&format!("== {name}: FAILED: {error:#}"));
            }
        }
    }
    if whole && let Err(error) = fs::remove_dir_all(&suite.data_dir) {
        (suite.say)(&format!("{} is left behind: {error}", suite.data_dir.display()));
    }
    (all, whole)
}

/// A link from the document to the picture.
fn picture(document: &Path, folder: Option<&Path>) -> String {
    let beside = document
        .parent()
        .zip(folder)
        .and_then(|(beside, folder)| folder.strip_prefix(beside).ok());
    let link = |folder: &Path| format!("\n![Ack latency by percentile]({})\n", folder.join(PICTURE).display());
    beside.map(link).unwrap_or_default()
}

fn binaries(flags: &SuiteFlags) -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where this program lies")?;
    let beside = own.parent().unwrap_or(Path::new(".")).to_owned();
    let folder = flags.binaries.clone().unwrap_or(beside);
    fs::canonicalize(&folder).with_context(|| format!("{} is not there", folder.display()))
}

fn write(
    flags: &SuiteFlags,
    machine: &Machine,
    (table, runs, reports): (&[Row], &[Findings], &[Report]),
    curves: &[Curve],
) -> Result<()> {
    let put =
        |file: &Path, text: &str| fs::write(file, text).with_context(|| format!("cannot write {}", file.display()));
    if let Some(file) = &flags.json {
        let result = Outcome {
            machine,
            table,
            runs,
            reports,
        };
        put(file, &(serde_json::to_string_pretty(&result)? + "\n"))?;
    }
    if let Some(folder) = &flags.pictures {
        fs::create_dir_all(folder)?;
        put(&folder.join(PICTURE), &plot::svg("Ack latency", curves))?;
    }
    if let Some(document) = &flags.document {
        let of = match flags.runs {
            1 => "One run.".to_owned(),
            runs => format!("Medians of {runs} runs."),
        };
        let medians = format!("{of} {}\n\n{}", machine.sentence(), markdown(table));
        document::write(
            document,
            &format!("{medians}{}", picture(document, flags.pictures.as_deref())),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_links_to_the_picture_beside_it() {
        let link = |folder: &str| picture(Path::new("docs/PERFORMANCE.md"), Some(Path::new(folder)));
        assert_eq!(
            link("docs/img"),
            "\n![Ack latency by percentile](img/ack-latency.svg)\n"
        );
        assert_eq!(link("elsewhere"), "");
    }
}
