//! One's own screen: capture → size → encoder → network, on a thread of its own while it is shared.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use bedside_bwe::{Bitrate, LinkStatus};
use bedside_call::{LocalScreen, MOST_SCREEN, Uses, share};
use bedside_devices::{ScreenCapture, Trouble, open_screen};
use bedside_media::{TrackSource, VideoSource};

use crate::{outgoing::Outgoing, video::KeyFrameRequest};

const SCREEN: TrackSource = TrackSource::Video(VideoSource::Screen);
/// How often a screen is looked at that nobody is sent: whether it is still there.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often it is looked whether a person has answered the system's dialog: sooner than they notice.
const ASK_EVERY: Duration = Duration::from_millis(100);

enum ScreenCommand {
    Share(String),
    StopSharing,
    Call(Option<Arc<dyn Outgoing>>),
    Stop,
}

/// What sharing came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum ScreenEvent {
    /// This one is shared now: it was chosen, and what it shows is known.
    Shared(String),
    /// This one is not, or not any more.
    Failed(String, Trouble),
}

/// The thread's handle.
pub(crate) struct ScreenSharing {
    commands: mpsc::Sender<ScreenCommand>,
    pub(crate) key_frame: KeyFrameRequest,
    thread: Option<JoinHandle<()>>,
}

impl ScreenSharing {
    /// Starts the thread; nothing is shared.
    pub(crate) fn start(tell: impl Fn(ScreenEvent) + Send + 'static) -> std::io::Result<Self> {
        Self::start_with(open_screen, tell)
    }

    fn start_with(
        open: impl Fn(&str) -> Result<Box<dyn ScreenCapture>, Trouble> + Send + 'static,
        tell: impl Fn(ScreenEvent) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (commands, queue) = mpsc::channel();
        let key_frame = KeyFrameRequest::default();
        let engine = Engine {
            key_frame: key_frame.clone(),
            open: Box::new(open),
            tell: Box::new(tell),
            shared: None,
            call: None,
        };
        let thread = std::thread::Builder::new().name("screen".into()).spawn(move || engine.run(&queue))?;
        Ok(Self { commands, key_frame, thread: Some(thread) })
    }

    fn command(&self, command: ScreenCommand) {
        if self.commands.send(command).is_err() {
            tracing::error!("the screen's thread is gone");
        }
    }

    /// Shares the screen or window with this id, in place of another.
    pub(crate) fn share(&self, id: String) {
        self.command(ScreenCommand::Share(id));
    }

    /// Shares nothing.
    pub(crate) fn stop_sharing(&self) {
        self.command(ScreenCommand::StopSharing);
    }

    /// Sends to a call, or to nobody.
    pub(crate) fn set_call(&self, call: Option<Arc<dyn Outgoing>>) {
        self.command(ScreenCommand::Call(call));
    }

    /// Ends the thread.
    pub(crate) fn stop(mut self) {
        self.command(ScreenCommand::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the screen's thread panicked");
        }
    }
}

/// A screen or window that is shared.
struct Shared {
    id: String,
    capture: Box<dyn ScreenCapture>,
    /// Whether it was told: not while the system's own dialog asks.
    is_told: bool,
    local: LocalScreen,
    /// When it is looked at next.
    due: Instant,
}

type Open = Box<dyn Fn(&str) -> Result<Box<dyn ScreenCapture>, Trouble> + Send>;

struct Engine {
    key_frame: KeyFrameRequest,
    open: Open,
    tell: Box<dyn Fn(ScreenEvent) + Send>,
    shared: Option<Shared>,
    call: Option<Arc<dyn Outgoing>>,
}

impl Engine {
    fn run(mut self, commands: &mpsc::Receiver<ScreenCommand>) {
        bedside_devices::yield_to_sound();
        loop {
            let command = match &self.shared {
                Some(shared) => commands.recv_timeout(shared.due.saturating_duration_since(Instant::now())),
                None => commands.recv().map_err(mpsc::RecvTimeoutError::from),
            };
            match command {
                Ok(ScreenCommand::Stop) | Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return self.stop_sharing();
                }
                Ok(ScreenCommand::Share(id)) => self.share(id),
                Ok(ScreenCommand::StopSharing) => self.stop_sharing(),
                Ok(ScreenCommand::Call(call)) => self.set_call(call),
                Err(mpsc::RecvTimeoutError::Timeout) => self.look(),
            }
        }
    }

    fn share(&mut self, id: String) {
        self.stop_sharing();
        let opened = catch_unwind(AssertUnwindSafe(|| (self.open)(&id)));
        match opened.unwrap_or_else(|_| Err(fault())) {
            Ok(capture) => {
                let (local, due) = (new_local(), Instant::now());
                self.shared = Some(Shared { id, capture, is_told: false, local, due });
            }
            Err(trouble) => (self.tell)(ScreenEvent::Failed(id, trouble)),
        }
    }

    fn stop_sharing(&mut self) {
        self.shared = None;
        if let Some(call) = &self.call {
            call.set_wanted(SCREEN, Bitrate::ZERO);
        }
    }

    fn set_call(&mut self, call: Option<Arc<dyn Outgoing>>) {
        // On hold the connection lives on, and the camera is to have all of it afterwards.
        if let Some(before) = std::mem::replace(&mut self.call, call) {
            before.set_wanted(SCREEN, Bitrate::ZERO);
        }
        if let Some(shared) = &mut self.shared {
            (shared.local, shared.due) = (new_local(), Instant::now());
        }
    }

    /// Looks at what is shared, and sends what there is to send. A fault in it ends the sharing, not the
    /// thread.
    fn look(&mut self) {
        let Some(shared) = &mut self.shared else { return };
        let tell = &self.tell;
        let looked =
            catch_unwind(AssertUnwindSafe(|| look(shared, self.call.as_deref(), &self.key_frame, tell)));
        let trouble = match looked {
            Ok(Ok(())) => return,
            Ok(Err(trouble)) => trouble,
            Err(_) => fault(),
        };
        tracing::info!(%trouble, "the screen is not shared any more");
        let id = shared.id.clone();
        self.stop_sharing();
        (self.tell)(ScreenEvent::Failed(id, trouble));
    }
}

fn fault() -> Trouble {
    Trouble::Other("the screen's thread met a fault".to_owned())
}

fn new_local() -> LocalScreen {
    LocalScreen::new(rand::random(), Instant::now())
}

fn look(
    shared: &mut Shared,
    call: Option<&dyn Outgoing>,
    key_frame: &KeyFrameRequest,
    tell: &dyn Fn(ScreenEvent),
) -> Result<(), Trouble> {
    let Shared { id, capture, is_told, local, due } = shared;
    let at = Instant::now();
    let Some(shown) = capture.capture()? else {
        *due = at + ASK_EVERY;
        return Ok(());
    };
    if !std::mem::replace(is_told, true) {
        tell(ScreenEvent::Shared(id.clone()));
    }
    let Some(call) = call.filter(|call| call.is_connected()) else {
        *due = at + LOOK_EVERY;
        return Ok(());
    };
    if key_frame.take() {
        local.request_key_frame();
    }
    let link = LinkStatus { is_congested: call.is_congested(VideoSource::Screen), ..call.link() };
    let least_camera = Some(call.wanted(TrackSource::Video(VideoSource::Camera)))
        .filter(|camera| *camera > Bitrate::ZERO)
        .map(|_| bedside_bwe::ladder::STEPS[0].needs);
    // What it could have, changed or not: its size goes by the line.
    let rate = share(&link, Uses { least_camera, screen: MOST_SCREEN }).screen;
    let encoded = local
        .encode(shown.picture, shown.has_changed, &link, rate, at)
        .map_err(|error| Trouble::Other(error.to_string()))?;
    local.note_encoding(at.elapsed());
    call.set_wanted(SCREEN, local.wanted(at));
    *due = local.next_frame();
    if let Some(encoded) = encoded
        && !call.video(VideoSource::Screen, encoded)
    {
        local.request_key_frame();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bedside_devices::Shown;
    use bedside_media::I420;

    use super::*;
    use crate::outgoing::testing::Call;

    /// A screen that changes each time it is looked at, until it is gone.
    struct Blinking {
        picture: I420,
        left: u32,
        /// So often it says that the person is still asked.
        asks: u32,
    }

    impl ScreenCapture for Blinking {
        fn capture(&mut self) -> Result<Option<Shown<'_>>, Trouble> {
            if let Some(asks) = self.asks.checked_sub(1) {
                self.asks = asks;
                return Ok(None);
            }
            self.left = self.left.checked_sub(1).ok_or(Trouble::Missing)?;
            assert!(self.left != 1_000, "a fault, for a test");
            let number = self.left as u8;
            self.picture.planes_mut().0.fill(number.wrapping_mul(40));
            Ok(Some(Shown { picture: &self.picture, has_changed: true }))
        }
    }

    fn open(id: &str) -> Result<Box<dyn ScreenCapture>, Trouble> {
        let left = match id {
            "short" => 5,
            "faulty" => 1_003,
            "long" | "asked for" => u32::MAX,
            "faulty at once" => panic!("a fault, for a test"),
            _ => return Err(Trouble::Denied),
        };
        let asks = if id == "asked for" { 3 } else { 0 };
        Ok(Box::new(Blinking { picture: I420::black(64, 48), left, asks }))
    }

    struct Started {
        sharing: ScreenSharing,
        events: mpsc::Receiver<ScreenEvent>,
    }

    impl Started {
        fn new() -> Self {
            let (told, events) = mpsc::channel();
            let sharing = ScreenSharing::start_with(open, move |event| drop(told.send(event))).unwrap();
            Self { sharing, events }
        }

        fn next(&self) -> ScreenEvent {
            self.events.recv_timeout(Duration::from_secs(5)).expect("it is told")
        }
    }

    #[test]
    fn a_screen_that_goes_is_told_and_nothing_of_it_is_wanted_any_more() {
        let started = Started::new();
        let call = Arc::new(Call::default());
        started.sharing.set_call(Some(call.clone()));
        for (id, trouble) in [("short", Trouble::Missing), ("faulty", fault())] {
            started.sharing.share(id.to_owned());
            assert_eq!(started.next(), ScreenEvent::Shared(id.to_owned()));
            assert_eq!(started.next(), ScreenEvent::Failed(id.to_owned(), trouble));
            assert_eq!(call.wanted(SCREEN), Bitrate::ZERO);
        }
        for (id, trouble) in [("none", Trouble::Denied), ("faulty at once", fault())] {
            started.sharing.share(id.to_owned());
            assert_eq!(started.next(), ScreenEvent::Failed(id.to_owned(), trouble));
        }
        assert!(!call.frames(VideoSource::Screen).is_empty());
        started.sharing.stop();
    }

    #[test]
    fn it_is_told_once_the_person_has_chosen() {
        let started = Started::new();
        started.sharing.share("asked for".to_owned());
        assert_eq!(started.next(), ScreenEvent::Shared("asked for".to_owned()));
        // Taken back while it asks: nothing was shared.
        started.sharing.share("asked for".to_owned());
        started.sharing.stop_sharing();
        started.sharing.share("long".to_owned());
        assert_eq!(started.next(), ScreenEvent::Shared("long".to_owned()));
        started.sharing.stop();
    }

    #[test]
    fn each_call_begins_with_a_key_frame() {
        let started = Started::new();
        started.sharing.share("long".to_owned());
        assert_eq!(started.next(), ScreenEvent::Shared("long".to_owned()));
        for _ in 0..2 {
            let call = Arc::new(Call::default());
            started.sharing.set_call(Some(call.clone()));
            call.wait_for_frames(VideoSource::Screen, 3);
            started.sharing.set_call(None);
            let began = Instant::now();
            while call.wanted(SCREEN) > Bitrate::ZERO {
                assert!(began.elapsed() < Duration::from_secs(5), "on hold nothing is wanted");
                std::thread::yield_now();
            }
            assert!(call.frames(VideoSource::Screen)[0]);
        }
        started.sharing.stop_sharing();
        started.sharing.stop();
    }
}
