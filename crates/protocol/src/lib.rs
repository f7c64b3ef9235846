//! What goes over the wire between a client and the consultation service.
//!
//! Ids, REST bodies, realtime messages and STOMP frames: types and their text form, nothing
//! that reads a socket or a clock. JSON is camelCase, enums are `SCREAMING_SNAKE_CASE` as in the
//! service contract, instants are RFC 3339 in UTC. Personal fields are wrapped in [`Text`],
//! secrets in [`Token`]: both go over the wire as plain strings and print as nothing.

pub mod access;
pub mod account;
pub mod after;
pub mod appointment;
pub mod audit;
pub mod chat;
pub mod consultation;
pub mod feedback;
pub mod id;
pub mod network;
pub mod notification;
pub mod practice;
pub mod problem;
pub mod quality;
pub mod realtime;
pub mod record;
pub mod stomp;
mod text;

pub use access::*;
pub use account::*;
pub use after::*;
pub use appointment::*;
pub use audit::*;
pub use chat::*;
pub use consultation::*;
pub use feedback::*;
pub use id::*;
pub use network::*;
pub use notification::*;
pub use practice::*;
pub use problem::{Code, Problem};
pub use quality::*;
pub use realtime::*;
pub use record::*;
pub use text::{Text, Token};
