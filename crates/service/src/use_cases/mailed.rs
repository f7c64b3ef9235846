//! What a mail opens: another password, a new account, and that an address is one's own.

use std::{net::IpAddr, sync::Arc};

use bedside_protocol::{Code, ConfirmAddress, PasswordReset, ResetRequest};
use jiff::{SignedDuration, Timestamp};

use super::accounts::{account, address, check_password};
use crate::{
    App,
    error::ApiError,
    outgoing::RESETS_FOR,
    store::{About, AuditLine, Channel},
};

/// Who was sent a mail has it for this long before there is another.
const NO_OTHER_WITHIN: SignedDuration = SignedDuration::from_mins(2);
/// And no more of them in a day: nobody's mailbox is filled by a stranger.
const MOST_A_DAY: u64 = 5;

/// Somebody has forgotten their password. Whether there is such an account is not said, nor to be told from how long the
/// answer takes: it does not wait.
pub(crate) async fn request_reset(
    app: &Arc<App>,
    from: IpAddr,
    request: &ResetRequest,
) -> Result<(), ApiError> {
    if !app.outgoing.has_mail() {
        let why = "this service sends no mail: the practice sets another password";
        return Err(ApiError::new(Code::WrongState, why));
    }
    let email = address(&request.email);
    app.admit_attempt(from, &email).await?;
    app.changes.spawn({
        let app = app.clone();
        async move {
            if let Err(error) = send_reset(&app, from, &email).await {
                tracing::error!(code = error.code.as_str(), "a forgotten password's mail was not made");
            }
        }
    });
    Ok(())
}

async fn send_reset(app: &App, from: IpAddr, email: &str) -> Result<(), ApiError> {
    let found = app.store.account_by_email(email).await?.filter(|found| !found.is_disabled);
    let Some(found) = found else { return Ok(()) };
    let user = found.user.id;
    let mut unit = app.store.begin(Timestamp::now()).await?;
    let lately = unit.now + RESETS_FOR - NO_OTHER_WITHIN;
    let today = unit.now + RESETS_FOR - SignedDuration::from_hours(24);
    if unit.count_mails(user, About::PasswordReset, lately).await? > 0
        || unit.count_mails(user, About::PasswordReset, today).await? >= MOST_A_DAY
    {
        return Ok(());
    }
    unit.add_outgoing(user, About::PasswordReset, Channel::Mail, None, unit.now).await?;
    unit.audit(AuditLine::new("PASSWORD_RESET_ASKED").from(from).on(account(user)));
    unit.commit().await?;
    app.outgoing.wake();
    Ok(())
}

/// Chooses a password by what a mail says; all sign-ins end, and that the address is theirs has been seen.
pub(crate) async fn reset(app: &App, from: IpAddr, request: &PasswordReset) -> Result<(), ApiError> {
    check_password(&request.new_password)?;
    let found = app.store.mail_token(&request.token, Timestamp::now()).await?;
    let (user, about) = found.ok_or(Code::LinkEnded)?;
    if !matches!(about, About::PasswordReset | About::Welcome) {
        return Err(Code::LinkEnded.into());
    }
    let hash = app.passwords.hash(&request.new_password).await?;
    let mut unit = app.store.begin(Timestamp::now()).await?;
    if !unit.use_mail_token(&request.token, user).await? {
        return Err(Code::LinkEnded.into());
    }
    unit.set_password(user, &hash).await?;
    unit.confirm_address(user).await?;
    let ended = unit.end_sign_ins_of(user, None).await?;
    unit.audit(AuditLine::new("PASSWORD_RESET").by(user).from(from).on(account(user)));
    unit.commit().await?;
    for family in ended {
        app.end_relaying(&family.to_string());
    }
    Ok(())
}

/// An address is one's own, as who reads its mail says.
pub(crate) async fn confirm(app: &App, from: IpAddr, request: &ConfirmAddress) -> Result<(), ApiError> {
    let found = app.store.mail_token(&request.token, Timestamp::now()).await?;
    let (user, about) = found.ok_or(Code::LinkEnded)?;
    let mut unit = app.store.begin(Timestamp::now()).await?;
    if about != About::ConfirmAddress || !unit.use_mail_token(&request.token, user).await? {
        return Err(Code::LinkEnded.into());
    }
    unit.confirm_address(user).await?;
    unit.audit(AuditLine::new("ADDRESS_CONFIRMED").by(user).from(from).on(account(user)));
    Ok(unit.commit().await?)
}
