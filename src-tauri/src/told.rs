//! What the page is told of the state: all of it once, then what has changed. A chat or a list of
//! visits is not told again because a second has passed.

use bedside_session::Snapshot;
use serde::Serialize;
use serde_json::{Map, Value};
use ts_rs::TS;

/// The parts that have changed.
#[derive(Serialize, Clone, TS)]
#[serde(transparent)]
#[ts(type = "Omit<Partial<Snapshot>, \"visit\"> & { visit?: Partial<Visit> | null }")]
pub struct Change(Map<String, Value>);

/// The visit is by far the largest part, and its clock changes every second: it is told in its own parts.
const IN_PARTS: &str = "visit";

/// Remembers what the page knows.
#[derive(Default)]
pub(crate) struct Known(Option<Map<String, Value>>);

/// What to tell.
pub(crate) enum News {
    /// The page knows nothing yet.
    All,
    Some(Change),
    None,
}

impl Known {
    /// What the page is to be told, so that it knows this.
    pub(crate) fn learn(&mut self, snapshot: &Snapshot) -> Result<News, serde_json::Error> {
        let Value::Object(now) = serde_json::to_value(snapshot)? else { return Ok(News::All) };
        let news = match &self.0 {
            None => News::All,
            Some(before) => {
                let change = changed(before, &now, &[IN_PARTS]);
                if change.is_empty() { News::None } else { News::Some(Change(change)) }
            }
        };
        self.0 = Some(now);
        Ok(news)
    }
}

/// Those of `now` that were not so before; of those `in_parts` only their own parts.
fn changed(before: &Map<String, Value>, now: &Map<String, Value>, in_parts: &[&str]) -> Map<String, Value> {
    let mut changes = Map::new();
    for (name, value) in now {
        let was = before.get(name);
        if was == Some(value) {
            continue;
        }
        let told = match (was, value) {
            (Some(Value::Object(was)), Value::Object(is)) if in_parts.contains(&name.as_str()) => {
                Value::Object(changed(was, is, &[]))
            }
            _ => value.clone(),
        };
        changes.insert(name.clone(), told);
    }
    changes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(before: Value, now: Value) -> Value {
        let (Value::Object(before), Value::Object(now)) = (before, now) else { panic!("two objects") };
        Value::Object(changed(&before, &now, &[IN_PARTS]))
    }

    #[test]
    fn only_what_has_changed_is_told() {
        let visit = |seconds: u32| json!({ "elapsedSeconds": seconds, "chat": { "messages": ["a"] } });
        let state = |busy: bool, visit: Value| json!({ "busy": busy, "visit": visit, "sessions": [1, 2] });
        let second = told(state(false, visit(1)), state(false, visit(2)));
        assert_eq!(second, json!({ "visit": { "elapsedSeconds": 2 } }));
        assert_eq!(told(state(false, visit(1)), state(true, visit(1))), json!({ "busy": true }));
        assert_eq!(told(state(false, visit(1)), state(false, visit(1))), json!({}));
    }

    #[test]
    fn a_visit_that_begins_or_ends_is_told_whole() {
        let visit = json!({ "elapsedSeconds": 1, "summary": null });
        assert_eq!(told(json!({ "visit": null }), json!({ "visit": visit })), json!({ "visit": visit }));
        assert_eq!(told(json!({ "visit": visit }), json!({ "visit": null })), json!({ "visit": null }));
        let ended = json!({ "visit": { "elapsedSeconds": 1, "summary": 5 } });
        assert_eq!(told(json!({ "visit": visit }), ended), json!({ "visit": { "summary": 5 } }));
    }
}
