//! What the stack tells of: candidates, states, tracks.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use bedside_media::{OpusPacket, VideoPacket};
use rtc::{
    rtp::{codec::vp8::Vp8Packet, packetizer::Depacketizer},
    rtp_transceiver::rtp_sender::RtpCodecKind,
};
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

use crate::{Candidate, PeerEvent, PeerState, RemoteMedia, sdp};

/// The picture track of the other end, once it is there.
#[derive(Default)]
pub(crate) struct RemoteVideo {
    pub(crate) track: std::sync::OnceLock<Arc<dyn TrackRemote>>,
    pub(crate) ssrc: AtomicU32,
}

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
    pub(crate) has_audio: Arc<AtomicBool>,
    pub(crate) remote_video: Arc<RemoteVideo>,
    pub(crate) gathered: watch::Sender<bool>,
    pub(crate) runtime: Handle,
    pub(crate) clock: Arc<dyn Runtime>,
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
        let (remote, remote_video) = (self.remote.clone(), self.remote_video.clone());
        let (has_audio, clock) = (self.has_audio.clone(), self.clock.clone());
        let task = self.readers.track_future(async move {
            if track.kind().await == RtpCodecKind::Audio {
                let is_first = !has_audio.swap(true, Ordering::Relaxed);
                read(&track, |packet| {
                    // An empty one is a bandwidth probe. A second track is none of a visit between two.
                    if is_first && !packet.payload.is_empty() {
                        let rtc::rtp::Header { ssrc, sequence_number: sequence, timestamp, .. } =
                            packet.header;
                        remote.audio(&OpusPacket { ssrc, sequence, timestamp, data: &packet.payload });
                    }
                })
                .await;
            } else {
                let is_first = remote_video.track.set(track.clone()).is_ok();
                if is_first && let Some(ssrc) = track.ssrcs().await.first() {
                    remote_video.ssrc.store(*ssrc, Ordering::Relaxed);
                }
                read(&track, |packet| {
                    if is_first {
                        remote.video(unpack(packet), clock.now());
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

fn unpack(packet: &rtc::rtp::Packet) -> VideoPacket {
    let mut unpacked = VideoPacket {
        ssrc: packet.header.ssrc,
        sequence: packet.header.sequence_number,
        timestamp: packet.header.timestamp,
        start: false,
        end: packet.header.marker,
        key: false,
        data: vec![],
    };
    // A fresh one for each packet: it keeps fields of the one before. What can't be read
    // (padding of a bandwidth probe) still counts in the order of packets.
    let mut header = Vp8Packet::default();
    if let Ok(data) = header.depacketize(&packet.payload) {
        unpacked.start = header.s == 1 && header.pid == 0;
        // RFC 6386 §9.1: the lowest bit of a frame says that it is not a key frame.
        unpacked.key = unpacked.start && data.first().is_some_and(|first| first & 1 == 0);
        unpacked.data = data.to_vec();
    }
    unpacked
}
