//! What a person's devices and network can do, kept for the practice under a short code.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{DeviceCheck, Text};

/// What a call of a device to itself, through the service's relay, showed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkCheck {
    /// What arrived in its best second, bits a second; none when nothing did.
    #[serde(default)]
    #[ts(type = "number | null")]
    pub bits_per_second: Option<u64>,
    /// Of the audio, 0 to 100.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(maximum = 100))]
    pub loss_percent: Option<u8>,
    /// To the relay and back, milliseconds.
    #[serde(default)]
    pub round_trip_ms: Option<u32>,
    /// Whether the relay was reached over UDP.
    pub udp: bool,
    /// Over TCP.
    pub tcp: bool,
    /// Over TLS.
    pub tls: bool,
}

/// `POST /api/v1/device-checks`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceCheckReport {
    /// What the devices can do.
    pub devices: DeviceCheck,
    /// What the network can.
    pub network: NetworkCheck,
}

/// The answer to it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeviceCheckKept {
    /// What the person tells the practice, such as `K7M2QX`.
    pub code: String,
}

/// `GET /api/v1/device-checks/{code}`, for the practice.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct KeptDeviceCheck {
    /// As it was asked for.
    pub code: String,
    /// Whose.
    pub name: Text,
    /// When it was made.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub checked_at: Timestamp,
    /// What the devices could do.
    pub devices: DeviceCheck,
    /// What the network could.
    pub network: NetworkCheck,
}
