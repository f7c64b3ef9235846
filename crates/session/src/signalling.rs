//! How the ends of a call find one another, in whatever words their service has for it.
//!
//! A dialect is a machine like all here: signals, what the connection tells and the time go in, what the
//! driver is to do comes out. What a person sees of it (calling, connecting, connected, reconnecting, lost, and
//! the minute of [`crate::link::RECONNECTION_WINDOW`]) is the same in all.

use bedside_protocol::{Dialect, Party, PeerId, SessionId};

use crate::call::{Call, CallAction, CallInput, CallPhase, Now, SentMedia};
use crate::snapshot::Participant;

/// One end of a call, in one dialect.
pub trait Signalling: Send {
    /// What is to be done about `input`.
    fn handle(&mut self, input: CallInput, now: Now) -> Vec<CallAction>;

    /// How the call stands.
    fn phase(&self) -> CallPhase;

    /// What the other end says that it sends; none until it has.
    fn remote(&self) -> Option<SentMedia>;

    /// Who else is in it.
    fn participants(&self) -> Vec<Participant>;
}

/// A call, and what is to be done first.
pub struct Begun {
    /// The call.
    pub call: Box<dyn Signalling>,
    /// To be done at once, in order.
    pub actions: Vec<CallAction>,
}

/// Enters the call of a visit, as a peer that nobody knows yet.
pub fn begin(dialect: Dialect, session: SessionId, party: Party, peer: PeerId, now: Now) -> Begun {
    match dialect {
        Dialect::Bedside => {
            let (call, actions) = Call::begin(session, party, peer, now);
            Begun { call: Box::new(call), actions }
        }
    }
}

/// Bedside's own: `hello`, then offers by the doctor's end alone (docs/protocol.md).
impl Signalling for Call {
    fn handle(&mut self, input: CallInput, now: Now) -> Vec<CallAction> {
        Self::handle(self, input, now)
    }

    fn phase(&self) -> CallPhase {
        Self::phase(self)
    }

    fn remote(&self) -> Option<SentMedia> {
        self.remote
    }

    fn participants(&self) -> Vec<Participant> {
        self.remote.iter().map(|media| media.participant(self.other_party())).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bedside_protocol::{Signal, SignalBody};

    use super::*;
    use crate::snapshot::Track;

    #[test]
    fn who_is_in_the_call_is_known_once_they_say_what_they_send() {
        let (session, other) = (SessionId::generate(), PeerId::generate());
        let Begun { mut call, actions } =
            begin(Dialect::Bedside, session, Party::Patient, PeerId::generate(), Duration::ZERO);
        assert!(matches!(actions[..], [CallAction::OpenPeer, CallAction::Send(_)]));
        assert!(call.participants().is_empty() && call.phase() == CallPhase::Calling);
        for body in [
            SignalBody::Hello { reply: false },
            SignalBody::Media { microphone: true, camera: false, screen: true, draws: Some(15) },
        ] {
            let signal = Signal { session_id: session, from: other, to: None, body };
            call.handle(CallInput::Signal(signal), Duration::ZERO);
        }
        let doctor = Participant { party: Party::Doctor, tracks: vec![Track::Microphone, Track::Screen] };
        assert_eq!(call.participants(), [doctor]);
        assert_eq!(call.remote().and_then(|sends| sends.draws), Some(15));
    }
}
