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

/// Frames in one of the windows that the quietest moment is looked for in: a second. Somebody who
/// reads a paragraph aloud may not pause once in four of them, but hardly talks through ten.
const WINDOW: u32 = 100;
const WINDOWS: usize = 10;

/// How loud it is in the room when nobody speaks: the quietest moment of the last ten seconds.
#[derive(Debug)]
pub struct NoiseFloor {
    last: [f32; 3],
    current: f32,
    frames: u32,
    quietest: [f32; WINDOWS],
    seen: usize,
}

impl Default for NoiseFloor {
    fn default() -> Self {
        Self { last: [f32::MAX; 3], current: f32::MAX, frames: 0, quietest: [f32::MAX; WINDOWS], seen: 0 }
    }
}

impl NoiseFloor {
    /// Takes 10 ms; gives the floor in dBFS after each window once there are enough of them, −∞ for
    /// digital silence.
    pub fn push(&mut self, sound: &[f32]) -> Option<f32> {
        let power = sound.iter().map(|s| s * s).sum::<f32>() / sound.len().max(1) as f32;
        // Three in a row: the gap between two words counts, that within a sound does not.
        self.last = [self.last[1], self.last[2], power];
        self.current = self.current.min(self.last.into_iter().fold(0.0, f32::max));
        self.frames += 1;
        if !self.frames.is_multiple_of(WINDOW) {
            return None;
        }
        self.quietest[self.seen % WINDOWS] = self.current;
        self.seen += 1;
        self.current = f32::MAX;
        if self.seen < WINDOWS {
            return None;
        }
        let floor = self.quietest.iter().copied().fold(f32::MAX, f32::min);
        Some(10.0 * floor.log10())
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

    #[test]
    fn the_floor_is_what_is_left_between_words() {
        let noise = |n: usize| ((n * 7919) % 997) as f32 / 997.0 - 0.5;
        let mut floor = NoiseFloor::default();
        let mut found = None;
        for frame in 0..1_000_usize {
            let speaks = frame % 100 < 70;
            let sound: Vec<f32> = (0..480)
                .map(|i| {
                    noise(frame * 480 + i) * 0.02 + if speaks { 0.3 * (i as f32 * 0.05).sin() } else { 0.0 }
                })
                .collect();
            found = floor.push(&sound).or(found);
        }
        let found = found.unwrap();
        assert!((-48.0..-40.0).contains(&found), "{found} dBFS");
    }

    #[test]
    fn somebody_who_reads_aloud_is_no_noise() {
        let mut floor = NoiseFloor::default();
        for frame in 0..3_000_usize {
            // Seven seconds without a breath, then a short one, in a quiet room.
            let speaks = frame % 710 >= 10;
            let loud = if speaks { 0.1 } else { 0.000_2 };
            let sound: Vec<f32> = (0..480).map(|i| loud * (i as f32 * 0.05).sin()).collect();
            let found = floor.push(&sound);
            assert!(found.is_none_or(|floor| floor < -60.0), "{found:?} dBFS after {frame} frames");
        }
    }
}
