//! A person's stay in a visit: which screen is in front, when a place in the call is asked for,
//! whether their sound and picture may get out.
//!
//! What the service says of the session, what the person does and the time go in; what the driver
//! is to do comes out. The connection itself is [`crate::Call`]'s, the chat [`crate::ChatLog`]'s.

use std::time::Duration;

use bedside_protocol::{
    ConsultationMode, DeviceCheck, DeviceId, IceServer, JoinRequest, JoinResponse, Party, Presence,
    PresenceStatus, Session, SessionStatus, Token,
};

use crate::{
    call::Now,
    link::ASK_AGAIN,
    snapshot::{Screen, UiCode, UiProblem},
};

#[cfg(test)]
mod tests;

/// A media token is asked for anew this long before it ends.
const RENEW_BEFORE: Duration = Duration::from_secs(5 * 60);
/// And never sooner than this, whatever lifetime the service gave.
const RENEW_AFTER: Duration = Duration::from_secs(30);
/// Pause between two rings of a calling-in.
const RING_EVERY: Duration = Duration::from_secs(3);
/// How long before a visit ends by itself both are told (requirements §2.2).
const WARN_BEFORE_MINUTES: u64 = 5;

/// Which join of which entry: an answer that was overtaken is recognised.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JoinId {
    entry: u64,
    count: u64,
}

/// What a call is opened with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MediaGrant {
    /// For signalling.
    pub media_token: Token,
    /// Relays and their credentials.
    pub ice_servers: Vec<IceServer>,
}

/// Why a join gave no place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JoinFailure {
    /// The service did not answer: it is asked again.
    Unreachable,
    /// The visit has ended; how, the session itself tells.
    Ended,
    /// The calling-in was taken back meanwhile.
    NotAdmitted,
    /// Something that asking again may or may not mend.
    Refused(UiProblem),
}

/// What happens.
#[derive(Clone, PartialEq, Debug)]
pub enum StayInput {
    /// *I'm ready*, and what the devices can do.
    Ready(DeviceCheck),
    /// *Join*: from here on one is seen and heard.
    Join,
    /// *Not now*: they wait on.
    Decline,
    /// The service has heard that.
    Declined,
    /// *Leave*.
    Leave,
    /// *End*, or *Stop calling*.
    End,
    /// The realtime link is up: what happened meanwhile is unknown.
    LinkUp,
    /// The session, as told over the link or as an answer.
    Session(Box<Session>),
    /// Who is there.
    Presence(Presence),
    /// A join was answered.
    Joined(JoinId, Box<JoinResponse>),
    /// Or not, or with a refusal.
    JoinFailed(JoinId, JoinFailure),
    /// The service no longer takes the media token.
    PassRefused,
    /// Time has passed.
    Tick,
}

/// What the driver is to do, in order.
#[derive(Clone, PartialEq, Debug)]
pub enum StayAction {
    /// Bring this to the front.
    Show(Screen),
    /// Ask for a place, admitting the patient first where `admit`. The answer comes back with `id`.
    AskToJoin {
        /// For the answer.
        id: JoinId,
        /// Whether to call the patient in first.
        admit: bool,
        /// What to ask.
        request: JoinRequest,
    },
    /// Ask how the session stands, until it is answered.
    AskSession,
    /// Begin the call.
    OpenCall(MediaGrant),
    /// Give the call new credentials, for its next connection.
    RenewCall(MediaGrant),
    /// End the call.
    CloseCall,
    /// Let one's own sound and picture out, or keep them in, and tell the other end.
    Gate(bool),
    /// Ring, once.
    Ring,
    /// Let go of camera, microphone and speaker.
    CloseDevices,
    /// Not be present any more.
    Unsubscribe,
    /// Tell the service that this person has left, until it has heard.
    TellOfLeaving,
    /// Ask the service to end the visit.
    EndForBoth,
    /// Tell the service that the patient does not come in now, until it has heard.
    Decline,
    /// Fetch what it came to.
    FetchSummary,
    /// The visit is over for this person: drop it and go to the first screen.
    Forget,
    /// Fetch the list of visits.
    RefreshSessions,
    /// Say what went wrong.
    Problem(UiProblem),
}

/// A person's stay in a visit.
#[derive(Clone, PartialEq, Debug)]
pub struct Stay {
    session: Session,
    /// When the session was as it says.
    session_at: Now,
    party: Party,
    /// This one of the person's devices.
    device: DeviceId,
    other_presence: PresenceStatus,
    screen: Screen,
    /// The person wants to be in the call as soon as they may.
    wants_call: bool,
    /// They pressed *I'm ready*, and what their devices could do then.
    ready: bool,
    /// They said *Not now*, and the service has not confirmed that yet: it rings for nobody.
    declines: bool,
    device_check: Option<DeviceCheck>,
    /// Whether the patient was ready when they were called in, or since.
    was_ready: bool,
    /// The doctor's calling-in has not been answered by the service yet.
    admits: bool,
    /// They pressed something since it was last asked for a place: the next asking takes the visit from
    /// another device. A press is spent by one asking, so that no repetition takes it back.
    on_purpose: bool,
    /// Such an asking was not answered yet: on which device they are is not known.
    is_unsettled: bool,
    /// They left on purpose: an answer that is still under way brings nobody back.
    has_left: bool,
    /// Whether the driver has a call.
    in_call: bool,
    /// Forgotten: nothing is done any more.
    is_gone: bool,
    rang_at: Option<Now>,
    entry: u64,
    joins: u64,
    joining: Joining,
}

/// Asking the service for a place, again and again until it answers.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
struct Joining {
    /// The one that counts.
    id: Option<JoinId>,
    under_way: bool,
    /// It did not answer: when to ask again.
    again_at: Option<Now>,
    /// When the media token should be renewed.
    renew_at: Option<Now>,
}

impl Joining {
    fn is_due(&self, now: Now) -> bool {
        let is_past = |at: Option<Now>| at.is_some_and(|at| now >= at);
        !self.under_way && (is_past(self.again_at) || is_past(self.renew_at))
    }
}

impl Stay {
    /// A person goes in: a patient to the waiting room, a doctor by calling in, either one back
    /// into a visit that runs. `entry` differs for every entry of this run; `check` is what the
    /// devices can do; `device` is which of the person's this one is.
    pub fn begin(
        session: Session,
        party: Party,
        device: DeviceId,
        entry: u64,
        check: DeviceCheck,
        now: Now,
    ) -> (Self, Vec<StayAction>) {
        let other = session.participants.iter().find(|p| p.party != party).map(|p| p.status);
        let mut stay = Self {
            session,
            session_at: now,
            party,
            device,
            other_presence: other.unwrap_or(PresenceStatus::Disconnected),
            screen: Screen::Check,
            wants_call: false,
            ready: false,
            was_ready: false,
            declines: false,
            device_check: None,
            admits: false,
            on_purpose: true,
            is_unsettled: false,
            has_left: false,
            in_call: false,
            is_gone: false,
            rang_at: None,
            entry,
            joins: 0,
            joining: Joining::default(),
        };
        let actions = if stay.runs() {
            // The person asked for it, so nothing more is asked.
            stay.wants_call = true;
            vec![stay.show(Screen::Call), stay.ask_to_join()]
        } else if party == Party::Doctor {
            (stay.wants_call, stay.admits) = (true, true);
            vec![stay.show(Screen::Call), stay.ask_to_join()]
        } else if stay.is_written() {
            // Nothing to check.
            stay.on_ready(check)
        } else {
            vec![stay.show(Screen::Check)]
        };
        (stay, actions)
    }

    /// Takes an input at `now`.
    pub fn handle(&mut self, input: StayInput, now: Now) -> Vec<StayAction> {
        if self.is_gone {
            return vec![];
        }
        match input {
            // Pressed on a screen that has gone meanwhile.
            StayInput::Ready(_) if !self.may_get_ready() => vec![],
            StayInput::Join | StayInput::Decline if self.screen != Screen::CalledIn => vec![],
            StayInput::Leave | StayInput::End if self.screen == Screen::After => vec![],
            // They go on there.
            StayInput::Leave | StayInput::End if self.screen == Screen::Elsewhere => self.go_home(),
            StayInput::Ready(check) => self.on_ready(check),
            StayInput::Join => self.on_join(),
            StayInput::Decline => self.on_decline(),
            StayInput::Declined => self.on_declined(),
            StayInput::Leave => self.leave(),
            // A visit that runs ends for both; a calling-in that nobody answered is taken back.
            StayInput::End => match self.session.status {
                SessionStatus::Scheduled | SessionStatus::Waiting => self.leave(),
                _ => vec![StayAction::EndForBoth],
            },
            StayInput::LinkUp => {
                let is_inside = matches!(self.screen, Screen::Call | Screen::CalledIn | Screen::Waiting);
                let wants_back = is_inside && !self.declines;
                vec![if wants_back { self.ask_to_join() } else { StayAction::AskSession }]
            }
            StayInput::Session(session) => self.on_session(*session, now),
            StayInput::Presence(presence) => {
                if presence.party != self.party {
                    self.other_presence = presence.status;
                }
                vec![]
            }
            StayInput::Joined(id, response) => self.on_joined(id, *response, now),
            StayInput::JoinFailed(id, failure) => self.on_join_failed(id, failure, now),
            StayInput::PassRefused if self.in_call && !self.joining.under_way => vec![self.ask_to_join()],
            StayInput::PassRefused => vec![],
            StayInput::Tick => self.on_tick(now),
        }
    }

    fn on_ready(&mut self, check: DeviceCheck) -> Vec<StayAction> {
        (self.ready, self.declines) = (true, false);
        (self.device_check, self.on_purpose) = (Some(check), true);
        vec![self.show(Screen::Waiting), self.ask_to_join()]
    }

    fn on_join(&mut self) -> Vec<StayAction> {
        (self.wants_call, self.on_purpose) = (true, true);
        let mut actions = vec![self.show(Screen::Call)];
        actions.extend(self.settle_gate());
        actions.push(self.ask_to_join());
        actions
    }

    /// On the way in, and after a *Not now*.
    fn may_get_ready(&self) -> bool {
        self.screen == Screen::Check || (self.screen == Screen::Waiting && !self.ready)
    }

    fn on_decline(&mut self) -> Vec<StayAction> {
        (self.ready, self.declines) = (false, true);
        let mut actions = self.wait_on();
        // An answer that is still under way opens no call.
        self.joining = Joining::default();
        actions.push(StayAction::Decline);
        actions
    }

    fn on_declined(&mut self) -> Vec<StayAction> {
        let declined = std::mem::take(&mut self.declines);
        // Called in again meanwhile, or not told of it yet: the session says which.
        if declined && self.is_open() { vec![StayAction::AskSession] } else { vec![] }
    }

    fn ask_to_join(&mut self) -> StayAction {
        self.joins += 1;
        let id = JoinId { entry: self.entry, count: self.joins };
        self.joining = Joining { id: Some(id), under_way: true, ..Joining::default() };
        let on_purpose = std::mem::take(&mut self.on_purpose);
        self.is_unsettled |= on_purpose;
        let request = JoinRequest {
            // Unsaid otherwise: an app that was started again does not know.
            ready: self.ready.then_some(true),
            device_check: self.device_check,
            // While it rings the two connect; the person has not entered yet.
            prepare: !self.wants_call,
            device: Some(self.device),
            by_itself: !on_purpose,
            ..JoinRequest::default()
        };
        StayAction::AskToJoin { id, admit: self.admits, request }
    }

    fn on_joined(&mut self, id: JoinId, response: JoinResponse, now: Now) -> Vec<StayAction> {
        if self.has_left {
            // The service may have heard of the two in either order.
            return vec![StayAction::TellOfLeaving];
        }
        if self.joining.id != Some(id) {
            return vec![]; // Overtaken by a newer one.
        }
        self.joining = Joining { id: Some(id), ..Joining::default() };
        (self.admits, self.is_unsettled) = (false, false);
        // What was heard over the realtime link meanwhile may be newer than this answer.
        let is_old = response.session.revision < self.session.revision;
        let admitted = if is_old { self.session.admitted } else { response.admitted };
        let ends = if is_old { self.session.status } else { response.session.status }.is_final();
        let mut actions = vec![];
        let newer = if is_old { &self.session } else { &response.session };
        let is_elsewhere = !ends && self.is_elsewhere_in(newer);
        // A *Not now* that was pressed while this was under way stands.
        let admitted = admitted && !self.declines;
        let calls = admitted && !ends && !is_elsewhere && !self.is_written();
        match response.access_token.filter(|_| calls) {
            Some(media_token) => {
                // By the service's own clock: this machine's may be wrong.
                let lasts = response.token_expires_at.map(|end| end.duration_since(response.session.as_of));
                let lasts = lasts.and_then(|lasts| Duration::try_from(lasts).ok());
                self.joining.renew_at =
                    lasts.map(|lasts| now + lasts.saturating_sub(RENEW_BEFORE).max(RENEW_AFTER));
                let grant = MediaGrant { media_token, ice_servers: response.ice_servers };
                actions.push(if self.in_call {
                    StayAction::RenewCall(grant)
                } else {
                    StayAction::OpenCall(grant)
                });
                self.in_call = true;
            }
            // Called in after it was asked: asked again, there is a place.
            None if calls && is_old && !self.in_call => actions.push(self.ask_to_join()),
            None => {}
        }
        if is_elsewhere {
            actions.extend(self.go_elsewhere());
        } else if admitted && !ends {
            let screen = if self.wants_call { Screen::Call } else { Screen::CalledIn };
            actions.push(self.show(screen));
        } else if self.party == Party::Patient && !ends {
            actions.extend(self.wait_on());
        }
        actions.extend(self.on_session(response.session, now));
        let waits = self.party == Party::Doctor && !self.is_gone && self.screen != Screen::Elsewhere;
        if waits && !self.session.admitted && self.is_open() {
            // The patient went before the answer came.
            actions.extend(self.nobody_comes());
        }
        actions.extend(self.settle_gate());
        actions
    }

    fn on_join_failed(&mut self, id: JoinId, failure: JoinFailure, now: Now) -> Vec<StayAction> {
        if self.has_left && failure == JoinFailure::Unreachable {
            // It may have been heard all the same, after the leaving.
            return vec![StayAction::TellOfLeaving];
        }
        if self.has_left || self.joining.id != Some(id) {
            return vec![];
        }
        self.joining.under_way = false;
        // One that was not answered may have been heard: asked again, it will be known.
        self.is_unsettled &= failure == JoinFailure::Unreachable;
        match failure {
            JoinFailure::Unreachable => {
                self.joining.again_at = Some(now + ASK_AGAIN);
                vec![]
            }
            JoinFailure::Ended => {
                self.joining = Joining::default();
                vec![StayAction::AskSession]
            }
            JoinFailure::NotAdmitted => {
                self.joining.again_at = Some(now + ASK_AGAIN);
                match self.party {
                    Party::Patient => self.wait_on(),
                    Party::Doctor => vec![],
                }
            }
            JoinFailure::Refused(problem) if self.in_call || (self.wants_call && self.runs()) => {
                self.joining.again_at = Some(now + ASK_AGAIN);
                vec![StayAction::Problem(problem)]
            }
            JoinFailure::Refused(problem) => {
                // The admission before it may have been heard: it must not ring on for nobody.
                let mut actions = vec![StayAction::TellOfLeaving];
                actions.extend(self.go_home());
                actions.push(StayAction::Problem(problem));
                actions
            }
        }
    }

    fn on_session(&mut self, session: Session, now: Now) -> Vec<StayAction> {
        let is_older =
            |new: &Session, known: &Session| (new.revision, new.as_of) < (known.revision, known.as_of);
        if session.session_id != self.session.session_id || is_older(&session, &self.session) {
            return vec![]; // Another visit's, or one that was overtaken on its way.
        }
        let before = std::mem::replace(&mut self.session, session);
        self.session_at = now;
        if self.session.admitted {
            self.was_ready = self.session.patient_ready;
        }
        if let Some(other) = self.session.participants.iter().find(|p| p.party != self.party) {
            self.other_presence = other.status;
        }
        let (status, admitted) = (self.session.status, self.session.admitted);
        // Said *Not now* on another device; what is being asked from here is newer.
        let is_asking = self.joining.under_way || self.joining.again_at.is_some();
        let waits = status == SessionStatus::Waiting && self.screen == Screen::Waiting;
        if self.party == Party::Patient && waits && before.patient_ready && !is_asking {
            self.ready &= self.session.patient_ready;
        }
        if status.is_final() {
            // Somebody who left may still see how it ended.
            if before.status.is_final() && self.screen == Screen::After {
                return vec![];
            }
            let mut actions: Vec<_> = self.close_call().into_iter().collect();
            actions.extend([StayAction::CloseDevices, self.show(Screen::After), StayAction::FetchSummary]);
            return actions;
        }
        if self.has_left {
            return vec![];
        }
        if self.screen == Screen::Elsewhere {
            let is_over = self.party == Party::Doctor && !admitted;
            return if is_over { self.go_home() } else { vec![] };
        }
        if !self.is_unsettled && self.is_elsewhere_in(&self.session) {
            return self.go_elsewhere();
        }
        let asks = !self.in_call && !self.joining.under_way;
        let mut actions = match self.party {
            // The patient went, or did not answer: nobody is coming.
            Party::Doctor if before.admitted && !admitted => self.nobody_comes(),
            Party::Doctor if admitted && self.wants_call && asks && !self.is_written() => {
                vec![self.ask_to_join()]
            }
            Party::Doctor => vec![],
            // Called in: connect at once, so that joining takes no time.
            Party::Patient if admitted && matches!(self.screen, Screen::Waiting | Screen::Check) => {
                if asks && !self.declines { vec![self.ask_to_join()] } else { vec![] }
            }
            Party::Patient if !admitted => {
                // Taken back.
                let mut actions = self.wait_on();
                // A leaving of before was heard of late: this person waits.
                let is_out = status == SessionStatus::Scheduled && self.screen == Screen::Waiting;
                if is_out && !self.joining.under_way {
                    actions.push(self.ask_to_join());
                }
                actions
            }
            Party::Patient => vec![],
        };
        if (before.status == SessionStatus::Paused) != (status == SessionStatus::Paused) {
            actions.extend(self.settle_gate());
        }
        actions
    }

    /// Whether they are in the visit on another device: in the call there, or called in by it.
    fn is_elsewhere_in(&self, session: &Session) -> bool {
        let runs = matches!(session.status, SessionStatus::InProgress | SessionStatus::Paused);
        let is_in_call = runs || (self.party == Party::Doctor && session.admitted);
        is_in_call && session.device(self.party).is_some_and(|device| device != self.device)
    }

    /// Heard and seen there, not here; and only the one there counts as present.
    fn go_elsewhere(&mut self) -> Vec<StayAction> {
        (self.wants_call, self.admits, self.is_unsettled) = (false, false, false);
        self.joining = Joining::default();
        let mut actions: Vec<_> = self.close_call().into_iter().collect();
        actions.extend([StayAction::CloseDevices, StayAction::Unsubscribe, self.show(Screen::Elsewhere)]);
        actions
    }

    /// Leaves the waiting room or the call; a visit that runs can be returned to.
    fn leave(&mut self) -> Vec<StayAction> {
        let runs = self.runs();
        (self.has_left, self.wants_call) = (true, false);
        let mut actions: Vec<_> = self.close_call().into_iter().collect();
        // Not present any more, before the service hears why: the other side is not to wait.
        actions.extend([StayAction::CloseDevices, StayAction::Unsubscribe, StayAction::TellOfLeaving]);
        if runs {
            actions.push(self.show(Screen::After));
        } else {
            self.is_gone = true;
            actions.push(StayAction::Forget);
        }
        actions
    }

    fn on_tick(&mut self, now: Now) -> Vec<StayAction> {
        let mut actions = vec![];
        if self.screen != Screen::CalledIn {
            self.rang_at = None;
        } else if self.rang_at.is_none_or(|at| now >= at + RING_EVERY) {
            self.rang_at = Some(now);
            actions.push(StayAction::Ring);
        }
        if self.joining.is_due(now) {
            actions.push(self.ask_to_join());
        }
        actions
    }

    /// Not called in any more, or not yet: back to waiting, unheard and unseen.
    fn wait_on(&mut self) -> Vec<StayAction> {
        if !matches!(self.screen, Screen::CalledIn | Screen::Call) {
            return vec![];
        }
        self.wants_call = false;
        let again_at = self.joining.again_at;
        let closed = self.close_call();
        self.joining.again_at = again_at;
        closed.into_iter().chain([self.show(Screen::Waiting)]).collect()
    }

    fn nobody_comes(&mut self) -> Vec<StayAction> {
        let waits = self.session.status == SessionStatus::Waiting;
        let code = match waits {
            true if self.was_ready && !self.session.patient_ready => UiCode::Declined,
            true => UiCode::NoAnswer,
            false => UiCode::PatientGone,
        };
        let mut actions = self.go_home();
        actions.push(StayAction::Problem(UiProblem { code, message: String::new() }));
        actions
    }

    fn go_home(&mut self) -> Vec<StayAction> {
        let closed = self.close_call();
        self.is_gone = true;
        let rest = [StayAction::CloseDevices, StayAction::Forget, StayAction::RefreshSessions];
        closed.into_iter().chain(rest).collect()
    }

    fn close_call(&mut self) -> Option<StayAction> {
        // Nothing is wanted any more.
        self.joining = Joining::default();
        std::mem::take(&mut self.in_call).then_some(StayAction::CloseCall)
    }

    /// Whether this person's sound and picture may leave the machine.
    fn opens_gate(&self) -> bool {
        self.wants_call && self.session.status != SessionStatus::Paused && !self.is_written()
    }

    fn settle_gate(&self) -> Option<StayAction> {
        self.in_call.then(|| StayAction::Gate(self.opens_gate()))
    }

    fn show(&mut self, screen: Screen) -> StayAction {
        self.screen = screen;
        StayAction::Show(screen)
    }

    fn runs(&self) -> bool {
        matches!(self.session.status, SessionStatus::InProgress | SessionStatus::Paused)
    }

    const fn is_open(&self) -> bool {
        !self.session.status.is_final()
    }

    fn is_written(&self) -> bool {
        self.session.consultation_mode == ConsultationMode::Chat
    }

    /// The session, as last told.
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// One's own side.
    pub const fn party(&self) -> Party {
        self.party
    }

    /// The other side's link to the service.
    pub const fn other_presence(&self) -> PresenceStatus {
        self.other_presence
    }

    /// Whether the patient may be called in, as they have it.
    pub const fn is_ready(&self) -> bool {
        self.ready
    }

    /// Whether the driver is to have a call.
    pub const fn is_in_call(&self) -> bool {
        self.in_call
    }

    /// Whether the visit's clock runs.
    pub fn clock_runs(&self) -> bool {
        self.session.status == SessionStatus::InProgress
    }

    /// Seconds on the visit's clock at `now`.
    pub fn elapsed_seconds(&self, now: Now) -> u64 {
        let since = if self.clock_runs() { now.saturating_sub(self.session_at).as_secs() } else { 0 };
        self.session.elapsed_seconds + since
    }

    /// Minutes until the visit ends by itself, begun ones counted; only when that is near.
    pub fn minutes_left(&self, now: Now) -> Option<u32> {
        let end = self.session.ends_by_itself?;
        let left = Duration::try_from(end.duration_since(self.session.as_of)).unwrap_or_default();
        let left = left.saturating_sub(now.saturating_sub(self.session_at));
        let minutes = left.as_secs().div_ceil(60);
        (minutes <= WARN_BEFORE_MINUTES).then_some(u32::try_from(minutes).unwrap_or(u32::MAX))
    }
}
