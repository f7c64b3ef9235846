//! Stays against the service's own state machine, with news that is late, repeated, reordered or
//! lost, and people who press what they see.

use bedside_consult::{Consultation, Input, session::Limits};
use bedside_protocol::{AppointmentId, Role, SessionId, Text, User, UserId};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;

mod not_now;
mod two_devices;

const START: Timestamp = Timestamp::constant(1_800_000_000, 0);
const CHECK: DeviceCheck = DeviceCheck { camera: true, microphone: true, speaker: true };

fn person(role: Role) -> User {
    User { id: UserId::generate(), role, name: Text::new("Anyone"), specialization: None }
}

/// The doctor's device, the patient's, and the patient's other one.
fn devices() -> [DeviceId; 3] {
    ['1', '2', '3'].map(|n| format!("00000000-0000-7000-8000-00000000000{n}").parse().unwrap())
}

fn device() -> DeviceId {
    devices()[1]
}

fn ms(now: Now) -> SignedDuration {
    SignedDuration::try_from(now).unwrap()
}

/// The service: the real state machine, and every state that it was in.
struct Service {
    consultation: Consultation,
    template: Session,
    history: Vec<Session>,
}

impl Service {
    fn new(mode: ConsultationMode) -> Self {
        let template = Session {
            session_id: SessionId::generate(),
            appointment_id: AppointmentId::generate(),
            status: SessionStatus::Scheduled,
            end_reason: None,
            consultation_mode: mode,
            scheduled_start_time: START,
            scheduled_duration_minutes: 15,
            room_name: "room".into(),
            patient: person(Role::Patient),
            doctor: person(Role::Doctor),
            waiting_since: None,
            patient_ready: false,
            device_check: None,
            admitted: false,
            actual_start_time: None,
            actual_end_time: None,
            patient_joined_at: None,
            doctor_joined_at: None,
            created_at: None,
            updated_at: None,
            clinic_id: None,
            elapsed_seconds: 0,
            revision: 0,
            as_of: START,
            place_in_line: None,
            expected_wait_minutes: None,
            ends_by_itself: None,
            recalled_from: None,
            patient_device: None,
            doctor_device: None,
            participants: vec![],
        };
        let consultation = Consultation::scheduled(START, SignedDuration::from_mins(15));
        Self { consultation, history: vec![template.clone()], template }
    }

    fn latest(&self) -> Session {
        self.history.last().unwrap().clone()
    }

    /// Applies an input; true when something changed, and everybody is to be told.
    fn apply(&mut self, input: Input, now: Now) -> bool {
        let at = START + ms(now);
        let before = self.consultation.clone();
        let taken = self.consultation.apply(input, at, &Limits::default()).is_ok();
        if !taken || before == self.consultation {
            return false;
        }
        let c = &self.consultation;
        self.history.push(Session {
            status: c.status,
            end_reason: c.end_reason,
            admitted: c.admitted,
            patient_ready: c.ready,
            actual_start_time: c.started_at,
            elapsed_seconds: u64::try_from(c.elapsed(at).as_secs()).unwrap(),
            ends_by_itself: c.ends_by_itself(&Limits::default()),
            patient_device: c.patient_device,
            doctor_device: c.doctor_device,
            revision: self.history.len() as u64,
            as_of: at,
            ..self.template.clone()
        });
        true
    }

    /// `POST …/join`, after `…/admit` where that is asked for too.
    fn join(
        &mut self,
        party: Party,
        admit: bool,
        request: &JoinRequest,
        now: Now,
    ) -> Result<JoinResponse, JoinFailure> {
        if admit {
            self.apply(Input::Admit, now);
        }
        if self.consultation.status.is_final() {
            return Err(JoinFailure::Ended);
        }
        if party == Party::Patient {
            self.apply(Input::Enter { ready: request.ready, device_check: request.device_check }, now);
        }
        let device = request.device.expect("this client says on which device");
        let (enters, on_purpose) = (!request.prepare, !request.by_itself);
        self.apply(Input::Sit { party, device, enters, on_purpose }, now);
        let is_here = self.consultation.device(party) == Some(device);
        let admitted = self.consultation.may_join(party);
        if admitted && is_here && enters {
            self.apply(Input::Join(party), now);
        }
        let answer = self.answer(self.latest(), admitted, START + ms(now));
        Ok(JoinResponse { access_token: answer.access_token.filter(|_| is_here), ..answer })
    }

    fn answer(&self, session: Session, admitted: bool, at: Timestamp) -> JoinResponse {
        JoinResponse {
            admitted,
            access_token: admitted.then(|| "media".into()),
            room_name: "room".into(),
            identity: self.template.patient.id,
            participant_type: Party::Patient,
            ice_servers: vec![],
            token_expires_at: admitted.then(|| at + SignedDuration::from_hours(1)),
            session,
        }
    }
}

/// What the driver would have, and what must hold of it after every step.
#[derive(Default)]
struct Driver {
    call: bool,
    gate: bool,
    agreed: bool,
    gone: bool,
    asked: Vec<(JoinId, bool, JoinRequest)>,
    rings: usize,
    problems: Vec<UiCode>,
}

impl Driver {
    fn follow(&mut self, stay: &Stay, actions: &[StayAction]) -> Result<(), TestCaseError> {
        prop_assert!(!self.gone || actions.is_empty(), "nothing is done for somebody who is gone");
        for action in actions {
            match action {
                StayAction::OpenCall(_) => {
                    prop_assert!(!self.call && !stay.is_written());
                    self.call = true;
                }
                StayAction::RenewCall(_) => prop_assert!(self.call),
                StayAction::CloseCall => {
                    prop_assert!(self.call);
                    (self.call, self.gate) = (false, false);
                }
                StayAction::Gate(open) => {
                    prop_assert!(self.call);
                    self.gate = *open;
                }
                StayAction::AskToJoin { id, admit, request } => {
                    prop_assert!(!stay.has_left);
                    prop_assert!(self.asked.iter().all(|(known, ..)| known != id));
                    self.asked.push((*id, *admit, request.clone()));
                }
                StayAction::Show(Screen::Waiting) => self.agreed = false,
                StayAction::Show(screen) => prop_assert!(!stay.has_left || *screen == Screen::After),
                StayAction::Forget => self.gone = true,
                StayAction::Ring => self.rings += 1,
                StayAction::Problem(problem) => self.problems.push(problem.code),
                _ => {}
            }
        }
        prop_assert_eq!(self.call, stay.is_in_call());
        let may_be_seen = self.agreed && stay.session.status != SessionStatus::Paused;
        prop_assert!(!self.gate || may_be_seen, "nobody is seen who has not agreed, nor on hold");
        prop_assert!(
            self.gone || !stay.session.status.is_final() || !self.call,
            "an ended visit has no call"
        );
        // From everywhere there is a way out.
        let mut out = stay.clone();
        out.handle(StayInput::Leave, Duration::ZERO);
        prop_assert!(out.is_gone || out.screen == Screen::After);
        prop_assert!(!out.in_call);
        Ok(())
    }
}

/// Something that happens to one stay, by chance.
#[derive(Clone, Debug)]
enum Step {
    Service(Input, u64),
    Press(StayInput),
    /// Any state that was, told again.
    Told(usize),
    /// The answer to any join that was asked.
    Answered(usize, usize),
    Failed(usize, JoinFailure),
    LinkUp,
    Wait(u64),
}

fn problem() -> UiProblem {
    UiProblem { code: UiCode::Other, message: String::new() }
}

fn any_step() -> impl Strategy<Value = Step> {
    let party = prop_oneof![Just(Party::Patient), Just(Party::Doctor)];
    let input = prop_oneof![
        any::<Option<bool>>().prop_map(|ready| Input::Enter { ready, device_check: None }),
        Just(Input::Admit),
        party.clone().prop_map(Input::Join),
        party.clone().prop_map(Input::Leave),
        Just(Input::Decline),
        Just(Input::Pause),
        Just(Input::Resume),
        Just(Input::End),
        Just(Input::Tick),
    ];
    let press = prop_oneof![
        Just(StayInput::Ready(CHECK)),
        Just(StayInput::Join),
        Just(StayInput::Decline),
        Just(StayInput::Declined),
        Just(StayInput::Leave),
        Just(StayInput::End),
        Just(StayInput::PassRefused),
    ];
    let failure = prop_oneof![
        Just(JoinFailure::Unreachable),
        Just(JoinFailure::Ended),
        Just(JoinFailure::NotAdmitted),
        Just(JoinFailure::Refused(problem())),
    ];
    prop_oneof![
        4 => (input, 0_u64..90_000).prop_map(|(input, wait)| Step::Service(input, wait)),
        2 => press.prop_map(Step::Press),
        4 => any::<usize>().prop_map(Step::Told),
        4 => any::<(usize, usize)>().prop_map(|(join, state)| Step::Answered(join, state)),
        1 => (any::<usize>(), failure).prop_map(|(join, failure)| Step::Failed(join, failure)),
        1 => Just(Step::LinkUp),
        2 => (0_u64..5_000).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whatever comes in whatever order: nobody is seen who has not agreed, no call outlives its
    /// visit, an overtaken answer changes nothing, and there is always a way out.
    #[test]
    fn any_order_of_news_is_survived(
        is_doctor in any::<bool>(),
        mode in prop_oneof![Just(ConsultationMode::Video), Just(ConsultationMode::Chat)],
        steps in prop::collection::vec(any_step(), 0..60),
    ) {
        let mut service = Service::new(mode);
        let party = if is_doctor { Party::Doctor } else { Party::Patient };
        let mut now = Duration::ZERO;
        if is_doctor {
            service.apply(Input::Enter { ready: Some(true), device_check: None }, now);
        }
        let (mut stay, actions) = Stay::begin(service.latest(), party, device(), 1, CHECK, now);
        let mut driver = Driver { agreed: is_doctor, ..Driver::default() };
        driver.follow(&stay, &actions)?;
        for step in steps {
            let input = match step {
                Step::Service(input, wait) => {
                    now += Duration::from_millis(wait);
                    service.apply(input, now);
                    continue;
                }
                Step::Press(input) => input,
                Step::Told(at) => {
                    let told = service.history[at % service.history.len()].clone();
                    StayInput::Session(Box::new(told))
                }
                Step::Answered(join, at) if !driver.asked.is_empty() => {
                    let (id, ..) = driver.asked[join % driver.asked.len()];
                    let session = service.history[at % service.history.len()].clone();
                    let (admitted, at) = (session.admitted, session.as_of);
                    StayInput::Joined(id, Box::new(service.answer(session, admitted, at)))
                }
                Step::Failed(join, failure) if !driver.asked.is_empty() => {
                    StayInput::JoinFailed(driver.asked[join % driver.asked.len()].0, failure)
                }
                Step::LinkUp => StayInput::LinkUp,
                Step::Wait(wait) => {
                    now += Duration::from_millis(wait);
                    StayInput::Tick
                }
                Step::Answered(..) | Step::Failed(..) => continue,
            };
            let before = stay.clone();
            driver.agreed |= input == StayInput::Join && stay.screen == Screen::CalledIn;
            let actions = stay.handle(input.clone(), now);
            driver.follow(&stay, &actions)?;
            prop_assert!(stay.session.revision >= before.session.revision, "news never goes back");
            if let StayInput::Joined(id, _) | StayInput::JoinFailed(id, _) = input
                && before.joining.id != Some(id)
                && !before.has_left
            {
                prop_assert!(actions.is_empty() && stay == before, "an overtaken answer changes nothing");
            }
        }
    }
}

/// Both, the service, and the wires between them.
struct World {
    service: Service,
    ends: [Option<(Stay, Driver)>; 3],
    now: Now,
    entries: u64,
    link_up: [bool; 3],
    /// (when it arrives, at which end, of which entry, what)
    wire: Vec<(Now, usize, u64, StayInput)>,
    /// (when it arrives, from which end, of which entry, what)
    asked: Vec<(Now, usize, u64, Ask)>,
}

#[derive(Clone, Debug)]
enum Ask {
    Join(JoinId, bool, JoinRequest),
    Session,
    Leave,
    Decline,
    End,
}

/// The ends: a doctor's, a patient's, and the same patient's on another device.
const PARTIES: [Party; 3] = [Party::Doctor, Party::Patient, Party::Patient];
const STEP: Duration = Duration::from_millis(50);

impl World {
    fn new(mode: ConsultationMode) -> Self {
        Self {
            service: Service::new(mode),
            ends: [None, None, None],
            now: Duration::ZERO,
            entries: 0,
            link_up: [true; 3],
            wire: vec![],
            asked: vec![],
        }
    }

    fn enter(&mut self, at: usize) -> Result<(), TestCaseError> {
        if self.ends[at].is_some() || self.service.consultation.status.is_final() {
            return Ok(());
        }
        self.entries += 1;
        // A leaving of before is no longer told.
        self.asked.retain(|(_, end, _, ask)| *end != at || !matches!(ask, Ask::Leave));
        let (stay, actions) =
            Stay::begin(self.service.latest(), PARTIES[at], devices()[at], self.entries, CHECK, self.now);
        let agreed = at == 0 || stay.runs();
        self.ends[at] = Some((stay, Driver { agreed, ..Driver::default() }));
        self.follow(at, &actions)
    }

    fn input(&mut self, at: usize, input: StayInput) -> Result<(), TestCaseError> {
        let Some((stay, driver)) = &mut self.ends[at] else { return Ok(()) };
        driver.agreed |= input == StayInput::Join && stay.screen == Screen::CalledIn;
        let actions = stay.handle(input, self.now);
        self.follow(at, &actions)
    }

    fn follow(&mut self, at: usize, actions: &[StayAction]) -> Result<(), TestCaseError> {
        let Some((stay, driver)) = &mut self.ends[at] else { return Ok(()) };
        driver.follow(stay, actions)?;
        let (entry, gone) = (stay.entry, driver.gone);
        for action in actions {
            let ask = match action {
                StayAction::AskToJoin { id, admit, request } => Ask::Join(*id, *admit, request.clone()),
                StayAction::AskSession => Ask::Session,
                StayAction::TellOfLeaving => Ask::Leave,
                StayAction::EndForBoth => Ask::End,
                StayAction::Decline => Ask::Decline,
                _ => continue,
            };
            self.asked.push((self.now, at, entry, ask));
        }
        if gone {
            self.ends[at] = None;
        }
        Ok(())
    }

    /// A step of time; `delay` says how long something takes on its way, `lose` whether an answer
    /// is lost.
    fn step(
        &mut self,
        delay: &mut impl FnMut() -> Duration,
        lose: &mut impl FnMut() -> bool,
    ) -> Result<(), TestCaseError> {
        self.now += STEP;
        let now = self.now;
        let mut changed = self.service.apply(Input::Tick, now);
        let due: Vec<_> = self.asked.extract_if(.., |(at, ..)| *at <= now).collect();
        for (_, at, entry, ask) in due {
            let lost = !self.link_up[at] || lose();
            // An answer may be lost after it was heard.
            let heard = self.link_up[at];
            let answer = match &ask {
                _ if !heard => None,
                Ask::Join(id, admit, request) => {
                    let before = self.service.history.len();
                    let joined = self.service.join(PARTIES[at], *admit, request, now);
                    changed |= self.service.history.len() > before;
                    Some(match joined {
                        Ok(response) => StayInput::Joined(*id, Box::new(response)),
                        Err(failure) => StayInput::JoinFailed(*id, failure),
                    })
                }
                Ask::Session => Some(StayInput::Session(Box::new(self.service.latest()))),
                Ask::Leave => {
                    changed |= self.service.apply(Input::LeaveOn(PARTIES[at], devices()[at]), now);
                    None
                }
                Ask::Decline => {
                    changed |= self.service.apply(Input::Decline, now);
                    Some(StayInput::Declined)
                }
                Ask::End => {
                    changed |= self.service.apply(Input::End, now);
                    Some(StayInput::Session(Box::new(self.service.latest())))
                }
            };
            match (ask, answer) {
                (_, Some(answer)) if !lost => self.wire.push((now + delay(), at, entry, answer)),
                (Ask::Join(id, ..), _) => {
                    let failed = StayInput::JoinFailed(id, JoinFailure::Unreachable);
                    self.wire.push((now + Duration::from_secs(2), at, entry, failed));
                }
                // The others go on being asked.
                (ask, _) if lost => self.asked.push((now + ASK_AGAIN, at, entry, ask)),
                _ => {}
            }
        }
        if changed {
            for at in 0..PARTIES.len() {
                if self.link_up[at] {
                    let told = StayInput::Session(Box::new(self.service.latest()));
                    self.wire.push((now + delay(), at, 0, told));
                }
            }
        }
        self.wire.sort_by_key(|(at, ..)| *at);
        while self.wire.first().is_some_and(|(at, ..)| *at <= now) {
            let (_, at, entry, input) = self.wire.remove(0);
            let is_here = self.ends[at].as_ref().is_some_and(|(stay, _)| entry == 0 || stay.entry == entry);
            let is_join =
                matches!(input, StayInput::Joined(..) | StayInput::JoinFailed(_, JoinFailure::Unreachable));
            if is_here {
                self.input(at, input)?;
            } else if is_join && self.ends[at].is_none() {
                // As the driver: gone while this was under way.
                self.asked.push((now, at, entry, Ask::Leave));
            }
        }
        for at in 0..PARTIES.len() {
            self.input(at, StayInput::Tick)?;
        }
        Ok(())
    }

    /// Everything works for a while, and people press what they see.
    fn calm(&mut self) -> Result<(), TestCaseError> {
        self.link_up = [true; 3];
        for at in 0..PARTIES.len() {
            self.input(at, StayInput::LinkUp)?;
        }
        for _ in 0..800 {
            self.step(&mut || Duration::from_millis(30), &mut || false)?;
        }
        // What time did in the last of them, such as taking a calling-in back, is still on its way.
        for _ in 0..100 {
            if self.wire.is_empty() {
                break;
            }
            self.step(&mut || Duration::from_millis(30), &mut || false)?;
        }
        Ok(())
    }

    fn screen(&self, at: usize) -> Option<Screen> {
        self.ends[at].as_ref().map(|(stay, _)| stay.screen)
    }
}

#[derive(Clone, Debug)]
enum Happening {
    Enter(usize),
    Press(usize, StayInput),
    Link(usize, bool),
    Hold(bool),
    Pass(u64),
}

fn any_happening() -> impl Strategy<Value = Happening> {
    let press = prop_oneof![
        3 => Just(StayInput::Ready(CHECK)),
        3 => Just(StayInput::Join),
        1 => Just(StayInput::Decline),
        1 => Just(StayInput::Leave),
        1 => Just(StayInput::End),
    ];
    prop_oneof![
        3 => (0_usize..2).prop_map(Happening::Enter),
        4 => ((0_usize..2), press).prop_map(|(at, input)| Happening::Press(at, input)),
        2 => (0_usize..2, any::<bool>()).prop_map(|(at, up)| Happening::Link(at, up)),
        1 => any::<bool>().prop_map(Happening::Hold),
        6 => (1_u64..60).prop_map(Happening::Pass),
    ]
}

proptest! {
    // A case takes a fifth of a millisecond, and what goes wrong between two takes many.
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Two people, a service, wires that delay and lose: once it is calm, each sees what is.
    #[test]
    fn nobody_is_left_waiting_for_nobody(
        happenings in prop::collection::vec(any_happening(), 0..50),
        delays in prop::collection::vec((0_u64..1_500, prop::bool::weighted(0.15)), 1..40),
    ) {
        let mut world = World::new(ConsultationMode::Video);
        let mut at = 0;
        let chances = delays.clone();
        let mut chance = move || { at += 1; chances[at % chances.len()] };
        for happening in happenings {
            match happening {
                // A doctor calls in whoever waits, or goes back; a patient enters what is open.
                Happening::Enter(0) => {
                    let may = !matches!(world.service.consultation.status, SessionStatus::Scheduled);
                    if may { world.enter(0)?; }
                }
                Happening::Enter(at) => world.enter(at)?,
                Happening::Press(at, StayInput::End) if at == 1 => world.input(at, StayInput::Leave)?,
                Happening::Press(at, input) => world.input(at, input)?,
                Happening::Link(at, up) => {
                    world.link_up[at] = up;
                    if up { world.input(at, StayInput::LinkUp)?; }
                }
                Happening::Hold(on) => {
                    let now = world.now;
                    world.service.apply(if on { Input::Pause } else { Input::Resume }, now);
                }
                Happening::Pass(steps) => {
                    for _ in 0..steps {
                        let (delay, lost) = chance();
                        world.step(&mut || Duration::from_millis(delay), &mut || lost)?;
                    }
                }
            }
        }
        world.calm()?;
        let c = &world.service.consultation;
        let (doctor, patient) = (world.screen(0), world.screen(1));
        let ends = &world.ends;
        let in_call = |at: usize| ends[at].as_ref().is_some_and(|(stay, driver)| stay.is_in_call() && driver.call);
        match c.status {
            status if status.is_final() => {
                for (at, screen) in [doctor, patient].into_iter().enumerate() {
                    prop_assert!(matches!(screen, None | Some(Screen::After)), "{screen:?} of an ended visit");
                    prop_assert!(!in_call(at));
                }
            }
            SessionStatus::InProgress | SessionStatus::Paused => {
                for (at, screen) in [doctor, patient].into_iter().enumerate() {
                    // Whoever is neither gone nor has left is in it, seen and heard unless on hold.
                    prop_assert!(matches!(screen, None | Some(Screen::After | Screen::Call | Screen::CalledIn | Screen::Check)), "{screen:?}");
                    if screen == Some(Screen::Call) {
                        prop_assert!(in_call(at), "end {at} is in the call");
                        let gate = ends[at].as_ref().is_some_and(|(_, driver)| driver.gate);
                        prop_assert_eq!(gate, c.status == SessionStatus::InProgress);
                    }
                }
            }
            _ if c.admitted => {
                prop_assert_eq!(doctor, Some(Screen::Call), "it rings for somebody");
                prop_assert!(matches!(patient, None | Some(Screen::CalledIn | Screen::Call | Screen::Check)), "{patient:?}");
            }
            _ => {
                prop_assert_eq!(doctor, None, "nobody is called");
                prop_assert!(matches!(patient, None | Some(Screen::Check | Screen::Waiting)), "{patient:?}");
                prop_assert!(patient != Some(Screen::Waiting) || c.status == SessionStatus::Waiting, "who waits is seen to wait");
            }
        }
    }
}

/// A patient who is being called in, and the service.
fn called_in(mode: ConsultationMode) -> (Service, Stay, Vec<StayAction>) {
    let mut service = Service::new(mode);
    let now = Duration::ZERO;
    let (mut stay, mut actions) = Stay::begin(service.latest(), Party::Patient, device(), 1, CHECK, now);
    if mode != ConsultationMode::Chat {
        actions = stay.handle(StayInput::Ready(CHECK), now);
    }
    let asked = asks(&actions);
    let waiting = service.join(Party::Patient, false, &asked[0].1, now).unwrap();
    assert_eq!(stay.handle(StayInput::Joined(asked[0].0, Box::new(waiting)), now), []);
    service.apply(Input::Admit, now);
    let actions = stay.handle(StayInput::Session(Box::new(service.latest())), now);
    (service, stay, actions)
}

fn asks(actions: &[StayAction]) -> Vec<(JoinId, JoinRequest)> {
    let asked = actions.iter().filter_map(|action| match action {
        StayAction::AskToJoin { id, request, .. } => Some((*id, request.clone())),
        _ => None,
    });
    asked.collect()
}

#[test]
fn it_connects_while_it_rings_and_shows_nobody_before_join() {
    let (mut service, mut stay, actions) = called_in(ConsultationMode::Video);
    let now = Duration::from_secs(1);
    let [(id, request)] = asks(&actions).try_into().unwrap();
    assert!(request.prepare && request.ready == Some(true));
    let answer = service.join(Party::Patient, false, &request, now).unwrap();
    let actions = stay.handle(StayInput::Joined(id, Box::new(answer)), now);
    assert!(matches!(
        actions[..],
        [StayAction::OpenCall(_), StayAction::Show(Screen::CalledIn), StayAction::Gate(false)]
    ));
    let rings =
        (0..7).filter(|s| stay.handle(StayInput::Tick, now + Duration::from_secs(*s)) == [StayAction::Ring]);
    assert_eq!(rings.count(), 3, "every three seconds");
    let actions = stay.handle(StayInput::Join, now);
    assert_eq!(actions[..2], [StayAction::Show(Screen::Call), StayAction::Gate(true)]);
    assert!(!asks(&actions)[0].1.prepare, "now they enter");
}

#[test]
fn an_answer_of_before_the_calling_in_is_asked_again() {
    let mut service = Service::new(ConsultationMode::Video);
    let now = Duration::ZERO;
    let (mut stay, _) = Stay::begin(service.latest(), Party::Patient, device(), 1, CHECK, now);
    let [(id, request)] = asks(&stay.handle(StayInput::Ready(CHECK), now)).try_into().unwrap();
    let waiting = service.join(Party::Patient, false, &request, now).unwrap();
    service.apply(Input::Admit, now);
    let told = stay.handle(StayInput::Session(Box::new(service.latest())), now);
    assert_eq!(told, [], "it is being asked already");
    let actions = stay.handle(StayInput::Joined(id, Box::new(waiting)), now);
    assert_eq!(asks(&actions).len(), 1, "there is a place now: {actions:?}");
}

#[test]
fn who_has_left_is_not_brought_back_by_a_late_answer() {
    let mut service = Service::new(ConsultationMode::Video);
    let now = Duration::ZERO;
    service.apply(Input::Enter { ready: Some(true), device_check: None }, now);
    service.apply(Input::Admit, now);
    service.apply(Input::Join(Party::Patient), now);
    let (mut stay, actions) = Stay::begin(service.latest(), Party::Patient, device(), 1, CHECK, now);
    let [(id, request)] = asks(&actions).try_into().unwrap();
    assert!(stay.handle(StayInput::Leave, now).contains(&StayAction::Show(Screen::After)));
    let answer = service.join(Party::Patient, false, &request, now).unwrap();
    assert_eq!(stay.handle(StayInput::Joined(id, Box::new(answer)), now), [StayAction::TellOfLeaving]);
    let lost = StayInput::JoinFailed(id, JoinFailure::Unreachable);
    assert_eq!(stay.handle(lost, now), [StayAction::TellOfLeaving], "it may have been heard all the same");
}

#[test]
fn a_calling_in_that_was_refused_half_way_rings_for_nobody() {
    let mut service = Service::new(ConsultationMode::Video);
    let now = Duration::ZERO;
    service.apply(Input::Enter { ready: Some(true), device_check: None }, now);
    let (mut stay, actions) = Stay::begin(service.latest(), Party::Doctor, device(), 1, CHECK, now);
    let [(id, _)] = asks(&actions).try_into().unwrap();
    let actions = stay.handle(StayInput::JoinFailed(id, JoinFailure::Refused(problem())), now);
    assert_eq!(actions.first(), Some(&StayAction::TellOfLeaving), "the admission may have been heard");
    assert!(actions.contains(&StayAction::Forget));
}

#[test]
fn a_media_token_is_renewed_before_it_ends_and_the_call_goes_on() {
    let (mut service, mut stay, actions) = called_in(ConsultationMode::Video);
    let [(id, request)] = asks(&actions).try_into().unwrap();
    let now = Duration::ZERO;
    let answer = service.join(Party::Patient, false, &request, now).unwrap();
    stay.handle(StayInput::Joined(id, Box::new(answer)), now);
    let minutes = |count: u64| Duration::from_secs(count * 60);
    assert_eq!(asks(&stay.handle(StayInput::Tick, minutes(54))), []);
    let [(id, request)] = asks(&stay.handle(StayInput::Tick, minutes(55))).try_into().unwrap();
    assert_eq!(asks(&stay.handle(StayInput::Tick, minutes(56))), [], "it is under way");
    let late = stay.handle(StayInput::JoinFailed(id, JoinFailure::Unreachable), minutes(56));
    assert_eq!(late, []);
    let again = asks(&stay.handle(StayInput::Tick, minutes(56) + ASK_AGAIN));
    assert_eq!(again[0].1, request);
    let answer = service.join(Party::Patient, false, &request, now).unwrap();
    let actions = stay.handle(StayInput::Joined(again[0].0, Box::new(answer)), minutes(57));
    assert!(matches!(actions[0], StayAction::RenewCall(_)), "{actions:?}");
    assert!(!actions.contains(&StayAction::CloseCall));
}

#[test]
fn a_visit_in_writing_has_no_call() {
    let (mut service, mut stay, actions) = called_in(ConsultationMode::Chat);
    let [(id, request)] = asks(&actions).try_into().unwrap();
    let answer = service.join(Party::Patient, false, &request, Duration::ZERO).unwrap();
    let actions = stay.handle(StayInput::Joined(id, Box::new(answer)), Duration::ZERO);
    assert_eq!(actions, [StayAction::Show(Screen::CalledIn)]);
    assert!(!stay.is_in_call());
}

#[test]
fn a_doctor_is_told_when_nobody_comes() {
    for (input, code) in [
        (Input::Tick, UiCode::NoAnswer),
        (Input::Decline, UiCode::Declined),
        (Input::Leave(Party::Patient), UiCode::PatientGone),
    ] {
        let mut service = Service::new(ConsultationMode::Video);
        let now = Duration::ZERO;
        service.apply(Input::Enter { ready: Some(true), device_check: None }, now);
        let (mut stay, actions) = Stay::begin(service.latest(), Party::Doctor, device(), 1, CHECK, now);
        let [(id, request)] = asks(&actions).try_into().unwrap();
        let answer = service.join(Party::Doctor, true, &request, now).unwrap();
        stay.handle(StayInput::Joined(id, Box::new(answer)), now);
        assert!(stay.is_in_call());
        assert!(service.apply(input, Duration::from_secs(61)));
        let actions = stay.handle(StayInput::Session(Box::new(service.latest())), Duration::from_secs(61));
        assert_eq!(actions.first(), Some(&StayAction::CloseCall));
        assert!(matches!(actions.last(), Some(StayAction::Problem(problem)) if problem.code == code));
    }
}

#[test]
fn both_are_told_five_minutes_before_the_visit_ends_by_itself() {
    let (mut service, mut stay, _) = called_in(ConsultationMode::Video);
    service.apply(Input::Join(Party::Patient), Duration::ZERO);
    stay.handle(StayInput::Session(Box::new(service.latest())), Duration::ZERO);
    let at = |seconds| stay.minutes_left(Duration::from_secs(seconds));
    assert_eq!((at(0), at(40 * 60 - 1)), (None, None));
    assert_eq!((at(40 * 60), at(44 * 60), at(44 * 60 + 1)), (Some(5), Some(1), Some(1)));
    assert_eq!(at(46 * 60), Some(0));
    assert_eq!(stay.elapsed_seconds(Duration::from_secs(90)), 90);
}
