//! How a visit was seen and heard: reports into means, means into a word.

use bedside_protocol::{ConnectionQuality, QualityReport, ReceivedQuality};

/// People are satisfied from 4.0 on, and many are not below 3.6 (ITU-T G.107 Annex B).
const EXCELLENT_FROM: f32 = 4.0;
const GOOD_FROM: f32 = 3.6;
/// Percent of the time; a picture that stands still this much is noticed, or useless.
const NOTICED_FROM: f32 = 3.0;
const USELESS_FROM: f32 = 15.0;

/// Whether a report can be one.
pub fn is_sane(report: &QualityReport) -> bool {
    let percents = [report.packet_loss_percent, report.concealed_percent, report.frozen_percent];
    percents.iter().all(|percent| (0.0..=100.0).contains(percent))
        && (0.0..=1.0).contains(&report.audio_level)
        && (1.0..=5.0).contains(&report.mos)
        && report.fps <= 240
        && report.width.max(report.height) <= 16_384
        && report.video_bitrate <= 1_000_000_000
        && report.jitter_ms.max(report.round_trip_ms.unwrap_or(0)) <= 600_000
}

/// The mean of what one participant told; none where they told nothing.
pub fn mean(reports: &[QualityReport]) -> Option<ReceivedQuality> {
    let count = u32::try_from(reports.len()).ok().filter(|count| *count > 0)?;
    let of = |value: fn(&QualityReport) -> f64| reports.iter().map(value).sum::<f64>() / f64::from(count);
    let known: Vec<f64> = reports.iter().filter_map(|r| r.round_trip_ms.map(f64::from)).collect();
    let mos = of(|r| f64::from(r.mos)) as f32;
    let frozen_percent = of(|r| f64::from(r.frozen_percent)) as f32;
    Some(ReceivedQuality {
        reports: count,
        mos,
        fps: of(|r| f64::from(r.fps)) as f32,
        video_bitrate: of(|r| r.video_bitrate as f64) as u64,
        packet_loss_percent: of(|r| f64::from(r.packet_loss_percent)) as f32,
        jitter_ms: of(|r| f64::from(r.jitter_ms)) as f32,
        round_trip_ms: (!known.is_empty()).then(|| (known.iter().sum::<f64>() / known.len() as f64) as f32),
        concealed_percent: of(|r| f64::from(r.concealed_percent)) as f32,
        frozen_percent,
        connection_quality: word(mos, frozen_percent),
    })
}

/// The worse of what was heard and what was seen.
fn word(mos: f32, frozen_percent: f32) -> ConnectionQuality {
    if mos < GOOD_FROM || frozen_percent >= USELESS_FROM {
        ConnectionQuality::Poor
    } else if mos < EXCELLENT_FROM || frozen_percent >= NOTICED_FROM {
        ConnectionQuality::Good
    } else {
        ConnectionQuality::Excellent
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn report(mos: f32, frozen_percent: f32, round_trip_ms: Option<u32>) -> QualityReport {
        QualityReport {
            at: Timestamp::UNIX_EPOCH,
            audio_level: 0.2,
            video_bitrate: 900_000,
            fps: 30,
            width: 640,
            height: 360,
            packet_loss_percent: 1.0,
            jitter_ms: 4,
            round_trip_ms,
            concealed_percent: 0.5,
            frozen_percent,
            mos,
            path: None,
            transport: None,
        }
    }

    #[test]
    fn the_worse_of_picture_and_sound_gives_the_word() {
        for (mos, frozen, wanted) in [
            (4.3, 0.0, ConnectionQuality::Excellent),
            (4.3, 4.0, ConnectionQuality::Good),
            (3.8, 0.0, ConnectionQuality::Good),
            (4.3, 20.0, ConnectionQuality::Poor),
            (3.0, 0.0, ConnectionQuality::Poor),
        ] {
            assert_eq!(
                mean(&[report(mos, frozen, None)]).unwrap().connection_quality,
                wanted,
                "{mos} {frozen}"
            );
        }
    }

    #[test]
    fn means_leave_out_what_was_not_known() {
        assert_eq!(mean(&[]), None);
        let found = mean(&[report(4.0, 0.0, None), report(3.0, 10.0, Some(80))]).unwrap();
        assert_eq!((found.reports, found.mos, found.frozen_percent), (2, 3.5, 5.0));
        assert_eq!(found.round_trip_ms, Some(80.0));
    }

    #[test]
    fn what_nobody_can_measure_is_not_sane() {
        let good = report(4.0, 0.0, Some(20));
        assert!(is_sane(&good));
        for wrong in [
            QualityReport { mos: 5.1, ..good },
            QualityReport { concealed_percent: -1.0, ..good },
            QualityReport { packet_loss_percent: f32::NAN, ..good },
            QualityReport { width: 100_000, ..good },
            QualityReport { round_trip_ms: Some(u32::MAX), ..good },
        ] {
            assert!(!is_sane(&wrong), "{wrong:?}");
        }
    }
}
