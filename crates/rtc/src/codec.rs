//! What a codec is called in a description, and how its bitstream lies in packets.

mod h264;

use bedside_media::{VIDEO_CLOCK_RATE, VideoCodec, VideoPacket};
use bytes::Bytes;
use rtc::{
    peer_connection::configuration::media_engine::{MIME_TYPE_H264, MIME_TYPE_OPUS, MIME_TYPE_VP8},
    rtp::{
        Packet,
        codec::{
            h264::H264Payloader,
            vp8::{Vp8Packet, Vp8Payloader},
        },
        packetizer::{Depacketizer, Payloader},
    },
    rtp_transceiver::rtp_sender::{RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters},
};

/// As Chrome numbers it, so that captures read familiar.
const OPUS_PAYLOAD_TYPE: u8 = 111;
const VP8_PAYLOAD_TYPE: u8 = 96;
const H264_PAYLOAD_TYPE: u8 = 108;
/// Payload of a packet: under 1200 bytes with all its headers, which every network carries whole.
const MAX_PAYLOAD: usize = 1_120;

/// Opus as it is offered.
pub(crate) fn opus() -> RTCRtpCodecParameters {
    RTCRtpCodecParameters {
        rtp_codec: RTCRtpCodec {
            mime_type: MIME_TYPE_OPUS.into(),
            clock_rate: 48_000,
            channels: 2, // always, RFC 7587 §7
            sdp_fmtp_line: "minptime=10;useinbandfec=1".into(),
            rtcp_feedback: vec![RTCPFeedback { typ: "transport-cc".into(), parameter: String::new() }],
        },
        payload_type: OPUS_PAYLOAD_TYPE,
    }
}

/// A codec of video as it is offered.
pub(crate) fn video(codec: VideoCodec) -> RTCRtpCodecParameters {
    let feedback = |typ: &str, parameter: &str| RTCPFeedback { typ: typ.into(), parameter: parameter.into() };
    let (mime_type, payload_type, format) = match codec {
        VideoCodec::Vp8 => (MIME_TYPE_VP8, VP8_PAYLOAD_TYPE, ""),
        // RFC 6184 §8.1: constrained baseline of level 3.1, frames in many packets; each end may have
        // another level.
        VideoCodec::H264 => (
            MIME_TYPE_H264,
            H264_PAYLOAD_TYPE,
            "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
        ),
    };
    RTCRtpCodecParameters {
        rtp_codec: RTCRtpCodec {
            mime_type: mime_type.into(),
            clock_rate: VIDEO_CLOCK_RATE,
            channels: 0,
            sdp_fmtp_line: format.into(),
            // No RTX: with it the stack asks for every repaired packet again and again (0.21.1).
            rtcp_feedback: vec![
                feedback("goog-remb", ""),
                feedback("ccm", "fir"),
                feedback("nack", ""),
                feedback("nack", "pli"),
                feedback("transport-cc", ""),
            ],
        },
        payload_type,
    }
}

/// Cuts frames into packets' payloads.
pub(crate) struct Packetizer {
    vp8: Vp8Payloader,
    h264: H264Payloader,
}

impl Default for Packetizer {
    fn default() -> Self {
        let mut vp8 = Vp8Payloader::default();
        // Without a picture id short packets can't be told from broken ones by the receiver.
        vp8.enable_picture_id = true;
        Self { vp8, h264: H264Payloader::default() }
    }
}

impl Packetizer {
    pub(crate) fn cut(
        &mut self,
        codec: VideoCodec,
        frame: &Bytes,
    ) -> Result<Vec<Bytes>, rtc::shared::error::Error> {
        match codec {
            VideoCodec::Vp8 => self.vp8.payload(MAX_PAYLOAD, frame),
            VideoCodec::H264 => self.h264.payload(MAX_PAYLOAD, frame),
        }
    }
}

/// The codec that a description names so.
pub(crate) fn video_codec(codec: &RTCRtpCodec) -> Option<VideoCodec> {
    if codec.mime_type.eq_ignore_ascii_case(MIME_TYPE_VP8) {
        return Some(VideoCodec::Vp8);
    }
    codec.mime_type.eq_ignore_ascii_case(MIME_TYPE_H264).then_some(VideoCodec::H264)
}

/// Whether frames may be sent in many packets: of H.264 only where it is said (RFC 6184 §8.1).
pub(crate) fn takes_fragments(codec: &RTCRtpCodec) -> bool {
    video_codec(codec) != Some(VideoCodec::H264) || codec.sdp_fmtp_line.contains("packetization-mode=1")
}

/// A packet out of its headers. What can't be read (padding of a bandwidth probe, a codec that nobody
/// agreed on) still counts in the order of packets.
pub(crate) fn unpack(codec: Option<VideoCodec>, packet: &Packet) -> VideoPacket {
    let mut unpacked = VideoPacket {
        codec: codec.unwrap_or_default(),
        ssrc: packet.header.ssrc,
        sequence: packet.header.sequence_number,
        timestamp: packet.header.timestamp,
        start: false,
        end: packet.header.marker,
        key: false,
        data: vec![],
    };
    match codec {
        None => {}
        Some(VideoCodec::H264) => h264::unpack(&packet.payload, &mut unpacked),
        Some(VideoCodec::Vp8) => {
            // A fresh one for each packet: it keeps fields of the one before.
            let mut header = Vp8Packet::default();
            if let Ok(data) = header.depacketize(&packet.payload) {
                unpacked.start = header.s == 1 && header.pid == 0;
                // RFC 6386 §9.1: the lowest bit of a frame says that it is not a key frame.
                unpacked.key = unpacked.start && data.first().is_some_and(|first| first & 1 == 0);
                unpacked.data = data.to_vec();
            }
        }
    }
    unpacked
}
