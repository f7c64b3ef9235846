//! What both ends see and say, made once by a script.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};

use crate::{python, root};

/// What the scripts need, from PyPI.
const PACKAGES: &[&str] =
    &["numpy", "scipy", "opencv-python-headless", "scikit-image", "pesq", "visqol-python"];
/// How often the ten seconds of speech are said: longer than any call here.
const ROUNDS: u32 = 30;

pub(super) struct Media {
    pub(super) python: PathBuf,
    pub(super) folder: PathBuf,
    /// The clip as a webcam gives it; its twin for the browser lies beside it.
    pub(super) frames: PathBuf,
    /// What the doctor and the patient say, over and over.
    pub(super) speech: [PathBuf; 2],
}

impl Media {
    pub(super) fn make() -> Result<Self> {
        let folder = root().join("target/lab");
        fs::create_dir_all(&folder)?;
        let python = python::environment("target/lab/python", PACKAGES)?
            .context("the lab needs a Python with packages from PyPI, which could not be made")?;
        let speech = ["doctor", "patient"].map(|side| folder.join(format!("long-speech-{side}.wav")));
        let media = Self { frames: folder.join("clip.yuyv"), speech, python, folder };
        // Written last: where they are, all is.
        if media.speech.iter().all(|speech| speech.exists()) {
            return Ok(media);
        }
        println!("making the clip");
        let clip = root().join("xtask/assets/lab/clip.py");
        let mut is_made = Command::new(&media.python).arg(clip).arg(&media.folder).status()?.success();
        for (side, long) in ["doctor", "patient"].iter().zip(&media.speech) {
            let mut sox = Command::new("sox");
            sox.arg(media.folder.join(format!("speech-{side}.wav"))).arg(long);
            is_made = is_made && sox.args(["repeat", &ROUNDS.to_string()]).status()?.success();
        }
        if !is_made {
            bail!("the clip could not be made");
        }
        Ok(media)
    }
}
