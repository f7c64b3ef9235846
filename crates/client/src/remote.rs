//! What comes in from the other end.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::Instant,
};

use bedside_media::{
    AssembledFrame, FrameAssembler, JitterBuffer, MediaError, VideoPacket,
    vp8::{Decoder, key_frame_size},
};
use bedside_rtc::Inbound;

use crate::feed::Feed;

/// Frames that wait to be decoded where the page can't; when it is full the newest is dropped.
const DECODE_QUEUE: usize = 4;

/// The largest picture that is decoded here, width and height: beyond what anybody sends, and
/// what a hostile header may ask memory for.
const LARGEST: (u16, u16) = (1_920, 1_088);

/// Received media on its way to the speaker and the page.
pub(crate) struct Remote {
    pub(crate) jitter: Mutex<JitterBuffer>,
    assembler: Mutex<FrameAssembler>,
    feed: Arc<Feed>,
    /// The other end wants a key frame of ours.
    pub(crate) key_frame_wanted: Arc<AtomicBool>,
    /// Loss of our sound at the other end, in thousandths.
    audio_loss: AtomicU32,
    bytes: AtomicU64,
    decode: Mutex<Option<(mpsc::SyncSender<AssembledFrame>, JoinHandle<()>)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Remote {
    pub(crate) fn new(feed: Arc<Feed>, key_frame_wanted: Arc<AtomicBool>) -> Result<Self, MediaError> {
        Ok(Self {
            jitter: Mutex::new(JitterBuffer::new()?),
            assembler: Mutex::new(FrameAssembler::new()),
            feed,
            key_frame_wanted,
            audio_loss: AtomicU32::new(0),
            bytes: AtomicU64::new(0),
            decode: Mutex::new(None),
        })
    }

    /// Whether a key frame of the other end should be asked for now.
    pub(crate) fn poll_key_request(&self, now: Instant) -> bool {
        let mut assembler = lock(&self.assembler);
        if self.feed.take_key_request() {
            assembler.restart_at_key();
        }
        assembler.poll_key_request(now)
    }

    pub(crate) fn audio_loss(&self) -> f32 {
        self.audio_loss.load(Ordering::Relaxed) as f32 / 1e3
    }

    /// Bytes of media received.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Ends the decoding thread, where there is one.
    pub(crate) fn close(&self) {
        if let Some((queue, thread)) = lock(&self.decode).take() {
            drop(queue);
            if thread.join().is_err() {
                tracing::error!("the decoding thread panicked");
            }
        }
    }

    fn decode(&self, frame: AssembledFrame) {
        if key_frame_size(&frame.data).is_some_and(|size| size.0 > LARGEST.0 || size.1 > LARGEST.1) {
            tracing::warn!("a picture that is too large is not decoded");
            return self.feed.restart();
        }
        let mut decode = lock(&self.decode);
        if decode.is_none() {
            let (queue, frames) = mpsc::sync_channel(DECODE_QUEUE);
            let feed = self.feed.clone();
            let thread =
                std::thread::Builder::new().name("decode".into()).spawn(move || decode_all(&frames, &feed));
            match thread {
                Ok(thread) => *decode = Some((queue, thread)),
                Err(error) => tracing::error!(%error, "no thread to decode on"),
            }
        }
        if let Some((queue, _)) = decode.as_ref()
            && queue.try_send(frame).is_err()
        {
            self.feed.restart();
        }
    }
}

fn decode_all(frames: &mpsc::Receiver<AssembledFrame>, feed: &Feed) {
    let mut decoder = match Decoder::new() {
        Ok(decoder) => decoder,
        Err(error) => return tracing::error!(%error, "no decoder"),
    };
    while let Ok(frame) = frames.recv() {
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

impl Inbound for Remote {
    fn audio(&self, sequence: u16, packet: &[u8]) {
        self.bytes.fetch_add(packet.len() as u64, Ordering::Relaxed);
        lock(&self.jitter).push(sequence, packet);
    }

    fn video(&self, packet: VideoPacket) {
        self.bytes.fetch_add(packet.data.len() as u64, Ordering::Relaxed);
        let frames = lock(&self.assembler).push(packet, Instant::now());
        for frame in frames {
            if self.feed.wants_raw() {
                self.decode(frame);
            } else {
                self.feed.encoded(&frame);
            }
        }
    }

    fn key_frame_wanted(&self) {
        self.key_frame_wanted.store(true, Ordering::Relaxed);
    }

    fn loss(&self, of_audio: bool, fraction: f32) {
        if of_audio {
            self.audio_loss.store((fraction * 1e3) as u32, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use bedside_media::{I420, vp8::Encoder};

    use super::*;

    /// A page that can't decode is given pictures, and what came before its decoder was ready
    /// costs it nothing.
    #[test]
    fn a_page_without_a_decoder_is_given_decoded_pictures() {
        let feed = Arc::new(Feed::default());
        let (sink, messages) = mpsc::channel();
        feed.connect(Box::new(move |message| sink.send(message).is_ok()), true);
        let remote = Remote::new(feed.clone(), Arc::new(AtomicBool::new(false))).unwrap();
        let mut encoder = Encoder::new(320, 180, 500).unwrap();
        for number in 0..5_u16 {
            let encoded = encoder.encode(&I420::black(320, 180), i64::from(number) * 3_000, 3_000, false);
            let encoded = encoded.unwrap().expect("nothing is left out of so little");
            remote.video(VideoPacket {
                sequence: number,
                timestamp: u32::from(number) * 3_000,
                start: true,
                end: true,
                key: encoded.key,
                data: encoded.data.to_vec(),
            });
            let message = messages.recv_timeout(std::time::Duration::from_secs(5)).expect("a picture");
            assert_eq!(message[..2], [1, 1], "I420, which needs none before it");
            assert_eq!(message[2..6], [64, 1, 180, 0], "320 by 180");
            assert_eq!(message.len(), 16 + I420::bytes(320, 180));
            feed.acknowledge(u32::from(number) + 1);
        }
        assert_eq!(feed.progress().1, 320);
        remote.close();
    }

    #[test]
    fn a_header_of_a_monstrous_picture_is_not_decoded() {
        let feed = Arc::new(Feed::default());
        feed.connect(Box::new(|_| true), true);
        feed.take_key_request();
        let remote = Remote::new(feed.clone(), Arc::new(AtomicBool::new(false))).unwrap();
        let data = vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 0xff, 0x3f, 0xff, 0x3f, 0, 0];
        remote.decode(AssembledFrame { timestamp: 0, key: true, data });
        assert!(feed.take_key_request());
        assert!(lock(&remote.decode).is_none(), "no thread was started for it");
    }
}
