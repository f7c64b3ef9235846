//! Microphones through a real sound server: each test runs once more in a process that knows only the
//! server started for it.
#![cfg(target_os = "linux")]

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bedside_devices::{CaptureSink, PlayoutSource, Sound};

const SERVER: &str = "BEDSIDE_TEST_SOUND_SERVER";

struct Server {
    folder: tempfile::TempDir,
    process: Child,
}

impl Server {
    /// A sound server with these modules beside its socket.
    fn start(modules: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let mut server = Command::new("pulseaudio");
        server.args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--log-level=error", "-L"]);
        server.arg(format!("module-native-protocol-unix auth-anonymous=1 socket={}", socket.display()));
        for module in modules {
            server.args(["-L", module]);
        }
        server.env("HOME", folder.path()).env("XDG_RUNTIME_DIR", folder.path()).env_remove("DISPLAY");
        let process = server.stderr(Stdio::null()).spawn().expect("pulseaudio is installed");
        let server = Self { folder, process };
        let began = Instant::now();
        while !server.pactl(&["info"]) {
            assert!(began.elapsed() < Duration::from_secs(10), "the sound server does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    fn address(&self) -> String {
        format!("unix:{}", self.folder.path().join("s").display())
    }

    fn pactl(&self, args: &[&str]) -> bool {
        pactl(&self.address(), args)
    }

    /// Runs `test` of this file in a process that knows this server alone.
    fn run(&self, test: &str) {
        let done = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env(SERVER, self.address())
            .env("PULSE_SERVER", self.address())
            .env("FOLDER", self.folder.path())
            .output()
            .unwrap();
        let said =
            String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success() && said.contains("1 passed"), "{said}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn pactl(server: &str, args: &[&str]) -> bool {
    let mut asked = Command::new("pactl");
    asked.args(args).env("PULSE_SERVER", server).stdout(Stdio::null()).stderr(Stdio::null());
    asked.status().is_ok_and(|status| status.success())
}

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<f32>>>);

impl CaptureSink for Heard {
    fn captured(&mut self, samples: &[f32]) {
        self.0.lock().unwrap().extend_from_slice(samples);
    }
}

/// A tone on the right channel alone, at a rate that nothing else has: mixed down it would be half as
/// loud. (More than two channels PulseAudio remixes by their names before anybody sees them.)
fn tone(folder: &Path) -> std::path::PathBuf {
    let file = folder.join("tone.wav");
    let made = Command::new("sox")
        .args(["-n", "-r", "44100"])
        .arg(&file)
        .args(["synth", "8", "sine", "440", "remix", "0", "1", "gain", "-6"])
        .status();
    assert!(made.unwrap().success());
    file
}

#[test]
fn the_channel_with_the_voice_is_heard_at_its_pitch() {
    let Ok(server) = std::env::var(SERVER) else {
        let server = Server::start(&[
            "module-null-sink sink_name=mouth rate=44100 channels=2 norewinds=1",
            "module-remap-source source_name=microphone master=mouth.monitor channels=2",
        ]);
        assert!(server.pactl(&["set-default-source", "microphone"]));
        return server.run("the_channel_with_the_voice_is_heard_at_its_pitch");
    };
    let file = tone(Path::new(&std::env::var("FOLDER").unwrap()));
    let mut playing =
        Command::new("paplay").arg("--device=mouth").arg(file).env("PULSE_SERVER", server).spawn().unwrap();
    let (sound, heard) = (Sound::new(), Heard::default());
    let stream = sound.capture(None, heard.clone()).unwrap();
    let began = Instant::now();
    while heard.0.lock().unwrap().len() < 3 * 48_000 {
        assert!(began.elapsed() < Duration::from_secs(15), "three seconds come in less than fifteen");
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(stream);
    playing.kill().unwrap();
    playing.wait().unwrap();
    let heard = heard.0.lock().unwrap();
    let last = &heard[heard.len() - 48_000..];
    let crossings = last.windows(2).filter(|two| two[0] < 0.0 && two[1] >= 0.0).count();
    assert!((430..=450).contains(&crossings), "{crossings} Hz");
    let rms = (last.iter().map(|s| s * s).sum::<f32>() / 48_000.0).sqrt();
    assert!(rms > 0.2, "as loud as it is spoken: {rms}");
}

#[test]
fn a_changed_choice_of_the_systems_is_noticed() {
    let Ok(server) = std::env::var(SERVER) else {
        let server = Server::start(&[
            "module-null-sink sink_name=a rate=48000 channels=1",
            "module-null-sink sink_name=b rate=48000 channels=1",
            "module-remap-source source_name=first master=a.monitor",
            "module-remap-source source_name=second master=b.monitor",
        ]);
        assert!(server.pactl(&["set-default-source", "first"]));
        return server.run("a_changed_choice_of_the_systems_is_noticed");
    };
    let (sound, heard) = (Sound::new(), Heard::default());
    let first = sound.microphones().into_iter().find(|device| device.is_default).unwrap().id;
    let follows = sound.capture(None, heard.clone()).unwrap();
    let chosen = sound.capture(Some(&first), heard).unwrap();
    assert!(!follows.has_moved());
    assert!(pactl(&server, &["set-default-source", "second"]));
    let began = Instant::now();
    while !follows.has_moved() {
        assert!(began.elapsed() < Duration::from_secs(4), "noticed within four seconds");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!chosen.has_moved() && !chosen.has_failed(), "who chose one stays with it");
    assert!(!follows.has_failed(), "it works, only not where it should");
}

/// Gives a quiet tone, and counts what it is asked for.
#[derive(Clone, Default)]
struct Given(Arc<Mutex<Vec<usize>>>);

impl PlayoutSource for Given {
    fn play(&mut self, samples: &mut [f32]) {
        samples.fill(0.1);
        self.0.lock().unwrap().push(samples.len());
    }
}

/// How long the speaker's buffer is as the server has set it, microseconds: "Latency: 1 usec, configured 2 usec".
fn configured_latency(server: &str) -> u32 {
    let asked = Command::new("pactl").args(["list", "sinks"]).env("PULSE_SERVER", server).output().unwrap();
    let text = String::from_utf8(asked.stdout).unwrap();
    let (_, configured) = text.split_once("configured ").expect("one speaker");
    configured.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn a_speaker_is_not_driven_at_its_least_latency() {
    let Ok(server) = std::env::var(SERVER) else {
        let server = Server::start(&["module-null-sink sink_name=speaker rate=48000 channels=1 norewinds=1"]);
        return server.run("a_speaker_is_not_driven_at_its_least_latency");
    };
    let (sound, given) = (Sound::new(), Given::default());
    let stream = sound.playout(None, given.clone()).unwrap();
    let began = Instant::now();
    while given.0.lock().unwrap().iter().sum::<usize>() < 2 * 48_000 {
        assert!(began.elapsed() < Duration::from_secs(6), "two seconds are played in less than six");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(began.elapsed() > Duration::from_millis(1_700), "and no faster than they last");
    let latency = configured_latency(&server);
    assert!((5_000..=20_000).contains(&latency), "the device keeps 5 to 20 ms: {latency} us");
    let asked = given.0.lock().unwrap().clone();
    let most = asked.iter().skip(5).max().unwrap();
    assert!(*most <= 1_920, "never more than is kept at once: {most}");
    assert!(!stream.has_failed());
    // The speaker goes: it is told.
    assert!(pactl(&server, &["unload-module", "module-null-sink"]));
    let began = Instant::now();
    while !stream.has_failed() {
        assert!(began.elapsed() < Duration::from_secs(4), "noticed within four seconds");
        std::thread::sleep(Duration::from_millis(20));
    }
}
