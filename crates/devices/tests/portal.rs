//! A Wayland session: a real compositor, its portal, and PipeWire. The test runs once more in a process that
//! knows only that session. There the dialog is answered by a file: `xdg-desktop-portal-wlr` asks a program.
#![cfg(target_os = "linux")]

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use bedside_devices::{ScreenCapture, ScreenKind, Trouble, open_screen, screens};
use bedside_media::I420;

const SESSION: &str = "BEDSIDE_TEST_WAYLAND_SESSION";
/// What the screen is painted in, and its luma (BT.601, limited range).
const GREEN: &str = "#00ff00";
const GREEN_LUMA: u8 = 145;
const BLUE: &str = "#0000ff";
const BLUE_LUMA: u8 = 41;
/// How far the encoder of colours may be off.
const NEARLY: u8 = 4;
/// Nobody: the compositor refuses to run as root.
const NOBODY: u32 = 65_534;
const PATIENCE: Duration = Duration::from_secs(20);

/// A session of its own, ended with it.
struct Session {
    folder: tempfile::TempDir,
    is_root: bool,
    /// In the order in which they were started.
    processes: Vec<Child>,
    variables: Vec<(&'static str, String)>,
}

impl Session {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("sway"), format!("output * resolution 640x480\noutput * bg {GREEN} solid_color\n"))
            .unwrap();
        // Who is asked: waits for an answer, the screen's name or nothing, and takes it away.
        let chooser = "#!/bin/sh\ncd \"$FOLDER\" && touch asked\nwhile [ ! -e answer ]; do sleep 0.05; done\n\
                       cat answer; rm answer asked\n";
        fs::write(at("chooser"), chooser).unwrap();
        fs::set_permissions(at("chooser"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(
            at("portal"),
            format!("[screencast]\nchooser_type=simple\nchooser_cmd={}\n", at("chooser").display()),
        )
        .unwrap();
        let home = folder.path().display().to_string();
        let variables = vec![
            ("HOME", home.clone()),
            ("FOLDER", home.clone()),
            ("XDG_RUNTIME_DIR", home.clone()),
            ("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={home}/bus")),
            ("XDG_CURRENT_DESKTOP", "sway".to_owned()),
            ("WLR_BACKENDS", "headless".to_owned()),
            ("WLR_LIBINPUT_NO_DEVICES", "1".to_owned()),
            ("WLR_RENDERER", "pixman".to_owned()),
        ];
        let is_root = fs::metadata(folder.path()).unwrap().uid() == 0;
        if is_root {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let mut session = Self { folder, is_root, processes: vec![], variables };
        session.run(
            "dbus-daemon",
            &["--session", "--nofork", "--nopidfile", &format!("--address=unix:path={home}/bus")],
        );
        session.wait_for("bus");
        session.run("pipewire", &[]);
        session.wait_for("pipewire-0");
        session.run("wireplumber", &[]);
        session.run("sway", &["-c", &format!("{home}/sway")]);
        session.variables.push(("WAYLAND_DISPLAY", "wayland-1".to_owned()));
        session.wait_for("wayland-1");
        session.run("/usr/libexec/xdg-desktop-portal-wlr", &["-c", &format!("{home}/portal"), "-l", "INFO"]);
        session.run("/usr/libexec/xdg-desktop-portal", &[]);
        session
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.envs(self.variables.iter().cloned()).env_remove("DISPLAY");
        if self.is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    fn run(&mut self, program: &str, args: &[&str]) {
        let name = Path::new(program).file_name().unwrap().to_string_lossy().into_owned();
        let log = fs::File::create(self.folder.path().join(format!("{name}.log"))).unwrap();
        let process = self
            .command(program)
            .args(args)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        self.processes.push(process);
    }

    fn wait_for(&self, name: &str) {
        wait_until(&format!("{name} is there"), || self.folder.path().join(name).exists());
    }

    fn logs(&self) -> String {
        let files = fs::read_dir(self.folder.path()).unwrap().map(|file| file.unwrap().path());
        let logs = files.filter(|file| file.extension().is_some_and(|it| it == "log"));
        let read =
            |log: PathBuf| format!("== {}\n{}", log.display(), fs::read_to_string(&log).unwrap_or_default());
        logs.map(read).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for process in self.processes.iter_mut().rev() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn file(name: &str) -> PathBuf {
    Path::new(&std::env::var_os("FOLDER").unwrap()).join(name)
}

fn sway(command: &str) {
    let done = Command::new("swaymsg")
        .args(["-s", &socket(), command])
        .stdout(Stdio::null())
        .status()
        .expect("swaymsg is installed");
    assert!(done.success(), "{command}");
}

fn socket() -> String {
    let all = fs::read_dir(file(".")).unwrap().map(|file| file.unwrap().path());
    let mut sockets = all.filter(|path| path.extension().is_some_and(|it| it == "sock"));
    sockets.next().expect("the compositor's socket").display().to_string()
}

/// Looks until it shows this colour all over.
fn look_until(capture: &mut dyn ScreenCapture, luma: u8) {
    let is_so = |picture: &I420| picture.planes().0.iter().all(|y| y.abs_diff(luma) <= NEARLY);
    let began = Instant::now();
    loop {
        let shown = capture.capture().expect("it is there");
        if shown.is_some_and(|shown| {
            (shown.picture.width(), shown.picture.height()) == (640, 480) && is_so(shown.picture)
        }) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{luma} is never seen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Looks until it fails.
fn trouble_of(capture: &mut dyn ScreenCapture) -> Trouble {
    let began = Instant::now();
    loop {
        if let Err(trouble) = capture.capture() {
            return trouble;
        }
        assert!(began.elapsed() < PATIENCE, "it goes on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_is_chosen_in_the_desktop_s_dialog_is_seen_until_it_ends() {
    if std::env::var_os(SESSION).is_none() {
        let session = Session::start();
        let name = "what_is_chosen_in_the_desktop_s_dialog_is_seen_until_it_ends";
        // Where whoever runs the session may read it.
        let program = session.folder.path().join("test");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let done = session
            .command(&program.display().to_string())
            .args([name, "--exact", "--nocapture"])
            .env(SESSION, "1")
            .output()
            .unwrap();
        let said =
            String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success() && said.contains("1 passed"), "{said}\n{}", session.logs());
        return;
    }
    let offered = screens().unwrap();
    assert!(matches!(&offered[..], [only] if only.kind == ScreenKind::System && only.name.is_empty()));
    let answer = |answer: &str| {
        fs::write(file("new"), answer).unwrap();
        fs::rename(file("new"), file("answer")).unwrap();
        wait_until("the dialog closes", || !file("asked").exists());
    };
    let open = || {
        let mut capture = open_screen(&offered[0].id).unwrap();
        wait_until("the dialog asks", || {
            assert!(!matches!(capture.capture(), Ok(Some(_))), "nothing is seen before it was chosen");
            file("asked").exists()
        });
        capture
    };

    // Taken back while it asks: closing waits for nobody.
    let asking = open();
    let began = Instant::now();
    drop(asking);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    answer("");

    // Left.
    let mut refused = open();
    answer("");
    assert_eq!(trouble_of(&mut *refused), Trouble::Denied);

    // Chosen: what it shows is seen, and when that changes, and that it has not.
    let mut capture = open();
    answer("HEADLESS-1\n");
    if !Path::new("/dev/dri").exists() {
        // This compositor's portal hands pictures over in a graphics card's memory alone.
        assert!(matches!(trouble_of(&mut *capture), Trouble::Other(_)));
        return;
    }
    look_until(&mut *capture, GREEN_LUMA);
    assert!(!capture.capture().unwrap().unwrap().has_changed, "nothing moves");
    sway(&format!("output * bg {BLUE} solid_color"));
    look_until(&mut *capture, BLUE_LUMA);

    // The screen goes.
    sway("output HEADLESS-1 unplug");
    assert!(matches!(trouble_of(&mut *capture), Trouble::Missing | Trouble::Other(_)));
}
