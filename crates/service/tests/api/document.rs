//! The document says of every route what it answers: tried with what clients send by mistake.

use reqwest::Method;
use serde_json::{Value, json};

use crate::common::{Person, clinic};

/// Whether the document knows this answer; gives what it does not.
fn is_documented(operation: &Value, status: u16, kind: Option<&str>) -> Result<(), String> {
    let response = &operation["responses"][status.to_string()];
    if response.is_null() {
        return Err(format!("status {status}"));
    }
    let content = response["content"].as_object();
    match (kind, content) {
        (None, _) => Ok(()),
        (Some(kind), Some(content)) if content.keys().any(|known| kind.starts_with(known.as_str())) => Ok(()),
        // A file is of its own kind.
        (Some(_), Some(content)) if content.contains_key("application/octet-stream") => Ok(()),
        (Some(kind), content) => Err(format!(
            "{kind} with {status}, where it has {:?}",
            content.map(|c| c.keys().collect::<Vec<_>>())
        )),
    }
}

#[tokio::test]
async fn every_answer_is_documented() {
    let clinic = clinic().await;
    let document = serde_json::to_value(bedside_service::openapi()).unwrap();
    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
    let bodies: [Option<Value>; 4] = [None, Some(json!({})), Some(json!([])), Some(json!({ "x": 1 }))];
    let callers: [Option<&Person>; 4] =
        [None, Some(&clinic.patient), Some(&clinic.doctor), Some(&clinic.admin)];
    let mut wrong = vec![];
    for (path, operations) in document["paths"].as_object().unwrap() {
        // It would sign everybody out.
        if path.ends_with("/logout") || path.starts_with("/api/v1/auth/sessions/") {
            continue;
        }
        for (method, operation) in operations.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            for id in [clinic.session.to_string(), unknown.to_owned(), "no id".to_owned(), "ä".to_owned()] {
                let mode = path.replace("{mode}", "VIDEO");
                let filled = mode.split('{').map(|part| match part.split_once('}') {
                    Some((_, rest)) => format!("{id}{rest}"),
                    None => part.to_owned(),
                });
                let filled: String = filled.collect();
                for query in ["", "?limit=-1&before=x&after=x", "?limit=1"] {
                    for caller in callers {
                        for body in &bodies {
                            let token = caller.map(|person| person.token.as_str());
                            let mut request = clinic.service.http.request(
                                method.clone(),
                                format!("http://{}{filled}{query}", clinic.service.address),
                            );
                            if let Some(token) = token {
                                request = request.bearer_auth(token);
                            }
                            if let Some(body) = body {
                                request = request.json(body);
                            }
                            let answer = request.send().await.unwrap();
                            let status = answer.status().as_u16();
                            let kind = answer
                                .headers()
                                .get("content-type")
                                .map(|kind| kind.to_str().unwrap().to_owned());
                            if let Err(what) = is_documented(operation, status, kind.as_deref()) {
                                wrong.push(format!("{method} {path}: {what}"));
                            }
                        }
                    }
                }
            }
        }
    }
    // A code is documented as it is on the wire.
    let codes = document["components"]["schemas"]["Code"]["enum"].as_array().unwrap();
    assert!(codes.contains(&json!("not-signed-in")), "{codes:?}");
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{} answers are not in the document:\n{}", wrong.len(), wrong.join("\n"));
}
