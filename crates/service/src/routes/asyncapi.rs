//! The realtime messages as an AsyncAPI document, for whoever writes a client: what OpenAPI is to the routes.

use bedside_protocol::{ClientMessage, ServerMessage, WEBSOCKET_PATH, app, topic};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(components(schemas(ServerMessage, ClientMessage)))]
struct Messages;

/// A destination, the types of message that go over it, and what it is.
struct Channel {
    address: &'static str,
    /// By their names in [`ServerMessage`] or [`ClientMessage`].
    messages: &'static [&'static str],
    /// Whether clients send to it, or subscribe.
    is_sent_to: bool,
    says: &'static str,
}

const CHANNELS: &[Channel] = &[
    Channel {
        address: "/topic/session.{sessionId}",
        messages: &[
            "SESSION_STATUS",
            "PARTICIPANT_STATUS",
            "CHAT_MESSAGE",
            "CHAT_STATUS",
            "TYPING",
            "IMAGE_SHARED",
        ],
        is_sent_to: false,
        says: "What both sides of one visit hear. Being subscribed is being present.",
    },
    Channel {
        address: "/topic/schedule.{scheduleId}",
        messages: &["SCHEDULE_STATUS", "QUEUE"],
        is_sent_to: false,
        says: "A doctor's practice hours and their queue, without names.",
    },
    Channel {
        address: topic::NOTIFICATIONS,
        messages: &[
            "SESSION_STATUS",
            "CHAT_MESSAGE",
            "SCHEDULE_STATUS",
            "QUEUE",
            "INVITATION",
            "INVITATION_STATUS",
            "NOTIFICATION",
        ],
        is_sent_to: false,
        says: "What concerns oneself, wherever one is.",
    },
    Channel {
        address: topic::SIGNALS,
        messages: &["SIGNAL"],
        is_sent_to: false,
        says: "The other end of a call.",
    },
    Channel {
        address: topic::ERRORS,
        messages: &["ERROR"],
        is_sent_to: false,
        says: "What could not be done with a message that one sent.",
    },
    Channel {
        address: app::CHAT_SEND,
        messages: &["CHAT_MESSAGE"],
        is_sent_to: true,
        says: "Write something.",
    },
    Channel {
        address: app::CHAT_STATUS,
        messages: &["CHAT_STATUS"],
        is_sent_to: true,
        says: "Say how far one has been given and has read what the other wrote.",
    },
    Channel {
        address: app::CHAT_TYPING,
        messages: &["TYPING"],
        is_sent_to: true,
        says: "Say that one is writing, or has stopped.",
    },
    Channel {
        address: app::CALL_SIGNAL,
        messages: &["SIGNAL"],
        is_sent_to: true,
        says: "Speak to the other end of a call. Needs the header `media-token`.",
    },
];

/// The document, as served at `/api/v1/asyncapi.json`.
pub fn asyncapi() -> Value {
    let components = Messages::openapi().components.unwrap_or_default();
    let schemas = serde_json::to_value(components.schemas).unwrap_or_default();
    let (mut channels, mut operations, mut messages) = (Map::new(), Map::new(), Map::new());
    for channel in CHANNELS {
        let enumeration = if channel.is_sent_to { "ClientMessage" } else { "ServerMessage" };
        let id = channel.address.trim_matches('/').replace(['/', '.'], "_").replace(['{', '}'], "");
        let mut its_messages = Map::new();
        for name in channel.messages {
            let message = format!("{enumeration}_{name}");
            let payload = payload(&schemas[enumeration], name);
            messages.insert(
                message.clone(),
                json!({ "name": name, "contentType": "application/json", "payload": payload }),
            );
            let reference = json!({ "$ref": format!("#/components/messages/{message}") });
            its_messages.insert(message, reference);
        }
        let parameters: Map<String, Value> = channel
            .address
            .split(['{', '}'])
            .skip(1)
            .step_by(2)
            .map(|name| (name.to_owned(), json!({ "description": "A UUID." })))
            .collect();
        let action = if channel.is_sent_to { "send" } else { "receive" };
        operations.insert(
            format!("{action}_{id}"),
            json!({ "action": action, "channel": { "$ref": format!("#/channels/{id}") } }),
        );
        channels.insert(
            id,
            json!({
                "address": channel.address, "description": channel.says, "messages": its_messages,
                "parameters": parameters,
            }),
        );
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Bedside consultation service, realtime",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "STOMP 1.2 over WebSocket, as a client sees it. How the messages play together is in \
                docs/protocol.md.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "service": {
                "host": "{host}", "pathname": WEBSOCKET_PATH, "protocol": "stomp",
                "variables": { "host": { "description": "Where the service is." } },
                "security": [{ "$ref": "#/components/securitySchemes/bearer" }],
            },
        },
        "channels": channels,
        "operations": operations,
        "components": {
            "schemas": schemas,
            "messages": messages,
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } },
        },
    })
}

/// The schema of one kind of message, of those that an enum has.
fn payload(enumeration: &Value, name: &str) -> Value {
    let variants = enumeration["oneOf"].as_array().into_iter().flatten();
    let found = variants.into_iter().find(|variant| variant.to_string().contains(&format!("\"{name}\"")));
    found.cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_goes_over_some_channel() {
        let document = asyncapi();
        for (enumeration, is_sent_to) in [("ServerMessage", false), ("ClientMessage", true)] {
            let variants = document["components"]["schemas"][enumeration]["oneOf"].as_array().unwrap();
            assert!(variants.len() >= 4, "{enumeration}");
            for variant in variants {
                let named = |name: &&&str| payload(&json!({ "oneOf": [variant] }), name).is_object();
                let channels = CHANNELS.iter().filter(|channel| channel.is_sent_to == is_sent_to);
                let found = channels.flat_map(|channel| channel.messages).any(|name| named(&name));
                assert!(found, "{variant} goes nowhere");
            }
        }
        for (name, message) in document["components"]["messages"].as_object().unwrap() {
            assert!(message["payload"].is_object(), "{name} is no message");
        }
    }
}
