//! The fake camera: a library that stands before V4L2, and a node for it to be found at.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

use crate::root;

/// Where the library says that there is a camera.
const NODE: &str = "/dev/video0";

/// The compiled library, and the node for as long as it is wanted.
pub(crate) struct Camera {
    pub(crate) library: PathBuf,
    /// Made by us: to be removed again.
    made: bool,
}

impl Camera {
    /// Compiles the library and makes the node where there is none, as root or with sudo.
    pub(crate) fn plug_in() -> Result<Self> {
        let library = root().join("target/demo/camera.so");
        let compiled = Command::new("cc")
            .args(["-O2", "-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(root().join("xtask/assets/camera.c"))
            .args(["-ldl", "-lm"])
            .status()?;
        if !compiled.success() {
            bail!("the fake camera was not compiled");
        }
        let is_there = Path::new(NODE).exists();
        if !is_there && fs::write(NODE, "").is_err() && !sudo(&["touch", NODE]) {
            bail!(
                "There is no camera, and {NODE}, where the fake one is to be found, can't be made. \
                 Run this as root, or make it once: sudo touch {NODE}"
            );
        }
        Ok(Self { library, made: !is_there })
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        if self.made && fs::remove_file(NODE).is_err() && !sudo(&["rm", NODE]) {
            println!("{NODE} was not removed");
        }
    }
}

fn sudo(args: &[&str]) -> bool {
    Command::new("sudo").arg("-n").args(args).status().is_ok_and(|status| status.success())
}
