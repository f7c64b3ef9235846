//! What is remembered on this machine: nothing that identifies anybody's visits.

use std::{io, path::Path};

use serde::{Deserialize, Serialize};

/// Settings of this machine's user.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Settings {
    /// The service signed in to last.
    pub(crate) service: Option<String>,
    /// Devices the person chose.
    pub(crate) microphone: Option<String>,
    pub(crate) speaker: Option<String>,
    pub(crate) camera: Option<String>,
}

impl Settings {
    /// Reads them; those of a first start where there are none or they are damaged.
    pub(crate) fn read(folder: &Path) -> Self {
        match std::fs::read(folder.join("settings.json")) {
            Ok(bytes) => Self::parse(&bytes),
            Err(_) => Self::default(),
        }
    }

    fn parse(bytes: &[u8]) -> Self {
        let read = serde_json::from_slice(bytes).unwrap_or_else(|error| {
            tracing::warn!(%error, "the settings are damaged and start anew");
            Self::default()
        });
        // Numbers, by which earlier versions named cameras, name another one after the next replugging.
        let is_number = |id: &String| id.chars().all(|c| c.is_ascii_digit());
        Self { camera: read.camera.clone().filter(|id| !is_number(id)), ..read }
    }

    /// Writes them, whole or not at all.
    pub(crate) fn write(&self, folder: &Path) {
        let write = || -> io::Result<()> {
            std::fs::create_dir_all(folder)?;
            let new = folder.join("settings.json.new");
            std::fs::write(&new, serde_json::to_vec_pretty(self)?)?;
            std::fs::rename(new, folder.join("settings.json"))
        };
        if let Err(error) = write() {
            tracing::warn!(%error, "the settings were not kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_by_number_is_forgotten_and_one_by_its_place_is_not() {
        let camera = |id: &str| Settings::parse(format!(r#"{{"camera":"{id}"}}"#).as_bytes()).camera;
        assert_eq!(camera("0"), None);
        assert_eq!(camera("bus:usb-2:Cam:0").as_deref(), Some("bus:usb-2:Cam:0"));
        assert!(Settings::parse(b"not json").service.is_none());
    }
}
