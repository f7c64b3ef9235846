//! H.264 out of packets (RFC 6184), each by itself: what is lost costs nothing but itself.

use bedside_media::VideoPacket;

/// What each NAL unit of a byte stream begins with (ITU-T H.264, Annex B).
const START_CODE: [u8; 4] = [0, 0, 0, 1];
/// Units that are parts of others (RFC 6184 §5.2).
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
/// A sequence parameter set: senders put one before each key frame.
const SPS: u8 = 7;

const TYPE: u8 = 0x1f;

/// Reads a payload; what is malformed leaves the packet without data.
pub(super) fn unpack(payload: &[u8], packet: &mut VideoPacket) {
    let Some((&header, rest)) = payload.split_first() else { return };
    match header & TYPE {
        1..=23 => push_unit(payload, packet),
        STAP_A => {
            let mut rest = rest;
            while let [high, low, units @ ..] = rest {
                let size = usize::from(u16::from_be_bytes([*high, *low]));
                let Some((unit, others)) = units.split_at_checked(size) else { break };
                push_unit(unit, packet);
                rest = others;
            }
        }
        FU_A => {
            let Some((&fragment, rest)) = rest.split_first() else { return };
            if fragment & 0x80 != 0 {
                push_unit(&[header & !TYPE | fragment & TYPE], packet);
            }
            packet.data.extend_from_slice(rest);
        }
        _ => {}
    }
}

fn push_unit(unit: &[u8], packet: &mut VideoPacket) {
    let Some(header) = unit.first() else { return };
    if header & TYPE == SPS {
        (packet.start, packet.key) = (true, true);
    }
    packet.data.extend(START_CODE);
    packet.data.extend_from_slice(unit);
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use rtc::rtp::{Header, Packet, codec::h264::H264Payloader, packetizer::Payloader};

    use super::*;
    use crate::codec::{MAX_PAYLOAD, VideoCodec, unpack};

    fn read(payload: Bytes) -> VideoPacket {
        unpack(Some(VideoCodec::H264), &Packet { header: Header::default(), payload })
    }

    fn unit(header: u8, length: usize) -> Vec<u8> {
        [&START_CODE[..], &[header], &vec![0xab; length]].concat()
    }

    #[test]
    fn a_frame_in_packets_is_the_frame_again() {
        let key = [unit(0x67, 9), unit(0x68, 3), unit(0x65, 5_000)].concat();
        let packets = H264Payloader::default().payload(MAX_PAYLOAD, &Bytes::from(key.clone())).unwrap();
        assert!(packets.len() > 4, "{}", packets.len());
        let read: Vec<VideoPacket> = packets.into_iter().map(read).collect();
        let begins: Vec<bool> = read.iter().map(|packet| packet.start && packet.key).collect();
        assert!(begins[0] && !begins[1..].contains(&true), "{begins:?}");
        assert_eq!(read.into_iter().flat_map(|packet| packet.data).collect::<Vec<u8>>(), key);
    }

    #[test]
    fn what_needs_others_before_it_says_so() {
        let packet = read(Bytes::from(vec![0x61, 1, 2, 3]));
        assert!(!packet.key);
        assert_eq!(packet.data, [0, 0, 0, 1, 0x61, 1, 2, 3]);
    }

    proptest! {
        #[test]
        fn any_payload_is_read(payload in prop::collection::vec(any::<u8>(), 0..40), first in 0_u8..32) {
            let most = payload.len() * 5 + 10;
            prop_assert!(read(Bytes::from([&[first][..], &payload].concat())).data.len() <= most);
        }
    }
}
