//! Whole video frames from packets.
//!
//! A frame is given out as soon as its last packet and all before it are there: waiting for the
//! next frame's first packet, as sample builders do, would cost a whole frame of delay. What
//! can't be decoded is never given out: after a loss that no retransmission repaired, nothing is
//! until the next key frame, which is asked for.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::VideoCodec;

/// How long a missing packet is waited for at the least: two or three repairs over a usual network. A
/// key frame in place of a repair costs more than this wait.
const GIVE_UP_AFTER: Duration = Duration::from_millis(350);
/// And on a longer path two round trips and this: no repair can come sooner than after one.
const REPAIR_TAKES: Duration = Duration::from_millis(100);
/// However long the path is, a picture that stands still for longer is not waited for.
const LONGEST_WAIT: Duration = Duration::from_millis(1_500);
/// How often a key frame is asked for while none comes: a request may be lost too. On a longer path
/// after a round trip, and a half of one for the frame.
const ASK_EVERY: Duration = Duration::from_millis(400);
/// A packet further from the newest than this, in packets, belongs to another stream or is a stray
/// one: three seconds of the best picture.
const MAX_JUMP: u16 = 1_000;
/// Packets kept: about two seconds at 2.5 Mbit/s. The oldest are dropped beyond it.
const MAX_PACKETS: usize = 512;

/// One packet's share of a frame, out of its RTP and codec headers.
#[derive(Clone, Debug)]
pub struct VideoPacket {
    /// RTP synchronisation source.
    pub ssrc: u32,
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp, 90 kHz.
    pub timestamp: u32,
    /// What it is encoded in.
    pub codec: VideoCodec,
    /// Whether it begins a frame, as far as it can be told from it alone: of H.264 only of key frames.
    pub start: bool,
    /// Whether it ends one (the RTP marker).
    pub end: bool,
    /// Whether it begins a key frame.
    pub key: bool,
    /// The bitstream; empty for padding.
    pub data: Vec<u8>,
}

/// A frame that can be decoded, given all those before it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AssembledFrame {
    /// RTP timestamp, 90 kHz.
    pub timestamp: u32,
    /// What it is encoded in.
    pub codec: VideoCodec,
    /// Whether it needs none before it.
    pub key: bool,
    /// The bitstream.
    pub data: Vec<u8>,
}

/// Packets in, frames out.
#[derive(Debug, Default)]
pub struct FrameAssembler {
    packets: BTreeMap<u64, VideoPacket>,
    /// The first packet not given out yet.
    next: Option<u64>,
    highest: u64,
    /// Since when the packet at `next` has been waited for.
    stuck_since: Option<Instant>,
    needs_key: bool,
    asked_at: Option<Instant>,
    ssrc: Option<u32>,
    /// The number that would show that the stream goes on elsewhere (RFC 3550 A.1: two in a row).
    awaited: Option<u16>,
    rtt: Duration,
}

impl FrameAssembler {
    /// An assembler that waits for a key frame.
    pub fn new() -> Self {
        Self { needs_key: true, ..Self::default() }
    }

    /// Takes a packet; gives the frames that it completed, in order.
    pub fn push(&mut self, packet: VideoPacket, now: Instant) -> Vec<AssembledFrame> {
        let Some(number) = self.locate(&packet) else { return vec![] };
        if self.next.is_some_and(|next| number < next) {
            return vec![];
        }
        self.highest = self.highest.max(number);
        self.packets.insert(number, packet);
        if self.packets.len() > MAX_PACKETS {
            self.needs_key = true;
            self.packets.pop_first();
        }
        let mut frames = vec![];
        loop {
            let frame = if self.needs_key { self.take_key() } else { self.take_next() };
            let Some(frame) = frame else { break };
            frames.push(frame);
        }
        let waits = !self.needs_key && self.next.is_some_and(|next| self.has_hole(next));
        let is_stuck_still = self.stuck_since.is_some() && frames.is_empty();
        if !waits {
            self.stuck_since = None;
        } else if !is_stuck_still {
            self.stuck_since = Some(now);
        }
        frames
    }

    /// How long a repair takes to be asked for and to come.
    pub fn set_rtt(&mut self, rtt: Duration) {
        self.rtt = rtt;
    }

    fn patience(&self) -> Duration {
        GIVE_UP_AFTER.max(self.rtt * 2 + REPAIR_TAKES).min(LONGEST_WAIT)
    }

    /// Whether a key frame should be asked for now. To be called every few milliseconds.
    pub fn poll_key_request(&mut self, now: Instant) -> bool {
        if self.stuck_since.is_some_and(|since| now.saturating_duration_since(since) > self.patience()) {
            self.stuck_since = None;
            self.needs_key = true;
            self.asked_at = None;
        }
        // Before the first packet there is nobody to ask.
        let due = self
            .asked_at
            .is_none_or(|at| now.saturating_duration_since(at) > ASK_EVERY.max(self.rtt * 3 / 2));
        if self.needs_key && self.highest > 0 && due {
            self.asked_at = Some(now);
            return true;
        }
        false
    }

    /// Whoever decodes lost its way: nothing more until a key frame.
    pub fn restart_at_key(&mut self) {
        self.needs_key = true;
        self.asked_at = None;
    }

    fn has_hole(&self, next: u64) -> bool {
        let newest = self.packets.last_key_value().map(|(number, _)| *number);
        newest.is_some_and(|newest| {
            newest >= next && self.packets.range(next..).count() as u64 != newest + 1 - next
        })
    }

    /// The frame that begins at `next`, if all of it is there.
    fn take_next(&mut self) -> Option<AssembledFrame> {
        let first = self.next?;
        let mut last = first;
        while !self.packets.get(&last)?.end {
            last += 1;
        }
        Some(self.take(first, last))
    }

    /// The first whole key frame, wherever it is; what lies before it is dropped.
    fn take_key(&mut self) -> Option<AssembledFrame> {
        let starts: Vec<u64> =
            self.packets.iter().filter(|(_, p)| p.start && p.key).map(|(n, _)| *n).collect();
        for first in starts {
            let mut last = first;
            let whole = loop {
                match self.packets.get(&last) {
                    Some(packet) if packet.end => break true,
                    Some(_) => last += 1,
                    None => break false,
                }
            };
            if whole {
                self.packets = self.packets.split_off(&first);
                self.needs_key = false;
                self.asked_at = None;
                return Some(self.take(first, last));
            }
        }
        None
    }

    fn take(&mut self, first: u64, last: u64) -> AssembledFrame {
        let mut frame =
            AssembledFrame { timestamp: 0, codec: VideoCodec::default(), key: false, data: vec![] };
        for number in first..=last {
            if let Some(packet) = self.packets.remove(&number) {
                if !packet.data.is_empty() {
                    frame.timestamp = packet.timestamp;
                    frame.codec = packet.codec;
                }
                frame.key |= packet.start && packet.key;
                frame.data.extend(packet.data);
            }
        }
        self.next = Some(last + 1);
        frame
    }

    /// The sequence number without its wrapping around at 65 536; none for a packet of no stream.
    fn locate(&mut self, packet: &VideoPacket) -> Option<u64> {
        let ahead = packet.sequence.wrapping_sub(self.highest as u16) as i16;
        let is_same = self.ssrc == Some(packet.ssrc);
        if is_same && ahead.unsigned_abs() <= MAX_JUMP {
            self.awaited = None;
            return Some(self.highest.saturating_add_signed(i64::from(ahead)));
        }
        let is_confirmed = self.awaited == Some(packet.sequence);
        self.awaited = Some(packet.sequence.wrapping_add(1));
        if is_same && !is_confirmed {
            return None;
        }
        // Another stream, or the same one that goes on elsewhere: nothing of before fits it.
        *self = Self { ssrc: Some(packet.ssrc), rtt: self.rtt, asked_at: self.asked_at, ..Self::new() };
        // Far from zero, so that earlier ones have a place.
        self.highest = (1 << 32) + u64::from(packet.sequence);
        Some(self.highest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Frames of three packets each, a key frame every `keys`.
    fn packets(frames: u16, keys: u16, first: u16) -> Vec<VideoPacket> {
        (0..frames * 3)
            .map(|n| VideoPacket {
                ssrc: 1,
                sequence: first.wrapping_add(n),
                timestamp: u32::from(n / 3) * 3000,
                codec: VideoCodec::Vp8,
                start: n % 3 == 0,
                end: n % 3 == 2,
                key: (n / 3) % keys == 0,
                data: vec![n as u8],
            })
            .collect()
    }

    #[test]
    fn a_frame_is_out_with_its_last_packet() {
        let mut assembler = FrameAssembler::new();
        let now = Instant::now();
        let out: Vec<usize> =
            packets(2, 9, 65_534).into_iter().map(|p| assembler.push(p, now).len()).collect();
        assert_eq!(out, [0, 0, 1, 0, 0, 1]);
    }

    #[test]
    fn a_repair_in_time_leaves_no_trace() {
        let mut assembler = FrameAssembler::new();
        let now = Instant::now();
        let mut all = packets(4, 99, 7);
        let missing = all.remove(4);
        let mut frames: Vec<_> = all.into_iter().flat_map(|p| assembler.push(p, now)).collect();
        assert_eq!(frames.len(), 1);
        assert!(!assembler.poll_key_request(now + Duration::from_millis(100)));
        frames.extend(assembler.push(missing, now));
        assert_eq!(frames.iter().map(|f| f.timestamp / 3000).collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    #[test]
    fn without_a_repair_the_next_key_frame_is_asked_for_and_waited_for() {
        let mut assembler = FrameAssembler::new();
        let now = Instant::now();
        let mut all = packets(8, 5, 7);
        all.remove(4);
        let rest = all.split_off(11);
        let frames: Vec<_> = all.into_iter().flat_map(|p| assembler.push(p, now)).collect();
        assert_eq!(frames.len(), 1);
        let later = now + GIVE_UP_AFTER + Duration::from_millis(1);
        assert!(assembler.poll_key_request(later));
        assert!(!assembler.poll_key_request(later), "asked once");
        let frames: Vec<_> = rest.into_iter().flat_map(|p| assembler.push(p, later)).collect();
        assert_eq!(frames.iter().map(|f| f.timestamp / 3000).collect::<Vec<_>>(), [5, 6, 7]);
        assert!(frames[0].key);
    }

    /// Frames of packets pushed at `now`.
    fn timestamps(assembler: &mut FrameAssembler, packets: Vec<VideoPacket>, now: Instant) -> Vec<u32> {
        let frames = packets.into_iter().flat_map(|packet| assembler.push(packet, now));
        frames.map(|frame| frame.timestamp / 3000).collect()
    }

    #[test]
    fn on_a_long_path_a_repair_is_waited_for() {
        let mut assembler = FrameAssembler::new();
        assembler.set_rtt(Duration::from_millis(500));
        let now = Instant::now();
        let mut all = packets(4, 99, 7);
        let missing = all.remove(4);
        assert_eq!(timestamps(&mut assembler, all, now), [0]);
        let later = now + Duration::from_millis(600);
        assert!(!assembler.poll_key_request(later), "a round trip has passed, no more");
        assert_eq!(timestamps(&mut assembler, vec![missing], later), [1, 2, 3]);
    }

    #[test]
    fn a_stray_packet_is_none_and_a_stream_that_goes_on_elsewhere_is_shown() {
        let (mut assembler, now) = (FrameAssembler::new(), Instant::now());
        assert_eq!(timestamps(&mut assembler, packets(2, 9, 7), now), [0, 1]);
        let stray = packets(1, 9, 30_000).remove(0);
        assert!(timestamps(&mut assembler, vec![stray], now).is_empty());
        let following = packets(4, 9, 7).split_off(6);
        assert_eq!(timestamps(&mut assembler, following, now), [2, 3]);
        assert!(!assembler.poll_key_request(now + Duration::from_secs(1)), "nothing is missing");
        // Elsewhere by number: the first packet shows that it does, with the second.
        let shown = timestamps(&mut assembler, packets(8, 4, 40_000), now);
        assert_eq!(shown, [4, 5, 6, 7], "from the next key frame on");
        let other = packets(2, 9, 3).into_iter().map(|packet| VideoPacket { ssrc: 2, ..packet }).collect();
        assert_eq!(timestamps(&mut assembler, other, now), [0, 1]);
    }

    proptest! {
        /// Whatever is lost, doubled and reordered: frames come whole, in order, and after a gap
        /// only from a key frame on.
        #[test]
        fn only_what_can_be_decoded_comes_out(
            lost in prop::collection::vec(any::<bool>(), 120),
            swaps in prop::collection::vec((0_usize..120, 0_usize..8), 0..60),
            first in any::<u16>(),
        ) {
            let mut order: Vec<VideoPacket> = packets(40, 6, first);
            for (at, by) in swaps {
                let to = (at + by).min(order.len() - 1);
                order.swap(at, to);
            }
            let mut assembler = FrameAssembler::new();
            let start = Instant::now();
            let mut last: Option<u32> = None;
            for (n, packet) in order.into_iter().enumerate() {
                let now = start + Duration::from_millis(n as u64 * 11);
                assembler.poll_key_request(now);
                if lost[n] && n % 4 == 0 {
                    continue;
                }
                for frame in assembler.push(packet, now) {
                    prop_assert_eq!(frame.data.len(), 3);
                    let number = frame.timestamp / 3000;
                    prop_assert_eq!(frame.key, number % 6 == 0);
                    prop_assert!(frame.key || last == Some(number.wrapping_sub(1)), "{} after {:?}", number, last);
                    prop_assert!(last.is_none_or(|last| last < number));
                    last = Some(number);
                }
            }
        }
    }
}
