//! What agents and function log, written into the transcript with virtual time.

use std::io;

use tracing::Level;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use crate::scribe::Scribe;

/// How much of the logs goes into the transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logs {
    /// Nothing: the fastest.
    None,
    /// What a person would see in production.
    Info,
    /// Everything.
    Debug,
}

impl Logs {
    /// Logs of this thread go to `scribe` until the guard is dropped.
    pub fn write_to(self, scribe: &Scribe) -> Option<DefaultGuard> {
        let level = match self {
            Self::None => return None,
            Self::Info => Level::INFO,
            Self::Debug => Level::DEBUG,
        };
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .without_time()
            .with_writer(Lines(scribe.clone()))
            .finish();
        Some(tracing::subscriber::set_default(subscriber))
    }
}

struct Lines(Scribe);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(self.0.clone())
    }
}

/// The formatter writes a whole line at once.
struct Line(Scribe);

impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.say(String::from_utf8_lossy(bytes).trim_end());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
