//! How a visit is seen and heard, as its participants measure it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// By which kind of candidate media goes (RFC 8445 §4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum MediaPath {
    /// From the machine's own address.
    Host,
    /// From its address as others see it.
    Srflx,
    /// Through a relay.
    Relay,
}

/// What carries media on its first way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum MediaTransport {
    /// Datagrams.
    Udp,
    /// A stream to a relay.
    Tcp,
    /// A stream to a relay, over TLS.
    Tls,
}

/// `POST …/sessions/{id}/quality`: the last ten seconds of what one participant received.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QualityReport {
    /// Their end, by the participant's clock.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// Loudness of what was heard, 0 to 1.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 1))]
    pub audio_level: f32,
    /// Bits a second received, audio and video.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 1_000_000_000))]
    pub video_bitrate: u64,
    /// Frames drawn a second.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 240))]
    pub fps: u32,
    /// Of the picture; 0 where there is none.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 16_384))]
    pub width: u32,
    /// Of the picture.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 16_384))]
    pub height: u32,
    /// Audio packets that did not arrive, 0 to 100.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 100))]
    pub packet_loss_percent: f32,
    /// Interarrival jitter of the audio (RFC 3550 §6.4.1).
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 600_000))]
    pub jitter_ms: u32,
    /// To the other participant and back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 600_000))]
    pub round_trip_ms: Option<u32>,
    /// Share of the sound that was made up, 0 to 100.
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 100))]
    pub concealed_percent: f32,
    /// Share of the time that the picture stood still, 0 to 100.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 100))]
    pub frozen_percent: f32,
    /// Mean opinion score by the E-model (ITU-T G.107), 1 to 5.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 5))]
    pub mos: f32,
    /// How media goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<MediaPath>,
    /// Over what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<MediaTransport>,
}

/// How a connection was, in a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum ConnectionQuality {
    /// As if in one room.
    Excellent,
    /// With a flaw now and then.
    Good,
    /// Words or movements were lost.
    Poor,
}

/// What one participant received, on average.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReceivedQuality {
    /// Reports that this is the mean of.
    pub reports: u32,
    /// Mean opinion score, 1 to 5.
    pub mos: f32,
    /// Frames drawn a second.
    pub fps: f32,
    /// Bits a second received.
    pub video_bitrate: u64,
    /// Audio packets that did not arrive, 0 to 100.
    pub packet_loss_percent: f32,
    /// Interarrival jitter.
    pub jitter_ms: f32,
    /// Round trip; none where it was never known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_ms: Option<f32>,
    /// Share of the sound that was made up, 0 to 100.
    pub concealed_percent: f32,
    /// Share of the time that the picture stood still, 0 to 100.
    pub frozen_percent: f32,
    /// In a word.
    pub connection_quality: ConnectionQuality,
}

/// `GET …/sessions/{id}/quality`.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct VisitQuality {
    /// What the patient received; none where nothing was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<ReceivedQuality>,
    /// What the doctor received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doctor: Option<ReceivedQuality>,
}
