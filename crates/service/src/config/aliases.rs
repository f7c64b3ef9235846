//! Names that other systems of this kind have for the same settings, so that what a clinic has already set is taken.
//! What is set by a name of ours counts before them.

use std::path::PathBuf;

use bedside_redact::Secret;
use url::Url;

use super::{BucketCredentials, Secrets, Settings};
use crate::ServiceError;

/// Names of what Bedside does in another way or not at all: they are said to have no effect.
const WITHOUT_EFFECT: [&str; 17] = [
    "MONGO_URL",
    "MONGODB_URI",
    "REDIS_HOST",
    "RABBITMQ_HOST",
    "KAFKA_BOOTSTRAP_SERVERS",
    "RABBITMQ_PORT",
    "RABBITMQ_USER",
    "RABBITMQ_USERNAME",
    "RABBITMQ_PASSWORD",
    "RABBITMQ_URL",
    "RABBITMQ_EXCHANGE",
    "TWILIO_ACCOUNT_SID",
    "TWILIO_API_KEY_SID",
    "TWILIO_API_KEY_SECRET",
    "STREAM_API_KEY",
    "STREAM_API_SECRET",
    "RABBITMQ_VHOST",
];

/// What was found in an environment.
#[derive(Debug, Default)]
pub struct Aliases {
    /// What it comes to.
    pub settings: Settings,
    /// Secrets that are in no file.
    pub secrets: Secrets,
    /// Names that were taken.
    pub taken: Vec<&'static str>,
    /// Names that have no effect.
    pub without_effect: Vec<&'static str>,
}

impl Aliases {
    /// Looks for those that say what `own`, by our names, does not; `get` gives a variable's value. What belongs together
    /// is taken together: nobody's password goes to another's database.
    ///
    /// # Errors
    /// Where a value can't be what it is for.
    pub fn find(own: &Settings, get: impl Fn(&str) -> Option<String>) -> Result<Self, ServiceError> {
        let mut found = Self::default();
        let mut take = |name: &'static str| {
            let value = get(name).filter(|value| !value.trim().is_empty());
            if value.is_some() {
                found.taken.push(name);
            }
            value
        };
        let address = |name: &str, text: &str| {
            Url::parse(text).map_err(|error| ServiceError::Config(format!("{name}: {error}")))
        };
        let mut settings = Settings::default();
        if own.cors_origins.is_none() {
            settings.cors_origins = take("CORS_ORIGINS").map(|origins| {
                origins.split(',').map(|origin| origin.trim().trim_end_matches('/').to_owned()).collect()
            });
        }
        let mut secrets = Secrets::default();
        if own.token_secret_file.is_none() {
            settings.token_secret_file = take("JWT_SECRET_FILE").map(PathBuf::from);
            secrets.token = take("JWT_SECRET").map(Secret::new);
        }
        if own.database.is_none()
            && let Some(host) = take("POSTGRES_HOST")
        {
            let port = take("POSTGRES_PORT").unwrap_or_else(|| "5432".to_owned());
            let user = take("POSTGRES_USER").unwrap_or_else(|| "bedside".to_owned());
            let name =
                take("POSTGRES_DATABASE").or_else(|| take("POSTGRES_DB")).unwrap_or_else(|| user.clone());
            let mut url =
                address("POSTGRES_HOST or POSTGRES_PORT", &format!("postgres://{host}:{port}/{name}"))?;
            url.set_username(&user)
                .map_err(|()| ServiceError::Config("POSTGRES_USER is no name of a user".to_owned()))?;
            settings.database = Some(url);
            settings.database_password_file = take("POSTGRES_PASSWORD_FILE").map(PathBuf::from);
            secrets.database = take("POSTGRES_PASSWORD").map(Secret::new);
        }
        if own.s3_bucket.is_none()
            && own.attachments.is_none()
            && let Some(bucket) = take("AWS_S3_BUCKET")
        {
            settings.s3_bucket = Some(bucket);
            settings.s3_region = take("AWS_S3_REGION").or_else(|| take("AWS_REGION"));
            settings.s3_endpoint =
                take("AWS_ENDPOINT_URL").map(|url| address("AWS_ENDPOINT_URL", &url)).transpose()?;
            settings.s3_key_file = take("AWS_S3_KEY_FILE").map(PathBuf::from);
            secrets.bucket = match (take("AWS_ACCESS_KEY_ID"), take("AWS_SECRET_ACCESS_KEY")) {
                (Some(id), Some(secret)) => {
                    let session = take("AWS_SESSION_TOKEN").map(Secret::new);
                    Some(BucketCredentials::Given { id, secret: Secret::new(secret), session })
                }
                (None, None) => None,
                _ => {
                    let why = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together, and one is missing";
                    return Err(ServiceError::Config(why.to_owned()));
                }
            };
        }
        let without_effect = WITHOUT_EFFECT.into_iter().filter(|name| get(name).is_some()).collect();
        Ok(Self { settings, secrets, without_effect, ..found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Place,
        store::{Database, Password},
    };

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
            ("AWS_ACCESS_KEY_ID", "an-id"),
            ("AWS_SECRET_ACCESS_KEY", "a key's secret"),
            ("POSTGRES_PASSWORD", "a password"),
            ("REDIS_HOST", "redis"),
            ("POSTGRES_PORT", ""),
        ];
        let get =
            |name: &str| environment.iter().find(|(is, _)| *is == name).map(|(_, value)| (*value).to_owned());
        let found = Aliases::find(&Settings::default(), get).unwrap();
        let settings = &found.settings;
        assert_eq!(settings.database.as_ref().unwrap().as_str(), "postgres://bedside@db.example:5432/clinic");
        assert_eq!(settings.database_password_file, Some("/run/secrets/db".into()));
        assert_eq!(settings.cors_origins.as_deref().unwrap(), ["https://a.example", "https://b.example"]);
        assert_eq!(settings.s3_region.as_deref(), Some("eu-central-1"));
        let secrets = &found.secrets;
        assert_eq!(secrets.token.as_ref().unwrap().expose(), "a secret of thirty-two characters");
        let said = format!("{secrets:?}");
        assert!(
            !said.contains("thirty-two") && !said.contains("a password") && !said.contains("key's"),
            "{said}"
        );
        let own = "/run/secrets/db";
        let config = found.settings.clone().complete().with(found.secrets);
        let Database::Postgres { password: Some(Password::File(file)), .. } = &config.database else {
            panic!("a file counts before the environment: {:?}", config.database)
        };
        assert_eq!(file, std::path::Path::new(own));
        let Place::Bucket(bucket) = &config.attachments else { panic!("{:?}", config.attachments) };
        assert_eq!(bucket.credentials.as_ref().unwrap().read().unwrap().id, "an-id");
        assert_eq!(found.without_effect, ["REDIS_HOST"]);
        assert!(found.taken.contains(&"JWT_SECRET") && !found.taken.contains(&"POSTGRES_PORT"));
    }

    #[test]
    fn our_own_names_count_first() {
        let url: Url = "postgres://bedside@ours.example/bedside".parse().unwrap();
        let own = Settings { s3_bucket: Some("ours".into()), database: Some(url), ..Settings::default() };
        let theirs = |name: &str| {
            let is_theirs = ["AWS_S3_BUCKET", "AWS_ENDPOINT_URL", "POSTGRES_HOST", "POSTGRES_PASSWORD_FILE"];
            is_theirs.contains(&name).then(|| "theirs".to_owned())
        };
        let found = Aliases::find(&own, theirs).unwrap();
        assert!(found.taken.is_empty(), "nor a part of what belongs together: {:?}", found.taken);
        assert!(found.settings.database.is_none() && found.settings.s3_endpoint.is_none());
    }

    #[test]
    fn what_can_not_be_is_said() {
        for (name, value) in [("POSTGRES_PORT", "abc"), ("AWS_ENDPOINT_URL", "minio.local")] {
            let get = |asked: &str| match asked {
                "POSTGRES_HOST" | "AWS_S3_BUCKET" => Some("there".to_owned()),
                asked => (asked == name).then(|| value.to_owned()),
            };
            let error = Aliases::find(&Settings::default(), get).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
