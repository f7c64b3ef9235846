//! Names that other systems of this kind have for the same settings, so that what a clinic has already set is taken.
//! What is set by a name of ours counts before them.

use std::path::PathBuf;

use bedside_redact::Secret;
use url::Url;

use super::Settings;

/// Names of what Bedside does in another way or not at all: they are said to have no effect.
const WITHOUT_EFFECT: [&str; 6] = [
    "MONGO_URL",
    "MONGODB_URI",
    "REDIS_HOST",
    "RABBITMQ_HOST",
    "KAFKA_BOOTSTRAP_SERVERS",
    "TWILIO_ACCOUNT_SID",
];

/// What was found in an environment.
#[derive(Debug, Default)]
pub struct Aliases {
    /// What it comes to.
    pub settings: Settings,
    /// The key that access tokens are signed with, where it is not in a file.
    pub token_secret: Option<Secret<String>>,
    /// Names that were taken.
    pub taken: Vec<&'static str>,
    /// Names that have no effect.
    pub without_effect: Vec<&'static str>,
}

impl Aliases {
    /// Looks for them; `get` gives a variable's value.
    pub fn find(get: impl Fn(&str) -> Option<String>) -> Self {
        let mut found = Self::default();
        let mut take = |name: &'static str| {
            let value = get(name).filter(|value| !value.trim().is_empty());
            if value.is_some() {
                found.taken.push(name);
            }
            value
        };
        let cors_origins = take("CORS_ORIGINS").map(|origins| {
            origins.split(',').map(|origin| origin.trim().trim_end_matches('/').to_owned()).collect()
        });
        let token_secret_file = take("JWT_SECRET_FILE").map(PathBuf::from);
        let mut settings = Settings { cors_origins, token_secret_file, ..Settings::default() };
        let token_secret = take("JWT_SECRET").map(Secret::new);
        if let Some(host) = take("POSTGRES_HOST") {
            let port = take("POSTGRES_PORT").unwrap_or_else(|| "5432".to_owned());
            let user = take("POSTGRES_USER").unwrap_or_else(|| "bedside".to_owned());
            let database =
                take("POSTGRES_DATABASE").or_else(|| take("POSTGRES_DB")).unwrap_or_else(|| user.clone());
            settings.database =
                Url::parse(&format!("postgres://{host}:{port}/{database}")).ok().and_then(|mut url| {
                    url.set_username(&user).ok()?;
                    Some(url)
                });
            settings.database_password_file = take("POSTGRES_PASSWORD_FILE").map(PathBuf::from);
        }
        settings.s3_bucket = take("AWS_S3_BUCKET");
        if settings.s3_bucket.is_some() {
            settings.s3_region = take("AWS_S3_REGION").or_else(|| take("AWS_REGION"));
            settings.s3_endpoint = take("AWS_ENDPOINT_URL").and_then(|url| Url::parse(&url).ok());
            settings.s3_key_file = take("AWS_S3_KEY_FILE").map(PathBuf::from);
        }
        let without_effect = WITHOUT_EFFECT.into_iter().filter(|name| get(name).is_some()).collect();
        Self { settings, token_secret, without_effect, ..found }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_systems_call_it_is_taken() {
        let environment = [
            ("CORS_ORIGINS", "https://a.example/, https://b.example"),
            ("JWT_SECRET", "a secret of thirty-two characters"),
            ("POSTGRES_HOST", "db.example"),
            ("POSTGRES_DATABASE", "clinic"),
            ("POSTGRES_PASSWORD_FILE", "/run/secrets/db"),
            ("AWS_S3_BUCKET", "files"),
            ("AWS_S3_REGION", "eu-central-1"),
            ("REDIS_HOST", "redis"),
            ("POSTGRES_PORT", ""),
        ];
        let get =
            |name: &str| environment.iter().find(|(is, _)| *is == name).map(|(_, value)| (*value).to_owned());
        let found = Aliases::find(get);
        let settings = &found.settings;
        assert_eq!(settings.database.as_ref().unwrap().as_str(), "postgres://bedside@db.example:5432/clinic");
        assert_eq!(settings.database_password_file, Some("/run/secrets/db".into()));
        assert_eq!(settings.cors_origins.as_deref().unwrap(), ["https://a.example", "https://b.example"]);
        assert_eq!(settings.s3_region.as_deref(), Some("eu-central-1"));
        assert_eq!(found.token_secret.unwrap().expose(), "a secret of thirty-two characters");
        assert_eq!(found.without_effect, ["REDIS_HOST"]);
        assert!(found.taken.contains(&"JWT_SECRET") && !found.taken.contains(&"POSTGRES_PORT"));
    }

    #[test]
    fn our_own_names_count_first() {
        let own = Settings { s3_bucket: Some("ours".into()), ..Settings::default() };
        let found = Aliases::find(|name| (name == "AWS_S3_BUCKET").then(|| "theirs".to_owned()));
        assert_eq!(own.or(found.settings).unwrap().s3_bucket.as_deref(), Some("ours"));
    }
}
