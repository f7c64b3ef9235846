//! Whether the queue on the path grows: the slope of the one-way delay.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Packets that left within this time are one group: a frame's packets leave together.
const GROUP: Duration = Duration::from_millis(5);
/// A burst that a link held back and let go at once is one group as well, up to this long.
const LONGEST_BURST: Duration = Duration::from_millis(100);
/// Groups that the slope goes by.
const POINTS: usize = 20;
/// How much of the smoothed delay before stays.
const SMOOTHING: f64 = 0.9;
/// What the slope is multiplied by to be compared with the threshold, and the groups, of which no
/// more than these count.
const GAIN: f64 = 4.0;
const MOST_GROUPS: f64 = 60.0;
/// The threshold, in ms: where it begins, and its bounds (draft-ietf-rmcat-gcc-02 §5.4).
const THRESHOLD_MS: f64 = 12.5;
const LOWEST_THRESHOLD_MS: f64 = 6.0;
const HIGHEST_THRESHOLD_MS: f64 = 600.0;
/// How fast the threshold follows a trend beyond it, and one within it. The draft's gains belong to
/// its Kalman filter; with a slope the threshold would hardly ever come down again.
const GAIN_UP: f64 = 0.0087;
const GAIN_DOWN: f64 = 0.039;
/// A trend further than this beyond the threshold, in ms, is an incident and does not move it.
const INCIDENT_MS: f64 = 15.0;
/// How long the trend must be beyond the threshold to be believed.
const BELIEVED_AFTER: Duration = Duration::from_millis(10);
/// A gap in which the receiver's clock can't be told from one that was set anew.
const RESET_AFTER: Duration = Duration::from_secs(2);

/// What the trend of the delay says of the queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum BandwidthUsage {
    /// The queue stands still.
    #[default]
    Normal,
    /// It grows.
    Overuse,
    /// It shrinks.
    Underuse,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    first_departure: Instant,
    departure: Instant,
    first_arrival: Duration,
    arrival: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    arrival_ms: f64,
    delay_ms: f64,
}

/// The slope of the delay over the last groups of packets, and what it means.
#[derive(Debug)]
pub(crate) struct Trendline {
    current: Option<Group>,
    previous: Option<Group>,
    points: VecDeque<Point>,
    groups: u32,
    accumulated_ms: f64,
    smoothed_ms: f64,
    first_arrival: Duration,
    threshold_ms: f64,
    trend_before: f64,
    beyond_for: Duration,
    beyond_groups: u32,
    usage: BandwidthUsage,
}

impl Trendline {
    pub(crate) fn new() -> Self {
        Self {
            current: None,
            previous: None,
            points: VecDeque::with_capacity(POINTS),
            groups: 0,
            accumulated_ms: 0.0,
            smoothed_ms: 0.0,
            first_arrival: Duration::ZERO,
            threshold_ms: THRESHOLD_MS,
            trend_before: 0.0,
            beyond_for: Duration::ZERO,
            beyond_groups: 0,
            usage: BandwidthUsage::Normal,
        }
    }

    pub(crate) const fn usage(&self) -> BandwidthUsage {
        self.usage
    }

    /// A packet arrived; in the order of arrival.
    pub(crate) fn push(&mut self, departure: Instant, arrival: Duration) {
        let Some(current) = &mut self.current else {
            self.current =
                Some(Group { first_departure: departure, departure, first_arrival: arrival, arrival });
            return;
        };
        // Overtaken: says nothing of the queue now.
        if departure < current.first_departure {
            return;
        }
        let jumped = arrival.abs_diff(current.arrival) > RESET_AFTER;
        if jumped {
            *self = Self::new();
            return self.push(departure, arrival);
        }
        let sent_after = departure.saturating_duration_since(current.departure);
        let came_after = arrival.saturating_sub(current.arrival);
        let is_held_back = came_after < sent_after
            && came_after <= GROUP
            && arrival.saturating_sub(current.first_arrival) < LONGEST_BURST;
        if departure.duration_since(current.first_departure) <= GROUP || is_held_back {
            current.departure = current.departure.max(departure);
            current.arrival = current.arrival.max(arrival);
            return;
        }
        let closed = *current;
        self.current = Some(Group { first_departure: departure, departure, first_arrival: arrival, arrival });
        if let Some(previous) = self.previous.replace(closed) {
            self.on_group(previous, closed);
        }
    }

    fn on_group(&mut self, previous: Group, group: Group) {
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        let sent_ms = ms(group.departure.saturating_duration_since(previous.departure));
        let came_ms = ms(group.arrival) - ms(previous.arrival);
        if self.groups == 0 {
            self.first_arrival = group.arrival;
        }
        self.groups = self.groups.saturating_add(1);
        self.accumulated_ms += came_ms - sent_ms;
        self.smoothed_ms = SMOOTHING * self.smoothed_ms + (1.0 - SMOOTHING) * self.accumulated_ms;
        if self.points.len() == POINTS {
            self.points.pop_front();
        }
        let arrival_ms = ms(group.arrival.saturating_sub(self.first_arrival));
        self.points.push_back(Point { arrival_ms, delay_ms: self.smoothed_ms });
        if self.points.len() == POINTS {
            let trend = slope(&self.points) * f64::from(self.groups).min(MOST_GROUPS) * GAIN;
            self.detect(trend, Duration::from_secs_f64(sent_ms / 1e3), came_ms);
        }
    }

    fn detect(&mut self, trend: f64, sent: Duration, came_ms: f64) {
        if trend > self.threshold_ms {
            self.beyond_for += if self.beyond_groups == 0 { sent / 2 } else { sent };
            self.beyond_groups += 1;
            let is_believed = self.beyond_for > BELIEVED_AFTER && self.beyond_groups > 1;
            if is_believed && trend >= self.trend_before {
                self.usage = BandwidthUsage::Overuse;
                (self.beyond_for, self.beyond_groups) = (Duration::ZERO, 0);
            }
        } else {
            (self.beyond_for, self.beyond_groups) = (Duration::ZERO, 0);
            let falls = trend < -self.threshold_ms;
            self.usage = if falls { BandwidthUsage::Underuse } else { BandwidthUsage::Normal };
        }
        self.trend_before = trend;
        let beyond = trend.abs() - self.threshold_ms;
        if beyond <= INCIDENT_MS {
            let gain = if beyond > 0.0 { GAIN_UP } else { GAIN_DOWN };
            self.threshold_ms += gain * beyond * came_ms.clamp(0.0, 100.0);
            self.threshold_ms = self.threshold_ms.clamp(LOWEST_THRESHOLD_MS, HIGHEST_THRESHOLD_MS);
        }
    }
}

/// Of the straight line through the points, by least squares.
fn slope(points: &VecDeque<Point>) -> f64 {
    let count = points.len() as f64;
    let mean_x = points.iter().map(|p| p.arrival_ms).sum::<f64>() / count;
    let mean_y = points.iter().map(|p| p.delay_ms).sum::<f64>() / count;
    let spread: f64 = points.iter().map(|p| (p.arrival_ms - mean_x).powi(2)).sum();
    let together: f64 = points.iter().map(|p| (p.arrival_ms - mean_x) * (p.delay_ms - mean_y)).sum();
    if spread > 0.0 { together / spread } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets every 10 ms, each `slower_us` later than it left.
    fn usage_of(slower_us: i64) -> BandwidthUsage {
        let (mut trendline, began) = (Trendline::new(), Instant::now());
        for n in 0..200_u64 {
            let sent = Duration::from_millis(10 * n);
            let came = (1_000_000 + 10_000 * n as i64 + slower_us * n as i64).max(0) as u64;
            trendline.push(began + sent, Duration::from_micros(came));
        }
        trendline.usage()
    }

    #[test]
    fn a_queue_that_grows_is_seen_and_one_that_shrinks() {
        assert_eq!(usage_of(0), BandwidthUsage::Normal);
        assert_eq!(usage_of(1_000), BandwidthUsage::Overuse);
        assert_eq!(usage_of(-1_000), BandwidthUsage::Underuse);
    }

    #[test]
    fn a_receivers_clock_that_jumps_starts_anew() {
        let (mut trendline, began) = (Trendline::new(), Instant::now());
        for n in 0..100_u64 {
            trendline.push(
                began + Duration::from_millis(10 * n),
                Duration::from_secs(900) + Duration::from_millis(10 * n),
            );
        }
        // The 24 bits of the feedback's time have wrapped.
        for n in 100..200_u64 {
            trendline.push(began + Duration::from_millis(10 * n), Duration::from_millis(12 * n));
        }
        assert_eq!(trendline.usage(), BandwidthUsage::Overuse);
    }
}
