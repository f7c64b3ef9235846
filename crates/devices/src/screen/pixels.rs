//! Pixels as screens give them: blue, green, red and a fourth byte, without gaps.

use jpeg_encoder::{ColorType, Encoder};

/// Bytes of a pixel.
pub(super) const PIXEL: usize = 4;
/// A preview is no larger, width and height: four beside one another in a window.
const PREVIEW: (usize, usize) = (320, 200);
/// Of JPEG, 1 to 100: a page can be told from another, at a few kilobytes.
const PREVIEW_QUALITY: u8 = 70;

/// A mouse pointer, or anything else with transparent parts, over what is shown.
#[cfg(any(target_os = "linux", test))]
pub(super) struct Overlay<'a> {
    /// Where its upper left corner lies.
    pub(super) left: i32,
    pub(super) top: i32,
    pub(super) width: usize,
    /// Alpha, red, green, blue from the highest byte on; colours multiplied with alpha already.
    pub(super) argb: &'a [u32],
}

/// Draws it where it lies over the picture.
#[cfg(any(target_os = "linux", test))]
pub(super) fn draw_over(pixels: &mut [u8], width: usize, overlay: &Overlay<'_>) {
    if width == 0 || overlay.width == 0 {
        return;
    }
    let height = pixels.len() / PIXEL / width;
    for (n, argb) in overlay.argb.iter().enumerate() {
        let x = overlay.left + (n % overlay.width) as i32;
        let y = overlay.top + (n / overlay.width) as i32;
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { continue };
        if x >= width || y >= height {
            continue;
        }
        let [blue, green, red, alpha] = argb.to_le_bytes();
        let under = &mut pixels[(y * width + x) * PIXEL..][..3];
        for (under, over) in under.iter_mut().zip([blue, green, red]) {
            let left = u16::from(*under) * u16::from(255 - alpha) / 255;
            *under = (left + u16::from(over)).min(255) as u8;
        }
    }
}

/// The same, small, as JPEG; none of nothing.
pub(super) fn preview(pixels: &[u8], width: usize, height: usize) -> Option<Vec<u8>> {
    if width == 0 || height == 0 || pixels.len() < width * height * PIXEL {
        return None;
    }
    // Each pixel is the mean of those in its place, as many each way.
    let step = width.div_ceil(PREVIEW.0).max(height.div_ceil(PREVIEW.1)).max(1);
    let (small_width, small_height) = ((width / step).max(1), (height / step).max(1));
    let step = step.min(width).min(height);
    let mut small = Vec::with_capacity(small_width * small_height * 3);
    for y in 0..small_height {
        for x in 0..small_width {
            let mut sums = [0_u32; 3];
            for row in 0..step {
                let from = ((y * step + row).min(height - 1) * width + x * step) * PIXEL;
                let row = &pixels[from..(from + step * PIXEL).min(pixels.len())];
                for pixel in row.chunks_exact(PIXEL) {
                    sums.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += u32::from(*value));
                }
            }
            let [blue, green, red] = sums.map(|sum| (sum / (step * step) as u32) as u8);
            small.extend([red, green, blue]);
        }
    }
    let mut jpeg = vec![];
    let encoder = Encoder::new(&mut jpeg, PREVIEW_QUALITY);
    match encoder.encode(&small, small_width as u16, small_height as u16, ColorType::Rgb) {
        Ok(()) => Some(jpeg),
        Err(error) => {
            tracing::warn!(%error, "no preview of a screen");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_at_the_edge_is_drawn_as_far_as_it_is_there() {
        let mut pixels = vec![100; 4 * 2 * PIXEL];
        // Two by two, the first of its pixels see-through, the others red or half black.
        let argb = [0, 0xffff_0000, 0x8000_0000, 0xffff_0000];
        draw_over(&mut pixels, 4, &Overlay { left: 3, top: 0, width: 2, argb: &argb });
        assert_eq!(pixels[3 * PIXEL..][..3], [100; 3], "see-through");
        assert_eq!(pixels[7 * PIXEL..][..3], [49; 3], "half black");
        draw_over(&mut pixels, 4, &Overlay { left: -1, top: -1, width: 2, argb: &argb });
        assert_eq!(pixels[..3], [0, 0, 255], "red");
        assert!(pixels[PIXEL..3 * PIXEL].iter().all(|byte| *byte == 100), "the rest is as it was");
    }

    #[test]
    fn previews_are_small_whatever_the_screen_is() {
        for (width, height) in [(1, 1), (3, 700), (1_280, 800), (5_120, 1_440), (320, 200)] {
            let pixels = vec![200; width * height * PIXEL];
            let jpeg = preview(&pixels, width, height).expect("a picture");
            assert!(jpeg.starts_with(&[0xff, 0xd8]) && jpeg.len() < 20_000, "{width}×{height}");
        }
        assert!(preview(&[], 0, 0).is_none() && preview(&[0; 4], 100, 100).is_none());
    }
}
