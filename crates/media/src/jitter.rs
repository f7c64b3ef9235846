//! The adaptive jitter buffer for sound.
//!
//! Packets come in at the network's pace, frames of 10 ms go out at the speaker's. How long a
//! packet waits in between follows how much packets have lately come apart: the delay that all
//! but the latest few in a hundred would have met. What is missing when its turn comes is
//! repaired from the redundancy in the next packet, or concealed. The delay is changed by
//! leaving out or repeating single periods of the voice, never by a cut.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use crate::{
    AudioFrame, FRAME, MediaError, SAMPLE_RATE,
    opus::{PACKET_SAMPLES, VoiceDecoder},
    stretch,
};

/// Least delay aimed at: one packet, so that the next is there when this one ends.
const MIN_TARGET: Duration = Duration::from_millis(20);
/// Most delay aimed at: beyond it people talk over one another, and a gap is the lesser evil.
const MAX_TARGET: Duration = Duration::from_millis(400);
/// Packets whose delay is remembered: eight seconds, so that a spike is prepared for for a while
/// and then forgotten.
const HISTORY: usize = 400;
/// Share of packets that should have come in time.
const IN_TIME: f64 = 0.97;
/// Most packets kept: over two seconds. A burst beyond it loses its oldest.
const MAX_PACKETS: usize = 128;
/// How far from the target the wait may stray before it is changed.
const TOLERANCE: Duration = Duration::from_millis(12);
/// Concealed frames of 10 ms in a row after which the stream counts as interrupted.
const INTERRUPTED: u32 = 100;

/// What has happened so far, in samples, and where the buffer stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct JitterStats {
    /// Given out in all.
    pub played: u64,
    /// Of those, repaired from redundancy.
    pub recovered: u64,
    /// Of those, made up.
    pub concealed: u64,
    /// Left out to catch up.
    pub shortened: u64,
    /// Repeated to wait longer.
    pub lengthened: u64,
    /// Packets that came after their turn.
    pub late_packets: u64,
    /// The delay aimed at.
    pub target: Duration,
    /// The delay there is: sound that waits to be played.
    pub waiting: Duration,
}

/// Packets in, even frames out.
pub struct JitterBuffer {
    decoder: VoiceDecoder,
    packets: BTreeMap<u64, Vec<u8>>,
    /// The packet to play next.
    next: Option<u64>,
    highest: u64,
    sound: Vec<f32>,
    delays: Delays,
    /// The wait, smoothed over about a second.
    level_ms: f64,
    concealed_in_a_row: u32,
    started: bool,
    stats: JitterStats,
}

impl JitterBuffer {
    /// An empty buffer.
    pub fn new() -> Result<Self, MediaError> {
        Ok(Self {
            decoder: VoiceDecoder::new()?,
            packets: BTreeMap::new(),
            next: None,
            highest: 0,
            sound: Vec::with_capacity(4 * PACKET_SAMPLES),
            delays: Delays::default(),
            level_ms: 0.0,
            concealed_in_a_row: 0,
            started: false,
            stats: JitterStats { target: MIN_TARGET, ..JitterStats::default() },
        })
    }

    /// What has happened so far.
    pub fn stats(&self) -> JitterStats {
        JitterStats { waiting: self.waiting(), ..self.stats }
    }

    /// Takes a packet: its RTP sequence number and timestamp (48 kHz), and when it came.
    pub fn push(&mut self, sequence: u16, timestamp: u32, packet: &[u8], now: Instant) {
        if packet.is_empty() {
            return;
        }
        let number = self.unwrap(sequence);
        self.delays.push(timestamp, now);
        self.stats.target = self.delays.target().clamp(MIN_TARGET, MAX_TARGET);
        if self.next.is_some_and(|next| number < next) {
            self.stats.late_packets += 1;
            return;
        }
        self.highest = self.highest.max(number);
        self.packets.insert(number, packet.to_vec());
        while self.packets.len() > MAX_PACKETS {
            self.packets.pop_first();
            self.next = self.packets.keys().next().copied();
        }
    }

    /// The next 10 ms.
    pub fn pull(&mut self) -> Result<AudioFrame, MediaError> {
        if !self.started {
            // Nothing is played until as much waits as is aimed at.
            if self.waiting() < self.stats.target {
                return Ok([0.0; FRAME]);
            }
            self.started = true;
            self.next = self.packets.keys().next().copied();
            self.level_ms = self.waiting().as_secs_f64() * 1e3;
        }
        while self.sound.len() < FRAME {
            self.decode_next()?;
        }
        self.adapt();
        let mut frame = [0.0; FRAME];
        frame.copy_from_slice(&self.sound[..FRAME]);
        self.sound.drain(..FRAME);
        self.stats.played += FRAME as u64;
        Ok(frame)
    }

    /// Forgets everything but the statistics: another stream follows.
    pub fn reset(&mut self) -> Result<(), MediaError> {
        *self = Self { stats: self.stats, ..Self::new()? };
        Ok(())
    }

    fn decode_next(&mut self) -> Result<(), MediaError> {
        let next = self.next.unwrap_or(self.highest + 1);
        if let Some(packet) = self.packets.remove(&next) {
            // A packet that can't be decoded is as good as lost.
            let decoded = match self.decoder.decode(&packet) {
                Ok(sound) => {
                    self.concealed_in_a_row = 0;
                    sound
                }
                Err(_) => self.decoder.conceal()?,
            };
            self.sound.extend_from_slice(decoded);
            self.next = Some(next + 1);
            return Ok(());
        }
        if let Some(following) = self.packets.get(&(next + 1))
            && let Ok(sound) = self.decoder.recover(following)
        {
            self.sound.extend_from_slice(sound);
            self.stats.recovered += sound.len() as u64;
            self.next = Some(next + 1);
            return Ok(());
        }
        let sound = self.decoder.conceal()?;
        self.sound.extend_from_slice(sound);
        self.stats.concealed += sound.len() as u64;
        self.concealed_in_a_row += (sound.len() / FRAME) as u32;
        if !self.packets.is_empty() {
            // Later ones are there: this one is lost.
            self.next = Some(next + 1);
        } else if self.concealed_in_a_row > INTERRUPTED {
            // Wait for the stream to fill the buffer again, as at its start. Otherwise the packet
            // is only late, and playing it after the gap makes the wait longer, as it should be.
            self.started = false;
            self.concealed_in_a_row = 0;
            self.next = None;
        }
        Ok(())
    }

    /// Moves the wait towards the target, a period at a time.
    fn adapt(&mut self) {
        let waiting = self.waiting().as_secs_f64() * 1e3;
        // Packets come every 20 ms: the wait saws up and down by that much around its middle.
        self.level_ms += (waiting - self.level_ms) * 0.02;
        let target = self.stats.target.as_secs_f64() * 1e3 + 10.0;
        let tolerance = TOLERANCE.as_secs_f64() * 1e3;
        if self.level_ms > target + tolerance {
            self.need_ahead();
            let out = stretch::shorten(&mut self.sound);
            self.stats.shortened += out as u64;
            self.level_ms -= milliseconds(out);
        } else if self.level_ms < target - tolerance && self.concealed_in_a_row == 0 {
            self.need_ahead();
            let put = stretch::lengthen(&mut self.sound);
            self.stats.lengthened += put as u64;
            self.level_ms += milliseconds(put);
        }
    }

    /// Decodes ahead, as far as packets are there, so that a period can be looked for.
    fn need_ahead(&mut self) {
        while self.sound.len() < stretch::NEEDED + FRAME {
            let Some(packet) = self.next.and_then(|next| self.packets.remove(&next)) else { return };
            let Ok(sound) = self.decoder.decode(&packet) else { return };
            self.sound.extend_from_slice(sound);
            self.next = self.next.map(|next| next + 1);
        }
    }

    fn waiting(&self) -> Duration {
        let first = self.next.or_else(|| self.packets.keys().next().copied());
        let packets = first.map_or(0, |first| (self.highest + 1).saturating_sub(first));
        let packets = if self.packets.is_empty() { 0 } else { packets };
        Duration::from_micros((packets * PACKET_SAMPLES as u64 + self.sound.len() as u64) * 1_000 / 48)
    }

    /// The sequence number without its wrapping around at 65 536.
    fn unwrap(&mut self, sequence: u16) -> u64 {
        if self.highest == 0 {
            // Far from zero, so that earlier ones have a place.
            return (1 << 32) + u64::from(sequence);
        }
        let step = sequence.wrapping_sub(self.highest as u16) as i16;
        self.highest.saturating_add_signed(i64::from(step))
    }
}

fn milliseconds(samples: usize) -> f64 {
    samples as f64 * 1e3 / f64::from(SAMPLE_RATE)
}

/// How much later than the quickest ones packets come.
#[derive(Default)]
struct Delays {
    origin: Option<(Instant, u32)>,
    /// Arrival minus timestamp, in milliseconds from an arbitrary zero.
    recent: VecDeque<f64>,
}

impl Delays {
    fn push(&mut self, timestamp: u32, now: Instant) {
        let (at, first) = *self.origin.get_or_insert((now, timestamp));
        let sent = f64::from(timestamp.wrapping_sub(first) as i32) / 48.0;
        let came = now.saturating_duration_since(at).as_secs_f64() * 1e3;
        if self.recent.len() == HISTORY {
            self.recent.pop_front();
        }
        self.recent.push_back(came - sent);
    }

    /// The delay behind the quickest packet that [`IN_TIME`] of them kept within.
    fn target(&self) -> Duration {
        let mut sorted: Vec<f64> = self.recent.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let Some(&quickest) = sorted.first() else { return MIN_TARGET };
        let at = ((sorted.len() - 1) as f64 * IN_TIME).ceil() as usize;
        Duration::from_secs_f64((sorted[at] - quickest).max(0.0) / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opus::VoiceEncoder;

    /// A voice-like tone sent in packets of 20 ms through a network given as a delay in
    /// milliseconds for each packet, none for lost; played at its own pace.
    fn play(network: impl Fn(usize) -> Option<u64>, packets: usize) -> (Vec<f32>, JitterStats) {
        let mut encoder = VoiceEncoder::new().unwrap();
        let start = Instant::now();
        let mut arrivals: Vec<(u64, u16, Vec<u8>)> = vec![];
        for n in 0..packets {
            let sound: Vec<f32> = (0..PACKET_SAMPLES)
                .map(|i| {
                    let t = (n * PACKET_SAMPLES + i) as f32 / SAMPLE_RATE as f32;
                    0.3 * (t * 160.0 * std::f32::consts::TAU).sin() * (1.0 + 0.5 * (t * 3.0).sin())
                })
                .collect();
            let packet = encoder.encode(&sound).unwrap().to_vec();
            if let Some(delay) = network(n) {
                arrivals.push((n as u64 * 20 + delay, n as u16, packet));
            }
        }
        arrivals.sort_by_key(|a| a.0);
        let mut arrivals = arrivals.into_iter().peekable();
        let mut buffer = JitterBuffer::new().unwrap();
        let mut out = vec![];
        for ms in 0..packets as u64 * 20 {
            while arrivals.peek().is_some_and(|a| a.0 <= ms) {
                let (at, n, packet) = arrivals.next().unwrap();
                buffer.push(n, u32::from(n) * 960, &packet, start + Duration::from_millis(at));
            }
            if ms % 10 == 0 {
                out.extend(buffer.pull().unwrap());
            }
        }
        (out, buffer.stats())
    }

    /// Cheap, repeatable noise from 0 to `range`.
    fn noise(n: usize, range: u64) -> u64 {
        let mut x = n as u64 ^ 0x9e37_79b9_7f4a_7c15;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % (range + 1)
    }

    #[test]
    fn an_even_network_costs_next_to_nothing() {
        let (out, stats) = play(|_| Some(30), 500);
        assert_eq!(stats.concealed, 0, "{stats:?}");
        assert!(stats.waiting <= Duration::from_millis(50), "{stats:?}");
        let loud = out.iter().skip(48_000).map(|s| s * s).sum::<f32>() / (out.len() - 48_000) as f32;
        assert!(loud > 0.02, "the tone is heard: {loud}");
    }

    #[test]
    fn lost_packets_are_repaired_or_concealed() {
        let (_, stats) = play(|n| (noise(n, 99) >= 10).then_some(30), 1_000);
        let lost = (0..1_000).filter(|n| noise(*n, 99) < 10).count() as u64 * PACKET_SAMPLES as u64;
        assert!(stats.recovered + stats.concealed >= lost * 9 / 10, "{stats:?}, lost {lost}");
        assert!(stats.recovered > stats.concealed, "most single losses are repaired: {stats:?}");
        assert!(stats.waiting < Duration::from_millis(100), "{stats:?}");
    }

    #[test]
    fn jitter_is_waited_out() {
        let (_, stats) = play(|n| Some(30 + noise(n, 60)), 1_000);
        assert!(stats.concealed < stats.played / 25, "{stats:?}");
        assert!((40..=110).contains(&stats.waiting.as_millis()), "{stats:?}");
    }

    #[test]
    fn it_goes_back_when_the_network_calms_down() {
        let (_, stats) = play(|n| Some(if n < 250 { 30 + noise(n, 150) } else { 30 }), 1_500);
        assert!(stats.shortened > 0, "{stats:?}");
        assert!(stats.waiting < Duration::from_millis(70), "{stats:?}");
    }

    #[test]
    fn an_interruption_is_survived() {
        let (out, stats) = play(|n| (!(200..400).contains(&n)).then_some(30), 600);
        let end = &out[out.len() - 48_000..];
        assert!(end.iter().map(|s| s * s).sum::<f32>() / 48_000.0 > 0.02, "the tone is back: {stats:?}");
    }

    #[test]
    fn numbers_may_wrap_around() {
        let mut encoder = VoiceEncoder::new().unwrap();
        let packet = encoder.encode(&[0.1; PACKET_SAMPLES]).unwrap().to_vec();
        let mut buffer = JitterBuffer::new().unwrap();
        let start = Instant::now();
        for n in 0..100_u32 {
            let sequence = 65_500_u16.wrapping_add(n as u16);
            let timestamp = (u32::MAX - 10_000).wrapping_add(n * 960);
            buffer.push(sequence, timestamp, &packet, start + Duration::from_millis(u64::from(n) * 20));
            buffer.pull().unwrap();
            buffer.pull().unwrap();
        }
        let stats = buffer.stats();
        assert_eq!((stats.late_packets, stats.concealed), (0, 0), "{stats:?}");
    }
}
