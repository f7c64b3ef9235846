//! A client that is closed leaves no thread behind, whatever it was doing.

use std::time::Duration;

use crate::support::until;
use bedside_client::{Client, ClientConfig, Command};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_closed_at_once_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody listens there: the client is closed while it tries.
    let config = ClientConfig {
        folder: folder.path().to_owned(),
        service: Some("127.0.0.1:9".into()),
        relay_only: false,
        vp8_only: false,
        without_devices: true,
    };
    let client = Client::start(config);
    client.command(Command::SignIn {
        service: "127.0.0.1:9".into(),
        email: "a@b".into(),
        password: "x".into(),
    });
    until(&client, "the problem", |s| s.problem.is_some()).await;
    tokio::time::timeout(Duration::from_secs(20), client.close()).await.expect("it ends");
    #[cfg(target_os = "linux")]
    assert_eq!(crate::support::media_threads(), [""; 0], "threads are left");
}
