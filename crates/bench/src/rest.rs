//! Requests over HTTP, by some clients at once, each asking again when it has been answered.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde_json::json;

use crate::{measure::Figures, system::System};

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flow {
    /// A visit is made.
    Create,
    /// A running visit is joined: a media token.
    Join,
    /// A page of a chat is read.
    Chat,
    /// Coming visits are listed.
    List,
}

impl Flow {
    pub(crate) const ALL: [(Self, &'static str); 4] = [
        (Self::Create, "session created"),
        (Self::Join, "joined, with a media token"),
        (Self::Chat, "chat page read"),
        (Self::List, "coming visits listed, 50"),
    ];
}

/// Asks for `lasts` by `clients` at once.
pub(crate) async fn run(
    system: &Arc<System>,
    flow: Flow,
    visits: &Arc<Vec<String>>,
    clients: usize,
    lasts: Duration,
) -> Result<Figures> {
    let until = Instant::now() + lasts;
    let mut tasks = vec![];
    for client in 0..clients {
        let (system, visits) = (system.clone(), visits.clone());
        tasks.push(tokio::spawn(async move {
            let (mut took, mut failed) = (vec![], 0);
            while Instant::now() < until {
                // Each in a visit of its own, as people are.
                let at = client % visits.len();
                let visit = format!("{}/{}", system.visits(), visits[at]);
                let patient = &system.patients[at % system.patients.len()].1;
                let request = match flow {
                    Flow::Create => system.create(client % system.patients.len()),
                    Flow::Join => {
                        let request = system.http.post(system.url(&format!("{visit}/join")));
                        request.bearer_auth(patient).json(&json!({}))
                    }
                    Flow::Chat => system.http.get(system.url(&format!("{visit}/chat"))).bearer_auth(patient),
                    Flow::List => {
                        let path = format!("{}?limit=50", system.visits());
                        system.http.get(system.url(&path)).bearer_auth(&system.doctor)
                    }
                };
                let began = Instant::now();
                let answered = match request.send().await {
                    Ok(answer) => answer.status().is_success() && answer.bytes().await.is_ok(),
                    Err(_) => false,
                };
                if answered {
                    took.push(began.elapsed());
                } else {
                    failed += 1;
                }
            }
            (took, failed)
        }));
    }
    let (mut took, mut failed) = (vec![], 0);
    for task in tasks {
        let (theirs, not) = task.await?;
        took.extend(theirs);
        failed += not;
    }
    Ok(Figures::of(took, lasts, failed))
}
