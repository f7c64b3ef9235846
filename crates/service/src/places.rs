//! Places for connections, and for sockets that have not said yet whose they are. When all are taken, whoever has been
//! silent longest gives theirs up, of the origin that has most: nobody shuts the door on others by standing in it.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

#[derive(Clone)]
pub(crate) struct Places(Arc<Inner>);

struct Inner {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    next: u64,
    /// By age.
    seats: BTreeMap<u64, Seat>,
    by_origin: HashMap<IpAddr, usize>,
}

struct Seat {
    origin: IpAddr,
    gives_up: CancellationToken,
}

/// A place, until it is dropped.
pub(crate) struct Place {
    places: Places,
    number: u64,
}

impl Places {
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Inner { most, taken: Mutex::default() }))
    }

    /// Takes one; another's, where there is none. `gives_up` is cancelled when a third needs it more.
    pub(crate) fn take(&self, origin: IpAddr, gives_up: CancellationToken) -> Place {
        let mut taken = self.lock();
        if taken.seats.len() >= self.0.most {
            taken.clear_one();
        }
        taken.next += 1;
        let number = taken.next;
        taken.seats.insert(number, Seat { origin, gives_up });
        *taken.by_origin.entry(origin).or_default() += 1;
        Place { places: self.clone(), number }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn clear_one(&mut self) {
        let most = self.by_origin.iter().max_by_key(|(_, count)| **count).map(|(origin, _)| *origin);
        let oldest = self.seats.iter().find(|(_, seat)| Some(seat.origin) == most).map(|(number, _)| *number);
        if let Some(seat) = oldest.and_then(|number| self.remove(number)) {
            seat.gives_up.cancel();
        }
    }

    fn remove(&mut self, number: u64) -> Option<Seat> {
        let seat = self.seats.remove(&number)?;
        if let Some(count) = self.by_origin.get_mut(&seat.origin) {
            *count -= 1;
            if *count == 0 {
                self.by_origin.remove(&seat.origin);
            }
        }
        Some(seat)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    struct Sitting {
        token: CancellationToken,
        _place: Place,
    }

    impl Sitting {
        fn on(places: &Places, number: u8) -> Self {
            let token = CancellationToken::new();
            Self { _place: places.take(ip(number), token.clone()), token }
        }
        fn is_gone(&self) -> bool {
            self.token.is_cancelled()
        }
    }

    #[test]
    fn the_oldest_of_the_greediest_goes() {
        let places = Places::new(4);
        let one = Sitting::on(&places, 1);
        let greedy: Vec<_> = (0..3).map(|_| Sitting::on(&places, 2)).collect();
        let new = Sitting::on(&places, 3);
        assert!(greedy[0].is_gone() && !greedy[1].is_gone() && !one.is_gone() && !new.is_gone());
        drop(greedy);
        assert_eq!(places.lock().seats.len(), 2);
        assert_eq!(places.lock().by_origin.len(), 2, "nothing is kept of who has gone");
    }

    #[test]
    fn who_leaves_is_not_sent_away() {
        let token = CancellationToken::new();
        drop(Places::new(1).take(ip(1), token.clone()));
        assert!(!token.is_cancelled());
    }

    #[test]
    fn a_flood_of_one_origin_leaves_the_others_theirs() {
        let places = Places::new(10);
        let ours = Sitting::on(&places, 1);
        let _flood: Vec<_> = (0..1_000).map(|_| Sitting::on(&places, 2)).collect();
        assert!(!ours.is_gone());
        assert_eq!(places.lock().seats.len(), 10);
    }
}
