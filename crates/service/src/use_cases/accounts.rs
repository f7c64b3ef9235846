//! Sign-in: passwords, tokens and their families.

use std::net::IpAddr;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bedside_authz::Action;
use bedside_protocol::{
    ChangeUserRequest, ClinicId, Code, PasswordChange, Role, SignIn, SignInId, Text, Token, TokenPair, User,
    UserId, UserListing,
};
use jiff::{SignedDuration, Timestamp};
use unicode_normalization::UnicodeNormalization;

use crate::{
    App,
    ctx::Ctx,
    error::ApiError,
    files::is_invisible,
    store::{AuditLine, NewTokens, Refreshed},
};

/// How long an access token lasts: short, because it is sent with everything.
pub const ACCESS_LASTS: SignedDuration = SignedDuration::from_mins(15);
/// How long a sign-in may go unused, and so how long a refresh token lasts.
pub const IDLE_FOR: SignedDuration = SignedDuration::from_hours(24);
/// Shortest password: NIST SP 800-63B asks for 8; 10 costs a person little.
pub const MIN_PASSWORD_CHARS: usize = 10;
/// Longest password, in bytes: beyond any person, and no work for an attacker to order.
const MAX_PASSWORD_BYTES: usize = 256;
/// Longest e-mail address (RFC 5321 §4.5.3.1.3).
const MAX_EMAIL_BYTES: usize = 254;
/// 256 random bits, as text.
pub(crate) fn random_token() -> Token {
    Token::new(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
}

/// Checks what a new account is made of. Says what is wrong without repeating it.
fn check(email: &str, name: &str, password: &Token) -> Result<(), ApiError> {
    let (local, domain) =
        email.split_once('@').ok_or_else(|| ApiError::new(Code::Invalid, "the e-mail address has no @"))?;
    if local.is_empty()
        || domain.is_empty()
        || email.len() > MAX_EMAIL_BYTES
        || email.chars().any(char::is_whitespace)
    {
        return Err(ApiError::new(Code::Invalid, "the e-mail address is not one"));
    }
    check_seen(email)?;
    check_name(name)?;
    check_password(password)
}

fn check_name(name: &str) -> Result<(), ApiError> {
    if !(1..=100).contains(&name.trim().chars().count()) {
        return Err(ApiError::new(Code::Invalid, "the name has 1 to 100 characters"));
    }
    check_seen(name)
}

/// What can't be seen, or turns what follows around, makes one person look like another.
fn check_seen(text: &str) -> Result<(), ApiError> {
    if text.chars().any(|c| c.is_control() || is_invisible(c)) {
        let why = "a name or an address has only characters that can be seen";
        return Err(ApiError::new(Code::Invalid, why));
    }
    Ok(())
}

/// An address in one of its spellings, by which it is found.
fn address(email: &Text) -> String {
    email.reveal().nfc().collect()
}

fn check_password(password: &Token) -> Result<(), ApiError> {
    let password = password.expose();
    if password.chars().count() < MIN_PASSWORD_CHARS || password.len() > MAX_PASSWORD_BYTES {
        return Err(ApiError::new(
            Code::Invalid,
            "the password has at least 10 characters and at most 256 bytes",
        ));
    }
    Ok(())
}

/// Makes an account for somebody who says who they are.
pub(crate) async fn register(
    app: &App,
    from: IpAddr,
    email: &Text,
    password: &Token,
    name: &Text,
) -> Result<User, ApiError> {
    app.sign_ins.admit_registration(from)?;
    create(app, Role::Patient, email, password, name, None, By::Themselves(from)).await
}

/// Makes an account from the command line: how doctors and administrators come to be. An address that somebody has
/// only typed, and nobody confirmed, is taken from them: the practice knows whose it is.
pub async fn create_by_administrator(
    app: &App,
    role: Role,
    email: &str,
    password: &str,
    name: &str,
    specialization: Option<String>,
    clinic: Option<ClinicId>,
) -> Result<User, bedside_protocol::Problem> {
    create(app, role, &email.into(), &password.into(), &name.into(), specialization, By::Practice(clinic))
        .await
        .map_err(|e| e.problem())
}

/// An account, as the audit log has it.
fn account(user: UserId) -> String {
    format!("account:{user}")
}

/// Who makes an account.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// From here.
    Themselves(IpAddr),
    /// Of this clinic.
    Practice(Option<ClinicId>),
}

async fn create(
    app: &App,
    role: Role,
    email: &Text,
    password: &Token,
    name: &Text,
    specialization: Option<String>,
    by: By,
) -> Result<User, ApiError> {
    check(email.reveal(), name.reveal(), password)?;
    let user = User { id: UserId::generate(), role, name: Text::new(name.reveal().trim()), specialization };
    let hash = app.passwords.hash(password).await?;
    let mut unit = app.store.begin(Timestamp::now()).await?;
    if matches!(by, By::Practice(_))
        && let Some(other) = unit.free_address(&address(email)).await?
    {
        unit.end_sign_ins_of(other, None).await?;
        unit.audit(&AuditLine::new("account.lost-address").on(account(other)).of(other)).await?;
    }
    let (is_confirmed, clinic) = match by {
        By::Themselves(_) => (false, None),
        By::Practice(clinic) => (true, clinic),
    };
    unit.add_account(&user, &address(email), &hash, is_confirmed, clinic).await?.ok_or(Code::EmailTaken)?;
    let line = AuditLine::new("account.created").on(account(user.id));
    let line = if role == Role::Patient { line.of(user.id) } else { line };
    let line = if let By::Themselves(from) = by { line.by(user.id).from(from) } else { line };
    unit.audit(&line).await?;
    unit.commit().await?;
    Ok(user)
}

/// The practice has made sure whose account this is.
pub async fn confirm(app: &App, user: UserId) -> Result<(), crate::store::StoreError> {
    let mut unit = app.store.begin(Timestamp::now()).await?;
    unit.confirm(user).await?;
    unit.audit(&AuditLine::new("account.confirmed").on(account(user))).await?;
    unit.commit().await
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
    app.sign_ins.admit(from, &email).await?;
    let account = app.store.account_by_email(&email).await?;
    let kept = account.as_ref().map(|account| account.password_hash.clone());
    if !app.passwords.is_right(password, kept).await? {
        // Whose it would have been, and nobody's where there is no such account: what was typed is not kept.
        let line = AuditLine::new("sign-in.failed").from(from).refused(Code::WrongCredentials);
        let whose = account.map(|found| self::account(found.user.id));
        app.access_log.note(whose.map_or(line.clone(), |whose| line.on(whose))).await?;
        return Err(Code::WrongCredentials.into());
    }
    // Somebody who has left is told no more than somebody who was never there.
    let account = account.filter(|account| !account.is_disabled).ok_or(Code::WrongCredentials)?;
    app.sign_ins.was_right(from, &email);
    let (access, refresh) = (random_token(), random_token());
    let mut unit = app.store.begin(Timestamp::now()).await?;
    // It may have been changed, or closed, while it was looked at.
    if !unit.has_password(account.user.id, &account.password_hash).await? {
        return Err(Code::WrongCredentials.into());
    }
    let family = unit.start_family(account.user.id).await?;
    unit.add_token(family, "access", &access, unit.now + ACCESS_LASTS).await?;
    unit.add_token(family, "refresh", &refresh, unit.now + IDLE_FOR).await?;
    let line = AuditLine::new("signed-in").by(account.user.id).from(from);
    unit.audit(&line.on(format!("sign-in:{family}"))).await?;
    unit.commit().await?;
    Ok(pair(account.user, access, refresh))
}

/// Trades a refresh token for a new pair.
pub(crate) async fn refresh(
    app: &App,
    from: IpAddr,
    token: &Token,
    attempt: Option<&Token>,
) -> Result<TokenPair, ApiError> {
    // Made-up ones have no turn among those who write.
    if !app.store.knows_refresh_token(token).await? {
        return Err(Code::NotSignedIn.into());
    }
    let (access, refresh) = (random_token(), random_token());
    let next =
        NewTokens { attempt, access: &access, refresh: &refresh, access_lasts: ACCESS_LASTS, idle: IDLE_FOR };
    let mut unit = app.store.begin(Timestamp::now()).await?;
    let refreshed = unit.use_refresh_token(token, &next).await?;
    if let Refreshed::Reused(ended) = &refreshed {
        // Of the two who have shown it, one is not whose it is; which, nobody knows.
        let line = AuditLine::new("sign-in.reused").from(from).refused(Code::TokenReused);
        unit.audit(&line.on(format!("sign-in:{}", ended.family)).of(ended.user)).await?;
    }
    unit.commit().await?;
    match refreshed {
        Refreshed::Rotated(user) => Ok(pair(user, access, refresh)),
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

/// Changes somebody's own password; their other sign-ins end.
pub(crate) async fn change_password(app: &App, ctx: &Ctx, change: &PasswordChange) -> Result<(), ApiError> {
    app.allow(ctx, Action::KeepOwnAccount).await?;
    let (user, from) = (ctx.user.id, ctx.origin);
    check_password(&change.new_password)?;
    // As guessable as at the door, for whoever found a screen unlocked.
    app.sign_ins.admit(from, &user.to_string()).await?;
    let account = app.store.account(user).await?.ok_or(Code::NotSignedIn)?;
    if !app.passwords.is_right(&change.current_password, Some(account.password_hash)).await? {
        return Err(Code::WrongCredentials.into());
    }
    app.sign_ins.was_right(from, &user.to_string());
    let hash = app.passwords.hash(&change.new_password).await?;
    let mut unit = app.store.begin(Timestamp::now()).await?;
    unit.set_password(user, &hash).await?;
    let ended = unit.end_sign_ins_of(user, Some(ctx.sign_in)).await?;
    unit.audit(&ctx.line("password.changed")).await?;
    unit.commit().await?;
    for family in ended {
        app.end_relaying(&family.to_string());
    }
    Ok(())
}

/// A page of people by their names, and the last of them where there are more: of one's own clinic, and patients of
/// none.
pub(crate) async fn people(
    app: &App,
    ctx: &Ctx,
    role: Option<Role>,
    words: Option<&str>,
    after: Option<UserId>,
    limit: u32,
) -> Result<(Vec<UserListing>, Option<UserId>), ApiError> {
    app.allow(ctx, Action::FindPeople).await?;
    app.note_look(ctx, "people.listed", None).await?;
    let words = words.map(str::trim).filter(|words| !words.is_empty());
    let mut people = app.store.people(ctx.reach(), role, words, after, limit + 1).await?;
    let more = people.len() > limit as usize;
    people.truncate(limit as usize);
    let next = people.last().filter(|_| more).map(|last| last.user.id);
    Ok((people, next))
}

/// Changes what others see of oneself.
pub(crate) async fn change_own(app: &App, ctx: &Ctx, change: ChangeUserRequest) -> Result<User, ApiError> {
    app.allow(ctx, Action::KeepOwnAccount).await?;
    let Some(name) = change.name else { return Ok(ctx.user.clone()) };
    check_name(name.reveal())?;
    let name = Text::new(name.reveal().trim());
    let mut unit = app.store.begin(Timestamp::now()).await?;
    unit.set_name(ctx.user.id, name.reveal()).await?;
    unit.audit(&ctx.line("account.renamed").on(account(ctx.user.id))).await?;
    unit.commit().await?;
    Ok(User { name, ..ctx.user.clone() })
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
    unit.audit(&ctx.line("sign-in.ended").on(format!("sign-in:{id}"))).await?;
    unit.commit().await?;
    app.end_relaying(&id.to_string());
    Ok(())
}

/// Signs out: ends the sign-in of a refresh token. One that is unknown has ended already.
pub(crate) async fn sign_out(app: &App, from: IpAddr, token: &Token) -> Result<(), ApiError> {
    if !app.store.knows_refresh_token(token).await? {
        return Ok(());
    }
    let mut unit = app.store.begin(Timestamp::now()).await?;
    if let Some(ended) = unit.end_family_of(token).await? {
        let line = AuditLine::new("signed-out").by(ended.user).from(from);
        unit.audit(&line.on(format!("sign-in:{}", ended.family))).await?;
        unit.commit().await?;
        app.end_relaying(&ended.family.to_string());
    }
    Ok(())
}

/// Sets somebody's password from the command line, for whom has forgotten it; all their sign-ins end.
pub async fn set_password(app: &App, user: UserId, password: &str) -> Result<(), bedside_protocol::Problem> {
    let set = async {
        let password = Token::new(password);
        check_password(&password)?;
        let hash = app.passwords.hash(&password).await?;
        let mut unit = app.store.begin(Timestamp::now()).await?;
        unit.set_password(user, &hash).await?;
        unit.end_sign_ins_of(user, None).await?;
        unit.audit(&AuditLine::new("password.set").on(account(user))).await?;
        Ok(unit.commit().await?)
    };
    set.await.map_err(|error: ApiError| error.problem())
}

/// Lets nobody sign in with an account any more, ending what is signed in; or lets somebody again.
pub async fn set_disabled(
    app: &App,
    user: UserId,
    is_disabled: bool,
) -> Result<(), crate::store::StoreError> {
    let mut unit = app.store.begin(Timestamp::now()).await?;
    unit.set_disabled(user, is_disabled).await?;
    unit.end_sign_ins_of(user, None).await?;
    let action = if is_disabled { "account.disabled" } else { "account.enabled" };
    unit.audit(&AuditLine::new(action).on(account(user))).await?;
    unit.commit().await
}

/// Makes a clinic from the command line; none where there is one of this name.
pub async fn add_clinic(app: &App, name: &str) -> Result<Option<ClinicId>, crate::store::StoreError> {
    let mut unit = app.store.begin(Timestamp::now()).await?;
    let Some(clinic) = unit.add_clinic(name.trim()).await? else { return Ok(None) };
    unit.audit(&AuditLine::new("clinic.created").on(format!("clinic:{clinic}"))).await?;
    unit.commit().await?;
    Ok(Some(clinic))
}

/// Somebody belongs to this clinic from now on, or to none.
pub async fn set_clinic(
    app: &App,
    user: UserId,
    clinic: Option<ClinicId>,
) -> Result<(), crate::store::StoreError> {
    let mut unit = app.store.begin(Timestamp::now()).await?;
    unit.set_clinic(user, clinic).await?;
    unit.audit(&AuditLine::new("account.moved").on(account(user))).await?;
    unit.commit().await
}
