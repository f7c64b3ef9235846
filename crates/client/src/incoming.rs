//! One video track of the other end's, on its way to the page.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use bedside_call::RemoteVideo;
use bedside_media::{AssembledFrame, VideoCodec, VideoPacket, codec::VideoDecoder};

use crate::{
    frame_channel::FrameChannel,
    remote::{Arrived, lock},
};

/// Frames that wait to be decoded where the page can't; when it is full the newest is dropped.
const DECODE_QUEUE: usize = 4;

/// The largest picture that is decoded here, width and height: beyond what anybody sends, and
/// what a hostile header may ask memory for.
const LARGEST: (u16, u16) = (1_920, 1_088);

pub(crate) struct Incoming {
    video: Mutex<RemoteVideo>,
    feed: Arc<FrameChannel>,
    decode: Mutex<Option<Decoding>>,
}

/// The thread that decodes where the page can't.
struct Decoding {
    queue: mpsc::SyncSender<AssembledFrame>,
    thread: JoinHandle<()>,
}

impl Incoming {
    pub(crate) fn new(feed: Arc<FrameChannel>) -> Self {
        Self { video: Mutex::default(), feed, decode: Mutex::new(None) }
    }

    /// A packet came. `draw_at` says of a frame's RTP timestamp when it is to be drawn.
    pub(crate) fn push(&self, packet: VideoPacket, now: Instant, draw_at: impl Fn(u32) -> Instant) {
        let frames = lock(&self.video).push(packet, now);
        for frame in frames {
            if self.feed.wants_raw() {
                self.decode(frame);
            } else {
                self.feed.encoded(&frame, draw_at(frame.timestamp).saturating_duration_since(now));
            }
        }
    }

    pub(crate) fn key_frame_due(&self, now: Instant, rtt: Duration) -> bool {
        let mut video = lock(&self.video);
        video.set_rtt(rtt);
        if self.feed.take_key_request() {
            video.restart_at_key();
        }
        video.poll_key_request(now)
    }

    /// What arrived.
    pub(crate) fn arrived(&self) -> Arrived {
        let video = lock(&self.video);
        Arrived::of(video.arrivals(), video.bytes())
    }

    /// Ends the decoding thread, where there is one.
    pub(crate) fn close(&self) {
        if let Some(Decoding { queue, thread }) = lock(&self.decode).take() {
            drop(queue);
            if thread.join().is_err() {
                tracing::error!("the decoding thread panicked");
            }
        }
    }

    fn decode(&self, frame: AssembledFrame) {
        let size = frame.codec.key_frame_size(&frame.data);
        if size.is_some_and(|size| size.0 > LARGEST.0 || size.1 > LARGEST.1) {
            tracing::warn!("a picture that is too large is not decoded");
            return self.feed.restart();
        }
        let mut decode = lock(&self.decode);
        if decode.as_ref().is_some_and(|decoding| decoding.thread.is_finished()) {
            // It ends by itself only by a fault: another goes on from the next key frame.
            tracing::error!("the decoding thread has ended");
            *decode = None;
            self.feed.restart();
        }
        if decode.is_none() {
            let (queue, frames) = mpsc::sync_channel(DECODE_QUEUE);
            let feed = self.feed.clone();
            let thread = std::thread::Builder::new().name("decode".into());
            match thread.spawn(move || decode_all(&frames, &feed)) {
                Ok(thread) => *decode = Some(Decoding { queue, thread }),
                Err(error) => tracing::error!(%error, "no thread to decode on"),
            }
        }
        if let Some(decoding) = decode.as_ref()
            && decoding.queue.try_send(frame).is_err()
        {
            self.feed.note_left_out();
            self.feed.restart();
        }
    }
}

fn decode_all(frames: &mpsc::Receiver<AssembledFrame>, feed: &FrameChannel) {
    let mut decoders: HashMap<VideoCodec, Box<dyn VideoDecoder>> = HashMap::new();
    while let Ok(frame) = frames.recv() {
        let decoder = match decoders.entry(frame.codec) {
            Entry::Occupied(decoder) => decoder.into_mut(),
            Entry::Vacant(none) => match frame.codec.decoder() {
                Ok(decoder) => none.insert(decoder),
                Err(error) => {
                    tracing::error!(%error, "no decoder");
                    continue;
                }
            },
        };
        match decoder.decode(&frame.data) {
            Ok(Some(picture)) => feed.picture(&picture),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "a picture was not decoded");
                feed.restart();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bedside_media::{
        I420,
        codec::{ContentHint, EncoderConfig},
    };

    use super::*;

    /// A page that can't decode is given pictures, and what came before its decoder was ready
    /// costs it nothing.
    #[test]
    fn a_page_without_a_decoder_is_given_decoded_pictures() {
        let feed = Arc::new(FrameChannel::default());
        let (sink, messages) = mpsc::channel();
        feed.connect(Box::new(move |message| sink.send(message).is_ok()), true);
        let incoming = Incoming::new(feed.clone());
        let config = EncoderConfig { width: 320, height: 180, kbps: 500, content: ContentHint::Motion };
        let mut encoder = VideoCodec::default().encoder(config).unwrap();
        for number in 0..5_u16 {
            let encoded = encoder.encode(&I420::black(320, 180), i64::from(number) * 3_000, 3_000, false);
            let encoded = encoded.unwrap().expect("nothing is left out of so little");
            let packet = VideoPacket {
                ssrc: 1,
                sequence: number,
                timestamp: u32::from(number) * 3_000,
                codec: VideoCodec::default(),
                start: true,
                end: true,
                key: encoded.key,
                data: encoded.data.to_vec(),
            };
            let now = Instant::now();
            incoming.push(packet, now, |_| now);
            let message = messages.recv_timeout(Duration::from_secs(5)).expect("a picture");
            assert_eq!(message[..2], [1, 1], "I420, which needs none before it");
            assert_eq!(message[2..6], [64, 1, 180, 0], "320 by 180");
            assert_eq!(message.len(), 16 + I420::bytes(320, 180));
            feed.acknowledge(u32::from(number) + 1, 0);
        }
        assert_eq!(feed.progress().width, 320);
        incoming.close();
    }

    #[test]
    fn a_header_of_a_monstrous_picture_is_not_decoded() {
        let feed = Arc::new(FrameChannel::default());
        feed.connect(Box::new(|_| true), true);
        feed.take_key_request();
        let incoming = Incoming::new(feed.clone());
        let data = vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 0xff, 0x3f, 0xff, 0x3f, 0, 0];
        incoming.decode(AssembledFrame { timestamp: 0, codec: VideoCodec::Vp8, key: true, data });
        assert!(feed.take_key_request());
        assert!(lock(&incoming.decode).is_none(), "no thread was started for it");
    }
}
