//! Cameras through V4L2.

use std::{
    collections::HashMap,
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use bedside_media::I420;
use v4l::{
    Format, FourCC, Fraction,
    buffer::{Flags, Type},
    capability::Flags as Capability,
    frameinterval::FrameIntervalEnum,
    framesize::FrameSizeEnum,
    io::{
        mmap::Stream as MmapStream,
        traits::{CaptureStream, Stream as _},
    },
    video::{Capture, capture::Parameters},
};

use super::{
    Sink,
    format::{self, Offer, Packing},
    mjpeg::Mjpeg,
};
use crate::{Device, Trouble};

/// Where the system's nodes are.
const NODES: &str = "/dev";
/// What the kernel says of each.
const SYSFS: &str = "/sys/class/video4linux";
/// Buffers between the camera and its thread.
const BUFFERS: u32 = 4;
/// How long a frame is waited for before it is looked whether the camera is still wanted, ms.
const LOOK_EVERY_MS: i32 = 100;
/// Frames in a row that can't be read, after which the camera counts as failed.
const MAX_BROKEN: u32 = 30;

/// A camera and its node.
#[derive(Clone)]
struct Node {
    path: PathBuf,
    device: Device,
    /// Sees heat or faces in the dark: nobody's choice by itself.
    is_infrared: bool,
}

/// Nodes that were found to be cameras: one that is open can't be asked again.
static KNOWN: Mutex<Option<HashMap<PathBuf, Node>>> = Mutex::new(None);

/// Every camera.
pub(super) fn cameras() -> Vec<Device> {
    let nodes = nodes(Path::new(NODES));
    let chosen = default(&nodes).map(|node| node.device.id.clone());
    let is_default = |device: &Device| chosen.as_ref() == Some(&device.id);
    nodes.iter().map(|node| Device { is_default: is_default(&node.device), ..node.device.clone() }).collect()
}

fn default(nodes: &[Node]) -> Option<&Node> {
    nodes.iter().find(|node| !node.is_infrared)
}

/// The cameras among the nodes of a folder, by their numbers. What is not one, or can't be read, takes
/// nothing else away.
fn nodes(folder: &Path) -> Vec<Node> {
    let mut paths: Vec<(u32, PathBuf)> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            // Links lead to a node that is listed itself.
            let is_link = entry.file_type().ok()?.is_symlink();
            let number = entry.file_name().to_str()?.strip_prefix("video")?.parse().ok()?;
            (!is_link).then(|| (number, entry.path()))
        })
        .collect();
    paths.sort_unstable();

    let mut nodes: Vec<Node> = vec![];
    for (number, path) in paths {
        // The crate panics on names that are not UTF-8, as a cut-off umlaut is (v4l 0.14). Nothing is
        // held meanwhile: a sick driver may never answer.
        let asked = catch_unwind(AssertUnwindSafe(|| ask(number, &path)));
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_or_insert_default();
        match asked {
            Ok(Ok(node)) => drop(known.insert(path.clone(), node)),
            Ok(Err(error)) if error.raw_os_error() == Some(libc::EBUSY) => {}
            Ok(Err(_)) | Err(_) => drop(known.remove(&path)),
        }
        nodes.extend(known.get(&path).cloned());
    }
    tell_apart(&mut nodes);
    nodes
}

/// Two of a kind are told apart: by where they are plugged in, and in their names.
fn tell_apart(nodes: &mut [Node]) {
    for at in 0..nodes.len() {
        let (before, after) = nodes.split_at_mut(at);
        let Some(this) = after.first_mut() else { return };
        let same = before.iter().filter(|other| other.device.name.starts_with(&this.device.name)).count();
        if same > 0 {
            this.device.name = format!("{} ({})", this.device.name, same + 1);
        }
    }
}

/// What a node is; an error for one that gives no pictures.
fn ask(number: u32, path: &Path) -> io::Result<Node> {
    let device = v4l::Device::with_path(path)?;
    let capabilities = device.query_caps()?;
    let needed = Capability::VIDEO_CAPTURE | Capability::STREAMING;
    if !capabilities.capabilities.contains(needed) || format::choose(&offers(&device)?).is_none() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let sysfs = Path::new(SYSFS).join(format!("video{number}"));
    let read = |file: &str| fs::read_to_string(sysfs.join(file)).ok().map(|text| text.trim().to_owned());
    let name = read("name").unwrap_or_else(|| capabilities.card.clone());
    let index = read("index").unwrap_or_else(|| "0".to_owned());
    let usb =
        fs::canonicalize(sysfs.join("device")).ok().and_then(|device| device.parent().map(Path::to_owned));
    let serial = usb.and_then(|usb| usb_serial(&usb));
    // The number changes with the order of plugging in; these do not.
    let id = serial.map_or_else(
        || format!("bus:{}:{}:{index}", capabilities.bus, capabilities.card),
        // With its place: cheap cameras share a serial number.
        |serial| format!("usb:{serial}:{}:{index}", capabilities.bus),
    );
    let lower = name.to_lowercase();
    let is_infrared =
        lower.contains("infrared") || lower.split(|c: char| !c.is_alphanumeric()).any(|w| w == "ir");
    Ok(Node { path: path.to_owned(), device: Device { id, name, is_default: false }, is_infrared })
}

fn usb_serial(usb: &Path) -> Option<String> {
    let read = |file: &str| fs::read_to_string(usb.join(file)).ok().map(|text| text.trim().to_owned());
    Some(format!("{}:{}:{}", read("idVendor")?, read("idProduct")?, read("serial")?))
}

const fn fourcc(packing: Packing) -> &'static [u8; 4] {
    match packing {
        Packing::Nv12 => b"NV12",
        Packing::Yuyv => b"YUYV",
        Packing::Mjpeg => b"MJPG",
    }
}

fn packing(fourcc_: FourCC) -> Option<Packing> {
    [Packing::Nv12, Packing::Yuyv, Packing::Mjpeg]
        .into_iter()
        .find(|packing| *fourcc(*packing) == fourcc_.repr)
}

/// All that a camera offers and that can be taken apart here.
fn offers(device: &v4l::Device) -> io::Result<Vec<Offer>> {
    let mut offers = vec![];
    for described in device.enum_formats()? {
        let Some(packing) = packing(described.fourcc) else { continue };
        for size in device.enum_framesizes(described.fourcc).unwrap_or_default() {
            let sizes: Vec<(u32, u32)> = match size.size {
                FrameSizeEnum::Discrete(size) => vec![(size.width, size.height)],
                FrameSizeEnum::Stepwise(s) => vec![format::nearest_size(
                    (s.min_width, s.max_width, s.step_width),
                    (s.min_height, s.max_height, s.step_height),
                )],
            };
            for (width, height) in sizes {
                let fps = fastest(device, described.fourcc, width, height);
                offers.push(Offer { packing, width, height, fps });
            }
        }
    }
    Ok(offers)
}

/// Frames a second at the most; thirty, where the camera does not say.
fn fastest(device: &v4l::Device, fourcc: FourCC, width: u32, height: u32) -> f64 {
    let rate = |interval: Fraction| f64::from(interval.denominator) / f64::from(interval.numerator.max(1));
    let intervals = device.enum_frameintervals(fourcc, width, height).unwrap_or_default();
    let rates = intervals.into_iter().map(|interval| match interval.interval {
        FrameIntervalEnum::Discrete(interval) => rate(interval),
        FrameIntervalEnum::Stepwise(stepwise) => rate(stepwise.min),
    });
    rates.filter(|rate| *rate > 0.0).reduce(f64::max).unwrap_or(30.0)
}

/// Gives frames to `sink` until it wants no more, from the camera with this id and no other; without
/// one, from the first that sees what people see.
pub(super) fn run(id: Option<&str>, sink: &Sink) -> Result<(), Trouble> {
    run_in(Path::new(NODES), id, sink)
}

fn run_in(folder: &Path, id: Option<&str>, sink: &Sink) -> Result<(), Trouble> {
    let nodes = nodes(folder);
    let node = match id {
        Some(id) => nodes.iter().find(|node| node.device.id == id),
        None => default(&nodes),
    };
    let node = node.ok_or(Trouble::Missing)?;
    let device = v4l::Device::with_path(&node.path).map_err(|e| trouble(&e))?;
    let chosen = format::choose(&offers(&device).map_err(|e| trouble(&e))?).ok_or(Trouble::Missing)?;
    let asked = Format::new(chosen.width, chosen.height, FourCC::new(fourcc(chosen.packing)));
    // What comes back is what comes, whatever was asked.
    let given = device.set_format(&asked).map_err(|e| trouble(&e))?;
    let packing =
        packing(given.fourcc).ok_or_else(|| Trouble::Other(format!("it gives {}", given.fourcc)))?;
    // Some have only one rate and refuse to be told.
    if let Err(error) =
        device.set_params(&Parameters::new(Fraction::new(1, chosen.fps.round().max(1.0) as u32)))
    {
        tracing::debug!(%error, "the camera keeps its own rate");
    }
    tracing::info!(width = given.width, height = given.height, ?packing, fps = chosen.fps, "camera open");
    let mut stream =
        MmapStream::with_buffers(&device, Type::VideoCapture, BUFFERS).map_err(|e| trouble(&e))?;
    // The first is given by asking for a frame.
    for index in 1..BUFFERS as usize {
        if CaptureStream::queue(&mut stream, index).is_err() {
            break; // The camera has fewer.
        }
    }
    stream.start().map_err(|e| trouble(&e))?;
    let (mut mjpeg, mut broken) = (Mjpeg::default(), 0);
    while sink.is_wanted() {
        match stream.handle().poll(libc::POLLIN, LOOK_EVERY_MS) {
            Ok(0) => continue,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(trouble(&error)),
            Ok(_) => {}
        }
        let (data, meta) = CaptureStream::next(&mut stream).map_err(|e| trouble(&e))?;
        let used = data.get(..meta.bytesused as usize).unwrap_or(data);
        let picture = if meta.flags.contains(Flags::ERROR) || used.is_empty() {
            Err(Trouble::Other("the camera marked a frame as broken".into()))
        } else {
            read(packing, &given, used, &mut mjpeg)
        };
        match picture {
            Ok(picture) => {
                broken = 0;
                sink.give(picture);
            }
            Err(trouble) => {
                broken += 1;
                if broken >= MAX_BROKEN {
                    return Err(trouble);
                }
            }
        }
    }
    Ok(())
}

fn read(packing: Packing, given: &Format, data: &[u8], mjpeg: &mut Mjpeg) -> Result<I420, Trouble> {
    let (width, height, stride) = (given.width as usize, given.height as usize, given.stride as usize);
    let picture = match packing {
        Packing::Mjpeg => return mjpeg.decode(data),
        Packing::Nv12 => I420::from_nv12(width, height, stride, data),
        Packing::Yuyv => I420::from_yuyv(width, height, stride, data),
    };
    picture.map_err(|error| Trouble::Other(error.to_string()))
}

/// What the system's error means to a person.
fn trouble(error: &io::Error) -> Trouble {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENXIO | libc::ENODEV) => Trouble::Missing,
        Some(libc::EBUSY) => Trouble::Busy,
        Some(libc::EACCES | libc::EPERM) => Trouble::Denied,
        _ => Trouble::Other(error.to_string()),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
