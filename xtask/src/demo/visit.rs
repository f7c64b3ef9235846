//! The visit itself, as two people live it.

use std::{path::Path, time::Duration};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::{
    camera::Camera,
    clinic::{Clinic, DOCTOR, NAME, PASSWORD, PATIENT},
    measure,
    person::Person,
    report::{Report, now_ms},
    sharing::share,
    world::{Place, World},
};
use crate::root;

/// How long the picture is watched.
const WATCH: Duration = Duration::from_secs(12);
/// How long the service is away in mid-call.
const OUTAGE: Duration = Duration::from_secs(10);

/// What the loudest moment of a sound that is meant to be heard comes to at least, of full scale.
const AUDIBLE: f64 = 0.02;
/// And at most where nothing may get out: the room itself is at about that, Opus fills silence with
/// a little less, and words come to a third of full scale.
const INAUDIBLE: f64 = 0.001;
/// How long the chime lasts, and a little.
const CHIME: Duration = Duration::from_millis(1_600);

const DOCTORS_WORDS: &str = "Good afternoon. I can see you well. Tell me, please, since when you have had the pain in \
    your shoulder, and whether it wakes you up at night. Take your time, we have all the time you need.";
const PATIENTS_WORDS: &str = "It began on Sunday after I worked in the garden. When I lift my arm it hurts here, and I \
    sleep badly. I have taken two of the white tablets every evening, but they do not help me very much.";

/// Runs the visit; the report is written whatever came of it.
pub(crate) async fn run(to: Option<&Path>) -> Result<()> {
    let out = root().join("target/demo");
    std::fs::create_dir_all(&out)?;
    for old in std::fs::read_dir(&out)?.flatten() {
        if old.path().extension().is_some_and(|extension| extension == "png") {
            std::fs::remove_file(old.path())?;
        }
    }
    let mut report = Report::new();
    let outcome = visit(&mut report, &out).await;
    if let Some(call) = report.facts.get("call") {
        println!("\n{}", serde_json::to_string_pretty(call)?);
    }
    let missed: Vec<Value> =
        report.facts.get("missed").and_then(Value::as_array).cloned().unwrap_or_default();
    report.finish(outcome.is_ok(), to)?;
    println!("\nscreenshots: {}", out.display());
    if outcome.is_ok() {
        println!("The whole visit went through.");
        for aim in missed {
            println!("Missed, on this machine and this time: {aim}");
        }
    }
    outcome
}

async fn visit(report: &mut Report, out: &Path) -> Result<()> {
    let mut clinic = Clinic::open(out)?;
    report.step("clinic", "the service is up, with demo people");
    let doctors_speech = measure::speech(out, "en-gb", DOCTORS_WORDS)?;
    let patients_speech = measure::speech(out, "en-us", PATIENTS_WORDS)?;
    measure::scorer()?;
    // Dropped last: both cameras are found at it.
    let camera = Camera::plug_in()?;
    let doctor = World::start("doctor", "0", &clinic.address(), &camera, out, Place::default())?;
    let doctor = Person::sit_down(doctor).await?;
    let patient = World::start("patient", "1", &clinic.address(), &camera, out, Place::default())?;
    let mut patient = Person::sit_down(patient).await?;
    report.step("both", "the windows are open");

    sign_in(report, out, &doctor, &patient).await?;
    wait(report, out, &doctor, &patient).await?;
    ring(report, out, &doctor, &patient).await?;
    let (mut call, admitted_at) = call_in(report, out, &doctor, &patient).await?;
    watch(report, out, &doctor, &patient, &mut call, admitted_at).await?;
    listen(report, &doctor, &patient, &doctors_speech, &patients_speech, out, &mut call)?;
    report.facts.insert("missed".into(), measure::missed(&call)?.into());
    report.facts.insert("call".into(), call);
    chat(report, out, &doctor, &patient).await?;
    share(report, out, &doctor, &patient).await?;
    controls(report, out, &doctor, &patient).await?;
    headset(report, out, &doctor, &mut patient).await?;
    outage(report, out, &mut clinic, &doctor, &patient).await?;
    crash(report, out, &doctor, &mut patient).await?;
    end(report, out, &doctor, &patient).await?;
    doctor.leaves().await?;
    patient.leaves().await?;
    report.step("both", "the windows are closed");
    Ok(())
}

async fn sign_in(report: &mut Report, out: &Path, doctor: &Person, patient: &Person) -> Result<()> {
    patient.sees("Sign in").await?;
    patient.sees(NAME).await?;
    patient.screenshot(out, &mut report.screens, "sign-in").await?;
    patient.signs_in(PATIENT, "not the password").await?;
    patient.sees("is not right").await?;
    patient.screenshot(out, &mut report.screens, "wrong-password").await?;
    report.step("patient", "is told that the password is not right");
    patient.script("document.querySelector(\"[name='password']\").select()").await?;
    patient.types("password", PASSWORD).await?;
    patient.does("submit").await?;
    patient.sees("Your next visit").await?;
    patient.screenshot(out, &mut report.screens, "home").await?;
    report.step("patient", "is signed in and sees the next visit");
    doctor.signs_in(DOCTOR, PASSWORD).await?;
    doctor.sees("Nobody is waiting").await?;
    doctor.screenshot(out, &mut report.screens, "room-empty").await?;
    report.step("doctor", "is signed in; nobody waits");
    Ok(())
}

async fn wait(report: &mut Report, out: &Path, doctor: &Person, patient: &Person) -> Result<()> {
    let words = measure::speech(out, "en-us", "Hello, is this thing on?")?;
    patient.does("enter").await?;
    patient.sees("Your camera works").await?;
    let drawn = "(() => { const own = document.querySelector('.own-picture canvas'); if (!own?.width) return false; \
        const seen = own.getContext('2d').getImageData(0, own.height / 2, own.width, 1).data; \
        return seen.some((value, at) => at % 4 < 3 && value > 40); })()";
    patient.until("their own picture", drawn).await?;
    patient.sees("Say something").await?;
    patient.sees("Your connection is good enough").await?;
    let speaker = patient.world.record("speaker")?;
    patient.does("testSound").await?;
    patient.does("heard").await?;
    patient.sees("You heard the sound").await?;
    patient.until("the test sound's end", "!document.querySelector('[data-do=testSound]').disabled").await?;
    is_loud("the test sound", measure::peak(speaker)?)?;
    echo(patient, &words).await?;
    patient.screenshot(out, &mut report.screens, "check").await?;
    report.step("patient", "has checked camera, microphone, speaker and line, and heard their own voice");
    let speaker = doctor.world.record("speaker")?;
    patient.does("ready").await?;
    patient.sees("You are next").await?;
    patient.screenshot(out, &mut report.screens, "waiting").await?;
    doctor.sees("Maria Keller has arrived").await?;
    tokio::time::sleep(CHIME).await;
    is_loud("the arrival", measure::peak(speaker)?)?;
    doctor.sees("Camera: works").await?;
    doctor.screenshot(out, &mut report.screens, "room-arrival").await?;
    report.step("doctor", "sees that the patient has arrived and is ready");
    Ok(())
}

/// The patient says a sentence and hears it played back; the meter moves meanwhile.
async fn echo(patient: &Person, words: &Path) -> Result<()> {
    patient.does("echoTest").await?;
    patient.until("the recording", "document.querySelector('[data-echo=listening]')").await?;
    let speaking = patient.world.begin_to_speak("mouth", words)?;
    let moves = "Number(document.querySelector('.meter')?.getAttribute('aria-valuenow')) > 20";
    patient.until("the meter to move", moves).await?;
    speaking.finish()?;
    patient.until("the playing back", "document.querySelector('[data-echo=playing]')").await?;
    let speaker = patient.world.record("speaker")?;
    patient.until("the end of it", "document.querySelector('[data-echo=played]')").await?;
    is_loud("their own voice", measure::peak(speaker)?)
}

/// It rings at the patient, who has not agreed to anything yet: nothing of them gets out. Then the
/// doctor thinks better of it.
async fn ring(report: &mut Report, out: &Path, doctor: &Person, patient: &Person) -> Result<()> {
    let words = measure::speech(out, "en-us", "Somebody is calling. Where are my glasses?")?;
    measure::install_probe(doctor).await?;
    let speaker = patient.world.record("speaker")?;
    doctor.does("admit").await?;
    patient.sees("is calling you in").await?;
    doctor.sees("They have not answered yet").await?;
    patient.screenshot(out, &mut report.screens, "called-in").await?;
    doctor.screenshot(out, &mut report.screens, "ringing").await?;
    is_silent(
        "of a patient who was not asked yet",
        measure::overheard(&patient.world, &doctor.world, "speaker", &words)?,
    )?;
    is_loud("the ringing", measure::peak(speaker)?)?;
    if !measure::pictures(doctor).await?.is_empty() {
        bail!("the doctor saw the patient before they had joined");
    }
    doctor.does("end").await?;
    doctor.does("confirm").await?;
    patient.sees("You are next").await?;
    doctor.sees("Ready").await?;
    report.step("doctor", "has called and stopped calling; nothing of the patient was seen or heard");
    Ok(())
}

/// Whether something was to be heard.
fn is_loud(what: &str, peak: f64) -> Result<()> {
    if peak < AUDIBLE {
        bail!("{what} was not to be heard: {peak:.4} of full scale");
    }
    Ok(())
}

/// Whether nothing was.
fn is_silent(what: &str, peak: f64) -> Result<()> {
    if peak >= INAUDIBLE {
        bail!("something {what} was to be heard: {peak:.4} of full scale");
    }
    Ok(())
}

async fn call_in(report: &mut Report, out: &Path, doctor: &Person, patient: &Person) -> Result<(Value, f64)> {
    measure::install_probe(doctor).await?;
    measure::install_probe(patient).await?;
    let admitted_at = now_ms();
    doctor.does("admit").await?;
    report.step("doctor", "calls the patient in");
    patient.does("join").await?;
    report.step("patient", "joins");
    for person in [doctor, patient] {
        person.until("the other's picture", "window.bedsideProbe.seen.length > 0").await?;
    }
    let mut first = serde_json::Map::new();
    let mut connected: Option<f64> = None;
    for person in [doctor, patient] {
        let seen = measure::pictures(person).await?;
        first.insert(person.world.name.into(), json!(seen[0][0] - admitted_at));
        person.until("the call to be connected", "window.bedsideProbe.connectedAt").await?;
        let at = measure::connected_at(person).await?.unwrap_or(f64::MAX);
        connected = Some(connected.map_or(at, |c| c.max(at)));
    }
    report.step("both", "see one another");
    patient.screenshot(out, &mut report.screens, "call-begins").await?;
    let call = json!({ "connect_ms": connected.map(|at| at - admitted_at), "first_frame_ms": first });
    Ok((call, admitted_at))
}

async fn watch(
    report: &mut Report,
    out: &Path,
    doctor: &Person,
    patient: &Person,
    call: &mut Value,
    admitted_at: f64,
) -> Result<()> {
    // The first seconds are the estimate's climb; what is reported is what comes after.
    let settle = Duration::from_secs(6);
    tokio::time::sleep(settle).await;
    let before = [measure::usage(&doctor.world), measure::usage(&patient.world)];
    let from = now_ms();
    tokio::time::sleep(WATCH).await;
    let to = now_ms();
    let mut facts = json!({ "video": {}, "cpu_percent": {}, "pss_mb": {} });
    for (person, before) in [doctor, patient].into_iter().zip(&before) {
        let name = person.world.name;
        let seen = measure::pictures(person).await?;
        if seen.iter().all(|frame| frame[0] < from) {
            bail!("the {name} sees no picture any more, {} ms into the call", to - admitted_at);
        }
        facts["video"][name] = measure::video(&seen, from, to);
        facts["cpu_percent"][name] = measure::cpu_percent(&person.world, before).into();
        facts["pss_mb"][name] = measure::pss_mb(&person.world).into();
        person.screenshot(out, &mut report.screens, "call").await?;
    }
    merge(call, facts);
    report.step("both", "have watched one another");
    Ok(())
}

fn listen(
    report: &mut Report,
    doctor: &Person,
    patient: &Person,
    doctors_speech: &Path,
    patients_speech: &Path,
    out: &Path,
    call: &mut Value,
) -> Result<()> {
    // "doctor" is what the doctor hears.
    let heard_by_patient =
        measure::sound((&doctor.world, "mouth"), (&patient.world, "speaker"), doctors_speech, out)?;
    report.step("doctor", "has spoken, the patient has heard it");
    let heard_by_doctor =
        measure::sound((&patient.world, "mouth"), (&doctor.world, "speaker"), patients_speech, out)?;
    report.step("patient", "has spoken, the doctor has heard it");
    for (who, score) in [("doctor", &heard_by_doctor), ("patient", &heard_by_patient)] {
        is_heard(who, score)?;
    }
    merge(call, json!({ "audio": { "doctor": heard_by_doctor, "patient": heard_by_patient } }));
    Ok(())
}

/// Whether the words came through at all; how well is in the report.
fn is_heard(who: &str, score: &Value) -> Result<()> {
    // Silence has no score at all.
    let is_unscored = score["reason"] == measure::NO_SCORER;
    if is_unscored || score["best_second"].as_f64().is_some_and(|likeness| likeness >= 0.4) {
        return Ok(());
    }
    bail!("the {who} does not hear what was said: {score}")
}

async fn chat(report: &mut Report, out: &Path, doctor: &Person, patient: &Person) -> Result<()> {
    doctor.does("chat").await?;
    doctor.types("message", "Please take Ibuprofen 400 after breakfast.").await?;
    doctor.does("send").await?;
    doctor.sees("Delivered").await?;
    patient.does("chat").await?;
    patient.sees("Ibuprofen 400").await?;
    doctor.sees("Read").await?;
    patient.types("message", "Thank you, doctor.").await?;
    patient.does("send").await?;
    doctor.sees("Thank you, doctor.").await?;
    patient.sends_file(&root().join("icons/icon.png")).await?;
    doctor.until("the picture", "document.querySelector('.message img')?.naturalWidth > 0").await?;
    doctor.screenshot(out, &mut report.screens, "chat").await?;
    report.step("both", "have written to one another, and sent a picture");
    Ok(())
}

async fn controls(report: &mut Report, out: &Path, doctor: &Person, patient: &Person) -> Result<()> {
    let words = measure::speech(out, "en-us", "This is only for the dog.")?;
    patient.does("microphone").await?;
    doctor.sees("Maria Keller is muted").await?;
    is_silent("of a muted patient", measure::overheard(&patient.world, &doctor.world, "speaker", &words)?)?;
    patient.does("microphone").await?;
    patient.does("camera").await?;
    doctor.sees("camera is off").await?;
    doctor.screenshot(out, &mut report.screens, "other-camera-off").await?;
    patient.does("camera").await?;
    doctor.until("the picture", "document.querySelector('canvas.remote')").await?;
    report.step("patient", "has muted, and switched the camera off and on");
    patient.does("settings").await?;
    patient.sees("Changes count at once").await?;
    patient.screenshot(out, &mut report.screens, "settings").await?;
    patient.does("done").await?;
    doctor.does("hold").await?;
    patient.sees("has put the visit on hold").await?;
    patient.screenshot(out, &mut report.screens, "on-hold").await?;
    for (from, to) in [(patient, doctor), (doctor, patient)] {
        let peak = measure::overheard(&from.world, &to.world, "speaker", &words)?;
        is_silent("of somebody on hold", peak)?;
    }
    doctor.does("hold").await?;
    patient.until("the picture", "document.querySelector('canvas.remote')").await?;
    report.step("doctor", "has put the visit on hold and taken it off");
    Ok(())
}

/// The patient plugs in a headset in mid-call and changes to it: from then on it is that which hears and speaks.
async fn headset(report: &mut Report, out: &Path, doctor: &Person, patient: &mut Person) -> Result<()> {
    let words = measure::speech(out, "en-gb", "Can you hear me better with the headset on?")?;
    patient.does("settings").await?;
    patient.world.plug_in_headset()?;
    patient.until("a choice of speakers", "document.querySelector('[data-do=choose-speaker]')").await?;
    patient.chooses("speaker", "Headset").await?;
    patient.chooses("microphone", "Boom").await?;
    let all = "document.querySelectorAll('.device[data-state=works]').length === 3";
    patient.until("the headset to work", all).await?;
    patient.screenshot(out, &mut report.screens, "headset").await?;
    patient.does("done").await?;
    let heard = measure::sound((&doctor.world, "mouth"), (&patient.world, "headset"), &words, out)?;
    is_heard("patient", &heard)?;
    let heard = measure::sound((&patient.world, "boom-mouth"), (&doctor.world, "speaker"), &words, out)?;
    is_heard("doctor", &heard)?;
    is_silent(
        "from the microphone that was changed from",
        measure::overheard(&patient.world, &doctor.world, "speaker", &words)?,
    )?;
    report.step("patient", "has plugged in a headset, and is heard and hears by it");
    Ok(())
}

/// The service is killed and started again in mid-call: the call goes on, and no message is lost.
async fn outage(
    report: &mut Report,
    out: &Path,
    clinic: &mut Clinic,
    doctor: &Person,
    patient: &Person,
) -> Result<()> {
    clinic.kill()?;
    patient.types("message", "Can you still hear me?").await?;
    patient.does("send").await?;
    patient.sees("On its way").await?;
    patient.screenshot(out, &mut report.screens, "service-away").await?;
    let from = now_ms();
    tokio::time::sleep(OUTAGE).await;
    let seen = measure::pictures(doctor).await?;
    let during = seen.iter().filter(|frame| frame[0] > from + 1_000.0).count();
    if during < 50 {
        bail!("the picture stopped while the service was away: {during} pictures in 9 s");
    }
    clinic.start()?;
    doctor.sees("Can you still hear me?").await?;
    patient.until("the message to be confirmed", "!document.body.innerText.includes('On its way')").await?;
    let written = patient.script("return document.querySelectorAll('.message').length").await?;
    let shown = doctor.script("return document.querySelectorAll('.message').length").await?;
    // Each side knows of its own messages whether they were read.
    let mut read = 0;
    for person in [doctor, patient] {
        let own = "return [...document.querySelectorAll('.message.mine')].filter((m) => m.innerText.includes('Read')).length";
        read += person.script(own).await?.as_u64().unwrap_or(0);
    }
    if written != shown {
        bail!("the patient sees {written} messages, the doctor {shown}");
    }
    report.facts.insert("chat".into(), json!({ "sent": written, "delivered": shown, "read": read }));
    report.facts.insert("outage".into(), json!({ "pictures_while_away": during }));
    report.step("clinic", "was away for 10 s: the call went on, no message was lost");
    Ok(())
}

/// The patient's app is killed and started again.
async fn crash(report: &mut Report, out: &Path, doctor: &Person, patient: &mut Person) -> Result<()> {
    let words = measure::speech(out, "en-us", "My camera is gone, but I hear you.")?;
    patient.world.kill_app()?;
    doctor.sees("reconnecting").await?;
    doctor.screenshot(out, &mut report.screens, "other-reconnecting").await?;
    report.step("patient", "lost the app, and the camera with it; the doctor sees “reconnecting”");
    patient.world.unplug_camera();
    patient.come_back().await?;
    patient.sees("Return to your visit").await?;
    patient.screenshot(out, &mut report.screens, "return").await?;
    measure::install_probe(patient).await?;
    patient.does("enter").await?;
    patient.until("the doctor's picture", "window.bedsideProbe.seen.length > 0").await?;
    doctor.until("the call to be back", "document.querySelector('.call-top .quality')").await?;
    // Nothing keeps anybody out for want of a camera: it is named on both sides, and they talk on.
    patient.sees("Camera: ").await?;
    doctor.sees("’s camera is off").await?;
    patient.screenshot(out, &mut report.screens, "without-camera").await?;
    // The app remembers the headset.
    let heard = measure::sound((&patient.world, "boom-mouth"), (&doctor.world, "speaker"), &words, out)?;
    is_heard("doctor", &heard)?;
    report.step("patient", "is back in the visit after a restart of the app, without a camera, and is heard");
    Ok(())
}

async fn end(report: &mut Report, out: &Path, doctor: &Person, patient: &Person) -> Result<()> {
    doctor.does("end").await?;
    doctor.screenshot(out, &mut report.screens, "end").await?;
    doctor.does("confirm").await?;
    patient.sees("€48.50").await?;
    patient.screenshot(out, &mut report.screens, "summary").await?;
    doctor.sees("The visit has ended").await?;
    doctor.screenshot(out, &mut report.screens, "after").await?;
    report.step("doctor", "has ended the visit; both see the summary");
    patient.click("[data-star='overall-5']").await?;
    patient.click("[data-tag='Good listener']").await?;
    patient.does("more").await?;
    patient.click("[data-star='audio-4']").await?;
    patient.click("[data-star='video-5']").await?;
    patient.types("review", "She took her time.").await?;
    patient.does("recommend").await?;
    patient.screenshot(out, &mut report.screens, "feedback").await?;
    let lit = "return document.querySelectorAll(\"[data-star^='overall'].lit\").length";
    let overall = patient.script(lit).await?;
    patient.does("sendFeedback").await?;
    patient.sees("Thank you").await?;
    report.facts.insert("feedback".into(), json!({ "overall": overall }));
    patient.screenshot(out, &mut report.screens, "thanks").await?;
    report.step("patient", "has given feedback");
    patient.does("home").await?;
    patient.does("history").await?;
    patient.until("the visit", "document.querySelector('.past')").await?;
    patient.screenshot(out, &mut report.screens, "history").await?;
    let visits = patient.script("return document.querySelectorAll('.past').length").await?;
    patient.does("past").await?;
    patient.sees("Ibuprofen 400").await?;
    patient.sees("She took her time.").await?;
    patient.until("the picture", "document.querySelector('.message img')?.naturalWidth > 0").await?;
    patient.screenshot(out, &mut report.screens, "past-visit").await?;
    let rated =
        patient.script("return Number(document.querySelector('[data-rating]').dataset.rating)").await?;
    report.facts.insert("history".into(), json!({ "visits": visits, "rated": rated }));
    report.step("patient", "finds the visit in the history, with what was written and rated");
    doctor.does("recall").await?;
    patient.does("history").await?;
    patient.does("home").await?;
    patient.sees("would like to see you again").await?;
    report.step("doctor", "has asked the patient back, who is told");
    doctor.sees("Nobody is waiting").await?;
    doctor.screenshot(out, &mut report.screens, "next").await?;
    report.step("doctor", "is back in the room");
    Ok(())
}

fn merge(into: &mut Value, more: Value) {
    if let (Value::Object(into), Value::Object(more)) = (into, more) {
        into.extend(more);
    }
}
