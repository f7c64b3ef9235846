//! Pictures made smaller, thirty times a second: halved as often as that fits, and the rest between the two
//! nearest pixels. A general resampler took three times as long as the encoder behind it (docs/measured.md).

use crate::{I420, MediaError};

/// Weights of a pixel and its neighbour add up to this.
const WHOLE: u16 = 256;

/// Scales pictures, keeping its buffers between them.
#[derive(Default, Debug)]
pub struct Scaler {
    halved: Vec<u8>,
    halved_again: Vec<u8>,
    row: Vec<u8>,
    taps: Vec<Tap>,
}

/// A plane's width and height in pixels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Size {
    width: usize,
    height: usize,
}

impl Size {
    const fn half(self) -> Self {
        Self { width: self.width / 2, height: self.height / 2 }
    }

    const fn pixels(self) -> usize {
        self.width * self.height
    }

    /// Whether half of it is no less than what is wanted.
    const fn can_be_halved_for(self, wanted: Self) -> bool {
        self.width >= 2 * wanted.width && self.height >= 2 * wanted.height
    }
}

/// Where a pixel comes from: this much of the one after `index`, the rest of it.
#[derive(Clone, Copy, Debug)]
struct Tap {
    index: usize,
    next: u16,
}

impl Tap {
    /// Of pixel `at` of `wanted`, out of `there`: by their centres.
    fn of(at: usize, wanted: usize, there: usize) -> Self {
        let centre = ((2 * at + 1) * there * usize::from(WHOLE) / (2 * wanted)).saturating_sub(128);
        let (index, next) = (centre / usize::from(WHOLE), (centre % usize::from(WHOLE)) as u16);
        // At the edge there is no next one.
        if index + 1 < there {
            Self { index, next }
        } else {
            Self { index: there.saturating_sub(2), next: WHOLE }
        }
    }
}

impl Scaler {
    /// `picture` in `width` × `height` (even), or the picture itself when it is that already.
    pub fn scale(&mut self, picture: &I420, width: usize, height: usize) -> Result<I420, MediaError> {
        if (picture.width(), picture.height()) == (width, height) {
            return Ok(picture.clone());
        }
        // Two pixels are the least that there is something between of; chroma has half as many.
        if width < 4 || height < 4 || picture.width() < 4 || picture.height() < 4 {
            return Err(MediaError::Convert("a picture of less than four pixels".into()));
        }
        let mut out = I420::black(width, height);
        let wanted = Size { width: out.width(), height: out.height() };
        let there = Size { width: picture.width(), height: picture.height() };
        let (y, u, v) = picture.planes();
        let (to_y, to_u, to_v) = out.planes_mut();
        self.plane(y, there, to_y, wanted);
        self.plane(u, there.half(), to_u, wanted.half());
        self.plane(v, there.half(), to_v, wanted.half());
        Ok(out)
    }

    fn plane(&mut self, from: &[u8], size: Size, to: &mut [u8], wanted: Size) {
        if size.half() == wanted {
            return halve(from, size, to);
        }
        let (mut size, mut from) = (size, from);
        let Self { halved, halved_again, row, taps } = self;
        while size.can_be_halved_for(wanted) {
            halved.resize(size.half().pixels(), 0);
            halve(from, size, halved);
            size = size.half();
            std::mem::swap(halved, halved_again);
            from = halved_again;
        }
        between(from, size, to, wanted, taps, row);
    }
}

/// Half as wide and as high: the mean of each four. The last row or column of an odd size is left out.
fn halve(from: &[u8], size: Size, to: &mut [u8]) {
    let pairs = from.chunks_exact(2 * size.width);
    for (rows, to) in pairs.zip(to.chunks_exact_mut(size.width / 2)) {
        let (upper, lower) = rows.split_at(size.width);
        for ((to, upper), lower) in to.iter_mut().zip(upper.chunks_exact(2)).zip(lower.chunks_exact(2)) {
            let sum = u16::from(upper[0]) + u16::from(upper[1]) + u16::from(lower[0]) + u16::from(lower[1]);
            *to = ((sum + 2) / 4) as u8;
        }
    }
}

/// Any size, each pixel between the four nearest: of less than half they would leave some out.
fn between(from: &[u8], size: Size, to: &mut [u8], wanted: Size, taps: &mut Vec<Tap>, row: &mut Vec<u8>) {
    taps.clear();
    taps.extend((0..wanted.width).map(|x| Tap::of(x, wanted.width, size.width)));
    row.resize(size.width, 0);
    for (y, to) in to.chunks_exact_mut(wanted.width).enumerate() {
        let Tap { index, next } = Tap::of(y, wanted.height, size.height);
        let rows = &from[index * size.width..][..2 * size.width];
        let (upper, lower) = rows.split_at(size.width);
        for ((row, upper), lower) in row.iter_mut().zip(upper).zip(lower) {
            *row = mixed(*upper, *lower, next);
        }
        for (to, tap) in to.iter_mut().zip(taps.iter()) {
            let [here, after] = [row[tap.index], row[tap.index + 1]];
            *to = mixed(here, after, tap.next);
        }
    }
}

const fn mixed(here: u8, after: u8, next: u16) -> u8 {
    ((here as u16 * (WHOLE - next) + after as u16 * next + WHOLE / 2) / WHOLE) as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_plane_is_scaled() {
        let mut picture = I420::black(64, 48);
        picture.planes_mut().0.fill(200);
        picture.planes_mut().1.fill(90);
        for (width, height) in [(32, 24), (48, 36), (20, 14), (128, 96)] {
            let small = Scaler::default().scale(&picture, width, height).unwrap();
            assert_eq!((small.width(), small.height()), (width, height));
            assert!(small.planes().0.iter().all(|&v| v == 200));
            assert!(small.planes().1.iter().all(|&v| v == 90));
            assert!(small.planes().2.iter().all(|&v| v == 128));
        }
    }

    /// Of slopes along each axis, a pixel is as bright as the place in the large picture that its centre is on.
    #[test]
    fn nothing_moves() {
        let (there, mut across, mut down) = (Size { width: 120, height: 100 }, vec![], vec![]);
        for at in 0..there.pixels() {
            across.push((at % there.width * 2) as u8);
            down.push((at / there.width * 2) as u8);
        }
        for (width, height) in [(90, 75), (60, 50), (45, 37), (30, 25), (100, 85)] {
            let wanted = Size { width, height };
            let scaled = |plane: &[u8]| {
                let mut to = vec![0; wanted.pixels()];
                Scaler::default().plane(plane, there, &mut to, wanted);
                to
            };
            let (across, down) = (scaled(&across), scaled(&down));
            let mean_error = |error: &dyn Fn(usize, usize) -> f64| {
                // The outermost have no neighbour on one side.
                let inside = (1..height - 1).flat_map(|y| (1..width - 1).map(move |x| (x, y)));
                inside.map(|(x, y)| error(x, y)).sum::<f64>() / ((width - 2) * (height - 2)) as f64
            };
            let centre = |at: usize, wanted: usize, there: usize| {
                ((at as f64 + 0.5) * there as f64 / wanted as f64 - 0.5) * 2.0
            };
            let sideways =
                mean_error(&|x, y| f64::from(across[y * width + x]) - centre(x, width, there.width));
            let up = mean_error(&|x, y| f64::from(down[y * width + x]) - centre(y, height, there.height));
            assert!(sideways.abs() < 0.1 && up.abs() < 0.1, "{width}×{height}: {sideways}, {up}");
        }
    }

    proptest! {
        /// Of any size to any other, and no brighter nor darker than what was there.
        #[test]
        fn any_size_is_made_of_any_other(
            from in (2_usize..60, 2_usize..60), to in (2_usize..60, 2_usize..60),
            least in 20_u8..100, more in 0_u8..100,
        ) {
            let mut picture = I420::black(from.0 * 2, from.1 * 2);
            for (at, value) in picture.planes_mut().0.iter_mut().enumerate() {
                *value = least + if at % 3 == 0 { more } else { 0 };
            }
            let scaled = Scaler::default().scale(&picture, to.0 * 2, to.1 * 2).unwrap();
            prop_assert!(scaled.planes().0.iter().all(|value| (least..=least + more).contains(value)));
        }
    }
}
