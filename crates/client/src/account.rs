//! Signing in and staying signed in.

use std::sync::Arc;

use bedside_backends::{BackendError, Clinic, Entered, door};
use bedside_protocol::{Code, LoginRequest, RegisterRequest, Text, Token};
use bedside_session::snapshot::{UiCode, UiProblem};

use crate::vault::Vault;

/// What came of signing in.
pub(crate) type Outcome = Result<Entered, BackendError>;

/// What a person typed to sign in.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    /// The service's address.
    pub(crate) service: String,
    pub(crate) email: Text,
    pub(crate) password: Token,
    /// Given when there is no account yet.
    pub(crate) register_as: Option<Text>,
}

/// Signs in, after registering where that was asked for.
pub(crate) async fn sign_in(credentials: Credentials) -> Outcome {
    let Credentials { service, email, password, register_as } = credentials;
    let door = door(&service)?;
    if let Some(name) = register_as {
        let request = RegisterRequest { email: email.clone(), password: password.clone(), name };
        door.register(&request).await?;
    }
    door.sign_in(&LoginRequest { email, password }).await
}

/// Comes back with the token that was kept; none when none was.
pub(crate) async fn resume(vault: Vault, service: String) -> Option<Outcome> {
    let address = service.clone();
    let read = tokio::task::spawn_blocking(move || vault.read(&address)).await;
    match read {
        Ok(Ok(Some(token))) => Some(match door(&service) {
            Ok(door) => door.resume(token).await,
            Err(error) => Err(error),
        }),
        Ok(Ok(None)) | Err(_) => None,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the sign-in can't be read");
            None
        }
    }
}

/// Keeps each new refresh token: the one before is used up. Ends with the sign-in.
pub(crate) async fn keep_tokens(vault: Vault, service: String, clinic: Arc<dyn Clinic>) {
    let mut tokens = clinic.refresh_token().await;
    drop(clinic);
    loop {
        let token = tokens.borrow_and_update().clone();
        let (vault, service) = (vault.clone(), service.clone());
        let written = tokio::task::spawn_blocking(move || vault.write(&service, &token)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "the sign-in was not kept");
        }
        if tokens.changed().await.is_err() {
            return;
        }
    }
}

/// A backend's error as a screen shows it.
pub(crate) fn problem(error: &BackendError) -> UiProblem {
    let code = match (error, error.code()) {
        (BackendError::Unreachable, _) => UiCode::Unreachable,
        (BackendError::ProxyWantsName, _) => UiCode::ProxyWantsName,
        (_, Some(Code::WrongCredentials)) => UiCode::WrongCredentials,
        (_, Some(Code::EmailTaken)) => UiCode::EmailTaken,
        (_, Some(Code::TooManyAttempts)) => UiCode::TooManyAttempts,
        (_, Some(Code::NotSignedIn | Code::TokenReused)) => UiCode::SignedOut,
        (_, Some(Code::SessionEnded)) => UiCode::SessionEnded,
        (_, Some(Code::Invalid)) => UiCode::Invalid,
        (_, Some(Code::TooLarge)) => UiCode::TooLarge,
        (_, Some(Code::UnsupportedType)) => UiCode::UnsupportedType,
        _ => UiCode::Other,
    };
    UiProblem { code, message: error.to_string() }
}
