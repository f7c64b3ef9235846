//! A database that a practice has used for years, and a morning on which everybody comes at once.

use std::{
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::{
    measure::{self, Figures},
    system::System,
};

/// Visits that one statement writes.
const TOGETHER: usize = 500;
/// Of these, one in so many is of the doctor who is measured: a large practice has as many doctors.
const DOCTORS: usize = 20;
/// Of the visits of the past, one in so many is still to come.
const TO_COME: usize = 10;

/// Runs a script on a database of SQLite's, and lets it look at what there is, as the service does at its start and each
/// day.
const SQLITE: &str = "import sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=30)
database.executescript('BEGIN IMMEDIATE;' + open(sys.argv[2]).read() + 'COMMIT;')
database.execute('PRAGMA optimize = 0x10012')
database.close()";

/// The statements that write visits, appointments first: most held in the years before now.
fn statements(system: &System, other_doctor: &str, visits: usize, now_ms: i64) -> Vec<String> {
    let day = 24 * 3_600 * 1_000;
    let mut statements = vec![];
    for first in (0..visits).step_by(TOGETHER) {
        let (mut appointments, mut sessions) = (vec![], vec![]);
        for at in first..visits.min(first + TOGETHER) {
            let patient = &system.patients[at % system.patients.len()].0;
            let doctor =
                if (at / TO_COME).is_multiple_of(DOCTORS) { &system.doctor_id } else { other_doctor };
            let is_to_come = at.is_multiple_of(TO_COME);
            // Never two at once, and none on this day: that is what is measured.
            let start = if is_to_come { now_ms + 2 * day } else { now_ms - 2 * day };
            let start = start + if is_to_come { 1 } else { -1 } * at as i64 * 600_000;
            let (ends, status, booked) = if is_to_come {
                ("NULL, NULL, NULL".to_owned(), "SCHEDULED", "BOOKED")
            } else {
                (format!("'completed', {start}, {}", start + 600_000), "COMPLETED", "COMPLETED")
            };
            let id = |kind: u32| format!("{kind:08x}-0000-4000-8000-{at:012x}");
            let (appointment, session) = (id(1), id(2));
            appointments.push(format!(
                "('{appointment}', '{patient}', '{doctor}', 'VIDEO', {start}, 10, {start}, 'VIRTUAL', '{booked}', 'NOT_REQUIRED', '{appointment}')"
            ));
            sessions.push(format!(
                "('{session}', '{appointment}', '{patient}', '{doctor}', 'VIDEO', 'room-{at}', '{status}', {start}, 10, {start}, {ends})"
            ));
        }
        statements.push(format!(
            "INSERT INTO appointments (id, patient_id, doctor_id, consultation_mode, scheduled_start_time,
             scheduled_duration_minutes, created_at, appointment_type, status, payment_status, check_in_code) VALUES {}",
            appointments.join(", ")
        ));
        statements.push(format!(
            "INSERT INTO consultation_sessions (id, appointment_id, patient_id, doctor_id, consultation_mode, room_name,
             status, scheduled_start, scheduled_minutes, created_at, end_reason, started_at, ended_at) VALUES {}",
            sessions.join(", ")
        ));
    }
    statements
}

/// Writes so many visits into the database of a service that runs.
pub(crate) fn fill(system: &System, visits: usize) -> Result<()> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis();
    let statements = statements(system, &system.other_doctor, visits, i64::try_from(now)?);
    let script = system.folder().join("visits.sql");
    std::fs::write(&script, statements.join(";\n") + ";\n")?;
    let mut program = match &system.postgres {
        Some(address) => {
            let mut psql = Command::new("psql");
            psql.args([address, "--quiet", "--set=ON_ERROR_STOP=1", "--file"])
                .arg(&script)
                .args(["--command", "ANALYZE"]);
            psql
        }
        None => {
            let mut python = Command::new(&system.python);
            python.args(["-c", SQLITE]).arg(system.folder().join("bedside.sqlite")).arg(&script);
            python
        }
    };
    let done = program.output()?;
    anyhow::ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}

/// Patients come into one doctor's line, some at once, until it is full: how long each waited to be in it, and what
/// processor time all of them together took. Then how long the doctor's list takes with all of them in it.
pub(crate) async fn line(system: &Arc<System>, length: usize, clients: usize) -> Result<Value> {
    let mut joins = vec![];
    for at in 0..length {
        let patient = at % system.patients.len();
        let made: Value = system.create(patient).send().await?.error_for_status()?.json().await?;
        joins.push((
            patient,
            format!("{}/{}/join", system.visits(), made["sessionId"].as_str().unwrap_or_default()),
        ));
    }
    let before = measure::processor(system.process())?;
    let began = Instant::now();
    let places = Arc::new(Semaphore::new(clients));
    let mut tasks = vec![];
    for (patient, path) in joins {
        let (system, places) = (system.clone(), places.clone());
        tasks.push(tokio::spawn(async move {
            let _place = places.acquire().await?;
            let join = system.http.post(system.url(&path)).bearer_auth(&system.patients[patient].1);
            let began = Instant::now();
            join.json(&json!({ "ready": true })).send().await?.error_for_status()?;
            anyhow::Ok(began.elapsed())
        }));
    }
    let mut took = vec![];
    for task in tasks {
        took.push(task.await??);
    }
    let entering = Figures::of(took, began.elapsed(), 0);
    let used = measure::processor(system.process())? - before;
    let mut took = vec![];
    for _ in 0..20 {
        let began = Instant::now();
        let path = format!("{}?status=WAITING&limit=500", system.visits());
        let list = system.http.get(system.url(&path)).bearer_auth(&system.doctor).send().await?;
        let list: Vec<Value> = list.error_for_status()?.json().await?;
        anyhow::ensure!(list.len() >= length, "{} wait of {length}", list.len());
        took.push(began.elapsed());
    }
    let listed = Figures::of(took, Duration::from_secs(1), 0);
    println!(
        "a line of {length}: in it p50 {:.1} ms, p99 {:.1} ms, {used:.1} s of processor time for all; listed in {:.1} ms",
        entering.p50_ms, entering.p99_ms, listed.p50_ms
    );
    Ok(json!({
        "entering": entering, "processor_seconds": used,
        "list_p50_ms": listed.p50_ms, "list_p99_ms": listed.p99_ms,
    }))
}
