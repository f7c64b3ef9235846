//! What can be done here, whichever way it is asked for: who may, what the rules say, what is stored and what is told.
//! Nothing in this folder knows HTTP or WebSockets.

pub mod accounts;
pub(crate) mod appointments;
pub(crate) mod audit;
pub(crate) mod change;
pub(crate) mod chat;
pub(crate) mod device_checks;
pub(crate) mod doctors;
pub(crate) mod feedback;
pub(crate) mod files;
pub(crate) mod join;
pub(crate) mod kiosk;
pub(crate) mod links;
pub mod machines;
pub(crate) mod mailed;
pub(crate) mod notes;
pub(crate) mod notifications;
pub(crate) mod outside;
pub(crate) mod people;
pub(crate) mod practice;
pub(crate) mod pricing;
pub(crate) mod quality;
pub(crate) mod records;
pub(crate) mod sign_ins;
pub(crate) mod signals;
pub(crate) mod visits;
