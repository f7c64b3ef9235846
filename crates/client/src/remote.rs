//! What comes in from the other end.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use bedside_call::{Arrivals, LipSync, RemoteAudio, RemoteVideo};
use bedside_media::{
    AssembledFrame, AudioFrame, FRAME, JitterStats, MediaError, OpusPacket, SenderClock, VideoPacket,
    vp8::{Decoder, key_frame_size},
};
use bedside_rtc::{RemoteMedia, ReportBlock, SendFeedback};

use crate::{feed::Feed, video::KeyFrameRequest};

/// Frames that wait to be decoded where the page can't; when it is full the newest is dropped.
const DECODE_QUEUE: usize = 4;

/// The largest picture that is decoded here, width and height: beyond what anybody sends, and
/// what a hostile header may ask memory for.
const LARGEST: (u16, u16) = (1_920, 1_088);

/// Received media on its way to the speaker and the page.
pub(crate) struct Remote {
    audio: Mutex<RemoteAudio>,
    arrivals: Mutex<Arrivals>,
    video: Mutex<RemoteVideo>,
    sync: Mutex<LipSync>,
    feed: Arc<Feed>,
    decode: Mutex<Option<Decoding>>,
}

/// The thread that decodes where the page can't.
struct Decoding {
    queue: mpsc::SyncSender<AssembledFrame>,
    thread: JoinHandle<()>,
}

/// What the other end says of what this one sends.
pub(crate) struct Reception {
    key_frame: KeyFrameRequest,
    /// Loss of our audio there, in thousandths; and of our video.
    audio_loss: AtomicU32,
    video_loss: AtomicU32,
    rtt_us: AtomicU64,
}

impl Reception {
    pub(crate) fn new(key_frame: KeyFrameRequest) -> Self {
        Self {
            key_frame,
            audio_loss: AtomicU32::new(0),
            video_loss: AtomicU32::new(0),
            rtt_us: AtomicU64::new(0),
        }
    }

    /// The share of our audio that is lost, 0 to 1.
    pub(crate) fn audio_loss(&self) -> f32 {
        self.audio_loss.load(Ordering::Relaxed) as f32 / 1e3
    }

    /// The share of our video that is lost before repair, 0 to 1.
    pub(crate) fn video_loss(&self) -> f32 {
        self.video_loss.load(Ordering::Relaxed) as f32 / 1e3
    }

    /// From a sender report to hearing of it.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        Some(Duration::from_micros(self.rtt_us.load(Ordering::Relaxed))).filter(|rtt| !rtt.is_zero())
    }
}

impl SendFeedback for Reception {
    fn key_frame_wanted(&self) {
        self.key_frame.request();
    }

    fn report(&self, report: ReportBlock) {
        let loss = if report.is_audio { &self.audio_loss } else { &self.video_loss };
        loss.store((report.loss * 1e3) as u32, Ordering::Relaxed);
        if let Some(rtt) = report.rtt {
            self.rtt_us.store(rtt.as_micros() as u64, Ordering::Relaxed);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Remote {
    pub(crate) fn new(feed: Arc<Feed>) -> Result<Self, MediaError> {
        Ok(Self {
            audio: Mutex::new(RemoteAudio::new()?),
            arrivals: Mutex::default(),
            video: Mutex::new(RemoteVideo::default()),
            sync: Mutex::new(LipSync::new(Instant::now())),
            feed,
            decode: Mutex::new(None),
        })
    }

    /// The next 10 ms for the speaker, which are heard in `heard_in`.
    pub(crate) fn pull_audio(&self, heard_in: Duration) -> Result<AudioFrame, MediaError> {
        let mut audio = lock(&self.audio);
        let pulled = audio.pull()?;
        // Known once it has begun to play.
        let next = audio.playout_timestamp();
        drop(audio);
        if let Some(next) = next {
            lock(&self.sync).on_playout(next.wrapping_sub(FRAME as u32), Instant::now() + heard_in);
        }
        Ok(pulled)
    }

    /// Whatever state it was in when its thread failed: it begins anew.
    pub(crate) fn restart_audio(&self) -> Result<(), MediaError> {
        *lock(&self.audio) = RemoteAudio::new()?;
        Ok(())
    }

    /// What arrived of the audio.
    pub(crate) fn arrivals(&self) -> Arrivals {
        *lock(&self.arrivals)
    }

    /// What became of the audio that arrived.
    pub(crate) fn audio_stats(&self) -> JitterStats {
        lock(&self.audio).stats()
    }

    /// Bytes of media received.
    pub(crate) fn bytes(&self) -> u64 {
        lock(&self.audio).bytes() + lock(&self.video).bytes()
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
        if key_frame_size(&frame.data).is_some_and(|size| size.0 > LARGEST.0 || size.1 > LARGEST.1) {
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
            let thread =
                std::thread::Builder::new().name("decode".into()).spawn(move || decode_all(&frames, &feed));
            match thread {
                Ok(thread) => *decode = Some(Decoding { queue, thread }),
                Err(error) => tracing::error!(%error, "no thread to decode on"),
            }
        }
        if let Some(decoding) = decode.as_ref()
            && decoding.queue.try_send(frame).is_err()
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

impl RemoteMedia for Remote {
    fn audio(&self, packet: &OpusPacket<'_>) {
        lock(&self.arrivals).push(packet.ssrc, packet.sequence, packet.timestamp, Instant::now());
        lock(&self.audio).push(packet);
    }

    fn video(&self, packet: VideoPacket, now: Instant) {
        let frames = lock(&self.video).push(packet, now);
        for frame in frames {
            if self.feed.wants_raw() {
                self.decode(frame);
            } else {
                let draw_at = lock(&self.sync).draw_at(frame.timestamp, now);
                self.feed.encoded(&frame, draw_at.saturating_duration_since(now));
            }
        }
    }

    fn sender_clock(&self, clock: SenderClock) {
        lock(&self.sync).on_report(clock);
    }

    fn key_frame_due(&self, now: Instant, rtt: Duration) -> bool {
        let mut video = lock(&self.video);
        video.set_rtt(rtt);
        if self.feed.take_key_request() {
            video.restart_at_key();
        }
        video.poll_key_request(now)
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
        let remote = Remote::new(feed.clone()).unwrap();
        let mut encoder = Encoder::new(320, 180, 500).unwrap();
        for number in 0..5_u16 {
            let encoded = encoder.encode(&I420::black(320, 180), i64::from(number) * 3_000, 3_000, false);
            let encoded = encoded.unwrap().expect("nothing is left out of so little");
            let packet = VideoPacket {
                ssrc: 1,
                sequence: number,
                timestamp: u32::from(number) * 3_000,
                start: true,
                end: true,
                key: encoded.key,
                data: encoded.data.to_vec(),
            };
            remote.video(packet, Instant::now());
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
        let remote = Remote::new(feed.clone()).unwrap();
        let data = vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 0xff, 0x3f, 0xff, 0x3f, 0, 0];
        remote.decode(AssembledFrame { timestamp: 0, key: true, data });
        assert!(feed.take_key_request());
        assert!(lock(&remote.decode).is_none(), "no thread was started for it");
    }
}
