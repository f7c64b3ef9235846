//! A client that is closed leaves no thread behind, whatever it was doing.

use std::time::Duration;

use bedside_client::{Client, ClientConfig, Command};
use bedside_session::Snapshot;

/// Waits until a client shows what is wanted.
async fn until(client: &Client, what: &str, wanted: impl Fn(&Snapshot) -> bool) -> Snapshot {
    let mut snapshots = client.snapshots();
    let found = tokio::time::timeout(Duration::from_secs(40), async {
        loop {
            let now = snapshots.borrow_and_update().clone();
            if wanted(&now) {
                return now;
            }
            snapshots.changed().await.expect("the client runs");
        }
    });
    match found.await {
        Ok(snapshot) => snapshot,
        Err(late) => panic!("waited in vain for {what}: {late}, {:?}", client.snapshots().borrow().screen),
    }
}

/// Names of this process's threads that belong to a client.
#[cfg(target_os = "linux")]
fn media_threads() -> Vec<String> {
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| ["audio", "video", "camera", "sound", "decode"].contains(&name.as_str()))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_closed_at_once_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody listens there: the client is closed while it tries.
    let config = ClientConfig { folder: folder.path().to_owned(), service: Some("127.0.0.1:9".into()) };
    let client = Client::start(config);
    client.command(Command::SignIn {
        service: "127.0.0.1:9".into(),
        email: "a@b".into(),
        password: "x".into(),
    });
    until(&client, "the problem", |s| s.problem.is_some()).await;
    tokio::time::timeout(Duration::from_secs(20), client.close()).await.expect("it ends");
    #[cfg(target_os = "linux")]
    assert_eq!(media_threads(), [""; 0], "threads are left");
}
