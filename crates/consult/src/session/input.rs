//! What can happen to a session, and what comes of it.

use bedside_protocol::{DeviceCheck, DeviceId, Party, SessionStatus};
use jiff::{SignedDuration, Timestamp};

/// What can happen to a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// The patient enters the waiting room, or says more about themselves there.
    Enter {
        /// They pressed *I'm ready*, or took that back; none where they said nothing of it.
        ready: Option<bool>,
        /// What their devices can do.
        device_check: Option<DeviceCheck>,
    },
    /// The doctor calls the patient in. The doctor is in the call from then on.
    Admit,
    /// A patient has confirmed an invitation: both are called in, and neither is in the call before they join it. The
    /// doctor may have gone since they invited.
    CallTogether,
    /// An admitted participant enters the call, the first time or again.
    Join(Party),
    /// A participant takes their place in the visit on one of their devices. One that asks by itself, or
    /// only rings, takes it from no other.
    Sit {
        /// Who.
        party: Party,
        /// Where.
        device: DeviceId,
        /// They enter the call, and do not only prepare to.
        enters: bool,
        /// They pressed something there.
        on_purpose: bool,
    },
    /// The patient is called in and says *Not now*. Where they have joined meanwhile, on another device,
    /// it changes nothing.
    Decline,
    /// A participant leaves on purpose.
    Leave(Party),
    /// The same, on this device: while they are in the call on another, it changes nothing.
    LeaveOn(Party, DeviceId),
    /// The doctor puts it on hold.
    Pause,
    /// The doctor takes it off hold.
    Resume,
    /// The doctor ends it for both.
    End,
    /// One side calls it off before it began.
    Cancel(Party),
    /// It is called off, whatever it is doing: one that runs is over.
    CallOff,
    /// It is planned for another time, while nobody has come.
    Move {
        /// When it is meant to start.
        start: Timestamp,
        /// How long it is meant to last.
        duration: SignedDuration,
    },
    /// Neither side has been there since then. Refused while that is not long ago: both may still
    /// come back.
    Absent {
        /// When the later of the two was last there.
        since: Timestamp,
    },
    /// Time has passed.
    Tick,
}

/// What others need to hear of, beside the new state itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// The patient came into the waiting room.
    PatientArrived,
    /// The doctor called the patient in.
    Admitted,
    /// The clock started for the first time.
    Started,
    /// It reached its final state.
    Ended,
}

/// Why an input was refused. The state is as it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// The session is final.
    #[error("the session has ended")]
    Ended,
    /// The waiting room is not open yet.
    #[error("the waiting room is not open yet")]
    TooEarly,
    /// Entering the call before being called in.
    #[error("not admitted")]
    NotAdmitted,
    /// Not from this state.
    #[error("not possible while the session is {0:?}")]
    WrongState(SessionStatus),
}
