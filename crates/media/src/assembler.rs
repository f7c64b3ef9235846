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

/// How long a missing packet is waited for: two or three retransmissions over a slow network. A
/// key frame in place of a repair costs more than this wait.
const GIVE_UP_AFTER: Duration = Duration::from_millis(350);
/// How often a key frame is asked for while none comes: a request may be lost too.
const ASK_EVERY: Duration = Duration::from_millis(400);
/// Packets kept: about two seconds at 2.5 Mbit/s. The oldest are dropped beyond it.
const MAX_PACKETS: usize = 512;

/// One packet's share of a frame, out of its RTP and codec headers.
#[derive(Clone, Debug)]
pub struct VideoPacket {
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp, 90 kHz.
    pub timestamp: u32,
    /// Whether it begins a frame.
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
}

impl FrameAssembler {
    /// An assembler that waits for a key frame.
    pub fn new() -> Self {
        Self { needs_key: true, ..Self::default() }
    }

    /// Takes a packet; gives the frames that it completed, in order.
    pub fn push(&mut self, packet: VideoPacket, now: Instant) -> Vec<AssembledFrame> {
        let number = self.unwrap(packet.sequence);
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
        while let Some(frame) = if self.needs_key { self.take_key() } else { self.take_next() } {
            frames.push(frame);
        }
        let waits = !self.needs_key && self.next.is_some_and(|next| self.has_hole(next));
        self.stuck_since =
            if waits { self.stuck_since.filter(|_| frames.is_empty()).or(Some(now)) } else { None };
        frames
    }

    /// Whether a key frame should be asked for now. To be called every few milliseconds.
    pub fn poll_key_request(&mut self, now: Instant) -> bool {
        if self.stuck_since.is_some_and(|since| now.saturating_duration_since(since) > GIVE_UP_AFTER) {
            self.stuck_since = None;
            self.needs_key = true;
            self.asked_at = None;
        }
        // Before the first packet there is nobody to ask.
        let due = self.asked_at.is_none_or(|at| now.saturating_duration_since(at) > ASK_EVERY);
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
        self.highest >= next && self.packets.range(next..).count() as u64 != self.highest + 1 - next
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
        let mut frame = AssembledFrame { timestamp: 0, key: false, data: vec![] };
        for number in first..=last {
            if let Some(packet) = self.packets.remove(&number) {
                if !packet.data.is_empty() {
                    frame.timestamp = packet.timestamp;
                }
                frame.key |= packet.start && packet.key;
                frame.data.extend(packet.data);
            }
        }
        self.next = Some(last + 1);
        frame
    }

    fn unwrap(&self, sequence: u16) -> u64 {
        if self.highest == 0 {
            return (1 << 32) + u64::from(sequence);
        }
        self.highest.saturating_add_signed(i64::from(sequence.wrapping_sub(self.highest as u16) as i16))
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
                sequence: first.wrapping_add(n),
                timestamp: u32::from(n / 3) * 3000,
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
