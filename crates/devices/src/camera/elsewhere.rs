//! Cameras through nokhwa, on Windows and macOS.

use bedside_media::I420;
use nokhwa::{
    NokhwaError,
    utils::{ApiBackend, CameraIndex, FrameFormat, RequestedFormat, RequestedFormatType},
};

use super::{
    Sink,
    format::{self, Offer, Packing},
    mjpeg::Mjpeg,
};
use crate::{Device, Trouble};

/// macOS converts to YUYV whatever a camera gives; only Windows hands over what it compressed.
#[cfg(windows)]
const FORMATS: &[FrameFormat] = &[FrameFormat::YUYV, FrameFormat::NV12, FrameFormat::MJPEG];
#[cfg(not(windows))]
const FORMATS: &[FrameFormat] = &[FrameFormat::YUYV];
/// Failures in a row after which the camera counts as gone.
const MAX_FAILURES: u32 = 3;

/// Every camera; none when the system can't say. The id is the system's own, which stays the same.
pub(super) fn cameras() -> Vec<Device> {
    let found = nokhwa::query(ApiBackend::Auto).unwrap_or_default();
    let device = |(n, camera): (usize, &nokhwa::utils::CameraInfo)| Device {
        id: camera.misc(),
        name: camera.human_name(),
        is_default: n == 0,
    };
    found.iter().enumerate().map(device).collect()
}

fn packing(format: FrameFormat) -> Option<Packing> {
    match format {
        FrameFormat::NV12 => Some(Packing::Nv12),
        FrameFormat::YUYV => Some(Packing::Yuyv),
        FrameFormat::MJPEG => Some(Packing::Mjpeg),
        _ => None,
    }
}

/// Gives frames to `sink` until it wants no more, from the camera with this id and no other.
pub(super) fn run(id: Option<&str>, sink: &Sink) -> Result<(), Trouble> {
    let found = cameras();
    let chosen = match id {
        Some(id) => found.into_iter().find(|camera| camera.id == id),
        None => found.into_iter().next(),
    };
    let index = CameraIndex::String(chosen.ok_or(Trouble::Missing)?.id);
    // `Closest` fails unless the very size is offered (0.10): open with anything, then choose.
    let any = RequestedFormat::with_formats(RequestedFormatType::None, FORMATS);
    let mut camera = nokhwa::Camera::new(index, any).map_err(|e| trouble(&e))?;
    let formats = camera.compatible_camera_formats().map_err(|e| trouble(&e))?;
    let offers: Vec<Offer> = formats
        .iter()
        .filter(|format| FORMATS.contains(&format.format()))
        .filter_map(|format| {
            let (width, height) = (format.width(), format.height());
            Some(Offer {
                packing: packing(format.format())?,
                width,
                height,
                fps: f64::from(format.frame_rate()),
            })
        })
        .collect();
    let best = format::choose(&offers).and_then(|best| {
        formats.into_iter().find(|format| {
            let same_size = (format.width(), format.height()) == (best.width, best.height);
            same_size
                && packing(format.format()) == Some(best.packing)
                && f64::from(format.frame_rate()) == best.fps
        })
    });
    if let Some(best) = best.filter(|best| *best != camera.camera_format()) {
        let exactly = RequestedFormat::with_formats(RequestedFormatType::Exact(best), FORMATS);
        camera.set_camera_requset(exactly).map_err(|e| trouble(&e))?;
    }
    camera.open_stream().map_err(|e| trouble(&e))?;
    let format = camera.camera_format();
    let (width, height) = (format.width() as usize, format.height() as usize);
    tracing::info!(width, height, fps = format.frame_rate(), format = ?format.format(), "camera open");
    let (mut mjpeg, mut failures) = (Mjpeg::default(), 0);
    while sink.is_wanted() {
        let picture = camera.frame_raw().map_err(|e| trouble(&e)).and_then(|raw| match format.format() {
            FrameFormat::MJPEG => mjpeg.decode(&raw),
            FrameFormat::NV12 => I420::from_nv12(width, height, width, &raw).map_err(other),
            // Rows may be padded, and nothing says by how much (0.10) but the whole.
            _ => I420::from_yuyv(width, height, (raw.len() / height.max(1)).max(2 * width), &raw)
                .map_err(other),
        });
        match picture {
            Ok(picture) => {
                failures = 0;
                sink.give(picture);
            }
            Err(trouble) => {
                failures += 1;
                if failures >= MAX_FAILURES || trouble == Trouble::Missing {
                    return Err(trouble);
                }
                // After any failed frame the stream must be opened again (nokhwa 0.10).
                camera.stop_stream().map_err(|e| self::trouble(&e))?;
                camera.open_stream().map_err(|e| self::trouble(&e))?;
            }
        }
    }
    camera.stop_stream().map_err(|e| trouble(&e))
}

fn other(error: bedside_media::MediaError) -> Trouble {
    Trouble::Other(error.to_string())
}

/// What the system's error means to a person; nokhwa passes it on only as text.
fn trouble(error: &NokhwaError) -> Trouble {
    Trouble::Other(error.to_string())
}
