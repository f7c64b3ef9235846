//! What the network carries: Google congestion control (draft-ietf-rmcat-gcc-02), pure.
//!
//! Two halves, the more careful of which counts. One watches the delay: packets that are spread
//! further apart on arrival than they were on departure stand in a queue that grows, and sending
//! less makes it shrink again long before anything is lost. The other watches loss, which on a
//! line with short queues is the only sign.
//!
//! It differs from the draft where that gave calls away on networks as people have them:
//!
//! - The trend of the delay is a straight line through the last twenty groups, not a Kalman
//!   filter's gradient: on a jittery Wi-Fi the latter saw congestion every second, and backed off
//!   from a line that was free until there was no picture left.
//! - One step down never takes more than two fifths: what arrives is little as well when little is sent.
//! - A queue that stands is as good as one that grows: a full one can't, and draws no trend.
//! - Loss that stays as it was when a third less is sent is the line's own. Sending less does not
//!   help against it, so it is taken as given and the rate restored; repair is for NACK and FEC.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use rtc::interceptor::PacketReport;

/// Packets that left within this time are one group: a picture's packets leave together.
const GROUP: Duration = Duration::from_millis(5);
/// Groups that the trend goes by: a third of a second of a call.
const TREND_GROUPS: usize = 20;
/// How much of the accumulated delay before stays in its smoothed value.
const SMOOTHING: f64 = 0.9;
/// What the slope is multiplied by to be compared with the threshold: a gain of 4, and the
/// groups seen, of which no more than 60 count.
const TREND_GAIN: f64 = 4.0;
const TREND_COUNT: f64 = 60.0;
/// The threshold that the trend is compared with, in ms: where it begins, and its bounds (§5.4).
const THRESHOLD: f64 = 12.5;
const THRESHOLD_BOUNDS: (f64, f64) = (6.0, 600.0);
/// How fast it follows a trend beyond it, and one within it (§5.4: K_u and K_d).
const FOLLOW_OUT: f64 = 0.01;
const FOLLOW_IN: f64 = 0.000_18;
/// A trend further than this beyond the threshold, in ms, is an incident and moves nothing.
const INCIDENT: f64 = 15.0;
/// A queue that stands, in ms above the least delay of the last half minute: from here on it
/// counts as one that grows. It is full, may be, and can't.
const STANDING: f64 = 150.0;
/// How long a queue may stand without getting shorter by this share, for all that is sent less.
const LONGER_AFTER: Duration = Duration::from_secs(3);
const SHORTER: f64 = 0.8;
/// And up to here it is none: loss is not its doing, and there is nothing to wait for. A jittery line has half as much on average.
const NO_QUEUE: f64 = 60.0;
/// The least delay is remembered in two halves of this time each.
const LEAST_KEPT: Duration = Duration::from_secs(15);
/// How long the trend must stay beyond the threshold to be believed.
const BELIEVED_AFTER: Duration = Duration::from_millis(10);

/// What is left of the received rate after a step down (§5.5: beta).
const BACK_OFF: f64 = 0.85;
/// And of the target at the least; and where more than a third is lost.
const LEAST_LEFT: f64 = 0.6;
const LEAST_LEFT_IN_FLOOD: f64 = 0.3;
const FLOOD: f64 = 0.35;
/// Growth in a second far from where congestion was met last (§5.5: eta).
const GROWTH: f64 = 1.08;
/// Growth in a second near it.
const NEAR_GROWTH: f64 = 1.04;
/// What counts as near, as shares of the rate received at that time.
const NEAR: (f64, f64) = (0.85, 1.3);
/// A response takes a round trip and this long to show.
const RESPONSE: Duration = Duration::from_millis(100);
/// Less than this share of the target sent: nothing was learnt of more. Encoders seldom use all
/// that they are given, so that it can't be close to one.
const TRIED: f64 = 0.35;
/// Up to here it grows all the same, in bits a second: sound alone can't show that there is room
/// for a picture again.
const UNTRIED: f64 = 180_000.0;
/// The received rate is measured over this time, on the receiver's clock.
const RATE_WINDOW: Duration = Duration::from_millis(1_000);
/// Packets in that time: 3 Mbit/s of 100-byte ones.
const MOST_PACKETS: usize = 4_096;

/// Loss is judged over at least this time and this many packets.
const LOSS_WINDOW: Duration = Duration::from_millis(700);
const LOSS_PACKETS: u32 = 40;
/// Shares of loss below which the line is healthy and above which it is congested (§6).
const HEALTHY: f64 = 0.02;
const CONGESTED: f64 = 0.10;
/// Growth in a window of a healthy line.
const LOSS_GROWTH: f64 = 1.05;
/// Of the rate at which loss set in, what is left when it is asked whether that helped.
const ASKED_AT: f64 = 0.7;
/// Of what is taken as the line's own and did not show, forgotten in a window.
const FORGETTING: f64 = 0.04;
/// Loss that is taken as the line's own at the most.
const MOST_INHERENT: f64 = 0.3;

/// Google congestion control.
#[derive(Debug)]
pub(crate) struct Estimate {
    bounds: (f64, f64),
    trend: Trend,
    received: Received,
    delay: DelayControl,
    loss: LossControl,
    round_trip: Duration,
}

impl Estimate {
    /// Begins at `start` bits a second and stays within `bounds`.
    pub(crate) fn new(start: f64, bounds: (f64, f64)) -> Self {
        Self {
            bounds,
            trend: Trend::default(),
            received: Received::default(),
            delay: DelayControl::new(start),
            loss: LossControl::new(start),
            round_trip: RESPONSE,
        }
    }

    /// How long after it left the last packet was reported of.
    pub(crate) const fn round_trip(&self) -> Duration {
        self.round_trip
    }

    /// Takes what the receiver said, at `now`, of packets sent; of those before `known_from` it
    /// said nothing.
    pub(crate) fn on_reports(&mut self, now: Instant, reports: &[PacketReport], known_from: Option<u16>) {
        let mut round_trip = None;
        let (reports, is_gap) = known(reports, known_from);
        for report in reports {
            if let Some(arrival) = report.arrival.filter(|_| report.arrived) {
                self.received.push(arrival, report.size, is_gap && round_trip.is_none());
                self.trend.push(report.departure, arrival);
                round_trip = Some(now.saturating_duration_since(report.departure));
            }
        }
        let Some(round_trip) = round_trip else { return };
        self.round_trip = round_trip;
        let received = self.received.rate();
        let usage = self.trend.usage();
        let target = self.target();
        let lost = reports.iter().filter(|report| !report.arrived).count();
        let is_flood = lost as f64 > reports.len() as f64 * FLOOD;
        self.delay.update(now, usage, received, round_trip, target, is_flood);
        let is_queue = usage == Usage::Over || self.trend.standing() > NO_QUEUE;
        self.loss.update(now, lost as u32, reports.len() as u32, is_queue, target);
        for half in [&mut self.delay.target, &mut self.loss.target] {
            *half = half.clamp(self.bounds.0, self.bounds.1);
        }
    }

    /// Bits a second that the network is believed to carry.
    pub(crate) fn target(&self) -> f64 {
        self.delay.target.min(self.loss.target)
    }

    /// The two halves, for the curious: by delay, by loss, and the share of packets lost.
    pub(crate) fn halves(&self) -> (f64, f64, f64) {
        (self.delay.target, self.loss.target, self.loss.share)
    }
}

/// The reports without those of packets before `known_from`, by their transport-wide numbers.
fn known(reports: &[PacketReport], known_from: Option<u16>) -> (&[PacketReport], bool) {
    let Some(from) = known_from else { return (reports, false) };
    let is_unknown = |report: &&PacketReport| from.wrapping_sub(report.twcc_sequence_number) as i16 > 0;
    let unknown = reports.iter().take_while(is_unknown).count();
    (&reports[unknown..], unknown > 0)
}

/// What the delay says of the queue on the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Usage {
    /// It stands still.
    #[default]
    Normal,
    /// It grows.
    Over,
    /// It shrinks.
    Under,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    first_departure: Instant,
    departure: Instant,
    arrival: Duration,
}

/// The trend of the delay over the last groups of packets.
#[derive(Debug)]
struct Trend {
    current: Option<Group>,
    previous: Option<Group>,
    /// Of each group, when it arrived and the smoothed delay, in ms.
    points: VecDeque<(f64, f64)>,
    groups: u32,
    accumulated: f64,
    smoothed: f64,
    /// The least smoothed delay: of the time before, and since `least_since`.
    least: [f64; 2],
    least_since: Duration,
    /// Since when a queue has stood, and how high it was then.
    stands_since: Option<(Duration, f64)>,
    first_arrival: Duration,
    threshold: f64,
    /// The trend before, and since when it has been beyond the threshold, by arrival.
    before: f64,
    beyond_since: Option<Duration>,
    usage: Usage,
}

impl Default for Trend {
    fn default() -> Self {
        Self {
            current: None,
            previous: None,
            points: VecDeque::with_capacity(TREND_GROUPS),
            groups: 0,
            accumulated: 0.0,
            smoothed: 0.0,
            least: [0.0; 2],
            least_since: Duration::ZERO,
            stands_since: None,
            first_arrival: Duration::ZERO,
            threshold: THRESHOLD,
            before: 0.0,
            beyond_since: None,
            usage: Usage::Normal,
        }
    }
}

impl Trend {
    fn usage(&self) -> Usage {
        match self.usage {
            Usage::Normal if self.standing() > STANDING => Usage::Over,
            // Not gone yet.
            Usage::Normal if self.standing() > NO_QUEUE => Usage::Under,
            usage => usage,
        }
    }

    /// How much longer packets take than at the best moment of the last half minute, in ms.
    fn standing(&self) -> f64 {
        self.smoothed - self.least[0].min(self.least[1])
    }

    fn push(&mut self, departure: Instant, arrival: Duration) {
        let Some(current) = &mut self.current else {
            self.current = Some(Group { first_departure: departure, departure, arrival });
            return;
        };
        // Repaired or overtaken: says nothing of the queue now.
        if departure < current.first_departure {
            return;
        }
        if departure.duration_since(current.first_departure) <= GROUP {
            current.departure = current.departure.max(departure);
            current.arrival = current.arrival.max(arrival);
            return;
        }
        let closed = *current;
        self.current = Some(Group { first_departure: departure, departure, arrival });
        if let Some(previous) = self.previous.replace(closed) {
            self.on_group(previous, closed);
        }
    }

    fn on_group(&mut self, previous: Group, group: Group) {
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        let sent = ms(group.departure.saturating_duration_since(previous.departure));
        let came = ms(group.arrival) - ms(previous.arrival);
        if self.groups == 0 {
            self.first_arrival = group.arrival;
        }
        self.groups += 1;
        self.accumulated += came - sent;
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * self.accumulated;
        if group.arrival.saturating_sub(self.least_since) > LEAST_KEPT {
            self.least = [self.least[1], self.smoothed];
            self.least_since = group.arrival;
        }
        self.least[1] = self.least[1].min(self.smoothed);
        self.notice_longer_way(group.arrival);
        if self.points.len() == TREND_GROUPS {
            self.points.pop_front();
        }
        self.points.push_back((ms(group.arrival.saturating_sub(self.first_arrival)), self.smoothed));
        if self.points.len() == TREND_GROUPS {
            let trend = slope(&self.points) * f64::from(self.groups).min(TREND_COUNT) * TREND_GAIN;
            self.judge(trend, group.arrival, came);
        }
    }

    /// A queue gets shorter when less is sent. What does not is no queue: the way has become longer,
    /// by another network or a relay.
    fn notice_longer_way(&mut self, arrival: Duration) {
        let standing = self.standing();
        if standing <= STANDING {
            self.stands_since = None;
            return;
        }
        let (since, then) = *self.stands_since.get_or_insert((arrival, standing));
        if standing < then * SHORTER {
            self.stands_since = Some((arrival, standing));
        } else if arrival.saturating_sub(since) > LONGER_AFTER {
            self.least = [self.smoothed; 2];
            self.least_since = arrival;
            self.stands_since = None;
        }
    }

    fn judge(&mut self, trend: f64, arrival: Duration, passed_ms: f64) {
        if trend > self.threshold {
            let since = *self.beyond_since.get_or_insert(arrival);
            if arrival.saturating_sub(since) >= BELIEVED_AFTER && trend >= self.before {
                self.usage = Usage::Over;
            }
        } else {
            self.beyond_since = None;
            self.usage = if trend < -self.threshold { Usage::Under } else { Usage::Normal };
        }
        self.before = trend;
        let beyond = trend.abs() - self.threshold;
        if beyond <= INCIDENT {
            let gain = if beyond > 0.0 { FOLLOW_OUT } else { FOLLOW_IN };
            self.threshold += gain * beyond * passed_ms.clamp(0.0, 100.0);
            self.threshold = self.threshold.clamp(THRESHOLD_BOUNDS.0, THRESHOLD_BOUNDS.1);
        }
    }
}

/// Of the straight line through the points, by least squares.
fn slope(points: &VecDeque<(f64, f64)>) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(|p| p.0), mean(|p| p.1));
    let spread: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let together: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    if spread > 0.0 { together / spread } else { 0.0 }
}

/// What arrives.
#[derive(Debug, Default)]
struct Received {
    /// At most [`MOST_PACKETS`]; whoever reports more at one and the same time is not believed.
    packets: VecDeque<(Duration, usize, Duration)>,
    bytes: usize,
    /// Of the time between the packets, that of which nothing is known.
    gaps: Duration,
    latest: Duration,
}

impl Received {
    fn push(&mut self, arrival: Duration, size: usize, after_gap: bool) {
        let gap = if after_gap { arrival.saturating_sub(self.latest) } else { Duration::ZERO };
        self.latest = self.latest.max(arrival);
        self.packets.push_back((arrival, size, gap));
        self.bytes += size;
        self.gaps += gap;
        while let Some((at, size, gap)) = self.packets.front().copied()
            && (at + RATE_WINDOW + self.gaps < self.latest || self.packets.len() > MOST_PACKETS)
        {
            self.packets.pop_front();
            self.bytes -= size;
            self.gaps -= gap;
        }
    }

    /// Bits a second; none before half a window is full.
    fn rate(&self) -> Option<f64> {
        let (first, _, gap_before) = self.packets.front()?;
        let span = self.latest.saturating_sub(*first).saturating_sub(self.gaps.saturating_sub(*gap_before));
        (span >= RATE_WINDOW / 2).then(|| self.bytes as f64 * 8.0 / span.as_secs_f64())
    }
}

/// The half that goes by delay.
#[derive(Debug)]
struct DelayControl {
    target: f64,
    /// The rate received when congestion was met, smoothed over its last times.
    ceiling: Option<f64>,
    /// After a step down, until the queue has been seen to stand still.
    holds: bool,
    changed_at: Option<Instant>,
    lowered_at: Option<Instant>,
}

impl DelayControl {
    const fn new(start: f64) -> Self {
        Self { target: start, ceiling: None, holds: false, changed_at: None, lowered_at: None }
    }

    /// `sending` is what both halves together allow.
    fn update(
        &mut self,
        now: Instant,
        usage: Usage,
        received: Option<f64>,
        round_trip: Duration,
        sending: f64,
        is_flood: bool,
    ) {
        let since = |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at));
        let Some(received) = received else { return };
        match usage {
            Usage::Over => {
                let response = round_trip + RESPONSE;
                if since(self.lowered_at).is_none_or(|passed| passed >= response) {
                    // From what was really sent: the other half may have held it lower.
                    let from = self.target.min(sending.max(received));
                    let least = if is_flood { LEAST_LEFT_IN_FLOOD } else { LEAST_LEFT };
                    self.target = (received * BACK_OFF).clamp(from * least, from);
                    self.ceiling =
                        Some(self.ceiling.map_or(received, |ceiling| f64::midpoint(ceiling, received)));
                    self.lowered_at = Some(now);
                }
                self.holds = true;
            }
            // The queue empties: wait for it.
            Usage::Under => self.holds = true,
            Usage::Normal if self.holds => self.holds = false,
            Usage::Normal => {
                let passed = since(self.changed_at).unwrap_or(RESPONSE).min(Duration::from_secs(1));
                self.grow(passed, received);
            }
        }
        self.changed_at = Some(now);
    }

    fn grow(&mut self, passed: Duration, received: f64) {
        if received < self.target * TRIED && self.target > UNTRIED {
            return;
        }
        self.ceiling = self.ceiling.filter(|ceiling| self.target < ceiling * NEAR.1);
        let is_near = self.ceiling.is_some_and(|ceiling| self.target > ceiling * NEAR.0);
        let growth = if is_near { NEAR_GROWTH } else { GROWTH };
        self.target *= growth.powf(passed.as_secs_f64());
    }
}

/// The half that goes by loss.
#[derive(Debug)]
struct LossControl {
    target: f64,
    window: (u32, u32),
    began: Option<Instant>,
    /// Of the last window.
    share: f64,
    /// What the line loses whatever is sent.
    inherent: f64,
    /// The rate and the share with which the loss that is being backed off from set in.
    set_in: Option<(f64, f64)>,
    is_queue: bool,
}

impl LossControl {
    const fn new(start: f64) -> Self {
        Self {
            target: start,
            window: (0, 0),
            began: None,
            share: 0.0,
            inherent: 0.0,
            set_in: None,
            is_queue: false,
        }
    }

    fn update(&mut self, now: Instant, lost: u32, of: u32, is_queue: bool, sending: f64) {
        self.window = (self.window.0 + lost, self.window.1 + of);
        self.is_queue |= is_queue;
        let began = *self.began.get_or_insert(now);
        if now.saturating_duration_since(began) < LOSS_WINDOW || self.window.1 < LOSS_PACKETS {
            return;
        }
        let share = f64::from(self.window.0) / f64::from(self.window.1);
        let is_queue = std::mem::take(&mut self.is_queue);
        (self.share, self.window, self.began) = (share, (0, 0), Some(now));

        let beyond = share - self.inherent;
        if beyond > CONGESTED {
            let from = self.target.min(sending);
            let (rate, then) = *self.set_in.get_or_insert((from, share));
            if is_queue {
                // A queue that overflows: the other half deals with it, and sees it end sooner.
                self.set_in = None;
                return;
            }
            if from <= rate * ASKED_AT {
                self.set_in = None;
                // What would be lost now, were the line as narrow as the loss made it seem.
                let carries = rate * (1.0 - then);
                let expected = (1.0 - carries / from).max(0.0);
                if share > f64::midpoint(expected, then) {
                    self.inherent = share.min(MOST_INHERENT);
                    self.target = rate;
                    return;
                }
            }
            self.target = from * (1.0 - 0.5 * beyond);
        } else {
            if beyond < HEALTHY {
                self.set_in = None;
                // Not beyond twice of what the other half allows: that is where it would be missed.
                self.target = (self.target * LOSS_GROWTH).min(self.target.max(sending * 2.0));
            }
            self.inherent -= (self.inherent - share).max(0.0) * FORGETTING;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line in virtual time: what is sent at the estimate, in packets of 400 bytes, passes a
    /// queue, and is reported of every 100 ms.
    const BITS: f64 = 3_200.0;

    struct Line {
        now: Duration,
        width: f64,
        /// How long a packet may stand in the queue.
        queue: Duration,
        loss: f64,
        /// Without a queue.
        way: Duration,
        jitter: Duration,
        /// Bits a second that there are to send, whatever the estimate allows.
        offered: f64,
        free_at: Duration,
        arrived: Duration,
        dice: u64,
        longest_queue: Duration,
    }

    impl Line {
        fn of(width: f64) -> Self {
            Self {
                now: Duration::ZERO,
                width,
                queue: Duration::from_millis(300),
                loss: 0.0,
                way: Duration::from_millis(40),
                jitter: Duration::ZERO,
                offered: f64::INFINITY,
                free_at: Duration::ZERO,
                arrived: Duration::ZERO,
                dice: 7,
                longest_queue: Duration::ZERO,
            }
        }

        /// 0 to 1, the same in every run.
        fn throw(&mut self) -> f64 {
            self.dice =
                self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.dice >> 33) as f64 / f64::from(1_u32 << 31)
        }

        fn run(&mut self, estimate: &mut Estimate, seconds: u64, epoch: Instant) {
            let until = self.now + Duration::from_secs(seconds);
            while self.now < until {
                let mut reports = vec![];
                let feedback_at = self.now + Duration::from_millis(100);
                while self.now < feedback_at {
                    reports.push(self.send(epoch));
                    let rate = estimate.target().min(self.offered);
                    self.now += Duration::from_secs_f64(BITS / rate);
                }
                estimate.on_reports(epoch + self.now + Duration::from_millis(40), &reports, None);
            }
        }

        fn send(&mut self, epoch: Instant) -> PacketReport {
            let waits = self.free_at.saturating_sub(self.now);
            self.longest_queue = self.longest_queue.max(waits);
            let lost = waits > self.queue || self.throw() < self.loss;
            if !lost {
                self.free_at = self.free_at.max(self.now) + Duration::from_secs_f64(BITS / self.width);
                let late = self.jitter.mul_f64(self.throw());
                self.arrived = self.arrived.max(self.free_at + self.way + late);
            }
            PacketReport {
                ssrc: 1,
                id: 0,
                rtp_sequence_number: 0,
                is_twcc: true,
                twcc_sequence_number: 0,
                size: 400,
                arrived: !lost,
                departure: epoch + self.now,
                arrival: (!lost).then_some(self.arrived),
                ecn: rtc::rtcp::transport_feedbacks::cc_feedback_report::Ecn::default(),
            }
        }
    }

    const BOUNDS: (f64, f64) = (60_000.0, 3_000_000.0);

    fn settled(line: &mut Line, seconds: u64) -> f64 {
        let mut estimate = Estimate::new(600_000.0, BOUNDS);
        line.run(&mut estimate, seconds, Instant::now());
        estimate.target()
    }

    #[test]
    fn climbs_on_a_free_line() {
        assert!(settled(&mut Line::of(50e6), 30) > 2_900_000.0);
    }

    #[test]
    fn settles_below_what_a_narrow_line_carries_without_filling_its_queue() {
        for width in [200e3, 300e3, 1e6] {
            let mut line = Line::of(width);
            let mut estimate = Estimate::new(600_000.0, BOUNDS);
            let epoch = Instant::now();
            line.run(&mut estimate, 10, epoch);
            line.longest_queue = Duration::ZERO;
            line.run(&mut estimate, 30, epoch);
            let share = estimate.target() / width;
            assert!((0.6..1.15).contains(&share), "{share} of {width}");
            assert!(line.longest_queue < Duration::from_millis(250), "{:?} at {width}", line.longest_queue);
        }
    }

    #[test]
    fn jitter_is_not_congestion() {
        for ms in [10, 25, 50] {
            let mut line = Line::of(50e6);
            line.jitter = Duration::from_millis(ms);
            let target = settled(&mut line, 40);
            assert!(target > 1_500_000.0, "{target} with {ms} ms of jitter");
        }
    }

    #[test]
    fn loss_that_is_the_lines_own_is_lived_with() {
        for loss in [0.05, 0.15, 0.25] {
            let mut line = Line::of(50e6);
            line.loss = loss;
            line.jitter = Duration::from_millis(20);
            let target = settled(&mut line, 40);
            assert!(target > 350_000.0, "{target} with {loss} lost");
        }
    }

    #[test]
    fn loss_that_is_made_by_what_is_sent_is_not() {
        let mut line = Line::of(200e3);
        // Next to no queue: delay says nothing.
        line.queue = Duration::from_millis(30);
        let target = settled(&mut line, 30);
        assert!(target < 280_000.0, "{target} into a line of 200 kbit/s");
    }

    #[test]
    fn a_longer_way_is_not_a_queue() {
        let mut line = Line::of(50e6);
        let mut estimate = Estimate::new(600_000.0, BOUNDS);
        let epoch = Instant::now();
        line.run(&mut estimate, 20, epoch);
        line.way = Duration::from_millis(400);
        line.run(&mut estimate, 15, epoch);
        assert!(estimate.target() > 400_000.0, "{} after the way became longer", estimate.target());
    }

    #[test]
    fn finds_its_way_back_up() {
        let mut line = Line::of(200e3);
        let mut estimate = Estimate::new(600_000.0, BOUNDS);
        let epoch = Instant::now();
        line.run(&mut estimate, 20, epoch);
        assert!(estimate.target() < 240_000.0);
        line.width = 5e6;
        line.run(&mut estimate, 30, epoch);
        assert!(estimate.target() > 1_000_000.0, "{}", estimate.target());
    }

    #[test]
    fn what_was_not_tried_is_not_believed() {
        let mut line = Line::of(50e6);
        line.offered = 200_000.0;
        assert!(settled(&mut line, 30) <= 600_000.0);
    }
}
