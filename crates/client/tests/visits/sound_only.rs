//! A visit by sound only lights no camera, and is a call like any other.

use crate::support::{Visit, until, words};
use bedside_client::{Command, DeviceKind};
use bedside_protocol::ConsultationMode;
use bedside_session::{Snapshot, snapshot::Screen};

/// Whether the camera was so much as tried: here there is none, which trying would have shown.
fn camera_was_tried(snapshot: &Snapshot) -> bool {
    let camera = &snapshot.devices.camera;
    camera.works || camera.opening || camera.trouble.is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_camera_is_lit() {
    let visit = Visit::begin_over(ConsultationMode::Audio, false).await;
    visit.talk().await;
    // Not even when it is asked for: a command that comes from somewhere else.
    visit.patient.command(Command::Switch { device: DeviceKind::Camera, on: false });
    visit.patient.command(Command::Switch { device: DeviceKind::Camera, on: true });
    visit.patient.command(Command::SendText { text: "still here".into() });
    let said = |s: &Snapshot| words(s).len() == 1;
    until(&visit.patient, "the message", said).await;
    for client in [&visit.doctor, &visit.patient] {
        let shown = client.snapshots().borrow().clone();
        assert!(!camera_was_tried(&shown), "{:?}", shown.devices.camera);
        // The microphone was: there is none either, and it says so.
        until(client, "the microphone's trouble", |s| s.devices.microphone.trouble.is_some()).await;
    }
    visit.doctor.command(Command::End);
    until(&visit.patient, "the end", |s| s.screen == Screen::After).await;
    visit.close().await.service.stop().await;
}
