//! Camera, microphone, speaker: opening, choosing, losing and finding them again.

use std::time::{Duration, Instant};

use bedside_devices::{Device, SoundStream, Trouble, cameras};
use bedside_protocol::{ConsultationMode, DeviceCheck};
use bedside_session::snapshot::{DeviceChoice, DeviceState, DeviceTrouble, Devices, UiCode, UiProblem};

use super::{App, Event};
use crate::{DeviceKind, audio::Shared, settings::Settings, video::CameraEvent};

/// How often it is looked whether a device came back or failed.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What the devices tell of.
pub(crate) enum DeviceEvent {
    Listed { microphones: Vec<Device>, speakers: Vec<Device>, cameras: Vec<Device> },
    Microphone(u32, Result<SoundStream, Trouble>),
    Speaker(u32, Result<SoundStream, Trouble>),
}

/// The devices as the actor knows them.
pub(super) struct DevicesState {
    pub(super) microphone: DeviceState,
    pub(super) speaker: DeviceState,
    pub(super) camera: DeviceState,
    pub(super) test_sound_heard: Option<bool>,
    microphone_stream: Option<SoundStream>,
    speaker_stream: Option<SoundStream>,
    /// Count the openings of each, so that one that took too long is recognised as stale.
    microphone_opening: u32,
    speaker_opening: u32,
    wanted: bool,
    /// A visit by sound or in writing has no use for a camera, and lights none.
    wants_camera: bool,
    looked_at: Instant,
    /// Faults of the audio thread that were told of.
    audio_restarts: u32,
}

impl DevicesState {
    pub(super) fn new(settings: &Settings) -> Self {
        let state = |chosen: &Option<String>| DeviceState {
            chosen: chosen.clone(),
            on: true,
            ..DeviceState::default()
        };
        Self {
            microphone: state(&settings.microphone),
            speaker: state(&settings.speaker),
            camera: state(&settings.camera),
            test_sound_heard: None,
            microphone_stream: None,
            speaker_stream: None,
            microphone_opening: 0,
            speaker_opening: 0,
            wanted: false,
            wants_camera: false,
            looked_at: Instant::now(),
            audio_restarts: 0,
        }
    }

    /// What works, for the doctor to know before calling somebody in.
    pub(super) fn check(&self) -> DeviceCheck {
        DeviceCheck {
            camera: self.camera.works,
            microphone: self.microphone.works,
            speaker: self.speaker.works,
        }
    }

    pub(super) fn snapshot(&self, audio: &Shared) -> Devices {
        Devices {
            microphone: self.microphone.clone(),
            speaker: self.speaker.clone(),
            camera: self.camera.clone(),
            microphone_is_silent: audio.is_silent(),
            test_sound_plays: audio.plays_test_sound(),
            test_sound_heard: self.test_sound_heard,
            echo_test: audio.echo_test(),
        }
    }
}

/// Takes what opening a device came to: what is wrong is shown, and written down for support.
fn note_opened(state: &mut DeviceState, kind: DeviceKind, opened: Result<(), &Trouble>) {
    let trouble = opened.err().map(|why| match why {
        Trouble::Missing => DeviceTrouble::Missing,
        Trouble::Busy => DeviceTrouble::Busy,
        Trouble::Denied => DeviceTrouble::Denied,
        Trouble::Unsupported | Trouble::Other(_) => DeviceTrouble::Failed,
    });
    if let Err(why) = opened
        && (state.trouble != trouble || state.works)
    {
        // Once: it is tried again every second.
        tracing::warn!(?kind, %why, "a device does not work");
    }
    state.system_words = match opened {
        Err(Trouble::Other(words)) => Some(words.clone()),
        _ => None,
    };
    (state.opening, state.works, state.trouble) = (false, opened.is_ok(), trouble);
}

fn choices(devices: Vec<Device>) -> Vec<DeviceChoice> {
    devices.into_iter().map(|device| DeviceChoice { id: device.id, name: device.name }).collect()
}

/// The chosen device while it is there, the system's choice otherwise.
fn effective(state: &DeviceState) -> Option<String> {
    state
        .chosen
        .clone()
        .filter(|chosen| state.choices.is_empty() || state.choices.iter().any(|c| c.id == *chosen))
}

impl App {
    pub(super) fn list_devices(&self) {
        if self.config.without_devices {
            return;
        }
        let sound = self.sound.clone();
        self.spawn(async move {
            let listed = tokio::task::spawn_blocking(move || DeviceEvent::Listed {
                microphones: sound.microphones(),
                speakers: sound.speakers(),
                cameras: cameras(),
            });
            Event::Device(listed.await.unwrap_or(DeviceEvent::Listed {
                microphones: vec![],
                speakers: vec![],
                cameras: vec![],
            }))
        });
    }

    /// Opens what a visit needs.
    pub(super) fn open_devices(&mut self, mode: ConsultationMode) {
        if mode == ConsultationMode::Chat {
            return; // In writing: nobody is heard or seen.
        }
        self.devices.wanted = true;
        self.devices.wants_camera = mode == ConsultationMode::Video;
        self.list_devices();
        if self.devices.microphone_stream.is_none() {
            self.open_microphone();
        }
        if self.devices.speaker_stream.is_none() {
            self.open_speaker();
        }
        self.threads.audio.set_microphone_on(self.devices.microphone.on);
        if self.devices.wants_camera && !self.devices.camera.works {
            self.set_camera(self.devices.camera.on);
        }
    }

    /// Lets go of all three: no light stays on after a visit.
    pub(super) fn close_devices(&mut self) {
        (self.devices.wanted, self.devices.wants_camera) = (false, false);
        self.devices.microphone_opening += 1;
        self.devices.speaker_opening += 1;
        self.threads.audio.no_capture();
        self.threads.audio.no_playout();
        self.threads.audio.test_echo(false);
        self.threads.video.set_camera(None, false);
        let streams = (self.devices.microphone_stream.take(), self.devices.speaker_stream.take());
        self.tasks.spawn_blocking(move || drop(streams));
        for device in [&mut self.devices.microphone, &mut self.devices.speaker, &mut self.devices.camera] {
            (device.works, device.opening, device.on) = (false, false, true);
        }
        self.devices.test_sound_heard = None;
    }

    pub(super) fn open_microphone(&mut self) {
        let old = self.devices.microphone_stream.take();
        let sink = self.threads.audio.capture();
        let (sound, id) = (self.sound.clone(), effective(&self.devices.microphone));
        self.devices.microphone_opening += 1;
        let number = self.devices.microphone_opening;
        (self.devices.microphone.opening, self.devices.microphone.works) = (true, false);
        let without = self.config.without_devices;
        self.spawn(async move {
            let opened = tokio::task::spawn_blocking(move || {
                drop(old);
                if without { Err(Trouble::Missing) } else { sound.capture(id.as_deref(), sink) }
            });
            let opened = opened.await.unwrap_or_else(|error| Err(Trouble::Other(error.to_string())));
            Event::Device(DeviceEvent::Microphone(number, opened))
        });
    }

    pub(super) fn open_speaker(&mut self) {
        if self.devices.speaker_stream.is_some() || self.devices.speaker.opening {
            return;
        }
        let source = self.threads.audio.playout();
        let (sound, id) = (self.sound.clone(), effective(&self.devices.speaker));
        self.devices.speaker_opening += 1;
        let number = self.devices.speaker_opening;
        (self.devices.speaker.opening, self.devices.speaker.works) = (true, false);
        let without = self.config.without_devices;
        self.spawn(async move {
            let opened = tokio::task::spawn_blocking(move || {
                if without { Err(Trouble::Missing) } else { sound.playout(id.as_deref(), source) }
            });
            let opened = opened.await.unwrap_or_else(|error| Err(Trouble::Other(error.to_string())));
            Event::Device(DeviceEvent::Speaker(number, opened))
        });
    }

    /// Records a few seconds and plays them back. In a call one hears the other side.
    pub(super) fn test_echo(&mut self) {
        if self.visit.as_ref().is_some_and(|visit| visit.call.is_none()) {
            self.open_speaker();
            self.threads.audio.test_echo(true);
        }
    }

    pub(super) fn set_microphone(&mut self, on: bool) {
        self.devices.microphone.on = on;
        self.threads.audio.set_microphone_on(on);
    }

    pub(super) fn set_camera(&mut self, on: bool) {
        self.devices.camera.on = on;
        let on = on && self.devices.wants_camera;
        if self.config.without_devices {
            let opened = if on { Err(&Trouble::Missing) } else { Ok(()) };
            note_opened(&mut self.devices.camera, DeviceKind::Camera, opened);
            self.devices.camera.works = false;
            return;
        }
        (self.devices.camera.opening, self.devices.camera.works) = (on, false);
        // Where the chosen one is gone no other is opened: nobody wants to be seen by a camera that they
        // did not choose.
        self.threads.video.set_camera(self.devices.camera.chosen.clone(), on);
    }

    pub(super) fn choose(&mut self, kind: DeviceKind, id: Option<String>) {
        let (state, setting) = match kind {
            DeviceKind::Microphone => (&mut self.devices.microphone, &mut self.settings.microphone),
            DeviceKind::Speaker => (&mut self.devices.speaker, &mut self.settings.speaker),
            DeviceKind::Camera => (&mut self.devices.camera, &mut self.settings.camera),
        };
        state.chosen.clone_from(&id);
        *setting = id;
        self.settings.write(&self.config.folder);
        if !self.devices.wanted {
            return;
        }
        match kind {
            DeviceKind::Microphone => self.open_microphone(),
            DeviceKind::Speaker => {
                // Nobody has heard this one yet.
                self.devices.test_sound_heard = None;
                let old = self.devices.speaker_stream.take();
                self.let_go(old);
                self.devices.speaker.opening = false;
                self.open_speaker();
            }
            DeviceKind::Camera => self.set_camera(self.devices.camera.on),
        }
    }

    pub(super) async fn on_device(&mut self, event: DeviceEvent) {
        match event {
            DeviceEvent::Listed { microphones, speakers, cameras } => {
                self.devices.microphone.choices = choices(microphones);
                self.devices.speaker.choices = choices(speakers);
                self.devices.camera.choices = choices(cameras);
            }
            DeviceEvent::Microphone(number, opened) => {
                if number != self.devices.microphone_opening {
                    return self.let_go(opened.ok()); // Another was chosen meanwhile.
                }
                let state = &mut self.devices.microphone;
                note_opened(state, DeviceKind::Microphone, opened.as_ref().map(drop));
                self.devices.microphone_stream = opened.ok();
                self.announce_media_state().await;
            }
            DeviceEvent::Speaker(number, opened) => {
                if number != self.devices.speaker_opening {
                    return self.let_go(opened.ok());
                }
                let state = &mut self.devices.speaker;
                note_opened(state, DeviceKind::Speaker, opened.as_ref().map(drop));
                self.devices.speaker_stream = opened.ok();
                self.devices.looked_at = Instant::now();
            }
        }
    }

    /// Closing a stream waits for its thread.
    fn let_go(&self, stream: Option<SoundStream>) {
        self.tasks.spawn_blocking(move || drop(stream));
    }

    pub(super) async fn on_camera(&mut self, event: CameraEvent) {
        let state = &mut self.devices.camera;
        match event {
            CameraEvent::Works => {
                note_opened(state, DeviceKind::Camera, Ok(()));
                state.works = self.devices.wanted;
            }
            CameraEvent::Off => (state.opening, state.works) = (false, false),
            CameraEvent::Trouble(why) => {
                note_opened(state, DeviceKind::Camera, Err(&why));
            }
            CameraEvent::Restarted => {
                self.problem = Some(UiProblem { code: UiCode::PictureRestarted, message: String::new() });
                return;
            }
            CameraEvent::Sending(sending) => {
                self.threads.audio.set_sends_video(sending.is_some());
                if let Some(call) = self.visit.as_mut().and_then(|visit| visit.call.as_mut()) {
                    call.sending = sending;
                }
                return;
            }
        }
        self.announce_media_state().await;
    }

    /// The audio thread has ended for good: another takes its place, in the middle of a call too.
    fn start_audio_again(&mut self) {
        let again = match self.threads.audio.start_again() {
            Ok(audio) => audio,
            Err(error) => return tracing::error!(%error, "the audio thread can't be started again"),
        };
        std::mem::replace(&mut self.threads.audio, again).stop();
        if let Some(call) = self.visit.as_ref().and_then(|visit| visit.call.as_ref()) {
            call.connect_media(&self.threads);
        }
        if self.devices.microphone_stream.is_some() {
            self.open_microphone();
        }
        if let Some(old) = self.devices.speaker_stream.take() {
            self.let_go(Some(old));
            self.devices.speaker.opening = false;
            self.open_speaker();
        }
    }

    /// Notices what failed, and tries again what came back.
    pub(super) fn tick_devices(&mut self) {
        if self.threads.audio.has_ended() {
            self.start_audio_again();
        }
        let restarts = self.threads.audio.shared.restarts();
        if restarts != self.devices.audio_restarts {
            self.devices.audio_restarts = restarts;
            self.problem = Some(UiProblem { code: UiCode::SoundRestarted, message: String::new() });
        }
        // A chime outside a visit: the speaker is let go of when it has ended.
        let idle = !self.devices.wanted && !self.threads.audio.shared.plays_test_sound();
        if idle && self.devices.speaker.works && self.devices.looked_at.elapsed() > LOOK_EVERY {
            self.close_devices();
        }
        if !self.devices.wanted || self.devices.looked_at.elapsed() < LOOK_EVERY {
            return;
        }
        self.devices.looked_at = Instant::now();
        // Whoever made no choice of their own follows the system's.
        if self.devices.microphone_stream.as_ref().is_some_and(SoundStream::has_moved) {
            self.list_devices();
            self.open_microphone();
        }
        if self.devices.speaker_stream.as_ref().is_some_and(SoundStream::has_moved) {
            self.list_devices();
            let old = self.devices.speaker_stream.take();
            self.let_go(old);
            self.open_speaker();
        }
        if self.devices.microphone_stream.as_ref().is_some_and(SoundStream::has_failed) {
            let old = self.devices.microphone_stream.take();
            self.let_go(old);
            note_opened(&mut self.devices.microphone, DeviceKind::Microphone, Err(&Trouble::Missing));
        }
        if self.devices.speaker_stream.as_ref().is_some_and(SoundStream::has_failed) {
            let old = self.devices.speaker_stream.take();
            self.let_go(old);
            note_opened(&mut self.devices.speaker, DeviceKind::Speaker, Err(&Trouble::Missing));
        }
        // A chosen device that is gone gives way to the system's choice once the list says so.
        let missing = |state: &DeviceState| state.on && !state.works && !state.opening;
        let wants_camera = self.devices.wants_camera && missing(&self.devices.camera);
        let wants_microphone = missing(&self.devices.microphone);
        let wants_speaker = missing(&self.devices.speaker);
        if wants_camera || wants_microphone || wants_speaker {
            self.list_devices();
        }
        if wants_microphone {
            self.open_microphone();
        }
        if wants_speaker {
            self.open_speaker();
        }
        if wants_camera {
            self.set_camera(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_words_are_kept_for_whoever_helps_until_the_device_works() {
        let mut state = DeviceState { opening: true, ..DeviceState::default() };
        let words = Trouble::Other("snd_pcm_open: -77".to_owned());
        note_opened(&mut state, DeviceKind::Microphone, Err(&words));
        assert_eq!(state.trouble, Some(DeviceTrouble::Failed));
        assert_eq!(state.system_words.as_deref(), Some("snd_pcm_open: -77"));
        note_opened(&mut state, DeviceKind::Microphone, Err(&Trouble::Busy));
        assert_eq!((state.trouble, &state.system_words), (Some(DeviceTrouble::Busy), &None));
        note_opened(&mut state, DeviceKind::Microphone, Ok(()));
        assert_eq!((state.works, state.opening, state.trouble), (true, false, None));
    }
}
