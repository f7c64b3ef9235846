//! Mails and text messages, on their way out: written with what they are about (`store::notifications`), sent here, by
//! whichever service takes them first, and again where that failed.

mod mail;
mod sms;
mod texts;

use std::{pin::pin, sync::Arc, time::Duration};

use bedside_protocol::{Code, NotificationKind, PresenceStatus, SessionStatus, Token};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use tokio::{sync::Notify, task::JoinSet};

use crate::{
    App, Config, ServiceError,
    error::ApiError,
    store::{About, AuditLine, Channel, Outgoing as Item},
    telemetry,
    use_cases::sign_ins::random_token,
};
use mail::Mail;
use sms::Sms;
use texts::Letter;

/// How often it is looked for what another service has left.
const LOOKS_EVERY: Duration = Duration::from_secs(30);
/// How long one sending may take, with its answer.
const SENT_WITHIN: Duration = Duration::from_secs(30);
/// How long what is being sent is nobody else's.
const CLAIMED_FOR: SignedDuration = SignedDuration::from_mins(2);
/// How long after the first failure it is tried again; each time twice as long.
const FIRST_AGAIN: SignedDuration = SignedDuration::from_secs(5);
/// And the longest.
const LAST_AGAIN: SignedDuration = SignedDuration::from_hours(1);
/// Tries, over some four hours: what has not gone out by then is no news.
const MOST_ATTEMPTS: i64 = 12;
/// Messages that are sent at the same time by one way: one that hangs does not hold up the others.
const SIDE_BY_SIDE: usize = 4;
/// How long after the start somebody is still waited for.
const WAITS_FOR: SignedDuration = SignedDuration::from_hours(2);
/// How long a mail opens another password.
pub(crate) const RESETS_FOR: SignedDuration = SignedDuration::from_hours(1);
/// How long a mail opens a new account, or confirms an address.
const WELCOMES_FOR: SignedDuration = SignedDuration::from_hours(24 * 7);

/// Why something was not sent.
#[derive(Debug, thiserror::Error)]
enum SendError {
    /// It may go at another time.
    #[error("{0}")]
    Later(String),
    /// It won't.
    #[error("{0}")]
    Never(String),
}

/// The ways out that there are.
pub(crate) struct Outgoing {
    mail: Option<Mail>,
    sms: Option<Sms>,
    time_zone: TimeZone,
    news: Notify,
}

impl Outgoing {
    /// By the configuration.
    pub(crate) fn open(config: &Config) -> Result<Self, ServiceError> {
        let time_zone = TimeZone::get(&config.time_zone).map_err(|_| {
            ServiceError::Config(format!("{} is no time zone: one is like Europe/Berlin", config.time_zone))
        })?;
        Ok(Self {
            mail: config.mail.as_ref().map(Mail::open).transpose()?,
            sms: config.sms.as_ref().map(Sms::open).transpose()?,
            time_zone,
            news: Notify::new(),
        })
    }

    /// Which there are.
    pub(crate) fn channels(&self) -> impl Iterator<Item = Channel> {
        let mail = self.mail.as_ref().map(|_| Channel::Mail);
        mail.into_iter().chain(self.sms.as_ref().map(|_| Channel::Sms))
    }

    /// Whether the mail server takes us, or what is wrong; none where there is none.
    pub(crate) async fn mail_answers(&self) -> Option<Result<String, String>> {
        Some(self.mail.as_ref()?.answers().await)
    }

    /// Whether people can be written to.
    pub(crate) const fn has_mail(&self) -> bool {
        self.mail.is_some()
    }

    /// There is something to send.
    pub(crate) fn wake(&self) {
        // Each who waits for something of its own.
        self.news.notify_waiters();
    }
}

/// Runs until the service stops.
pub(crate) async fn run(app: Arc<App>) {
    let mut workers = JoinSet::new();
    for channel in app.outgoing.channels() {
        for _ in 0..SIDE_BY_SIDE {
            workers.spawn(work(app.clone(), channel));
        }
    }
    while let Some(ended) = workers.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "what sends messages had stopped");
        }
    }
}

async fn work(app: Arc<App>, channel: Channel) {
    loop {
        let mut news = pin!(app.outgoing.news.notified());
        // From here on: what comes while it is looked is not missed.
        news.as_mut().enable();
        let wait = match send_all(&app, channel).await {
            Ok(wait) => wait,
            Err(error) => {
                tracing::error!(code = error.code.as_str(), "it can't be seen what is to be sent");
                LOOKS_EVERY
            }
        };
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = news => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Sends what is due by one way; gives how long until there is more.
async fn send_all(app: &App, channel: Channel) -> Result<Duration, ApiError> {
    while !app.stop.is_cancelled() {
        let mut unit = app.store.begin(Timestamp::now()).await?;
        let Some(item) = unit.claim_outgoing(channel, CLAIMED_FOR).await? else { break };
        unit.commit().await?;
        // Where it is broken off, another service takes it when the claim has run out.
        tokio::select! {
            () = app.stop.cancelled() => break,
            sent = send_one(app, channel, &item) => sent?,
        }
    }
    let next = app.store.next_outgoing(channel).await?;
    let until = next.map(|next| next.duration_since(Timestamp::now()));
    let until = until.and_then(|until| Duration::try_from(until).ok());
    // What is due and was not taken is another service's at the moment.
    Ok(until.map_or(LOOKS_EVERY, |until| until.clamp(Duration::from_millis(50), LOOKS_EVERY)))
}

async fn send_one(app: &App, channel: Channel, item: &Item) -> Result<(), ApiError> {
    let letter = match compose(app, channel, item).await {
        // A later version's: one of those takes it.
        Ok(_) if item.about.is_none() => {
            Err(SendError::Later("this version does not know what it is".to_owned()))
        }
        // The database can't be asked: it is tried again when the claim has run out.
        Err(error) if error.code == Code::Unavailable => return Err(error),
        Err(error) => Err(SendError::Later(format!("it can't be made ({})", error.code.as_str()))),
        Ok(letter) => Ok(letter),
    };
    let token = letter.as_ref().ok().and_then(Option::as_ref).and_then(|letter| letter.token.clone());
    let sent = match letter {
        Ok(Some(letter)) => {
            let sending = async {
                match (channel, &app.outgoing.mail, &app.outgoing.sms) {
                    (Channel::Mail, Some(mail), _) => mail.send(item.id, &letter).await,
                    (Channel::Sms, _, Some(sms)) => sms.send(item.id, &letter).await,
                    _ => Err(SendError::Later("this service has no way to send it".to_owned())),
                }
            };
            let late = |_| Err(SendError::Later("nobody answered".to_owned()));
            tokio::time::timeout(SENT_WITHIN, sending).await.unwrap_or_else(late)
        }
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    telemetry::count_outgoing(sent.is_ok());
    let mut unit = app.store.begin(Timestamp::now()).await?;
    match sent {
        Ok(()) => unit.remove_outgoing(item.id).await?,
        Err(error) => {
            let is_given_up = matches!(error, SendError::Never(_)) || item.attempts + 1 >= MOST_ATTEMPTS;
            let doubled = FIRST_AGAIN.saturating_mul(1 << item.attempts.clamp(0, 16));
            let again = (!is_given_up).then(|| unit.now + doubled.min(LAST_AGAIN));
            unit.postpone_outgoing(item.id, again).await?;
            // The next try has another.
            if let Some(token) = &token {
                unit.remove_mail_token(token).await?;
            }
            if is_given_up {
                let line = AuditLine::new("NOTIFICATION_GIVEN_UP").of(item.user);
                unit.audit(line.on(format!("notification:{}", item.id)));
            }
            tracing::warn!(%error, is_given_up, ?channel, "a message was not sent");
        }
    }
    Ok(unit.commit().await?)
}

/// What is to be sent, as things are now; none where there is nothing to say any more, or nobody to say it to.
async fn compose(app: &App, channel: Channel, item: &Item) -> Result<Option<Letter>, ApiError> {
    let Some(reach) = app.store.reach_of(item.user).await? else { return Ok(None) };
    let Some(about) = item.about else { return Ok(None) };
    let to = match channel {
        Channel::Mail => reach.email,
        Channel::Sms => reach.phone,
    };
    let Some(to) = to else { return Ok(None) };
    let practice = app.config.clinic_name.as_deref();
    let address = app.config.public_url.as_ref();
    if let About::Visit(kind) = about {
        let session = match item.session {
            Some(session) if reach.wants_messages && reach.is_confirmed => app.store.session(session).await?,
            _ => None,
        };
        let Some(row) = session else { return Ok(None) };
        let status = row.consultation.status;
        let is_news = match kind {
            NotificationKind::ReminderDay | NotificationKind::ReminderSoon => {
                status == SessionStatus::Scheduled && row.consultation.scheduled_start > Timestamp::now()
            }
            NotificationKind::DoctorWaits => {
                !status.is_final()
                    && row.attendance.patient != PresenceStatus::Connected
                    && Timestamp::now() < row.consultation.scheduled_start + WAITS_FOR
            }
            NotificationKind::VisitCompleted => true,
            NotificationKind::FeedbackRequest => app.store.feedback(row.id).await?.is_none(),
        };
        if !is_news {
            return Ok(None);
        }
        let start = row.consultation.scheduled_start.to_zoned(app.outgoing.time_zone.clone());
        return Ok(Some(texts::of_visit(to, kind, &start, practice, address)));
    }
    let lasts = if about == About::PasswordReset { RESETS_FOR } else { WELCOMES_FOR };
    let token: Token = random_token();
    let mut unit = app.store.begin(Timestamp::now()).await?;
    unit.add_mail_token(&token, item.user, about, unit.now + lasts).await?;
    unit.commit().await?;
    Ok(Some(texts::of_account(to, about, &token, practice, address)))
}
