//! An appointment's life, beside that of its visit.
//!
//! ```text
//!            its visit begins            ends
//!  BOOKED ─────────────────▶ IN_PROGRESS ─────▶ COMPLETED
//!    ├──▶ CANCELLED
//!    └──▶ NO_SHOW
//!
//!  payment   NOT_REQUIRED          PENDING ──▶ COMPLETED
//! ```
//!
//! Nobody joins while a payment is pending, and its visit is made when that is verified. What its visit becomes, it
//! becomes as well; one in the clinic's rooms has no visit here.

use bedside_protocol::{AppointmentStatus, AppointmentType, PaymentStatus, SessionStatus};
use jiff::{SignedDuration, Timestamp};

/// Where an appointment stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Appointment {
    /// Its state.
    pub status: AppointmentStatus,
    /// Whether there is a call.
    pub kind: AppointmentType,
    /// Whether it is paid for.
    pub payment: PaymentStatus,
    /// What the payment is called by whoever took it.
    pub payment_id: Option<String>,
    /// When.
    pub start: Timestamp,
    /// How long.
    pub duration: SignedDuration,
}

/// What can happen to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// Another time.
    Move {
        /// When.
        start: Timestamp,
        /// How long.
        duration: SignedDuration,
    },
    /// It is called off.
    Cancel,
    /// It was paid for.
    VerifyPayment(String),
    /// Its visit is now like this.
    Visit(SessionStatus),
}

/// Why an input was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// It is over, or its visit runs.
    #[error("not possible while the appointment is {0:?}")]
    WrongState(AppointmentStatus),
    /// It was paid for by another payment.
    #[error("it was paid for by another payment")]
    PaidOtherwise,
    /// Nothing is paid for it.
    #[error("nothing is to be paid for it")]
    NothingToPay,
}

impl Appointment {
    /// Whether there should be a visit for it.
    pub fn wants_visit(&self) -> bool {
        self.kind == AppointmentType::Virtual
            && self.payment != PaymentStatus::Pending
            && self.status == AppointmentStatus::Booked
    }

    /// What an input makes of it. The same again changes nothing.
    pub fn apply(&mut self, input: Input) -> Result<(), Refused> {
        use AppointmentStatus::{Booked, Cancelled, InProgress};
        match (input, self.status) {
            (Input::Move { start, duration }, Booked) => {
                (self.start, self.duration) = (start, duration);
                Ok(())
            }
            (Input::Cancel, Booked | Cancelled) => {
                self.status = Cancelled;
                Ok(())
            }
            // Its visit is called off, and ends it.
            (Input::Cancel, InProgress) => {
                self.status = AppointmentStatus::Completed;
                Ok(())
            }
            (Input::VerifyPayment(id), status) => match self.payment {
                PaymentStatus::NotRequired => Err(Refused::NothingToPay),
                PaymentStatus::Completed if self.payment_id.as_ref() == Some(&id) => Ok(()),
                PaymentStatus::Completed => Err(Refused::PaidOtherwise),
                PaymentStatus::Pending if status == Booked => {
                    (self.payment, self.payment_id) = (PaymentStatus::Completed, Some(id));
                    Ok(())
                }
                PaymentStatus::Pending => Err(Refused::WrongState(status)),
            },
            (Input::Visit(visit), Booked | InProgress) => {
                self.status = follows(visit).unwrap_or(self.status);
                Ok(())
            }
            (Input::Visit(_), _) => Ok(()),
            (Input::Move { .. } | Input::Cancel, status) => Err(Refused::WrongState(status)),
        }
    }
}

/// What an appointment is whose visit is this; none where it is as it was.
const fn follows(visit: SessionStatus) -> Option<AppointmentStatus> {
    match visit {
        SessionStatus::Scheduled | SessionStatus::Waiting => None,
        SessionStatus::InProgress | SessionStatus::Paused => Some(AppointmentStatus::InProgress),
        SessionStatus::Completed | SessionStatus::Failed => Some(AppointmentStatus::Completed),
        SessionStatus::Cancelled => Some(AppointmentStatus::Cancelled),
        SessionStatus::NoShow => Some(AppointmentStatus::NoShow),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn booked(payment: PaymentStatus) -> Appointment {
        Appointment {
            status: AppointmentStatus::Booked,
            kind: AppointmentType::Virtual,
            payment,
            payment_id: None,
            start: Timestamp::UNIX_EPOCH,
            duration: SignedDuration::from_mins(15),
        }
    }

    #[test]
    fn a_payment_opens_the_visit_once() {
        let mut appointment = booked(PaymentStatus::Pending);
        assert!(!appointment.wants_visit());
        appointment.apply(Input::VerifyPayment("p-1".into())).unwrap();
        assert!(appointment.wants_visit());
        appointment.apply(Input::VerifyPayment("p-1".into())).unwrap();
        let other = appointment.apply(Input::VerifyPayment("p-2".into()));
        assert_eq!((other, appointment.payment_id.as_deref()), (Err(Refused::PaidOtherwise), Some("p-1")));
        let free = booked(PaymentStatus::NotRequired).apply(Input::VerifyPayment("p-1".into()));
        assert_eq!(free, Err(Refused::NothingToPay));
    }

    fn input() -> impl Strategy<Value = Input> {
        prop_oneof![
            Just(Input::Cancel),
            Just(Input::Move { start: Timestamp::MAX, duration: SignedDuration::from_mins(30) }),
            "p-[12]".prop_map(Input::VerifyPayment),
            prop::sample::select(vec![
                SessionStatus::Waiting,
                SessionStatus::InProgress,
                SessionStatus::Completed,
                SessionStatus::Failed,
                SessionStatus::Cancelled,
                SessionStatus::NoShow,
            ])
            .prop_map(Input::Visit),
        ]
    }

    proptest! {
        #[test]
        fn what_is_over_stays_over(inputs in prop::collection::vec(input(), 0..20)) {
            let mut appointment = booked(PaymentStatus::Pending);
            for input in inputs {
                let before = appointment.clone();
                if appointment.apply(input).is_err() {
                    prop_assert_eq!(&appointment, &before);
                }
                let is_over =
                    !matches!(before.status, AppointmentStatus::Booked | AppointmentStatus::InProgress);
                if is_over {
                    prop_assert_eq!(appointment.status, before.status);
                    prop_assert_eq!(appointment.start, before.start);
                }
                if before.payment == PaymentStatus::Completed {
                    prop_assert_eq!(&appointment.payment_id, &before.payment_id);
                }
            }
        }
    }
}
