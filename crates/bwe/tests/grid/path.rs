//! A path with a narrow place, and a call over it, in virtual time.

use std::{
    collections::VecDeque,
    num::NonZero,
    thread,
    time::{Duration, Instant},
};

use bedside_bwe::{
    Bitrate, Config, DataSize, Demand, Estimator, Ladder, Pacer, PacketResult, Priority, Release, allocate,
    ladder::{Means, STEPS},
};

/// What the path does to packets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    pub(crate) width: Bitrate,
    /// How long a packet may stand in the queue.
    pub(crate) queue: Duration,
    pub(crate) loss: f64,
    /// At most so much later; in order, as in a queue.
    pub(crate) jitter: Duration,
    pub(crate) rtt: Duration,
}

/// What came of a call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Of each second: bits that arrived.
    pub(crate) arrived: Vec<u64>,
    /// Packets sent, and of those dropped by the queue.
    pub(crate) sent: Vec<u32>,
    pub(crate) overflowed: Vec<u32>,
    /// Time in the queue of packets that passed it, ms.
    pub(crate) queue_ms: Vec<Vec<f64>>,
    /// Times at which the picture's size changed.
    pub(crate) changes: Vec<Duration>,
    /// The target, and the picture's height, at the end of each second.
    pub(crate) target: Vec<Bitrate>,
    pub(crate) height: Vec<usize>,
}

impl Outcome {
    /// The mean rate that arrived between two seconds.
    pub(crate) fn rate(&self, from: usize, to: usize) -> Bitrate {
        Bitrate::bps(self.arrived[from..to].iter().sum::<u64>() / (to - from) as u64)
    }

    /// The share of packets that overflowed the queue.
    pub(crate) fn own_loss(&self, from: usize, to: usize) -> f64 {
        let sent: u32 = self.sent[from..to].iter().sum();
        f64::from(self.overflowed[from..to].iter().sum::<u32>()) / f64::from(sent.max(1))
    }

    /// 95 % of packets waited no longer in the queue, ms.
    pub(crate) fn queue_p95(&self, from: usize, to: usize) -> f64 {
        let mut all: Vec<f64> = self.queue_ms[from..to].iter().flatten().copied().collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() * 95 / 100).copied().unwrap_or(0.0)
    }
}

/// Cheap, repeatable chance.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// 0 to 1.
    pub(crate) fn throw(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[derive(Clone, Copy)]
struct Packet {
    size: DataSize,
    is_audio: bool,
}

const TICK: Duration = Duration::from_micros(500);
const FEEDBACK_EVERY: Duration = Duration::from_millis(100);
const HEADERS: u64 = 60;
/// The most that one packet carries, bytes.
pub(crate) const PACKET: u64 = 1_120;
const AUDIO: Demand<bool> =
    Demand { id: true, min: Bitrate::kbps(36), max: Bitrate::kbps(56), priority: 0, may_pause: false };
pub(crate) const CONFIG: Config =
    Config { start: Bitrate::kbps(400), min: Bitrate::kbps(40), max: Bitrate::kbps(3_000) };

/// A call over each of them, on all cores.
pub(crate) fn calls(paths: &[Path], seconds: usize) -> Vec<Outcome> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = paths.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
        let run = |path: &Path| {
            let seed = path.width.as_bps() / 1_000 + path.queue.as_millis() as u64;
            call(*path, seconds, seed, |_, _| {})
        };
        let started: Vec<_> = paths
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(run).collect::<Vec<_>>()))
            .collect();
        started.into_iter().flat_map(|thread| thread.join().expect("no call panics")).collect()
    })
}

/// A call of so many seconds; `change` may change the path at each second.
pub(crate) fn call(mut path: Path, seconds: usize, seed: u64, change: impl Fn(usize, &mut Path)) -> Outcome {
    let epoch = Instant::now();
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let (mut estimator, mut pacer) = (Estimator::new(CONFIG), Pacer::<Packet>::new(CONFIG.start));
    let mut ladder = Ladder::default();
    let mut outcome = Outcome::default();
    let mut now = Duration::ZERO;
    let (mut free_at, mut last_arrival) = (Duration::ZERO, Duration::ZERO);
    // Sent and not told of yet, in order: when it arrives, or that it does not.
    let mut out: VecDeque<(PacketResult, Duration, Packet)> = VecDeque::new();
    let mut feedback: VecDeque<(Duration, Vec<(PacketResult, Packet)>)> = VecDeque::new();
    let (mut next_audio, mut next_frame, mut next_feedback) =
        (Duration::ZERO, Duration::ZERO, FEEDBACK_EVERY);
    let (mut height, mut is_key) = (0, true);
    let (mut audio_rate, mut choice) =
        (AUDIO.max, ladder.choose(&means(Bitrate::kbps(344), Bitrate::ZERO), epoch));
    let mut next_choice = Duration::ZERO;
    let mut repaired: VecDeque<(Duration, DataSize)> = VecDeque::new();
    for second in 0..seconds {
        change(second, &mut path);
        outcome.arrived.push(0);
        outcome.sent.push(0);
        outcome.overflowed.push(0);
        outcome.queue_ms.push(vec![]);
        while now < Duration::from_secs(second as u64 + 1) {
            let at = epoch + now;
            if now >= next_choice {
                next_choice += Duration::from_millis(250);
                while repaired.front().is_some_and(|(when, _)| *when + Duration::from_secs(1) < now) {
                    repaired.pop_front();
                }
                let repair = repaired.iter().map(|(_, size)| *size).sum::<DataSize>();
                let estimate = estimator.estimate();
                let top = STEPS[STEPS.len() - 1].enough;
                let camera =
                    Demand { id: false, min: ladder.least(), max: top, priority: 1, may_pause: true };
                let repair = repair.over(Duration::from_secs(1)).unwrap_or_default();
                let shares = allocate(estimate.target, repair, &[AUDIO, camera]);

                choice = ladder.choose(&means(shares[1].rate.unwrap_or_default(), estimate.proven), at);
                estimator.set_wanted(top + AUDIO.max + repair);
                // What the picture does not take is the audio's.
                audio_rate = match choice.step {
                    Some(_) => shares[0].rate.unwrap(),
                    None => (estimate.target - repair).clamp(AUDIO.min, AUDIO.max),
                };
                let new = choice.step.map_or(0, |step| step.height * 100 + step.fps as usize);
                if new / 100 != height / 100 && height != 0 {
                    outcome.changes.push(now);
                    is_key = true;
                }
                height = new;
            }
            if now >= next_audio {
                next_audio += Duration::from_millis(20);
                let size = audio_rate * Duration::from_millis(20);
                pacer.push(Priority::Audio, size, Packet { size, is_audio: true });
            }
            if now >= next_frame {
                let step = choice.step;
                next_frame += Duration::from_secs(1) / step.map_or(15, |step| step.fps);
                if let Some(step) = step.filter(|_| !pacer.is_congested()) {
                    let usual = (choice.bitrate * (Duration::from_secs(1) / step.fps)).as_f64();
                    let times = if std::mem::take(&mut is_key) { 4.0 } else { 0.6 + 0.7 * dice.throw() };
                    let mut left = (usual * times) as u64;
                    while left > 0 {
                        let part = left.min(PACKET);
                        left -= part;
                        let size = DataSize::bytes(part + HEADERS);
                        pacer.push(Priority::Video, size, Packet { size, is_audio: false });
                    }
                }
            }
            pacer.set_target(estimator.target(), at);
            if let Some(plan) = estimator.poll_probe(at) {
                pacer.probe(plan, at);
            }
            while let Some(released) = pacer.poll(at, true) {
                let packet = match released {
                    Release::Packet(packet) => packet,
                    Release::Padding(size) => Packet { size, is_audio: true },
                };
                estimator.on_sent(at);
                outcome.sent[second] += 1;
                let waits = free_at.saturating_sub(now);
                let is_overflow = waits > path.queue;
                let is_lost = is_overflow || dice.throw() < path.loss;
                outcome.overflowed[second] += u32::from(is_overflow);
                let mut arrival = None;
                if !is_overflow {
                    outcome.queue_ms[second].push(waits.as_secs_f64() * 1e3);
                    free_at = free_at.max(now) + packet.size / path.width;
                }
                if !is_lost {
                    let late = path.jitter.mul_f64(dice.throw());
                    last_arrival = last_arrival.max(free_at + path.rtt / 2 + late);
                    arrival = Some(last_arrival);
                    outcome.arrived[second] += packet.size.as_bytes() * 8;
                }
                // A lost one is told of with the next that arrives.
                let known = arrival.unwrap_or(free_at.max(now) + path.rtt / 2);
                out.push_back((PacketResult { departure: at, arrival, size: packet.size }, known, packet));
            }
            if let Some(cluster) = pacer.take_finished_probe() {
                estimator.on_probe_sent(cluster);
            }
            if now >= next_feedback {
                next_feedback += FEEDBACK_EVERY;
                let newest =
                    out.iter().rposition(|(result, known, _)| result.arrival.is_some() && *known <= now);
                if let Some(newest) = newest {
                    let told = out.drain(..=newest).map(|(result, _, packet)| (result, packet)).collect();
                    feedback.push_back((now + path.rtt / 2, told));
                }
            }
            if feedback.front().is_some_and(|(when, _)| *when <= now) {
                let (_, told) = feedback.pop_front().unwrap();
                let results: Vec<PacketResult> = told.iter().map(|(result, _)| *result).collect();
                estimator.on_feedback(at, &results);
                for (result, packet) in told {
                    // Older ones nobody waits for any more.
                    let is_wanted = at - result.departure < Duration::from_millis(800);
                    if result.arrival.is_none() && !packet.is_audio && is_wanted {
                        repaired.push_back((now, packet.size));
                        pacer.push(Priority::Repair, packet.size, Packet { is_audio: true, ..packet });
                    }
                }
            }
            estimator.on_timeout(at);
            now += TICK;
        }
        outcome.target.push(estimator.target());
        outcome.height.push(height / 100);
    }
    outcome
}

fn means(rate: Bitrate, proven: Bitrate) -> Means {
    Means { rate, proven: proven - AUDIO.max, encoding: Duration::from_millis(2), pace: None }
}
