//! One call on one network, and what is kept of it for scoring.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::{
    media::Media,
    network::Network,
    profile::{Event, Profile},
};
use crate::{
    demo::{
        camera::Camera,
        clinic::{Clinic, DOCTOR, PASSWORD, PATIENT},
        measure,
        person::Person,
        report::now_ms,
        world::{Clip, Place, Program, World, clock},
    },
    host::{Host, ip},
};

/// From when on what is reported is measured: the first seconds are the estimates' climb.
pub(super) const SETTLED: Duration = Duration::from_secs(30);

/// Who calls whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Peers {
    /// Two of our apps.
    Ours,
    /// Two Chromium.
    Browser,
    /// A doctor in our app, a patient in Chromium, over the service.
    Mixed,
}

impl Peers {
    /// What the doctor and the patient sit at.
    const fn programs(self) -> [Program; 2] {
        match self {
            Self::Ours => [Program::App, Program::App],
            Self::Browser => [Program::Browser, Program::Browser],
            Self::Mixed => [Program::App, Program::Browser],
        }
    }

    /// Whether they meet through the service.
    const fn visit(self) -> bool {
        !matches!(self, Self::Browser)
    }
}

/// The two ends, and what is between them. Ends in this order.
struct Stage {
    doctor: Person,
    patient: Person,
    _clinic: Option<Clinic>,
    network: Network,
    hosts: [Arc<Host>; 2],
}

/// Holds a call of `seconds` and leaves in `out` what is to be scored; gives the rest.
pub(super) async fn hold(
    peers: Peers,
    profile: &Profile,
    seconds: f64,
    media: &Media,
    camera: &Camera,
    out: &Path,
) -> Result<Value> {
    let stage = set(peers, profile, media, camera, out).await?;
    let people = [&stage.doctor, &stage.patient];
    for person in people {
        let is_browser = person.world.program() == Program::Browser;
        if is_browser {
            person.opens(&crate::root().join("xtask/assets/lab/call.html")).await?;
        }
        person.script(include_str!("../../assets/lab/probe.js")).await?;
        if is_browser {
            person.script(&format!("return open({})", peers == Peers::Browser)).await?;
        }
    }
    if peers.visit() {
        call_in(&stage).await?;
    }
    let offset = now_ms() - clock() * 1e3;
    let mut ears = vec![];
    let mut mouths = vec![];
    let mut speaking = vec![];
    for (person, speech) in people.iter().zip(&media.speech) {
        ears.push((person.world.name, person.world.record("speaker")?));
        if person.world.program() == Program::App {
            mouths.push((person.world.name, person.world.record("mouth")?));
            speaking.push(person.world.begin_to_speak("mouth", speech)?);
        }
        // Whoever begins to record or to play makes the sound server settle its latencies anew. And
        // they speak each at their own time: alone, together, and not at all.
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    let click = join(&stage, peers).await?;
    let began = Instant::now();
    let up = stage.network.now();
    let dark_until = run_between(&stage, profile, began, 0.0, SETTLED.as_secs_f64()).await?;
    let before = people.map(|person| measure::usage(&person.world));
    let pss = people.map(|person| measure::pss_mb(&person.world));
    let from = now_ms();
    for person in people {
        person.script("window.bedsideLab.keepFrom = Date.now()").await?;
    }
    let dark_until =
        run_between(&stage, profile, began, SETTLED.as_secs_f64(), seconds).await?.or(dark_until);
    let to = now_ms();
    let cpu: Vec<f64> = people
        .iter()
        .zip(&before)
        .map(|(person, before)| measure::cpu_percent(&person.world, before))
        .collect();
    let mut facts = json!({
        "click": click, "from": from, "to": to, "dark_until": dark_until, "ear": {}, "mouth": {},
        "cpu_percent": { "doctor": cpu[0], "patient": cpu[1] },
        "pss_mb": { "doctor": pss[0], "patient": pss[1] },
    });
    for speaking in speaking {
        speaking.stop()?;
    }
    for (kind, recordings) in [("ear", ears), ("mouth", mouths)] {
        for (name, recording) in recordings {
            let (sound, start) = recording.stop()?;
            facts[kind][name] = (start * 1e3 + offset).into();
            fs::write(out.join(name).join(format!("{kind}.s16")), sound)?;
        }
    }
    for person in people {
        collect(person, &out.join(person.world.name)).await?;
    }
    let notes = stage.network.notes();
    facts["network"] = notes.iter().map(|note| json!([note.at - up, note.there, note.back])).collect();
    fs::write(out.join("meta.json"), serde_json::to_vec(&facts)?)?;
    let Stage { doctor, patient, .. } = stage;
    doctor.leaves().await?;
    patient.leaves().await?;
    Ok(facts)
}

/// Two hosts, the network between them, and who calls from them.
async fn set(peers: Peers, profile: &Profile, media: &Media, camera: &Camera, out: &Path) -> Result<Stage> {
    let hosts = [Arc::new(Host::new('a')?), Arc::new(Host::new('b')?)];
    let network = Network::between(&hosts[0], &hosts[1], profile.condition)?;
    let clinic = if peers.visit() { Some(Clinic::open(out)?) } else { None };
    let service = clinic.as_ref().map(Clinic::address).unwrap_or_default();
    let mut people = vec![];
    for ((name, host), program) in
        [("doctor", &hosts[0]), ("patient", &hosts[1])].into_iter().zip(peers.programs())
    {
        let folder = out.join(name);
        fs::create_dir_all(folder.join("kept"))?;
        if let Some(clinic) = &clinic {
            host.way_out(service.parse()?)?;
            // Nothing leaves but by the network that is tried, unless that lets too little through.
            if profile.condition.udp_blocked {
                host.way_out(clinic.relay())?;
            }
        }
        let place = Place {
            host: Some(host.clone()),
            program,
            clip: Some(Clip { frames: media.frames.clone(), sent: folder.join("sent.csv") }),
        };
        people.push(Person::sit_down(World::start(name, "0", &service, camera, out, place)?).await?);
    }
    let (Some(patient), Some(doctor)) = (people.pop(), people.pop()) else { bail!("nobody came") };
    Ok(Stage { doctor, patient, _clinic: clinic, network, hosts })
}

/// Everything up to *Join*.
async fn call_in(stage: &Stage) -> Result<()> {
    let Stage { doctor, patient, .. } = stage;
    doctor.signs_in(DOCTOR, PASSWORD).await?;
    if patient.world.program() == Program::Browser {
        patient.script(include_str!("../../assets/lab/bedside.js")).await?;
        let service = format!("http://{}", patient.world.service());
        let [service, email, password] = [&service, PATIENT, PASSWORD].map(|word| json!(word));
        patient.script(&format!("return bedside.arrives({service}, {email}, {password})")).await?;
        doctor.sees("Maria Keller has arrived").await?;
        return doctor.does("admit").await;
    }
    patient.signs_in(PATIENT, PASSWORD).await?;
    patient.does("enter").await?;
    patient.sees("Your camera works").await?;
    patient.does("ready").await?;
    doctor.sees("Maria Keller has arrived").await?;
    doctor.does("admit").await?;
    patient.sees("is calling you in").await
}

/// The click, and when it was: *Join*, or what begins a browser's call.
async fn join(stage: &Stage, peers: Peers) -> Result<f64> {
    let Stage { doctor, patient, .. } = stage;
    let click = now_ms();
    match peers {
        Peers::Ours => {
            patient.does("join").await?;
            return Ok(click);
        }
        Peers::Mixed => {
            patient.script("return bedside.joins()").await?;
            return Ok(click);
        }
        Peers::Browser => {}
    }
    let told = |what: &str, sdp: &Value| format!("return {what}({sdp})");
    let offer = doctor.script("return offer()").await?;
    let answer = patient.script(&told("answer", &offer)).await?;
    doctor.script(&told("accept", &answer)).await?;
    Ok(click)
}

/// Lets what happens to the network happen; gives when it was no longer dark, if it was.
async fn run_between(
    stage: &Stage,
    profile: &Profile,
    began: Instant,
    from: f64,
    until: f64,
) -> Result<Option<f64>> {
    let mut dark_until = None;
    for change in profile.changes.iter().filter(|change| (from..until).contains(&change.at)) {
        sleep_until(began + Duration::from_secs_f64(change.at)).await;
        match change.event {
            Event::Condition(condition) => {
                stage.network.set_condition(condition);
                if profile.is_dark_before(change.at) {
                    dark_until = Some(now_ms());
                }
            }
            Event::Address => move_away(&stage.hosts[1])?,
        }
    }
    sleep_until(began + Duration::from_secs_f64(until)).await;
    Ok(dark_until)
}

/// Another address, as by another Wi-Fi.
fn move_away(host: &Host) -> Result<()> {
    let inside = |args: &[&str]| ip(&[&["-n", host.name()], args].concat());
    inside(&["addr", "flush", "dev", "labb"])?;
    inside(&["addr", "add", "10.8.0.3/24", "dev", "labb"])?;
    inside(&["route", "add", "default", "dev", "labb"])
}

/// What the page saw, into files.
async fn collect(person: &Person, folder: &Path) -> Result<()> {
    let lab = "window.bedsideLab";
    let seen = person.script(&format!("return {lab}.seen")).await?;
    fs::write(folder.join("seen.json"), seen.to_string())?;
    if person.world.program() == Program::Browser {
        let sent: Vec<(f64, f64)> =
            serde_json::from_value(person.script(&format!("return {lab}.sent")).await?)?;
        let lines: Vec<String> = sent.iter().map(|(number, at)| format!("{number},{at:.1}")).collect();
        fs::write(folder.join("sent.csv"), lines.join("\n"))?;
        fs::write(folder.join("statistics.json"), person.script("return statistics()").await?.to_string())?;
    }
    let kept = person.script(&format!("return {lab}.kept.length")).await?.as_u64().unwrap_or(0);
    for index in 0..kept {
        let frame = person.script(&format!("return {lab}.take({index})")).await?;
        fs::write(folder.join(format!("kept/{index:03}.json")), frame.to_string())?;
    }
    let errors = person.script(&format!("return {lab}.errors.slice(0, 3)")).await?;
    if errors.as_array().is_some_and(|errors| !errors.is_empty()) {
        println!("the {}'s probe: {errors}", person.world.name);
    }
    Ok(())
}

/// Scores what is in `call`.
pub(super) fn score(python: &Path, call: &Path, media: &Media) -> Result<Value> {
    let script: PathBuf = crate::root().join("xtask/assets/lab/score.py");
    let done = Command::new(python).arg(script).arg(call).arg(&media.folder).output()?;
    if !done.status.success() {
        bail!("the call can't be scored: {}", String::from_utf8_lossy(&done.stderr));
    }
    serde_json::from_slice(&done.stdout).context("the score can't be read")
}
