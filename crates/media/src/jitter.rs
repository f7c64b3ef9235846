//! The adaptive jitter buffer for sound.
//!
//! Packets come in at the network's pace, frames of 10 ms go out at the speaker's. What counts is
//! how much sound was left at the worst moment of the last seconds, whether packets came late or
//! the speaker took much at once: where more was always left than is needed, the wait is
//! shortened; where next to nothing was left, it is lengthened before it runs dry. What is
//! missing when its turn comes is repaired from the redundancy in the next packet, or concealed;
//! a packet that comes after its turn is played then, so that the wait grows by just as much as
//! it was late. The wait is changed by leaving out or repeating single periods of the voice,
//! never by a cut.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use crate::{
    AudioFrame, FRAME, MediaError, SAMPLE_RATE,
    opus::{PACKET_SAMPLES, VoiceDecoder},
    stretch,
};

/// Sound that waits before the first is played: three packets. Left out again in the first pauses
/// where it was more than needed.
const START: Duration = Duration::from_millis(60);
/// Sound that should be left at the worst moment: what a speaker's next wish, half a packet
/// early, does not exhaust.
const MARGIN_MS: f32 = 10.0;
/// How much more than the margin may be left for good: the longest period of a voice, so that
/// leaving one out does not ask for it back.
const TOLERANCE_MS: f32 = 16.0;
/// More than this, left at the worst moment of the last two seconds, is not kept for ten: it came
/// with a machine or a network that stood still once. Of the last six, where that happens again
/// and again.
const SURPLUS_MS: f32 = 50.0;
/// Packets missed in a row that make a standstill of it.
const STANDSTILL: u64 = 3;
/// Two standstills within this many frames of 10 ms come again and again: a minute.
const AGAIN_WITHIN: u32 = 6_000;
/// For how long they are believed to, in frames of 10 ms: half a minute.
const BELIEVED: u32 = 3_000;
/// Below this it may run dry at any moment: no time to wait for a pause.
const SCARCE_MS: f32 = 4.0;
/// The wait is made shorter at once beyond this: people talk over one another, and a gap is the
/// lesser evil.
const LONGEST_MS: f32 = 400.0;
/// And beyond this it is cut back to the beginning's: nobody took the sound, because the speaker was
/// changed or the visit was on hold. Nobody wants to hear a second of what was said meanwhile.
const STALE: Duration = Duration::from_millis(1_000);
/// Frames of 10 ms between two changes of the wait.
const REST: u32 = 10;
/// Most packets kept: over two seconds. A burst beyond it loses its oldest.
const MAX_PACKETS: usize = 128;
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
    /// Sound that waits to be played.
    pub waiting: Duration,
    /// Sound that was left at the worst moment of the last ten seconds.
    pub least: Duration,
}

/// Packets in, even frames out.
pub struct JitterBuffer {
    decoder: VoiceDecoder,
    packets: BTreeMap<u64, Vec<u8>>,
    /// The packet to play next.
    next: Option<u64>,
    highest: u64,
    sound: Vec<f32>,
    left: Left,
    /// Frames until the wait may be changed again.
    rest: u32,
    /// Packets made up for while nothing was there: if they turn out to be lost, that was that.
    owed: u64,
    /// Frames since the last standstill, and for how many more it is believed to come again.
    since_standstill: u32,
    recurs: u32,
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
            left: Left::default(),
            rest: 0,
            owed: 0,
            since_standstill: AGAIN_WITHIN,
            recurs: 0,
            concealed_in_a_row: 0,
            started: false,
            stats: JitterStats::default(),
        })
    }

    /// What has happened so far.
    pub fn stats(&self) -> JitterStats {
        let least = Duration::from_secs_f32(self.left.least(Left::KEPT).clamp(0.0, LONGEST_MS) / 1e3);
        JitterStats { waiting: self.waiting(), least, ..self.stats }
    }

    /// Takes a packet of 20 ms with its RTP sequence number.
    pub fn push(&mut self, sequence: u16, packet: &[u8]) {
        if packet.is_empty() {
            return;
        }
        let number = self.unwrap(sequence);
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
            if self.waiting() < START {
                return Ok([0.0; FRAME]);
            }
            self.cut_to(START);
            self.started = true;
            self.next = self.packets.keys().next().copied();
            self.left = Left::default();
        }
        if self.waiting() > STALE {
            self.cut_to(START);
            self.left = Left::default();
        }
        while self.sound.len() < FRAME {
            self.decode_next()?;
        }
        self.adapt();
        let mut frame = [0.0; FRAME];
        frame.copy_from_slice(&self.sound[..FRAME]);
        self.sound.drain(..FRAME);
        self.stats.played += FRAME as u64;
        self.since_standstill = self.since_standstill.saturating_add(1);
        self.recurs = self.recurs.saturating_sub(1);
        self.left.push(self.waiting().as_secs_f32() * 1e3);
        Ok(frame)
    }

    /// Throws away the oldest packets until no more than this waits.
    fn cut_to(&mut self, wait: Duration) {
        while self.waiting() > wait && self.packets.pop_first().is_some() {
            if self.next.is_some() {
                self.next = self.packets.keys().next().copied();
            }
        }
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
            self.owed = 0;
            return Ok(());
        }
        if !self.packets.is_empty() && self.owed > 0 {
            // Not late, as it seemed, but lost, and made up for already.
            self.owed -= 1;
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
            return Ok(());
        }
        self.owed += 1;
        if self.owed == STANDSTILL {
            if self.since_standstill < AGAIN_WITHIN {
                self.recurs = BELIEVED;
            }
            self.since_standstill = 0;
        }
        if self.concealed_in_a_row > INTERRUPTED {
            // Wait for the stream to fill the buffer again, as at its start. Otherwise the packet
            // is only late, and playing it after the gap makes the wait longer, as it should be.
            self.started = false;
            self.concealed_in_a_row = 0;
            self.owed = 0;
            self.next = None;
        }
        Ok(())
    }

    /// Shortens or lengthens the wait by a period, where it has to be.
    fn adapt(&mut self) {
        if self.rest > 0 {
            self.rest -= 1;
            return;
        }
        let waiting = self.waiting().as_secs_f32() * 1e3;
        let too_long = waiting > LONGEST_MS;
        let lately = self.left.least(Left::LATELY);
        let while_surplus = if self.recurs > 0 { Left::LONGER } else { Left::LATELY };
        let surplus = self.left.is_settled() && self.left.least(while_surplus) > SURPLUS_MS;
        if too_long
            || surplus
            || (self.left.is_settled() && self.left.least(Left::KEPT) > MARGIN_MS + TOLERANCE_MS)
        {
            self.need_ahead();
            let out = stretch::shorten(&mut self.sound, too_long);
            self.stats.shortened += out as u64;
            self.left.shift(-milliseconds(out));
            self.rest = if too_long { 0 } else { REST };
        } else if lately < MARGIN_MS && self.concealed_in_a_row == 0 && waiting + TOLERANCE_MS < LONGEST_MS {
            self.need_ahead();
            let put = stretch::lengthen(&mut self.sound, lately < SCARCE_MS);
            self.stats.lengthened += put as u64;
            self.left.shift(milliseconds(put));
            self.rest = REST;
        }
    }

    /// Decodes ahead, as far as packets are there, so that a period can be looked for.
    fn need_ahead(&mut self) {
        while self.sound.len() < stretch::NEEDED + FRAME {
            let Some(packet) = self.next.and_then(|next| self.packets.remove(&next)) else { return };
            self.next = self.next.map(|next| next + 1);
            let Ok(sound) = self.decoder.decode(&packet) else { return };
            self.sound.extend_from_slice(sound);
            (self.concealed_in_a_row, self.owed) = (0, 0);
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

fn milliseconds(samples: usize) -> f32 {
    samples as f32 * 1e3 / SAMPLE_RATE as f32
}

/// How much sound was left after each frame, as the least of every quarter of a second.
#[derive(Default)]
struct Left {
    /// Milliseconds, oldest first.
    quarters: VecDeque<f32>,
    frames: u32,
}

impl Left {
    /// Frames of 10 ms in a quarter of a second.
    const QUARTER: u32 = 25;
    /// Ten seconds: a burst that comes again within them finds the wait as long as it needs.
    const KEPT: usize = 40;
    /// Two seconds, before which nothing is shortened.
    const SETTLED: usize = 8;
    /// Six seconds.
    const LONGER: usize = 24;
    /// Two seconds.
    const LATELY: usize = 8;

    fn push(&mut self, left: f32) {
        if self.frames.is_multiple_of(Self::QUARTER) {
            self.quarters.push_back(left);
            if self.quarters.len() > Self::KEPT {
                self.quarters.pop_front();
            }
        }
        self.frames += 1;
        if let Some(quarter) = self.quarters.back_mut() {
            *quarter = quarter.min(left);
        }
    }

    fn is_settled(&self) -> bool {
        self.quarters.len() >= Self::SETTLED
    }

    /// The least of as many quarters; nothing yet counts as enough.
    fn least(&self, quarters: usize) -> f32 {
        self.quarters.iter().rev().take(quarters).copied().reduce(f32::min).unwrap_or(f32::MAX)
    }

    /// The wait was changed: what was left would have been that much more.
    fn shift(&mut self, by: f32) {
        for quarter in &mut self.quarters {
            *quarter += by;
        }
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
                let (_, n, packet) = arrivals.next().unwrap();
                buffer.push(n, &packet);
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
    fn a_burst_that_comes_again_finds_enough() {
        // Every five seconds the network stands still for 50 ms, as a busy machine does.
        let (_, stats) = play(|n| Some(if n % 250 == 249 { 80 } else { 30 }), 3_000);
        assert!(stats.concealed <= 3 * PACKET_SAMPLES as u64, "only the first one is heard: {stats:?}");
        assert!(stats.waiting < Duration::from_millis(110), "{stats:?}");
    }

    #[test]
    fn what_was_made_up_for_is_not_made_up_again() {
        // Half a second is lost, as when a laptop changes to another access point.
        let (_, stats) = play(|n| (!(250..275).contains(&n)).then_some(30), 1_500);
        assert!(stats.concealed <= 30 * PACKET_SAMPLES as u64, "{stats:?}");
        assert!(stats.waiting < Duration::from_millis(120), "{stats:?}");
    }

    #[test]
    fn a_long_burst_that_comes_again_finds_enough() {
        let (_, stats) =
            play(|n| Some(if n % 250 >= 240 { 30 + (250 - n as u64 % 250) * 20 } else { 30 }), 3_000);
        // Twelve bursts of ten packets: the first two are heard, and one when it is forgotten.
        assert!(stats.concealed <= 36 * PACKET_SAMPLES as u64, "{stats:?}");
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
    fn what_nobody_listened_to_is_not_played() {
        let mut encoder = VoiceEncoder::new().unwrap();
        let mut buffer = JitterBuffer::new().unwrap();
        let mut come = |buffer: &mut JitterBuffer, numbers: std::ops::Range<u16>| {
            for number in numbers {
                buffer.push(number, encoder.encode(&[0.1; PACKET_SAMPLES]).unwrap());
            }
        };
        come(&mut buffer, 0..150);
        buffer.pull().unwrap();
        assert!(buffer.stats().waiting <= START, "at the beginning: {:?}", buffer.stats().waiting);
        come(&mut buffer, 150..220);
        buffer.pull().unwrap();
        assert!(buffer.stats().waiting <= START, "later on: {:?}", buffer.stats().waiting);
        assert_eq!(buffer.stats().concealed, 0);
    }

    #[test]
    fn numbers_may_wrap_around() {
        let mut encoder = VoiceEncoder::new().unwrap();
        let packet = encoder.encode(&[0.1; PACKET_SAMPLES]).unwrap().to_vec();
        let mut buffer = JitterBuffer::new().unwrap();
        for n in 0..100_u32 {
            let sequence = 65_500_u16.wrapping_add(n as u16);
            buffer.push(sequence, &packet);
            buffer.pull().unwrap();
            buffer.pull().unwrap();
        }
        let stats = buffer.stats();
        assert_eq!((stats.late_packets, stats.concealed), (0, 0), "{stats:?}");
    }
}
