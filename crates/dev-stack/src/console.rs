//! What the person in front of the terminal reads.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the program's user interface"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::running::Running;
use crate::stack::Death;

/// How often the logs are looked at in verbose mode.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(100);

/// One line per part.
pub fn part(name: &str, detail: &str) {
    println!("{name:<11} {detail}");
}

/// What to do now that all is ready.
pub fn ready(stack: &Running) {
    let broker = stack.bootstrap();
    println!("\nready; logs are in {}\n", stack.log_dir().display());
    println!("  produce:  echo hello | kcat -P -b {broker} -t demo");
    println!("  consume:  kcat -C -b {broker} -t demo -o beginning -e");
    match broker.as_str() {
        "localhost:9092" => println!("  check:    make oracle"),
        other => println!("  check:    make oracle BROKERS={other}"),
    }
    match stack {
        Running::Playing(_) => println!(
            "\nCtrl-C stops everything; the data stay in {}",
            stack.data_dir().display()
        ),
        Running::Outside(_) => {
            println!("\nCtrl-C stops everything; what is in S3 is gone then, unless whoever runs it keeps it");
        }
    }
}

/// Ctrl-C was heard.
pub fn stopping() {
    println!("\nstopping; a second Ctrl-C kills");
}

/// A part ended by itself.
pub fn died(death: &Death) {
    let Death {
        part,
        how,
        log_tail,
        log_file,
    } = death;
    eprintln!(
        "\n{part} ended ({how}), so everything stops; the end of {} says:\n{log_tail}\n",
        log_file.display()
    );
}

/// The stack cannot run.
pub fn failed(error: &anyhow::Error) {
    eprintln!("\nmake up: {error:#}");
}

/// Prints what is added to the files in `log_dir`, for ever.
pub async fn follow(log_dir: PathBuf) {
    let mut positions = BTreeMap::new();
    loop {
        for entry in fs::read_dir(&log_dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let position = positions.entry(path.clone()).or_insert(0);
            *position = print_from(&path, *position);
        }
        tokio::time::sleep(FOLLOW_INTERVAL).await;
    }
}

/// Prints the whole lines after `position`; returns where they end.
fn print_from(path: &Path, position: u64) -> u64 {
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(position))?;
        file.read_to_string(&mut text)
    });
    let (Ok(_), Some(end)) = (read, text.rfind('\n')) else {
        return position;
    };
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    for line in text[..end].lines() {
        println!("[{name}] {line}");
    }
    position + end as u64 + 1
}
