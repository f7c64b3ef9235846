//! Rates and sizes that can't be taken for one another.

use std::{
    fmt,
    iter::Sum,
    ops::{Add, AddAssign, Div, Mul, Sub, SubAssign},
    time::Duration,
};

/// Bits in a second. Differences stop at zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Bitrate(u64);

impl Bitrate {
    /// Nothing at all.
    pub const ZERO: Self = Self(0);
    /// No limit.
    pub const MAX: Self = Self(u64::MAX);

    /// So many bits in a second.
    pub const fn bps(bits: u64) -> Self {
        Self(bits)
    }

    /// So many thousand bits in a second.
    pub const fn kbps(kilobits: u64) -> Self {
        Self(kilobits * 1_000)
    }

    /// Bits in a second.
    pub const fn as_bps(self) -> u64 {
        self.0
    }

    /// Bits in a second, for formulas.
    pub const fn as_f64(self) -> f64 {
        self.0 as f64
    }

    /// From a formula's result; what is not a number, or less than nothing, is zero.
    pub const fn from_f64(bits: f64) -> Self {
        Self(bits as u64)
    }

    /// This share of it.
    #[must_use]
    pub fn scaled(self, by: f64) -> Self {
        Self::from_f64(self.as_f64() * by)
    }

    /// How many times `other` it is.
    pub fn ratio(self, other: Self) -> f64 {
        self.as_f64() / other.as_f64().max(1.0)
    }
}

impl fmt::Debug for Bitrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} kbit/s", self.as_f64() / 1e3)
    }
}

impl fmt::Display for Bitrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Add for Bitrate {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Bitrate {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl AddAssign for Bitrate {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Bitrate {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Sum for Bitrate {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, Add::add)
    }
}

/// What goes through in that time.
impl Mul<Duration> for Bitrate {
    type Output = DataSize;
    fn mul(self, time: Duration) -> DataSize {
        DataSize((self.as_f64() * time.as_secs_f64() / 8.0) as u64)
    }
}

/// Bytes. Differences stop at zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct DataSize(u64);

impl DataSize {
    /// Nothing at all.
    pub const ZERO: Self = Self(0);

    /// So many bytes.
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Bytes.
    pub const fn as_bytes(self) -> u64 {
        self.0
    }

    /// Bytes, for formulas.
    pub const fn as_f64(self) -> f64 {
        self.0 as f64
    }

    /// The rate of it in that time; none in no time.
    pub fn over(self, time: Duration) -> Option<Bitrate> {
        (!time.is_zero()).then(|| Bitrate::from_f64(self.as_f64() * 8.0 / time.as_secs_f64()))
    }
}

impl fmt::Debug for DataSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} B", self.0)
    }
}

impl Add for DataSize {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for DataSize {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl AddAssign for DataSize {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for DataSize {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Sum for DataSize {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, Add::add)
    }
}

/// How long it takes at that rate; for ever at none.
impl Div<Bitrate> for DataSize {
    type Output = Duration;
    fn div(self, rate: Bitrate) -> Duration {
        Duration::try_from_secs_f64(self.as_f64() * 8.0 / rate.as_f64()).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_sizes_and_times_belong_together() {
        let second = Duration::from_secs(1);
        assert_eq!(Bitrate::kbps(80) * second, DataSize::bytes(10_000));
        assert_eq!(DataSize::bytes(10_000).over(second), Some(Bitrate::kbps(80)));
        assert_eq!(DataSize::bytes(10_000) / Bitrate::kbps(80), second);
        assert_eq!(DataSize::bytes(1) / Bitrate::ZERO, Duration::MAX);
        assert_eq!(DataSize::bytes(1).over(Duration::ZERO), None);
        assert_eq!(Bitrate::kbps(1) - Bitrate::kbps(2), Bitrate::ZERO);
        assert_eq!(Bitrate::from_f64(f64::NAN), Bitrate::ZERO);
    }
}
