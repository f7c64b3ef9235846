//! What came of a visit.

use std::{
    path::Path,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use serde_json::{Value, json};

/// The visit step by step.
pub(crate) struct Report {
    steps: Vec<Value>,
    last: Instant,
    /// Screenshots, in order.
    pub(crate) screens: Vec<String>,
    /// Everything else, by the names of the report's format.
    pub(crate) facts: serde_json::Map<String, Value>,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { steps: vec![], last: Instant::now(), screens: vec![], facts: serde_json::Map::new() }
    }

    /// A step was done.
    pub(crate) fn step(&mut self, who: &str, step: &str) {
        let ms = self.last.elapsed().as_millis() as u64;
        self.last = Instant::now();
        println!("{ms:>7} ms  {who:<8} {step}");
        self.steps.push(json!({ "who": who, "step": step, "ms": ms }));
    }

    /// The whole as JSON.
    pub(crate) fn finish(self, ok: bool, to: Option<&Path>) -> Result<()> {
        let mut report = serde_json::Map::new();
        report.insert("ok".into(), ok.into());
        report.insert("steps".into(), self.steps.into());
        report.extend(self.facts);
        report.insert("screens".into(), self.screens.into());
        let text = serde_json::to_string_pretty(&Value::Object(report))?;
        if let Some(path) = to {
            std::fs::write(path, text + "\n")?;
        }
        Ok(())
    }
}

/// Milliseconds since 1970, as the page counts them.
pub(crate) fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64() * 1e3)
}
