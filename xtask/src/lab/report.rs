//! What came of the calls: JSON, a table in Markdown, and a page with plots.

use std::{fmt::Write, fs, path::Path};

use anyhow::Result;
use serde_json::{Value, json};

use super::{call::SETTLED, profile::Profile};

const SIDES: [&str; 2] = ["doctor", "patient"];

/// The rows of the table: what is shown, and where it is found in a side's score.
const ROWS: &[(&str, &str)] = &[
    ("first frame, ms", "first_frame_ms"),
    ("first 720p, ms", "first_720p_ms"),
    ("frames a second", "fps"),
    ("height", "height_p50"),
    ("frozen, s", "frozen_s"),
    ("PSNR, dB", "psnr_db"),
    ("SSIM", "ssim"),
    ("capture to drawn, ms", "age_ms_p50"),
    ("… 95th percentile", "age_ms_p95"),
    ("PESQ-WB", "pesq_wb"),
    ("ViSQOL", "visqol"),
    ("made-up sound, %", "concealed_percent"),
    ("mouth to ear, ms", "mouth_to_ear_ms"),
    ("sound after picture, ms", "sound_after_picture_ms"),
    ("picture back, ms", "picture_back_ms"),
    ("sound back, ms", "sound_back_ms"),
    ("received, kbit/s", "received_kbps"),
    ("lost in the queue, %", "overflow_percent"),
    ("queue, 95th percentile, ms", "queue_ms_p95"),
    ("processor, % of a core", "cpu_percent"),
    ("memory (PSS), MB", "pss_mb"),
];

/// Puts a call's score together with what was seen of the machine and the network.
pub(super) fn complete(entry: &mut Value, mut sides: Value, facts: &Value, profile: &Profile) {
    let empty = vec![];
    let notes = facts["network"].as_array().unwrap_or(&empty);
    let settled: Vec<&Value> =
        notes.iter().filter(|note| note[0].as_f64().is_some_and(|at| at >= SETTLED.as_secs_f64())).collect();
    // What the doctor sees came back from the patient's side.
    for (side, direction) in SIDES.iter().zip([2, 1]) {
        let scored = &mut sides[*side];
        for what in ["cpu_percent", "pss_mb"] {
            scored[what] = facts[what][*side].clone();
        }
        let (Some(first), Some(last)) = (settled.first(), settled.last()) else { continue };
        let grown = |what: &str| {
            last[direction][what].as_f64().unwrap_or(0.0) - first[direction][what].as_f64().unwrap_or(0.0)
        };
        let took = last[0].as_f64().unwrap_or(0.0) - first[0].as_f64().unwrap_or(0.0);
        scored["received_kbps"] = (grown("arrived_bytes") * 8.0 / 1e3 / took).round().into();
        let overflow = grown("overflow") / grown("packets").max(1.0);
        scored["overflow_percent"] = ((overflow * 1e3).round() / 10.0).into();
        let mut waits: Vec<f64> =
            settled.iter().filter_map(|note| note[direction]["queue_ms"].as_f64()).collect();
        waits.sort_by(f64::total_cmp);
        if profile.condition.width_kbps.is_some() {
            scored["queue_ms_p95"] = waits.get(waits.len() * 95 / 100).map(|ms| ms.round()).into();
        }
        // Once a second is enough to draw.
        scored["rates_kbps"] = notes
            .windows(11)
            .step_by(10)
            .filter_map(|second| {
                let (first, last) = (&second[0], &second[10]);
                let bytes = last[direction]["arrived_bytes"].as_f64()?
                    - first[direction]["arrived_bytes"].as_f64()?;
                let at = last[0].as_f64()?;
                (at >= 0.0).then(|| json!([(at * 10.0).round() / 10.0, (bytes * 8.0 / 1e3).round()]))
            })
            .collect();
    }
    entry["sides"] = sides;
}

/// A call in two lines.
pub(super) fn say(entry: &Value) {
    for side in SIDES {
        let scored = &entry["sides"][side];
        let shown: Vec<String> = ROWS
            .iter()
            .filter(|(_, key)| !scored[key].is_null())
            .map(|(name, key)| format!("{name} {}", scored[key]))
            .collect();
        println!("  {side:<8} {}", shown.join(" · "));
    }
}

/// Writes all there is, after every call: a run takes long, and may be ended.
pub(super) fn write(out: &Path, calls: &[Value]) -> Result<()> {
    let all = json!(calls);
    fs::write(out.join("results.json"), serde_json::to_vec_pretty(&all)?)?;
    fs::write(out.join("table.md"), table(calls))?;
    let page = include_str!("../../assets/lab/report.html");
    // "</" would end the script.
    let data = all.to_string().replace("</", "<\\/");
    fs::write(out.join("report.html"), page.replace("/*RESULTS*/[]", &data))?;
    Ok(())
}

/// Medians over repeats, a column for each kind of peers.
pub(super) fn table(calls: &[Value]) -> String {
    let mut text = String::new();
    for profile in super::PROFILES {
        let held: Vec<&Value> = calls.iter().filter(|call| call["profile"]["name"] == profile.name).collect();
        if held.is_empty() {
            continue;
        }
        let mut columns: Vec<(&str, Vec<&Value>)> = vec![];
        for name in ["ours", "browser", "mixed"] {
            let of: Vec<&Value> = held.iter().copied().filter(|call| call["peers"] == name).collect();
            if !of.is_empty() {
                columns.push((name, of));
            }
        }
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let _ = writeln!(text, "**{}**: {}\n", profile.name, profile.about);
        let _ = writeln!(text, "| | {} |\n|---|{}", names.join(" | "), "---|".repeat(names.len()));
        for (row, key) in ROWS {
            let cells: Vec<String> = columns.iter().map(|(_, calls)| cell(calls, key)).collect();
            if cells.iter().any(|cell| cell != "–") {
                let _ = writeln!(text, "| {row} | {} |", cells.join(" | "));
            }
        }
        for (name, calls) in &columns {
            let broke = calls.iter().filter(|call| !call["broke"].is_null()).count();
            if broke > 0 {
                let _ = writeln!(text, "\n{name}: {broke} of {} calls did not come about.", calls.len());
            }
        }
        text.push('\n');
    }
    text
}

/// The median over calls, of each side: the doctor's and the patient's.
fn cell(calls: &[&Value], key: &str) -> String {
    let medians: Vec<String> = SIDES
        .iter()
        .filter_map(|side| {
            let mut values: Vec<f64> =
                calls.iter().filter_map(|call| call["sides"][*side][key].as_f64()).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).map(|value| format!("{value}"))
        })
        .collect();
    if medians.is_empty() { "–".into() } else { medians.join(" / ") }
}
