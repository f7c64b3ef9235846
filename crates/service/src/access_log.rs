//! Who looked at what. A look must not wait for a database that a backup holds, nor go unwritten: its line is
//! written before the answer where that takes a moment, and otherwise as soon as it can be.

use std::time::Duration;

use bedside_protocol::Code;
use jiff::Timestamp;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{
    error::ApiError,
    store::{AuditLine, Store},
};

/// Lines that wait to be written: of some minutes at a clinic's pace. Beyond that, nothing is shown to anybody that
/// could not be written down.
const WAITING: usize = 4_096;
/// Lines that are taken together; a statement writes up to 32 of them. One whose answer is lost with its connection is
/// written again: a look may be there twice, and never not.
const TOGETHER: usize = 256;
/// How long an answer waits for its line: many times what writing one takes, and nothing that a person notices.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long after a failure it is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// Lines on their way into the audit log.
pub(crate) struct AccessLog {
    lines: mpsc::Sender<Look>,
    waiting: Mutex<mpsc::Receiver<Look>>,
}

struct Look {
    /// And when it was.
    line: (AuditLine, Timestamp),
    /// Told when it is written.
    written: oneshot::Sender<()>,
}

impl Default for AccessLog {
    fn default() -> Self {
        let (lines, waiting) = mpsc::channel(WAITING);
        Self { lines, waiting: Mutex::new(waiting) }
    }
}

impl AccessLog {
    /// How many lines wait.
    pub(crate) fn waiting(&self) -> usize {
        self.lines.max_capacity() - self.lines.capacity()
    }

    /// Somebody is about to be shown something.
    pub(crate) async fn note(&self, line: AuditLine) -> Result<(), ApiError> {
        let (written, is_written) = oneshot::channel();
        let look = Look { line: (line, Timestamp::now()), written };
        self.lines.try_send(look).map_err(|_| ApiError::from(Code::Unavailable))?;
        // Past this time the line waits by itself.
        let _ = tokio::time::timeout(PATIENCE, is_written).await;
        Ok(())
    }

    /// Writes until `stop`, and then what still waits, once.
    pub(crate) async fn run(&self, store: &Store, stop: CancellationToken) {
        let mut waiting = self.waiting.lock().await;
        let (mut batch, mut lines, mut written) = (Vec::new(), Vec::new(), Vec::new());
        'running: loop {
            tokio::select! {
                biased;
                _ = waiting.recv_many(&mut batch, TOGETHER) => {}
                () = stop.cancelled() => break,
            }
            for look in batch.drain(..) {
                let look: Look = look;
                lines.push(look.line);
                written.push(look.written);
            }
            while !lines.is_empty() {
                match store.write_some(&lines).await {
                    Ok(count) => {
                        lines.drain(..count);
                        for written in written.drain(..count) {
                            // Whoever was to be shown something may have gone on without waiting.
                            let _ = written.send(());
                        }
                    }
                    Err(error) => {
                        let lines = lines.len() + waiting.len();
                        tracing::error!(%error, lines, "the audit log can't be written; it is tried again");
                        tokio::select! {
                            () = stop.cancelled() => break 'running,
                            () = tokio::time::sleep(AGAIN) => {}
                        }
                    }
                }
            }
        }
        waiting.close();
        while let Ok(look) = waiting.try_recv() {
            lines.push(look.line);
        }
        while !lines.is_empty() {
            match store.write_some(&lines).await {
                Ok(count) => drop(lines.drain(..count)),
                Err(error) => {
                    tracing::error!(%error, lines = lines.len(), "the end of the audit log is lost");
                    break;
                }
            }
        }
    }
}
