//! A visit lasts longer than the tokens it began with.

use std::time::Duration;

use crate::support::{Visit, is_connected, until, words};
use bedside_client::Command;
use bedside_service::App;
use bedside_session::{Snapshot, snapshot::Link};
use jiff::Timestamp;

/// Beyond an access token's 15 minutes.
const ACCESS_ENDS: Duration = Duration::from_secs(20 * 60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_have_ended_are_renewed_and_the_visit_goes_on() {
    let visit = Visit::begin().await;
    visit.talk().await;
    let app = App::open(visit.clinic.service.config.clone(), None).await.unwrap();
    let has = |count: usize| move |s: &Snapshot| words(s).len() == count;
    for round in 0..2 {
        let mut unit = app.store.begin(Timestamp::now()).await.unwrap();
        unit.forget_tokens(Timestamp::now() + ACCESS_ENDS).await.unwrap();
        unit.commit().await.unwrap();
        // A file goes over REST, and so needs an access token.
        let file = Command::SendFile { name: "values.txt".into(), bytes: b"120 over 80".as_slice().into() };
        visit.patient.command(file);
        until(&visit.doctor, "the file", has(round + 1)).await;
        for client in [&visit.doctor, &visit.patient] {
            let now = client.snapshots().borrow().clone();
            assert!(is_connected(&now) && now.link == Link::Up, "the call was not touched: {now:?}");
            assert!(now.problem.is_none(), "nobody was told: {now:?}");
        }
    }
    app.store.close().await;
    visit.close().await.service.stop().await;
}
