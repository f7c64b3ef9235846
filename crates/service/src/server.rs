//! Takes connections, and lets none of them be held for nothing: times for what is slow, a bounded number of places,
//! and an end to the waiting when the service stops.

use std::{
    io,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, body::Body};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_service::Service;

use crate::{
    descriptors,
    origin::{ConnectedTo, counted},
    places::{Place, Places},
    tls::Tls,
};

/// Time for a request's head, and that a connection may wait for its next one.
pub(crate) const HEAD_WITHIN: Duration = Duration::from_secs(15);
/// A client that takes nothing for this long does not read any more.
const TAKES_WITHIN: Duration = Duration::from_secs(20);
/// Time for TLS to be agreed on: a few round trips of the slowest line.
const SECURED_WITHIN: Duration = Duration::from_secs(10);
/// How long it is waited when there is no descriptor for a connection.
const NO_DESCRIPTOR_FOR: Duration = Duration::from_millis(100);
/// What is under way when the service stops has this long to end, of ten seconds for the whole stop.
const ENDS_WITHIN: Duration = Duration::from_secs(6);

/// Serves until `stop`, then until what is under way has ended or has had its time.
pub(crate) async fn run(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    router: Router,
    stop: CancellationToken,
) {
    let server = Arc::new(Server {
        router,
        tls,
        places: Places::new(descriptors::share().connections),
        stop: stop.clone(),
        cut: CancellationToken::new(),
    });
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                connections.spawn(server.clone().serve(stream, peer));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was not taken");
                // Each is of that one connection, but for when there are no descriptors left.
                if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
                {
                    tokio::time::sleep(NO_DESCRIPTOR_FOR).await;
                }
            }
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(ENDS_WITHIN, connections.wait()).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests that do not end are cut off");
    }
    server.cut.cancel();
    connections.wait().await;
}

struct Server {
    router: Router,
    /// How clients are shown who this is, where nothing in front of it does that.
    tls: Option<Arc<Tls>>,
    places: Places,
    /// No request more is taken.
    stop: CancellationToken,
    /// Nothing more is waited for.
    cut: CancellationToken,
}

impl Server {
    async fn serve(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        // Small answers at once; without it they are only later.
        let _ = stream.set_nodelay(true);
        let needed_more = CancellationToken::new();
        let seat = Arc::new(Seat::new(self.places.clone(), peer, needed_more.clone()));
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(TAKES_WITHIN));
        let stream = Box::pin(stream);
        let Some(tls) = &self.tls else { return self.speak(stream, peer, seat, needed_more).await };
        let secured = tokio::select! {
            secured = tokio::time::timeout(SECURED_WITHIN, tls.acceptor().accept(stream)) => secured,
            () = needed_more.cancelled() => return,
            () = self.stop.cancelled() => return,
        };
        match secured {
            Ok(Ok(stream)) => self.speak(stream, peer, seat, needed_more).await,
            // Whoever speaks no TLS, or knows another authority, is told so by it.
            Ok(Err(error)) => tracing::debug!(%error, "a connection was not secured"),
            Err(_) => {}
        }
    }

    async fn speak(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: SocketAddr,
        seat: Arc<Seat>,
        needed_more: CancellationToken,
    ) {
        let service = {
            let router = self.router.clone();
            hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                seat.renew();
                let (mut router, seat) = (router.clone(), seat.clone());
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(ConnectedTo(peer));
                async move {
                    let response = router.call(request).await;
                    seat.renew();
                    response
                }
            })
        };
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
        let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
        let mut connection = pin!(connection);
        let mut is_stopping = false;
        loop {
            tokio::select! {
                // A client that breaks off or sends what is no HTTP is told so by hyper where it can be.
                _ = connection.as_mut() => return,
                () = self.stop.cancelled(), if !is_stopping => {
                    is_stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = needed_more.cancelled() => return,
                () = self.cut.cancelled() => return,
            }
        }
    }
}

/// A connection's place, as old as its last request or answer.
struct Seat {
    places: Places,
    peer: SocketAddr,
    needed_more: CancellationToken,
    place: Mutex<Option<Place>>,
}

impl Seat {
    fn new(places: Places, peer: SocketAddr, needed_more: CancellationToken) -> Self {
        let seat = Self { places, peer, needed_more, place: Mutex::default() };
        seat.renew();
        seat
    }

    fn renew(&self) {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        // First given back, so that it is not somebody else's that makes room.
        place.take();
        *place = Some(self.places.take(counted(self.peer.ip()), self.needed_more.clone()));
    }
}
