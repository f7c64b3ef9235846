//! One's own picture: camera → size → encoder → network, and a small one for the screen.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use bedside_bwe::{Bitrate, LinkStatus};
use bedside_call::{LocalVideo, MOST_CAMERA, SentVideo};
use bedside_devices::{Camera, CameraFrame, Trouble};
use bedside_media::{MediaError, Scaler, TrackSource, VideoSource};
use bedside_session::snapshot::SentPicture;

use crate::{frame_channel::FrameChannel, outgoing::Outgoing};

/// One's own picture on the screen: its size and pace while one looks at it, and in a call, where it is
/// a corner of the window. Each costs the page a drawing of the whole.
const PREVIEW: Preview = Preview { width: 480, height: 270, every: Duration::from_millis(62) };
const PREVIEW_IN_CALL: Preview = Preview { width: 320, height: 180, every: Duration::from_millis(95) };
/// How long the camera is waited for before commands are looked at again.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long it waits after a fault.
const AFTER_FAULT: Duration = Duration::from_millis(100);
/// A camera that gives nothing for this long has stopped, whatever it says.
const STALLED_AFTER: Duration = Duration::from_secs(2);

const CAMERA: TrackSource = TrackSource::Video(VideoSource::Camera);

/// Asks one's own encoder for a key frame.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyFrameRequest(Arc<AtomicBool>);

impl KeyFrameRequest {
    pub(crate) fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

#[derive(Clone, Copy)]
struct Preview {
    width: usize,
    height: usize,
    every: Duration,
}

enum VideoCommand {
    Camera {
        id: Option<String>,
        on: bool,
    },
    Call(Option<Arc<dyn Outgoing>>),
    /// The most pictures a second that the other end can draw.
    Pace(Option<u32>),
    /// For tests: the thread meets a fault.
    #[cfg(test)]
    Fail,
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
    /// The thread met a fault and goes on with everything anew.
    Restarted,
}

/// The thread's handle.
pub(crate) struct Video {
    commands: mpsc::Sender<VideoCommand>,
    pub(crate) key_frame: KeyFrameRequest,
    thread: Option<JoinHandle<()>>,
}

impl Video {
    /// Starts the thread, with the camera off and no call.
    pub(crate) fn start(
        preview: Arc<FrameChannel>,
        tell: impl Fn(CameraEvent) + Send + 'static,
    ) -> std::io::Result<Self> {
        Self::start_with(|id| Camera::open(id).map(|camera| Box::new(camera) as _), preview, tell)
    }

    fn start_with(
        open: impl Fn(Option<&str>) -> Result<Box<dyn Pictures>, Trouble> + Send + 'static,
        preview: Arc<FrameChannel>,
        tell: impl Fn(CameraEvent) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (commands, queue) = mpsc::channel();
        let key_frame = KeyFrameRequest::default();
        let engine = Engine {
            key_frame: key_frame.clone(),
            preview,
            open: Box::new(open),
            tell: Box::new(tell),
            camera: None,
            wanted: None,
            seen: 0,
            frame_at: Instant::now(),
            call: None,
            scaler: Scaler::default(),
            local: None,
            pace: None,
            sent: None,
            previewed_at: None,
        };
        let thread =
            std::thread::Builder::new().name("video".into()).spawn(move || engine.keep_running(&queue))?;
        Ok(Self { commands, key_frame, thread: Some(thread) })
    }

    fn command(&self, command: VideoCommand) {
        if self.commands.send(command).is_err() {
            tracing::error!("the video thread is gone");
        }
    }

    /// Switches the camera: the light of one that is off goes out.
    pub(crate) fn set_camera(&self, id: Option<String>, on: bool) {
        self.command(VideoCommand::Camera { id, on });
    }

    /// Sends to a call, or to nobody.
    pub(crate) fn set_call(&self, call: Option<Arc<dyn Outgoing>>) {
        self.command(VideoCommand::Call(call));
    }

    /// The other end can draw no more pictures a second than these.
    pub(crate) fn set_pace(&self, most: Option<u32>) {
        self.command(VideoCommand::Pace(most));
    }

    /// Ends the thread.
    pub(crate) fn stop(mut self) {
        self.command(VideoCommand::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the video thread panicked");
        }
    }
}

/// The camera that is to be on: this one, or the system's choice.
#[derive(Clone)]
struct WantedCamera {
    id: Option<String>,
}

/// What gives pictures: a camera, or what stands for one in a test.
trait Pictures: Send {
    fn has_failed(&self) -> bool;
    fn newer_than(&self, after: u64, patience: Duration) -> Option<(u64, CameraFrame)>;
}

impl Pictures for Camera {
    fn has_failed(&self) -> bool {
        Self::has_failed(self)
    }

    fn newer_than(&self, after: u64, patience: Duration) -> Option<(u64, CameraFrame)> {
        Self::newer_than(self, after, patience)
    }
}

type Open = Box<dyn Fn(Option<&str>) -> Result<Box<dyn Pictures>, Trouble> + Send>;

struct Engine {
    key_frame: KeyFrameRequest,
    preview: Arc<FrameChannel>,
    open: Open,
    tell: Box<dyn Fn(CameraEvent) + Send>,
    camera: Option<Box<dyn Pictures>>,
    /// The camera that is to be on, to be opened again after a fault.
    wanted: Option<WantedCamera>,
    seen: u64,
    /// When the newest frame came, or the camera was opened.
    frame_at: Instant,
    call: Option<Arc<dyn Outgoing>>,
    scaler: Scaler,
    local: Option<LocalVideo>,
    /// The most pictures a second that the other end draws, as it last said.
    pace: Option<u32>,
    sent: Option<SentVideo>,
    previewed_at: Option<Instant>,
}

impl Engine {
    /// Runs until it is told to stop; a fault in it costs a moment of picture, not the thread.
    fn keep_running(mut self, commands: &mpsc::Receiver<VideoCommand>) {
        bedside_devices::yield_to_sound();
        while catch_unwind(AssertUnwindSafe(|| self.run(commands))).is_err() {
            tracing::error!("the video thread met a fault, and begins anew");
            let call = self.call.take();
            self.scaler = Scaler::default();
            self.set_call(call);
            if let Some(WantedCamera { id }) = self.wanted.clone() {
                self.set_camera(id.as_deref(), true);
            }
            (self.tell)(CameraEvent::Restarted);
            // A fault that comes again at once must not take a core.
            std::thread::park_timeout(AFTER_FAULT);
        }
    }

    fn run(&mut self, commands: &mpsc::Receiver<VideoCommand>) {
        loop {
            // Without a camera there is nothing to do but wait for a command.
            let command = if self.camera.is_some() {
                commands.try_recv().map_err(|e| e == mpsc::TryRecvError::Disconnected)
            } else {
                commands.recv().map_err(|_| true)
            };
            match command {
                Ok(VideoCommand::Stop) | Err(true) => return,
                Ok(VideoCommand::Camera { id, on }) => self.set_camera(id.as_deref(), on),
                Ok(VideoCommand::Call(call)) => self.set_call(call),
                Ok(VideoCommand::Pace(most)) => {
                    self.pace = most;
                    if let Some(local) = &mut self.local {
                        local.set_pace(most);
                    }
                }
                #[cfg(test)]
                Ok(VideoCommand::Fail) => panic!("a fault, for a test"),
                Err(false) => {}
            }
            let Some(camera) = &self.camera else { continue };
            if camera.has_failed() || self.frame_at.elapsed() > STALLED_AFTER {
                self.camera = None;
                self.stop_sending();
                (self.tell)(CameraEvent::Trouble(Trouble::Missing));
            } else if let Some((number, frame)) = camera.newer_than(self.seen, PATIENCE) {
                (self.seen, self.frame_at) = (number, Instant::now());
                if let Err(error) = self.on_frame(&frame) {
                    tracing::warn!(%error, "a frame was not sent");
                }
            }
        }
    }

    fn set_camera(&mut self, id: Option<&str>, on: bool) {
        // The same device can't be opened while it is open.
        self.camera = None;
        self.stop_sending();
        self.seen = 0;
        self.wanted = on.then(|| WantedCamera { id: id.map(str::to_owned) });
        if !on {
            (self.tell)(CameraEvent::Off);
            return;
        }
        (self.tell)(match (self.open)(id) {
            Ok(camera) => {
                self.camera = Some(camera);
                self.frame_at = Instant::now();
                self.key_frame.request();
                CameraEvent::Works
            }
            Err(trouble) => CameraEvent::Trouble(trouble),
        });
    }

    fn set_call(&mut self, call: Option<Arc<dyn Outgoing>>) {
        self.local = call.as_ref().map(|_| {
            let mut local = LocalVideo::new(rand::random(), Instant::now());
            local.set_pace(self.pace);
            local
        });
        self.call = call;
        self.stop_sending();
    }

    /// No picture leaves any more: what it had of the network is the audio's.
    fn stop_sending(&mut self) {
        if let Some(call) = &self.call {
            call.set_wanted(CAMERA, Bitrate::ZERO);
        }
        if self.sent.take().is_some() {
            (self.tell)(CameraEvent::Sending(None));
        }
    }

    fn on_frame(&mut self, frame: &CameraFrame) -> Result<(), MediaError> {
        let preview = if self.call.is_some() { PREVIEW_IN_CALL } else { PREVIEW };
        if self.previewed_at.is_none_or(|at| frame.at.duration_since(at) >= preview.every) {
            self.previewed_at = Some(frame.at);
            let (width, height) = frame.picture.fitted(preview.width, preview.height);
            let small = self.scaler.scale(&frame.picture, width, height)?;
            self.preview.picture(&small);
        }
        let Some(call) = self.call.as_ref().filter(|call| call.is_connected()) else { return Ok(()) };
        let Some(local) = &mut self.local else { return Ok(()) };
        let link = LinkStatus { is_congested: call.is_congested(VideoSource::Camera), ..call.link() };
        let screen = call.wanted(TrackSource::Video(VideoSource::Screen));
        let most = call.most(VideoSource::Camera);
        local.set_limit(most);
        local.set_codec(call.codec(VideoSource::Camera));
        call.set_wanted(CAMERA, MOST_CAMERA.min(most));
        if self.key_frame.take() {
            local.request_key_frame();
        }
        let step = local.wants(&link, screen, frame.at)?;
        if local.sent() != self.sent {
            self.sent = local.sent();
            let sent = self.sent.map(|sent| SentPicture {
                width: sent.width as u32,
                height: sent.height as u32,
                fps: sent.fps,
            });
            tracing::info!(?sent, target = %link.estimate.target, "sending");
            (self.tell)(CameraEvent::Sending(sent));
        }
        let Some(step) = step else { return Ok(()) };
        let began = Instant::now();
        let encoded = local.encode(&frame.picture, step, frame.at)?;
        local.note_encoding(began.elapsed());
        if let Some(encoded) = encoded
            && !call.video(VideoSource::Camera, encoded)
        {
            local.request_key_frame();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bedside_media::I420;

    use super::*;
    use crate::outgoing::testing::Call;

    /// A camera of thirty pictures a second.
    struct Thirty {
        began: Instant,
    }

    impl Pictures for Thirty {
        fn has_failed(&self) -> bool {
            false
        }

        fn newer_than(&self, after: u64, _: Duration) -> Option<(u64, CameraFrame)> {
            let at = self.began + Duration::from_millis(33) * (after as u32 + 1);
            std::thread::park_timeout(at.saturating_duration_since(Instant::now()));
            Some((after + 1, CameraFrame { picture: Arc::new(I420::black(64, 48)), at }))
        }
    }

    #[test]
    fn a_fault_in_mid_call_is_told_and_the_camera_is_seen_again() {
        let (told, events) = mpsc::channel();
        let open = |_: Option<&str>| Ok(Box::new(Thirty { began: Instant::now() }) as Box<dyn Pictures>);
        let video = Video::start_with(open, Arc::default(), move |event| drop(told.send(event))).unwrap();
        let next = || events.recv_timeout(Duration::from_secs(1)).expect("told within a second");
        let call = Arc::new(Call::default());
        video.set_call(Some(call.clone()));
        video.set_camera(None, true);
        assert_eq!(next(), CameraEvent::Works);
        assert!(matches!(next(), CameraEvent::Sending(Some(_))));
        let is_sent = |least: usize, is_wanted: fn(&bool) -> bool| {
            let began = Instant::now();
            while call.frames(VideoSource::Camera).into_iter().filter(is_wanted).count() < least {
                assert!(began.elapsed() < Duration::from_secs(5), "frames come");
                std::thread::yield_now();
            }
        };
        for fault in 1..=2 {
            is_sent(3 * fault, |_| true);
            video.command(VideoCommand::Fail);
            assert_eq!(next(), CameraEvent::Sending(None));
            assert_eq!(next(), CameraEvent::Works, "it is opened again");
            assert_eq!(next(), CameraEvent::Restarted);
            assert!(matches!(next(), CameraEvent::Sending(Some(_))));
            // The other end begins with a key frame.
            is_sent(fault + 1, |is_key| *is_key);
        }
        video.stop();
    }

    #[test]
    fn without_a_call_it_takes_commands_again_after_a_fault() {
        let (told, events) = mpsc::channel();
        let video = Video::start(Arc::default(), move |event| drop(told.send(event))).unwrap();
        let next = || events.recv_timeout(Duration::from_secs(1)).expect("told within a second");
        for _ in 0..2 {
            video.command(VideoCommand::Fail);
            assert_eq!(next(), CameraEvent::Restarted);
            video.set_camera(None, false);
            assert_eq!(next(), CameraEvent::Off, "it takes commands again");
        }
        video.stop();
    }
}
