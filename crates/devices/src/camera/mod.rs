//! Cameras, as raw pictures. Each runs on a thread of its own and hands over the newest frame.

mod format;
mod mjpeg;
#[cfg(not(target_os = "linux"))]
#[path = "elsewhere.rs"]
mod system;
#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod system;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use bedside_media::I420;

use crate::{Device, Trouble};

/// How long a camera may take to give its first picture; some warm up for three seconds.
const OPEN_WITHIN: Duration = Duration::from_secs(6);

/// A picture and when it was taken.
#[derive(Clone, Debug)]
pub struct CameraFrame {
    /// The picture.
    pub picture: Arc<I420>,
    /// When the camera gave it.
    pub at: Instant,
}

/// Every camera; none when the system can't say.
pub fn cameras() -> Vec<Device> {
    system::cameras()
}

/// The newest picture, for whoever asks: an older one nobody took is dropped.
#[derive(Default)]
struct Latest {
    frame: Mutex<(u64, Option<CameraFrame>)>,
    changed: Condvar,
}

/// An open camera. Closes when dropped.
pub struct Camera {
    latest: Arc<Latest>,
    stop: Arc<AtomicBool>,
    failed: Arc<AtomicBool>,
    frames: Arc<AtomicU64>,
    done: mpsc::Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Camera {
    /// Opens the camera with this id and no other; without one, the system's choice. Blocks until it
    /// gives a picture or fails.
    pub fn open(id: Option<&str>) -> Result<Self, Trouble> {
        let id = id.map(str::to_owned);
        Self::open_with(move |sink| system::run(id.as_deref(), sink))
    }

    fn open_with(run: impl FnOnce(&Sink) -> Result<(), Trouble> + Send + 'static) -> Result<Self, Trouble> {
        let latest = Arc::new(Latest::default());
        let stop = Arc::new(AtomicBool::new(false));
        let failed = Arc::new(AtomicBool::new(false));
        let frames = Arc::new(AtomicU64::new(0));
        let (ready, opened) = mpsc::sync_channel(1);
        let (finished, done) = mpsc::sync_channel(1);
        let sink = Sink { latest: latest.clone(), stop: stop.clone(), frames: frames.clone(), ready };
        let thread = {
            let failed = failed.clone();
            std::thread::Builder::new().name("camera".into()).spawn(move || {
                crate::yield_to_sound();
                // Crates on the way to a driver panic on what one says (v4l 0.14).
                let ended = catch_unwind(AssertUnwindSafe(|| run(&sink)))
                    .unwrap_or_else(|_| Err(Trouble::Other("the camera's thread met a fault".into())));
                if let Err(trouble) = ended {
                    tracing::warn!(%trouble, "the camera failed");
                    // Taken only by whoever still waits for the first frame.
                    let _ = sink.ready.try_send(Err(trouble));
                    failed.store(true, Ordering::Relaxed);
                }
                sink.latest.changed.notify_all();
                let _ = finished.send(());
            })
        };
        let thread = thread.map_err(|error| Trouble::Other(error.to_string()))?;
        let camera = Self { latest, stop, failed, frames, done, thread: Some(thread) };
        match opened.recv_timeout(OPEN_WITHIN) {
            Ok(Ok(())) => Ok(camera),
            Ok(Err(trouble)) => Err(trouble),
            Err(_) => Err(Trouble::Busy),
        }
    }

    /// Waits up to `patience` for a picture newer than number `after`; gives it and its number.
    pub fn newer_than(&self, after: u64, patience: Duration) -> Option<(u64, CameraFrame)> {
        let frame = self.latest.frame.lock().unwrap_or_else(PoisonError::into_inner);
        let (frame, _) = self
            .latest
            .changed
            .wait_timeout_while(frame, patience, |frame| frame.0 <= after && !self.has_failed())
            .unwrap_or_else(PoisonError::into_inner);
        (frame.0 > after).then(|| frame.1.clone().map(|f| (frame.0, f))).flatten()
    }

    /// Whether it stopped working, as when it was unplugged.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Pictures taken so far.
    pub fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A camera that hangs without being gone blocks its thread inside the system, without a
        // limit; then the thread is left to end by itself.
        if self.done.recv_timeout(Duration::from_secs(2)).is_ok()
            && let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a camera thread panicked");
        }
    }
}

/// Where a camera's frames go.
struct Sink {
    latest: Arc<Latest>,
    stop: Arc<AtomicBool>,
    frames: Arc<AtomicU64>,
    ready: mpsc::SyncSender<Result<(), Trouble>>,
}

impl Sink {
    /// Whether somebody still wants frames.
    fn is_wanted(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn give(&self, picture: I420) {
        self.frames.fetch_add(1, Ordering::Relaxed);
        let frame = CameraFrame { picture: Arc::new(picture), at: Instant::now() };
        let mut slot = self.latest.frame.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = (slot.0 + 1, Some(frame));
        drop(slot);
        self.latest.changed.notify_all();
        // Only the first is waited for.
        let _ = self.ready.try_send(Ok(()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_in_the_thread_is_a_camera_that_failed() {
        let camera = Camera::open_with(|sink| {
            sink.give(I420::black(16, 16));
            panic!("a fault, for a test");
        });
        let camera = camera.expect("it gave a frame");
        let began = Instant::now();
        while !camera.has_failed() {
            assert!(began.elapsed() < Duration::from_secs(1), "noticed within a second");
            std::thread::yield_now();
        }
    }
}
