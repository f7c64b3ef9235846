//! The sound of a call: microphone → processing → Opus → network, network → jitter buffer →
//! speaker, on one thread, so that the echo canceller hears exactly what is played.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    thread::{JoinHandle, Thread},
    time::{Duration, Instant},
};

use bedside_bwe::{Bitrate, ladder};
use bedside_call::{LocalAudio, Uses, share, wanted_audio};
use bedside_devices::{CaptureSink, PLAYOUT_LATENCY, PlayoutSource};
use bedside_media::{
    AudioFrame, AudioProcessor, FRAME, MediaError, Processing, SAMPLE_RATE, TrackSource, VideoSource,
    level::{SilenceWatch, meter},
};
use rtrb::{Consumer, Producer, RingBuffer};

use bedside_session::snapshot::EchoTest;

use crate::{
    Levels,
    microphone_loopback::MicrophoneLoopback,
    outgoing::Outgoing,
    remote::{ReceivePipeline, Reception},
};

/// Samples between a device and the thread: 200 ms. Hosts hand over up to 170 ms at a time when
/// a machine is busy. A full capture ring drops the newest.
const RING: usize = 9_600;
/// What the playout ring holds beyond the speaker's largest request: time to be scheduled in.
const SPARE: usize = FRAME / 2;
/// How long it waits after a fault.
const AFTER_FAULT: Duration = Duration::from_millis(100);
/// How long the thread sleeps at most; devices wake it when they give or take sound.
const NAP: Duration = Duration::from_millis(5);
/// Packets after which the encoder is told how the network is: a fifth of a second.
const LINK_EVERY: u64 = 10;
/// What the camera takes at the least, where it sends: the ladder's lowest step.
const LEAST_VIDEO: Bitrate = ladder::STEPS[0].needs;
/// More captured sound than this, in samples, waits only after the machine stalled: it is
/// dropped rather than making the call late for good.
const STALE: usize = 4_800;

/// What the thread shares with the rest.
#[derive(Default)]
pub(crate) struct Shared {
    microphone_on: AtomicBool,
    microphone_level: AtomicU32,
    speaker_level: AtomicU32,
    silent: AtomicBool,
    plays_test_sound: AtomicBool,
    /// See [`Shared::echo_test`].
    echo_test: AtomicU8,
    underrun: AtomicU64,
    overrun: AtomicU64,
    restarts: AtomicU32,
    sends_video: AtomicBool,
}

impl Shared {
    /// What the thread came too late for.
    pub(crate) fn late(&self) -> Late {
        Late {
            underrun: self.underrun.load(Ordering::Relaxed),
            overrun: self.overrun.load(Ordering::Relaxed),
        }
    }

    /// How often the thread met a fault and began anew.
    pub(crate) fn restarts(&self) -> u32 {
        self.restarts.load(Ordering::Relaxed)
    }

    pub(crate) fn levels(&self) -> Levels {
        let read = |level: &AtomicU32| f32::from_bits(level.load(Ordering::Relaxed));
        Levels { microphone: read(&self.microphone_level), speaker: read(&self.speaker_level) }
    }

    /// Whether the open microphone gives nothing at all.
    pub(crate) fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    pub(crate) fn plays_test_sound(&self) -> bool {
        self.plays_test_sound.load(Ordering::Relaxed)
    }

    /// How far the echo test is.
    pub(crate) fn echo_test(&self) -> EchoTest {
        const STAGES: [EchoTest; 4] =
            [EchoTest::Idle, EchoTest::Listening, EchoTest::Playing, EchoTest::Played];
        let stage = self.echo_test.load(Ordering::Relaxed);
        STAGES.into_iter().find(|known| *known as u8 == stage).unwrap_or_default()
    }
}

/// What the thread came too late for, in samples: for the log.
#[derive(Clone, Copy, Debug)]
#[expect(dead_code, reason = "read by Debug alone")]
pub(crate) struct Late {
    /// The speaker asked for them and they were not there yet.
    underrun: u64,
    /// The microphone gave them and nobody had room.
    overrun: u64,
}

/// A call's two directions.
#[derive(Clone)]
pub(crate) struct CallAudio {
    pub(crate) outgoing: Arc<dyn Outgoing>,
    pub(crate) remote: Arc<ReceivePipeline>,
    pub(crate) reception: Arc<Reception>,
}

enum AudioCommand {
    Capture(Option<Consumer<f32>>),
    Playout(Option<(Producer<f32>, Arc<AtomicUsize>)>),
    Call(Option<CallAudio>),
    /// For tests: the thread meets a fault.
    #[cfg(test)]
    Fail,
    TestSound,
    /// Begin the echo test, or end it.
    EchoTest(bool),
    Stop,
}

/// The thread's handle.
pub(crate) struct Audio {
    pub(crate) shared: Arc<Shared>,
    commands: mpsc::Sender<AudioCommand>,
    thread: Option<JoinHandle<()>>,
}

/// Takes the microphone's callback.
pub(crate) struct Captured {
    ring: Producer<f32>,
    shared: Arc<Shared>,
    wake: Thread,
}

impl CaptureSink for Captured {
    fn captured(&mut self, samples: &[f32]) {
        let room = self.ring.slots().min(samples.len());
        self.shared.overrun.fetch_add((samples.len() - room) as u64, Ordering::Relaxed);
        // What does not fit is lost; the thread has not run for 200 ms then.
        if let Ok(chunk) = self.ring.write_chunk_uninit(room) {
            chunk.fill_from_iter(samples.iter().copied());
        }
        self.wake.unpark();
    }
}

/// Fills the speaker's callback.
pub(crate) struct Playing {
    ring: Consumer<f32>,
    /// The most that was asked for at once since the thread last looked.
    requested: Arc<AtomicUsize>,
    shared: Arc<Shared>,
    wake: Thread,
}

impl PlayoutSource for Playing {
    fn play(&mut self, samples: &mut [f32]) {
        self.requested.fetch_max(samples.len(), Ordering::Relaxed);
        let there = self.ring.slots().min(samples.len());
        self.shared.underrun.fetch_add((samples.len() - there) as u64, Ordering::Relaxed);
        samples.fill(0.0);
        if let Ok(chunk) = self.ring.read_chunk(there) {
            for (out, sample) in samples.iter_mut().zip(chunk) {
                *out = sample;
            }
        }
        self.wake.unpark();
    }
}

/// Why there is no audio thread.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AudioError {
    /// No codec.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// The system gives no thread: nothing else will work either.
    #[error("there is no thread for the sound: {0}")]
    Thread(std::io::Error),
}

impl Audio {
    /// Starts the thread, with no devices and no call.
    pub(crate) fn start() -> Result<Self, AudioError> {
        Self::start_with(Arc::default())
    }

    /// The same in place of one that has ended.
    pub(crate) fn start_again(&self) -> Result<Self, AudioError> {
        self.shared.restarts.fetch_add(1, Ordering::Relaxed);
        Self::start_with(self.shared.clone())
    }

    fn start_with(shared: Arc<Shared>) -> Result<Self, AudioError> {
        let (commands, queue) = mpsc::channel();
        let mut engine = Engine {
            shared: shared.clone(),
            capture: None,
            is_capture_new: false,
            playout: None,
            call: None,
            processing: Processing::new(),
            local: LocalAudio::new(rand::random())?,
            silence: SilenceWatch::default(),
            test_sound: None,
            loopback: MicrophoneLoopback::default(),
            packets: 0,
        };
        let thread =
            std::thread::Builder::new().name("audio".into()).spawn(move || engine.keep_running(&queue));
        let thread = thread.map_err(AudioError::Thread)?;
        Ok(Self { shared, commands, thread: Some(thread) })
    }

    fn command(&self, command: AudioCommand) {
        // It ends only with `stop`.
        if self.commands.send(command).is_ok()
            && let Some(thread) = &self.thread
        {
            thread.thread().unpark();
        }
    }

    fn wake(&self) -> Thread {
        self.thread.as_ref().map_or_else(std::thread::current, |thread| thread.thread().clone())
    }

    /// A fresh end for a microphone to write to; the one before is let go of.
    pub(crate) fn capture(&self) -> Captured {
        let (ring, consumer) = RingBuffer::new(RING);
        self.command(AudioCommand::Capture(Some(consumer)));
        Captured { ring, shared: self.shared.clone(), wake: self.wake() }
    }

    /// No microphone.
    pub(crate) fn no_capture(&self) {
        self.command(AudioCommand::Capture(None));
    }

    /// A fresh end for a speaker to read from; the one before is let go of.
    pub(crate) fn playout(&self) -> Playing {
        let (producer, ring) = RingBuffer::new(RING);
        let requested = Arc::new(AtomicUsize::new(0));
        self.command(AudioCommand::Playout(Some((producer, requested.clone()))));
        Playing { ring, requested, shared: self.shared.clone(), wake: self.wake() }
    }

    /// No speaker.
    pub(crate) fn no_playout(&self) {
        self.command(AudioCommand::Playout(None));
    }

    /// Connects to a call, or to none.
    pub(crate) fn set_call(&self, call: Option<CallAudio>) {
        self.command(AudioCommand::Call(call));
    }

    pub(crate) fn set_microphone_on(&self, on: bool) {
        self.shared.microphone_on.store(on, Ordering::Relaxed);
    }

    /// Whether a camera's picture is sent beside it, which the network is shared with.
    pub(crate) fn set_sends_video(&self, sends: bool) {
        self.shared.sends_video.store(sends, Ordering::Relaxed);
    }

    /// Whether the thread has ended without being told to.
    pub(crate) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_some_and(JoinHandle::is_finished)
    }

    pub(crate) fn play_test_sound(&self) {
        self.command(AudioCommand::TestSound);
    }

    /// Records a few seconds and plays them back; or ends that.
    pub(crate) fn test_echo(&self, begin: bool) {
        self.command(AudioCommand::EchoTest(begin));
    }

    /// Ends the thread.
    pub(crate) fn stop(mut self) {
        self.command(AudioCommand::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the audio thread panicked");
        }
    }
}

/// The way to the speaker.
struct Playout {
    ring: Producer<f32>,
    requested: Arc<AtomicUsize>,
    /// The speaker's largest request: of the ten seconds before, and of these. One that came after a
    /// machine stood still must not keep the call late for good.
    largest: [usize; 2],
    frames: u32,
    /// The speaker has not asked for anything yet.
    is_new: bool,
}

impl Playout {
    /// Frames of 10 ms after which a request is forgotten, at the latest twice.
    const REMEMBERED: u32 = 1_000;

    /// Whether less waits than the speaker may ask for at once.
    fn wants_more(&mut self) -> bool {
        if self.frames >= Self::REMEMBERED {
            self.largest = [self.largest[1], 0];
            self.frames = 0;
        }
        self.largest[1] = self.largest[1].max(self.requested.swap(0, Ordering::Relaxed));
        let requested = self.largest[0].max(self.largest[1]).max(FRAME) + SPARE;
        RING - self.ring.slots() < requested && self.ring.slots() >= FRAME
    }
}

struct Engine {
    shared: Arc<Shared>,
    capture: Option<Consumer<f32>>,
    /// The microphone has given nothing yet.
    is_capture_new: bool,
    playout: Option<Playout>,
    call: Option<CallAudio>,
    processing: Processing,
    local: LocalAudio,
    silence: SilenceWatch,
    /// Samples of the test sound played so far.
    test_sound: Option<usize>,
    loopback: MicrophoneLoopback,
    packets: u64,
}

impl Engine {
    /// Runs until it is told to stop; a fault in it costs a moment of sound, not the thread.
    fn keep_running(&mut self, commands: &mpsc::Receiver<AudioCommand>) {
        let granted = bedside_devices::run_before_others();
        tracing::debug!(granted, "real-time scheduling for sound");
        while catch_unwind(AssertUnwindSafe(|| self.run(commands))).is_err() {
            tracing::error!("the audio thread met a fault, and begins anew");
            if let Err(error) = self.restart() {
                // Without a codec there is nothing to go on with; whoever looks sees a thread that ended.
                return tracing::error!(%error, "the audio thread can't go on");
            }
            // A fault that comes again at once must not take a core, before everything else.
            std::thread::park_timeout(AFTER_FAULT);
        }
    }

    /// Whatever was being worked on may be broken: all of it is made anew but the devices' ends.
    fn restart(&mut self) -> Result<(), MediaError> {
        self.shared.restarts.fetch_add(1, Ordering::Relaxed);
        self.processing = Processing::new();
        self.local = LocalAudio::new(rand::random())?;
        self.silence = SilenceWatch::default();
        self.test_sound = None;
        self.set_loopback(MicrophoneLoopback::default());
        self.call.as_ref().map_or(Ok(()), |call| call.remote.restart_audio())
    }

    fn run(&mut self, commands: &mpsc::Receiver<AudioCommand>) {
        loop {
            loop {
                match commands.try_recv() {
                    Ok(AudioCommand::Stop) | Err(mpsc::TryRecvError::Disconnected) => return,
                    #[cfg(test)]
                    Ok(AudioCommand::Fail) => panic!("a fault, for a test"),
                    Ok(command) => self.on_command(command),
                    Err(mpsc::TryRecvError::Empty) => break,
                }
            }
            self.play();
            self.record();
            if self.capture.is_none() && self.playout.is_none() {
                std::thread::park(); // Every command wakes it.
            } else {
                std::thread::park_timeout(NAP);
            }
        }
    }

    fn on_command(&mut self, command: AudioCommand) {
        match command {
            AudioCommand::Capture(ring) => {
                self.capture = ring;
                self.silence = SilenceWatch::default();
                self.shared.silent.store(false, Ordering::Relaxed);
                set(&self.shared.microphone_level, 0.0);
                self.is_capture_new = true;
            }
            AudioCommand::Playout(ring) => {
                self.playout = ring.map(|(ring, requested)| Playout {
                    ring,
                    requested,
                    largest: [0; 2],
                    frames: 0,
                    is_new: true,
                });
                set(&self.shared.speaker_level, 0.0);
            }
            AudioCommand::Call(call) => {
                self.call = call;
                self.set_loopback(MicrophoneLoopback::default()); // Nobody's own voice comes back in a call.
            }
            AudioCommand::TestSound => self.test_sound = Some(0),
            AudioCommand::EchoTest(begin) => {
                self.set_loopback(if begin {
                    MicrophoneLoopback::begin()
                } else {
                    MicrophoneLoopback::default()
                });
            }
            #[cfg(test)]
            AudioCommand::Fail => {}
            AudioCommand::Stop => {}
        }
    }

    fn set_loopback(&mut self, loopback: MicrophoneLoopback) {
        self.shared.echo_test.store(loopback.stage() as u8, Ordering::Relaxed);
        self.loopback = loopback;
    }

    fn play(&mut self) {
        // Another speaker: the echo takes another way. One that is only tried again and again, and never
        // opens, changes nothing for the microphone.
        if let Some(playout) = self.playout.as_mut().filter(|playout| playout.is_new)
            && playout.requested.load(Ordering::Relaxed) > 0
        {
            playout.is_new = false;
            self.processing.reset();
        }
        while self.playout.as_mut().is_some_and(Playout::wants_more) {
            let waiting = self.playout.as_ref().map_or(0, |playout| RING - playout.ring.slots());
            let frame = self.next_frame(lasts(waiting) + PLAYOUT_LATENCY);
            set(&self.shared.speaker_level, meter(&frame));
            self.processing.render(&frame);
            let Some(playout) = &mut self.playout else { return };
            let Ok(chunk) = playout.ring.write_chunk_uninit(FRAME) else { return };
            chunk.fill_from_iter(frame);
            playout.frames += 1;
        }
    }

    /// The next 10 ms, which are heard in `heard_in`.
    fn next_frame(&mut self, heard_in: Duration) -> AudioFrame {
        let mut frame = [0.0; FRAME];
        if let Some(call) = &self.call {
            match call.remote.pull_audio(heard_in) {
                Ok(pulled) => frame = pulled,
                Err(error) => tracing::warn!(%error, "sound was not decoded"),
            }
        }
        if let Some(played) = self.test_sound {
            for (n, sample) in frame.iter_mut().enumerate() {
                *sample += chime(played + n);
            }
            self.test_sound = Some(played + FRAME).filter(|played| *played < CHIME);
        }
        if self.loopback.play(&mut frame) {
            self.shared.echo_test.store(self.loopback.stage() as u8, Ordering::Relaxed);
        }
        self.shared.plays_test_sound.store(self.test_sound.is_some(), Ordering::Relaxed);
        frame
    }

    fn record(&mut self) {
        while let Some(ring) = &mut self.capture {
            if ring.slots() > STALE
                && let Ok(stale) = ring.read_chunk(ring.slots() - FRAME)
            {
                stale.commit_all();
            }
            let mut frame = [0.0; FRAME];
            let Ok(chunk) = ring.read_chunk(FRAME) else { return };
            for (to, from) in frame.iter_mut().zip(chunk) {
                *to = from;
            }
            if std::mem::take(&mut self.is_capture_new) {
                self.processing.reset();
            }
            self.shared.silent.store(self.silence.push(&frame), Ordering::Relaxed);
            self.processing.capture(&mut frame);
            set(&self.shared.microphone_level, meter(&frame));
            if self.loopback.record(&frame) {
                self.shared.echo_test.store(self.loopback.stage() as u8, Ordering::Relaxed);
            }
            if !self.shared.microphone_on.load(Ordering::Relaxed) {
                frame = [0.0; FRAME];
            }
            // What waits behind it was captured after it.
            let newer = self.capture.as_ref().map_or(0, Consumer::slots);
            let now = Instant::now();
            self.send(&frame, now.checked_sub(lasts(newer)).unwrap_or(now));
        }
    }

    fn send(&mut self, frame: &AudioFrame, captured: Instant) {
        let encoded = match self.local.capture(frame, captured) {
            Ok(Some(encoded)) => encoded,
            Ok(None) => return,
            Err(error) => return tracing::warn!(%error, "audio was not encoded"),
        };
        let Some(call) = self.call.as_ref().filter(|call| call.outgoing.is_connected()) else { return };
        self.packets += 1;
        if self.packets.is_multiple_of(LINK_EVERY) {
            let link = call.outgoing.link();
            call.outgoing.set_wanted(TrackSource::Microphone, wanted_audio(&link));
            // What camera and screen leave; where they send nothing, all.
            let least_camera = self.shared.sends_video.load(Ordering::Relaxed).then_some(LEAST_VIDEO);
            let screen = call.outgoing.wanted(TrackSource::Video(VideoSource::Screen));
            let rate = share(&link, Uses { least_camera, screen }).audio;
            if let Err(error) = self.local.set_link(rate, call.reception.audio_loss()) {
                tracing::warn!(%error, "the encoder did not take the rate");
            }
        }
        call.outgoing.audio(encoded);
    }
}

/// How long so many samples last.
fn lasts(samples: usize) -> Duration {
    Duration::from_micros(samples as u64 * 1_000_000 / u64::from(SAMPLE_RATE))
}

fn set(level: &AtomicU32, value: f32) {
    level.store(value.to_bits(), Ordering::Relaxed);
}

/// Samples of the test sound: 1.2 s.
const CHIME: usize = SAMPLE_RATE as usize * 12 / 10;

/// Three rising notes that fade, soft enough for headphones.
fn chime(sample: usize) -> f32 {
    let note = SAMPLE_RATE as usize * 4 / 10;
    let (which, at) = (sample / note, sample % note);
    let hz = [523.25, 659.25, 783.99][which.min(2)];
    let t = at as f32 / SAMPLE_RATE as f32;
    let attack = (t / 0.01).min(1.0);
    0.22 * attack * (-5.0 * t).exp() * (t * hz * std::f32::consts::TAU).sin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_in_mid_call_is_noticed_and_the_thread_plays_on() {
        let audio = Audio::start().unwrap();
        let mut playing = audio.playout();
        let mut hears = |audio: &Audio| {
            audio.play_test_sound();
            let mut samples = [0.0; FRAME];
            let began = Instant::now();
            while began.elapsed() < Duration::from_secs(5) {
                playing.play(&mut samples);
                if samples.iter().any(|sample| sample.abs() > 0.05) {
                    return true;
                }
                std::thread::yield_now();
            }
            false
        };
        assert!(hears(&audio));
        for fault in 1..=2 {
            audio.command(AudioCommand::Fail);
            let began = Instant::now();
            while audio.shared.restarts() < fault {
                assert!(began.elapsed() < Duration::from_secs(1), "noticed within a second");
                std::thread::yield_now();
            }
            assert!(hears(&audio) && !audio.has_ended(), "after fault {fault}");
        }
        audio.stop();
    }
}
