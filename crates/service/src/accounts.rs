//! Sign-in: passwords, tokens and their families.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
    time::{Duration, Instant},
};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bedside_protocol::{Code, Role, Text, Token, TokenPair, User, UserId};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

use crate::{
    App,
    error::ApiError,
    store::{Grant, NewTokens, Refreshed},
};

/// How long an access token lasts: short, because it is sent with everything.
pub const ACCESS_LASTS: SignedDuration = SignedDuration::from_mins(15);
/// How long a sign-in may go unused, and so how long a refresh token lasts.
pub const IDLE_FOR: SignedDuration = SignedDuration::from_hours(24);
/// Shortest password: NIST SP 800-63B asks for 8; 10 costs a person little.
pub const MIN_PASSWORD_CHARS: usize = 10;
/// Longest password, in bytes: beyond any person, and no work for an attacker to order.
const MAX_PASSWORD_BYTES: usize = 256;
/// Wrong passwords for one address within [`ATTEMPT_WINDOW`] before it must wait.
const MAX_ATTEMPTS: usize = 10;
const ATTEMPT_WINDOW: Duration = Duration::from_secs(60);
/// Addresses whose attempts are remembered; beyond it nobody new signs in until some are a
/// [`ATTEMPT_WINDOW`] old, which is a flood and not a clinic.
const MAX_REMEMBERED: usize = 10_000;
/// Longest e-mail address (RFC 5321 §4.5.3.1.3).
const MAX_EMAIL_BYTES: usize = 254;
/// Passwords hashed at once: each takes 19 MiB and a core for tens of milliseconds.
static HASHING: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(std::thread::available_parallelism().map_or(2, usize::from)));

/// 256 random bits, as text.
pub(crate) fn random_token() -> Token {
    Token::new(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
}

/// Hashes a password with argon2id. Takes tens of milliseconds on purpose.
async fn hash(password: &Token) -> Result<String, ApiError> {
    let password = password.clone();
    let _place = HASHING.acquire().await.map_err(|_| Code::Internal)?;
    tokio::task::spawn_blocking(move || {
        Argon2::default().hash_password(password.expose().as_bytes()).map(|h| h.to_string())
    })
    .await
    .ok()
    .and_then(Result::ok)
    .ok_or(Code::Internal.into())
}

async fn verify(password: &Token, hash: String) -> bool {
    let password = password.clone();
    let Ok(_place) = HASHING.acquire().await else { return false };
    tokio::task::spawn_blocking(move || {
        PasswordHash::new(&hash)
            .is_ok_and(|hash| Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok())
    })
    .await
    .unwrap_or(false)
}

/// A hash that no password has: checked for unknown addresses, so that they take as long.
static NOBODY: LazyLock<String> = LazyLock::new(|| {
    Argon2::default()
        .hash_password(random_token().expose().as_bytes())
        .map(|h| h.to_string())
        .unwrap_or_default()
});

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
    if !(1..=100).contains(&name.trim().chars().count()) {
        return Err(ApiError::new(Code::Invalid, "the name has 1 to 100 characters"));
    }
    if password.expose().chars().count() < MIN_PASSWORD_CHARS || password.expose().len() > MAX_PASSWORD_BYTES
    {
        return Err(ApiError::new(
            Code::Invalid,
            "the password has at least 10 characters and at most 256 bytes",
        ));
    }
    Ok(())
}

/// Makes an account.
pub(crate) async fn create(
    app: &App,
    role: Role,
    email: &Text,
    password: &Token,
    name: &Text,
    specialization: Option<String>,
) -> Result<User, ApiError> {
    check(email.reveal(), name.reveal(), password)?;
    let user = User { id: UserId::generate(), role, name: Text::new(name.reveal().trim()), specialization };
    let hash = hash(password).await?;
    let made = app.store.add_account(&user, email.reveal(), &hash, Timestamp::now()).await?;
    made.ok_or(Code::EmailTaken)?;
    app.store.audit(Some(user.id), "account.created", None).await?;
    Ok(user)
}

/// Makes an account from the command line: how doctors and administrators come to be.
pub async fn create_by_administrator(
    app: &App,
    role: Role,
    email: &str,
    password: &str,
    name: &str,
    specialization: Option<String>,
) -> Result<User, bedside_protocol::Problem> {
    create(app, role, &email.into(), &password.into(), &name.into(), specialization)
        .await
        .map_err(|e| e.problem())
}

/// Signs in with a password.
pub(crate) async fn sign_in(app: &App, email: &Text, password: &Token) -> Result<TokenPair, ApiError> {
    // Nobody's, and no work for those who try.
    if email.reveal().len() > MAX_EMAIL_BYTES || password.expose().len() > MAX_PASSWORD_BYTES {
        return Err(Code::WrongCredentials.into());
    }
    // Counted before it is looked at: guesses side by side must not all pass.
    ATTEMPTS.count(email.reveal())?;
    let account = app.store.account_by_email(email.reveal()).await?;
    let stored = account.as_ref().map_or_else(|| NOBODY.clone(), |a| a.password_hash.clone());
    let right = verify(password, stored).await;
    let account = account.filter(|_| right).ok_or(Code::WrongCredentials)?;
    ATTEMPTS.was_right(email.reveal());
    let now = Timestamp::now();
    let family = app.store.start_family(account.user.id, now).await?;
    app.store.audit(Some(account.user.id), "signed-in", None).await?;
    issue(app, Grant { user: account.user, family }, now).await
}

/// Trades a refresh token for a new pair.
pub(crate) async fn refresh(app: &App, token: &Token) -> Result<TokenPair, ApiError> {
    let (access, refresh) = (random_token(), random_token());
    let next = NewTokens { access: &access, refresh: &refresh, access_lasts: ACCESS_LASTS, idle: IDLE_FOR };
    match app.store.use_refresh_token(token, &next, Timestamp::now()).await? {
        Refreshed::Rotated(grant) => Ok(pair(grant.user, access, refresh)),
        Refreshed::Reused(family) => {
            app.end_relaying(&family);
            Err(Code::TokenReused.into())
        }
        Refreshed::Refused => Err(Code::NotSignedIn.into()),
    }
}

async fn issue(app: &App, grant: Grant, now: Timestamp) -> Result<TokenPair, ApiError> {
    let (access, refresh) = (random_token(), random_token());
    app.store.add_token(&grant.family, "access", &access, now + ACCESS_LASTS).await?;
    app.store.add_token(&grant.family, "refresh", &refresh, now + IDLE_FOR).await?;
    Ok(pair(grant.user, access, refresh))
}

fn pair(user: User, access_token: Token, refresh_token: Token) -> TokenPair {
    let expires_in = u32::try_from(ACCESS_LASTS.as_secs()).unwrap_or(0);
    TokenPair { access_token, expires_in, refresh_token, user }
}

/// Recent wrong passwords, by address.
struct Attempts(Mutex<HashMap<String, Vec<Instant>>>);

static ATTEMPTS: LazyLock<Attempts> = LazyLock::new(|| Attempts(Mutex::new(HashMap::new())));

impl Attempts {
    /// Counts one more attempt, unless there were too many.
    fn count(&self, email: &str) -> Result<(), ApiError> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |at: &Instant| at.elapsed() < ATTEMPT_WINDOW;
        let email = email.to_lowercase();
        if all.len() >= MAX_REMEMBERED && !all.contains_key(&email) {
            all.retain(|_, times| times.iter().any(is_recent));
            if all.len() >= MAX_REMEMBERED {
                return Err(Code::TooManyAttempts.into());
            }
        }
        let times = all.entry(email).or_default();
        times.retain(is_recent);
        if times.len() >= MAX_ATTEMPTS {
            return Err(Code::TooManyAttempts.into());
        }
        times.push(Instant::now());
        Ok(())
    }

    fn was_right(&self, email: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&email.to_lowercase());
    }
}
