//! Accounts and their passwords.

use std::net::IpAddr;

use bedside_authz::Action;
use bedside_protocol::{ClinicId, Code, PasswordChange, Role, Text, Token, User, UserId};
use jiff::Timestamp;
use unicode_normalization::UnicodeNormalization;

use crate::{
    App,
    ctx::Ctx,
    error::ApiError,
    files::is_invisible,
    store::{About, AuditLine, Channel, Unit},
};

/// Shortest password: NIST SP 800-63B asks for 8; 10 costs a person little.
pub const MIN_PASSWORD_CHARS: usize = 10;
/// Longest password, in bytes: beyond any person, and no work for an attacker to order.
pub(super) const MAX_PASSWORD_BYTES: usize = 256;
/// Longest e-mail address (RFC 5321 §4.5.3.1.3).
pub(super) const MAX_EMAIL_BYTES: usize = 254;

/// Checks what a new account is made of. Says what is wrong without repeating it.
fn check(email: &str, name: &str, password: &Token) -> Result<(), ApiError> {
    check_address(email)?;
    check_name(name)?;
    check_password(password)
}

pub(super) fn check_address(email: &str) -> Result<(), ApiError> {
    if !email.contains('@') {
        return Err(ApiError::new(Code::Invalid, "the e-mail address has no @"));
    }
    // As mail is sent to: with nothing around it.
    if email.len() > MAX_EMAIL_BYTES || email.parse::<lettre::Address>().is_err() {
        return Err(ApiError::new(Code::Invalid, "the e-mail address is not one"));
    }
    check_seen(email)
}

pub(super) fn check_name(name: &str) -> Result<(), ApiError> {
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

/// Nobody registers, and no patient renames themselves, with the name of a doctor who works here: whoever reads it would
/// take them for that doctor. The practice may, for a patient who is called so.
pub(super) async fn check_no_doctors(unit: &mut Unit, name: &Text) -> Result<(), ApiError> {
    let name = without_titles(name.reveal());
    // Compared here: SQLite knows the capitals of English only.
    if !name.is_empty()
        && unit.doctors_names().await?.iter().any(|doctor| without_titles(doctor.reveal()) == name)
    {
        let why = "somebody who works here has this name: please ask the practice to make your account";
        return Err(ApiError::new(Code::Invalid, why));
    }
    Ok(())
}

/// What stands before and after a doctor's name.
const TITLES: [&str; 14] = [
    "dr",
    "doctor",
    "doktor",
    "prof",
    "professor",
    "med",
    "dent",
    "md",
    "ph",
    "phd",
    "mbbs",
    "do",
    "dds",
    "facp",
];

/// The words of a name as people compare them: without titles, single letters, capitals, their order and how they are
/// written.
fn without_titles(name: &str) -> Vec<String> {
    let name: String = name.nfkc().collect::<String>().to_lowercase();
    let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() > 1);
    let mut words: Vec<&str> = words.collect();
    // They are names as well: of what is left of one there is always something.
    while words.len() > 1 && TITLES.contains(&words[0]) {
        words.remove(0);
    }
    while words.len() > 2 && words.last().is_some_and(|last| TITLES.contains(last)) {
        words.pop();
    }
    words.sort_unstable();
    words.into_iter().map(str::to_owned).collect()
}

/// An address in one of its spellings, by which it is found.
pub(super) fn address(email: &Text) -> String {
    email.reveal().nfc().collect()
}

pub(super) fn check_password(password: &Token) -> Result<(), ApiError> {
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

/// An account, as the audit log has it.
pub(super) fn account(user: UserId) -> String {
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
    if matches!(by, By::Themselves(_)) {
        check_no_doctors(&mut unit, name).await?;
    }
    if matches!(by, By::Practice(_))
        && let Some(other) = unit.free_address(&address(email)).await?
    {
        unit.end_sign_ins_of(other, None).await?;
        unit.audit(AuditLine::new("ACCOUNT_LOST_ADDRESS").on(account(other)).of(other));
    }
    let (is_confirmed, clinic) = match by {
        By::Themselves(_) => (false, None),
        By::Practice(clinic) => (true, clinic),
    };
    unit.add_account(&user, &address(email), &hash, is_confirmed, clinic).await?.ok_or(Code::EmailTaken)?;
    if matches!(by, By::Themselves(_)) && app.outgoing.has_mail() {
        unit.add_outgoing(user.id, About::ConfirmAddress, Channel::Mail, None, unit.now).await?;
    }
    let line = AuditLine::new("USER_REGISTERED").on(account(user.id));
    let line = if role == Role::Patient { line.of(user.id) } else { line };
    let line = if let By::Themselves(from) = by { line.by(user.id).from(from) } else { line };
    unit.audit(line);
    unit.commit().await?;
    app.outgoing.wake();
    Ok(user)
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

/// The practice has made sure whose account this is.
pub async fn confirm(app: &App, user: UserId) -> Result<(), crate::store::StoreError> {
    let mut unit = app.store.begin(Timestamp::now()).await?;
    unit.confirm(user).await?;
    unit.audit(AuditLine::new("ACCOUNT_CONFIRMED").on(account(user)));
    unit.commit().await
}

/// Changes somebody's own password; their other sign-ins end.
pub(crate) async fn change_password(app: &App, ctx: &Ctx, change: &PasswordChange) -> Result<(), ApiError> {
    app.allow(ctx, Action::KeepOwnAccount).await?;
    let (user, from) = (ctx.user.id, ctx.origin);
    check_password(&change.new_password)?;
    // As guessable as at the door, for whoever found a screen unlocked.
    app.admit_attempt(from, &user.to_string()).await?;
    let account = app.store.account(user).await?.ok_or(Code::NotSignedIn)?;
    if !app.passwords.is_right(&change.current_password, Some(account.password_hash)).await? {
        return Err(Code::WrongCredentials.into());
    }
    app.attempt_was_right(from, &user.to_string());
    let hash = app.passwords.hash(&change.new_password).await?;
    let mut unit = app.store.begin(Timestamp::now()).await?;
    unit.set_password(user, &hash).await?;
    let ended = unit.end_sign_ins_of(user, Some(ctx.sign_in)).await?;
    unit.audit(ctx.line("PASSWORD_CHANGED"));
    unit.commit().await?;
    for family in ended {
        app.end_relaying(&family.to_string());
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
        unit.audit(AuditLine::new("PASSWORD_SET").on(account(user)));
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
    let action = if is_disabled { "ACCOUNT_DISABLED" } else { "ACCOUNT_ENABLED" };
    unit.audit(AuditLine::new(action).on(account(user)));
    unit.commit().await
}

/// Makes a clinic from the command line; none where there is one of this name.
pub async fn add_clinic(app: &App, name: &str) -> Result<Option<ClinicId>, crate::store::StoreError> {
    let mut unit = app.store.begin(Timestamp::now()).await?;
    let Some(clinic) = unit.add_clinic(name.trim()).await? else { return Ok(None) };
    unit.audit(AuditLine::new("CLINIC_CREATED").on(format!("clinic:{clinic}")));
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
    unit.audit(AuditLine::new("ACCOUNT_MOVED").on(account(user)));
    unit.commit().await
}
