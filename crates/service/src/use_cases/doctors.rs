//! Doctors: found by their patients, and when they can be booked.

use bedside_authz::Action;
use bedside_consult::availability;
use bedside_protocol::{Availability, Code, DoctorAvailability, DoctorListing, Role, Slot, User, UserId};
use jiff::{SignedDuration, Timestamp, civil::Date};

use super::appointments::invalid;
use crate::{App, ctx::Ctx, error::ApiError};

/// Days of free slots that are shown at once.
const MOST_DAYS: i32 = 31;
/// Days that are shown when it is not said which.
const USUAL_DAYS: i64 = 7;

/// A page of doctors by their names, and the last of them where there are more.
pub(crate) async fn list(
    app: &App,
    ctx: &Ctx,
    words: Option<&str>,
    after: Option<UserId>,
    limit: u32,
) -> Result<(Vec<DoctorListing>, Option<UserId>), ApiError> {
    app.allow(ctx, Action::SeeDoctors).await?;
    let words = words.map(str::trim).filter(|words| !words.is_empty());
    let mut doctors = app.store.doctors(ctx.reach(), words, after, limit + 1).await?;
    let more = doctors.len() > limit as usize;
    doctors.truncate(limit as usize);
    let next = doctors.last().filter(|_| more).map(|last| last.doctor.id);
    Ok((doctors, next))
}

/// A doctor who sees patients, and whom somebody reaches.
pub(super) async fn doctor(app: &App, ctx: &Ctx, id: UserId) -> Result<User, ApiError> {
    let account = app.store.account(id).await?;
    let account = account.filter(|account| account.user.role == Role::Doctor && !account.is_disabled);
    let account = account.filter(|account| account.user.id == ctx.user.id || ctx.reach().has(account.clinic));
    Ok(account.ok_or(Code::NotFound)?.user)
}

/// What is free of a doctor's on these days; of the next seven where it is not said which.
pub(crate) async fn free_slots(
    app: &App,
    ctx: &Ctx,
    id: UserId,
    from: Option<Date>,
    to: Option<Date>,
) -> Result<DoctorAvailability, ApiError> {
    app.allow(ctx, Action::SeeDoctors).await?;
    let doctor = doctor(app, ctx, id).await?;
    let now = Timestamp::now();
    let offered = app.store.availability(id).await?;
    let zone = offered.as_ref().map_or("UTC", |offered| &offered.time_zone);
    let zone = jiff::tz::TimeZone::get(zone).unwrap_or(jiff::tz::TimeZone::UTC);
    let today = zone.to_datetime(now).date();
    let from = from.unwrap_or(today);
    let last = SignedDuration::from_hours(24 * (USUAL_DAYS - 1));
    let to = to.or_else(|| from.checked_add(last).ok()).unwrap_or(from);
    let days = from.until(to).map_or(-1, |span| span.get_days());
    if !(0..MOST_DAYS).contains(&days) {
        return Err(invalid("free slots are shown of 1 to 31 days"));
    }
    let slots = match &offered {
        None => vec![],
        Some(offered) => {
            let edge = |date: Date| date.to_zoned(jiff::tz::TimeZone::UTC).map(|at| at.timestamp());
            let (Ok(start), Ok(end)) = (edge(from), edge(to)) else {
                return Err(invalid("there are no such days"));
            };
            let day = SignedDuration::from_hours(48);
            let (Ok(start), Ok(end)) = (start.checked_sub(day), end.checked_add(day)) else {
                return Err(invalid("there are no such days"));
            };
            let within = Slot { start_time: start, end_time: end };
            let taken = app.store.taken(id, within).await?;
            let days = from.series(jiff::ToSpan::day(1)).take_while(|date| *date <= to);
            availability::slots(offered, days, &taken, now).map_err(|bad| invalid(&bad.to_string()))?
        }
    };
    Ok(DoctorAvailability { doctor, availability: offered, from, to, slots })
}

/// Says when and how a doctor can be booked: a doctor for themselves, an administrator for anybody.
pub(crate) async fn set_availability(
    app: &App,
    ctx: &Ctx,
    id: UserId,
    offered: Availability,
) -> Result<Availability, ApiError> {
    app.allow(ctx, Action::KeepAvailability).await?;
    availability::check(&offered).map_err(|bad| invalid(&bad.to_string()))?;
    if ctx.user.role == Role::Doctor && ctx.user.id != id {
        return app.write_refusal(ctx, Action::KeepAvailability, None, Err(Code::Forbidden.into())).await;
    }
    doctor(app, ctx, id).await?;
    let mut unit = app.store.begin(Timestamp::now()).await?;
    unit.set_availability(id, &offered).await?;
    unit.audit(ctx.line("AVAILABILITY_CHANGED").on(format!("account:{id}")));
    unit.commit().await?;
    Ok(offered)
}
