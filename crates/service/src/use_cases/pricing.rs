//! What visits cost.

use bedside_authz::Action;
use bedside_consult::billing::{Currency, Pricing, Tier};
use bedside_protocol::{Code, ConsultationMode, DoctorPricing, PriceTier, PricingType, Role, UserId};
use jiff::Timestamp;

use super::doctors::doctor;
use crate::{App, ctx::Ctx, error::ApiError, store::Price};

/// Fewest minutes that are charged where it is not said (requirements, package 2).
const MINIMUM_MINUTES: u32 = 5;
/// Steps of a price: more than anybody reads.
const MOST_TIERS: usize = 50;

/// What a doctor charges for a mode.
pub(crate) async fn read(
    app: &App,
    ctx: &Ctx,
    id: UserId,
    mode: ConsultationMode,
) -> Result<DoctorPricing, ApiError> {
    app.allow(ctx, Action::SeePricing).await?;
    let id = doctor(app, ctx, id).await?.id;
    Ok(view(app.store.pricing(id, mode).await?.ok_or(Code::NotFound)?))
}

/// Sets it: a doctor for themselves, an administrator for anybody. What has ended has its amount.
pub(crate) async fn set(
    app: &App,
    ctx: &Ctx,
    id: UserId,
    mode: ConsultationMode,
    asked: DoctorPricing,
) -> Result<DoctorPricing, ApiError> {
    app.allow(ctx, Action::SetPricing).await?;
    let code = asked.currency.as_deref().unwrap_or(&app.config.currency);
    let currency = Currency::from_code(code)
        .ok_or_else(|| ApiError::new(Code::Invalid, "a currency is a code such as EUR"))?;
    let is_active = asked.is_active;
    let pricing = pricing(asked)?;
    pricing.check(currency).map_err(|bad| ApiError::new(Code::Invalid, bad.to_string()))?;
    if ctx.user.role == Role::Doctor && ctx.user.id != id {
        return app.write_refusal(ctx, Action::SetPricing, None, Err(Code::Forbidden.into())).await;
    }
    let id = doctor(app, ctx, id).await?.id;
    let mut unit = app.store.begin(Timestamp::now()).await?;
    unit.set_pricing(id, mode, &pricing, currency.code(), is_active).await?;
    unit.audit(ctx.line("PRICING_CHANGED").on(format!("account:{id}")));
    unit.commit().await?;
    Ok(view(Price { pricing, currency: currency.code().to_owned(), is_active }))
}

fn pricing(asked: DoctorPricing) -> Result<Pricing, ApiError> {
    let missing = |what: &str| ApiError::new(Code::Invalid, format!("{what} is missing"));
    let has_other = match asked.pricing_type {
        PricingType::Flat => asked.per_minute_rate.is_some() || !asked.tier_config.is_empty(),
        PricingType::PerMinute => asked.flat_fee.is_some() || !asked.tier_config.is_empty(),
        PricingType::Tiered => asked.flat_fee.is_some() || asked.per_minute_rate.is_some(),
    };
    if has_other {
        return Err(ApiError::new(Code::Invalid, "a price is of one kind"));
    }
    if asked.tier_config.len() > MOST_TIERS {
        return Err(ApiError::new(Code::Invalid, "a price has at most 50 tiers"));
    }
    Ok(match asked.pricing_type {
        PricingType::Flat => Pricing::Flat(asked.flat_fee.ok_or_else(|| missing("flatFee"))?),
        PricingType::PerMinute => Pricing::PerMinute {
            rate: asked.per_minute_rate.ok_or_else(|| missing("perMinuteRate"))?,
            minimum_minutes: asked.minimum_minutes.unwrap_or(MINIMUM_MINUTES),
        },
        PricingType::Tiered => Pricing::Tiered(
            asked
                .tier_config
                .iter()
                .map(|tier| Tier { up_to_minutes: tier.up_to_minutes, price: tier.price })
                .collect(),
        ),
    })
}

fn view(price: Price) -> DoctorPricing {
    let mut shown = DoctorPricing {
        pricing_type: PricingType::Flat,
        flat_fee: None,
        per_minute_rate: None,
        minimum_minutes: None,
        tier_config: vec![],
        currency: Some(price.currency),
        is_active: price.is_active,
    };
    match price.pricing {
        Pricing::Flat(fee) => shown.flat_fee = Some(fee),
        Pricing::PerMinute { rate, minimum_minutes } => {
            shown.pricing_type = PricingType::PerMinute;
            (shown.per_minute_rate, shown.minimum_minutes) = (Some(rate), Some(minimum_minutes));
        }
        Pricing::Tiered(tiers) => {
            shown.pricing_type = PricingType::Tiered;
            shown.tier_config = tiers
                .iter()
                .map(|tier| PriceTier { up_to_minutes: tier.up_to_minutes, price: tier.price })
                .collect();
        }
    }
    shown
}
