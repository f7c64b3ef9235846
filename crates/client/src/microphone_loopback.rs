//! Hearing oneself before a visit: a few seconds of the microphone, as the other side would hear
//! it, played back.

use bedside_media::{AudioFrame, FRAME, SAMPLE_RATE};
use bedside_session::snapshot::EchoTest;

/// Samples recorded: 4 s, a sentence said slowly.
const LENGTH: usize = SAMPLE_RATE as usize * 4;

/// The echo test of one audio thread. Its sound never leaves memory.
#[derive(Default)]
pub(crate) struct MicrophoneLoopback {
    stage: EchoTest,
    recorded: Vec<f32>,
    played: usize,
}

impl MicrophoneLoopback {
    /// Begins to record.
    pub(crate) fn begin() -> Self {
        Self { stage: EchoTest::Listening, recorded: Vec::with_capacity(LENGTH), played: 0 }
    }

    pub(crate) const fn stage(&self) -> EchoTest {
        self.stage
    }

    /// Takes a frame of the microphone; true when the stage has changed.
    pub(crate) fn record(&mut self, frame: &AudioFrame) -> bool {
        if self.stage != EchoTest::Listening {
            return false;
        }
        self.recorded.extend_from_slice(frame);
        let is_full = self.recorded.len() + FRAME > LENGTH;
        if is_full {
            self.stage = EchoTest::Playing;
        }
        is_full
    }

    /// Adds what was recorded to a frame for the speaker; true when the stage has changed.
    pub(crate) fn play(&mut self, frame: &mut AudioFrame) -> bool {
        if self.stage != EchoTest::Playing {
            return false;
        }
        for (out, sample) in frame.iter_mut().zip(&self.recorded[self.played..]) {
            *out += sample;
        }
        self.played = (self.played + FRAME).min(self.recorded.len());
        let is_over = self.played == self.recorded.len();
        if is_over {
            self.recorded = Vec::new();
            self.stage = EchoTest::Played;
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_comes_back_once_and_is_gone() {
        let mut loopback = MicrophoneLoopback::begin();
        let mut frames = 0;
        while loopback.stage() == EchoTest::Listening {
            assert!(!loopback.play(&mut [0.0; FRAME]), "nothing is played while it records");
            frames += 1;
            loopback.record(&[frames as f32; FRAME]);
        }
        assert_eq!(frames, 400);
        for expected in 1..=frames {
            let mut frame = [0.5; FRAME];
            assert!(!loopback.record(&[9.0; FRAME]), "nothing is recorded while it plays");
            assert_eq!(loopback.play(&mut frame), expected == frames);
            assert_eq!(frame, [0.5 + expected as f32; FRAME]);
        }
        assert_eq!(loopback.stage(), EchoTest::Played);
        assert!(loopback.recorded.is_empty());
    }
}
