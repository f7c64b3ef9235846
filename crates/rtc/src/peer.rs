//! One end of a call.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use bedside_bwe::Bitrate;
use bedside_media::{TrackSource, VideoCodec, VideoSource};
use bedside_proxy::Proxies;
use rtc::{
    ice::{mdns::MulticastDnsMode, network_type::NetworkType},
    interceptor::{NackGeneratorBuilder, ReceiverReportBuilder, SenderReportBuilder, TwccReceiverBuilder},
    peer_connection::configuration::RTCOfferOptions,
    rtp_transceiver::rtp_sender::{RTCRtpCodecParameters, RTCRtpHeaderExtensionCapability, RtpCodecKind},
    sdp::extmap::TRANSPORT_CC_URI,
};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use webrtc::{
    peer_connection::{
        MediaEngine, PeerConnection, PeerConnectionBuilder, RTCConfigurationBuilder, RTCIceCandidateInit,
        RTCIceCandidateType, RTCIceServer, RTCIceTransportPolicy, RTCSessionDescription, RTCStatsReportEntry,
        Registry, SettingEngineBuilder, Slot, StatsSelector,
    },
    rtp_transceiver::RtpSender,
    runtime::{Runtime, TokioRuntime, timeout},
};

use crate::{
    IceServer, RelayTransport, RemoteMedia, RtcError, SendFeedback, codec,
    handler::{Handler, Section},
    sdp::{self, Cleaned},
    sender::{self, MediaSender, Shared},
    tracks::{LocalTrack, RemoteTracks},
    transport::{self, Transport},
    tunnel::{self, Carrier, Tunnels},
};

/// Events waiting for whoever drives the peer.
const EVENTS: usize = 256;
/// No sign of life from the other end for this long: the connection counts as disconnected.
/// Eight keep-alives, so that a lossy network does not look like a dead one.
const DISCONNECTED_AFTER: Duration = Duration::from_millis(2_500);
/// And this long after that as failed.
const FAILED_AFTER: Duration = Duration::from_secs(20);
const KEEP_ALIVE: Duration = Duration::from_millis(300);
/// How often candidate pairs are checked while connecting. The stack sends its first DTLS flight
/// only at the next check (0.21.1), so this is also what connecting costs over the round trips.
const CHECK_INTERVAL: Duration = Duration::from_millis(25);
/// Checks before a pair is given up: ten seconds of them.
const MAX_CHECKS: u16 = 400;
/// How long a relayed pair waits for a direct one to succeed.
const RELAY_WAITS: Duration = Duration::from_millis(800);
/// How long an answer waits for the candidates it carries. The offering end knows nothing of the
/// answering one before the answer, and drops its checks; afterwards, a check that overtakes its
/// candidate makes the stack (0.21.1) take a relay for a direct way, with a direct one's priority,
/// and keep it. Two round trips to a relay are enough for all of them.
const GATHER_WITHIN: Duration = Duration::from_millis(250);
/// Candidates kept that came before their description: several times what a machine with many
/// networks has. More are dropped.
const MOST_EARLY: usize = 64;
/// Candidates taken of the other end over a connection's life, restarts included.
const MOST_CANDIDATES: usize = 512;
/// How often this end tells of what arrived.
const FEEDBACK_EVERY: Duration = Duration::from_millis(50);
/// Packets that may come out of order and are still read: two seconds of the best picture. With the
/// stack's 64 (0.21.1) a repair that comes after a fifth of a second is thrown away.
const REPLAY_WINDOW: usize = 1_024;
/// How often an allocation on a relay is renewed: well before a nonce or a NAT's mapping ends.
const REFRESH_EVERY: Duration = Duration::from_secs(60);
/// How often missing picture packets are asked for again, and how many times.
const NACK_INTERVAL: Duration = Duration::from_millis(20);
const MAX_NACKS: u16 = 20;

/// How to connect.
#[derive(Clone, Debug, Default)]
pub struct PeerConfig {
    /// Servers to learn one's addresses from and to relay through.
    pub ice_servers: Vec<IceServer>,
    /// Only through a relay.
    pub relay_only: bool,
    /// The other end may be on this machine.
    pub loopback: bool,
    /// Whose certificates are believed of relays over TLS; those that the system believes if none.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// Through which relays over TCP and TLS are reached.
    pub proxies: Proxies,
    /// Codecs of video that this end shows, the best first. VP8 is always one (RFC 7742 §5).
    pub video_codecs: Vec<VideoCodec>,
    /// What is sent before anything is known of the network; as a call begins if none.
    pub begins_with: Option<Bitrate>,
}

/// A candidate as it is trickled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// `candidate:` line.
    pub candidate: String,
    /// Media section.
    pub sdp_mid: Option<String>,
    /// Media section by number.
    pub sdp_m_line_index: Option<u16>,
}

/// How the connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PeerState {
    /// Being made.
    Connecting,
    /// Media can flow.
    Connected,
    /// No sign of life; it may come back by itself.
    Disconnected,
    /// It won't come back without an ICE restart.
    Failed,
}

/// What a peer tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerEvent {
    /// To be sent to the other end.
    Candidate(Candidate),
    /// No more of them.
    GatheringComplete,
    /// How the connection is now.
    State(PeerState),
}

/// A kind of candidate (RFC 8445 §4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Path {
    /// The machine's own address.
    Host,
    /// Its address as others see it.
    Srflx,
    /// A relay.
    Relay,
}

/// How the connection does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PeerStats {
    /// Round trip of the selected pair.
    pub round_trip: Option<Duration>,
    /// By which kind of own candidate media goes; none while it goes by none.
    pub path: Option<Path>,
    /// To which kind of the other end's.
    pub remote_path: Option<Path>,
    /// Whether media goes through a relay, of either end's.
    pub relayed: Option<bool>,
    /// How one's own relay is spoken to; datagrams where there is none.
    pub transport: Option<RelayTransport>,
    /// Bytes received over the selected pair.
    pub bytes_received: u64,
    /// Bytes sent over it.
    pub bytes_sent: u64,
    /// Estimate of what may be sent.
    pub available: Bitrate,
}

/// One end of a call. To be closed with [`Peer::close`]: the stack goes on without it otherwise.
pub struct Peer {
    connection: Arc<dyn PeerConnection>,
    tracks: Arc<[LocalTrack]>,
    /// As many as tracks, in their order.
    senders: Vec<Arc<dyn RtpSender>>,
    shared: Arc<Shared>,
    media: MediaSender,
    gathered: watch::Sender<bool>,
    section: Arc<Mutex<Section>>,
    /// Candidates that came before the description they belong to.
    early: Vec<Candidate>,
    has_remote: bool,
    /// Candidates taken of the other end.
    taken: usize,
    stop: CancellationToken,
    sending: JoinHandle<()>,
    readers: TaskTracker,
    runtime: Arc<dyn Runtime>,
    carrier: Option<Carrier>,
    remote_tracks: Arc<RemoteTracks>,
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("has_remote", &self.has_remote).finish_non_exhaustive()
    }
}

/// Waits for a task to end, and has the connection made anew where it did not end by itself: a call
/// in which nothing is sent any more must not look like one.
async fn watched(task: JoinHandle<()>, events: mpsc::Sender<PeerEvent>) {
    if let Err(error) = task.await {
        tracing::error!(%error, "sending has ended");
        // Full only where nobody takes them, and then the connection is being closed.
        let _ = events.try_send(PeerEvent::State(PeerState::Failed));
    }
}

/// How relays are reached.
struct Reach {
    runtime: Arc<dyn Runtime>,
    servers: Vec<RTCIceServer>,
    carrier: Option<Carrier>,
}

/// A runtime that reaches those of the relays that are reached by a stream, and these as the stack takes
/// them.
fn with_tunnels(
    runtime: Arc<dyn Runtime>,
    config: &PeerConfig,
    tasks: &TaskTracker,
) -> Result<Reach, RtcError> {
    let (mut ways, mut servers) = (vec![], vec![]);
    for server in &config.ice_servers {
        if let Some(way) = server.way() {
            servers.push(server.at(tunnel::stands_for(ways.len())));
            ways.push(way);
        }
    }
    if ways.is_empty() {
        return Ok(Reach { runtime, servers, carrier: None });
    }
    let tls = config.tls.clone().map_or_else(system_tls, Ok)?;
    let has_udp = config.ice_servers.iter().any(|server| server.for_stack().is_some_and(is_relay));
    let tunnels = Tunnels::new(runtime, ways, has_udp, tls, config.proxies.clone(), tasks.clone());
    let carrier = Some(tunnels.carrier());
    Ok(Reach { runtime: Arc::new(tunnels), servers, carrier })
}

/// What this end shows, in the order that descriptions have it: VP8 last, where nobody would have it earlier.
fn video_codecs(config: &PeerConfig) -> Vec<RTCRtpCodecParameters> {
    let mut codecs = config.video_codecs.clone();
    if !codecs.contains(&VideoCodec::Vp8) {
        codecs.push(VideoCodec::Vp8);
    }
    codecs.into_iter().map(codec::video).collect()
}

fn is_relay(server: RTCIceServer) -> bool {
    server.urls.iter().any(|url| url.starts_with("turn:"))
}

fn system_tls() -> Result<Arc<rustls::ClientConfig>, RtcError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier)?;
    Ok(Arc::new(config.with_no_client_auth()))
}

impl Peer {
    /// A peer that has said nothing yet. Its events come out of the receiver.
    pub async fn open(
        config: &PeerConfig,
        remote: Arc<dyn RemoteMedia>,
        feedback: Arc<dyn SendFeedback>,
    ) -> Result<(Self, mpsc::Receiver<PeerEvent>), RtcError> {
        Self::open_on(Arc::new(TokioRuntime), config, remote, feedback).await
    }

    /// The same with a clock and a network of one's own, for calls in virtual time. Nothing in a
    /// peer reads another clock.
    pub async fn open_on(
        runtime: Arc<dyn Runtime>,
        config: &PeerConfig,
        remote: Arc<dyn RemoteMedia>,
        feedback: Arc<dyn SendFeedback>,
    ) -> Result<(Self, mpsc::Receiver<PeerEvent>), RtcError> {
        let readers = TaskTracker::new();
        let Reach { runtime, mut servers, carrier } = with_tunnels(runtime, config, &readers)?;
        let vp8 = codec::video(VideoCodec::Vp8);
        let tracks: Arc<[LocalTrack]> = Arc::new([
            LocalTrack::new(TrackSource::Microphone, &codec::opus()),
            LocalTrack::new(TrackSource::Video(VideoSource::Camera), &vp8),
            LocalTrack::new(TrackSource::Video(VideoSource::Screen), &vp8),
        ]);
        let remote_tracks = Arc::new(RemoteTracks::default());
        let link_config = transport::config(config.begins_with);
        let shared = Arc::new(Shared::new(link_config));

        let mut engine = MediaEngine::default();
        engine.register_codec(codec::opus(), RtpCodecKind::Audio)?;
        let video = video_codecs(config);
        for codec in &video {
            engine.register_codec(codec.clone(), RtpCodecKind::Video)?;
        }
        let nack = NackGeneratorBuilder::new()
            .with_interval(NACK_INTERVAL)
            .with_max_nacks_per_packet(MAX_NACKS)
            .build();
        for kind in [RtpCodecKind::Audio, RtpCodecKind::Video] {
            let uri = TRANSPORT_CC_URI.to_owned();
            engine.register_header_extension(RTCRtpHeaderExtensionCapability { uri }, kind, None)?;
        }
        let feedback_every = TwccReceiverBuilder::new().with_interval(FEEDBACK_EVERY).build();
        let registry = Registry::new()
            .with(Slot::NackGenerator, nack)
            .with(Slot::TwccReceiver, feedback_every)
            .with(Slot::ReceiverReport, ReceiverReportBuilder::new().build())
            .with(Slot::SenderReport, SenderReportBuilder::new().build())
            // It numbers and repairs as well: what would do that beside it is left out.
            .with(
                Slot::Pacer,
                Transport::new(
                    link_config,
                    shared.link.clone(),
                    &tracks,
                    remote_tracks.clone(),
                    feedback,
                    remote.clone(),
                ),
            );
        servers.extend(config.ice_servers.iter().filter_map(IceServer::for_stack));
        let policy =
            if config.relay_only { RTCIceTransportPolicy::Relay } else { RTCIceTransportPolicy::All };
        let relay_waits = if config.relay_only { Duration::ZERO } else { RELAY_WAITS };
        let settings = SettingEngineBuilder::new()
            .with_ice_timeouts(Some(DISCONNECTED_AFTER), Some(FAILED_AFTER), Some(KEEP_ALIVE))
            .with_ice_connection_attempts(Some(CHECK_INTERVAL), Some(MAX_CHECKS))
            .with_srflx_acceptance_min_wait(Some(Duration::from_millis(200)))
            .with_prflx_acceptance_min_wait(Some(Duration::from_millis(200)))
            .with_relay_acceptance_min_wait(Some(relay_waits))
            // Its sockets need a multicast route, without which nothing is built at all.
            .with_multicast_dns_mode(MulticastDnsMode::Disabled)
            .with_network_types(vec![NetworkType::Udp4, NetworkType::Udp6])
            // A restart follows the machine to another network.
            .with_discard_local_candidates_during_ice_restart(true)
            .with_srtp_replay_protection_window(REPLAY_WINDOW)
            .with_turn_allocation_refresh_interval_cap(REFRESH_EVERY)
            .build();
        // Each stands for the addresses of its own family.
        let mut addresses = vec!["0.0.0.0:0".to_owned(), "[::]:0".to_owned()];
        if config.loopback {
            addresses.push("127.0.0.1:0".to_owned());
        }

        let (events, receiver) = mpsc::channel(EVENTS);
        let gathered = watch::Sender::new(false);
        let section = Arc::new(Mutex::new(Section::default()));
        let handler = Handler {
            events: events.clone(),
            remote: remote.clone(),
            section: section.clone(),
            readers: readers.clone(),
            tracks: remote_tracks.clone(),
            gathered: gathered.clone(),
            runtime: tokio::runtime::Handle::current(),
            clock: runtime.clone(),
            shared: shared.clone(),
        };
        let connection = PeerConnectionBuilder::new()
            .with_configuration(
                RTCConfigurationBuilder::new()
                    .with_ice_servers(servers)
                    .with_ice_transport_policy(policy)
                    .build(),
            )
            .with_media_engine(engine)
            .with_setting_engine(settings)
            .with_interceptor_registry(registry)
            .with_handler(Arc::new(handler))
            .with_runtime(runtime.clone())
            .with_udp_addrs(addresses)
            .build()
            .await?;
        let connection: Arc<dyn PeerConnection> = Arc::new(connection);
        let mut senders = vec![];
        for track in tracks.iter() {
            senders.push(connection.add_track(track.for_stack()).await?);
        }
        // By itself the stack describes a track's own codec alone.
        for transceiver in connection.get_transceivers().await {
            let Some(sender) = transceiver.sender().await? else { continue };
            if sender.track().kind().await == RtpCodecKind::Video {
                transceiver.set_codec_preferences(video.clone()).await?;
            }
        }

        let (media, sending) =
            sender::sender(shared.clone(), tracks.clone(), runtime.clone(), remote, remote_tracks.clone());
        let stop = CancellationToken::new();
        let sending = tokio::spawn(watched(tokio::spawn(sending.run(stop.clone())), events));
        let peer = Self {
            connection,
            tracks,
            senders,
            shared,
            media,
            gathered,
            section,
            early: vec![],
            has_remote: false,
            taken: 0,
            stop,
            sending,
            readers,
            runtime,
            carrier,
            remote_tracks,
        };
        Ok((peer, receiver))
    }

    /// What sends media over this peer.
    pub fn media(&self) -> MediaSender {
        self.media.clone()
    }

    /// Says to the other end the most that this one can take of a video. It holds for a few seconds: to be
    /// said again every second.
    pub async fn limit(&self, source: VideoSource, most: Bitrate) {
        self.remote_tracks.limit(source, most).await;
    }

    /// Says that media can flow, or can't, as the last [`PeerEvent::State`] had it.
    pub fn set_connected(&self, connected: bool) {
        self.shared.connected.store(connected, Ordering::Relaxed);
    }

    /// An offer, with new candidates when `restart`. Gathering begins.
    pub async fn offer(&mut self, restart: bool) -> Result<String, RtcError> {
        let offer =
            self.connection.create_offer(restart.then_some(RTCOfferOptions { ice_restart: true })).await?;
        let sdp = offer.sdp.clone();
        self.connection.set_local_description(offer).await?;
        Ok(sdp)
    }

    /// Takes an offer and answers it, with the candidates that are found quickly. Gathering begins.
    pub async fn answer(&mut self, offer: String) -> Result<String, RtcError> {
        let offer = self.cleaned(&offer)?;
        self.connection.set_remote_description(RTCSessionDescription::offer(offer.sdp.clone())?).await?;
        let answer = self.connection.create_answer(None).await?;
        let sdp = answer.sdp.clone();
        self.gathered.send_replace(false);
        self.connection.set_local_description(answer).await?;
        self.described().await?;
        let mut gathered = self.gathered.subscribe();
        // What comes later is trickled. A relay that is silent never lets it complete (0.21.1).
        let _ = timeout(&*self.runtime, GATHER_WITHIN, gathered.wait_for(|done| *done)).await;
        let answer = self.connection.local_description().await.map_or(sdp, |described| described.sdp);
        Ok(offer.answered(&answer))
    }

    /// Takes the answer to the last offer.
    pub async fn accept(&mut self, answer: String) -> Result<(), RtcError> {
        let answer = self.cleaned(&answer)?;
        self.connection.set_remote_description(RTCSessionDescription::answer(answer.sdp)?).await?;
        self.described().await
    }

    /// A description of the other end as the stack can read it; candidates go by its sections.
    fn cleaned(&self, description: &str) -> Result<Cleaned, RtcError> {
        let cleaned = sdp::clean(description)?;
        *self.section.lock().unwrap_or_else(PoisonError::into_inner) =
            Section { mid: cleaned.mid.clone(), m_line_index: cleaned.m_line_index };
        Ok(cleaned)
    }

    /// Takes one of the other end's candidates, now or once its description is there.
    pub async fn add_candidate(&mut self, candidate: Candidate) -> Result<(), RtcError> {
        if !self.has_remote {
            if self.early.len() < MOST_EARLY {
                self.early.push(candidate);
            }
            return Ok(());
        }
        // The end of candidates, or one that leads nowhere: the others remain.
        if !sdp::is_readable(&candidate.candidate) || self.taken >= MOST_CANDIDATES {
            return Ok(());
        }
        self.taken += 1;
        let init = RTCIceCandidateInit {
            candidate: candidate.candidate,
            sdp_mid: candidate.sdp_mid,
            sdp_mline_index: candidate.sdp_m_line_index,
            ..Default::default()
        };
        self.connection.add_ice_candidate(init).await?;
        Ok(())
    }

    /// Both descriptions are there: payload types are known, early candidates have a place.
    async fn described(&mut self) -> Result<(), RtcError> {
        for (sender, track) in self.senders.iter().zip(self.tracks.iter()) {
            // Of videos the camera's: a section for a screen may have been refused, and says nothing then.
            if track.source != TrackSource::Video(VideoSource::Screen) {
                let codecs = sender.get_parameters().await?.rtp_parameters.codecs;
                tracing::debug!(source = %track.source, ?codecs, "agreed on");
                self.shared.payload_types.set(&codecs, track.source.is_audio());
            }
        }
        self.has_remote = true;
        for candidate in std::mem::take(&mut self.early) {
            if let Err(error) = self.add_candidate(candidate).await {
                // One way less to reach the other end; the others remain.
                tracing::debug!(%error, "an early candidate was not taken");
            }
        }
        Ok(())
    }

    /// How the connection does now.
    pub async fn stats(&self) -> PeerStats {
        let report = self.connection.get_stats(self.runtime.now(), StatsSelector::None).await;
        let pair = report.transport().and_then(|transport| report.get(&transport.selected_candidate_pair_id));
        let mut stats = PeerStats { available: self.media.link().estimate.target, ..PeerStats::default() };
        if let Some(RTCStatsReportEntry::IceCandidatePair(pair)) = pair {
            stats.round_trip = Duration::try_from_secs_f64(pair.current_round_trip_time).ok();
            stats.bytes_received = pair.bytes_received;
            stats.bytes_sent = pair.bytes_sent;
        }
        if let Ok(Some(transport)) = self.senders[0].transport().await
            && let Ok(Some(pair)) = transport.ice_transport().get_selected_candidate_pair().await
        {
            let is_relay = |typ| typ == RTCIceCandidateType::Relay;
            stats.relayed = Some(is_relay(pair.local().typ) || is_relay(pair.remote().typ));
            let kind = |typ| match typ {
                RTCIceCandidateType::Host => Some(Path::Host),
                RTCIceCandidateType::Srflx | RTCIceCandidateType::Prflx => Some(Path::Srflx),
                RTCIceCandidateType::Relay => Some(Path::Relay),
                _ => None,
            };
            stats.path = kind(pair.local().typ);
            stats.remote_path = kind(pair.remote().typ);
            let by_stream = self.carrier.as_ref().and_then(Carrier::transport);
            stats.transport =
                by_stream.filter(|_| stats.path == Some(Path::Relay)).or(Some(RelayTransport::Udp));
        }
        stats
    }

    /// Closes the connection and waits until its tasks and sockets are gone.
    pub async fn close(self) {
        self.set_connected(false);
        self.stop.cancel();
        if let Err(error) = self.connection.close().await {
            tracing::warn!(%error, "the peer connection did not close well");
        }
        self.readers.close();
        self.readers.wait().await;
        if let Err(error) = self.sending.await {
            tracing::error!(%error, "the sender had stopped");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sending_that_ends_by_a_fault_is_told_and_one_that_was_stopped_is_not() {
        let (events, mut told) = mpsc::channel(1);
        watched(tokio::spawn(async {}), events.clone()).await;
        assert!(told.try_recv().is_err());
        watched(tokio::spawn(async { panic!("a fault, for a test") }), events).await;
        assert_eq!(told.recv().await, Some(PeerEvent::State(PeerState::Failed)));
    }
}
