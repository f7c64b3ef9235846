//! What this service tells of itself, as Prometheus reads it. No label says who anybody is.

use std::{
    future::IntoFuture,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::Response,
    routing::get,
};
use bedside_protocol::{MediaPath, MediaTransport, Party, QualityReport};
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use tokio::{net::TcpListener, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{App, ServiceError, folder};

/// Answers to HTTP requests, by method, route and status.
const HTTP_REQUESTS: &str = "bedside_http_requests_total";
/// How long they took.
const HTTP_SECONDS: &str = "bedside_http_request_duration_seconds";
/// Clients that are connected.
const SOCKETS: &str = "bedside_realtime_connections";
/// Clients that were cut off because they did not read.
const SOCKETS_CUT: &str = "bedside_realtime_cut_off_total";
/// Messages to clients.
const MESSAGES: &str = "bedside_realtime_messages_total";
/// Visits that are open.
const VISITS: &str = "bedside_visits";
/// The longest that somebody waits.
const LONGEST_WAIT: &str = "bedside_longest_wait_seconds";
/// What has changed and was not told yet.
const UNTOLD: &str = "bedside_untold_changes";
/// Mails and text messages on their way.
const OUTGOING: &str = "bedside_outgoing_messages";
/// Those that were sent, or not.
const OUTGOING_SENT: &str = "bedside_outgoing_sent_total";
/// Lines that wait to be written into the audit log.
const AUDIT_WAITING: &str = "bedside_audit_lines_waiting";
/// Bytes that may still be written where the service's data is.
const DISK_FREE: &str = "bedside_disk_free_bytes";
/// Whether the database answered when it was asked for these.
const DATABASE_UP: &str = "bedside_database_up";
/// Sign-ins by password, and how they ended.
const SIGN_INS: &str = "bedside_sign_ins_total";
/// Services on the same database.
const INSTANCES: &str = "bedside_instances";
/// What was said to the other services, and whether it was heard.
const NOTICES: &str = "bedside_bus_notices_total";
/// Mean opinion score of ten seconds of a call.
const CALL_MOS: &str = "bedside_call_mos";
/// Sound that did not arrive in ten seconds of a call.
const CALL_LOSS: &str = "bedside_call_packet_loss_ratio";
/// Its jitter.
const CALL_JITTER: &str = "bedside_call_jitter_seconds";
/// To the other end and back.
const CALL_ROUND_TRIP: &str = "bedside_call_round_trip_seconds";
/// How long the picture stood still in ten seconds of a call.
const CALL_FROZEN: &str = "bedside_call_frozen_ratio";

/// How often what was counted is put together.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
/// How long an answer may take when the service stops.
const ENDS_WITHIN: Duration = Duration::from_secs(1);
/// How long a look at the database may take: whoever scrapes waits ten seconds.
const LOOKS_FOR: Duration = Duration::from_secs(3);

/// Seconds that answers take: from what nobody notices to what everybody gives up on.
const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Mean opinion scores, by half points and the two words' limits (`consult::quality`).
const SCORES: &[f64] = &[1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.3, 5.0];
/// Shares.
const RATIOS: &[f64] = &[0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0];

/// One for the process, as what counts is.
static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

fn install() -> Result<&'static PrometheusHandle, ServiceError> {
    if let Some(handle) = HANDLE.get() {
        return Ok(handle);
    }
    let wrong = |error: &dyn std::fmt::Display| ServiceError::Config(format!("metrics: {error}"));
    let built = [
        (Matcher::Suffix("_seconds".to_owned()), SECONDS),
        (Matcher::Suffix("_mos".to_owned()), SCORES),
        (Matcher::Suffix("_ratio".to_owned()), RATIOS),
    ]
    .into_iter()
    .try_fold(PrometheusBuilder::new(), |builder, (matcher, buckets)| {
        builder.set_buckets_for_metric(matcher, buckets)
    });
    let recorder = built.map_err(|error| wrong(&error))?.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|error| wrong(&error))?;
    describe();
    Ok(HANDLE.get_or_init(|| handle))
}

fn describe() {
    describe_counter!(HTTP_REQUESTS, "Answers to HTTP requests");
    describe_histogram!(HTTP_SECONDS, Unit::Seconds, "How long answers to HTTP requests took");
    describe_gauge!(SOCKETS, "Clients that are connected to this service");
    describe_counter!(SOCKETS_CUT, "Clients that were cut off because they did not read");
    describe_counter!(MESSAGES, "Realtime messages to clients");
    describe_gauge!(VISITS, "Visits that are open, of all services on the database");
    describe_gauge!(LONGEST_WAIT, Unit::Seconds, "The longest that somebody waits");
    describe_gauge!(UNTOLD, "Changes whose listeners were not told yet");
    describe_gauge!(OUTGOING, "Mails and text messages that wait, or were given up");
    describe_counter!(OUTGOING_SENT, "Mails and text messages that were sent, or could not be");
    describe_gauge!(AUDIT_WAITING, "Lines that wait to be written into the audit log");
    describe_gauge!(DISK_FREE, Unit::Bytes, "What may still be written where the data is");
    describe_gauge!(DATABASE_UP, "Whether the database answered");
    describe_counter!(SIGN_INS, "Sign-ins by password");
    describe_gauge!(INSTANCES, "Services on the database");
    describe_counter!(NOTICES, "Notices to the other services");
    describe_histogram!(CALL_MOS, "Mean opinion score of ten seconds of a call (ITU-T G.107)");
    describe_histogram!(CALL_LOSS, "Sound that did not arrive in ten seconds of a call");
    describe_histogram!(CALL_JITTER, Unit::Seconds, "Jitter of the sound (RFC 3550)");
    describe_histogram!(CALL_ROUND_TRIP, Unit::Seconds, "To the other end of a call and back");
    describe_histogram!(CALL_FROZEN, "Time that the picture stood still in ten seconds of a call");
    Collector::default().describe();
}

/// Serves `/metrics` on an address of its own, until the service stops.
pub(crate) async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    stop: CancellationToken,
) -> Result<(), ServiceError> {
    let handle = install()?;
    let page = move |State(app): State<Arc<App>>| async move {
        sample(&app).await;
        handle.render()
    };
    let router = Router::new().route("/metrics", get(page)).with_state(app);
    let ends = stop.clone();
    let serving = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    // Somebody who sends half a request does not hold up the stop.
    let late = async {
        ends.cancelled().await;
        tokio::time::sleep(ENDS_WITHIN).await;
    };
    let upkeep = async {
        let mut interval = tokio::time::interval(UPKEEP_EVERY);
        loop {
            interval.tick().await;
            // Where nobody scrapes, what was counted would pile up.
            handle.run_upkeep();
        }
    };
    tokio::select! {
        served = serving.into_future() => Ok(served?),
        () = late => Ok(()),
        () = upkeep => Ok(()),
    }
}

/// Sets what is not counted as it happens.
async fn sample(app: &App) {
    Collector::default().collect();
    gauge!(SOCKETS).set(app.hub.sockets() as f64);
    gauge!(AUDIT_WAITING).set(app.access_log.waiting() as f64);
    // Where the system does not say, there is no figure.
    if let Ok(Some(free)) = folder::free(&app.config.data) {
        gauge!(DISK_FREE).set(free as f64);
    }
    let looked = tokio::time::timeout(LOOKS_FOR, app.store.census(jiff::Timestamp::now())).await;
    let Ok(Ok(census)) = looked else {
        gauge!(DATABASE_UP).set(0.0);
        return;
    };
    gauge!(DATABASE_UP).set(1.0);
    for (status, count) in census.visits {
        gauge!(VISITS, "status" => status).set(count as f64);
    }
    gauge!(LONGEST_WAIT).set(census.longest_wait.as_secs_f64().max(0.0));
    gauge!(UNTOLD).set(census.untold as f64);
    gauge!(OUTGOING, "state" => "waiting").set(census.outgoing_waiting as f64);
    gauge!(OUTGOING, "state" => "given-up").set(census.outgoing_given_up as f64);
    // Alone, it says nothing to anybody of itself.
    gauge!(INSTANCES).set(census.instances.max(1) as f64);
}

/// Counts a request and how long it took, by its route: never by its path, which has ids.
pub(crate) async fn count_request(request: Request, next: Next) -> Response {
    let began = Instant::now();
    // A client may make up methods; there is a figure for each label.
    let known = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
    let method = known.iter().find(|known| *known == request.method());
    let method = method.map_or("other", Method::as_str).to_owned();
    let route = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    counter!(HTTP_REQUESTS, "method" => method, "route" => route.clone(), "status" => status).increment(1);
    histogram!(HTTP_SECONDS, "route" => route).record(began.elapsed().as_secs_f64());
    response
}

/// This many sockets were sent a message.
pub(crate) fn count_messages(sockets: u64) {
    counter!(MESSAGES).increment(sockets);
}

/// A client that did not read was cut off.
pub(crate) fn count_cut_off() {
    counter!(SOCKETS_CUT).increment(1);
}

/// Somebody tried a password.
pub(crate) fn count_sign_in(is_right: bool) {
    counter!(SIGN_INS, "outcome" => if is_right { "right" } else { "wrong" }).increment(1);
}

/// A mail or a text message went out, or did not.
pub(crate) fn count_outgoing(is_sent: bool) {
    counter!(OUTGOING_SENT, "outcome" => if is_sent { "sent" } else { "failed" }).increment(1);
}

/// Something was said to the other services, or could not be.
pub(crate) fn count_notices(notices: u64, are_said: bool) {
    counter!(NOTICES, "outcome" => if are_said { "said" } else { "missed" }).increment(notices);
}

/// What one side of a call measured.
pub(crate) fn count_quality(side: Party, report: &QualityReport) {
    let side = match side {
        Party::Patient => "patient",
        Party::Doctor => "doctor",
    };
    let path = match (report.path, report.transport) {
        (Some(MediaPath::Host), _) => "host",
        (Some(MediaPath::Srflx), _) => "srflx",
        (Some(MediaPath::Relay), Some(MediaTransport::Tcp)) => "relay-tcp",
        (Some(MediaPath::Relay), Some(MediaTransport::Tls)) => "relay-tls",
        (Some(MediaPath::Relay), _) => "relay-udp",
        (None, _) => "unknown",
    };
    histogram!(CALL_MOS, "side" => side, "path" => path).record(f64::from(report.mos));
    histogram!(CALL_LOSS, "side" => side, "path" => path)
        .record(f64::from(report.packet_loss_percent) / 100.0);
    histogram!(CALL_FROZEN, "side" => side, "path" => path).record(f64::from(report.frozen_percent) / 100.0);
    histogram!(CALL_JITTER, "side" => side, "path" => path).record(f64::from(report.jitter_ms) / 1_000.0);
    if let Some(round_trip) = report.round_trip_ms {
        histogram!(CALL_ROUND_TRIP, "side" => side, "path" => path).record(f64::from(round_trip) / 1_000.0);
    }
}
