//! Sharing one's screen: what there is to choose from, what is shared, and when that ends.

use std::time::{Duration, Instant};

use base64::Engine as _;
use bedside_devices::{Screen, ScreenKind, Trouble, screens};
use bedside_session::snapshot::{ScreenChoice, ScreenChoiceKind, ScreenTrouble, SharedScreen};

use super::{App, Event};
use crate::{call::ActiveCall, screen::ScreenEvent};

/// How long after a list the next is made, while somebody chooses: a window that they open for it is
/// there when they look back.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// How long it is said why nothing is shared any more: long enough to be read by whoever looks away.
const TROUBLE_SAID: Duration = Duration::from_secs(20);

/// What a person shares, or chooses from.
#[derive(Default)]
pub(super) struct Sharing {
    /// The how manieth list was asked for last: an answer to an earlier one is recognised.
    asked: u64,
    looks: bool,
    choices: Option<Vec<ScreenChoice>>,
    /// When to look again.
    again_at: Option<Instant>,
    /// What was chosen, until it is known whether it can be shared.
    opening: Option<ScreenChoice>,
    /// What is shared.
    shared: Option<ScreenChoice>,
    trouble: Option<ScreenTrouble>,
    /// Since when it is said.
    trouble_at: Option<Instant>,
}

impl Sharing {
    fn fail(&mut self, why: &Trouble) {
        (self.trouble, self.trouble_at) = (Some(trouble(why)), Some(Instant::now()));
    }

    pub(super) fn view(&self) -> SharedScreen {
        SharedScreen {
            looks: self.looks,
            choices: self.choices.clone(),
            opening: self.opening.is_some(),
            shared: self.shared.clone(),
            trouble: self.trouble,
        }
    }

    pub(super) const fn is_shared(&self) -> bool {
        self.shared.is_some()
    }
}

fn choice(screen: Screen) -> ScreenChoice {
    let base64 = base64::engine::general_purpose::STANDARD;
    let preview = screen.preview.map(|jpeg| format!("data:image/jpeg;base64,{}", base64.encode(jpeg)));
    let kind = match screen.kind {
        ScreenKind::Display => ScreenChoiceKind::Display,
        ScreenKind::Window => ScreenChoiceKind::Window,
        ScreenKind::System => ScreenChoiceKind::System,
    };
    ScreenChoice { id: screen.id, kind, name: screen.name, preview }
}

fn trouble(trouble: &Trouble) -> ScreenTrouble {
    match trouble {
        Trouble::Missing => ScreenTrouble::Gone,
        Trouble::Denied | Trouble::Unsupported => ScreenTrouble::Unsupported,
        Trouble::Busy | Trouble::Other(_) => ScreenTrouble::Failed,
    }
}

impl App {
    /// Whether one may share now: both have come in, and the visit is not on hold.
    fn may_share(&self) -> bool {
        self.visit.as_ref().and_then(|visit| visit.call.as_ref()).is_some_and(ActiveCall::is_gate_open)
    }

    /// Looks what there is to share.
    pub(super) fn choose_screen(&mut self) {
        if !self.may_share() {
            return;
        }
        self.sharing.trouble = None;
        self.look();
    }

    fn look(&mut self) {
        self.sharing.asked += 1;
        let asked = self.sharing.asked;
        (self.sharing.looks, self.sharing.again_at) = (true, None);
        let events = self.events.clone();
        self.tasks.spawn(async move {
            let found = tokio::task::spawn_blocking(screens).await;
            let found = found.unwrap_or_else(|fault| Err(Trouble::Other(fault.to_string())));
            // Closed while it was looked for.
            let _ = events.send((None, Event::Screens(asked, found))).await;
        });
    }

    pub(super) fn on_screens(&mut self, asked: u64, found: Result<Vec<Screen>, Trouble>) {
        if asked != self.sharing.asked || !self.sharing.looks {
            return;
        }
        self.sharing.looks = false;
        match found {
            Ok(screens) => {
                self.sharing.choices = Some(screens.into_iter().map(choice).collect());
                self.sharing.again_at = Some(Instant::now() + LOOK_AGAIN);
            }
            // The list that there is stays, and is looked at again.
            Err(why) if self.sharing.choices.is_some() => {
                tracing::info!(%why, "the screens can't be listed again");
                self.sharing.again_at = Some(Instant::now() + LOOK_AGAIN);
            }
            Err(why) => {
                tracing::info!(%why, "no screen to share");
                self.sharing.fail(&why);
            }
        }
    }

    /// Keeps the list of what there is fresh, and ends what was said.
    pub(super) fn tick_choice(&mut self, now: Instant) {
        let is_due = self.sharing.again_at.is_some_and(|at| now >= at);
        if is_due && self.sharing.opening.is_none() {
            self.look();
        }
        let is_open = self.sharing.looks || self.sharing.choices.is_some();
        if !is_open && self.sharing.trouble_at.is_some_and(|at| now >= at + TROUBLE_SAID) {
            (self.sharing.trouble, self.sharing.trouble_at) = (None, None);
        }
    }

    fn close_choice(&mut self) {
        (self.sharing.looks, self.sharing.choices, self.sharing.again_at) = (false, None, None);
    }

    /// Nothing is chosen; what was, and is being opened, is not shared.
    pub(super) fn leave_choice(&mut self) {
        if self.sharing.opening.take().is_some() {
            self.threads.screen.stop_sharing();
        }
        self.close_choice();
        self.sharing.trouble = None;
    }

    pub(super) fn share_screen(&mut self, id: &str) {
        let choices = self.sharing.choices.iter().flatten();
        let Some(chosen) = choices.clone().find(|choice| choice.id == *id).cloned() else { return };
        if self.may_share() {
            self.threads.screen.share(chosen.id.clone());
            (self.sharing.opening, self.sharing.trouble) = (Some(chosen), None);
        }
    }

    pub(super) async fn stop_sharing(&mut self) {
        if self.sharing.shared.is_none() && self.sharing.opening.is_none() {
            return;
        }
        self.threads.screen.stop_sharing();
        (self.sharing.shared, self.sharing.opening) = (None, None);
        self.announce_media_state().await;
    }

    pub(super) async fn on_screen(&mut self, event: ScreenEvent) {
        let is = |known: &Option<ScreenChoice>, id: &str| known.as_ref().is_some_and(|known| known.id == id);
        match event {
            ScreenEvent::Shared(id) if is(&self.sharing.opening, &id) => {
                self.sharing.shared =
                    self.sharing.opening.take().map(|chosen| ScreenChoice { preview: None, ..chosen });
                self.close_choice();
            }
            // Left or stopped meanwhile: nobody may see what nobody is told of.
            ScreenEvent::Shared(_) if self.sharing.opening.is_none() => {
                self.threads.screen.stop_sharing();
                self.sharing.shared = None;
            }
            // Another was chosen meanwhile: it comes next.
            ScreenEvent::Shared(_) => return,
            ScreenEvent::Failed(id, why) if is(&self.sharing.opening, &id) => {
                let chosen = self.sharing.opening.take();
                let asks = chosen.is_some_and(|chosen| chosen.kind == ScreenChoiceKind::System);
                if asks && why == Trouble::Denied {
                    // They left the system's dialog, and know it.
                    self.close_choice();
                } else {
                    self.sharing.fail(&why);
                }
            }
            ScreenEvent::Failed(id, why) if is(&self.sharing.shared, &id) => {
                self.sharing.shared = None;
                self.sharing.fail(&why);
            }
            ScreenEvent::Failed(..) => return,
        }
        self.announce_media_state().await;
    }

    /// Ends with the visit, and while it is on hold.
    pub(super) async fn tick_sharing(&mut self) {
        if !self.may_share() {
            self.leave_choice();
            self.stop_sharing().await;
        }
    }
}
