//! Identifiers: UUIDs that can't be mistaken for one another.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ts_rs::TS)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        #[ts(type = "string")]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new one; later ones sort after earlier ones (UUID version 7, RFC 9562).
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id!(
    /// A consultation session: one visit.
    SessionId
);
id!(
    /// The appointment a session was made for.
    AppointmentId
);
id!(
    /// A doctor's practice hours.
    ScheduleId
);
id!(
    /// An invitation from a queue into the call.
    InvitationId
);
id!(
    /// A clinic, of several that share a service.
    ClinicId
);
id!(
    /// A person with an account.
    UserId
);
id!(
    /// Something that went wrong in a visit, as somebody told it.
    IssueId
);
id!(
    /// A chat message, given by the service.
    MessageId
);
id!(
    /// A chat message as its writer's device knows it before the service has it; sending the
    /// same one twice stores it once.
    ClientMessageId
);
id!(
    /// A stored image or file.
    AttachmentId
);
id!(
    /// One time that somebody signed in, with everything that follows from it.
    SignInId
);
id!(
    /// Something that somebody was told.
    NotificationId
);
id!(
    /// A link into one visit.
    LinkId
);
id!(
    /// One device of a person's, for one run of its app: of several, one has the call.
    DeviceId
);
id!(
    /// One end of a call: a fresh one for every time a participant enters it, so that an answer
    /// to somebody who has since restarted is recognised as stale.
    PeerId
);
