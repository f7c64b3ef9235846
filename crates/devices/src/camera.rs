//! Cameras through nokhwa, as raw pictures.

use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use bedside_media::I420;
use nokhwa::{
    NokhwaError,
    utils::{ApiBackend, CameraIndex, FrameFormat, RequestedFormat, RequestedFormatType},
};

use crate::{Device, Trouble};

/// Formats that become I420 without decoding, the better first.
const FORMATS: [FrameFormat; 2] = [FrameFormat::YUYV, FrameFormat::NV12];
/// What is asked of a camera: the best picture that is ever sent.
const WANTED: (u32, u32, u32) = (1280, 720, 30);
/// How long a camera may take to give its first picture; some warm up for three seconds.
const OPEN_WITHIN: Duration = Duration::from_secs(6);
/// Failures in a row after which the camera counts as gone.
const MAX_FAILURES: u32 = 3;

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
    let found = nokhwa::query(ApiBackend::Auto).unwrap_or_default();
    let mut names: Vec<String> = vec![];
    found
        .iter()
        .enumerate()
        .map(|(n, camera)| {
            let name = camera.human_name();
            names.push(name.clone());
            let same = names.iter().filter(|other| **other == name).count();
            Device {
                id: camera.index().to_string(),
                // Two of a kind are told apart.
                name: if same > 1 { format!("{name} ({same})") } else { name },
                is_default: n == 0,
            }
        })
        .collect()
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
    /// Opens a camera, the first one without an id. Blocks until it gives a picture or fails.
    pub fn open(id: Option<&str>) -> Result<Self, Trouble> {
        let index = match id.and_then(|id| id.parse().ok()) {
            Some(index) => index,
            None => cameras().first().and_then(|camera| camera.id.parse().ok()).ok_or(Trouble::Missing)?,
        };
        let latest = Arc::new(Latest::default());
        let stop = Arc::new(AtomicBool::new(false));
        let failed = Arc::new(AtomicBool::new(false));
        let frames = Arc::new(AtomicU64::new(0));
        let (ready, opened) = mpsc::sync_channel(1);
        let (finished, done) = mpsc::sync_channel(1);
        let thread = {
            let (latest, stop, failed, frames) =
                (latest.clone(), stop.clone(), failed.clone(), frames.clone());
            std::thread::Builder::new().name("camera".into()).spawn(move || {
                if let Err(trouble) = run(index, &latest, &stop, &frames, &ready) {
                    tracing::warn!(%trouble, "the camera failed");
                    let _ = ready.try_send(Err(trouble));
                    failed.store(true, Ordering::Relaxed);
                }
                latest.changed.notify_all();
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

fn run(
    index: u32,
    latest: &Latest,
    stop: &AtomicBool,
    frames: &AtomicU64,
    ready: &mpsc::SyncSender<Result<(), Trouble>>,
) -> Result<(), Trouble> {
    crate::yield_to_sound();
    // `Closest` fails unless the very size is offered (0.10): open with anything, then choose.
    let any = RequestedFormat::with_formats(RequestedFormatType::None, &FORMATS);
    let mut camera = nokhwa::Camera::new(CameraIndex::Index(index), any).map_err(|e| trouble(&e))?;
    let best = camera
        .compatible_camera_formats()
        .map_err(|e| trouble(&e))?
        .into_iter()
        .filter(|format| FORMATS.contains(&format.format()))
        .min_by_key(|format| {
            let slow = WANTED.2.saturating_sub(format.frame_rate()) * 60;
            slow + format.width().abs_diff(WANTED.0) + format.height().abs_diff(WANTED.1)
        });
    if let Some(best) = best.filter(|best| *best != camera.camera_format()) {
        let exactly = RequestedFormat::with_formats(RequestedFormatType::Exact(best), &FORMATS);
        camera.set_camera_requset(exactly).map_err(|e| trouble(&e))?;
    }
    camera.open_stream().map_err(|e| trouble(&e))?;
    let format = camera.camera_format();
    let (width, height) = (format.width() as usize, format.height() as usize);
    tracing::info!(width, height, fps = format.frame_rate(), format = ?format.format(), "camera open");
    let mut failures = 0;
    while !stop.load(Ordering::Relaxed) {
        let picture = camera.frame_raw().map_err(|e| trouble(&e)).and_then(|raw| {
            let converted = match format.format() {
                FrameFormat::NV12 => I420::from_nv12(width, height, &raw),
                _ => I420::from_yuyv(width, height, &raw),
            };
            converted.map_err(|error| Trouble::Other(error.to_string()))
        });
        match picture {
            Ok(picture) => {
                failures = 0;
                frames.fetch_add(1, Ordering::Relaxed);
                let frame = CameraFrame { picture: Arc::new(picture), at: Instant::now() };
                let mut slot = latest.frame.lock().unwrap_or_else(PoisonError::into_inner);
                *slot = (slot.0 + 1, Some(frame));
                drop(slot);
                latest.changed.notify_all();
                // Only the first is waited for.
                let _ = ready.try_send(Ok(()));
            }
            Err(trouble) => {
                failures += 1;
                if failures >= MAX_FAILURES || trouble == Trouble::Missing {
                    return Err(trouble);
                }
                // After any failed frame the stream must be opened again (nokhwa 0.10).
                camera.stop_stream().map_err(|e| self::trouble(&e))?;
                camera.open_stream().map_err(|e| self::trouble(&e))?;
            }
        }
    }
    camera.stop_stream().map_err(|e| trouble(&e))
}

/// What the system's error means to a person; nokhwa passes it on only as text.
fn trouble(error: &NokhwaError) -> Trouble {
    let text = error.to_string();
    let has = |number: u32| text.contains(&format!("os error {number})"));
    // ENOENT, ENXIO, ENODEV; EBUSY; EACCES, EPERM.
    if has(2) || has(6) || has(19) {
        Trouble::Missing
    } else if has(16) {
        Trouble::Busy
    } else if has(13) || has(1) {
        Trouble::Denied
    } else {
        Trouble::Other(text)
    }
}
