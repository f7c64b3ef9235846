//! The tracks of a connection, by what they carry.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use bedside_bwe::Bitrate;
use bedside_media::{TrackSource, VideoCodec, VideoSource};
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

use crate::codec;

/// Media streams of a description: what belongs together (RFC 8830 §2). A screen is another stream than
/// the person, as browsers have it.
const PERSON_STREAM: &str = "bedside";
const SCREEN_STREAM: &str = "bedside-screen";

/// A track that is sent.
pub(crate) struct LocalTrack {
    pub(crate) source: TrackSource,
    pub(crate) ssrc: u32,
    track: Arc<TrackLocalStaticRTP>,
}

/// How packets name the codecs that both ends have agreed on.
#[derive(Debug, Default)]
pub(crate) struct PayloadTypes(RwLock<Agreed>);

#[derive(Debug, Default)]
struct Agreed {
    audio: Option<u8>,
    /// Of video, in the order that this end would have them: what it may send, or be sent.
    video: Vec<AgreedVideo>,
}

#[derive(Debug)]
struct AgreedVideo {
    codec: VideoCodec,
    payload_type: u8,
    may_send: bool,
}

impl PayloadTypes {
    /// Takes what was agreed on.
    pub(crate) fn set(&self, codecs: &[RTCRtpCodecParameters], is_audio: bool) {
        let mut agreed = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if is_audio {
            agreed.audio = codecs.first().map(|codec| codec.payload_type);
            return;
        }
        agreed.video = codecs
            .iter()
            .filter_map(|codec| {
                Some(AgreedVideo {
                    codec: codec::video_codec(&codec.rtp_codec)?,
                    payload_type: codec.payload_type,
                    may_send: codec::takes_fragments(&codec.rtp_codec),
                })
            })
            .collect();
    }

    /// What a packet that came is encoded in.
    pub(crate) fn codec(&self, payload_type: u8) -> Option<VideoCodec> {
        let agreed = self.0.read().unwrap_or_else(PoisonError::into_inner);
        agreed.video.iter().find(|video| video.payload_type == payload_type).map(|video| video.codec)
    }

    /// Whether a codec may be sent.
    pub(crate) fn may_send(&self, codec: VideoCodec) -> bool {
        self.video(codec).is_some()
    }

    pub(crate) fn video(&self, codec: VideoCodec) -> Option<u8> {
        let agreed = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let video = agreed.video.iter().find(|video| video.codec == codec && video.may_send);
        video.map(|video| video.payload_type)
    }

    pub(crate) fn audio(&self) -> Option<u8> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).audio
    }
}

impl LocalTrack {
    /// A track. Its codec must be one that is always agreed on: without it the stack (0.21.1) leaves the
    /// stream to nobody, whatever else is spoken.
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
        Self { source, ssrc, track: Arc::new(TrackLocalStaticRTP::new(stream)) }
    }

    pub(crate) fn for_stack(&self) -> Arc<dyn TrackLocal> {
        self.track.clone()
    }

    /// Sends a packet; it is numbered when it leaves.
    pub(crate) async fn write(&self, payload_type: u8, timestamp: u32, marker: bool, payload: bytes::Bytes) {
        let header =
            Header { version: 2, marker, payload_type, timestamp, ssrc: self.ssrc, ..Header::default() };
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
