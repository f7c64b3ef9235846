//! Tokens of another issuer that the clinic trusts: whoever is signed in there is signed in here.

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use bedside_protocol::{ClinicId, Code, Role, Text, Token, User, UserId};
use bedside_redact::Secret;
use jiff::Timestamp;
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm},
};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use super::{
    accounts::{account, check_name},
    people::{NO_PASSWORD, no_address},
};
use crate::{
    App, ServiceError,
    config::IssuerConfig,
    error::ApiError,
    store::{AuditLine, Grant},
};

/// The longest that another issuer's token is believed in, whatever it says: a day's work.
const LONGEST: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);
/// How long keys from an address are taken without asking again: an issuer takes a key away when it is lost.
const KEYS_LAST: Duration = Duration::from_secs(15 * 60);
/// How soon they may be asked for again, whatever keys tokens name: anybody can name one.
const KEYS_AGAIN: Duration = Duration::from_secs(10);
/// How long the address has to answer, and the most that it may say.
const KEYS_WITHIN: Duration = Duration::from_secs(5);
const MOST_KEY_BYTES: usize = 256 * 1_024;
/// The longest token that is looked at.
const MOST_BYTES: usize = 8 * 1024;
/// The longest name of somebody there.
const MOST_SUBJECT: usize = 200;

/// Whose tokens are taken.
pub(crate) struct Issuer {
    name: String,
    audience: Option<String>,
    keys: Keys,
}

enum Keys {
    Secret(DecodingKey),
    Set(JwkSet),
    /// At an address, asked for again when a token names a key that is not among them, and now and then.
    At(KeysAt),
}

struct KeysAt {
    url: Url,
    http: reqwest::Client,
    known: Mutex<Option<KnownKeys>>,
}

/// Keys as they were when they were last asked for.
struct KnownKeys {
    set: Arc<JwkSet>,
    asked_at: Instant,
}

/// What another issuer says of somebody.
#[derive(Deserialize)]
struct Claims {
    sub: Option<Text>,
    user_id: Option<Text>,
    role: Option<String>,
    name: Option<Text>,
    clinic_id: Option<String>,
    exp: i64,
}

/// Somebody as another issuer knows them.
struct Outsider {
    subject: String,
    role: Role,
    name: Text,
    clinic: Option<ClinicId>,
    /// As the token says.
    expires_at: Timestamp,
    /// As it is believed.
    until: Timestamp,
}

fn read(path: &PathBuf) -> Result<Vec<u8>, ServiceError> {
    std::fs::read(path)
        .map_err(|error| ServiceError::Config(format!("{} can't be read: {error}", path.display())))
}

/// What a key signs with: as it says (RFC 7517 §4.4), or as its kind is used.
fn algorithm(jwk: &Jwk) -> Option<Algorithm> {
    match (jwk.common.key_algorithm, &jwk.algorithm) {
        (Some(KeyAlgorithm::RS256), _) | (None, AlgorithmParameters::RSA(_)) => Some(Algorithm::RS256),
        (Some(KeyAlgorithm::PS256), _) => Some(Algorithm::PS256),
        (Some(KeyAlgorithm::ES256), _) => Some(Algorithm::ES256),
        (None, AlgorithmParameters::EllipticCurve(key)) if key.curve == EllipticCurve::P256 => {
            Some(Algorithm::ES256)
        }
        (Some(KeyAlgorithm::EdDSA), _) | (None, AlgorithmParameters::OctetKeyPair(_)) => {
            Some(Algorithm::EdDSA)
        }
        _ => None,
    }
}

fn is_of_use(set: &JwkSet) -> bool {
    set.keys.iter().any(|jwk| algorithm(jwk).is_some())
}

/// The key of a set that a token is signed with.
fn of_set<'s>(set: &'s JwkSet, kid: Option<&str>) -> Option<&'s Jwk> {
    match kid {
        Some(kid) => set.find(kid),
        None => set.keys.first().filter(|_| set.keys.len() == 1),
    }
}

impl KeysAt {
    /// The keys, asked for anew where they are old or have not this one. Where that fails, those that were there last.
    async fn with(&self, kid: Option<&str>) -> Option<Arc<JwkSet>> {
        // One asks, and the others wait for what it is told.
        let mut known = self.known.lock().await;
        let is_enough = known.as_ref().is_some_and(|known| {
            let age = known.asked_at.elapsed();
            age < KEYS_AGAIN || (age < KEYS_LAST && of_set(&known.set, kid).is_some())
        });
        if !is_enough {
            let before =
                known.as_ref().map_or_else(|| Arc::new(JwkSet { keys: vec![] }), |known| known.set.clone());
            // Whoever hangs up while it is asked takes nothing away, and has it asked no more often.
            *known = Some(KnownKeys { set: before, asked_at: Instant::now() });
            match self.ask().await {
                Ok(set) => *known = Some(KnownKeys { set: Arc::new(set), asked_at: Instant::now() }),
                Err(why) => tracing::error!(why, "the issuer's keys can't be had; those of before count"),
            }
        }
        known.as_ref().map(|known| known.set.clone())
    }

    async fn ask(&self) -> Result<JwkSet, String> {
        let asking = async {
            let answer = self.http.get(self.url.clone()).send().await.map_err(|error| error.to_string())?;
            let mut answer = answer.error_for_status().map_err(|error| error.to_string())?;
            let mut body = vec![];
            while let Some(part) = answer.chunk().await.map_err(|error| error.to_string())? {
                body.extend_from_slice(&part);
                if body.len() > MOST_KEY_BYTES {
                    return Err("it says more than keys".to_owned());
                }
            }
            let set: JwkSet = serde_json::from_slice(&body).map_err(|_| "it holds no keys (RFC 7517)")?;
            if is_of_use(&set) {
                Ok(set)
            } else {
                Err("it holds no key for RS256, PS256, ES256 or EdDSA".to_owned())
            }
        };
        tokio::time::timeout(KEYS_WITHIN, asking).await.map_err(|_| "it does not answer".to_owned())?
    }
}

impl Issuer {
    /// By its configuration.
    pub(crate) fn open(config: &IssuerConfig) -> Result<Self, ServiceError> {
        let keys = match (&config.secret_file, &config.keys_file, &config.keys_url) {
            (Some(path), None, None) => {
                let secret = Secret::new(read(path)?);
                let secret = secret.expose().trim_ascii();
                let key = DecodingKey::from_secret(secret);
                Keys::Secret(key.map_err(|error| {
                    ServiceError::Config(format!("{} holds no secret: {error}", path.display()))
                })?)
            }
            (None, Some(path), None) => {
                let set: JwkSet = serde_json::from_slice(&read(path)?).map_err(|error| {
                    ServiceError::Config(format!("{} holds no keys (RFC 7517): {error}", path.display()))
                })?;
                if !is_of_use(&set) {
                    let why = "holds no key for RS256, PS256, ES256 or EdDSA";
                    return Err(ServiceError::Config(format!("{} {why}", path.display())));
                }
                Keys::Set(set)
            }
            (None, None, Some(url)) => {
                let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build();
                let http = http.map_err(|error| ServiceError::Config(error.to_string()))?;
                Keys::At(KeysAt { url: url.clone(), http, known: Mutex::default() })
            }
            _ => {
                let why =
                    "another issuer needs one of issuer-secret-file, issuer-keys-file and issuer-keys-url";
                return Err(ServiceError::Config(why.to_owned()));
            }
        };
        Ok(Self { name: config.name.clone(), audience: config.audience.clone(), keys })
    }

    /// Who a token says somebody is; none where it is not this issuer's, or not good.
    async fn read(&self, token: &Token, now: Timestamp) -> Option<Outsider> {
        let token = token.expose();
        if token.len() > MOST_BYTES {
            return None;
        }
        let header = decode_header(token.as_bytes()).ok()?;
        let kid = header.kid.as_deref();
        let by_jwk = |jwk: &Jwk| Some((DecodingKey::from_jwk(jwk).ok()?, algorithm(jwk)?));
        // The algorithm is the key's, never what the token asks for (RFC 8725 §3.1).
        let (key, algorithm) = match &self.keys {
            Keys::Secret(key) => (key.clone(), Algorithm::HS256),
            Keys::Set(set) => by_jwk(of_set(set, kid)?)?,
            Keys::At(at) => {
                let set = at.with(kid).await?;
                by_jwk(of_set(&set, kid)?)?
            }
        };
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[&self.name]);
        validation.validate_nbf = true;
        match &self.audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                validation.set_required_spec_claims(&["exp", "iss", "aud"]);
            }
            None => {
                validation.validate_aud = false;
                validation.set_required_spec_claims(&["exp", "iss"]);
            }
        }
        let claims = decode::<Claims>(token, &key, &validation).ok()?.claims;
        let subject = claims.user_id.or(claims.sub)?.reveal().to_owned();
        let role = match claims.role?.to_ascii_uppercase().as_str() {
            "PATIENT" => Role::Patient,
            "DOCTOR" => Role::Doctor,
            "CLINIC_ADMIN" | "ADMIN" => Role::ClinicAdmin,
            _ => return None,
        };
        let name = claims.name.filter(|name| check_name(name.reveal()).is_ok());
        Some(Outsider {
            name: name.unwrap_or_else(|| Text::new(if role == Role::Doctor { "Doctor" } else { "Patient" })),
            role,
            // One that is no id is none of ours, and of none is more than of any.
            clinic: claims.clinic_id.map(|id| id.parse()).transpose().ok()?,
            expires_at: Timestamp::from_second(claims.exp).ok()?,
            until: Timestamp::from_second(claims.exp).ok()?.min(now + LONGEST),
            subject: Some(subject).filter(|subject| (1..=MOST_SUBJECT).contains(&subject.len()))?,
        })
    }
}

/// What an access token gives: one of this service's, or one of another issuer's that is taken for the first time.
pub(crate) async fn grant(app: &App, from: IpAddr, token: &Token) -> Result<Option<Grant>, ApiError> {
    let now = Timestamp::now();
    let known = app.store.grant(token, now).await?;
    let (None, Some(issuer)) = (&known, &app.issuer) else { return Ok(known) };
    let Some(outsider) = issuer.read(token, now).await else { return Ok(None) };
    // One that was ended here stays so.
    if app.store.knows_access_token(token).await? {
        return Ok(None);
    }
    sign_in(app, from, token, &issuer.name, outsider, now).await
}

/// Takes a token for the first time. None where it is not taken.
async fn sign_in(
    app: &App,
    from: IpAddr,
    token: &Token,
    issuer: &str,
    outsider: Outsider,
    now: Timestamp,
) -> Result<Option<Grant>, ApiError> {
    let mut unit = app.store.begin(now).await?;
    if let Some(clinic) = outsider.clinic
        && !unit.has_clinic(clinic).await?
    {
        return Ok(None);
    }
    let user = match unit.outside_account(issuer, &outsider.subject).await? {
        Some(known) => {
            // Nobody becomes another by another token, nor of another clinic, nor comes back who has left.
            if known.user.role != outsider.role || known.clinic != outsider.clinic || known.is_disabled {
                return Ok(None);
            }
            known.user.id
        }
        None => {
            let id = UserId::generate();
            let user = User { id, role: outsider.role, name: outsider.name, specialization: None };
            unit.add_account(&user, &no_address(id), NO_PASSWORD, true, outsider.clinic).await?;
            if !unit.add_outside_account(issuer, &outsider.subject, id).await? {
                // Another of their tokens came at the same moment, and made it. Their next request finds that.
                return Err(Code::Unavailable.into());
            }
            let line = AuditLine::new("USER_REGISTERED").on(account(id));
            unit.audit(if user.role == Role::Patient { line.of(id) } else { line });
            id
        }
    };
    let family = unit.start_family_for(user, None, Some(outsider.until)).await?;
    // Kept for as long as it is good elsewhere, so that what was ended here does not begin anew.
    if unit.add_token_once(family, token, outsider.expires_at).await? {
        let line = AuditLine::new("SIGNED_IN").by(user).from(from);
        unit.audit(line.on(format!("sign-in:{family}")));
        unit.commit().await?;
    } else {
        // Somebody has shown it at the same moment.
        drop(unit);
    }
    Ok(app.store.grant(token, now).await?)
}
