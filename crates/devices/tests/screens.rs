//! Screens and windows of a real X server: each test runs once more in a process that knows only the
//! server started for it.
#![cfg(target_os = "linux")]

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use bedside_devices::{ScreenCapture, ScreenKind, Trouble, open_screen, screens};
use bedside_media::I420;
use x11rb::{
    COPY_DEPTH_FROM_PARENT, COPY_FROM_PARENT,
    connection::Connection,
    protocol::xproto::{
        AtomEnum, ChangeWindowAttributesAux, ConfigureWindowAux, ConnectionExt, CreateWindowAux, PropMode,
        Window, WindowClass,
    },
    rust_connection::RustConnection,
    wrapper::ConnectionExt as _,
};

const SERVER: &str = "BEDSIDE_TEST_X_SERVER";
/// Luma of the colours that windows are painted in (BT.601, limited range).
const WHITE: u8 = 235;
const GREEN: u8 = 144;
/// How far the encoder of colours may be off.
const NEARLY: u8 = 4;

/// Runs `test` of this file in a process that knows a new X server alone; false in that process.
fn runs_elsewhere(test: &str) -> bool {
    if std::env::var_os(SERVER).is_some() {
        return false;
    }
    let mut server = Server::start();
    let done = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(SERVER, "1")
        .env("DISPLAY", &server.display)
        .env_remove("WAYLAND_DISPLAY")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
    assert!(server.process.try_wait().unwrap().is_none(), "the X server still runs");
    true
}

struct Server {
    process: Child,
    display: String,
}

impl Server {
    fn start() -> Self {
        let mut process = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "800x600x24", "-nolisten", "tcp", "-noreset"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb is installed");
        let mut number = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut number).unwrap();
        Self { process, display: format!(":{}", number.trim()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Somebody else's program with windows.
struct Program {
    connection: RustConnection,
    root: Window,
}

impl Program {
    fn start() -> Self {
        let (connection, number) = RustConnection::connect(None).unwrap();
        let root = connection.setup().roots[number].root;
        Self { connection, root }
    }

    fn window(&self, title: &str, x: i16, y: i16, colour: u32) -> Window {
        let window = self.connection.generate_id().unwrap();
        let values = CreateWindowAux::new().background_pixel(colour);
        self.connection
            .create_window(
                COPY_DEPTH_FROM_PARENT,
                window,
                self.root,
                x,
                y,
                300,
                200,
                0,
                WindowClass::INPUT_OUTPUT,
                COPY_FROM_PARENT,
                &values,
            )
            .unwrap();
        let (name, kind) = (AtomEnum::WM_NAME, AtomEnum::STRING);
        self.connection.change_property8(PropMode::REPLACE, window, name, kind, title.as_bytes()).unwrap();
        self.connection.map_window(window).unwrap();
        self.connection.sync().unwrap();
        window
    }

    fn paint(&self, window: Window, colour: u32) {
        let values = ChangeWindowAttributesAux::new().background_pixel(colour);
        self.connection.change_window_attributes(window, &values).unwrap();
        self.connection.clear_area(false, window, 0, 0, 0, 0).unwrap();
        self.connection.sync().unwrap();
    }

    fn resize(&self, window: Window, width: u32, height: u32) {
        let values = ConfigureWindowAux::new().width(width).height(height);
        self.connection.configure_window(window, &values).unwrap();
        self.connection.sync().unwrap();
    }
}

/// Luma of a pixel.
fn luma(picture: &I420, x: usize, y: usize) -> u8 {
    picture.planes().0[y * picture.width() + x]
}

fn is_nearly(seen: u8, colour: u8) -> bool {
    seen.abs_diff(colour) <= NEARLY
}

/// Looks until it is as wanted.
fn look_until(capture: &mut dyn ScreenCapture, wanted: impl Fn(&I420) -> bool) {
    let began = Instant::now();
    while !wanted(capture.capture().expect("it is there").expect("nobody is asked").picture) {
        assert!(began.elapsed() < Duration::from_secs(5), "it is never seen so");
        std::thread::yield_now();
    }
}

/// The only window there is.
fn window_id() -> String {
    screens().unwrap().into_iter().find(|screen| screen.kind == ScreenKind::Window).expect("a window").id
}

#[test]
fn screens_and_windows_are_listed_with_what_they_show() {
    if runs_elsewhere("screens_and_windows_are_listed_with_what_they_show") {
        return;
    }
    let program = Program::start();
    program.window("Blood results", 50, 60, 0xff_ff_ff);
    program.window("On top", 200, 100, 0);
    program.window("", 10, 10, 0);
    let listed = screens().unwrap();
    let kinds: Vec<ScreenKind> = listed.iter().map(|screen| screen.kind).collect();
    assert_eq!(kinds, [ScreenKind::Display, ScreenKind::Window, ScreenKind::Window]);
    assert_eq!(listed[1].name, "On top", "the uppermost first");
    assert_eq!(listed[2].name, "Blood results");
    for screen in &listed {
        assert!(screen.preview.as_ref().unwrap().starts_with(&[0xff, 0xd8]), "a JPEG");
        assert!(!format!("{screen:?}").contains("Blood"), "titles are nobody's business");
    }
}

#[test]
fn a_screen_is_seen_as_it_changes_with_the_pointer_on_it() {
    if runs_elsewhere("a_screen_is_seen_as_it_changes_with_the_pointer_on_it") {
        return;
    }
    let program = Program::start();
    let window = program.window("Page", 100, 100, 0xff_ff_ff);
    let id = screens().unwrap().remove(0).id;
    let mut capture = open_screen(&id).unwrap();
    look_until(&mut *capture, |picture| is_nearly(luma(picture, 150, 150), WHITE));
    // The frame that was drawn meanwhile has been seen.
    let began = Instant::now();
    while capture.capture().unwrap().unwrap().has_changed {
        assert!(began.elapsed() < Duration::from_secs(5), "nothing changes any more");
    }
    program.paint(window, 0x00_ff_00);
    let shown = capture.capture().unwrap().unwrap();
    assert!(shown.has_changed && is_nearly(luma(shown.picture, 150, 150), GREEN));
    assert_eq!((shown.picture.width(), shown.picture.height()), (800, 600));
    assert!(!capture.capture().unwrap().unwrap().has_changed);

    // What is moved is drawn, though no window changes.
    program.connection.warp_pointer(x11rb::NONE, program.root, 0, 0, 0, 0, 250, 200).unwrap();
    program.connection.sync().unwrap();
    let shown = capture.capture().unwrap().unwrap();
    let around = (240..262).flat_map(|x| (190..212).map(move |y| (x, y)));
    assert!(shown.has_changed, "the pointer moves");
    let is_drawn = around.into_iter().any(|(x, y)| !is_nearly(luma(shown.picture, x, y), GREEN));
    assert!(is_drawn, "and is seen");

    // Whoever shares it sees that on its edges.
    assert!(luma(shown.picture, 1, 300) > 100 && luma(shown.picture, 798, 300) > 100, "a frame");
    assert!(luma(shown.picture, 6, 300) < 40, "of four pixels");
    drop(capture);
    let mut again = open_screen(&id).unwrap();
    look_until(&mut *again, |picture| luma(picture, 1, 300) > 100);
}

#[test]
fn a_window_is_seen_alone_whatever_lies_over_it_and_in_every_size() {
    if runs_elsewhere("a_window_is_seen_alone_whatever_lies_over_it_and_in_every_size") {
        return;
    }
    let program = Program::start();
    let window = program.window("Page", 100, 100, 0xff_ff_ff);
    let mut capture = open_screen(&window_id()).unwrap();
    look_until(&mut *capture, |picture| is_nearly(luma(picture, 20, 20), WHITE));
    // The pointer, which is drawn too, is elsewhere.
    program.connection.warp_pointer(x11rb::NONE, program.root, 0, 0, 0, 0, 700, 500).unwrap();
    program.window("Secret", 90, 90, 0);
    program.paint(window, 0x00_ff_00);
    let is_alone = |picture: &I420| {
        (picture.width(), picture.height()) == (300, 200)
            && picture.planes().0.iter().all(|value| is_nearly(*value, GREEN) || is_nearly(*value, WHITE))
    };
    look_until(&mut *capture, |picture| is_nearly(luma(picture, 20, 20), GREEN));
    assert!(is_alone(capture.capture().unwrap().unwrap().picture), "nothing of what lies over it");

    program.resize(window, 401, 251);
    look_until(&mut *capture, |picture| {
        (picture.width(), picture.height()) == (400, 250) && is_nearly(luma(picture, 390, 240), GREEN)
    });

    // Minimised it shows what it did; closed it is gone.
    program.connection.unmap_window(window).unwrap();
    program.connection.sync().unwrap();
    let shown = capture.capture().unwrap().unwrap();
    assert!(!shown.has_changed && shown.picture.width() == 400);
    program.connection.map_window(window).unwrap();
    program.connection.sync().unwrap();
    program.paint(window, 0xff_ff_ff);
    look_until(&mut *capture, |picture| is_nearly(luma(picture, 390, 240), WHITE));
    program.connection.destroy_window(window).unwrap();
    program.connection.sync().unwrap();
    assert_eq!(capture.capture().unwrap_err(), Trouble::Missing);
    assert!(matches!(open_screen("window:12345"), Err(Trouble::Missing)));
    assert!(matches!(open_screen("display:none"), Err(Trouble::Missing)));
    assert!(matches!(open_screen("anything"), Err(Trouble::Missing)));
}

#[test]
fn where_no_program_may_look_nothing_is_offered() {
    if std::env::var_os(SERVER).is_none() {
        let done = Command::new(std::env::current_exe().unwrap())
            .args(["where_no_program_may_look_nothing_is_offered", "--exact"])
            .envs([(SERVER, "1"), ("WAYLAND_DISPLAY", "wayland-0")])
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
        return;
    }
    assert_eq!(screens().unwrap_err(), Trouble::Unsupported);
    assert!(matches!(open_screen("display:any"), Err(Trouble::Unsupported)));
}
