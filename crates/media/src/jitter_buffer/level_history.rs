//! How much audio was left lately.

use std::collections::VecDeque;

/// How much audio was left after each frame of 10 ms, as the least of every quarter of a second.
#[derive(Default)]
pub(super) struct LevelHistory {
    /// Milliseconds, oldest first.
    quarters: VecDeque<f32>,
    frames: u32,
}

impl LevelHistory {
    /// Frames of 10 ms in a quarter of a second.
    const QUARTER: u32 = 25;
    /// Ten seconds: a burst that comes again within them finds the level as high as it needs.
    pub(super) const KEPT: usize = 40;
    /// Two seconds, before which nothing is left out.
    const SETTLED: usize = 8;
    /// Six seconds.
    pub(super) const LONGER: usize = 24;
    /// Two seconds.
    pub(super) const LATELY: usize = 8;

    pub(super) fn push(&mut self, level_ms: f32) {
        if self.frames.is_multiple_of(Self::QUARTER) {
            self.quarters.push_back(level_ms);
            if self.quarters.len() > Self::KEPT {
                self.quarters.pop_front();
            }
        }
        self.frames = self.frames.wrapping_add(1);
        self.note(level_ms);
    }

    /// Less was left than was seen: by so much a packet came too late.
    pub(super) fn note(&mut self, level_ms: f32) {
        if let Some(quarter) = self.quarters.back_mut() {
            *quarter = quarter.min(level_ms);
        }
    }

    pub(super) fn is_settled(&self) -> bool {
        self.quarters.len() >= Self::SETTLED
    }

    /// The least of as many quarters, in ms; nothing yet counts as enough.
    pub(super) fn least(&self, quarters: usize) -> f32 {
        self.quarters.iter().rev().take(quarters).copied().reduce(f32::min).unwrap_or(f32::MAX)
    }

    /// The level was changed: what was left would have been that much more.
    pub(super) fn shift(&mut self, by_ms: f32) {
        for quarter in &mut self.quarters {
            *quarter += by_ms;
        }
    }
}
