//! One's own picture: camera → size → VP8 → network, and a small one for the screen.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use bedside_devices::{Camera, CameraFrame, Trouble};
use bedside_media::{I420, Ladder, MediaError, Step, picture::Scaler, vp8::Encoder};
use bedside_rtc::{MediaSender, VideoFrame};
use bedside_session::snapshot::SentPicture;

use crate::feed::Feed;

/// Size and pace of one's own picture on the screen.
const PREVIEW: (usize, usize) = (480, 270);
const PREVIEW_EVERY: Duration = Duration::from_millis(62);
/// How long the camera is waited for before orders are looked at again.
const PATIENCE: Duration = Duration::from_millis(50);
/// How often the ladder is asked.
const CHOOSE_EVERY: Duration = Duration::from_millis(250);

enum Order {
    Camera { id: Option<String>, on: bool },
    Call(Option<MediaSender>),
    Stop,
}

/// What the camera came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum CameraEvent {
    /// It gives pictures.
    Works,
    /// It is off.
    Off,
    /// It does not work.
    Trouble(Trouble),
    /// What is sent has changed; none when only sound is.
    Sending(Option<SentPicture>),
}

/// The thread's handle.
pub(crate) struct Video {
    orders: mpsc::Sender<Order>,
    /// The other end needs a key frame.
    pub(crate) key_frame_wanted: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Video {
    /// Starts the thread, with the camera off and no call.
    pub(crate) fn start(
        preview: Arc<Feed>,
        tell: impl Fn(CameraEvent) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (orders, queue) = mpsc::channel();
        let key_frame_wanted = Arc::new(AtomicBool::new(false));
        let engine = Engine {
            key_frame_wanted: key_frame_wanted.clone(),
            preview,
            tell: Box::new(tell),
            camera: None,
            seen: 0,
            call: None,
            scaler: Scaler::default(),
            encoder: None,
            ladder: Ladder::default(),
            step: None,
            bitrate: 0,
            chosen_at: None,
            encoding: Duration::ZERO,
            next_frame: Instant::now(),
            previewed_at: None,
            started: Instant::now(),
        };
        let thread = std::thread::Builder::new().name("video".into()).spawn(move || engine.run(&queue))?;
        Ok(Self { orders, key_frame_wanted, thread: Some(thread) })
    }

    fn order(&self, order: Order) {
        if self.orders.send(order).is_err() {
            tracing::error!("the video thread is gone");
        }
    }

    /// Switches the camera: the light of one that is off goes out.
    pub(crate) fn set_camera(&self, id: Option<String>, on: bool) {
        self.order(Order::Camera { id, on });
    }

    /// Sends to a call, or to nobody.
    pub(crate) fn set_call(&self, call: Option<MediaSender>) {
        self.order(Order::Call(call));
    }

    /// Ends the thread.
    pub(crate) fn stop(mut self) {
        self.order(Order::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the video thread panicked");
        }
    }
}

struct Engine {
    key_frame_wanted: Arc<AtomicBool>,
    preview: Arc<Feed>,
    tell: Box<dyn Fn(CameraEvent) + Send>,
    camera: Option<Camera>,
    seen: u64,
    call: Option<MediaSender>,
    scaler: Scaler,
    encoder: Option<Encoder>,
    ladder: Ladder,
    step: Option<Step>,
    bitrate: u32,
    chosen_at: Option<Instant>,
    /// Mean time that a picture takes to encode.
    encoding: Duration,
    next_frame: Instant,
    previewed_at: Option<Instant>,
    started: Instant,
}

impl Engine {
    fn run(mut self, orders: &mpsc::Receiver<Order>) {
        bedside_devices::yield_to_sound();
        loop {
            // Without a camera there is nothing to do but wait for an order.
            let order = if self.camera.is_some() {
                orders.try_recv().map_err(|e| e == mpsc::TryRecvError::Disconnected)
            } else {
                orders.recv().map_err(|_| true)
            };
            match order {
                Ok(Order::Stop) | Err(true) => return,
                Ok(Order::Camera { id, on }) => self.set_camera(id.as_deref(), on),
                Ok(Order::Call(call)) => self.set_call(call),
                Err(false) => {}
            }
            let Some(camera) = &self.camera else { continue };
            if camera.has_failed() {
                self.camera = None;
                (self.tell)(CameraEvent::Trouble(Trouble::Missing));
            } else if let Some((number, frame)) = camera.newer_than(self.seen, PATIENCE) {
                self.seen = number;
                if let Err(error) = self.on_frame(&frame) {
                    tracing::warn!(%error, "a picture was not sent");
                    self.encoder = None;
                }
            }
        }
    }

    fn set_camera(&mut self, id: Option<&str>, on: bool) {
        // The same device can't be opened while it is open.
        self.camera = None;
        self.seen = 0;
        if !on {
            (self.tell)(CameraEvent::Off);
            return;
        }
        (self.tell)(match Camera::open(id) {
            Ok(camera) => {
                self.camera = Some(camera);
                self.key_frame_wanted.store(true, Ordering::Relaxed);
                CameraEvent::Works
            }
            Err(trouble) => CameraEvent::Trouble(trouble),
        });
    }

    fn set_call(&mut self, call: Option<MediaSender>) {
        self.call = call;
        self.encoder = None;
        self.ladder = Ladder::default();
        self.step = None;
        self.chosen_at = None;
    }

    fn on_frame(&mut self, frame: &CameraFrame) -> Result<(), MediaError> {
        if self.previewed_at.is_none_or(|at| frame.at.duration_since(at) >= PREVIEW_EVERY) {
            self.previewed_at = Some(frame.at);
            let (width, height) = frame.picture.fitted(PREVIEW.0, PREVIEW.1);
            let small = self.scaler.scale(&frame.picture, width, height)?;
            self.preview.picture(&small);
        }
        let Some(call) = self.call.clone().filter(MediaSender::is_connected) else { return Ok(()) };
        self.choose(&call, frame.at)?;
        let Some(step) = self.step else { return Ok(()) };
        // A camera at 30 gives 20 by leaving out every third.
        let interval = Duration::from_secs(1) / step.fps;
        if frame.at + interval / 4 < self.next_frame || call.is_congested() {
            return Ok(());
        }
        self.next_frame = (self.next_frame + interval).max(frame.at);
        let (width, height) = frame.picture.fitted(step.width, step.height);
        let sized: I420 = self.scaler.scale(&frame.picture, width, height)?;
        self.encode(&call, &sized, frame.at, step)
    }

    fn choose(&mut self, call: &MediaSender, now: Instant) -> Result<(), MediaError> {
        if self.chosen_at.is_some_and(|at| now.duration_since(at) < CHOOSE_EVERY) {
            return Ok(());
        }
        self.chosen_at = Some(now);
        let choice = self.ladder.choose(call.available_bitrate(), self.encoding, now);
        if choice.step != self.step {
            self.step = choice.step;
            self.encoding = Duration::ZERO;
            let sent = choice.step.map(|s| SentPicture {
                width: s.width as u32,
                height: s.height as u32,
                fps: s.fps,
            });
            tracing::info!(?sent, bitrate = choice.bitrate, "sending");
            (self.tell)(CameraEvent::Sending(sent));
        }
        // Small corrections are not worth unsettling the encoder's rate control.
        if choice.bitrate.abs_diff(self.bitrate) > self.bitrate / 20 {
            self.bitrate = choice.bitrate;
            if let Some(encoder) = &mut self.encoder {
                encoder.set_bitrate(self.bitrate / 1_000)?;
            }
        }
        Ok(())
    }

    fn encode(
        &mut self,
        call: &MediaSender,
        picture: &I420,
        at: Instant,
        step: Step,
    ) -> Result<(), MediaError> {
        let size = (picture.width(), picture.height());
        if self.encoder.as_ref().is_none_or(|encoder| encoder.size() != size) {
            self.encoder = Some(Encoder::new(size.0, size.1, self.bitrate / 1_000)?);
        }
        let Some(encoder) = &mut self.encoder else { return Ok(()) };
        let key = self.key_frame_wanted.swap(false, Ordering::Relaxed);
        let pts = (at.saturating_duration_since(self.started).as_micros() * 9 / 100) as i64;
        let began = Instant::now();
        let encoded = encoder.encode(picture, pts, 90_000 / step.fps, key)?;
        self.encoding = (self.encoding * 15 + began.elapsed()) / 16;
        match encoded {
            Some(encoded) => {
                let frame = VideoFrame { timestamp: pts as u32, data: encoded.data.to_vec().into() };
                if !call.video(frame) {
                    self.key_frame_wanted.store(true, Ordering::Relaxed);
                }
            }
            None if key => self.key_frame_wanted.store(true, Ordering::Relaxed),
            None => {}
        }
        Ok(())
    }
}
