//! Who looked at what. A look must not wait for a database that a backup holds, nor go unwritten: its line is
//! written before the answer where that takes a moment, and otherwise as soon as it can be.

use std::time::Duration;

use bedside_protocol::Code;
use jiff::Timestamp;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{
    error::ApiError,
    store::{AuditLine, Store, StoreError},
};

/// Lines that wait to be written: of some minutes at a clinic's pace. Beyond that, nothing is shown to anybody that
/// could not be written down.
const WAITING: usize = 4_096;
/// Lines that are written together: they share what makes one last.
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
    line: AuditLine,
    at: Timestamp,
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
        let look = Look { line, at: Timestamp::now(), written };
        self.lines.try_send(look).map_err(|_| ApiError::from(Code::Unavailable))?;
        // Past this time the line waits by itself.
        let _ = tokio::time::timeout(PATIENCE, is_written).await;
        Ok(())
    }

    /// Writes until `stop`, and then what still waits, once.
    pub(crate) async fn run(&self, store: &Store, stop: CancellationToken) {
        let mut waiting = self.waiting.lock().await;
        let mut batch = Vec::new();
        'running: loop {
            tokio::select! {
                biased;
                _ = waiting.recv_many(&mut batch, TOGETHER) => {}
                () = stop.cancelled() => break,
            }
            while !batch.is_empty() {
                match write(store, &batch).await {
                    Ok(()) => {
                        for look in batch.drain(..) {
                            // Whoever was to be shown something may have gone on without waiting.
                            let _ = look.written.send(());
                        }
                    }
                    Err(error) => {
                        let lines = batch.len() + waiting.len();
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
        while let Ok(line) = waiting.try_recv() {
            batch.push(line);
        }
        if !batch.is_empty()
            && let Err(error) = write(store, &batch).await
        {
            tracing::error!(%error, lines = batch.len(), "the end of the audit log is lost");
        }
    }
}

async fn write(store: &Store, looks: &[Look]) -> Result<(), StoreError> {
    let mut unit = store.begin(Timestamp::now()).await?;
    for look in looks {
        unit.audit_at(look.line.clone(), look.at);
    }
    unit.commit().await
}
