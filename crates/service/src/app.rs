//! What every request and every socket shares.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bedside_consult::line::{self, Place};
use bedside_protocol::{
    IceServer, ParticipantStatus, Party, Presence as PresenceOf, Role, ServerMessage, Session, SessionId,
    SignInId, User, UserId, topic,
};
use jiff::Timestamp;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Config, ServiceError,
    access_log::AccessLog,
    access_tokens::AccessTokens,
    attachments::Attachments,
    descriptors,
    error::ApiError,
    folder,
    instances::{Bus, Nats, Notice, Presence},
    outgoing::Outgoing,
    passwords::Passwords,
    places::Places,
    realtime::Hub,
    relay::RelayCredentials,
    sign_ins::SignIns,
    store::{Listener, SessionRow, Store},
    uploads::Uploads,
    use_cases::outside::Issuer,
};

/// The running service.
pub struct App {
    /// How it is set up.
    pub config: Config,
    /// What is kept.
    pub store: Store,
    /// Who is connected to this service.
    pub(crate) hub: Hub,
    /// What it says to others on the same database.
    pub(crate) bus: Bus,
    /// Who has come and gone, on its way into the database.
    pub(crate) presence: Presence,
    /// Where files are kept.
    pub(crate) attachments: Attachments,
    /// Who looked at what.
    pub(crate) access_log: AccessLog,
    /// Files that are coming in.
    pub(crate) uploads: Uploads,
    /// Who may try to sign in, and when.
    pub(crate) sign_ins: SignIns,
    /// Signs access tokens.
    pub(crate) access_tokens: AccessTokens,
    /// Another issuer whose tokens are taken.
    pub(crate) issuer: Option<Issuer>,
    /// Mails and text messages.
    pub(crate) outgoing: Outgoing,
    /// Hashes passwords.
    pub(crate) passwords: Passwords,
    /// Changes under way: a caller who hangs up does not end one.
    pub(crate) changes: TaskTracker,
    /// Stops every socket and timer.
    pub stop: CancellationToken,
    /// Places for sockets that have not said yet whose they are.
    pub(crate) connecting: Places,
    /// The tasks of the sockets.
    pub(crate) sockets: TaskTracker,
    relay: Option<RelayCredentials>,
}

impl App {
    /// Opens the database and the folder of attachments.
    pub async fn open(config: Config, relay: Option<RelayCredentials>) -> Result<Self, ServiceError> {
        folder::open(&config.data)?;
        let keys = Arc::new(config.sealing_keys()?);
        let store = Store::open(&config.database, keys.clone()).await?;
        check_keys(&store, &config).await?;
        let nats = match &config.nats {
            Some(_) if !store.is_shared() => {
                return Err(ServiceError::Config("several services need a database that they share".into()));
            }
            Some(nats) => Some(Nats::connect(nats, store.instance()).await?),
            None => None,
        };
        let attachments = Attachments::open(&config, keys)?;
        Ok(Self {
            hub: Hub::default(),
            bus: Bus::new(store.is_shared(), nats),
            presence: Presence::default(),
            store,
            attachments,
            access_log: AccessLog::default(),
            uploads: Uploads::default(),
            sign_ins: SignIns::default(),
            access_tokens: AccessTokens::new(&config.token_secret()?)?,
            outgoing: Outgoing::open(&config)?,
            issuer: config.issuer.as_ref().map(Issuer::open).transpose()?,
            passwords: Passwords::new().map_err(|error| ServiceError::Config(error.to_string()))?,
            changes: TaskTracker::new(),
            stop: CancellationToken::new(),
            connecting: Places::new(descriptors::share().silent_sockets),
            sockets: TaskTracker::new(),
            relay,
            config,
        })
    }

    /// Relays for `user` by one of their sign-ins, for a visit or to try them, with credentials that end at `until`.
    pub(crate) fn ice_servers(
        &self,
        user: &User,
        sign_in: SignInId,
        visit: Option<SessionId>,
        until: Timestamp,
    ) -> Vec<IceServer> {
        let visit = visit.map(|visit| visit.to_string());
        let issue = |relay: &RelayCredentials| {
            relay.issue(&user.id.to_string(), &sign_in.to_string(), visit.as_deref(), until)
        };
        self.relay.as_ref().map(issue).unwrap_or_default()
    }

    /// A sign-in or a visit has ended: nothing is relayed for it any more.
    pub(crate) fn end_relaying(&self, ending: &str) {
        self.say(Notice::EndRelaying(ending.to_owned()));
    }

    /// Says something to every service there is, this one among them.
    pub(crate) fn say(&self, notice: Notice) {
        if let Err(notice) = self.bus.take(notice) {
            self.deliver(notice);
        }
    }

    /// Does here what some service has said.
    pub(crate) fn deliver(&self, notice: Notice) {
        match notice {
            Notice::Message { destination, user, visit, body } => {
                self.hub.deliver(&destination, user, visit, &body);
            }
            Notice::EndRelaying(ending) => {
                if let Some(relay) = &self.relay {
                    relay.end(&ending);
                }
            }
            Notice::Attempt(attempt) => self.sign_ins.hear(attempt, self.store.instance()),
            Notice::Missed => {
                tracing::warn!("something was missed: every client is to fetch it");
                self.hub.cut_all();
            }
            Notice::Beat | Notice::Echo => {}
            Notice::Aside(notice) => {
                // Whoever hears over NATS has heard it.
                if !self.bus.hears_over_nats() {
                    self.deliver(*notice);
                }
            }
        }
    }

    /// Sends to everybody who listens to a topic.
    pub(crate) fn publish(&self, destination: &str, message: &ServerMessage) {
        self.say(notice(destination, None, None, message));
    }

    /// Sends to one person's own destination, about a visit or none.
    pub(crate) fn publish_to(
        &self,
        user: UserId,
        destination: &str,
        visit: Option<SessionId>,
        message: &ServerMessage,
    ) {
        self.say(notice(destination, Some(user), visit, message));
    }

    /// The same, where it is only for those of their sockets that this service has.
    pub(crate) fn publish_here(
        &self,
        user: UserId,
        destination: &str,
        visit: Option<SessionId>,
        message: &ServerMessage,
    ) {
        self.deliver(notice(destination, Some(user), visit, message));
    }

    /// Sends the session as it is now to its topic and to both people's notifications.
    pub(crate) async fn announce(&self, row: &SessionRow) -> Result<(), ApiError> {
        self.announce_at(row, self.place(row).await?);
        Ok(())
    }

    /// The same, of somebody whose place in the line is known.
    pub(crate) fn announce_at(&self, row: &SessionRow, place: Option<Place>) {
        let message = ServerMessage::SessionStatus(Box::new(self.view_at(row, place)));
        self.publish(&topic::session(row.id), &message);
        for user in [row.patient.id, row.doctor.id] {
            self.publish_to(user, topic::NOTIFICATIONS, Some(row.id), &message);
        }
    }

    /// Tells a visit's topic whether somebody is there.
    pub(crate) fn tell_presence(&self, row: &SessionRow, party: Party) {
        let presence = presence(row, party);
        let status = ParticipantStatus { session_id: row.id, presence };
        self.publish(&topic::session(row.id), &ServerMessage::ParticipantStatus(status));
    }

    /// The same, as it is now.
    pub(crate) async fn tell_presence_of(&self, listener: Listener) {
        match self.store.session(listener.session).await {
            Ok(Some(row)) => {
                if let Some(party) = row.party(listener.user) {
                    self.tell_presence(&row, party);
                }
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "a visit could not be looked at"),
        }
    }

    /// A session as its participants see it.
    pub(crate) async fn view(&self, row: &SessionRow) -> Result<Session, ApiError> {
        Ok(self.view_at(row, self.place(row).await?))
    }

    /// Where somebody who waits stands in the line.
    async fn place(&self, row: &SessionRow) -> Result<Option<Place>, ApiError> {
        if !line::is_in_line(&row.consultation) {
            return Ok(None);
        }
        let line = self.line_of(row.doctor.id).await?;
        Ok(line.into_iter().find(|(other, _)| other.id == row.id).and_then(|(_, place)| place))
    }

    /// A doctor's visits that have begun or wait, with the places of those who do.
    pub(crate) async fn line_of(&self, doctor: UserId) -> Result<Vec<(SessionRow, Option<Place>)>, ApiError> {
        let rows = self.store.line_of(doctor).await?;
        let places = line::places(rows.iter().map(|row| &row.consultation), Timestamp::now());
        Ok(rows.into_iter().zip(places).collect())
    }

    /// A session as its participants see it, who have this place in the line.
    fn view_at(&self, row: &SessionRow, place: Option<Place>) -> Session {
        let now = Timestamp::now();
        let c = &row.consultation;
        Session {
            session_id: row.id,
            appointment_id: row.appointment,
            status: c.status,
            end_reason: c.end_reason,
            consultation_mode: row.mode,
            scheduled_start_time: c.scheduled_start,
            scheduled_duration_minutes: u16::try_from(c.scheduled_duration.as_mins()).unwrap_or(u16::MAX),
            room_name: row.room_name.clone(),
            patient: row.patient.clone(),
            doctor: row.doctor.clone(),
            waiting_since: c.waiting_since,
            patient_ready: c.ready,
            device_check: c.device_check,
            admitted: c.admitted,
            actual_start_time: c.started_at,
            actual_end_time: c.ended_at.filter(|_| c.started_at.is_some()),
            patient_joined_at: c.patient_joined_at,
            doctor_joined_at: c.doctor_joined_at,
            created_at: Some(row.created_at),
            updated_at: Some(row.updated_at.unwrap_or(row.created_at)),
            clinic_id: row.clinic,
            elapsed_seconds: u64::try_from(c.elapsed(now).as_secs()).unwrap_or(0),
            revision: row.version.unsigned_abs(),
            as_of: now,
            place_in_line: place.map(|place| place.number),
            expected_wait_minutes: place.map(Place::minutes),
            ends_by_itself: c.ends_by_itself(&self.config.limits()),
            recalled_from: row.recalled_from,
            patient_device: c.patient_device,
            doctor_device: c.doctor_device,
            participants: [Party::Patient, Party::Doctor].map(|party| presence(row, party)).into(),
        }
    }

    /// A page of a person's open and coming sessions, from the start of the last 12 hours on: a visit
    /// before midnight is still there after it.
    pub(crate) async fn sessions_of(
        &self,
        user: &User,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<Session>, ApiError> {
        let since = Timestamp::now() - jiff::SignedDuration::from_hours(12);
        let role = if user.role == Role::Doctor { Role::Doctor } else { Role::Patient };
        self.views(self.store.sessions_of(user.id, role, since, after, limit).await?).await
    }

    /// Sessions as their participants see them; each doctor's line is looked at once.
    pub(crate) async fn views(&self, rows: Vec<SessionRow>) -> Result<Vec<Session>, ApiError> {
        let in_line = rows.iter().filter(|row| line::is_in_line(&row.consultation));
        let doctors: HashSet<UserId> = in_line.map(|row| row.doctor.id).collect();
        let mut places = HashMap::new();
        for doctor in doctors {
            places.extend(self.line_of(doctor).await?.into_iter().map(|(row, place)| (row.id, place)));
        }
        Ok(rows.iter().map(|row| self.view_at(row, places.get(&row.id).copied().flatten())).collect())
    }
}

/// Whoever lacks a key that something is sealed with must not begin: half of what there is could not be read, and what it
/// wrote could not be read by the others.
async fn check_keys(store: &Store, config: &Config) -> Result<(), ServiceError> {
    // First said and then looked: of two that begin at once with different keys, one at the least sees it.
    let mut unit = store.begin(Timestamp::now()).await?;
    unit.use_key().await?;
    unit.commit().await?;
    let missing = store.keys_missing().await?;
    if !missing.is_empty() {
        return Err(ServiceError::Config(format!(
            "what is kept is sealed with {}, which {} has not: all services of a database have the same keys \
             (sealing-keys-file), and a backup comes back with its own",
            missing.join(" and "),
            config.sealing_keys_path().display()
        )));
    }
    Ok(())
}

fn presence(row: &SessionRow, party: Party) -> PresenceOf {
    PresenceOf { user_id: row.user(party), party, status: row.attendance.of(party) }
}

fn notice(
    destination: &str,
    user: Option<UserId>,
    visit: Option<SessionId>,
    message: &ServerMessage,
) -> Notice {
    // A message of ours always has a JSON form.
    let body = serde_json::to_string(message).unwrap_or_default();
    Notice::Message { destination: destination.to_owned(), user, visit, body }
}

/// How handlers take the service.
pub(crate) type Shared = Arc<App>;
