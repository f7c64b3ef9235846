//! Who may try to sign in or register, and when. Attempts are counted by where they come from together with the
//! account that they are at, so that a stranger's wrong passwords slow the stranger and not the owner.

use std::{
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use bedside_protocol::Code;
use hashlink::LruCache;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    App,
    error::ApiError,
    instances::Notice,
    pace::{Pace, Rate},
    store::InstanceId,
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

/// Which account, by a hash: who tries to sign in is kept nowhere, and said to no other service.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(crate) struct AccountKey([u8; 16]);

impl AccountKey {
    /// Of an address, or what else somebody gives.
    fn of(account: &str) -> Self {
        let hash = Sha256::digest(account.to_lowercase());
        Self(std::array::from_fn(|at| hash[at]))
    }
}

/// An attempt at one service, as the others hear of it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Attempt {
    /// Which service: it has counted it.
    by: InstanceId,
    from: IpAddr,
    account: AccountKey,
    /// The password was right.
    was_right: bool,
}

impl App {
    /// Lets an attempt at an account pass when it is its turn. All services count it.
    pub(crate) async fn admit_attempt(&self, from: IpAddr, account: &str) -> Result<(), ApiError> {
        let account = AccountKey::of(account);
        let wait = self.sign_ins.turn(from, account)?;
        self.tell_of_attempt(from, account, false);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    /// The password was right: what led there were slips.
    pub(crate) fn attempt_was_right(&self, from: IpAddr, account: &str) {
        let account = AccountKey::of(account);
        self.sign_ins.was_right(from, account);
        self.tell_of_attempt(from, account, true);
    }

    fn tell_of_attempt(&self, from: IpAddr, account: AccountKey, was_right: bool) {
        self.say(Notice::Attempt(Attempt { by: self.store.instance(), from, account, was_right }));
    }
}

pub(crate) struct SignIns(Mutex<Counts>);

struct Counts {
    at_one_account: Pace<(IpAddr, AccountKey)>,
    from_one_place: Pace<IpAddr>,
    from_everywhere: Pace<AccountKey>,
    registrations: Pace<IpAddr>,
    /// From where somebody has got into an account: what others try elsewhere does not slow them there.
    known: LruCache<(IpAddr, AccountKey), ()>,
}

impl Counts {
    fn take(&mut self, (from, account): (IpAddr, AccountKey), is_known: bool, now: Instant) {
        self.from_one_place.take(from, now);
        if !is_known {
            self.from_everywhere.take(account, now);
        }
        self.at_one_account.take((from, account), now);
    }
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
    /// How long an attempt waits for its turn. It is counted before it is looked at: guesses side by side must not all
    /// pass.
    fn turn(&self, from: IpAddr, account: AccountKey) -> Result<Duration, ApiError> {
        let mut counts = self.lock();
        let now = Instant::now();
        let pair = (from, account);
        let wait = counts.at_one_account.wait(&pair, now);
        let wait = wait.max(counts.from_one_place.wait(&from, now));
        let is_known = counts.known.get(&pair).is_some();
        let wait = if is_known { wait } else { wait.max(counts.from_everywhere.wait(&account, now)) };
        if wait > PATIENCE {
            return Err(ApiError::from(Code::TooManyAttempts).retry_after(wait.saturating_sub(PATIENCE)));
        }
        counts.take(pair, is_known, now);
        Ok(wait)
    }

    /// An attempt at some service; at this one, it was counted.
    pub(crate) fn hear(&self, attempt: Attempt, here: InstanceId) {
        let Attempt { by, from, account, was_right } = attempt;
        if by == here {
            return;
        }
        if was_right {
            return self.was_right(from, account);
        }
        let mut counts = self.lock();
        let is_known = counts.known.get(&(from, account)).is_some();
        counts.take((from, account), is_known, Instant::now());
    }

    fn was_right(&self, from: IpAddr, account: AccountKey) {
        let mut counts = self.lock();
        counts.from_one_place.give_back(&from);
        counts.from_everywhere.give_back(&account);
        let pair = (from, account);
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

    fn account() -> AccountKey {
        AccountKey::of("Owner@clinic.example")
    }

    /// As many as are let in at once; the others wait or are refused.
    fn guesses(sign_ins: &SignIns, from: impl Fn(u8) -> IpAddr) -> usize {
        let at_once = |number| sign_ins.turn(from(number), account()).is_ok_and(|wait| wait.is_zero());
        (0..=u8::MAX).filter(|&number| at_once(number)).count()
    }

    fn is_slowed(sign_ins: &SignIns, from: IpAddr) -> bool {
        !sign_ins.turn(from, account()).is_ok_and(|wait| wait.is_zero())
    }

    #[test]
    fn a_strangers_guesses_do_not_lock_the_owner_out() {
        let sign_ins = SignIns::default();
        assert_eq!(guesses(&sign_ins, |_| stranger(1)), AT_ONE_ACCOUNT.burst as usize);
        assert!(!is_slowed(&sign_ins, OWNER));
    }

    #[test]
    fn many_machines_together_are_slowed() {
        let sign_ins = SignIns::default();
        assert_eq!(guesses(&sign_ins, stranger), FROM_EVERYWHERE.burst as usize);
        let refused = sign_ins.turn(OWNER, account()).unwrap_err();
        assert!(refused.retry_after.unwrap() <= Duration::from_secs(2), "{refused:?}");
        // Where the owner has been before, they are not.
        sign_ins.was_right(OWNER, account());
        assert!(!is_slowed(&sign_ins, OWNER));
    }

    #[test]
    fn who_is_right_is_not_counted() {
        let sign_ins = SignIns::default();
        for number in 0..200 {
            let account = AccountKey::of(&format!("{number}@clinic.example"));
            assert!(sign_ins.turn(OWNER, account).unwrap().is_zero());
            sign_ins.was_right(OWNER, account);
        }
    }

    #[test]
    fn guesses_at_another_service_count_here() {
        let (here, there) = (InstanceId::generate(), InstanceId::generate());
        let sign_ins = SignIns::default();
        let guess = |by| Attempt { by, from: stranger(1), account: account(), was_right: false };
        for _ in 0..AT_ONE_ACCOUNT.burst {
            // Its own it has counted when it let them pass.
            sign_ins.hear(guess(here), here);
        }
        assert!(!is_slowed(&sign_ins, stranger(1)));
        for _ in 0..AT_ONE_ACCOUNT.burst {
            sign_ins.hear(guess(there), here);
        }
        assert!(is_slowed(&sign_ins, stranger(1)));
        sign_ins.hear(Attempt { was_right: true, ..guess(there) }, here);
        assert!(!is_slowed(&sign_ins, stranger(1)));
    }
}
