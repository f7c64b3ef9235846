//! One stream that is sent: its numbers, and what of it can be sent again.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rtc::{
    interceptor::StreamInfo,
    rtp::{Header, Packet},
    sdp::extmap::TRANSPORT_CC_URI,
};

/// Packets kept to be sent again: two seconds of the best picture. The oldest are dropped.
const MOST_KEPT: usize = 600;
/// A round trip is not believed to be shorter: the next request comes no sooner.
const LEAST_RTT: Duration = Duration::from_millis(30);
/// Bytes of the header extension that fills a packet of padding. The stack writes no more than
/// four bytes of padding (0.21.1); receivers skip extensions that they do not know (RFC 8285 §4.1).
const FILLING: usize = 254;

#[derive(Debug)]
enum Kept {
    Media(Packet),
    Padding,
}

#[derive(Debug)]
struct Entry {
    sequence: u16,
    kept: Kept,
    repaired_at: Option<Instant>,
}

/// A local stream.
#[derive(Debug)]
pub(super) struct Stream {
    ssrc: u32,
    payload_type: u8,
    pub(super) is_audio: bool,
    transport_cc: Option<u8>,
    filling: u8,
    next_sequence: u16,
    last_timestamp: u32,
    /// Between frames: nothing may come between the packets of one.
    is_between: bool,
    kept: VecDeque<Entry>,
}

impl Stream {
    pub(super) fn new(info: &StreamInfo, first_sequence: u16) -> Self {
        let id = |uri: &str| info.rtp_header_extensions.iter().find(|extension| extension.uri == uri);
        let used = |id: u8| info.rtp_header_extensions.iter().any(|extension| extension.id == u16::from(id));
        Self {
            ssrc: info.ssrc,
            payload_type: info.payload_type,
            is_audio: super::is_audio(info),
            transport_cc: id(TRANSPORT_CC_URI).and_then(|extension| u8::try_from(extension.id).ok()),
            filling: (200..=254).find(|id| !used(*id)).unwrap_or(254),
            next_sequence: first_sequence,
            last_timestamp: 0,
            is_between: false,
            kept: VecDeque::new(),
        }
    }

    pub(super) const fn is_between_frames(&self) -> bool {
        self.is_between
    }

    /// Whether receivers tell of its packets.
    pub(super) const fn has_feedback(&self) -> bool {
        self.transport_cc.is_some()
    }

    /// Gives a packet the next number, and keeps it.
    pub(super) fn number(&mut self, packet: &mut Packet) {
        packet.header.sequence_number = self.take_number();
        self.payload_type = packet.header.payload_type;
        self.last_timestamp = packet.header.timestamp;
        self.is_between = packet.header.marker;
        if !self.is_audio {
            self.keep(packet.header.sequence_number, Kept::Media(packet.clone()));
        }
    }

    /// A packet of nothing but padding, with the next number.
    pub(super) fn padding(&mut self) -> Option<Packet> {
        let sequence = self.take_number();
        self.keep(sequence, Kept::Padding);
        self.padding_with(sequence)
    }

    /// A packet that the receiver misses, unless it was sent again less than a round trip ago.
    pub(super) fn repair(&self, sequence: u16, rtt: Duration, now: Instant) -> Option<Packet> {
        let again_after = (rtt * 3 / 5).max(LEAST_RTT);
        let entry = self.kept.iter().rev().find(|entry| entry.sequence == sequence)?;
        if entry.repaired_at.is_some_and(|at| now.saturating_duration_since(at) < again_after) {
            return None;
        }
        match &entry.kept {
            Kept::Media(packet) => Some(packet.clone()),
            Kept::Padding => self.padding_with(sequence),
        }
    }

    /// A packet leaves again.
    pub(super) fn note_repair(&mut self, sequence: u16, now: Instant) {
        if let Some(entry) = self.kept.iter_mut().rev().find(|entry| entry.sequence == sequence) {
            entry.repaired_at = Some(now);
        }
    }

    /// Writes the transport-wide number into a packet.
    pub(super) fn tag(&self, packet: &mut Packet, number: u16) {
        if let Some(id) = self.transport_cc {
            // It fails for an id that no profile has room for, which negotiation rules out.
            let _ = packet.header.set_extension(id, Bytes::copy_from_slice(&number.to_be_bytes()));
        }
    }

    fn take_number(&mut self) -> u16 {
        let sequence = self.next_sequence;
        self.next_sequence = sequence.wrapping_add(1);
        sequence
    }

    fn keep(&mut self, sequence: u16, kept: Kept) {
        self.kept.push_back(Entry { sequence, kept, repaired_at: None });
        if self.kept.len() > MOST_KEPT {
            self.kept.pop_front();
        }
    }

    fn padding_with(&self, sequence: u16) -> Option<Packet> {
        let mut header = Header {
            version: 2,
            padding: true,
            payload_type: self.payload_type,
            sequence_number: sequence,
            timestamp: self.last_timestamp,
            ssrc: self.ssrc,
            ..Header::default()
        };
        header.set_extension(self.filling, Bytes::from_static(&[0; FILLING])).ok()?;
        Some(Packet { header, payload: Bytes::new() })
    }
}

#[cfg(test)]
mod tests {
    use rtc::{
        interceptor::RTPHeaderExtension,
        shared::marshal::{Marshal, MarshalSize, Unmarshal},
    };

    use super::*;

    fn stream() -> Stream {
        let info = StreamInfo {
            ssrc: 7,
            payload_type: 96,
            mime_type: "video/VP8".into(),
            rtp_header_extensions: vec![RTPHeaderExtension { uri: TRANSPORT_CC_URI.into(), id: 3 }],
            ..StreamInfo::default()
        };
        Stream::new(&info, 65_535)
    }

    fn packet() -> Packet {
        let header = Header { version: 2, ssrc: 7, payload_type: 96, marker: true, ..Header::default() };
        Packet { header, payload: Bytes::from_static(&[1, 2, 3]) }
    }

    #[test]
    fn what_is_missed_is_sent_again_once_in_a_round_trip() {
        let (mut stream, now) = (stream(), Instant::now());
        let mut first = packet();
        stream.number(&mut first);
        let rtt = Duration::from_millis(100);
        assert_eq!(stream.repair(65_535, rtt, now).map(|packet| packet.payload), Some(first.payload));
        assert!(stream.repair(65_535, rtt, now).is_some(), "it did not leave yet");
        stream.note_repair(65_535, now);
        assert!(stream.repair(65_535, rtt, now + Duration::from_millis(50)).is_none());
        assert!(stream.repair(65_535, rtt, now + Duration::from_millis(70)).is_some());
        assert!(stream.repair(3, rtt, now).is_none(), "what was never sent");
    }

    #[test]
    fn padding_is_large_and_reads_as_nothing() {
        let mut stream = stream();
        stream.number(&mut packet());
        let mut padding = stream.padding().unwrap();
        stream.tag(&mut padding, 9);
        assert!(padding.marshal_size() > 270, "{}", padding.marshal_size());
        let bytes = padding.marshal().unwrap();
        let read = Packet::unmarshal(&mut bytes.clone()).unwrap();
        assert!(read.payload.is_empty());
        assert_eq!(
            (read.header.sequence_number, read.header.get_extension(3)),
            (0, Some(Bytes::from_static(&[0, 9])))
        );
        assert!(stream.repair(0, Duration::ZERO, Instant::now()).is_some(), "or it is asked for in vain");
    }
}
