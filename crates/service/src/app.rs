//! What every request and every socket shares.

use std::sync::Arc;

use bedside_consult::{Effect, Input, Refused, billing, session};
use bedside_protocol::{
    Code, DeviceId, IceServer, Party, Presence, Role, ServerMessage, Session, SessionId, SessionStatus, User,
    UserId, topic,
};
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Config, ServiceError,
    attachments::Attachments,
    error::ApiError,
    realtime::{Hub, PresenceChange, presence_message},
    relay::RelayCredentials,
    store::{SessionRow, Store},
};

/// Sockets that may be connecting at once: a clinic that comes back after an outage, and not the
/// whole of the internet.
const MAX_CONNECTING: usize = 256;

/// The running service.
pub struct App {
    /// How it is set up.
    pub config: Config,
    /// What is kept.
    pub store: Store,
    /// Who is connected.
    pub(crate) hub: Hub,
    /// Where files are kept.
    pub(crate) attachments: Attachments,
    /// Stops every socket and timer.
    pub stop: CancellationToken,
    /// Places for sockets that have not said yet whose they are.
    pub(crate) connecting: Arc<Semaphore>,
    /// The tasks of the sockets.
    pub(crate) sockets: TaskTracker,
    relay: Option<RelayCredentials>,
}

impl App {
    /// Opens the database and the folder of attachments.
    pub async fn open(config: Config, relay: Option<RelayCredentials>) -> Result<Self, ServiceError> {
        std::fs::create_dir_all(&config.data)?;
        let store = Store::open(&config.data.join("bedside.sqlite")).await?;
        let attachments = Attachments::open(config.data.join("attachments"))?;
        Ok(Self {
            store,
            hub: Hub::default(),
            attachments,
            stop: CancellationToken::new(),
            connecting: Arc::new(Semaphore::new(MAX_CONNECTING)),
            sockets: TaskTracker::new(),
            relay,
            config,
        })
    }

    /// Relays for `user` by one of their sign-ins, with credentials that end at `until`.
    pub(crate) fn ice_servers(&self, user: &User, sign_in: DeviceId, until: Timestamp) -> Vec<IceServer> {
        let issue = |relay: &RelayCredentials| relay.issue(&user.id.to_string(), &sign_in.to_string(), until);
        self.relay.as_ref().map(issue).unwrap_or_default()
    }

    /// A sign-in has ended: nothing is relayed for it any more.
    pub(crate) fn end_relaying(&self, sign_in: &str) {
        if let Some(relay) = &self.relay {
            relay.end(sign_in);
        }
    }

    /// A session that `user` takes part in. One they don't take part in is told apart from none
    /// at all only by its code: ids can't be guessed.
    pub(crate) async fn session_of(
        &self,
        id: SessionId,
        user: &User,
    ) -> Result<(SessionRow, Party), ApiError> {
        let row = self.store.session(id).await?.ok_or(Code::NotFound)?;
        let party = row.party(user.id).ok_or(Code::NotAParticipant)?;
        Ok((row, party))
    }

    /// Applies an input of `by`, or of time itself; stores the outcome, tells everybody concerned.
    pub(crate) async fn apply(
        &self,
        id: SessionId,
        input: Input,
        by: Option<UserId>,
    ) -> Result<SessionRow, ApiError> {
        let now = Timestamp::now();
        let outcome = self.store.apply(id, input, &self.config.limits(), now).await?.ok_or(Code::NotFound)?;
        let (mut row, effects) = outcome.map_err(|refused| match refused {
            Refused::Ended => ApiError::from(Code::SessionEnded),
            Refused::NotAdmitted => Code::NotAdmitted.into(),
            Refused::WrongState(_) => Code::WrongState.into(),
        })?;
        for effect in &effects {
            let action = match effect {
                Effect::PatientArrived => "session.waiting",
                Effect::Admitted => "session.admitted",
                Effect::Started => "session.started",
                Effect::Ended => "session.ended",
            };
            tracing::info!(session = %id, action, status = ?row.consultation.status, "session changed");
            self.store.audit(by, action, Some(id)).await?;
        }
        if effects.contains(&Effect::Ended) {
            // It has ended all the same, and everybody is to hear of it; the summary tries again.
            if let Err(error) = self.charge(&mut row).await {
                tracing::error!(session = %id, code = error.code.as_str(), "an amount was not kept");
            }
        }
        self.announce(&row).await?;
        // Everybody's place in the line may have changed.
        for other in self.store.waiting_for(row.doctor).await? {
            if other.id != id {
                self.announce(&other).await?;
            }
        }
        Ok(row)
    }

    /// Keeps what a visit that has ended comes to by today's prices.
    pub(crate) async fn charge(&self, row: &mut SessionRow) -> Result<(), ApiError> {
        if row.consultation.started_at.is_none() {
            return Ok(());
        }
        if let Some((pricing, currency)) = self.store.pricing(row.doctor, row.mode).await? {
            // The clock stands.
            let elapsed = row.consultation.elapsed(Timestamp::now());
            let amount = billing::amount(&pricing, row.mode, elapsed);
            self.store.keep_amount(row.id, amount, &currency).await?;
            row.charged = Some((amount, currency));
        }
        Ok(())
    }

    /// Sends the session as it is now to its topic and to both people's notifications.
    pub(crate) async fn announce(&self, row: &SessionRow) -> Result<(), ApiError> {
        let message = ServerMessage::SessionStatus(Box::new(self.view(row).await?));
        self.hub.publish(&topic::session(row.id), &message);
        for user in [row.patient, row.doctor] {
            self.hub.publish_to(user, topic::NOTIFICATIONS, &message);
        }
        Ok(())
    }

    /// Tells a visit's topic who came or went.
    pub(crate) fn tell_presence(&self, row: &SessionRow, change: PresenceChange) {
        if let Some(message) = presence_message(row, change) {
            self.hub.publish(&topic::session(row.id), &message);
        }
    }

    /// A session as its participants see it.
    pub(crate) async fn view(&self, row: &SessionRow) -> Result<Session, ApiError> {
        let now = Timestamp::now();
        let c = &row.consultation;
        let person = async |id| self.store.user(id).await?.ok_or(ApiError::from(Code::Internal));
        let (mut place, mut wait) = (None, None);
        if c.status == SessionStatus::Waiting && !c.admitted {
            let ahead = self.store.ahead_of(row).await?;
            let waiting = ahead.iter().map(|row| &row.consultation);
            let in_line =
                waiting.clone().filter(|c| c.status == SessionStatus::Waiting && !c.admitted).count();
            place = u32::try_from(in_line + 1).ok();
            // A minute begun counts.
            let minutes = (session::expected_wait(c.scheduled_start, waiting, now).as_secs() + 59) / 60;
            wait = u32::try_from(minutes).ok();
        }
        Ok(Session {
            session_id: row.id,
            appointment_id: row.appointment,
            status: c.status,
            end_reason: c.end_reason,
            consultation_mode: row.mode,
            scheduled_start_time: c.scheduled_start,
            scheduled_duration_minutes: u16::try_from(c.scheduled_duration.as_mins()).unwrap_or(u16::MAX),
            room_name: row.room_name.clone(),
            patient: person(row.patient).await?,
            doctor: person(row.doctor).await?,
            waiting_since: c.waiting_since,
            patient_ready: c.ready,
            device_check: c.device_check,
            admitted: c.admitted,
            actual_start_time: c.started_at,
            elapsed_seconds: u64::try_from(c.elapsed(now).as_secs()).unwrap_or(0),
            revision: row.version.unsigned_abs(),
            as_of: now,
            place_in_line: place,
            expected_wait_minutes: wait,
            ends_by_itself: c.ends_by_itself(&self.config.limits()),
            recalled_from: row.recalled_from,
            patient_device: c.patient_device,
            doctor_device: c.doctor_device,
            participants: [Party::Patient, Party::Doctor]
                .map(|party| Presence {
                    user_id: row.user(party),
                    party,
                    status: self.hub.presence(row.id, row.user(party)),
                })
                .into(),
        })
    }

    /// A person's open and coming sessions, from the start of the last 12 hours on: a visit
    /// before midnight is still there after it.
    pub(crate) async fn sessions_of(&self, user: &User) -> Result<Vec<Session>, ApiError> {
        let since = Timestamp::now() - jiff::SignedDuration::from_hours(12);
        let role = if user.role == Role::Doctor { Role::Doctor } else { Role::Patient };
        let mut views = Vec::new();
        for row in self.store.sessions_of(user.id, role, since).await? {
            views.push(self.view(&row).await?);
        }
        Ok(views)
    }
}

/// How handlers take the service.
pub(crate) type Shared = Arc<App>;
