//! The adaptive jitter buffer for audio.
//!
//! Packets come in at the network's pace, frames of 10 ms go out at the speaker's. What counts is
//! how much audio was left at the worst moment of the last seconds, whether packets came late or
//! the speaker took much at once: where more was always left than is needed, the level is lowered
//! (accelerate); where next to nothing was left, it is raised before it runs dry (expand). What is
//! missing when its turn comes is repaired from the redundancy in the next packet, or concealed; a
//! packet that comes after its turn is played then, so that the level rises by just as much as the
//! packet was late. The level is changed by leaving out or repeating single periods of the voice,
//! never by a cut.
//!
//! Places in the stream are RTP timestamps (RFC 3550 §5.1; 48 kHz, RFC 7587 §4.1), so that packets
//! may have any length, and a pause of the sender's (DTX) is told from loss.

mod level_history;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use crate::{
    AudioFrame, FRAME, MediaError, SAMPLE_RATE,
    opus::{self, PACKET_SAMPLES, VoiceDecoder},
    time_stretch,
};
use level_history::LevelHistory;

/// Audio that waits before the first is played: three packets. Left out again in the first pauses
/// where it was more than needed.
const START: Duration = Duration::from_millis(60);
/// Audio that should be left at the worst moment: what a speaker's next request, half a packet
/// early, does not exhaust.
const MARGIN_MS: f32 = 10.0;
/// How much more than the margin may be left for good: the longest period of a voice, so that
/// leaving one out does not ask for it back.
const TOLERANCE_MS: f32 = 16.0;
/// More than this, left at the worst moment of the last two seconds, is not kept for ten: it came
/// with a machine or a network that stood still once. Of the last six, where that happens again
/// and again.
const SURPLUS_MS: f32 = 50.0;
/// Packets missed in a row that make a stall of it.
const STALL: u64 = 3 * PACKET_SAMPLES as u64;
/// Two stalls within this many frames of 10 ms are expected to come again: a minute.
const RECURS_WITHIN: u32 = 6_000;
/// For how long they are expected, in frames of 10 ms: half a minute.
const EXPECTED_FOR: u32 = 3_000;
/// Two packets that come after their turn within this many frames of 10 ms are no chance: ten
/// seconds, for which the level is remembered as well.
const LATE_AGAIN_WITHIN: u32 = 1_000;
/// Below this it may run dry at any moment: no time to wait for a pause.
const SCARCE_MS: f32 = 4.0;
/// The level is lowered at once beyond this: people talk over one another, and a gap is the lesser
/// evil.
const HIGHEST_MS: f32 = 400.0;
/// And beyond this it is cut back to the beginning's: nobody took the audio, because the speaker was
/// changed or the visit was on hold. Nobody wants to hear a second of what was said meanwhile.
const STALE: Duration = Duration::from_millis(1_000);
/// Frames of 10 ms between two changes of the level.
const REST: u32 = 10;
/// Most packets kept: over two seconds. A burst beyond it loses its oldest.
const MAX_PACKETS: usize = 128;
/// Frames of 10 ms concealed in a row after which the stream counts as interrupted.
const INTERRUPTED: u32 = 100;
/// A packet further than a second from the newest, in samples and in packets, belongs to another
/// stream or is a stray one. A stream that was away for so long fills the buffer anew anyway.
const MAX_JUMP: i64 = SAMPLE_RATE as i64;
const MAX_SEQUENCE_JUMP: u16 = 50;
/// What the decoder conceals in: 2.5 ms, the shortest frame of Opus (RFC 6716 §2.1.4).
const CONCEALMENT_UNIT: i64 = 120;

/// A received packet of Opus.
#[derive(Clone, Copy, Debug)]
pub struct OpusPacket<'a> {
    /// RTP synchronisation source.
    pub ssrc: u32,
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp of its first sample, 48 kHz.
    pub timestamp: u32,
    /// The payload.
    pub data: &'a [u8],
}

/// What has happened so far, in samples at 48 kHz, and where the buffer stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct JitterStats {
    /// Given out since the stream began.
    pub played: u64,
    /// Of those, repaired from redundancy.
    pub recovered: u64,
    /// Of those, made up, or silence while the buffer filled again after an interruption.
    pub concealed: u64,
    /// Left out to catch up.
    pub accelerated: u64,
    /// Repeated to wait longer.
    pub expanded: u64,
    /// Packets that came after their turn.
    pub late_packets: u64,
    /// Packets that were not Opus, or of no stream.
    pub invalid_packets: u64,
    /// Audio that waits to be played.
    pub level: Duration,
    /// Audio that was left at the worst moment of the last ten seconds.
    pub least: Duration,
}

#[derive(Debug)]
struct Stored {
    sequence: u16,
    samples: i64,
    data: Vec<u8>,
}

/// The newest packet of the stream that is played.
#[derive(Clone, Copy, Debug)]
struct Newest {
    ssrc: u32,
    sequence: u16,
    /// Without its wrapping around.
    timestamp: i64,
}

/// The packet that would confirm another stream (RFC 3550 A.1: two in a row).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Awaited {
    ssrc: u32,
    sequence: u16,
}

/// Packets in, even frames out.
pub struct JitterBuffer {
    decoder: VoiceDecoder,
    /// By RTP timestamp, without its wrapping around.
    packets: BTreeMap<i64, Stored>,
    newest: Option<Newest>,
    awaited: Option<Awaited>,
    /// The timestamp to decode next.
    next: Option<i64>,
    /// Sequence number of the packet that was decoded last.
    decoded: Option<u16>,
    /// Whether that packet said that nothing follows for a while.
    is_silent: bool,
    pcm: Vec<f32>,
    levels: LevelHistory,
    /// Frames until the level may be changed again.
    rest: u32,
    /// Samples made up while nothing was there: if what belongs there turns out to be lost, that
    /// was that.
    concealed_ahead: u64,
    /// Frames since the last stall, and for how many more another is expected.
    since_stall: u32,
    recurs: u32,
    /// Frames since a packet came after its turn.
    since_late: u32,
    concealed_in_a_row: u32,
    is_started: bool,
    was_started: bool,
    stats: JitterStats,
}

impl JitterBuffer {
    /// An empty buffer.
    pub fn new() -> Result<Self, MediaError> {
        Ok(Self {
            decoder: VoiceDecoder::new()?,
            packets: BTreeMap::new(),
            newest: None,
            awaited: None,
            next: None,
            decoded: None,
            is_silent: false,
            pcm: Vec::with_capacity(4 * PACKET_SAMPLES),
            levels: LevelHistory::default(),
            rest: 0,
            concealed_ahead: 0,
            since_stall: RECURS_WITHIN,
            recurs: 0,
            since_late: LATE_AGAIN_WITHIN,
            concealed_in_a_row: 0,
            is_started: false,
            was_started: false,
            stats: JitterStats::default(),
        })
    }

    /// What has happened so far.
    pub fn stats(&self) -> JitterStats {
        let least = self.levels.least(LevelHistory::KEPT).clamp(0.0, HIGHEST_MS);
        JitterStats { level: self.level(), least: Duration::from_secs_f32(least / 1e3), ..self.stats }
    }

    /// RTP timestamp of the sample that is given out next; none before the stream has begun.
    pub fn playout_timestamp(&self) -> Option<u32> {
        self.next.map(|next| (next - self.pcm.len() as i64) as u32)
    }

    /// Takes a packet.
    pub fn push(&mut self, packet: &OpusPacket<'_>) {
        let Some(samples) = opus::samples_of(packet.data) else {
            self.stats.invalid_packets += 1;
            return;
        };
        let Some(timestamp) = self.locate(packet) else {
            self.stats.invalid_packets += 1;
            return;
        };
        if let Some(next) = self.next.filter(|next| timestamp < *next) {
            self.on_late(next - timestamp);
            return;
        }
        let stored =
            Stored { sequence: packet.sequence, samples: samples as i64, data: packet.data.to_vec() };
        self.packets.entry(timestamp).or_insert(stored);
        while self.packets.len() > MAX_PACKETS {
            self.drop_oldest();
        }
    }

    /// A packet came so many samples after it was decoded, recovered or concealed.
    fn on_late(&mut self, late: i64) {
        self.stats.late_packets += 1;
        let late = late - self.pcm.len() as i64;
        // Overtaken once by others: not worth a delay. Where it happens again, the level was too low.
        if late > 0 && self.since_late < LATE_AGAIN_WITHIN {
            self.levels.note(-milliseconds(late as usize));
        }
        self.since_late = 0;
    }

    /// The next 10 ms.
    pub fn pull(&mut self) -> Result<AudioFrame, MediaError> {
        if !self.is_started && !self.start() {
            if self.was_started {
                self.stats.played += FRAME as u64;
                self.stats.concealed += FRAME as u64;
            }
            return Ok([0.0; FRAME]);
        }
        if self.level() > STALE {
            self.cut_to(START);
            self.levels = LevelHistory::default();
        }
        self.adapt();
        // Last, so that whatever was done before, a whole frame is there.
        while self.pcm.len() < FRAME {
            self.decode_next()?;
        }
        let mut frame = [0.0; FRAME];
        frame.copy_from_slice(&self.pcm[..FRAME]);
        self.pcm.drain(..FRAME);
        self.stats.played += FRAME as u64;
        self.since_stall = self.since_stall.saturating_add(1);
        self.since_late = self.since_late.saturating_add(1);
        self.recurs = self.recurs.saturating_sub(1);
        self.levels.push(self.level().as_secs_f32() * 1e3);
        Ok(frame)
    }

    /// Begins to play, once enough waits.
    fn start(&mut self) -> bool {
        if self.level() < START {
            return false;
        }
        self.cut_to(START);
        self.next = self.packets.keys().next().copied();
        self.levels = LevelHistory::default();
        (self.is_started, self.was_started) = (true, true);
        true
    }

    /// Where in the stream a packet belongs; none for one that belongs to none.
    fn locate(&mut self, packet: &OpusPacket<'_>) -> Option<i64> {
        let Some(newest) = self.newest else { return Some(self.begin_stream(packet)) };
        let ahead = packet.sequence.wrapping_sub(newest.sequence) as i16;
        let later = i64::from(packet.timestamp.wrapping_sub(newest.timestamp as u32) as i32);
        let is_same = packet.ssrc == newest.ssrc;
        let continues = is_same
            && ahead.unsigned_abs() <= MAX_SEQUENCE_JUMP
            && later.abs() <= MAX_JUMP
            && (ahead > 0) == (later > 0);
        if continues {
            self.awaited = None;
            if ahead > 0 {
                self.newest = Some(Newest {
                    ssrc: newest.ssrc,
                    sequence: packet.sequence,
                    timestamp: newest.timestamp + later,
                });
            }
            return Some(newest.timestamp + later);
        }
        let this = Awaited { ssrc: packet.ssrc, sequence: packet.sequence };
        let is_confirmed = self.awaited == Some(this);
        self.awaited = Some(Awaited { sequence: packet.sequence.wrapping_add(1), ..this });
        // The very next packet with another time: its sender was silent for long.
        (is_confirmed || (is_same && ahead == 1)).then(|| self.begin_stream(packet))
    }

    fn begin_stream(&mut self, packet: &OpusPacket<'_>) -> i64 {
        // Far from zero, so that earlier ones have a place.
        let timestamp = (1 << 32) + i64::from(packet.timestamp);
        self.newest = Some(Newest { ssrc: packet.ssrc, sequence: packet.sequence, timestamp });
        self.packets.clear();
        self.interrupt();
        timestamp
    }

    /// Fills the buffer again before more is played, as at the beginning.
    fn interrupt(&mut self) {
        self.is_started = false;
        self.is_silent = false;
        self.next = None;
        self.decoded = None;
        self.awaited = None;
        self.concealed_in_a_row = 0;
        self.concealed_ahead = 0;
    }

    fn drop_oldest(&mut self) -> bool {
        let Some((timestamp, dropped)) = self.packets.pop_first() else { return false };
        if self.next.is_some() {
            let following = self.packets.keys().next().copied();
            self.next = Some(following.unwrap_or(timestamp + dropped.samples));
        }
        true
    }

    /// Throws away the oldest packets until no more than this waits.
    fn cut_to(&mut self, level: Duration) {
        while self.level() > level && self.drop_oldest() {}
    }

    /// Decodes, recovers or conceals what comes next, or moves on past what need not be.
    fn decode_next(&mut self) -> Result<(), MediaError> {
        let Some(next) = self.next else { return self.conceal_ahead() };
        // Overlapped by one that was longer.
        self.packets = self.packets.split_off(&next);
        let Some((&first, following)) = self.packets.first_key_value() else { return self.conceal_ahead() };
        let gap = first - next;
        if gap == 0 {
            return self.decode_first();
        }
        let covered = gap.min(self.concealed_ahead as i64);
        if covered > 0 || gap < CONCEALMENT_UNIT {
            // Not late, as it seemed, but lost, and made up for already; or too short to be heard.
            self.concealed_ahead -= covered as u64;
            self.next = Some(if covered > 0 { next + covered } else { first });
            return Ok(());
        }
        let is_paused = self.decoded.is_some_and(|decoded| following.sequence == decoded.wrapping_add(1));
        if !is_paused && gap == following.samples && opus::has_fec(&following.data) {
            // Where that fails there is still concealment.
            if let Ok(recovered) = self.decoder.recover(&following.data, gap as usize) {
                self.pcm.extend_from_slice(recovered);
                self.stats.recovered += recovered.len() as u64;
                self.next = Some(next + recovered.len() as i64);
                return Ok(());
            }
        }
        let samples = gap.min(PACKET_SAMPLES as i64) / CONCEALMENT_UNIT * CONCEALMENT_UNIT;
        self.conceal(samples as usize, is_paused)?;
        self.next = Some(next + samples);
        Ok(())
    }

    /// Makes up for what is not there; what the sender left out is not counted as made up.
    fn conceal(&mut self, samples: usize, is_paused: bool) -> Result<(), MediaError> {
        let concealed = self.decoder.conceal(samples)?;
        self.pcm.extend_from_slice(concealed);
        if !is_paused {
            self.stats.concealed += samples as u64;
            self.concealed_in_a_row += (samples / FRAME) as u32;
        }
        Ok(())
    }

    /// Nothing is there: the next packet is late, or lost, or was never sent.
    fn conceal_ahead(&mut self) -> Result<(), MediaError> {
        self.conceal(PACKET_SAMPLES, self.is_silent)?;
        let before = self.concealed_ahead;
        self.concealed_ahead += PACKET_SAMPLES as u64;
        if !self.is_silent && before < STALL && self.concealed_ahead >= STALL {
            if self.since_stall < RECURS_WITHIN {
                self.recurs = EXPECTED_FOR;
            }
            self.since_stall = 0;
        }
        if self.concealed_in_a_row > INTERRUPTED {
            self.interrupt();
        }
        Ok(())
    }

    fn decode_first(&mut self) -> Result<(), MediaError> {
        let Some((timestamp, packet)) = self.packets.pop_first() else { return Ok(()) };
        self.next = Some(timestamp + packet.samples);
        self.decoded = Some(packet.sequence);
        self.concealed_ahead = 0;
        match self.decoder.decode(&packet.data) {
            Ok(pcm) => {
                self.pcm.extend_from_slice(pcm);
                self.concealed_in_a_row = 0;
                self.is_silent = opus::is_dtx(&packet.data);
            }
            // A packet that can't be decoded is as good as lost.
            Err(_) => {
                self.stats.invalid_packets += 1;
                self.conceal(packet.samples as usize, false)?;
            }
        }
        Ok(())
    }

    /// Lowers or raises the level by a period, where it has to be.
    fn adapt(&mut self) {
        if self.rest > 0 {
            self.rest -= 1;
            return;
        }
        let level = self.level().as_secs_f32() * 1e3;
        let is_too_high = level > HIGHEST_MS;
        let lately = self.levels.least(LevelHistory::LATELY);
        let surplus_over = if self.recurs > 0 { LevelHistory::LONGER } else { LevelHistory::LATELY };
        let is_surplus = self.levels.is_settled() && self.levels.least(surplus_over) > SURPLUS_MS;
        let is_more_than_needed =
            self.levels.is_settled() && self.levels.least(LevelHistory::KEPT) > MARGIN_MS + TOLERANCE_MS;
        if is_too_high || is_surplus || is_more_than_needed {
            if self.decode_ahead() {
                let left_out = time_stretch::accelerate(&mut self.pcm, is_too_high);
                self.stats.accelerated += left_out as u64;
                self.levels.shift(-milliseconds(left_out));
                self.rest = if is_too_high { 0 } else { REST };
            }
        } else if lately < MARGIN_MS && self.concealed_in_a_row == 0 && level + TOLERANCE_MS < HIGHEST_MS {
            self.decode_ahead();
            let repeated = time_stretch::expand(&mut self.pcm, lately < SCARCE_MS);
            self.stats.expanded += repeated as u64;
            self.levels.shift(milliseconds(repeated));
            self.rest = REST;
        }
    }

    /// Decodes ahead, as far as packets are there, so that a period can be looked for; gives
    /// whether there is enough to leave one out of.
    fn decode_ahead(&mut self) -> bool {
        while self.pcm.len() < time_stretch::NEEDED + FRAME {
            let Some(next) = self.next else { return false };
            self.packets = self.packets.split_off(&next);
            let is_there = self.packets.contains_key(&next);
            if !is_there || self.decode_first().is_err() {
                return false;
            }
        }
        true
    }

    fn level(&self) -> Duration {
        let from = self.next.or_else(|| self.packets.keys().next().copied());
        let to = self.packets.last_key_value().map(|(timestamp, last)| timestamp + last.samples);
        let waiting = from.zip(to).map_or(0, |(from, to)| (to - from).max(0));
        Duration::from_micros((waiting as u64 + self.pcm.len() as u64) * 1_000 / 48)
    }
}

fn milliseconds(samples: usize) -> f32 {
    samples as f32 * 1e3 / SAMPLE_RATE as f32
}
