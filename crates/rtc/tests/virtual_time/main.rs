//! Whole calls of two ends in virtual time, over networks as people have them: the call machine,
//! the peer connection with its congestion control, Opus, VP8, the jitter buffer and the frame
//! assembler, all as the client has them; only devices, clock and network are made up.

#![allow(clippy::unchecked_time_subtraction, reason = "time only goes forward here")]

mod media;
mod person;
mod scene;
mod visit;
mod world;

use std::{sync::Arc, time::Duration};

use bedside_session::CallPhase;
use scene::Hearing;
use visit::{Person, Step, visit};
use world::{LinkProfile, World};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn both(people: &[Person; 2], phase: CallPhase) -> bool {
    people.iter().all(|person| person.phase() == phase)
}

/// Waits until both are connected; gives how long it took.
async fn connected(world: &Arc<World>, people: &[Person; 2], within: Duration) -> Duration {
    let began = world.now();
    while !both(people, CallPhase::Connected) {
        assert!(world.now() - began < within, "{:?} {:?}", people[0].phase(), people[1].phase());
        world.sleep(Duration::from_millis(10)).await;
    }
    world.now() - began
}

/// The same after a break, of which the service tells both ends as well.
async fn connected_again(world: &Arc<World>, people: &[Person; 2], within: Duration) -> Duration {
    for person in people {
        person.does(Step::LinkUp);
    }
    connected(world, people, within).await
}

/// What one person had of the other between two times.
#[derive(Debug)]
struct Reception {
    hearing: Hearing,
    /// Share of the sound that was made up.
    concealed: f64,
    fps: f64,
    longest_freeze: Duration,
    /// Of the last picture.
    width: usize,
}

fn reception(person: &Person, from: Duration, to: Duration) -> Reception {
    let seen = person.seen();
    let shown: Vec<_> = seen.pictures.iter().filter(|picture| (from..to).contains(&picture.at)).collect();
    let times: Vec<Duration> =
        [from].into_iter().chain(shown.iter().map(|picture| picture.at)).chain([to]).collect();
    let heard = &seen.heard[..(to.as_millis() as usize * 48).min(seen.heard.len())];
    Reception {
        hearing: scene::hearing(heard, from),
        concealed: seen.sound.concealed as f64 / seen.sound.played.max(1) as f64,
        fps: shown.len() as f64 / (to - from).as_secs_f64(),
        longest_freeze: times.windows(2).map(|two| two[1] - two[0]).max().unwrap_or_default(),
        width: shown.last().map_or(0, |picture| picture.width),
    }
}

/// A call of `length` over `way`; gives what both had of one another after the first five seconds.
fn call_over(way: LinkProfile, length: Duration) -> [Reception; 2] {
    let world = World::new(way, 1);
    world.clone().run(async {
        let people = visit(&world);
        let took = connected(&world, &people, seconds(4)).await;
        world.sleep(length).await;
        let what = people.each_ref().map(|person| reception(person, seconds(5), length));
        eprintln!("connected in {took:?}; {what:#?}");
        leave(&world, people).await;
        what
    })
}

/// Both leave; nothing of either is left.
async fn leave(world: &Arc<World>, people: [Person; 2]) {
    for person in people {
        person.leaves().await;
    }
    assert_eq!(world.sockets(), 0, "every connection was closed");
}

#[test]
fn a_good_line_carries_a_growing_picture() {
    for had in call_over(LinkProfile::GOOD, seconds(15)) {
        assert!(had.fps > 29.0 && had.longest_freeze < Duration::from_millis(200), "{had:?}");
        assert!(had.width == 1280, "it climbs all the way: {had:?}");
        assert!(had.hearing.likeness > 0.97 && had.hearing.recognised == 1.0, "{had:?}");
        assert!(had.hearing.latency < Duration::from_millis(120), "{had:?}");
        assert_eq!(had.concealed, 0.0);
    }
}

#[test]
fn a_machine_that_draws_slowly_is_sent_less_and_sends_as_before() {
    let world = World::new(LinkProfile::GOOD, 1);
    world.clone().run(async {
        let people = visit(&world);
        people[0].does(Step::DrawUpTo(450));
        connected(&world, &people, seconds(4)).await;
        // Before more is tried again.
        world.sleep(seconds(42)).await;
        let [slow, other] = people.each_ref().map(|person| reception(person, seconds(25), seconds(40)));
        assert!(slow.width <= 640 && slow.width >= 480, "{slow:?}");
        // Fewer first, which was not enough for it.
        assert!(slow.fps > 14.0 && slow.longest_freeze < Duration::from_millis(300), "{slow:?}");
        assert!(other.width == 1_280 && other.fps > 24.0, "{other:?}");
        leave(&world, people).await;
    });
}

/// As in a hotel.
const WIRELESS: LinkProfile =
    LinkProfile { delay: Duration::from_millis(40), jitter: Duration::from_millis(25), ..LinkProfile::GOOD };

#[test]
fn a_lossy_line_carries_a_consultation() {
    for had in call_over(LinkProfile { loss: 0.05, ..WIRELESS }, seconds(30)) {
        assert!(had.fps > 24.0 && had.longest_freeze < seconds(1), "{had:?}");
        assert!(had.width >= 960, "a little loss does not keep the picture small: {had:?}");
        assert!(had.hearing.likeness > 0.95 && had.hearing.recognised > 0.97, "{had:?}");
        assert!(had.hearing.latency < Duration::from_millis(250), "{had:?}");
        assert!(had.concealed < 0.02, "{had:?}");
    }
}

#[test]
fn a_line_that_loses_one_in_seven_is_still_of_use() {
    for had in call_over(LinkProfile { loss: 0.15, ..WIRELESS }, seconds(30)) {
        assert!(had.fps > 12.0 && had.longest_freeze < seconds(3), "{had:?}");
        assert!(had.hearing.likeness > 0.9 && had.hearing.recognised > 0.9, "{had:?}");
        // What libopus has no redundancy for is counted as made up, as it is.
        assert!(had.concealed < 0.08, "{had:?}");
    }
}

#[test]
fn on_a_narrow_line_the_picture_gives_way_to_the_sound() {
    for had in call_over(LinkProfile { width: Some(300_000), ..LinkProfile::GOOD }, seconds(30)) {
        assert!(had.hearing.likeness > 0.95 && had.hearing.recognised > 0.95, "{had:?}");
        assert!(had.hearing.latency < Duration::from_millis(450), "{had:?}");
        assert!(had.concealed < 0.06, "{had:?}");
        assert!(had.fps > 15.0 && had.width <= 640 && had.longest_freeze < seconds(1), "{had:?}");
    }
}

#[test]
fn a_break_heals_by_itself() {
    for (seed, length) in [(4, seconds(4)), (15, seconds(15)), (30, seconds(30))] {
        let world = World::new(LinkProfile { loss: 0.02, ..WIRELESS }, seed);
        world.clone().run(async {
            let people = visit(&world);
            connected(&world, &people, seconds(4)).await;
            world.sleep(seconds(5)).await;

            world.open(false);
            world.sleep(length).await;
            for person in &people {
                assert!(matches!(person.phase(), CallPhase::Reconnecting { .. }), "{:?}", person.phase());
            }

            world.open(true);
            let back = connected_again(&world, &people, seconds(5)).await;
            world.sleep(seconds(8)).await;
            for person in &people {
                let since = world.now() - seconds(5);
                let shown = person.seen().pictures.iter().filter(|picture| picture.at > since).count();
                assert!(shown > 50, "{shown} pictures in five seconds, after {back:?}");
                assert!(person.loudness_since(since) > 0.01, "silence");
            }
            leave(&world, people).await;
        });
    }
}

#[test]
fn after_a_minute_both_come_back_by_a_button() {
    let world = World::new(WIRELESS, 3);
    world.clone().run(async {
        let people = visit(&world);
        connected(&world, &people, seconds(4)).await;
        world.open(false);
        world.sleep(seconds(70)).await;
        assert!(both(&people, CallPhase::Lost), "{:?} {:?}", people[0].phase(), people[1].phase());

        world.open(true);
        for person in &people {
            person.does(Step::LinkUp);
            person.does(Step::Rejoin);
        }
        connected(&world, &people, seconds(10)).await;
        world.sleep(seconds(5)).await;
        for person in &people {
            let since = world.now() - seconds(3);
            let shown = person.seen().pictures.iter().filter(|picture| picture.at > since).count();
            assert!(shown > 30, "{shown} pictures in three seconds");
        }
        leave(&world, people).await;
    });
}
