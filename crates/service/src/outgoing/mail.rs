//! Mail, by SMTP.

use bedside_protocol::NotificationId;
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp::{
        authentication::Credentials,
        client::{Tls, TlsParameters},
    },
};

use super::{SendError, texts::Letter};
use crate::{ServiceError, config::MailConfig};

pub(super) struct Mail {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

fn wrong(why: impl std::fmt::Display) -> ServiceError {
    ServiceError::Config(format!("mail can't be sent so: {why}"))
}

impl Mail {
    pub(super) fn open(config: &MailConfig) -> Result<Self, ServiceError> {
        let from = config
            .from
            .parse()
            .map_err(|_| wrong("mail-from is like: The practice <hello@visits.example>"))?;
        let host =
            config.server.host_str().ok_or_else(|| wrong("mail-server is like smtp://mail.example:587"))?;
        let is_here = matches!(host, "127.0.0.1" | "localhost" | "[::1]");
        let parameters = || TlsParameters::new(host.to_owned()).map_err(wrong);
        // In the open only within this machine.
        let (tls, port) = match config.server.scheme() {
            "smtps" => (Tls::Wrapper(parameters()?), 465),
            "smtp" if is_here => (Tls::None, 25),
            "smtp" => (Tls::Required(parameters()?), 587),
            other => return Err(wrong(format_args!("{other} is neither smtp nor smtps"))),
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(config.server.port().unwrap_or(port))
            .tls(tls)
            .timeout(Some(super::SENT_WITHIN));
        if !config.server.username().is_empty() {
            let file = config.password_file.as_ref().ok_or_else(|| wrong("mail-password-file is missing"))?;
            let password = std::fs::read_to_string(file)
                .map_err(|error| wrong(format_args!("{} can't be read: {error}", file.display())))?;
            let user = percent_encoding::percent_decode_str(config.server.username()).decode_utf8_lossy();
            let password = password.trim_end_matches(['\r', '\n']).to_owned();
            transport = transport.credentials(Credentials::new(user.into_owned(), password));
        }
        Ok(Self { transport: transport.build(), from })
    }

    /// Whether the server takes us, or what is wrong.
    pub(super) async fn answers(&self) -> Result<String, String> {
        match self.transport.test_connection().await {
            Ok(true) => Ok("the mail server takes us".to_owned()),
            Ok(false) => Err("the mail server does not answer as one".to_owned()),
            Err(error) => Err(format!("{error}. Look at --mail-server and its password's file")),
        }
    }

    pub(super) async fn send(&self, id: NotificationId, letter: &Letter) -> Result<(), SendError> {
        // None of these words repeats an address: it goes into the log.
        let to = letter.to.reveal().parse::<Address>();
        let to = to.map_err(|_| SendError::Never("their address is none".to_owned()))?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(letter.subject.as_str())
            .message_id(Some(format!("<{id}@{}>", self.from.email.domain())))
            .header(ContentType::TEXT_PLAIN)
            .body(letter.body.expose().to_owned())
            .map_err(|_| SendError::Never("no mail can be made of it".to_owned()))?;
        // Whatever it says: of an address that is none it says the same as of a password that is wrong, and the one
        // costs a few tries, the other a mail.
        self.transport.send(message).await.map(|_| ()).map_err(|error| {
            let status = error.status().map(|code| format!(" ({code})")).unwrap_or_default();
            SendError::Later(format!("the mail server can't be reached, or does not take it{status}"))
        })
    }
}
