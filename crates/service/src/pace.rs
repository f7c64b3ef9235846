//! How often something may be done: at once for a while, then slowed, and refused only far beyond that.

use std::{
    hash::Hash,
    time::{Duration, Instant},
};

use hashlink::LruCache;

/// So many at once, and one more each while.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// How many at once, at least 1.
    pub(crate) burst: u32,
    /// One more after each of these.
    pub(crate) every: Duration,
}

/// How often each of many has done something (the generic cell rate algorithm, ITU-T I.371). Of those who have done
/// it longest ago nothing is remembered when there are too many: a flood of made-up names shuts nobody out.
pub(crate) struct Pace<K> {
    rate: Rate,
    /// When each is even again.
    even_at: LruCache<K, Instant>,
}

impl<K: Hash + Eq> Pace<K> {
    pub(crate) fn new(rate: Rate, remembers: usize) -> Self {
        Self { rate, even_at: LruCache::new(remembers) }
    }

    /// How long `key` has to wait before it may do it once more.
    pub(crate) fn wait(&self, key: &K, now: Instant) -> Duration {
        let even_at = self.even_at.peek(key).copied().unwrap_or(now);
        even_at.saturating_duration_since(now).saturating_sub(self.rate.every * (self.rate.burst - 1))
    }

    /// It does it once more, now or when it has waited.
    pub(crate) fn take(&mut self, key: K, now: Instant) {
        let even_at = self.even_at.get(&key).copied().map_or(now, |at| at.max(now));
        self.even_at.insert(key, even_at + self.rate.every);
    }

    /// What it has done does not count.
    pub(crate) fn forgive(&mut self, key: &K) {
        self.even_at.remove(key);
    }

    /// The last time does not count.
    pub(crate) fn give_back(&mut self, key: &K) {
        if let Some(even_at) = self.even_at.get_mut(key) {
            *even_at = even_at.checked_sub(self.rate.every).unwrap_or(*even_at);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate { burst: 3, every: Duration::from_secs(2) };

    #[test]
    fn some_at_once_and_then_one_each_while() {
        let mut pace = Pace::new(RATE, 10);
        let now = Instant::now();
        for _ in 0..3 {
            assert_eq!(pace.wait(&1, now), Duration::ZERO);
            pace.take(1, now);
        }
        assert_eq!(pace.wait(&1, now), Duration::from_secs(2));
        assert_eq!(pace.wait(&2, now), Duration::ZERO, "another one's");
        pace.take(1, now);
        assert_eq!(pace.wait(&1, now), Duration::from_secs(4), "after the one who waits");
        assert_eq!(pace.wait(&1, now + Duration::from_secs(4)), Duration::ZERO);
        pace.give_back(&1);
        assert_eq!(pace.wait(&1, now), Duration::from_secs(2));
        pace.forgive(&1);
        assert_eq!(pace.wait(&1, now), Duration::ZERO);
    }

    #[test]
    fn a_flood_of_names_shuts_nobody_out() {
        let mut pace = Pace::new(RATE, 100);
        let now = Instant::now();
        for name in 0..10_000 {
            pace.take(name, now);
        }
        assert_eq!(pace.wait(&10_001, now), Duration::ZERO);
    }

    proptest! {
        /// Whenever somebody comes, no more than the rate get through in any time.
        #[test]
        fn never_more_than_the_rate(gaps in prop::collection::vec(0u64..3_000, 1..60)) {
            let mut pace = Pace::new(RATE, 10);
            let began = Instant::now();
            let (mut now, mut through) = (began, 0u32);
            for gap in gaps {
                now += Duration::from_millis(gap);
                if pace.wait(&(), now).is_zero() {
                    pace.take((), now);
                    through += 1;
                }
                let most = RATE.burst + (now - began).div_duration_f64(RATE.every) as u32;
                prop_assert!(through <= most, "{through} of {most}");
            }
        }
    }
}
