//! What the stack tells of: candidates, states, tracks.

use std::sync::{Arc, Mutex, PoisonError};

use bedside_media::OpusPacket;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
};
use tokio_util::task::TaskTracker;
use webrtc::{
    media_stream::track_remote::{TrackRemote, TrackRemoteEvent},
    peer_connection::{
        PeerConnectionEventHandler, RTCIceGatheringState, RTCPeerConnectionIceEvent, RTCPeerConnectionState,
    },
    runtime::Runtime,
};

use crate::{
    Candidate, PeerEvent, PeerState, RemoteMedia, codec::unpack, sdp, sender::Shared, tracks::RemoteTracks,
};

/// The media section that candidates are trickled for: all are bundled into the first.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) mid: String,
    pub(crate) m_line_index: u16,
}

impl Default for Section {
    /// As the stack numbers its own.
    fn default() -> Self {
        Self { mid: "0".into(), m_line_index: 0 }
    }
}

pub(crate) struct Handler {
    pub(crate) events: mpsc::Sender<PeerEvent>,
    pub(crate) remote: Arc<dyn RemoteMedia>,
    pub(crate) section: Arc<Mutex<Section>>,
    pub(crate) readers: TaskTracker,
    pub(crate) tracks: Arc<RemoteTracks>,
    pub(crate) gathered: watch::Sender<bool>,
    pub(crate) runtime: Handle,
    pub(crate) clock: Arc<dyn Runtime>,
    pub(crate) shared: Arc<Shared>,
}

impl Handler {
    fn tell(&self, event: PeerEvent) {
        // 256 places for some tens of candidates and a state now and then; whoever does not take
        // them in all that time is gone.
        if self.events.try_send(event).is_err() {
            tracing::warn!("nobody takes the connection's events");
        }
    }
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        match event.candidate.to_json() {
            // Where a family has no address, the stack offers its wildcard (0.21.1).
            Ok(init) if !sdp::is_readable(&init.candidate) => {}
            Ok(init) => {
                let section = self.section.lock().unwrap_or_else(PoisonError::into_inner).clone();
                self.tell(PeerEvent::Candidate(Candidate {
                    candidate: init.candidate,
                    sdp_mid: Some(section.mid),
                    sdp_m_line_index: Some(section.m_line_index),
                }));
            }
            Err(error) => tracing::warn!(%error, "a candidate can't be written"),
        }
    }

    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        self.gathered.send_replace(state == RTCIceGatheringState::Complete);
        if state == RTCIceGatheringState::Complete {
            self.tell(PeerEvent::GatheringComplete);
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        tracing::info!(%state, "peer connection");
        let state = match state {
            RTCPeerConnectionState::Connected => PeerState::Connected,
            RTCPeerConnectionState::Disconnected => PeerState::Disconnected,
            RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed => PeerState::Failed,
            _ => PeerState::Connecting,
        };
        self.tell(PeerEvent::State(state));
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let (remote, tracks, clock) = (self.remote.clone(), self.tracks.clone(), self.clock.clone());
        let shared = self.shared.clone();
        let task = self.readers.track_future(async move {
            // Of a track that names no source the packets can be read, but not asked for again.
            let ssrc = track.ssrcs().await.first().copied().unwrap_or_default();
            if track.kind().await == RtpCodecKind::Audio {
                let is_first = tracks.add_audio(ssrc);
                read(&track, |packet| {
                    // An empty one is a bandwidth probe.
                    if is_first && !packet.payload.is_empty() {
                        let rtc::rtp::Header { ssrc, sequence_number: sequence, timestamp, .. } =
                            packet.header;
                        remote.audio(&OpusPacket { ssrc, sequence, timestamp, data: &packet.payload });
                    }
                })
                .await;
            } else {
                let source = tracks.add_video(track.clone(), &track.track_id().await, ssrc);
                read(&track, |packet| {
                    if let Some(source) = source {
                        let codec = shared.payload_types.codec(packet.header.payload_type);
                        remote.video(source, unpack(codec, packet), clock.now());
                    }
                })
                .await;
            }
        });
        self.runtime.spawn(task);
    }
}

async fn read(track: &Arc<dyn TrackRemote>, take: impl Fn(&rtc::rtp::Packet) + Send) {
    while let Some(event) = track.poll().await {
        if let TrackRemoteEvent::OnRtpPacket(packet) = event {
            take(&packet);
        }
    }
}
