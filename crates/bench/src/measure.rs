//! Figures: how long, how many, how much memory.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

/// How long things took, and how many there were in a second.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figures {
    /// Milliseconds.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) per_second: f64,
    /// Those that failed.
    pub(crate) failed: usize,
}

impl Figures {
    pub(crate) fn of(mut took: Vec<Duration>, within: Duration, failed: usize) -> Self {
        took.sort_unstable();
        let at = |share: f64| {
            let last = took.len().saturating_sub(1);
            let at = ((took.len() as f64 * share) as usize).min(last);
            took.get(at).map_or(f64::NAN, |took| took.as_secs_f64() * 1_000.0)
        };
        Self {
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            per_second: took.len() as f64 / within.as_secs_f64(),
            failed,
        }
    }
}

/// Memory of a process that is its own: its share of what it shares (`Pss`), in bytes.
pub(crate) fn memory(process: u32) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let line = text.lines().find(|line| line.starts_with("Pss:")).context("no Pss")?;
    let kilobytes: u64 = line.split_whitespace().nth(1).context("no Pss")?.parse()?;
    Ok(kilobytes * 1_024)
}

/// Processor time that a process has had, in seconds.
pub(crate) fn processor(process: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, rest) = text.rsplit_once(") ").context("no stat")?;
    let mut fields = rest.split(' ').skip(11);
    let mut next = || fields.next().and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    // Linux counts in hundredths (USER_HZ) on every machine that this runs on.
    Ok((next() + next()) / 100.0)
}
