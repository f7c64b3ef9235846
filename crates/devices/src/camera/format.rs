//! Which of the formats that a camera offers is asked of it.

use std::cmp::Reverse;

/// What is asked of a camera: the best picture that is ever sent.
const WANTED_WIDTH: u32 = 1_280;
const WANTED_HEIGHT: u32 = 720;
const WANTED_FPS: f64 = 30.0;

/// How a camera packs its pictures, the cheaper to take apart first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Packing {
    /// Luma, then interleaved chroma.
    Nv12,
    /// 4:2:2, packed.
    Yuyv,
    /// JPEG pictures: the only way in which most webcams give 720p at 30.
    Mjpeg,
}

/// A format that a camera offers.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Offer {
    pub(super) packing: Packing,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) fps: f64,
}

/// The offer nearest to what is wanted: fast enough first, then the size, then what costs less.
pub(super) fn choose(offers: &[Offer]) -> Option<Offer> {
    let rank = |offer: &Offer| {
        let missing_fps = (WANTED_FPS - offer.fps - 0.5).max(0.0) as u32;
        let size = offer.width.abs_diff(WANTED_WIDTH) + offer.height.abs_diff(WANTED_HEIGHT);
        // Ten frames a second fewer weigh as much as half the picture.
        (missing_fps * 60 + size, offer.packing, Reverse(offer.fps as u32))
    };
    offers.iter().copied().min_by_key(rank)
}

/// A size between bounds in steps, as near to what is wanted as it gets.
#[cfg(any(target_os = "linux", test))]
pub(super) fn nearest(wanted: u32, min: u32, max: u32, step: u32) -> u32 {
    let wanted = wanted.clamp(min.min(max), max);
    min + (wanted - min.min(wanted)) / step.max(1) * step.max(1)
}

/// The size nearest to what is wanted of one that comes in steps: width, then height.
#[cfg(any(target_os = "linux", test))]
pub(super) fn nearest_size(width: (u32, u32, u32), height: (u32, u32, u32)) -> (u32, u32) {
    (nearest(WANTED_WIDTH, width.0, width.1, width.2), nearest(WANTED_HEIGHT, height.0, height.1, height.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn offer(packing: Packing, width: u32, height: u32, fps: f64) -> Offer {
        Offer { packing, width, height, fps }
    }

    #[test]
    fn the_usual_webcam_gives_its_720p_as_mjpeg() {
        let offers = [
            offer(Packing::Yuyv, 640, 480, 30.0),
            offer(Packing::Yuyv, 1_280, 720, 10.0),
            offer(Packing::Mjpeg, 1_280, 720, 30.0),
            offer(Packing::Mjpeg, 1_920, 1_080, 30.0),
        ];
        assert_eq!(choose(&offers), Some(offers[2]));
    }

    #[test]
    fn what_costs_less_is_taken_where_it_is_as_good() {
        let ntsc = 30_000.0 / 1_001.0;
        let offers = [offer(Packing::Mjpeg, 1_280, 720, 60.0), offer(Packing::Yuyv, 1_280, 720, ntsc)];
        assert_eq!(choose(&offers), Some(offers[1]), "29.97 is thirty");
        assert_eq!(choose(&[]), None);
    }

    #[test]
    fn sizes_in_steps_are_met() {
        assert_eq!(nearest_size((48, 1_920, 16), (32, 1_080, 8)), (1_280, 720));
        assert_eq!(nearest_size((320, 640, 0), (240, 480, 0)), (640, 480));
        assert_eq!(nearest_size((1_920, 1_920, 1), (1_080, 1_080, 1)), (1_920, 1_080));
    }
}
