//! Systems whose screens can't be shared yet.

use super::{Screen, ScreenCapture};
use crate::Trouble;

pub(super) fn screens() -> Result<Vec<Screen>, Trouble> {
    Err(Trouble::Unsupported)
}

pub(super) fn open(_: &str) -> Result<Box<dyn ScreenCapture>, Trouble> {
    Err(Trouble::Unsupported)
}
