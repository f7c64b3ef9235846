//! The service as its clients meet it, a behaviour to each file. One program: each of its own would be built and
//! linked with the whole service.

#[path = "../common/mod.rs"]
mod common;

mod access;
mod accounts;
mod after;
mod appointments;
mod audit;
mod authorisation;
#[cfg(target_os = "linux")]
mod away;
mod bad_input;
mod clinics;
mod database;
mod device_checks;
mod document;
mod export;
mod hang_up;
#[cfg(target_os = "linux")]
mod instances;
mod issuer;
mod keeping;
#[cfg(target_os = "linux")]
mod killed;
mod line;
mod notifications;
mod outside;
mod plain_client;
mod practice;
mod quality;
mod records;
mod relations;
mod relay;
mod resources;
mod running;
mod sealed;
mod side_by_side;
mod sockets;
mod teleconsult;
mod values;
mod visits;
