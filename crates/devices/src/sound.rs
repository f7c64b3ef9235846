//! Microphones and speakers through cpal: mono at 48 kHz, whatever a microphone gives.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::Duration,
};

use bedside_media::SAMPLE_RATE;
use cpal::{
    BufferSize, DeviceId, ErrorKind, FromSample, Host, Sample, SampleFormat, Stream, StreamConfig,
    traits::{DeviceTrait, HostTrait, StreamTrait},
};

#[cfg(target_os = "linux")]
mod pulse;

use crate::{Device, Trouble, convert::ToMono48k, run_before_others};

/// What the microphone asks for at a time: 40 ms. PulseAudio's own default is two seconds, and it
/// keeps no more than one such block: on a machine whose cores are all busy, 20 ms lost sound.
const CAPTURES_PER_SECOND: u32 = 25;
/// What the speaker asks for at a time: 20 ms.
const PLAYOUT_BLOCK: u32 = 960;
/// From taking samples for a speaker to their being heard, about: what the system keeps of them.
pub const PLAYOUT_LATENCY: Duration = Duration::from_millis(40);
/// How long opening may take before it counts as failed; a busy server answers in under three.
const OPEN_WITHIN: Duration = Duration::from_secs(6);
/// How often it is looked whether the device is still there. PulseAudio moves a stream whose
/// device is unplugged to another one without a word, which may be a monitor of the speaker.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Takes what the microphone gives, as many samples at a time as it likes. Must not block.
pub trait CaptureSink: Send + 'static {
    /// Some samples.
    fn captured(&mut self, samples: &[f32]);
}

/// Gives what the speaker plays. Must not block.
pub trait PlayoutSource: Send + 'static {
    /// Fills all of `samples`.
    fn play(&mut self, samples: &mut [f32]);
}

/// The system's sound. One for each process: hosts leak a thread and a connection.
pub struct Sound {
    host: Arc<Host>,
    #[cfg(target_os = "linux")]
    pulse: Arc<pulse::Pulse>,
}

impl Default for Sound {
    fn default() -> Self {
        Self::new()
    }
}

impl Sound {
    /// PulseAudio where it answers, the system's own otherwise.
    pub fn new() -> Self {
        Self {
            host: Arc::new(cpal::default_host()),
            #[cfg(target_os = "linux")]
            pulse: Arc::default(),
        }
    }

    /// Every microphone; none when the system can't say.
    pub fn microphones(&self) -> Vec<Device> {
        let default = self.host.default_input_device();
        let devices = self.host.input_devices().map(Iterator::collect::<Vec<_>>).unwrap_or_default();
        list(devices, default)
    }

    /// Every speaker; none when the system can't say.
    pub fn speakers(&self) -> Vec<Device> {
        let default = self.host.default_output_device();
        let devices = self.host.output_devices().map(Iterator::collect::<Vec<_>>).unwrap_or_default();
        list(devices, default)
    }

    /// Opens a microphone, the default one without an id. Blocks until it gives sound or fails.
    pub fn capture(&self, id: Option<&str>, mut sink: impl CaptureSink) -> Result<SoundStream, Trouble> {
        let device = self.find(id, true)?;
        let native = native_input(&device);
        let mut convert = ToMono48k::new(native.channels, native.rate)?;
        let config = StreamConfig {
            channels: native.channels,
            sample_rate: native.rate,
            buffer_size: BufferSize::Fixed(native.rate / CAPTURES_PER_SECOND),
        };
        let first = std::sync::Once::new();
        let mut floats: Vec<f32> = vec![];
        SoundStream::open(
            self.host.clone(),
            device,
            id.is_none().then_some(Kind::Microphone),
            move |device, failed| {
                let stream = device.build_input_stream_raw(
                    config,
                    native.format,
                    move |data, _| {
                        first.call_once(|| _ = run_before_others());
                        to_floats(data, &mut floats);
                        convert.push(&floats, |mono| sink.captured(mono));
                    },
                    move |error| failed.note(&error),
                    Some(OPEN_WITHIN),
                )?;
                stream.play()?;
                Ok(OpenStream::Cpal(stream))
            },
        )
    }

    /// Opens a speaker, the default one without an id. Blocks until it plays or fails.
    pub fn playout(&self, id: Option<&str>, mut source: impl PlayoutSource) -> Result<SoundStream, Trouble> {
        let device = self.find(id, false)?;
        let config = StreamConfig {
            channels: 1,
            sample_rate: SAMPLE_RATE,
            buffer_size: BufferSize::Fixed(PLAYOUT_BLOCK),
        };
        let follows = id.is_none().then_some(Kind::Speaker);
        #[cfg(target_os = "linux")]
        if let Ok(id) = device.id()
            && id.host() == cpal::HostId::PulseAudio
        {
            let pulse = self.pulse.clone();
            return SoundStream::open(self.host.clone(), device, follows, move |_, _| {
                pulse.playout(id.id(), source).map(OpenStream::Pulse)
            });
        }
        let first = std::sync::Once::new();
        SoundStream::open(self.host.clone(), device, follows, move |device, failed| {
            let stream = device.build_output_stream(
                config,
                move |samples: &mut [f32], _| {
                    first.call_once(|| _ = run_before_others());
                    source.play(samples);
                },
                move |error| failed.note(&error),
                Some(OPEN_WITHIN),
            )?;
            stream.play()?;
            Ok(OpenStream::Cpal(stream))
        })
    }

    fn find(&self, id: Option<&str>, input: bool) -> Result<cpal::Device, Trouble> {
        let found = match id {
            Some(id) => id.parse::<DeviceId>().ok().and_then(|id| self.host.device_by_id(&id)),
            None if input => self.host.default_input_device().filter(|device| !is_monitor(device)),
            None => self.host.default_output_device(),
        };
        found.ok_or(Trouble::Missing)
    }
}

/// What a microphone gives by itself.
#[derive(Clone, Copy)]
struct NativeInput {
    channels: u16,
    rate: u32,
    format: SampleFormat,
}

/// Asked for anything else, some systems refuse (WASAPI), and some change it for every program (Core
/// Audio).
fn native_input(device: &cpal::Device) -> NativeInput {
    match device.default_input_config() {
        Ok(config) => NativeInput {
            channels: config.channels().max(1),
            rate: config.sample_rate(),
            // PulseAudio converts; its own formats are many.
            format: if cfg!(target_os = "linux") { SampleFormat::F32 } else { config.sample_format() },
        },
        Err(error) => {
            tracing::debug!(%error, "the microphone does not say what it gives");
            NativeInput { channels: 1, rate: SAMPLE_RATE, format: SampleFormat::F32 }
        }
    }
}

/// Samples as numbers in ±1; none of a format that no microphone has.
fn to_floats(data: &cpal::Data, floats: &mut Vec<f32>) {
    fn convert<T: cpal::SizedSample + Copy>(data: &cpal::Data, floats: &mut Vec<f32>)
    where
        f32: FromSample<T>,
    {
        floats
            .extend(data.as_slice::<T>().unwrap_or_default().iter().map(|sample| f32::from_sample(*sample)));
    }
    floats.clear();
    match data.sample_format() {
        SampleFormat::F32 => floats.extend_from_slice(data.as_slice::<f32>().unwrap_or_default()),
        SampleFormat::I16 => convert::<i16>(data, floats),
        SampleFormat::I32 => convert::<i32>(data, floats),
        SampleFormat::U16 => convert::<u16>(data, floats),
        SampleFormat::U8 => convert::<u8>(data, floats),
        SampleFormat::I8 => convert::<i8>(data, floats),
        SampleFormat::F64 => convert::<f64>(data, floats),
        _ => {}
    }
}

/// Whether a "microphone" only gives back what a speaker plays.
fn is_monitor(device: &cpal::Device) -> bool {
    device.id().is_ok_and(|id| id.id().ends_with(".monitor"))
}

fn list(devices: Vec<cpal::Device>, default: Option<cpal::Device>) -> Vec<Device> {
    let default = default.and_then(|device| device.id().ok());
    devices
        .into_iter()
        .filter(|device| !is_monitor(device))
        .filter_map(|device| {
            let id = device.id().ok()?;
            let name = device.description().ok()?.name().to_owned();
            Some(Device { is_default: Some(&id) == default.as_ref(), id: id.to_string(), name })
        })
        .collect()
}

impl From<cpal::Error> for Trouble {
    fn from(error: cpal::Error) -> Self {
        match error.kind() {
            ErrorKind::DeviceNotAvailable | ErrorKind::HostUnavailable | ErrorKind::StreamInvalidated => {
                Self::Missing
            }
            ErrorKind::DeviceBusy => Self::Busy,
            ErrorKind::PermissionDenied => Self::Denied,
            _ => Self::Other(error.to_string()),
        }
    }
}

/// Which of the system's choices a stream follows.
#[derive(Clone, Copy)]
enum Kind {
    Microphone,
    Speaker,
}

impl Kind {
    fn default_of(self, host: &Host) -> Option<DeviceId> {
        match self {
            Self::Microphone => host.default_input_device().filter(|device| !is_monitor(device)),
            Self::Speaker => host.default_output_device(),
        }
        .and_then(|device| device.id().ok())
    }
}

/// Set by a stream's callbacks, which may not do more.
#[derive(Clone, Default)]
struct Failed {
    failed: Arc<AtomicBool>,
    /// The system's choice is another device now.
    moved: Arc<AtomicBool>,
}

impl Failed {
    fn note(&self, error: &cpal::Error) {
        // Dropouts and the like: the stream goes on.
        if !matches!(error.kind(), ErrorKind::Xrun | ErrorKind::RealtimeDenied | ErrorKind::DeviceChanged) {
            tracing::warn!(%error, "a sound stream failed");
            self.failed.store(true, Ordering::Relaxed);
        }
    }
}

/// What the system's sound gave us. Closes when dropped.
enum OpenStream {
    Cpal(#[expect(dead_code, reason = "held, for it closes when dropped")] Stream),
    #[cfg(target_os = "linux")]
    Pulse(pulseaudio::PlaybackStream),
}

impl OpenStream {
    /// Whether it ended by itself and has no way to tell.
    fn has_ended(&self) -> bool {
        match self {
            Self::Cpal(_) => false,
            #[cfg(target_os = "linux")]
            Self::Pulse(stream) => pulse::has_ended(stream),
        }
    }
}

/// An open microphone or speaker. Closes when dropped.
pub struct SoundStream {
    failed: Failed,
    stop: Option<mpsc::SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl SoundStream {
    fn open(
        host: Arc<Host>,
        device: cpal::Device,
        follows: Option<Kind>,
        build: impl FnOnce(&cpal::Device, Failed) -> Result<OpenStream, Trouble> + Send + 'static,
    ) -> Result<Self, Trouble> {
        let failed = Failed::default();
        let (stop, stopped) = mpsc::sync_channel::<()>(1);
        let (ready, opened) = mpsc::sync_channel(1);
        let note = failed.clone();
        let thread = std::thread::Builder::new()
            .name("sound".into())
            .spawn(move || {
                let id = device.id().ok();
                let stream = match build(&device, note.clone()) {
                    Ok(stream) => stream,
                    Err(trouble) => {
                        // Whoever opens may have given up waiting.
                        let _ = ready.send(Err(trouble));
                        return;
                    }
                };
                if ready.send(Ok(())).is_err() {
                    return;
                }
                while let Err(mpsc::RecvTimeoutError::Timeout) = stopped.recv_timeout(LOOK_EVERY) {
                    let Some(id) = &id else { continue };
                    if host.device_by_id(id).is_none() || stream.has_ended() {
                        note.failed.store(true, Ordering::Relaxed);
                        break;
                    }
                    // No system but one tells of it (cpal 0.18).
                    let chosen = follows.and_then(|kind| kind.default_of(&host));
                    if chosen.is_some_and(|chosen| chosen != *id) {
                        note.moved.store(true, Ordering::Relaxed);
                    }
                }
                drop(stream);
            })
            .map_err(|error| Trouble::Other(error.to_string()))?;
        match opened.recv_timeout(OPEN_WITHIN) {
            Ok(Ok(())) => Ok(Self { failed, stop: Some(stop), thread: Some(thread) }),
            Ok(Err(trouble)) => {
                let _ = thread.join();
                Err(trouble)
            }
            // It blocks inside the system; it ends by itself when that lets go of it.
            Err(_) => Err(Trouble::Busy),
        }
    }

    /// Whether it stopped working, as when it was unplugged.
    pub fn has_failed(&self) -> bool {
        self.failed.failed.load(Ordering::Relaxed)
    }

    /// Whether the system's choice, which it follows, is another device now.
    pub fn has_moved(&self) -> bool {
        self.failed.moved.load(Ordering::Relaxed)
    }
}

impl Drop for SoundStream {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a sound thread panicked");
        }
    }
}
