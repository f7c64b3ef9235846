//! What the stack tells of: candidates, states, tracks.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use bedside_media::VideoPacket;
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
};

use crate::{Candidate, Inbound, PeerEvent, PeerState};

/// The picture track of the other end, once it is there.
#[derive(Default)]
pub(crate) struct RemoteVideo {
    pub(crate) track: std::sync::OnceLock<Arc<dyn TrackRemote>>,
    pub(crate) ssrc: AtomicU32,
}

pub(crate) struct Handler {
    pub(crate) events: mpsc::Sender<PeerEvent>,
    pub(crate) inbound: Arc<dyn Inbound>,
    pub(crate) readers: TaskTracker,
    pub(crate) remote_video: Arc<RemoteVideo>,
    pub(crate) gathered: watch::Sender<bool>,
    pub(crate) runtime: Handle,
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
            Ok(init) => self.tell(PeerEvent::Candidate(Candidate {
                candidate: init.candidate,
                // The stack leaves it empty; everything is bundled into the first section.
                sdp_mid: Some("0".to_owned()),
                sdp_m_line_index: Some(0),
            })),
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
        let (inbound, remote_video) = (self.inbound.clone(), self.remote_video.clone());
        let task = self.readers.track_future(async move {
            if track.kind().await == RtpCodecKind::Audio {
                read_audio(&track, &*inbound).await;
            } else {
                if let Some(ssrc) = track.ssrcs().await.first() {
                    remote_video.ssrc.store(*ssrc, Ordering::Relaxed);
                }
                // A second picture track is not part of a visit between two.
                let _ = remote_video.track.set(track.clone());
                read_video(&track, &*inbound).await;
            }
        });
        self.runtime.spawn(task);
    }
}

async fn read_audio(track: &Arc<dyn TrackRemote>, inbound: &dyn Inbound) {
    while let Some(event) = track.poll().await {
        // An empty one is a bandwidth probe.
        if let TrackRemoteEvent::OnRtpPacket(packet) = event
            && !packet.payload.is_empty()
        {
            inbound.audio(packet.header.sequence_number, &packet.payload);
        }
    }
}

async fn read_video(track: &Arc<dyn TrackRemote>, inbound: &dyn Inbound) {
    while let Some(event) = track.poll().await {
        if let TrackRemoteEvent::OnRtpPacket(packet) = event {
            inbound.video(unpack(&packet));
        }
    }
}

fn unpack(packet: &rtc::rtp::Packet) -> VideoPacket {
    let mut unpacked = VideoPacket {
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
