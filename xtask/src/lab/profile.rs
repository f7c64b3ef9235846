//! The networks that calls are tried on.

use serde::Serialize;

use super::link::{Bursts, Condition};

/// A network, and how it changes in the call.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Profile {
    /// As `--profile` and the tables name it.
    pub(crate) name: &'static str,
    /// What it stands for, in a few words.
    pub(crate) about: &'static str,
    /// How it is when the call begins, both ways.
    pub(crate) condition: Condition,
    /// What happens to it, in order.
    pub(crate) changes: &'static [Change],
}

impl Profile {
    /// Whether nothing passes just before that time.
    pub(crate) fn is_dark_before(&self, at: f64) -> bool {
        let before = self.changes.iter().rev().find(|change| change.at < at);
        before.is_some_and(
            |change| matches!(change.event, Event::Condition(condition) if condition.loss_percent >= 100.0),
        )
    }
}

/// At a time of the call the network becomes another.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Change {
    /// Seconds after *Join*.
    pub(crate) at: f64,
    pub(crate) event: Event,
}

/// What happens.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) enum Event {
    /// The network is like this from now on.
    Condition(Condition),
    /// The patient's machine gets another address, as by another Wi-Fi.
    Address,
}

const C: Condition = Condition::CLEAN;
/// The narrow ones: 30 ms, and the queue of a plain router.
const NARROW: Condition = Condition { delay_ms: 30.0, queue: 40, ..C };
const DARK: Condition = Condition { delay_ms: 30.0, loss_percent: 100.0, ..C };

const fn width(kbps: f64) -> Condition {
    Condition { width_kbps: Some(kbps), ..NARROW }
}

const fn becomes(at: f64, condition: Condition) -> Change {
    Change { at, event: Event::Condition(condition) }
}

/// All of them, in the order of the tables.
pub(crate) const PROFILES: &[Profile] = &[
    Profile { name: "clean", about: "5 ms", condition: C, changes: &[] },
    Profile {
        name: "loss5",
        about: "5 % lost, 50 ± 10 ms",
        condition: Condition { loss_percent: 5.0, delay_ms: 50.0, jitter_ms: 10.0, ..C },
        changes: &[],
    },
    Profile {
        name: "loss15",
        about: "15 % lost, 75 ms",
        condition: Condition { loss_percent: 15.0, delay_ms: 75.0, ..C },
        changes: &[],
    },
    Profile {
        name: "800k",
        about: "800 kbit/s, 30 ms, queue of 40 packets",
        condition: width(800.0),
        changes: &[],
    },
    Profile {
        name: "300k",
        about: "300 kbit/s, 30 ms, queue of 40 packets",
        condition: width(300.0),
        changes: &[],
    },
    Profile {
        name: "cut",
        about: "30 ms, nothing passes for 10 s",
        condition: Condition { delay_ms: 30.0, ..C },
        changes: &[becomes(20.0, DARK), becomes(30.0, Condition { delay_ms: 30.0, ..C })],
    },
    Profile {
        name: "jitter",
        about: "50 ± 40 ms",
        condition: Condition { delay_ms: 50.0, jitter_ms: 40.0, ..C },
        changes: &[],
    },
    Profile {
        name: "bursts",
        about: "2 % lost, and 30 % in bursts of 20 packets, 40 ms",
        condition: Condition {
            delay_ms: 40.0,
            loss_percent: 2.0,
            bursts: Some(Bursts { begin: 0.01, end: 0.05, loss_percent: 30.0 }),
            ..C
        },
        changes: &[],
    },
    Profile {
        name: "steps",
        about: "2,000, then 300 from 20 s on, then 2,000 kbit/s from 40 s on",
        condition: width(2_000.0),
        changes: &[becomes(20.0, width(300.0)), becomes(40.0, width(2_000.0))],
    },
    Profile {
        name: "far",
        about: "125 ms each way, 1 % lost",
        condition: Condition { delay_ms: 125.0, loss_percent: 1.0, ..C },
        changes: &[],
    },
    Profile {
        name: "address",
        about: "30 ms; the patient's address changes",
        condition: Condition { delay_ms: 30.0, ..C },
        changes: &[Change { at: 20.0, event: Event::Address }],
    },
    Profile {
        name: "no-udp",
        about: "UDP does not pass; the relay is reached over TCP, on a good way of its own",
        condition: Condition { udp_blocked: true, ..C },
        changes: &[],
    },
];
