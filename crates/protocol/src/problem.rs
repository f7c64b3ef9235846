//! Errors as problem details (RFC 9457) with a stable code.

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $wire:literal, $status:literal, $title:literal;)+) => {
        /// What went wrong, for a program. A code never changes its meaning.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $wire)] $name,)+
        }

        impl Code {
            /// Every code, in the order of this file.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Its text on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $wire,)+ }
            }

            /// Its HTTP status.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)+ }
            }

            /// What it says to a person, the same for every occurrence.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }
        }
    };
}

codes! {
    /// E-mail or password.
    WrongCredentials = "wrong-credentials", 401, "The e-mail address or the password is not right";
    /// No token, a broken one or one that has ended.
    NotSignedIn = "not-signed-in", 401, "Please sign in again";
    /// A refresh token was used twice, so its family has ended.
    TokenReused = "token-reused", 401, "This sign-in has ended because it was used from two places";
    /// A link was opened before, has run out or was taken back.
    LinkEnded = "link-ended", 401, "This link does not open any more; please ask the practice for a new one";
    /// It is to be paid for first.
    PaymentRequired = "payment-required", 402, "This visit is to be paid for before it can be joined";
    /// Signed in, but not for this.
    Forbidden = "forbidden", 403, "Your account is not allowed to do this";
    /// Not one of the two in this visit.
    NotAParticipant = "not-a-participant", 403, "You are not part of this visit";
    /// Not called in yet.
    NotAdmitted = "not-admitted", 403, "The doctor has not called you in yet";
    /// The media token is missing, broken, for somebody else or has ended.
    MediaTokenInvalid = "media-token-invalid", 403, "The permission to be in the call has ended; join again";
    /// No such thing, or none that the caller may know of.
    NotFound = "not-found", 404, "There is nothing here";
    /// No such path takes this method.
    MethodNotAllowed = "method-not-allowed", 405, "This address does not take that kind of request";
    /// The body did not come in time.
    TooSlow = "too-slow", 408, "The request took too long to arrive; please try again";
    /// The e-mail address has an account.
    EmailTaken = "email-taken", 409, "There is an account with this e-mail address already";
    /// The session is final.
    SessionEnded = "session-ended", 409, "This visit has ended";
    /// The state does not allow it.
    WrongState = "wrong-state", 409, "This is not possible at this point of the visit";
    /// The waiting room is not open yet.
    TooEarly = "too-early", 409, "The waiting room opens half an hour before the visit";
    /// The doctor can't be booked then.
    SlotTaken = "slot-taken", 409, "This time is not free; please choose another";
    /// They wait in another doctor's queue.
    InAnotherQueue = "in-another-queue", 409, "You are waiting for another doctor already; leave that queue first";
    /// Nobody answered an invitation in time.
    InvitationExpired = "invitation-expired", 409, "The invitation has run out; you keep your place";
    /// Another device of the person's has the call.
    OnAnotherDevice = "on-another-device", 409, "You are in this visit on another device";
    /// Feedback is given once.
    FeedbackGiven = "feedback-given", 409, "Feedback for this visit was given already";
    /// The body is over the limit.
    TooLarge = "too-large", 413, "This is too large";
    /// A file that is not an accepted kind.
    UnsupportedType = "unsupported-type", 415, "This kind of file can't be sent";
    /// A body that can't be read, or a value out of its range.
    Invalid = "invalid", 422, "The request can't be understood";
    /// Too many attempts.
    TooManyAttempts = "too-many-attempts", 429, "Too many attempts; please wait a minute";
    /// A STOMP destination that does not exist.
    UnknownDestination = "unknown-destination", 404, "There is no such destination";
    /// A STOMP frame that can't be read.
    BadFrame = "bad-frame", 400, "The frame can't be understood";
    /// The service can't do it now, and can in a moment: its database is busy or its disk full.
    Unavailable = "unavailable", 503, "The service can't do this at the moment; please try again";
    /// Something broke inside the service.
    Internal = "internal", 500, "Something went wrong in the service";
}

/// `application/problem+json`. Holds nothing that identifies anybody.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// `urn:bedside:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The stable code.
    pub code: Code,
    /// What the code says to a person.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What it was here, where there is more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Problem {
    /// The problem for `code`, with `detail` where there is more to say than its title.
    pub fn new(code: Code, detail: Option<String>) -> Self {
        Self {
            kind: format!("urn:bedside:problem:{}", code.as_str()),
            code,
            title: code.title().to_owned(),
            status: code.status(),
            detail,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_from_the_wire() {
        for &code in Code::ALL {
            let text = serde_json::to_string(&Problem::new(code, None)).unwrap();
            let back: Problem = serde_json::from_str(&text).unwrap();
            assert_eq!(back.code, code);
            assert!((400..600).contains(&back.status), "{code:?}");
        }
    }
}
