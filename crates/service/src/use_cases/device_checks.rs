//! What a person's devices and network can do, found out before there is a call.

use bedside_authz::Action;
use bedside_protocol::{Code, DeviceCheckReport, IceServer, KeptDeviceCheck, NetworkCheck};
use jiff::{SignedDuration, Timestamp};

use crate::{App, ctx::Ctx, error::ApiError};

/// How long relays may be tried: a test takes seconds, and is done again on a button.
const TRIED_FOR: SignedDuration = SignedDuration::from_mins(5);
/// More than any network of a person's carries, loses or takes: whoever says so measured something else.
const MOST_BITS_PER_SECOND: u64 = 100_000_000_000;
const LONGEST_ROUND_TRIP_MS: u32 = 600_000;

/// Relays, to find out how they are reached before there is a call.
pub(crate) async fn ice_servers(app: &App, ctx: &Ctx) -> Result<Vec<IceServer>, ApiError> {
    app.allow(ctx, Action::TryRelay).await?;
    Ok(app.ice_servers(&ctx.user, ctx.sign_in, None, Timestamp::now() + TRIED_FOR))
}

/// Keeps a check, and gives the code by which the practice finds it.
pub(crate) async fn keep(app: &App, ctx: &Ctx, report: &DeviceCheckReport) -> Result<String, ApiError> {
    app.allow(ctx, Action::KeepDeviceCheck).await?;
    let NetworkCheck { bits_per_second, loss_percent, round_trip_ms, .. } = report.network;
    let is_sane = bits_per_second.is_none_or(|bits| bits <= MOST_BITS_PER_SECOND)
        && loss_percent.is_none_or(|percent| percent <= 100)
        && round_trip_ms.is_none_or(|ms| ms <= LONGEST_ROUND_TRIP_MS);
    if !is_sane {
        return Err(ApiError::new(Code::Invalid, "no network is like that"));
    }
    let mut unit = app.store.begin(Timestamp::now()).await?;
    let code = unit.add_device_check(ctx.user.id, report).await?;
    unit.audit(ctx.line("DEVICE_CHECK_KEPT").of(ctx.user.id));
    unit.commit().await?;
    Ok(code)
}

/// The check that somebody reads out the code of.
pub(crate) async fn read(app: &App, ctx: &Ctx, code: &str) -> Result<KeptDeviceCheck, ApiError> {
    app.allow(ctx, Action::ReadDeviceCheck).await?;
    let (kept, of) = app.store.device_check(code).await?.ok_or(Code::NotFound)?;
    // A patient of another clinic's is not there for this one.
    let of_patient = app.store.account(of).await?.and_then(|account| account.clinic);
    if of_patient.is_some() {
        ctx.reaches(of_patient)?;
    }
    app.access_log.note(ctx.line("DEVICE_CHECK_READ").of(of)).await?;
    Ok(kept)
}
