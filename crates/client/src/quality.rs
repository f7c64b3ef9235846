//! What the service is told of a call every ten seconds: the mean of what was measured each second.

use std::time::Duration;

use bedside_protocol::{MediaPath, MediaTransport, QualityReport};
use bedside_rtc::{Path, RelayTransport};
use bedside_session::snapshot::Quality;
use jiff::Timestamp;

/// Measurements in a report: one a second.
const REPORTED: usize = 10;
/// From a mouth to the network and from there to an ear, without the jitter buffer: a packet of 20 ms and
/// the sound devices of both ends. The headless visit measures some 150 ms with a jitter buffer of 60.
pub(crate) const MACHINES: Duration = Duration::from_millis(80);

/// The seconds since the last report.
#[derive(Default)]
pub(crate) struct QualityLog {
    seconds: Vec<(Quality, f32)>,
}

impl QualityLog {
    /// A second was measured, in which what was heard was this loud; gives a report when one is due.
    pub(crate) fn push(&mut self, quality: Quality, audio_level: f32) -> Option<QualityReport> {
        self.seconds.push((quality, audio_level.clamp(0.0, 1.0)));
        if self.seconds.len() < REPORTED {
            return None;
        }
        let seconds = std::mem::take(&mut self.seconds);
        let count = seconds.len() as f32;
        let of = |value: fn(&Quality) -> f32| {
            seconds.iter().map(|(quality, _)| value(quality)).sum::<f32>() / count
        };
        Some(QualityReport {
            at: Timestamp::now(),
            audio_level: seconds.iter().map(|(_, level)| level).sum::<f32>() / count,
            video_bitrate: seconds.iter().map(|(quality, _)| quality.bits_per_second).sum::<u64>()
                / seconds.len() as u64,
            fps: of(|quality| quality.fps as f32).round() as u32,
            width: quality.width,
            height: quality.height,
            packet_loss_percent: of(|quality| quality.packet_loss_percent).clamp(0.0, 100.0),
            jitter_ms: of(|quality| quality.jitter_ms as f32).round() as u32,
            round_trip_ms: quality.round_trip_ms,
            concealed_percent: of(|quality| quality.concealed_percent).clamp(0.0, 100.0),
            frozen_percent: of(|quality| quality.frozen_percent).clamp(0.0, 100.0),
            mos: of(|quality| quality.mos).clamp(1.0, 5.0),
            path: quality.path,
            transport: quality.transport,
        })
    }

    /// The seconds so far are of another connection.
    pub(crate) fn restart(&mut self) {
        self.seconds.clear();
    }
}

pub(crate) const fn path(path: Path) -> MediaPath {
    match path {
        Path::Host => MediaPath::Host,
        Path::Srflx => MediaPath::Srflx,
        Path::Relay => MediaPath::Relay,
    }
}

pub(crate) const fn transport(transport: RelayTransport) -> MediaTransport {
    match transport {
        RelayTransport::Udp => MediaTransport::Udp,
        RelayTransport::Tcp => MediaTransport::Tcp,
        RelayTransport::Tls => MediaTransport::Tls,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tenth_second_the_mean_is_told() {
        let mut log = QualityLog::default();
        let mut told = vec![];
        for second in 0..25_u8 {
            let quality = Quality {
                fps: if second % 2 == 0 { 20 } else { 30 },
                mos: 4.0,
                concealed_percent: f32::from(second % 10),
                ..Quality::default()
            };
            told.extend(log.push(quality, 2.0));
        }
        assert_eq!(told.len(), 2);
        assert_eq!((told[0].fps, told[0].mos, told[0].audio_level), (25, 4.0, 1.0));
        assert!((told[1].concealed_percent - 4.5).abs() < 0.01);
    }
}
