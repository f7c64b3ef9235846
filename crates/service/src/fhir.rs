//! A visit in the form that other clinical systems read: FHIR R4 (HL7, hl7.org/fhir/R4), one Bundle of all there is of it.

use base64::{Engine, engine::general_purpose::STANDARD};
use bedside_protocol::{
    AppointmentStatus, ChatMessage, ConsultationMode, MessageType, Notes, Party, SessionStatus, User,
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::store::{AppointmentRow, SessionRow};

/// What is written of a visit.
pub(crate) struct Parts<'a> {
    pub(crate) visit: &'a SessionRow,
    pub(crate) appointment: &'a AppointmentRow,
    /// The whole of its chat.
    pub(crate) chat: &'a [ChatMessage],
    /// The doctor's notes, for whoever may read them.
    pub(crate) notes: Option<&'a Notes>,
}

const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
const PARTICIPATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";

fn urn(id: impl std::fmt::Display) -> String {
    format!("urn:uuid:{id}")
}

fn refers_to(id: impl std::fmt::Display) -> Value {
    json!({ "reference": urn(id) })
}

/// Without what is not known: FHIR has no null.
fn known(fields: Value) -> Value {
    match fields {
        Value::Object(fields) => {
            Value::Object(fields.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
        }
        other => other,
    }
}

fn entry(id: impl std::fmt::Display, resource: Value) -> Value {
    json!({ "fullUrl": urn(&id), "resource": known(resource) })
}

/// All of a visit, as it is at `now`.
pub(crate) fn bundle(parts: &Parts<'_>, now: Timestamp) -> Value {
    let visit = parts.visit;
    let mut entries = vec![
        entry(visit.patient.id, person("Patient", &visit.patient)),
        entry(visit.doctor.id, person("Practitioner", &visit.doctor)),
        entry(visit.appointment, appointment(parts.appointment)),
        entry(visit.id, encounter(parts)),
    ];
    let said = parts.chat.iter().filter(|message| message.message_type != MessageType::System);
    entries.extend(said.map(|message| entry(message.message_id, communication(visit, message))));
    let notes = parts.notes.filter(|notes| !notes.notes.reveal().trim().is_empty());
    entries.extend(notes.map(|notes| entry(id_of_notes(visit), note(visit, notes))));
    json!({ "resourceType": "Bundle", "type": "collection", "timestamp": now.to_string(), "entry": entries })
}

/// There is one note of each visit, which has no id of its own: one that is always the same (RFC 9562, version 8).
fn id_of_notes(visit: &SessionRow) -> uuid::Uuid {
    let hash: [u8; 32] = Sha256::new().chain_update("notes").chain_update(visit.id.0).finalize().into();
    uuid::Builder::from_custom_bytes(std::array::from_fn(|at| hash[at])).into_uuid()
}

/// FHIR has no empty text.
fn unless_blank(text: &str) -> Option<&str> {
    (!text.trim().is_empty()).then_some(text)
}

fn person(kind: &str, user: &User) -> Value {
    json!({
        "resourceType": kind,
        "id": user.id.to_string(),
        "name": [{ "text": user.name.reveal() }],
        "qualification": user.specialization.as_deref().and_then(unless_blank)
            .map(|what| json!([{ "code": { "text": what } }])),
    })
}

fn appointment(row: &AppointmentRow) -> Value {
    let rules = &row.appointment;
    let status = match rules.status {
        AppointmentStatus::Booked if row.checked_in_at.is_some() => "checked-in",
        AppointmentStatus::Booked => "booked",
        AppointmentStatus::InProgress => "arrived",
        AppointmentStatus::Completed => "fulfilled",
        AppointmentStatus::Cancelled => "cancelled",
        AppointmentStatus::NoShow => "noshow",
    };
    let ends = rules.start.checked_add(rules.duration).unwrap_or(rules.start);
    let takes_part = |id| json!({ "actor": refers_to(id), "status": "accepted" });
    json!({
        "resourceType": "Appointment",
        "id": row.id.to_string(),
        "status": status,
        "start": rules.start.to_string(),
        "end": ends.to_string(),
        "minutesDuration": rules.duration.as_mins(),
        "reasonCode": reason(row),
        "participant": [takes_part(row.patient.id), takes_part(row.doctor.id)],
    })
}

fn reason(row: &AppointmentRow) -> Option<Value> {
    let words = row.chief_complaint.as_ref().and_then(|words| unless_blank(words.reveal()));
    words.map(|words| json!([{ "text": words }]))
}

fn encounter(parts: &Parts<'_>) -> Value {
    let visit = parts.visit;
    let c = &visit.consultation;
    let status = match c.status {
        SessionStatus::Scheduled => "planned",
        SessionStatus::Waiting => "arrived",
        SessionStatus::InProgress | SessionStatus::Paused => "in-progress",
        SessionStatus::Completed | SessionStatus::Failed => "finished",
        // R4 has no word for whom nobody saw; the appointment says which it was.
        SessionStatus::Cancelled | SessionStatus::NoShow => "cancelled",
    };
    let period = |from: Option<Timestamp>| {
        from.map(|from| {
            known(json!({ "start": from.to_string(), "end": c.ended_at.map(|at| at.to_string()) }))
        })
    };
    let took_part = |user: &User, came: Option<Timestamp>, code: &str, display: &str| {
        known(json!({
            "individual": refers_to(user.id),
            "type": [{ "coding": [{ "system": PARTICIPATION, "code": code, "display": display }] }],
            "period": period(came),
        }))
    };
    let minutes = (c.ended_at.is_some() && c.started_at.is_some()).then(|| {
        // What was on the clock, without holds.
        let value = c.elapsed(c.ended_at.unwrap_or_default()).as_secs_f64() / 60.0;
        json!({ "value": (value * 10.0).round() / 10.0, "unit": "min", "system": "http://unitsofmeasure.org", "code": "min" })
    });
    let by = match visit.mode {
        ConsultationMode::Video => "video",
        ConsultationMode::Audio => "audio",
        ConsultationMode::Chat => "chat",
    };
    json!({
        "resourceType": "Encounter",
        "id": visit.id.to_string(),
        "status": status,
        "class": { "system": ACT_CODE, "code": "VR", "display": "virtual" },
        "type": [{ "text": by }],
        "subject": refers_to(visit.patient.id),
        "participant": [took_part(&visit.doctor, c.doctor_joined_at, "ATND", "attender")],
        "appointment": [refers_to(visit.appointment)],
        "period": period(c.started_at),
        "length": minutes,
        "reasonCode": reason(parts.appointment),
    })
}

fn communication(visit: &SessionRow, message: &ChatMessage) -> Value {
    let recipient = match message.sender_type {
        Party::Patient => visit.doctor.id,
        Party::Doctor => visit.patient.id,
    };
    let words =
        (!message.content.reveal().is_empty()).then(|| json!({ "contentString": message.content.reveal() }));
    let file = message.attachment.as_ref().map(|file| {
        json!({ "contentAttachment": {
            "contentType": file.mime_type, "title": file.file_name.reveal(), "size": file.file_size
        } })
    });
    let payload: Vec<Value> = words.into_iter().chain(file).collect();
    json!({
        "resourceType": "Communication",
        "id": message.message_id.to_string(),
        // Taken back by its writer: its words are gone.
        "status": if message.is_deleted { "entered-in-error" } else { "completed" },
        "subject": refers_to(visit.patient.id),
        "encounter": refers_to(visit.id),
        "sent": message.timestamp.to_string(),
        "received": message.delivered_at.map(|at| at.to_string()),
        "sender": refers_to(message.sender_id),
        "recipient": [refers_to(recipient)],
        "payload": (!payload.is_empty()).then_some(payload),
    })
}

fn note(visit: &SessionRow, notes: &Notes) -> Value {
    json!({
        "resourceType": "DocumentReference",
        "id": id_of_notes(visit).to_string(),
        "status": "current",
        "type": { "coding": [{ "system": "http://loinc.org", "code": "11506-3", "display": "Progress note" }] },
        "subject": refers_to(visit.patient.id),
        "author": [refers_to(visit.doctor.id)],
        "date": notes.updated_at.map(|at| at.to_string()),
        "content": [{ "attachment": {
            "contentType": "text/plain; charset=utf-8", "data": STANDARD.encode(notes.notes.reveal())
        } }],
        "context": { "encounter": [refers_to(visit.id)] },
    })
}
