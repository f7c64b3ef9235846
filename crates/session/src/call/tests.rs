//! The call's machine at both ends, in virtual time: what is lost, late, broken or restarted.

use proptest::prelude::*;

use super::*;

/// One end with a stand-in for its connection: descriptions and connectivity, no media.
struct End {
    call: Call,
    /// Number of the connection open now; 0 for none.
    peer: u32,
    peers: u32,
    /// Whether the connection has both descriptions, and of which negotiation.
    local: Option<String>,
    remote: Option<String>,
    outbox: Vec<Signal>,
}

impl End {
    fn begin(session: SessionId, party: Party, now: Now) -> Self {
        let (call, actions) = Call::begin(session, party, PeerId::generate(), now);
        let mut end = Self { call, peer: 0, peers: 0, local: None, remote: None, outbox: vec![] };
        end.perform(actions, now);
        end
    }

    fn input(&mut self, input: CallInput, now: Now) {
        let actions = self.call.handle(input, now);
        self.perform(actions, now);
    }

    fn perform(&mut self, actions: Vec<CallAction>, now: Now) {
        for action in actions {
            match action {
                CallAction::OpenPeer => {
                    self.peers += 1;
                    self.peer = self.peers;
                    (self.local, self.remote) = (None, None);
                }
                CallAction::ClosePeer => {
                    self.peer = 0;
                    (self.local, self.remote) = (None, None);
                }
                CallAction::Offer { .. } => {
                    let sdp = format!("offer {} {}", self.peers, rand_like(now, self.peers));
                    self.local = Some(sdp.clone());
                    self.input(CallInput::Described(sdp), now);
                }
                CallAction::Answer { sdp } => {
                    let answer = format!("answer to {sdp}");
                    (self.remote, self.local) = (Some(sdp), Some(answer.clone()));
                    self.input(CallInput::Described(answer), now);
                }
                CallAction::Accept { sdp } => self.remote = Some(sdp),
                CallAction::AddCandidate { .. } => {}
                CallAction::Send(signal) => self.outbox.push(signal),
            }
        }
    }
}

fn rand_like(now: Now, salt: u32) -> u128 {
    now.as_millis() * 31 + u128::from(salt)
}

/// Two ends and the signalling between them, in virtual time.
struct World {
    ends: [End; 2],
    now: Now,
    /// (when it arrives, at which end, what)
    wire: Vec<(Now, usize, Signal)>,
    link_up: bool,
    media_path: bool,
}

const STEP: Duration = Duration::from_millis(50);

impl World {
    fn new() -> Self {
        let session = SessionId::generate();
        let now = Duration::ZERO;
        let ends = [End::begin(session, Party::Doctor, now), End::begin(session, Party::Patient, now)];
        Self { ends, now, wire: vec![], link_up: true, media_path: true }
    }

    /// A step of time. `lose` says whether a signal is lost, `delay` how long it takes.
    fn step(&mut self, lose: &mut impl FnMut() -> bool, delay: &mut impl FnMut() -> Duration) {
        self.now += STEP;
        let now = self.now;
        for at in 0..2 {
            for signal in std::mem::take(&mut self.ends[at].outbox) {
                if self.link_up && !lose() {
                    self.wire.push((now + delay(), 1 - at, signal));
                }
            }
        }
        // The service keeps the order of what one end sends.
        self.wire.sort_by_key(|(at, _, _)| *at);
        while self.wire.first().is_some_and(|(at, _, _)| *at <= now) {
            let (_, at, signal) = self.wire.remove(0);
            self.ends[at].input(CallInput::Signal(signal), now);
        }
        let matched = self.descriptions_match();
        for at in 0..2 {
            let connected = matches!(self.ends[at].call.phase(), CallPhase::Connected);
            if matched && self.media_path && !connected && self.ends[at].peer != 0 {
                self.ends[at].input(CallInput::Connected, now);
            } else if connected && !(matched && self.media_path) {
                self.ends[at].input(CallInput::Disconnected, now);
            }
            self.ends[at].input(CallInput::Tick, now);
        }
    }

    /// Whether both hold the two halves of one and the same negotiation.
    fn descriptions_match(&self) -> bool {
        let [doctor, patient] = &self.ends;
        doctor.local.is_some()
            && doctor.local == patient.remote
            && patient.local.is_some()
            && doctor.remote == patient.local
    }

    fn run(&mut self, duration: Duration) {
        for _ in 0..duration.as_millis() / STEP.as_millis() {
            self.step(&mut || false, &mut || Duration::from_millis(20));
        }
    }

    fn phases(&self) -> [CallPhase; 2] {
        [self.ends[0].call.phase(), self.ends[1].call.phase()]
    }

    fn connected(&self) -> bool {
        self.phases() == [CallPhase::Connected; 2]
    }
}

#[test]
fn two_ends_find_one_another() {
    let mut world = World::new();
    world.run(Duration::from_millis(400));
    assert!(world.connected(), "{:?}", world.phases());
}

#[test]
fn a_short_break_heals_and_a_long_one_asks() {
    let mut world = World::new();
    world.run(Duration::from_secs(1));
    world.media_path = false;
    world.run(Duration::from_secs(30));
    assert!(matches!(world.phases()[0], CallPhase::Reconnecting { .. }));
    world.media_path = true;
    world.run(Duration::from_secs(10));
    assert!(world.connected(), "{:?}", world.phases());
    world.media_path = false;
    world.run(Duration::from_secs(70));
    assert_eq!(world.phases(), [CallPhase::Lost; 2]);
    world.media_path = true;
    world.run(Duration::from_secs(5));
    assert_eq!(world.phases(), [CallPhase::Lost; 2], "not without being asked");
    let now = world.now;
    world.ends[0].input(CallInput::Rejoin, now);
    world.ends[1].input(CallInput::Rejoin, now);
    world.run(Duration::from_secs(10));
    assert!(world.connected(), "{:?}", world.phases());
}

#[test]
fn an_app_that_starts_again_is_let_back_in() {
    for who in 0..2 {
        let mut world = World::new();
        world.run(Duration::from_secs(1));
        let party = [Party::Doctor, Party::Patient][who];
        let session = world.ends[who].call.session;
        world.ends[who] = End::begin(session, party, world.now);
        world.run(Duration::from_secs(3));
        assert!(world.connected(), "{party:?}: {:?}", world.phases());
    }
}

#[test]
fn what_is_stale_is_ignored() {
    let mut world = World::new();
    world.run(Duration::from_secs(1));
    let before = world.ends[1].peers;
    let stranger = PeerId::generate();
    let patient = &mut world.ends[1];
    let signal = |from, to, body| Signal { session_id: patient.call.session, from, to, body };
    let answers = [
        signal(stranger, Some(patient.call.me()), SignalBody::Bye),
        signal(patient.call.other.unwrap(), Some(stranger), SignalBody::Bye),
        signal(patient.call.other.unwrap(), None, SignalBody::Answer { negotiation: 9, sdp: "x".into() }),
    ];
    for signal in answers {
        let now = world.now;
        world.ends[1].input(CallInput::Signal(signal), now);
    }
    assert!(world.connected());
    assert_eq!(world.ends[1].peers, before);
}

#[derive(Clone, Debug)]
enum Trouble {
    Nothing,
    LinkDown,
    LinkUp,
    PathDown,
    PathUp,
    Restart(usize),
    Fail(usize),
    Rejoin(usize),
}

fn any_trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        4 => Just(Trouble::Nothing),
        1 => Just(Trouble::LinkDown),
        2 => Just(Trouble::LinkUp),
        1 => Just(Trouble::PathDown),
        2 => Just(Trouble::PathUp),
        1 => (0_usize..2).prop_map(Trouble::Restart),
        1 => (0_usize..2).prop_map(Trouble::Fail),
        1 => (0_usize..2).prop_map(Trouble::Rejoin),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is lost, delayed, restarted or broken: once the networks work, both ends are
    /// connected within half a minute, at the most after pressing *Rejoin*.
    #[test]
    fn nobody_is_ever_stuck(
        troubles in prop::collection::vec((any_trouble(), 1_u32..80), 0..12),
        losses in prop::collection::vec(any::<bool>(), 64),
        delays in prop::collection::vec(0_u64..400, 64),
    ) {
        let mut world = World::new();
        let (mut n, mut m) = (0, 0);
        // A third of the signals is lost while there is trouble.
        let mut lose = || { n += 1; losses[n % 64] && n % 3 == 0 };
        let mut delay = || { m += 1; Duration::from_millis(delays[m % 64]) };
        for (trouble, steps) in troubles {
            let now = world.now;
            match trouble {
                Trouble::Nothing => {}
                Trouble::LinkDown => world.link_up = false,
                Trouble::LinkUp => {
                    world.link_up = true;
                    for end in &mut world.ends {
                        end.input(CallInput::LinkUp, now);
                    }
                }
                Trouble::PathDown => world.media_path = false,
                Trouble::PathUp => world.media_path = true,
                Trouble::Restart(who) => {
                    let (session, party) = (world.ends[who].call.session, world.ends[who].call.party);
                    world.ends[who] = End::begin(session, party, now);
                }
                Trouble::Fail(who) => world.ends[who].input(CallInput::Failed, now),
                Trouble::Rejoin(who) => world.ends[who].input(CallInput::Rejoin, now),
            }
            for _ in 0..steps {
                world.step(&mut lose, &mut delay);
            }
        }
        world.link_up = true;
        world.media_path = true;
        let now = world.now;
        for end in &mut world.ends {
            end.input(CallInput::LinkUp, now);
            if end.call.phase() == CallPhase::Lost {
                end.input(CallInput::Rejoin, now);
            }
        }
        world.run(Duration::from_secs(30));
        prop_assert!(world.connected(), "{:?}", world.phases());
        // And everything can be left.
        let now = world.now;
        for end in &mut world.ends {
            end.input(CallInput::Leave, now);
            prop_assert_eq!(end.call.phase(), CallPhase::Closed);
            prop_assert_eq!(end.peer, 0, "no connection is left open");
        }
    }
}

#[test]
fn a_flood_of_strangers_opens_few_connections() {
    let session = SessionId::generate();
    let mut end = End::begin(session, Party::Patient, Now::ZERO);
    for n in 0..500_u64 {
        let body = SignalBody::Hello { reply: false };
        let hello = Signal { session_id: session, from: PeerId::generate(), to: None, body };
        end.input(CallInput::Signal(hello), Now::from_millis(n * 10));
    }
    assert!(end.peers <= 7, "{} in five seconds", end.peers);
}
