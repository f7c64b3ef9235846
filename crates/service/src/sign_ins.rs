//! Who may try to sign in or register, and when. Attempts are counted by where they come from together with the
//! account that they are at, so that a stranger's wrong passwords slow the stranger and not the owner.

use std::{
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use bedside_protocol::Code;
use hashlink::LruCache;

use crate::{
    error::ApiError,
    pace::{Pace, Rate},
};

/// Guesses at one account from one place: a person mistypes, and after ten has forgotten it.
const AT_ONE_ACCOUNT: Rate = Rate { burst: 10, every: Duration::from_secs(3) };
/// Attempts from one place: a clinic's morning behind one address, where who is right is not counted; and no more
/// work than an eighth of a core.
const FROM_ONE_PLACE: Rate = Rate { burst: 40, every: Duration::from_millis(250) };
/// Guesses at one account from everywhere: what many machines together may try. It slows the owner too where
/// they have not been before, but only while that goes on.
const FROM_EVERYWHERE: Rate = Rate { burst: 60, every: Duration::from_secs(2) };
/// Accounts that one place makes: a family at one table, or a practice that helps its patients.
const REGISTRATIONS: Rate = Rate { burst: 10, every: Duration::from_secs(20) };
/// How long an attempt that is too early is kept waiting. Later than that it is refused: a client gives up at ten
/// seconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// Places, accounts and pairs that are remembered, of each: a few megabytes.
const REMEMBERED: usize = 20_000;

pub(crate) struct SignIns(Mutex<Counts>);

struct Counts {
    at_one_account: Pace<(IpAddr, String)>,
    from_one_place: Pace<IpAddr>,
    from_everywhere: Pace<String>,
    registrations: Pace<IpAddr>,
    /// From where somebody has got into an account: what others try elsewhere does not slow them there.
    known: LruCache<(IpAddr, String), ()>,
}

impl Default for SignIns {
    fn default() -> Self {
        Self(Mutex::new(Counts {
            at_one_account: Pace::new(AT_ONE_ACCOUNT, REMEMBERED),
            from_one_place: Pace::new(FROM_ONE_PLACE, REMEMBERED),
            from_everywhere: Pace::new(FROM_EVERYWHERE, REMEMBERED),
            registrations: Pace::new(REGISTRATIONS, REMEMBERED),
            known: LruCache::new(REMEMBERED),
        }))
    }
}

impl SignIns {
    /// Lets an attempt pass when it is its turn. It is counted before it is looked at: guesses side by side must not
    /// all pass.
    pub(crate) async fn admit(&self, from: IpAddr, email: &str) -> Result<(), ApiError> {
        let email = email.to_lowercase();
        let wait = {
            let mut counts = self.lock();
            let now = Instant::now();
            let pair = (from, email);
            let wait = counts.at_one_account.wait(&pair, now);
            let wait = wait.max(counts.from_one_place.wait(&from, now));
            let is_known = counts.known.get(&pair).is_some();
            let wait = if is_known { wait } else { wait.max(counts.from_everywhere.wait(&pair.1, now)) };
            if wait > PATIENCE {
                return Err(ApiError::from(Code::TooManyAttempts).retry_after(wait.saturating_sub(PATIENCE)));
            }
            counts.from_one_place.take(from, now);
            if !is_known {
                counts.from_everywhere.take(pair.1.clone(), now);
            }
            counts.at_one_account.take(pair, now);
            wait
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    /// The password was right: what led there were slips.
    pub(crate) fn was_right(&self, from: IpAddr, email: &str) {
        let email = email.to_lowercase();
        let mut counts = self.lock();
        counts.from_one_place.give_back(&from);
        counts.from_everywhere.give_back(&email);
        let pair = (from, email);
        counts.at_one_account.forgive(&pair);
        counts.known.insert(pair, ());
    }

    /// Lets somebody register.
    pub(crate) fn admit_registration(&self, from: IpAddr) -> Result<(), ApiError> {
        let mut counts = self.lock();
        let now = Instant::now();
        let wait = counts.registrations.wait(&from, now);
        if !wait.is_zero() {
            return Err(ApiError::from(Code::TooManyAttempts).retry_after(wait));
        }
        counts.registrations.take(from, now);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn stranger(number: u8) -> IpAddr {
        IpAddr::from([198, 51, 100, number])
    }

    /// As many as are let in at once or refused; none waits.
    async fn guesses(sign_ins: &SignIns, from: impl Fn(u8) -> IpAddr) -> usize {
        let mut passed = 0;
        for number in 0..=u8::MAX {
            let guess = sign_ins.admit(from(number), "Owner@clinic.example");
            passed += usize::from(
                tokio::time::timeout(Duration::ZERO, guess).await.is_ok_and(|guess| guess.is_ok()),
            );
        }
        passed
    }

    #[tokio::test]
    async fn a_strangers_guesses_do_not_lock_the_owner_out() {
        let sign_ins = SignIns::default();
        let passed = guesses(&sign_ins, |_| stranger(1)).await;
        assert_eq!(passed, AT_ONE_ACCOUNT.burst as usize);
        let owner = tokio::time::timeout(Duration::ZERO, sign_ins.admit(OWNER, "owner@clinic.example"));
        assert!(owner.await.expect("at once").is_ok());
    }

    #[tokio::test]
    async fn many_machines_together_are_slowed() {
        let sign_ins = SignIns::default();
        assert_eq!(guesses(&sign_ins, stranger).await, FROM_EVERYWHERE.burst as usize);
        let refused = sign_ins.admit(OWNER, "owner@clinic.example").await.unwrap_err();
        assert!(refused.retry_after.unwrap() <= Duration::from_secs(2), "{refused:?}");
        // Where the owner has been before, they are not.
        sign_ins.was_right(OWNER, "owner@clinic.example");
        let owner = tokio::time::timeout(Duration::ZERO, sign_ins.admit(OWNER, "owner@clinic.example"));
        assert!(owner.await.expect("at once").is_ok());
    }

    #[tokio::test]
    async fn who_is_right_is_not_counted() {
        let sign_ins = SignIns::default();
        for number in 0..200 {
            let email = format!("{number}@clinic.example");
            let nurse = tokio::time::timeout(Duration::ZERO, sign_ins.admit(OWNER, &email));
            nurse.await.expect("at once").unwrap();
            sign_ins.was_right(OWNER, &email);
        }
    }
}
