//! What a visit costs, in exact decimal money.

use bedside_protocol::ConsultationMode;
use jiff::SignedDuration;
use rust_decimal::{Decimal, RoundingStrategy};

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

/// A currency that money is asked in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Currency(iso_currency::Currency);

impl Currency {
    /// By its code (ISO 4217), such as `EUR`. None where there is no such one, or it has no amounts.
    pub fn from_code(code: &str) -> Option<Self> {
        iso_currency::Currency::from_code(code).filter(|currency| currency.exponent().is_some()).map(Self)
    }

    /// Its code.
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// Decimals of its smallest unit: 2 of the euro, none of the yen.
    pub fn decimals(self) -> u32 {
        self.0.exponent().map_or(0, u32::from)
    }

    /// An amount that can be paid: to its smallest unit, half of one up.
    pub fn round(self, amount: Decimal) -> Decimal {
        amount.round_dp_with_strategy(self.decimals(), RoundingStrategy::MidpointAwayFromZero)
    }
}

/// Why a price is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadPrice {
    /// Less than nothing.
    #[error("a price is not less than nothing")]
    Negative,
    /// More decimals than the currency has.
    #[error("{code} has {decimals} decimals")]
    Decimals {
        /// The currency's code.
        code: &'static str,
        /// The most that an amount in it has.
        decimals: u32,
    },
    /// Tiers that are not each longer than the one before, or none.
    #[error("tiers are each for a longer visit than the one before")]
    Tiers,
}

impl Pricing {
    /// Whether a visit can be paid by it in this currency. A price of a minute may be finer than what is paid.
    pub fn check(&self, currency: Currency) -> Result<(), BadPrice> {
        let payable = |amount: Decimal| {
            if amount.is_sign_negative() && !amount.is_zero() {
                return Err(BadPrice::Negative);
            }
            if currency.round(amount) != amount {
                return Err(BadPrice::Decimals { code: currency.code(), decimals: currency.decimals() });
            }
            Ok(())
        };
        match self {
            Self::Flat(fee) => payable(*fee),
            Self::PerMinute { rate, .. } if rate.is_sign_negative() && !rate.is_zero() => {
                Err(BadPrice::Negative)
            }
            Self::PerMinute { .. } => Ok(()),
            Self::Tiered(tiers) => {
                let ascends = tiers.windows(2).all(|pair| pair[0].up_to_minutes < pair[1].up_to_minutes);
                if tiers.is_empty() || !ascends {
                    return Err(BadPrice::Tiers);
                }
                tiers.iter().try_for_each(|tier| payable(tier.price))
            }
        }
    }
}

/// Whole minutes of a visit: each minute begun counts.
pub fn minutes_begun(duration: SignedDuration) -> u32 {
    let seconds = u64::try_from(duration.as_secs()).unwrap_or(0);
    u32::try_from(seconds.div_ceil(60)).unwrap_or(u32::MAX)
}

/// What a visit of `duration` costs, to the currency's smallest unit. A visit that never started costs nothing; a written
/// consultation has no clock that says anything, so only a flat price applies to it.
pub fn amount(
    pricing: &Pricing,
    currency: Currency,
    mode: ConsultationMode,
    duration: SignedDuration,
) -> Decimal {
    if duration <= SignedDuration::ZERO {
        return Decimal::ZERO;
    }
    let minutes = minutes_begun(duration);
    let amount = match pricing {
        Pricing::Flat(fee) => *fee,
        Pricing::PerMinute { rate, minimum_minutes } => {
            let charged = if mode == ConsultationMode::Chat { *minimum_minutes } else { minutes };
            // Beyond what a decimal holds nobody is asked to pay.
            rate.checked_mul(Decimal::from(charged.max(*minimum_minutes))).unwrap_or(Decimal::MAX)
        }
        Pricing::Tiered(tiers) => tiers
            .iter()
            .find(|tier| minutes <= tier.up_to_minutes)
            .or(tiers.last())
            .map_or(Decimal::ZERO, |tier| tier.price),
    };
    currency.round(amount)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cost(pricing: &Pricing, seconds: i64) -> Decimal {
        amount(pricing, currency("EUR"), ConsultationMode::Video, SignedDuration::from_secs(seconds))
    }

    fn currency(code: &str) -> Currency {
        Currency::from_code(code).unwrap()
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

    #[test]
    fn only_what_can_be_paid_is_a_price() {
        for nothing in ["euro", "eur", "", "XAU", "XXX"] {
            assert_eq!(Currency::from_code(nothing), None, "{nothing}");
        }
        let (yen, euro, dinar) = (currency("JPY"), currency("EUR"), currency("KWD"));
        assert_eq!((yen.decimals(), euro.decimals(), dinar.decimals()), (0, 2, 3));
        let half = Pricing::Flat(Decimal::new(500_5, 1));
        assert_eq!(half.check(yen), Err(BadPrice::Decimals { code: "JPY", decimals: 0 }));
        assert_eq!((half.check(euro), half.check(dinar)), (Ok(()), Ok(())));
        assert_eq!(Pricing::Flat(Decimal::NEGATIVE_ONE).check(euro), Err(BadPrice::Negative));
        let tier = |up_to_minutes| Tier { up_to_minutes, price: Decimal::ONE };
        assert_eq!(Pricing::Tiered(vec![]).check(euro), Err(BadPrice::Tiers));
        assert_eq!(Pricing::Tiered(vec![tier(30), tier(15)]).check(euro), Err(BadPrice::Tiers));
        assert_eq!(Pricing::Tiered(vec![tier(15), tier(30)]).check(euro), Ok(()));
    }

    proptest! {
        /// Whatever the price and however long: payable, never less than nothing, and never less for a longer visit.
        #[test]
        fn an_amount_can_be_paid_and_grows(
            rate in 0i64..1_000_000, scale in 0u32..6, minimum in 0u32..60, seconds in 0i64..100_000, more in 0i64..10_000,
            code in prop::sample::select(vec!["EUR", "JPY", "KWD", "INR"]),
        ) {
            let currency = currency(code);
            let price = Pricing::PerMinute { rate: Decimal::new(rate, scale), minimum_minutes: minimum };
            let cost = |seconds| amount(&price, currency, ConsultationMode::Video, SignedDuration::from_secs(seconds));
            let (short, long) = (cost(seconds), cost(seconds + more));
            prop_assert_eq!(currency.round(short), short);
            prop_assert!(short >= Decimal::ZERO && short <= long, "{} {}", short, long);
        }

        /// A minute that has begun is paid, and not before; fewer than the fewest cost as much as those; a flat fee is
        /// the same for all.
        #[test]
        fn minutes_are_paid_as_they_begin(rate in 1i64..100_000, minimum in 0u32..60, minutes in 1u32..500) {
            let fee = Decimal::new(rate, 2);
            let price = Pricing::PerMinute { rate: fee, minimum_minutes: minimum };
            let seconds = i64::from(minutes) * 60;
            prop_assert_eq!(cost(&price, seconds), fee * Decimal::from(minutes.max(minimum)));
            prop_assert_eq!(cost(&price, seconds + 1), fee * Decimal::from((minutes + 1).max(minimum)));
            prop_assert_eq!(cost(&Pricing::Flat(fee), seconds), fee);
            prop_assert_eq!(cost(&Pricing::Flat(fee), 1), fee);
        }

        /// At each boundary the step is where it says.
        #[test]
        fn tiers_end_where_they_say(bounds in prop::collection::btree_set(1u32..500, 1..6)) {
            let tiers: Vec<Tier> = bounds
                .iter()
                .zip(1i64..)
                .map(|(&up_to_minutes, price)| Tier { up_to_minutes, price: Decimal::from(price) })
                .collect();
            let price = Pricing::Tiered(tiers.clone());
            for (at, tier) in tiers.iter().enumerate() {
                let seconds = i64::from(tier.up_to_minutes) * 60;
                prop_assert_eq!(cost(&price, seconds), tier.price);
                let next = tiers.get(at + 1).unwrap_or(tier).price;
                prop_assert_eq!(cost(&price, seconds + 1), next);
            }
        }
    }
}
