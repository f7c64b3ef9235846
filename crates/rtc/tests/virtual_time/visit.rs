//! A doctor and a patient in a call, from outside: what they saw and heard, and what they are to do.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bedside_media::JitterStats;
use bedside_protocol::{Party, PeerId, SessionId};
use bedside_session::{Call, CallPhase};
use tokio::sync::mpsc;

use crate::{
    media::Media,
    person::{Driver, Sent},
    world::{End, World},
};

/// What a person saw and heard, and how the call stood.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) phase: Option<CallPhase>,
    /// At 48 kHz, from the beginning of the call.
    pub(crate) heard: Vec<f32>,
    pub(crate) pictures: Vec<Shown>,
    pub(crate) sound: JitterStats,
}

/// A picture that was shown.
pub(crate) struct Shown {
    pub(crate) at: Duration,
    pub(crate) width: usize,
}

/// What a person does.
pub(crate) enum Step {
    Rejoin,
    LinkUp,
    Leave,
    /// Their machine draws pictures up to this width in time, and of larger ones fewer by their pixels.
    DrawUpTo(usize),
}

/// One of the two.
pub(crate) struct Person {
    seen: Arc<Mutex<Seen>>,
    steps: mpsc::UnboundedSender<Step>,
    task: tokio::task::JoinHandle<()>,
}

impl Person {
    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }
    pub(crate) fn phase(&self) -> CallPhase {
        self.seen().phase.expect("the call has begun")
    }
    /// Root mean square of what was heard since then.
    pub(crate) fn loudness_since(&self, since: Duration) -> f32 {
        let seen = self.seen();
        let heard = &seen.heard[since.as_millis() as usize * 48..];
        (heard.iter().map(|s| s * s).sum::<f32>() / heard.len() as f32).sqrt()
    }
    pub(crate) fn does(&self, step: Step) {
        assert!(self.steps.send(step).is_ok(), "they have left");
    }
    /// Leaves the call and waits until all of it is gone.
    pub(crate) async fn leaves(self) {
        self.does(Step::Leave);
        self.task.await.expect("nothing went wrong at this end");
    }
}

/// A doctor and a patient in a call.
pub(crate) fn visit(world: &Arc<World>) -> [Person; 2] {
    let session = SessionId::generate();
    let taken = [(); 2].map(|()| Arc::new(Mutex::new(vec![])));
    let wires = [(); 2].map(|()| mpsc::unbounded_channel::<Sent>());
    let senders = [wires[0].0.clone(), wires[1].0.clone()];
    let mut number = 0;
    wires.map(|(_, from_other)| {
        let at = number;
        number += 1;
        let party = [Party::Doctor, Party::Patient][at];
        let (call, actions) = Call::begin(session, party, PeerId::generate(), world.now());
        let seen = Arc::new(Mutex::new(Seen { phase: Some(call.phase()), ..Seen::default() }));
        let (steps, doing) = mpsc::unbounded_channel();
        let driver = Driver {
            end: Arc::new(End { world: world.clone(), number: at }),
            world: world.clone(),
            call,
            connection: None,
            to_other: senders[1 - at].clone(),
            from_other,
            coming: VecDeque::new(),
            media: Media::new(world.clone(), seen.clone(), taken[at].clone(), taken[1 - at].clone()),
            ticks: 0,
        };
        Person { seen, steps, task: tokio::spawn(driver.run(actions, doing)) }
    })
}
