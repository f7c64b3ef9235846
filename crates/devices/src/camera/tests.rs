//! Cameras as they come, played by the fake one: each test runs once more in a process in which that
//! stands before the system's.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use super::*;
use crate::camera::Camera;

/// Whether this is the process with the fake camera; in the other one runs that and looks whether it
/// went well. `kind` as `camera.c` knows it.
fn with_camera(test: &str, kind: &str) -> Option<PathBuf> {
    if let Ok(node) = std::env::var("BEDSIDE_FAKE_CAMERA") {
        return Path::new(&node).parent().map(Path::to_owned);
    }
    let folder = tempfile::tempdir().unwrap();
    let dev = folder.path().join("dev");
    fs::create_dir(&dev).unwrap();
    // A camera; what looks like one and is none; and a link, as some distributions make.
    for file in ["video0", "video1", "video", "videos.txt"] {
        fs::write(dev.join(file), "").unwrap();
    }
    std::os::unix::fs::symlink(dev.join("video0"), dev.join("video-webcam")).unwrap();
    let library = folder.path().join("camera.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../xtask/assets/camera.c");
    let compiled = Command::new("cc")
        .args(["-O1", "-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(source)
        .args(["-ldl", "-lm"])
        .status();
    assert!(compiled.unwrap().success());
    let here = Command::new(std::env::current_exe().unwrap())
        .args([&format!("camera::system::tests::{test}"), "--exact", "--nocapture"])
        .env("LD_PRELOAD", &library)
        .env("BEDSIDE_FAKE_CAMERA", dev.join("video0"))
        .env("BEDSIDE_FAKE_CAMERA_KIND", kind)
        .env("BEDSIDE_FAKE_CAMERA_JPEG", Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/halves.jpg"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&here.stdout).into_owned() + &String::from_utf8_lossy(&here.stderr);
    assert!(here.status.success() && said.contains("1 passed"), "{said}");
    None
}

fn open(dev: PathBuf, id: Option<&str>) -> Result<Camera, Trouble> {
    let id = id.map(str::to_owned);
    Camera::open_with(move |sink| run_in(&dev, id.as_deref(), sink))
}

/// Size and rate of what comes.
fn watch(camera: &Camera) -> (usize, usize, f64) {
    let (mut seen, began) = (0, Instant::now());
    let mut size = (0, 0);
    let first = camera.frames();
    while began.elapsed() < Duration::from_secs(1) {
        if let Some((number, frame)) = camera.newer_than(seen, Duration::from_millis(100)) {
            (seen, size) = (number, (frame.picture.width(), frame.picture.height()));
        }
    }
    (size.0, size.1, (camera.frames() - first) as f64 / began.elapsed().as_secs_f64())
}

#[test]
fn what_is_no_camera_takes_nothing_else_away() {
    let Some(dev) = with_camera("what_is_no_camera_takes_nothing_else_away", "") else { return };
    let found = nodes(&dev);
    assert_eq!(found.len(), 1, "{:?}", found.iter().map(|node| &node.path).collect::<Vec<_>>());
    assert_eq!(found[0].device.id, "bus:platform:fake:Fake camera:0");
    // While it is open it can't be asked, and is there all the same.
    let camera = open(dev.clone(), Some(&found[0].device.id)).unwrap();
    assert_eq!(nodes(&dev).len(), 1);
    drop(camera);
    assert_eq!(
        open(dev, Some("usb:046d:0825:1:usb-2:0")).err(),
        Some(Trouble::Missing),
        "no other is opened"
    );
}

#[test]
fn a_webcam_that_compresses_is_seen() {
    let Some(dev) = with_camera("a_webcam_that_compresses_is_seen", "mjpeg") else { return };
    let (width, height, fps) = watch(&open(dev, None).unwrap());
    assert_eq!((width, height), (64, 48));
    assert!(fps > 20.0, "{fps}");
}

#[test]
fn any_frame_interval_will_do() {
    let Some(dev) = with_camera("any_frame_interval_will_do", "ntsc") else { return };
    let (width, _, fps) = watch(&open(dev, None).unwrap());
    assert!(width == 1_280 && fps > 20.0, "{width} {fps}");
}

#[test]
fn sizes_may_come_in_steps() {
    let Some(dev) = with_camera("sizes_may_come_in_steps", "stepwise") else { return };
    let (width, height, fps) = watch(&open(dev, None).unwrap());
    assert!((width, height) == (1_280, 720) && fps > 20.0, "{width} {height} {fps}");
}

#[test]
fn rows_may_have_gaps() {
    let Some(dev) = with_camera("rows_may_have_gaps", "stride") else { return };
    let camera = open(dev, None).unwrap();
    let (_, frame) = camera.newer_than(0, Duration::from_secs(2)).unwrap();
    // The time that is burnt in at the top: forty even squares, which slanted rows would break up.
    let (luma, ..) = frame.picture.planes();
    let side = frame.picture.width() / 40;
    for bit in 0..40 {
        let column: Vec<u8> =
            (2..side - 2).map(|y| luma[y * frame.picture.width() + bit * side + side / 2]).collect();
        assert!(column.iter().all(|value| value.abs_diff(column[0]) < 8), "{bit}: {column:?}");
    }
}

#[test]
fn a_camera_that_stops_is_closed_without_waiting() {
    let Some(dev) = with_camera("a_camera_that_stops_is_closed_without_waiting", "stall") else { return };
    let camera = open(dev, None).unwrap();
    let began = Instant::now();
    let mut seen = 0;
    while let Some((number, _)) = camera.newer_than(seen, Duration::from_millis(500)) {
        seen = number;
        assert!(began.elapsed() < Duration::from_secs(5), "it stops");
    }
    assert!(seen >= 25 && !camera.has_failed(), "nothing says so: {seen}");
    let closing = Instant::now();
    drop(camera);
    assert!(closing.elapsed() < Duration::from_millis(500), "{:?}", closing.elapsed());
}
