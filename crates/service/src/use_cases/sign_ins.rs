//! Sign-ins: how they begin, go on and end.

use std::net::IpAddr;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bedside_authz::Action;
use bedside_protocol::{ClinicId, Code, Role, SessionId, SignIn, SignInId, Text, Token, TokenPair, User};
use jiff::{SignedDuration, Timestamp};

use super::accounts::{MAX_EMAIL_BYTES, MAX_PASSWORD_BYTES, account, address};
use crate::{
    App,
    ctx::Ctx,
    error::ApiError,
    store::{AuditLine, NewTokens, Refreshed, Unit},
    telemetry,
};

/// How long an access token lasts: short, because it is sent with everything.
pub const ACCESS_LASTS: SignedDuration = SignedDuration::from_mins(15);
/// How long a sign-in may go unused, and so how long a refresh token lasts.
pub const IDLE_FOR: SignedDuration = SignedDuration::from_hours(24);

/// 256 random bits, as text.
pub(crate) fn random_token() -> Token {
    Token::new(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
}

/// Signs in with a password.
pub(crate) async fn sign_in(
    app: &App,
    from: IpAddr,
    email: &Text,
    password: &Token,
) -> Result<TokenPair, ApiError> {
    // Nobody's, and no work for those who try.
    if email.reveal().len() > MAX_EMAIL_BYTES || password.expose().len() > MAX_PASSWORD_BYTES {
        return Err(Code::WrongCredentials.into());
    }
    let email = address(email);
    app.admit_attempt(from, &email).await?;
    let found = app.store.account_by_email(&email).await?;
    let kept = found.as_ref().map(|found| found.password_hash.clone());
    if !app.passwords.is_right(password, kept).await? {
        telemetry::count_sign_in(false);
        // Whose it would have been, and nobody's where there is no such account: what was typed is not kept.
        let line = AuditLine::new("SIGN_IN_FAILED").from(from).refused(Code::WrongCredentials);
        let whose = found.map(|found| account(found.user.id));
        app.access_log.note(whose.map_or(line.clone(), |whose| line.on(whose))).await?;
        return Err(Code::WrongCredentials.into());
    }
    // Somebody who has left is told no more than somebody who was never there.
    let found = found.filter(|found| !found.is_disabled).ok_or(Code::WrongCredentials)?;
    app.attempt_was_right(from, &email);
    telemetry::count_sign_in(true);
    let mut unit = app.store.begin(Timestamp::now()).await?;
    // It may have been changed, or closed, while it was looked at.
    if !unit.has_password(found.user.id, &found.password_hash).await? {
        return Err(Code::WrongCredentials.into());
    }
    let family = unit.start_family(found.user.id).await?;
    let signed_in = give_tokens(app, &mut unit, &found.user, found.clinic, family, None).await?;
    let line = AuditLine::new("SIGNED_IN").by(found.user.id).from(from);
    unit.audit(line.on(format!("sign-in:{family}")));
    unit.commit().await?;
    Ok(signed_in.tokens)
}

/// What somebody has who has just signed in.
pub(super) struct SignedIn {
    pub(super) tokens: TokenPair,
    pub(super) family: SignInId,
}

/// Gives the first tokens of a sign-in, for one visit only where there is one.
pub(super) async fn give_tokens(
    app: &App,
    unit: &mut Unit,
    user: &User,
    clinic: Option<ClinicId>,
    family: SignInId,
    visit: Option<SessionId>,
) -> Result<SignedIn, ApiError> {
    let until = unit.now + ACCESS_LASTS;
    let access = app.access_tokens.issue(user, clinic, visit, unit.now, until)?;
    let refresh = random_token();
    unit.add_token(family, "access", &access, until).await?;
    unit.add_token(family, "refresh", &refresh, unit.now + IDLE_FOR).await?;
    let role = if visit.is_some() { Role::Guest } else { user.role };
    Ok(SignedIn { tokens: pair(User { role, ..user.clone() }, access, refresh), family })
}

/// Trades a refresh token for a new pair.
pub(crate) async fn refresh(
    app: &App,
    from: IpAddr,
    token: &Token,
    attempt: Option<&Token>,
) -> Result<TokenPair, ApiError> {
    // Made-up ones have no turn among those who write.
    let holder = app.store.holder(token).await?.ok_or(Code::NotSignedIn)?;
    let now = Timestamp::now();
    // A guest is of no clinic.
    let clinic = holder.clinic.filter(|_| holder.visit.is_none());
    let access = app.access_tokens.issue(&holder.user, clinic, holder.visit, now, now + ACCESS_LASTS)?;
    let refresh = random_token();
    let next =
        NewTokens { attempt, access: &access, refresh: &refresh, access_lasts: ACCESS_LASTS, idle: IDLE_FOR };
    let mut unit = app.store.begin(Timestamp::now()).await?;
    let refreshed = unit.use_refresh_token(token, &next).await?;
    if let Refreshed::Reused(ended) = &refreshed {
        // Of the two who have shown it, one is not whose it is; which, nobody knows.
        let line = AuditLine::new("SIGN_IN_REUSED").from(from).refused(Code::TokenReused);
        unit.audit(line.on(format!("sign-in:{}", ended.family)).of(ended.user));
    }
    unit.commit().await?;
    match refreshed {
        Refreshed::Rotated => Ok(pair(holder.user, access, refresh)),
        Refreshed::Reused(ended) => {
            app.end_relaying(&ended.family.to_string());
            Err(Code::TokenReused.into())
        }
        Refreshed::Refused => Err(Code::NotSignedIn.into()),
    }
}

fn pair(user: User, access_token: Token, refresh_token: Token) -> TokenPair {
    let expires_in = u32::try_from(ACCESS_LASTS.as_secs()).unwrap_or(0);
    TokenPair { access_token, expires_in, refresh_token, user }
}

/// Where somebody is signed in.
pub(crate) async fn sign_ins(app: &App, ctx: &Ctx) -> Result<Vec<SignIn>, ApiError> {
    app.allow(ctx, Action::KeepOwnAccount).await?;
    Ok(app.store.sign_ins_of(ctx.user.id, ctx.sign_in, IDLE_FOR, Timestamp::now()).await?)
}

/// Ends one of somebody's own sign-ins.
pub(crate) async fn end_sign_in(app: &App, ctx: &Ctx, id: SignInId) -> Result<(), ApiError> {
    app.allow(ctx, Action::KeepOwnAccount).await?;
    let mut unit = app.store.begin(Timestamp::now()).await?;
    if !unit.end_sign_in(ctx.user.id, id).await? {
        return Err(Code::NotFound.into());
    }
    unit.audit(ctx.line("SIGN_IN_ENDED").on(format!("sign-in:{id}")));
    unit.commit().await?;
    app.end_relaying(&id.to_string());
    Ok(())
}

/// Signs out: ends the sign-in of a refresh token. One that is unknown has ended already.
pub(crate) async fn sign_out(app: &App, from: IpAddr, token: &Token) -> Result<(), ApiError> {
    if app.store.holder(token).await?.is_none() {
        return Ok(());
    }
    let mut unit = app.store.begin(Timestamp::now()).await?;
    if let Some(ended) = unit.end_family_of(token).await? {
        let line = AuditLine::new("SIGNED_OUT").by(ended.user).from(from);
        unit.audit(line.on(format!("sign-in:{}", ended.family)));
        unit.commit().await?;
        app.end_relaying(&ended.family.to_string());
    }
    Ok(())
}
