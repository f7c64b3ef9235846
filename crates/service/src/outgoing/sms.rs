//! Text messages: handed to the clinic's own gateway, whatever that is, as one signed request.

use std::fmt::Write;

use bedside_protocol::NotificationId;
use bedside_redact::Secret;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::Sha256;
use url::Url;

use super::{SendError, texts::Letter};
use crate::{ServiceError, config::SmsConfig};

/// Where the signature is: `sha256=` and the HMAC of the body in hexadecimal.
const SIGNATURE: &str = "bedside-signature";

pub(super) struct Sms {
    client: reqwest::Client,
    url: Url,
    secret: Option<Secret<Vec<u8>>>,
}

/// What the gateway is asked.
#[derive(Serialize)]
struct Request<'a> {
    /// The same for each try.
    id: NotificationId,
    to: &'a str,
    text: &'a str,
}

fn wrong(why: impl std::fmt::Display) -> ServiceError {
    ServiceError::Config(format!("text messages can't be sent so: {why}"))
}

impl Sms {
    pub(super) fn open(config: &SmsConfig) -> Result<Self, ServiceError> {
        // The client takes what the process has; whoever was first has chosen.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let secret = match &config.secret_file {
            Some(file) => {
                let secret = std::fs::read(file)
                    .map_err(|error| wrong(format_args!("{} can't be read: {error}", file.display())))?;
                Some(Secret::new(secret.trim_ascii().to_vec()))
            }
            None => None,
        };
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build();
        Ok(Self { client: client.map_err(wrong)?, url: config.url.clone(), secret })
    }

    pub(super) async fn send(&self, id: NotificationId, letter: &Letter) -> Result<(), SendError> {
        let request = Request { id, to: letter.to.reveal(), text: letter.body.expose() };
        let body = serde_json::to_vec(&request).map_err(|error| SendError::Never(error.to_string()))?;
        let mut post = self.client.post(self.url.clone()).header("content-type", "application/json");
        if let Some(secret) = &self.secret {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose())
                .map_err(|error| SendError::Never(error.to_string()))?;
            mac.update(&body);
            let mut signature = "sha256=".to_owned();
            for byte in mac.finalize().into_bytes() {
                // Writing into a string does not fail.
                let _ = write!(signature, "{byte:02x}");
            }
            post = post.header(SIGNATURE, signature);
        }
        let answer = post.body(body).send().await;
        // Its words may repeat what it was asked, and go nowhere.
        let status =
            answer.map_err(|_| SendError::Later("the gateway can't be reached".to_owned()))?.status();
        if status.is_success() {
            Ok(())
        } else if matches!(status.as_u16(), 400 | 410 | 422) {
            Err(SendError::Never(format!("the gateway refuses it ({status})")))
        } else {
            Err(SendError::Later(format!("the gateway does not take it now ({status})")))
        }
    }
}
