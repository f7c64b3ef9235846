//! What people are written: plain words, and nothing of what a visit is about or with whom.

use bedside_protocol::{NotificationKind, Text, Token};
use jiff::Zoned;
use url::Url;

use crate::store::About;

/// What is sent to somebody.
#[derive(Debug)]
pub(super) struct Letter {
    /// Their address, or their telephone.
    pub(super) to: Text,
    /// What stands above a mail.
    pub(super) subject: String,
    /// The words. They may hold what opens something.
    pub(super) body: Token,
    /// What it opens, if it opens anything.
    pub(super) token: Option<Token>,
}

/// Whom it is from, where the clinic has not said what it is called.
const PRACTICE: &str = "Your practice";

fn signed(body: &str, practice: Option<&str>) -> Token {
    Token::new(format!("{body}\n\n{}\n", practice.unwrap_or(PRACTICE)))
}

fn when(start: &Zoned) -> String {
    start.strftime("%A %-d %B at %H:%M (%Q)").to_string()
}

/// About a visit that begins then.
pub(super) fn of_visit(
    to: Text,
    kind: NotificationKind,
    start: &Zoned,
    practice: Option<&str>,
    address: Option<&Url>,
) -> Letter {
    let at = when(start);
    let place = address.map_or_else(|| "Open Bedside".to_owned(), |url| format!("Open Bedside, or {url}"));
    let (subject, body) = match kind {
        NotificationKind::ReminderDay => (
            "Your appointment",
            format!(
                "You have an appointment on {at}.\n\n{place}. The waiting room opens half an hour before. You can try \
                 your camera, microphone and line there at any time."
            ),
        ),
        NotificationKind::ReminderSoon => (
            "Your appointment begins soon",
            format!("Your appointment is on {at}. The waiting room is open.\n\n{place}."),
        ),
        NotificationKind::DoctorWaits => (
            "You are waited for",
            format!("Somebody is waiting for you: your appointment was planned for {at}.\n\n{place}."),
        ),
        NotificationKind::VisitCompleted => (
            "Your appointment is over",
            format!(
                "Your appointment of {at} is over. What was written and sent is kept for you.\n\n{place}."
            ),
        ),
        NotificationKind::FeedbackRequest => (
            "How was it?",
            format!(
                "Would you tell us how your appointment of {at} was? It takes a minute, and helps those after \
                 you.\n\n{place}."
            ),
        ),
    };
    let body = format!("{body}\n\nYou can switch these messages off in Bedside, under your name.");
    Letter { to, subject: subject.to_owned(), body: signed(&body, practice), token: None }
}

/// About an account, with what opens it.
pub(super) fn of_account(
    to: Text,
    about: About,
    token: &Token,
    practice: Option<&str>,
    address: Option<&Url>,
) -> Letter {
    let opens = |page: &str| match address {
        Some(url) => {
            let mut url = url.clone();
            url.set_path(&format!("{}/{page}", url.path().trim_end_matches('/')));
            // Behind the #: no server and no log sees it.
            url.set_fragment(Some(token.expose()));
            url.to_string()
        }
        None => format!("Your code, for Bedside: {}", token.expose()),
    };
    let (subject, body) = match about {
        About::Welcome => (
            "Your account",
            format!(
                "An account was made for you. Choose a password here, within a week:\n\n{}",
                opens("password")
            ),
        ),
        About::ConfirmAddress => (
            "Is this your address?",
            format!(
                "Somebody has made an account with this address. If it was you, say so here, within a \
                 week:\n\n{}\n\nIf it was not, do nothing.",
                opens("confirm")
            ),
        ),
        About::PasswordReset | About::Visit(_) => (
            "Another password",
            format!(
                "Somebody asked for another password for your account. If it was you, choose one here, within an \
                 hour:\n\n{}\n\nIf it was not, do nothing: your password stays as it is.",
                opens("password")
            ),
        ),
    };
    Letter { to, subject: subject.to_owned(), body: signed(&body, practice), token: Some(token.clone()) }
}
