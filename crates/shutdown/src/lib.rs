//! Signals that ask the process to end. A crate of its own, because the function has no place for the web server of `daemon`.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by the first SIGTERM (ECS, `kill`) or SIGINT (Ctrl-C). A second one ends the process at
/// once: whoever sends it does not want to wait for the deadline.
pub fn token_on_signal() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    // Untracked: it lives as long as the process does.
    tokio::spawn(async move {
        let first = next(&mut terminate, &mut interrupt).await;
        tracing::info!(signal = first, "shutting down");
        cancelled.cancel();
        let second = next(&mut terminate, &mut interrupt).await;
        tracing::warn!(signal = second, "told twice, ending without order");
        end_now();
    });
    Ok(token)
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        biased;
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

#[expect(clippy::exit, reason = "the second signal asks for exactly this")]
fn end_now() {
    std::process::exit(130);
}
