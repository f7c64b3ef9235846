//! What a person has around them: a screen, a sound server, a camera, a folder.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::camera::Camera;

/// Bytes of one millisecond of recorded sound: 48 samples of 16 bits.
const BYTES_PER_MS: f64 = 96.0;

/// One person's world. Everything in it ends when it is dropped.
pub(crate) struct World {
    pub(crate) name: &'static str,
    folder: tempdir::Folder,
    display: String,
    pub(crate) driver: String,
    processes: Vec<Child>,
    driver_process: Option<Child>,
    camera: Option<PathBuf>,
    look: &'static str,
    service: String,
    log: PathBuf,
    pub(crate) place: Place,
}

/// What runs in a world, and where.
#[derive(Default)]
pub(crate) struct Place {
    /// The machine whose network it has, if not this one's.
    #[cfg(target_os = "linux")]
    pub(crate) host: Option<std::sync::Arc<crate::host::Host>>,
    pub(crate) program: Program,
    /// What the camera shows in place of its drawn person, and where it writes when it showed what.
    pub(crate) clip: Option<Clip>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Program {
    /// Bedside.
    #[default]
    App,
    /// Chromium with a page of the lab.
    Browser,
}

/// Frames for the camera.
pub(crate) struct Clip {
    pub(crate) frames: PathBuf,
    pub(crate) sent: PathBuf,
}

mod tempdir {
    use std::path::PathBuf;

    /// A folder with a short name: paths of sockets have at most 108 bytes.
    pub(super) struct Folder(pub(super) PathBuf);

    impl Folder {
        pub(super) fn new(name: &str) -> std::io::Result<Self> {
            let path = std::env::temp_dir().join(format!("bedside-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path)?;
            Ok(Self(path))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            // A file that is still open does not matter: the folder is in the temporary ones.
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

impl World {
    /// Starts all of it. `look` is the face before the camera.
    pub(crate) fn start(
        name: &'static str,
        look: &'static str,
        service: &str,
        camera: &Camera,
        out: &Path,
        place: Place,
    ) -> Result<Self> {
        let folder = tempdir::Folder::new(name)?;
        for sub in ["home", "run"] {
            fs::create_dir_all(folder.0.join(sub))?;
        }
        #[cfg(unix)]
        fs::set_permissions(folder.0.join("run"), std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        let mut world = Self {
            name,
            display: String::new(),
            driver: String::new(),
            processes: vec![],
            driver_process: None,
            camera: Some(camera.library.clone()),
            look,
            service: service.to_owned(),
            log: out.join(format!("{name}.log")),
            folder,
            place,
        };
        fs::write(&world.log, "")?;
        world.start_screen()?;
        world.start_sound()?;
        world.start_driver()?;
        Ok(world)
    }

    fn pulse(&self) -> PathBuf {
        self.folder.0.join("sound")
    }

    fn start_screen(&mut self) -> Result<()> {
        let mut screen = Command::new("Xvfb");
        screen.args(["-displayfd", "1", "-screen", "0", "1280x800x24", "-nolisten", "tcp"]);
        let mut screen =
            screen.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().context("Xvfb can't be started")?;
        let mut output = screen.stdout.take().context("Xvfb says nothing")?;
        self.processes.push(screen);
        let mut number = vec![];
        let mut byte = [0];
        while output.read(&mut byte)? == 1 && byte[0] != b'\n' {
            number.push(byte[0]);
        }
        self.display = format!(":{}", String::from_utf8(number)?);
        Ok(())
    }

    fn start_sound(&mut self) -> Result<()> {
        let socket = self.pulse();
        let mut server = Command::new("pulseaudio");
        server.args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--log-level=error"]);
        let modules = [
            format!("module-native-protocol-unix auth-anonymous=1 socket={}", socket.display()),
            // Without norewinds a null sink that was idle plays its first two seconds at once.
            "module-null-sink sink_name=speaker rate=48000 channels=1 norewinds=1 sink_properties=device.description=Speaker".into(),
            "module-null-sink sink_name=mouth rate=48000 channels=1 norewinds=1".into(),
            "module-remap-source source_name=microphone master=mouth.monitor source_properties=device.description=Microphone".into(),
        ];
        for module in &modules {
            server.args(["-L", module]);
        }
        server.env("HOME", self.folder.0.join("home")).env("XDG_RUNTIME_DIR", self.folder.0.join("run"));
        let server = server
            .env_remove("DISPLAY")
            .stderr(Stdio::null())
            .spawn()
            .context("pulseaudio can't be started")?;
        self.processes.push(server);
        wait_for("the sound server", || self.pactl(&["set-default-source", "microphone"]))?;
        self.be_in_a_quiet_room("mouth")?;
        if !self.pactl(&["set-default-sink", "speaker"]) {
            bail!("the sound server has no speaker");
        }
        Ok(())
    }

    /// Plugs in a headset: a speaker, and a microphone (`Boom`) with a mouth of its own.
    pub(crate) fn plug_in_headset(&mut self) -> Result<()> {
        let modules: [&[&str]; 3] = [
            &[
                "module-null-sink",
                "sink_name=headset",
                "rate=48000",
                "channels=1",
                "norewinds=1",
                "sink_properties=device.description=Headset",
            ],
            &["module-null-sink", "sink_name=boom-mouth", "rate=48000", "channels=1", "norewinds=1"],
            &[
                "module-remap-source",
                "source_name=boom",
                "master=boom-mouth.monitor",
                "source_properties=device.description=Boom",
            ],
        ];
        for module in modules {
            if !self.pactl(&[&["load-module"], module].concat()) {
                bail!("the sound server does not take a headset");
            }
        }
        self.be_in_a_quiet_room("boom-mouth")
    }

    /// A quiet room around a mouth: a microphone that gives only zeros counts as muted, and rightly.
    fn be_in_a_quiet_room(&mut self, mouth: &str) -> Result<()> {
        let mut room = self.sound_command("sh");
        room.args([
            "-c",
            &format!(
                "sox -q -n -t raw -r 48000 -c 1 -b 16 -e signed - synth 900 pinknoise vol -72dB | \
                 pacat --device={mouth} --raw --format=s16le --rate=48000 --channels=1 --latency-msec=200"
            ),
        ]);
        self.processes.push(room.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
        Ok(())
    }

    fn sound_command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("PULSE_SERVER", format!("unix:{}", self.pulse().display()));
        command.env("HOME", self.folder.0.join("home"));
        command
    }

    fn pactl(&self, args: &[&str]) -> bool {
        let mut command = self.sound_command("pactl");
        command
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    /// The program that clicks; the app is its child.
    pub(crate) fn start_driver(&mut self) -> Result<()> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let home = self.folder.0.join("home");
        let log = fs::File::options().append(true).open(&self.log)?;
        let mut driver = match self.place.program {
            Program::App => self.place.command("WebKitWebDriver"),
            Program::Browser => self.place.command("chromedriver"),
        };
        if self.place.program == Program::App {
            driver.arg("--host=127.0.0.1");
        }
        if let Some(clip) = &self.place.clip {
            driver.env("BEDSIDE_FAKE_CAMERA_CLIP", &clip.frames).env("BEDSIDE_FAKE_CAMERA_SENT", &clip.sent);
        }
        let driver = driver
            .arg(format!("--port={port}"))
            .env("TAURI_WEBVIEW_AUTOMATION", "true")
            .env("DISPLAY", &self.display)
            .env("GDK_BACKEND", "x11")
            .env("HOME", &home)
            .env("XDG_CONFIG_HOME", home.join("config"))
            .env("XDG_DATA_HOME", home.join("data"))
            .env("XDG_CACHE_HOME", home.join("cache"))
            .env("XDG_RUNTIME_DIR", self.folder.0.join("run"))
            .env("PULSE_SERVER", format!("unix:{}", self.pulse().display()))
            .env("LD_PRELOAD", self.camera.as_deref().unwrap_or(Path::new("")))
            .env("BEDSIDE_FAKE_CAMERA", "/dev/video0")
            .env("BEDSIDE_FAKE_CAMERA_LOOK", self.look)
            .env("BEDSIDE_SERVICE", &self.service)
            .env("BEDSIDE_LOG", "warn,bedside=info,bedside_client=debug,bedside_rtc=info,rtc=off,rtc_ice=off,rtc_dtls=off,rtc_interceptor=off")
            .env("NO_AT_BRIDGE", "1")
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .env_remove("WAYLAND_DISPLAY")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("the driver can't be started")?;
        self.driver_process = Some(driver);
        let port = self.place.way_in(port)?;
        self.driver = format!("http://127.0.0.1:{port}");
        wait_for("the driver", || answers(port).is_ok_and(|answers| answers))
    }

    /// Opens a picture in a window of another program.
    pub(crate) fn open_window(&self, title: &str, picture: &Path) -> Result<Window> {
        let log = fs::File::options().append(true).open(&self.log)?;
        let program = Command::new("display")
            .args(["-title", title, "-geometry", "+0+690"])
            .arg(picture)
            .env("DISPLAY", &self.display)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("ImageMagick's display can't be started")?;
        Ok(Window(program))
    }

    /// What the person sits at.
    #[cfg(target_os = "linux")]
    pub(crate) const fn program(&self) -> Program {
        self.place.program
    }

    /// The service's address, as it is reached from here.
    #[cfg(target_os = "linux")]
    pub(crate) fn service(&self) -> &str {
        &self.service
    }

    /// What a browser is started with: a camera that shows the clip's twin and a microphone that says
    /// what is next to it, no questions, and nothing that calls home or slows down out of sight.
    pub(crate) fn browser_arguments(&self) -> Vec<String> {
        let clip = self.place.clip.as_ref().map_or(Path::new(""), |clip| clip.frames.as_path());
        // The lab's page comes from a file; a page of a clinic's would come from the service.
        let reaches_service = (!self.service.is_empty()).then(|| "--disable-web-security".to_owned());
        let arguments = vec![
            "--no-sandbox".into(),
            "--disable-gpu".into(),
            "--use-fake-ui-for-media-stream".into(),
            "--use-fake-device-for-media-stream".into(),
            format!("--use-file-for-fake-video-capture={}", clip.with_extension("y4m").display()),
            format!(
                "--use-file-for-fake-audio-capture={}",
                clip.with_file_name(format!("speech-{}.wav", self.name)).display()
            ),
            "--autoplay-policy=no-user-gesture-required".into(),
            "--disable-features=WebRtcHideLocalIpsWithMdns,Translate,MediaRouter,CalculateNativeWinOcclusion"
                .into(),
            "--disable-background-networking".into(),
            "--disable-component-update".into(),
            "--disable-sync".into(),
            "--disable-quic".into(),
            "--disable-extensions".into(),
            "--disable-dev-shm-usage".into(),
            "--disable-backgrounding-occluded-windows".into(),
            "--disable-renderer-backgrounding".into(),
            "--disable-background-timer-throttling".into(),
            "--no-first-run".into(),
            "--password-store=basic".into(),
            "--window-size=1280,800".into(),
            "--window-position=0,0".into(),
            format!("--user-data-dir={}", self.folder.0.join("browser").display()),
        ];
        arguments.into_iter().chain(reaches_service).collect()
    }

    /// From the app's next start on there is no camera.
    pub(crate) fn unplug_camera(&mut self) {
        self.camera = None;
    }

    /// Ends the driver and with it the app, as a crash would.
    pub(crate) fn kill_app(&mut self) -> Result<()> {
        for pid in self.app_processes() {
            // Gone already is as good.
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status();
        }
        if let Some(mut driver) = self.driver_process.take() {
            driver.kill()?;
            driver.wait()?;
        }
        Ok(())
    }

    /// What is on the screen now.
    pub(crate) fn screenshot(&self, to: &Path) -> Result<()> {
        let done =
            Command::new("import").args(["-display", &self.display, "-window", "root"]).arg(to).output()?;
        if !done.status.success() {
            bail!("no screenshot: {}", String::from_utf8_lossy(&done.stderr));
        }
        Ok(())
    }

    /// Speaks a file into a microphone: that of the machine (`mouth`) or of the headset
    /// (`boom-mouth`).
    pub(crate) fn speak(&self, mouth: &str, speech: &Path) -> Result<()> {
        self.begin_to_speak(mouth, speech)?.finish()
    }

    /// The same, with something else to do meanwhile.
    pub(crate) fn begin_to_speak(&self, mouth: &str, speech: &Path) -> Result<Speaking> {
        let mut player = self.sound_command("paplay");
        player.args([&format!("--device={mouth}"), "--latency-msec=60"]).arg(speech);
        Ok(Speaking(player.spawn()?))
    }

    /// Records what goes into a microphone (`mouth`, `boom-mouth`) or comes out of the `speaker` or `headset`.
    pub(crate) fn record(&self, sink: &str) -> Result<Recording> {
        let mut command = self.sound_command("parecord");
        command.args([
            &format!("--device={sink}.monitor"),
            "--raw",
            "--format=s16le",
            "--rate=48000",
            "--channels=1",
            "--latency-msec=100",
        ]);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut output = process.stdout.take().context("parecord gives nothing")?;
        let heard = Arc::new(Mutex::new((Vec::new(), f64::MAX)));
        let shared = heard.clone();
        let reader = std::thread::spawn(move || {
            let mut chunk = [0; 9_600];
            while let Ok(length) = output.read(&mut chunk) {
                if length == 0 {
                    return;
                }
                let now = clock();
                if let Ok(mut heard) = shared.lock() {
                    heard.0.extend_from_slice(&chunk[..length]);
                    // The chunk that came with the least delay tells best when the first began.
                    let start = now - heard.0.len() as f64 / BYTES_PER_MS / 1e3;
                    heard.1 = heard.1.min(start);
                }
            }
        });
        Ok(Recording { process, reader, heard })
    }

    /// The app and its webview's processes.
    pub(crate) fn app_processes(&self) -> Vec<u32> {
        let Some(driver) = &self.driver_process else { return vec![] };
        let mut found = children(driver.id());
        let mut at = 0;
        while at < found.len() {
            found.extend(children(found[at]));
            at += 1;
        }
        found
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Err(error) = self.kill_app() {
            println!("the {}'s app was not ended: {error}", self.name);
        }
        for process in self.processes.iter_mut().rev() {
            if process.kill().and_then(|()| process.wait()).is_err() {
                println!("a process of the {} was not ended", self.name);
            }
        }
    }
}

/// Somebody in the middle of a sentence.
pub(crate) struct Speaking(Child);

impl Speaking {
    /// Waits until it is said.
    pub(crate) fn finish(mut self) -> Result<()> {
        if !self.0.wait()?.success() {
            bail!("nothing was spoken");
        }
        Ok(())
    }

    /// Ends it in the middle of a word.
    #[cfg(target_os = "linux")]
    pub(crate) fn stop(mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait().map(drop).context("the voice did not end")
    }
}

/// A window of another program.
pub(crate) struct Window(Child);

impl Window {
    /// Closes it, with its program.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // Closed already, as a rule.
        drop(self.close());
    }
}

/// A recording under way.
pub(crate) struct Recording {
    process: Child,
    reader: JoinHandle<()>,
    heard: Arc<Mutex<(Vec<u8>, f64)>>,
}

impl Recording {
    /// Ends it; gives the sound, and when its first sample was, in seconds on [`clock`].
    pub(crate) fn stop(mut self) -> Result<(Vec<u8>, f64)> {
        self.process.kill()?;
        self.process.wait()?;
        if self.reader.join().is_err() {
            bail!("the recording was lost");
        }
        let mut heard = self.heard.lock().map_err(|_| anyhow::anyhow!("the recording was lost"))?;
        Ok((std::mem::take(&mut heard.0), heard.1))
    }
}

impl Place {
    /// A program in it.
    fn command(&self, program: &str) -> Command {
        #[cfg(target_os = "linux")]
        if let Some(host) = &self.host {
            return host.command(program);
        }
        Command::new(program)
    }

    /// A port of this machine that leads to that one there.
    fn way_in(&self, port: u16) -> Result<u16> {
        #[cfg(target_os = "linux")]
        if let Some(host) = &self.host {
            return host.way_in(port);
        }
        Ok(port)
    }
}

/// Whether a driver answers at a port: what leads to another machine takes connections before.
fn answers(port: u16) -> std::io::Result<bool> {
    let mut connection = TcpStream::connect(("127.0.0.1", port))?;
    connection.set_read_timeout(Some(Duration::from_secs(2)))?;
    connection.write_all(b"GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
    Ok(connection.read(&mut [0; 16])? > 0)
}

/// Seconds on one clock for all recordings.
pub(crate) fn clock() -> f64 {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    START.elapsed().as_secs_f64()
}

fn children(of: u32) -> Vec<u32> {
    let found = Command::new("ps").args(["-o", "pid=", "--ppid", &of.to_string()]).output();
    let text = found.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn wait_for(what: &str, is_there: impl Fn() -> bool) -> Result<()> {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(15) {
        if is_there() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("{what} did not come up")
}
