//! `docs/openapi.json` is what the service serves, for whoever reads it without one running.
//! `cargo xtask bindings` writes it.

use std::path::Path;

use bedside_protocol::{Code, app, topic};

#[test]
fn the_document_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let text = bedside_service::openapi().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("BEDSIDE_WRITE_BINDINGS").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == text, "docs/openapi.json is stale: run `cargo xtask bindings`");
}

#[test]
fn the_document_of_messages_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/asyncapi.json");
    let text = serde_json::to_string_pretty(&bedside_service::asyncapi()).unwrap() + "\n";
    if std::env::var_os("BEDSIDE_WRITE_BINDINGS").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == text, "docs/asyncapi.json is stale: run `cargo xtask bindings`");
}

#[test]
fn the_page_of_who_may_do_what_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/who-may-do-what.md");
    let page = bedside_authz::page();
    if std::env::var_os("BEDSIDE_WRITE_BINDINGS").is_some() {
        std::fs::write(&path, page).unwrap();
        return;
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == page, "docs/who-may-do-what.md is stale: run `cargo xtask bindings`");
}

#[test]
fn the_protocols_page_leaves_nothing_out() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol.md");
    let page = std::fs::read_to_string(path).unwrap();
    for code in Code::ALL {
        assert!(page.contains(&format!("`{}`", code.as_str())), "the code {}", code.as_str());
    }
    let destinations = [
        app::CHAT_SEND,
        app::CHAT_STATUS,
        app::CHAT_TYPING,
        app::CALL_SIGNAL,
        topic::NOTIFICATIONS,
        topic::SIGNALS,
        topic::ERRORS,
    ];
    for destination in destinations {
        assert!(page.contains(&format!("`{destination}`")), "{destination}");
    }
    let document = serde_json::to_value(bedside_service::openapi()).unwrap();
    for (path, operations) in document["paths"].as_object().unwrap() {
        // A visit's own routes are written without what is the same for all of them.
        let said = path
            .replace("/api/v1/consultations/sessions/{id}", "…")
            .replace("{attachment}", "{attachmentId}");
        let short = path.replace("/api/v1/consultations/sessions/{id}", "…/sessions/{id}");
        let of_its_kind = path.replace("/api/v1/", "…/").replace("{patient}", "{patientId}");
        for method in operations.as_object().unwrap().keys() {
            let method = method.to_uppercase();
            let found = [path, &said, &short, &of_its_kind].iter().any(|path| {
                let line = format!("`{method} {path}");
                // A table names the ways of one kind together: `POST …/pause`, `…/resume`.
                page.contains(&line) || page.contains(&format!("`, `{path}`"))
            });
            // The session itself needs no telling beyond the document.
            assert!(found || said == "…", "{method} {path} is not on the page");
        }
    }
}
