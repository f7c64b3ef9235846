//! Packets of video in any order and of any content, at any time: frames come in order, and nothing grows.
#![no_main]

use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use bedside_call::RemoteVideo;
use bedside_media::{VideoCodec, VideoPacket};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Step {
    Packet {
        ssrc: u8,
        sequence: u16,
        timestamp: u32,
        is_h264: bool,
        start: bool,
        end: bool,
        key: bool,
        data: Vec<u8>,
    },
    Wait(u16),
    Rtt(u16),
    Restart,
}

fuzz_target!(|steps: Vec<Step>| {
    let mut video = RemoteVideo::default();
    let mut now = Instant::now();
    for step in steps {
        match step {
            Step::Packet { ssrc, sequence, timestamp, is_h264, start, end, key, data } => {
                let codec = if is_h264 { VideoCodec::H264 } else { VideoCodec::Vp8 };
                let packet =
                    VideoPacket { ssrc: ssrc.into(), sequence, timestamp, codec, start, end, key, data };
                for frame in video.push(packet, now) {
                    let _ = frame.codec.key_frame_size(&frame.data);
                }
            }
            Step::Wait(ms) => now += Duration::from_millis(ms.into()),
            Step::Rtt(ms) => video.set_rtt(Duration::from_millis(ms.into())),
            Step::Restart => video.restart_at_key(),
        }
        let _ = video.poll_key_request(now);
    }
});
