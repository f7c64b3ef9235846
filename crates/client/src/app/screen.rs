//! Sharing one's screen: what there is to choose from, what is shared, and when that ends.

use base64::Engine as _;
use bedside_devices::{Screen, ScreenKind, Trouble, screens};
use bedside_session::snapshot::{ScreenChoice, ScreenChoiceKind, ScreenTrouble, SharedScreen};

use super::{App, Event};
use crate::{call::ActiveCall, screen::ScreenEvent};

/// What a person shares, or chooses from.
#[derive(Default)]
pub(super) struct Sharing {
    /// The how manieth list was asked for last: an answer to an earlier one is recognised.
    asked: u64,
    looks: bool,
    choices: Option<Vec<Screen>>,
    opening: Option<String>,
    /// What is shared.
    shared: Option<ScreenChoice>,
    trouble: Option<ScreenTrouble>,
}

impl Sharing {
    pub(super) fn view(&self) -> SharedScreen {
        SharedScreen {
            looks: self.looks,
            choices: self.choices.as_ref().map(|screens| screens.iter().map(with_preview).collect()),
            opening: self.opening.is_some(),
            shared: self.shared.clone(),
            trouble: self.trouble,
        }
    }

    pub(super) const fn is_shared(&self) -> bool {
        self.shared.is_some()
    }
}

fn with_preview(screen: &Screen) -> ScreenChoice {
    let base64 = base64::engine::general_purpose::STANDARD;
    let preview = screen.preview.as_ref();
    let preview = preview.map(|jpeg| format!("data:image/jpeg;base64,{}", base64.encode(jpeg)));
    ScreenChoice { preview, ..choice(screen) }
}

fn choice(screen: &Screen) -> ScreenChoice {
    let kind = match screen.kind {
        ScreenKind::Display => ScreenChoiceKind::Display,
        ScreenKind::Window => ScreenChoiceKind::Window,
    };
    ScreenChoice { id: screen.id.clone(), kind, name: screen.name.clone(), preview: None }
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
        self.sharing.asked += 1;
        let asked = self.sharing.asked;
        (self.sharing.looks, self.sharing.trouble) = (true, None);
        let events = self.events.clone();
        self.tasks.spawn_blocking(move || {
            // Closed while it was looked for.
            let _ = events.blocking_send((None, Event::Screens(asked, screens())));
        });
    }

    pub(super) fn on_screens(&mut self, asked: u64, found: Result<Vec<Screen>, Trouble>) {
        if asked != self.sharing.asked || !self.sharing.looks {
            return;
        }
        self.sharing.looks = false;
        match found {
            Ok(screens) => self.sharing.choices = Some(screens),
            Err(why) => {
                tracing::info!(%why, "no screen to share");
                self.sharing.trouble = Some(trouble(&why));
            }
        }
    }

    /// Nothing is chosen.
    pub(super) fn leave_choice(&mut self) {
        (self.sharing.looks, self.sharing.choices, self.sharing.trouble) = (false, None, None);
    }

    pub(super) fn share_screen(&mut self, id: String) {
        if self.may_share() {
            self.threads.screen.share(id.clone());
            (self.sharing.opening, self.sharing.trouble) = (Some(id), None);
        }
    }

    pub(super) async fn stop_sharing(&mut self) {
        if self.sharing.shared.is_none() && self.sharing.opening.is_none() {
            return;
        }
        self.threads.screen.stop_sharing();
        (self.sharing.shared, self.sharing.opening) = (None, None);
        self.tell_media().await;
    }

    pub(super) async fn on_screen(&mut self, event: ScreenEvent) {
        match event {
            // Another was chosen meanwhile, or none.
            ScreenEvent::Shared(id) if self.sharing.opening.as_ref() == Some(&id) => {
                self.sharing.opening = None;
                let choices = self.sharing.choices.take().unwrap_or_default();
                self.sharing.shared = choices.iter().find(|screen| screen.id == id).map(choice);
            }
            ScreenEvent::Failed(id, why) => {
                let is_this = |known: &String| *known == id;
                let is_shared = self.sharing.shared.as_ref().is_some_and(|shared| shared.id == id);
                if !is_shared && !self.sharing.opening.as_ref().is_some_and(is_this) {
                    return;
                }
                (self.sharing.shared, self.sharing.opening) = (None, None);
                self.sharing.trouble = Some(trouble(&why));
            }
            ScreenEvent::Shared(_) => return,
        }
        self.tell_media().await;
    }

    /// Ends with the visit, and while it is on hold.
    pub(super) async fn tend_sharing(&mut self) {
        if !self.may_share() {
            self.leave_choice();
            self.stop_sharing().await;
        }
    }
}
