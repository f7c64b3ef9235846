//! The tracks of a connection, by what they carry.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
};

use bedside_bwe::Bitrate;
use bedside_media::{TrackSource, VideoSource};
use rtc::{
    media_stream::MediaStreamTrack,
    rtcp::payload_feedbacks::{
        picture_loss_indication::PictureLossIndication,
        receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate,
    },
    rtp::{Header, Packet},
    rtp_transceiver::rtp_sender::{
        RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
    },
};
use webrtc::media_stream::{
    track_local::{TrackLocal, static_rtp::TrackLocalStaticRTP},
    track_remote::TrackRemote,
};

/// Media streams of a description: what belongs together (RFC 8830 §2). A screen is another stream than
/// the person, as browsers have it.
const PERSON_STREAM: &str = "bedside";
const SCREEN_STREAM: &str = "bedside-screen";

/// A track that is sent.
pub(crate) struct LocalTrack {
    pub(crate) source: TrackSource,
    pub(crate) ssrc: u32,
    mime_type: String,
    payload_type: AtomicU8,
    track: Arc<TrackLocalStaticRTP>,
}

impl LocalTrack {
    pub(crate) fn new(source: TrackSource, codec: &RTCRtpCodecParameters) -> Self {
        let ssrc = rand::random::<u32>();
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..Default::default() },
            codec: codec.rtp_codec.clone(),
            ..Default::default()
        };
        let stream = match source {
            TrackSource::Video(VideoSource::Screen) => SCREEN_STREAM,
            TrackSource::Microphone | TrackSource::Video(VideoSource::Camera) => PERSON_STREAM,
        };
        let kind = if source.is_audio() { RtpCodecKind::Audio } else { RtpCodecKind::Video };
        // The id must differ between the ends: the stack routes RTCP by it (0.21.1).
        let id = format!("{source}-{ssrc:08x}");
        let stream = MediaStreamTrack::new(stream.into(), id, source.to_string(), kind, vec![encoding]);
        Self {
            source,
            ssrc,
            mime_type: codec.rtp_codec.mime_type.clone(),
            payload_type: AtomicU8::new(codec.payload_type),
            track: Arc::new(TrackLocalStaticRTP::new(stream)),
        }
    }

    pub(crate) fn for_stack(&self) -> Arc<dyn TrackLocal> {
        self.track.clone()
    }

    /// Both ends have agreed on these.
    pub(crate) fn set_codecs(&self, codecs: &[RTCRtpCodecParameters]) {
        let is_ours =
            |c: &&RTCRtpCodecParameters| c.rtp_codec.mime_type.eq_ignore_ascii_case(&self.mime_type);
        if let Some(codec) = codecs.iter().find(is_ours) {
            self.payload_type.store(codec.payload_type, Ordering::Relaxed);
        }
    }

    /// Sends a packet; it is numbered when it leaves.
    pub(crate) async fn write(&self, timestamp: u32, marker: bool, payload: bytes::Bytes) {
        let header = Header {
            version: 2,
            marker,
            payload_type: self.payload_type.load(Ordering::Relaxed),
            timestamp,
            ssrc: self.ssrc,
            ..Header::default()
        };
        // It fails once the connection is closed, and then the task is about to be stopped.
        if let Err(error) = self.track.write_rtp(Packet { header, payload }).await {
            tracing::debug!(%error, "a packet could not be sent");
        }
    }
}

/// The other end's tracks, as they appear. Of each source the first; others are none of a visit.
#[derive(Default)]
pub(crate) struct RemoteTracks(Mutex<Known>);

#[derive(Default)]
struct Known {
    sources: HashMap<u32, TrackSource>,
    videos: HashMap<VideoSource, RemoteVideoTrack>,
    has_audio: bool,
}

#[derive(Clone)]
struct RemoteVideoTrack {
    track: Arc<dyn TrackRemote>,
    ssrc: u32,
}

impl RemoteTracks {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an audio track, unless there is one.
    pub(crate) fn add_audio(&self, ssrc: u32) -> bool {
        let mut known = self.known();
        if !std::mem::replace(&mut known.has_audio, true) {
            known.sources.insert(ssrc, TrackSource::Microphone);
            return true;
        }
        false
    }

    /// Takes a video track and says what it is of, unless there is one of that. `id` is its name in the
    /// description: other implementations' say nothing, and their first is the camera's.
    pub(crate) fn add_video(&self, track: Arc<dyn TrackRemote>, id: &str, ssrc: u32) -> Option<VideoSource> {
        let mut known = self.known();
        let is_screen = id.starts_with("screen-") || known.videos.contains_key(&VideoSource::Camera);
        let source = if is_screen { VideoSource::Screen } else { VideoSource::Camera };
        if known.videos.contains_key(&source) {
            return None;
        }
        known.videos.insert(source, RemoteVideoTrack { track, ssrc });
        known.sources.insert(ssrc, TrackSource::Video(source));
        Some(source)
    }

    /// What a stream of the other end's carries.
    pub(crate) fn source(&self, ssrc: u32) -> Option<TrackSource> {
        self.known().sources.get(&ssrc).copied()
    }

    /// Asks for a key frame (RFC 4585 §6.3.1), where there is such a track.
    pub(crate) async fn request_key_frame(&self, source: VideoSource) {
        self.tell(source, |media_ssrc| Box::new(PictureLossIndication { sender_ssrc: 0, media_ssrc })).await;
    }

    /// Says the most that this end can take of a video (draft-alvestrand-rmcat-remb), where there is such a
    /// track.
    pub(crate) async fn limit(&self, source: VideoSource, most: Bitrate) {
        self.tell(source, |ssrc| {
            let bitrate = most.as_f64() as f32;
            Box::new(ReceiverEstimatedMaximumBitrate { sender_ssrc: 0, bitrate, ssrcs: vec![ssrc] })
        })
        .await;
    }

    async fn tell(&self, source: VideoSource, packet: impl FnOnce(u32) -> Box<dyn rtc::rtcp::Packet> + Send) {
        let video = self.known().videos.get(&source).cloned();
        let Some(RemoteVideoTrack { track, ssrc }) = video else { return };
        // Closed: there is nothing to say any more.
        if let Err(error) = track.write_rtcp(vec![packet(ssrc)]).await {
            tracing::debug!(%error, "the other end could not be told");
        }
    }
}
