//! What is kept: SQLite for one service, PostgreSQL for many, one file of queries for each topic.

mod accounts;
mod appointments;
mod audit;
mod census;
mod chat;
mod clinics;
mod codes;
mod database;
mod device_checks;
mod error;
mod feedback;
mod files;
mod instances;
mod links;
mod news;
mod notes;
mod notices;
mod notifications;
mod people;
mod practice;
mod presence;
mod quality;
mod records;
mod sealed;
mod sessions;
mod sql;
#[cfg(all(test, target_os = "linux"))]
mod tests;
mod tokens;
mod unit;
mod visits;

use jiff::Timestamp;

pub use accounts::Account;
pub use appointments::{AppointmentFilter, AppointmentRow};
pub use audit::{AuditFilter, AuditLine, Chain};
pub use census::Census;
pub use chat::NewMessage;
pub(crate) use chat::thumbnail_url;
pub use database::{Database, Password, Schema, Store};
pub(crate) use device_checks::KEPT_FOR as DEVICE_CHECKS_KEPT_FOR;
pub use error::StoreError;
pub use feedback::Price;
pub use files::{NewAttachment, StoredAttachment};
pub use instances::{InstanceId, Listener};
pub use links::Opened;
pub use news::News;
pub use notices::{NOTICE_BYTES, Notices};
pub use notifications::{About, Channel, Outgoing, Reach};
pub use people::{People, Seats, Two};
pub use practice::{InvitationRow, ScheduleFilter, ScheduleHead, ScheduleRow};
pub use presence::Attendance;
pub use records::SitsAt;
pub use sessions::{AsTold, Heard, NewAppointment, SessionRow};
pub use tokens::{Grant, NewTokens, Refreshed};
pub use unit::{Unit, Untold};
pub use visits::{VisitFilter, Whose};

/// An instant as it is stored.
fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// An instant as it was stored.
fn instant(millis: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(millis).map_err(|_| StoreError::Unreadable("instant"))
}

/// The pattern (`LIKE … ESCAPE '\\'`) of what has these words in it, in small letters. What means something in a
/// pattern is meant as it is written.
fn contains(words: &str) -> String {
    let plain = words.to_lowercase().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{plain}%")
}

/// The wire name of an enum: what is stored for it.
fn word<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        _ => Err(StoreError::Unreadable("word")),
    }
}

/// The enum of a wire name.
fn from_word<T: serde::de::DeserializeOwned>(word: &str) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::String(word.to_owned()))
        .map_err(|_| StoreError::Unreadable("word"))
}
