//! What a visit costs, in exact decimal money.

use bedside_protocol::ConsultationMode;
use jiff::SignedDuration;
use rust_decimal::Decimal;

/// A doctor's price for one mode.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pricing {
    /// The same whatever it took.
    Flat(Decimal),
    /// By the minute begun, at least `minimum_minutes`.
    PerMinute {
        /// Price of a minute.
        rate: Decimal,
        /// Fewest minutes charged.
        minimum_minutes: u32,
    },
    /// The price of the first tier that the visit fits in; beyond the last, the last.
    /// Ordered by `up_to_minutes`.
    Tiered(Vec<Tier>),
}

/// One step of a tiered price.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tier {
    /// Longest visit at this price.
    pub up_to_minutes: u32,
    /// The price.
    pub price: Decimal,
}

/// Whole minutes of a visit: each minute begun counts.
pub fn minutes_begun(duration: SignedDuration) -> u32 {
    let seconds = u64::try_from(duration.as_secs()).unwrap_or(0);
    u32::try_from(seconds.div_ceil(60)).unwrap_or(u32::MAX)
}

/// What a visit of `duration` costs. A visit that never started costs nothing; a written
/// consultation has no clock that says anything, so only a flat price applies to it.
pub fn amount(pricing: &Pricing, mode: ConsultationMode, duration: SignedDuration) -> Decimal {
    if duration <= SignedDuration::ZERO {
        return Decimal::ZERO;
    }
    let minutes = minutes_begun(duration);
    match pricing {
        Pricing::Flat(fee) => *fee,
        Pricing::PerMinute { rate, minimum_minutes } => {
            let charged = if mode == ConsultationMode::Chat { *minimum_minutes } else { minutes };
            *rate * Decimal::from(charged.max(*minimum_minutes))
        }
        Pricing::Tiered(tiers) => tiers
            .iter()
            .find(|tier| minutes <= tier.up_to_minutes)
            .or(tiers.last())
            .map_or(Decimal::ZERO, |tier| tier.price),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(pricing: &Pricing, seconds: i64) -> Decimal {
        amount(pricing, ConsultationMode::Video, SignedDuration::from_secs(seconds))
    }

    #[test]
    fn flat() {
        let fee = Pricing::Flat(Decimal::new(500_00, 2));
        assert_eq!(cost(&fee, 1), Decimal::new(500_00, 2));
        assert_eq!(cost(&fee, 0), Decimal::ZERO);
    }

    #[test]
    fn per_minute_counts_minutes_begun_and_has_a_minimum() {
        let price = Pricing::PerMinute { rate: Decimal::new(19_99, 2), minimum_minutes: 5 };
        assert_eq!(cost(&price, 60), Decimal::new(99_95, 2));
        assert_eq!(cost(&price, 301), Decimal::new(119_94, 2));
    }

    #[test]
    fn tiers() {
        let tier = |up_to_minutes, price| Tier { up_to_minutes, price: Decimal::from(price) };
        let price = Pricing::Tiered(vec![tier(15, 500), tier(30, 800)]);
        assert_eq!(cost(&price, 15 * 60), Decimal::from(500));
        assert_eq!(cost(&price, 15 * 60 + 1), Decimal::from(800));
        assert_eq!(cost(&price, 90 * 60), Decimal::from(800));
    }
}
