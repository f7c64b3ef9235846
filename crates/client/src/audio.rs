//! The sound of a call: microphone → processing → Opus → network, network → jitter buffer →
//! speaker, on one thread, so that the echo canceller hears exactly what is played.

use std::{
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    thread::{JoinHandle, Thread},
    time::Duration,
};

use bedside_devices::{CaptureSink, PlayoutSource};
use bedside_media::{
    AudioFrame, AudioProcessor, FRAME, MediaError, Processing, SAMPLE_RATE,
    level::{SilenceWatch, meter},
    opus::{PACKET_SAMPLES, VoiceEncoder},
};
use bedside_rtc::{AudioPacket, MediaSender};
use rtrb::{Consumer, Producer, RingBuffer};

use bedside_session::snapshot::EchoTest;

use crate::{Levels, echo::Echo, remote::Remote};

/// Samples between a device and the thread: 200 ms. Hosts hand over up to 170 ms at a time when
/// a machine is busy. A full capture ring drops the newest.
const RING: usize = 9_600;
/// What the playout ring holds beyond the speaker's largest wish: time to be scheduled in.
const SPARE: usize = FRAME / 2;
/// How long the thread sleeps at most; devices wake it when they give or take sound.
const NAP: Duration = Duration::from_millis(5);
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
    ran_dry: AtomicU64,
    overran: AtomicU64,
}

impl Shared {
    /// Samples that the speaker asked for and were not there yet, and samples that the
    /// microphone gave and nobody had room for: the thread came too late.
    pub(crate) fn late(&self) -> (u64, u64) {
        (self.ran_dry.load(Ordering::Relaxed), self.overran.load(Ordering::Relaxed))
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

enum Order {
    Capture(Option<Consumer<f32>>),
    Playout(Option<(Producer<f32>, Arc<AtomicUsize>)>),
    Call(Option<(MediaSender, Arc<Remote>)>),
    TestSound,
    /// Begin the echo test, or end it.
    EchoTest(bool),
    Stop,
}

/// The thread's handle.
pub(crate) struct Audio {
    pub(crate) shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
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
        self.shared.overran.fetch_add((samples.len() - room) as u64, Ordering::Relaxed);
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
    wish: Arc<AtomicUsize>,
    shared: Arc<Shared>,
    wake: Thread,
}

impl PlayoutSource for Playing {
    fn play(&mut self, samples: &mut [f32]) {
        self.wish.fetch_max(samples.len(), Ordering::Relaxed);
        let there = self.ring.slots().min(samples.len());
        self.shared.ran_dry.fetch_add((samples.len() - there) as u64, Ordering::Relaxed);
        samples.fill(0.0);
        if let Ok(chunk) = self.ring.read_chunk(there) {
            for (out, sample) in samples.iter_mut().zip(chunk) {
                *out = sample;
            }
        }
        self.wake.unpark();
    }
}

impl Audio {
    /// Starts the thread, with no devices and no call.
    pub(crate) fn start() -> Result<Self, MediaError> {
        let shared = Arc::new(Shared::default());
        let (orders, queue) = mpsc::channel();
        let mut engine = Engine {
            shared: shared.clone(),
            capture: None,
            playout: None,
            call: None,
            processing: Processing::new(),
            encoder: VoiceEncoder::new()?,
            packet: Vec::with_capacity(PACKET_SAMPLES),
            timestamp: 0,
            silence: SilenceWatch::default(),
            test_sound: None,
            echo: Echo::default(),
            packets: 0,
        };
        let thread = std::thread::Builder::new().name("audio".into()).spawn(move || engine.run(&queue));
        // No thread at all: nothing else will work either.
        let thread = thread.map_err(|_| MediaError::Incomplete)?;
        Ok(Self { shared, orders, thread: Some(thread) })
    }

    fn order(&self, order: Order) {
        // It ends only with `stop`.
        if self.orders.send(order).is_ok()
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
        self.order(Order::Capture(Some(consumer)));
        Captured { ring, shared: self.shared.clone(), wake: self.wake() }
    }

    /// No microphone.
    pub(crate) fn no_capture(&self) {
        self.order(Order::Capture(None));
    }

    /// A fresh end for a speaker to read from; the one before is let go of.
    pub(crate) fn playout(&self) -> Playing {
        let (producer, ring) = RingBuffer::new(RING);
        let wish = Arc::new(AtomicUsize::new(FRAME));
        self.order(Order::Playout(Some((producer, wish.clone()))));
        Playing { ring, wish, shared: self.shared.clone(), wake: self.wake() }
    }

    /// No speaker.
    pub(crate) fn no_playout(&self) {
        self.order(Order::Playout(None));
    }

    /// Connects to a call, or to none.
    pub(crate) fn set_call(&self, call: Option<(MediaSender, Arc<Remote>)>) {
        self.order(Order::Call(call));
    }

    pub(crate) fn set_microphone_on(&self, on: bool) {
        self.shared.microphone_on.store(on, Ordering::Relaxed);
    }

    pub(crate) fn play_test_sound(&self) {
        self.order(Order::TestSound);
    }

    /// Records a few seconds and plays them back; or ends that.
    pub(crate) fn test_echo(&self, begin: bool) {
        self.order(Order::EchoTest(begin));
    }

    /// Ends the thread.
    pub(crate) fn stop(mut self) {
        self.order(Order::Stop);
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
    wish: Arc<AtomicUsize>,
    /// The speaker's largest wish: of the ten seconds before, and of these. One that came after a
    /// machine stood still must not keep the call late for good.
    largest: [usize; 2],
    frames: u32,
}

impl Playout {
    /// Frames of 10 ms after which a wish is forgotten, at the latest twice.
    const REMEMBERED: u32 = 1_000;

    /// Whether less waits than the speaker may ask for at once.
    fn wants_more(&mut self) -> bool {
        if self.frames >= Self::REMEMBERED {
            self.largest = [self.largest[1], 0];
            self.frames = 0;
        }
        self.largest[1] = self.largest[1].max(self.wish.swap(0, Ordering::Relaxed));
        let wish = self.largest[0].max(self.largest[1]).max(FRAME) + SPARE;
        RING - self.ring.slots() < wish && self.ring.slots() >= FRAME
    }
}

struct Engine {
    shared: Arc<Shared>,
    capture: Option<Consumer<f32>>,
    playout: Option<Playout>,
    call: Option<(MediaSender, Arc<Remote>)>,
    processing: Processing,
    encoder: VoiceEncoder,
    packet: Vec<f32>,
    timestamp: u32,
    silence: SilenceWatch,
    /// Samples of the test sound played so far.
    test_sound: Option<usize>,
    echo: Echo,
    packets: u64,
}

impl Engine {
    fn run(&mut self, orders: &mpsc::Receiver<Order>) {
        let granted = bedside_devices::run_before_others();
        tracing::debug!(granted, "real-time scheduling for sound");
        loop {
            loop {
                match orders.try_recv() {
                    Ok(Order::Stop) | Err(mpsc::TryRecvError::Disconnected) => return,
                    Ok(order) => self.obey(order),
                    Err(mpsc::TryRecvError::Empty) => break,
                }
            }
            self.play();
            self.record();
            std::thread::park_timeout(NAP);
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Capture(ring) => {
                self.capture = ring;
                self.silence = SilenceWatch::default();
                self.shared.silent.store(false, Ordering::Relaxed);
                set(&self.shared.microphone_level, 0.0);
                // Another microphone: the echo takes another way.
                self.processing.reset();
            }
            Order::Playout(ring) => {
                self.playout = ring.map(|(ring, wish)| Playout { ring, wish, largest: [0; 2], frames: 0 });
                set(&self.shared.speaker_level, 0.0);
                self.processing.reset();
            }
            Order::Call(call) => {
                self.call = call;
                self.set_echo(Echo::default()); // Nobody's own voice comes back in a call.
            }
            Order::TestSound => self.test_sound = Some(0),
            Order::EchoTest(begin) => {
                self.set_echo(if begin { Echo::begin() } else { Echo::default() });
            }
            Order::Stop => {}
        }
    }

    fn set_echo(&mut self, echo: Echo) {
        self.shared.echo_test.store(echo.stage() as u8, Ordering::Relaxed);
        self.echo = echo;
    }

    fn play(&mut self) {
        while self.playout.as_mut().is_some_and(Playout::wants_more) {
            let frame = self.next_frame();
            set(&self.shared.speaker_level, meter(&frame));
            self.processing.render(&frame);
            let Some(playout) = &mut self.playout else { return };
            let Ok(chunk) = playout.ring.write_chunk_uninit(FRAME) else { return };
            chunk.fill_from_iter(frame);
            playout.frames += 1;
        }
    }

    fn next_frame(&mut self) -> AudioFrame {
        let mut frame = [0.0; FRAME];
        if let Some((_, remote)) = &self.call {
            let pulled = remote.jitter.lock().unwrap_or_else(PoisonError::into_inner).pull();
            match pulled {
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
        if self.echo.play(&mut frame) {
            self.shared.echo_test.store(self.echo.stage() as u8, Ordering::Relaxed);
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
            self.shared.silent.store(self.silence.push(&frame), Ordering::Relaxed);
            self.processing.capture(&mut frame);
            set(&self.shared.microphone_level, meter(&frame));
            if self.echo.record(&frame) {
                self.shared.echo_test.store(self.echo.stage() as u8, Ordering::Relaxed);
            }
            if !self.shared.microphone_on.load(Ordering::Relaxed) {
                frame = [0.0; FRAME];
            }
            self.send(&frame);
        }
    }

    fn send(&mut self, frame: &AudioFrame) {
        self.packet.extend_from_slice(frame);
        if self.packet.len() < PACKET_SAMPLES {
            return;
        }
        if let Some((sender, remote)) = self.call.as_ref().filter(|(sender, _)| sender.is_connected()) {
            self.packets += 1;
            // Reports come about once a second.
            if self.packets.is_multiple_of(50)
                && let Err(error) = self.encoder.set_loss(remote.audio_loss())
            {
                tracing::warn!(%error, "the encoder did not take the loss");
            }
            match self.encoder.encode(&self.packet) {
                Ok(data) => {
                    sender.audio(AudioPacket { timestamp: self.timestamp, data: data.to_vec().into() });
                }
                Err(error) => tracing::warn!(%error, "sound was not encoded"),
            }
        }
        self.timestamp = self.timestamp.wrapping_add(PACKET_SAMPLES as u32);
        self.packet.clear();
    }
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
