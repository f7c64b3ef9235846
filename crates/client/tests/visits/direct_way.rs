//! Two who can reach one another do not go through the relay, which would take the call with it
//! when the service restarts. Five times over: what once went wrong did so in four of ten.

use crate::support::{Visit, until};
use bedside_session::Snapshot;

/// Whether media is relayed; none before it was measured.
fn relayed(snapshot: &Snapshot) -> Option<bool> {
    let quality = snapshot.visit.as_ref()?.call.as_ref()?.quality;
    quality.round_trip_ms.map(|_| quality.relayed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_direct_way_wins() {
    for _ in 0..5 {
        let visit = Visit::begin().await;
        visit.talk().await;
        for client in [&visit.doctor, &visit.patient] {
            let measured = until(client, "a measurement", |s| relayed(s).is_some()).await;
            assert_eq!(relayed(&measured), Some(false));
        }
        visit.close().await.service.stop().await;
    }
}
