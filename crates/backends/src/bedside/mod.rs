//! Bedside's own dialect: REST, and STOMP over WebSocket (docs/protocol.md).

mod rest;
mod stomp;
mod websocket;

pub(crate) use rest::Api;
