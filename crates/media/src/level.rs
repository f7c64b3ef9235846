//! How loud it is.

/// Loudness of some sound as a meter shows it: 0 for silence, 1 for full scale, in between by
/// decibels from −60.
pub fn meter(sound: &[f32]) -> f32 {
    let power = sound.iter().map(|s| s * s).sum::<f32>() / sound.len().max(1) as f32;
    if power <= 0.0 { 0.0 } else { ((10.0 * power.log10() + 60.0) / 60.0).clamp(0.0, 1.0) }
}

/// Notices a microphone that gives nothing but zeros, as a muted headset does: even a quiet room
/// through an open microphone has noise in it.
#[derive(Debug, Default)]
pub struct SilenceWatch {
    silent_frames: u32,
}

/// Frames of 10 ms of digital silence before it is called silent: a driver that starts gives
/// zeros for up to a second.
const SILENT_AFTER: u32 = 300;

impl SilenceWatch {
    /// Takes 10 ms; true while the microphone has given nothing for three seconds.
    pub fn push(&mut self, sound: &[f32]) -> bool {
        // One step of 16 bits, dithered away by nothing that is open.
        let silent = sound.iter().all(|s| s.abs() < 1.0 / 32_768.0);
        self.silent_frames = if silent { self.silent_frames.saturating_add(1) } else { 0 };
        self.silent_frames >= SILENT_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_meter_goes_by_decibels() {
        assert_eq!(meter(&[0.0; 480]), 0.0);
        assert_eq!(meter(&[1.0; 480]), 1.0);
        assert!((meter(&[0.001; 480]) - 0.0).abs() < 1e-3);
        assert!((meter(&[0.031_622_8; 480]) - 0.5).abs() < 1e-3, "−30 dB is the middle");
    }

    #[test]
    fn only_true_silence_is_silence() {
        let mut watch = SilenceWatch::default();
        let verdicts: Vec<bool> = (0..SILENT_AFTER).map(|_| watch.push(&[0.0; 480])).collect();
        assert_eq!(verdicts.iter().filter(|v| **v).count(), 1);
        assert!(!watch.push(&[0.0001; 480]), "a quiet room is not silence");
    }
}
