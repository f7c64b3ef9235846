//! `docs/openapi.json` is what the service serves, for whoever reads it without one running.
//! `cargo xtask bindings` writes it.

use std::path::Path;

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
