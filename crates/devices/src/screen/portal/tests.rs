//! Pictures from a real PipeWire, made by GStreamer.

use std::{
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
/// GStreamer's name for the node.
const NODE: &str = "bedside-test-screen";

/// Programs that end with the test.
struct Programs {
    folder: tempfile::TempDir,
    running: Vec<Child>,
}

impl Programs {
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("XDG_RUNTIME_DIR", self.folder.path()).env("HOME", self.folder.path());
        command.env("DBUS_SESSION_BUS_ADDRESS", self.bus()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn bus(&self) -> String {
        format!("unix:path={}/bus", self.folder.path().display())
    }

    fn run(&mut self, program: &str, args: &[&str]) {
        let process = self.command(program).args(args).spawn();
        self.running.push(process.unwrap_or_else(|error| panic!("{program}: {error}")));
    }

    /// The node of this name, once it is there.
    fn node(&self, name: &str) -> u32 {
        let began = Instant::now();
        loop {
            let listed = self.command("pw-cli").args(["ls", "Node"]).stdout(Stdio::piped()).output().unwrap();
            let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
            let mut id = None;
            for line in listed.lines().map(str::trim) {
                if let Some(rest) = line.strip_prefix("id ") {
                    id = rest.split(',').next().and_then(|id| id.parse().ok());
                }
                if line == format!("node.name = \"{name}\"") {
                    return id.expect("the id comes first");
                }
            }
            assert!(began.elapsed() < PATIENCE, "no node {name} in\n{listed}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        for process in self.running.iter_mut().rev() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn connect(socket: &Path) -> UnixStream {
    let began = Instant::now();
    loop {
        match UnixStream::connect(socket) {
            Ok(connected) => return connected,
            Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn pictures_come_from_a_stream_until_it_is_left_or_ends() {
    let mut programs = Programs { folder: tempfile::tempdir().unwrap(), running: vec![] };
    let bus = format!("--address={}", programs.bus());
    programs.run("dbus-daemon", &["--session", "--nofork", "--nopidfile", &bus]);
    drop(connect(&programs.folder.path().join("bus")));
    programs.run("pipewire", &[]);
    let socket = programs.folder.path().join("pipewire-0");
    drop(connect(&socket));
    programs.run("wireplumber", &[]);
    // Odd in both sizes, and red first.
    let picture = "video/x-raw,format=RGBx,width=333,height=201,framerate=15/1";
    let (properties, sink) =
        (format!("stream-properties=p,node.name={NODE},media.class=Video/Source"), "pipewiresink");
    let pattern =
        ["videotestsrc", "is-live=true", "pattern=red", "!", picture, "!", sink, "mode=provide", &properties];
    programs.run("gst-launch-1.0", &pattern);
    let node = programs.node(NODE);

    for is_left in [true, false] {
        let (stop, stopped) = pipewire::channel::channel();
        let (show, shown) = mpsc::channel();
        let remote = OwnedFd::from(connect(&socket));
        let running = std::thread::spawn(move || {
            pictures::run(remote, node, stopped, move |pixels| drop(show.send(pixels)))
        });
        let pixels = shown.recv_timeout(PATIENCE).expect("a picture comes");
        assert_eq!((pixels.width, pixels.height, pixels.bgrx.len()), (333, 201, 333 * 201 * 4));
        assert!(pixels.bgrx.as_chunks::<4>().0.iter().all(|pixel| pixel[..3] == [0, 0, 255]), "red");
        assert!(shown.recv_timeout(Duration::from_millis(500)).is_err(), "nothing changes");
        if is_left {
            assert!(stop.send(Stop).is_ok());
            assert_eq!(running.join().unwrap(), Ok(()));
        } else {
            let mut maker = programs.running.pop().unwrap();
            maker.kill().unwrap();
            maker.wait().unwrap();
            assert!(running.join().unwrap().is_err(), "it is over");
        }
    }
}
