//! Whole calls over paths of all widths, queues, losses and lengths: how much is used, what is lost by
//! it, how long packets wait, and how often the picture changes its size.

mod path;

use std::time::Duration;

use bedside_bwe::{Bitrate, DataSize};
use path::{PACKET, Path, call, calls};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn path(kbps: u64, queue_ms: u64) -> Path {
    Path { width: Bitrate::kbps(kbps), queue: ms(queue_ms), loss: 0.0, jitter: ms(0), rtt: ms(80) }
}

/// What a call uses at the most: the best picture and audio.
const MOST: Bitrate = Bitrate::kbps(2_556);
/// What audio alone uses at the most, its headers with it; a picture needs about as much again.
const AUDIO_ALONE: Bitrate = Bitrate::kbps(56);
const FITS_NO_PICTURE: Bitrate = Bitrate::kbps(150);

/// Paths of 60 kbit/s to 5 Mbit/s, with queues of 20 to 400 ms, up to 20 % of loss, and round trips of 10 to 600 ms.
fn all_paths() -> Vec<Path> {
    let mut paths = vec![];
    for kbps in [60, 100, 150, 200, 300, 450, 800, 1_400, 2_200, 5_000] {
        for queue_ms in [20, 40, 60, 80, 120, 200, 400] {
            for loss in [0.0, 0.02, 0.05, 0.1, 0.2] {
                for jitter in [0, 20] {
                    for rtt in [10, 80, 300, 600] {
                        paths.push(Path { loss, jitter: ms(jitter), rtt: ms(rtt), ..path(kbps, queue_ms) });
                    }
                }
            }
        }
    }
    paths
}

/// Whether more is asked of a call over this path than that it goes on.
fn is_of_use(path: &Path) -> bool {
    // A queue that is shorter than its second packet holds nothing back; with a tenth lost and a long way for
    // repair, a picture needs more room than there is.
    let is_long_enough = path.queue >= DataSize::bytes(2 * PACKET) / path.width;
    is_long_enough && path.loss <= 0.1
}

/// What can be used of it: no picture fits into the narrowest.
fn usable(path: &Path) -> Bitrate {
    let carried = path.width.scaled(1.0 - path.loss);
    if carried < FITS_NO_PICTURE { AUDIO_ALONE.min(carried) } else { carried.min(MOST) }
}

#[test]
fn a_path_of_any_kind_is_used_and_not_flooded() {
    // Every 19th: all axes are met, in a nineteenth of the time.
    let paths: Vec<Path> = all_paths().into_iter().step_by(19).collect();
    let outcomes = calls(&paths, 30);
    let (mut tried, mut missed) = (0, vec![]);
    for (path, outcome) in paths.iter().zip(outcomes) {
        let used = outcome.rate(15, 30).ratio(usable(path));
        let (own_loss, queue_p95) = (outcome.own_loss(20, 30), outcome.queue_p95(15, 30));
        let changes = outcome.changes.len();
        let audio = outcome.rate(15, 30).ratio(AUDIO_ALONE.min(path.width.scaled(1.0 - path.loss)));
        assert!(audio > 0.4, "audio goes on: {audio:.2} of it: {path:?}");
        if !is_of_use(path) {
            continue;
        }
        tried += 1;
        assert!(
            used > 0.3 && own_loss < 0.1 && queue_p95 < 400.0 && changes <= 8,
            "{used:.2} used, {own_loss:.3} lost, {queue_p95:.0} ms, {changes} changes: {path:?}"
        );
        if used < 0.7 || own_loss > 0.03 || queue_p95 > 100.0 || changes > 4 {
            missed.push(format!(
                "{used:.2} used, {own_loss:.3} lost, {queue_p95:.0} ms, {changes} changes: {path:?}"
            ));
        }
    }
    assert!(missed.len() * 10 <= tried, "{} of {tried}:\n{}", missed.len(), missed.join("\n"));
}

#[test]
fn a_short_queue_that_overflows_is_no_stalemate() {
    // Both halves once waited for one another here, and half of everything was lost for ever.
    for kbps in [200, 250, 300, 450] {
        for queue_ms in [80, 100, 120] {
            let outcome = call(path(kbps, queue_ms), 25, 3, |_, _| {});
            let lost = outcome.own_loss(10, 25);
            assert!(lost < 0.03, "{lost:.3} lost at {kbps} kbit/s with {queue_ms} ms");
        }
    }
}

#[test]
fn more_loss_never_allows_more() {
    let rates: Vec<u64> = [0.0, 0.02, 0.05, 0.08, 0.12, 0.15, 0.2]
        .into_iter()
        .map(|loss| {
            let path = Path { loss, ..path(50_000, 300) };
            call(path, 40, 5, |_, _| {}).target[30..].iter().map(|rate| rate.as_bps()).sum::<u64>() / 10_000
        })
        .collect();
    assert!(rates.windows(2).all(|two| two[1] as f64 <= two[0] as f64 * 1.3), "{rates:?}");
    assert!(rates[2] > 2_000, "at 5 % the picture stays: {rates:?}");
    assert!(rates[5] > 600, "and at 15 % there is one: {rates:?}");
}

#[test]
fn a_path_that_carries_little_more_than_a_picture_makes_no_flutter() {
    for kbps in [1_000, 1_200, 1_400, 1_600, 1_800, 2_200] {
        let outcome = call(path(kbps, 200), 90, 7, |_, _| {});
        let late = outcome.changes.iter().filter(|at| **at > Duration::from_secs(30)).count();
        assert!(late <= 4, "{kbps} kbit/s: {:?}", outcome.changes);
    }
}

#[test]
fn a_path_that_becomes_narrow_is_followed_within_seconds() {
    for (from, to, queue_ms) in [(2_000, 500, 100), (1_000, 300, 80), (2_000, 300, 300)] {
        let outcome = call(path(from, queue_ms), 30, 9, |second, path| {
            if second == 15 {
                path.width = Bitrate::kbps(to);
            }
        });
        let lost = outcome.own_loss(18, 30);
        assert!(lost < 0.03, "{lost:.3} lost three seconds after {from} became {to}");
        let used = outcome.rate(25, 30).ratio(Bitrate::kbps(to));
        assert!(used > 0.6, "{used:.2} of {to} kbit/s used");
    }
}

/// A router that would rather keep everything than drop something.
#[test]
fn a_long_queue_is_empty_again_soon_after_a_path_became_narrow() {
    for (from, to) in [(2_000, 300), (2_000, 500), (1_000, 250)] {
        let outcome = call(path(from, 1_300), 30, 9, |second, path| {
            if second == 15 {
                path.width = Bitrate::kbps(to);
            }
        });
        let waits: Vec<f64> = (15..22).map(|second| outcome.queue_p95(second, second + 1)).collect();
        // It is full before anybody can hear of it.
        assert!(waits[2] < 700.0 && waits[3] < 250.0 && waits[4] < 150.0, "{from} to {to}: {waits:.0?}");
        let used = outcome.rate(21, 30).ratio(Bitrate::kbps(to));
        assert!(used > 0.6, "{used:.2} of {to} kbit/s used after it");
    }
}

#[test]
fn a_path_that_becomes_wide_is_found_out() {
    let outcome = call(path(200, 200), 50, 11, |second, path| {
        if second == 20 {
            path.width = Bitrate::kbps(5_000);
        }
    });
    assert!(outcome.height[49] == 720, "{:?} {:?}", outcome.height, outcome.target);
}

#[test]
fn a_free_path_has_the_best_picture_soon() {
    let outcome = call(path(20_000, 300), 12, 13, |_, _| {});
    let at = outcome.height.iter().position(|height| *height == 720);
    assert!(at.is_some_and(|second| second < 9), "{:?}", outcome.height);
}

#[test]
fn a_longer_path_is_not_a_queue() {
    // To a relay, to another network, to a satellite.
    for longer in [40, 100, 140, 800] {
        let outcome = call(path(20_000, 300), 32, 15, |second, path| {
            if second == 15 {
                path.rtt += ms(longer);
            }
        });
        let (before, after) = (outcome.target[14], outcome.target[31]);
        assert!(after > before.scaled(0.5), "{longer} ms more: {:?}", outcome.target);
    }
}

#[test]
fn little_is_sent_into_silence_and_much_again_after_it() {
    let outcome = call(path(5_000, 200), 30, 17, |second, path| {
        path.loss = if (12..17).contains(&second) { 1.0 } else { 0.0 };
    });
    assert!(outcome.target[16] < Bitrate::kbps(200), "{:?}", outcome.target);
    assert!(outcome.rate(22, 26) > Bitrate::kbps(800), "{:?} {:?}", outcome.target, outcome.arrived);
}
