//! Pictures: I420, from what cameras and screens give.

use yuv::{
    BufferStoreMut, YuvConversionMode, YuvPackedImage, YuvPlanarImageMut, YuvRange, YuvStandardMatrix,
};

use crate::MediaError;

/// A picture in I420: a plane of luma, then two of chroma at half its width and height, without
/// gaps. Width and height are even.
#[derive(Clone, PartialEq, Eq)]
pub struct I420 {
    width: usize,
    height: usize,
    data: Vec<u8>,
}

impl std::fmt::Debug for I420 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "I420 {}x{}", self.width, self.height)
    }
}

impl I420 {
    /// Bytes of a picture of this size.
    pub const fn bytes(width: usize, height: usize) -> usize {
        width * height * 3 / 2
    }

    /// A black picture. Odd sizes are rounded down.
    pub fn black(width: usize, height: usize) -> Self {
        let (width, height) = (width & !1, height & !1);
        let mut data = vec![16; Self::bytes(width, height)];
        data[width * height..].fill(128);
        Self { width, height, data }
    }

    /// Wraps `data`.
    pub fn new(width: usize, height: usize, data: Vec<u8>) -> Result<Self, MediaError> {
        if !width.is_multiple_of(2) || !height.is_multiple_of(2) || data.len() != Self::bytes(width, height) {
            return Err(MediaError::Incomplete);
        }
        Ok(Self { width, height, data })
    }

    /// From a camera's YUYV (4:2:2 packed), whose rows lie `stride` bytes apart. The last row or column
    /// of an odd size is left out.
    pub fn from_yuyv(width: usize, height: usize, stride: usize, raw: &[u8]) -> Result<Self, MediaError> {
        let mut picture = Self::black(width, height);
        let (width, height, stride) = (picture.width, picture.height, stride.max(2 * width));
        // The gap behind the last row need not be there.
        let padded;
        let raw = match raw.get(..stride * height) {
            Some(raw) => raw,
            None if raw.len() + (stride - 2 * width) >= stride * height => {
                let gap = vec![0; stride * height - raw.len()];
                padded = [raw, &gap].concat();
                &padded
            }
            None => return Err(MediaError::Incomplete),
        };
        let (y, u, v) = picture.planes_mut();
        let mut out = YuvPlanarImageMut::<u8> {
            y_plane: BufferStoreMut::Borrowed(y),
            y_stride: width as u32,
            u_plane: BufferStoreMut::Borrowed(u),
            u_stride: width as u32 / 2,
            v_plane: BufferStoreMut::Borrowed(v),
            v_stride: width as u32 / 2,
            width: width as u32,
            height: height as u32,
        };
        let packed = YuvPackedImage {
            yuy: raw,
            yuy_stride: stride as u32,
            width: width as u32,
            height: height as u32,
        };
        yuv::yuyv422_to_yuv420(&mut out, &packed).map_err(|e| MediaError::Convert(e.to_string()))?;
        Ok(picture)
    }

    /// From a screen's pixels: blue, green, red and a fourth byte, tight. The last row or column of an
    /// odd size is left out.
    pub fn from_bgra(width: usize, height: usize, pixels: &[u8]) -> Result<Self, MediaError> {
        if pixels.len() < width * height * 4 {
            return Err(MediaError::Incomplete);
        }
        let stride = width as u32 * 4;
        let mut picture = Self::black(width, height);
        let (width, height) = (picture.width, picture.height);
        let (y, u, v) = picture.planes_mut();
        let mut out = YuvPlanarImageMut::<u8> {
            y_plane: BufferStoreMut::Borrowed(y),
            y_stride: width as u32,
            u_plane: BufferStoreMut::Borrowed(u),
            u_stride: width as u32 / 2,
            v_plane: BufferStoreMut::Borrowed(v),
            v_stride: width as u32 / 2,
            width: width as u32,
            height: height as u32,
        };
        // As cameras and decoders have it, and pages take it for.
        let (range, matrix) = (YuvRange::Limited, YuvStandardMatrix::Bt601);
        yuv::bgra_to_yuv420(&mut out, pixels, stride, range, matrix, YuvConversionMode::Balanced)
            .map_err(|e| MediaError::Convert(e.to_string()))?;
        Ok(picture)
    }

    /// From a camera's NV12 (luma, then interleaved chroma), whose rows lie `stride` bytes apart.
    pub fn from_nv12(width: usize, height: usize, stride: usize, raw: &[u8]) -> Result<Self, MediaError> {
        let mut picture = Self::black(width, height);
        let (full_height, stride) = (height, stride.max(width));
        let (width, height) = (picture.width, picture.height);
        let (y, u, v) = picture.planes_mut();
        let chroma = raw.get(stride * full_height..).ok_or(MediaError::Incomplete)?;
        if chroma.len() + (stride - width) < stride * height / 2 {
            return Err(MediaError::Incomplete);
        }
        for (to, from) in y.chunks_exact_mut(width).zip(raw.chunks(stride)) {
            to.copy_from_slice(&from[..width]);
        }
        let rows =
            chroma.chunks(stride).zip(u.chunks_exact_mut(width / 2).zip(v.chunks_exact_mut(width / 2)));
        for (from, (u, v)) in rows {
            for ((pair, u), v) in from[..width].chunks_exact(2).zip(u).zip(v) {
                (*u, *v) = (pair[0], pair[1]);
            }
        }
        Ok(picture)
    }

    /// From a JPEG's pixels: luma and chroma of each, tight, in JPEG's full range (JFIF 1.02). The last
    /// row or column of an odd size is left out.
    pub fn from_full_range_ycc(width: usize, height: usize, pixels: &[u8]) -> Result<Self, MediaError> {
        if pixels.len() < width * height * 3 {
            return Err(MediaError::Incomplete);
        }
        let mut picture = Self::black(width, height);
        let (even_width, even_height) = (picture.width, picture.height);
        let (y, u, v) = picture.planes_mut();
        // BT.601: 219 steps of luma above 16, 224 of chroma around 128.
        let luma = |value: u8| (16 + (u32::from(value) * 219 + 127) / 255) as u8;
        let chroma = |sum: u32| (128 + (sum as i32 - 4 * 128) * 224 / (4 * 255)) as u8;
        for row in (0..even_height).step_by(2) {
            let upper = &pixels[row * width * 3..][..even_width * 3];
            let lower = &pixels[(row + 1) * width * 3..][..even_width * 3];
            for (n, (a, b)) in upper.chunks_exact(6).zip(lower.chunks_exact(6)).enumerate() {
                let (at, below) = (row * even_width + 2 * n, (row + 1) * even_width + 2 * n);
                (y[at], y[at + 1]) = (luma(a[0]), luma(a[3]));
                (y[below], y[below + 1]) = (luma(b[0]), luma(b[3]));
                let sum =
                    |c: usize| u32::from(a[c]) + u32::from(a[c + 3]) + u32::from(b[c]) + u32::from(b[c + 3]);
                let half = row / 2 * (even_width / 2) + n;
                (u[half], v[half]) = (chroma(sum(1)), chroma(sum(2)));
            }
        }
        Ok(picture)
    }

    /// Width in pixels.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub const fn height(&self) -> usize {
        self.height
    }

    /// All three planes, one after the other.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Luma and the two chroma planes.
    pub fn planes(&self) -> (&[u8], &[u8], &[u8]) {
        let (y, chroma) = self.data.split_at(self.width * self.height);
        let (u, v) = chroma.split_at(chroma.len() / 2);
        (y, u, v)
    }

    /// Luma and the two chroma planes, to write.
    pub fn planes_mut(&mut self) -> (&mut [u8], &mut [u8], &mut [u8]) {
        let (y, chroma) = self.data.split_at_mut(self.width * self.height);
        let half = chroma.len() / 2;
        let (u, v) = chroma.split_at_mut(half);
        (y, u, v)
    }

    /// The largest size of this picture's shape that fits into `width` × `height`, even, never
    /// larger than the picture.
    pub fn fitted(&self, width: usize, height: usize) -> (usize, usize) {
        if self.width <= width && self.height <= height {
            return (self.width, self.height);
        }
        let by_width = (width, self.height * width / self.width);
        let (w, h) =
            if by_width.1 <= height { by_width } else { (self.width * height / self.height, height) };
        ((w & !1).max(2), (h & !1).max(2))
    }
}

#[cfg(test)]
impl I420 {
    /// A slope of luma, moved by so many pixels.
    pub(crate) fn gradient(width: usize, height: usize, shift: usize) -> Self {
        let mut picture = Self::black(width, height);
        let (y, _, _) = picture.planes_mut();
        for (at, value) in y.iter_mut().enumerate() {
            *value = (16 + (at % width + at / width + shift) % 200) as u8;
        }
        picture
    }

    /// By how much luma differs, on the average.
    pub(crate) fn error(&self, other: &Self) -> u64 {
        let differences =
            self.planes().0.iter().zip(other.planes().0).map(|(a, b)| u64::from(a.abs_diff(*b)));
        differences.sum::<u64>() / (self.width * self.height) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yuyv_keeps_its_values() {
        let raw: Vec<u8> = [10, 90, 20, 160].repeat(8);
        let picture = I420::from_yuyv(8, 2, 16, &raw).unwrap();
        let (y, u, v) = picture.planes();
        assert_eq!(y, [10, 20].repeat(8));
        assert_eq!((u, v), (&[90; 4][..], &[160; 4][..]));
        assert!(I420::from_yuyv(8, 2, 16, &raw[1..]).is_err());
    }

    #[test]
    fn nv12_is_taken_apart() {
        let mut raw = vec![50; 8];
        raw.extend([1, 2, 3, 4]);
        let picture = I420::from_nv12(4, 2, 4, &raw).unwrap();
        assert_eq!(picture.planes(), (&[50; 8][..], &[1, 3][..], &[2, 4][..]));
    }

    #[test]
    fn fits_without_growing_or_changing_shape() {
        let picture = I420::black(1280, 720);
        assert_eq!(picture.fitted(640, 480), (640, 360));
        assert_eq!(picture.fitted(4000, 4000), (1280, 720));
        assert_eq!(I420::black(480, 640).fitted(640, 360), (270, 360));
    }
}
