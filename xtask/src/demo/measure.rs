//! What is measured of a visit.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{
    person::Person,
    world::{Recording, World},
};
use crate::{python, root};

/// A gap between two new pictures from which the picture counts as frozen.
const FROZEN_MS: f64 = 200.0;

/// Why there is no score where there may be none.
pub(crate) const NO_SCORER: &str = "the scorer could not be installed";

/// Installs what reads the fake camera's code back.
pub(crate) async fn install_probe(person: &Person) -> Result<()> {
    person.script(include_str!("../../assets/probe.js")).await.map(drop)
}

/// What the probe saw: (when, age, width, height) of each new picture.
pub(crate) async fn pictures(person: &Person) -> Result<Vec<[f64; 4]>> {
    let seen = person.script("return window.bedsideProbe ? window.bedsideProbe.seen : []").await?;
    Ok(serde_json::from_value(seen)?)
}

/// When the call was first connected, milliseconds since 1970.
pub(crate) async fn connected_at(person: &Person) -> Result<Option<f64>> {
    Ok(person.script("return window.bedsideProbe.connectedAt").await?.as_f64())
}

/// How the picture came in between two times, milliseconds since 1970.
pub(crate) fn video(seen: &[[f64; 4]], from: f64, to: f64) -> Value {
    let seen: Vec<_> = seen.iter().filter(|frame| (from..=to).contains(&frame[0])).collect();
    let Some(last) = seen.last() else {
        return json!({ "fps": null, "reason": "no picture came" });
    };
    let mut ages: Vec<f64> = seen.iter().map(|frame| frame[1]).collect();
    ages.sort_by(f64::total_cmp);
    let frozen: f64 =
        seen.windows(2).map(|pair| pair[1][0] - pair[0][0]).filter(|gap| *gap > FROZEN_MS).sum();
    json!({
        "fps": (seen.len() as f64 * 1e4 / (to - from)).round() / 10.0,
        "width": last[2],
        "height": last[3],
        "latency_ms_p50": ages[ages.len() / 2],
        "latency_ms_p95": ages[ages.len() * 95 / 100],
        "frozen_ms": frozen.max(0.0).abs(),
    })
}

/// Pictures a second below which a visit is none, whatever the machine: the legal minimum of places
/// that have one is 15 on machines that do not run both ends.
const FEWEST_PICTURES: f64 = 8.0;

/// Which of the aims a call missed, in words. What makes it no call at all is an error.
pub(crate) fn missed(call: &Value) -> Result<Vec<String>> {
    let mut missed = vec![];
    for who in ["doctor", "patient"] {
        let (video, audio) = (&call["video"][who], &call["audio"][who]);
        let fps = video["fps"].as_f64().unwrap_or(0.0);
        if fps < FEWEST_PICTURES {
            bail!("the {who} sees {fps} pictures a second");
        }
        let after = audio["latency_ms"].as_f64().zip(video["latency_ms_p50"].as_f64());
        let after = json!(after.map(|(heard, seen)| (heard - seen).round()));
        let aims = [
            ("first picture, ms", &call["first_frame_ms"][who], 0.0, 1_500.0),
            ("pictures a second", &video["fps"], 24.0, f64::MAX),
            ("width of the picture", &video["width"], 640.0, f64::MAX),
            // It waits for its words.
            ("age of the picture, ms", &video["latency_ms_p50"], 0.0, 250.0),
            ("sound after picture, ms", &after, -45.0, 45.0),
            ("likeness of the sound", &audio["correlation"], 0.8, 1.0),
            ("PESQ", &audio["pesq_wb"], 3.0, 5.0),
            ("mouth to ear, ms", &audio["latency_ms"], 0.0, 250.0),
        ];
        for (what, measured, least, most) in aims {
            if measured.as_f64().is_none_or(|value| !(least..=most).contains(&value)) {
                missed.push(format!("{who}: {what} {measured}"));
            }
        }
    }
    Ok(missed)
}

/// Speech to say, made once: 48 kHz, mono.
pub(crate) fn speech(folder: &Path, voice: &str, words: &str) -> Result<PathBuf> {
    let (raw, file) = (folder.join(format!("{voice}-raw.wav")), folder.join(format!("{voice}.wav")));
    let spoken =
        Command::new("espeak-ng").args(["-v", voice, "-s", "150", "-w"]).arg(&raw).arg(words).status()?;
    let converted = Command::new("sox")
        .arg(&raw)
        .args(["-r", "48000", "-c", "1", "-b", "16"])
        .arg(&file)
        .args(["gain", "-n", "-6"])
        .status()?;
    if !spoken.success() || !converted.success() {
        bail!("no speech could be made");
    }
    Ok(file)
}

/// How loud the loudest moment of a recording is, full scale as 1.
pub(crate) fn peak(recording: Recording) -> Result<f64> {
    let (sound, _) = recording.stop()?;
    let samples = sound.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]]));
    Ok(f64::from(samples.map(i16::unsigned_abs).max().unwrap_or(0)) / 32_768.0)
}

/// How loud it gets at `to`'s `ear` while `from` speaks, and a second after.
pub(crate) fn overheard(from: &World, to: &World, ear: &str, speech: &Path) -> Result<f64> {
    let heard = to.record(ear)?;
    from.speak("mouth", speech)?;
    std::thread::sleep(Duration::from_secs(1));
    peak(heard)
}

/// Speaks from one's `mouth` to the other and scores what came out of the `ear` there.
pub(crate) fn sound(
    (from, mouth_name): (&World, &str),
    (to, ear): (&World, &str),
    speech: &Path,
    folder: &Path,
) -> Result<Value> {
    let (mouth, ear) = (from.record(mouth_name)?, to.record(ear)?);
    // Whoever begins to record or to play makes the sound server settle its latencies anew, which
    // the call hears as jitter: that is not what is to be measured.
    std::thread::sleep(Duration::from_secs(4));
    from.speak(mouth_name, speech)?;
    std::thread::sleep(Duration::from_millis(900));
    let (mouth, mouth_start) = mouth.stop()?;
    let (ear, ear_start) = ear.stop()?;
    let (mouth_file, ear_file) =
        (folder.join(format!("{}-mouth.s16", from.name)), folder.join(format!("{}-ear.s16", to.name)));
    fs::write(&mouth_file, mouth)?;
    fs::write(&ear_file, ear)?;
    let Some(python) = scorer()? else {
        return Ok(json!({ "correlation": null, "latency_ms": null, "pesq_wb": null, "reason": NO_SCORER }));
    };
    let scored = Command::new(python)
        .arg(root().join("xtask/assets/score.py"))
        .arg(mouth_file)
        .arg(mouth_start.to_string())
        .arg(ear_file)
        .arg(ear_start.to_string())
        .output()?;
    if !scored.status.success() {
        let why = String::from_utf8_lossy(&scored.stderr).lines().last().unwrap_or_default().to_owned();
        return Ok(json!({ "correlation": null, "latency_ms": null, "pesq_wb": null, "reason": why }));
    }
    serde_json::from_slice(&scored.stdout).context("the score can't be read")
}

/// A Python with what scoring needs, made at the first use.
pub(crate) fn scorer() -> Result<Option<PathBuf>> {
    python::environment("target/demo/scorer", &["numpy", "scipy", "pesq"])
}

/// Time used by a person's app and its webview so far.
pub(crate) struct Usage {
    at: Instant,
    ticks: u64,
}

/// The time used so far.
pub(crate) fn usage(world: &World) -> Usage {
    let ticks = world
        .app_processes()
        .iter()
        .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok())
        .filter_map(|stat| {
            // After the name, which may hold anything but ends with the last parenthesis.
            let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
            // utime and stime, fields 14 and 15 of proc(5); the state, field 3, is the first here.
            Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
        })
        .sum();
    Usage { at: Instant::now(), ticks }
}

/// Percent of one core since `before`.
pub(crate) fn cpu_percent(world: &World, before: &Usage) -> f64 {
    let now = usage(world);
    // A tick is a hundredth of a second on every Linux there is.
    let used = now.ticks.saturating_sub(before.ticks) as f64 / 100.0;
    (used / now.at.duration_since(before.at).as_secs_f64() * 1e3).round() / 10.0
}

/// Proportional memory of a person's app and its webview, in MB.
pub(crate) fn pss_mb(world: &World) -> f64 {
    let kilobytes: u64 = world
        .app_processes()
        .iter()
        .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok())
        .filter_map(|rollup| {
            let line = rollup.lines().find(|line| line.starts_with("Pss:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        })
        .sum();
    (kilobytes as f64 / 102.4).round() / 10.0
}
