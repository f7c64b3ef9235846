//! The rules of a consultation.
//!
//! Pure: an input and the time go in, a changed state and effects come out. Nothing here reads
//! a clock, a database or a socket, so every order of inputs can be tried in a test.

pub mod appointment;
pub mod availability;
pub mod billing;
pub mod feedback;
pub mod line;
pub mod practice;
pub mod quality;
pub mod record;
pub mod reminders;
pub mod session;

pub use session::{Consultation, Effect, Input, Refused};
