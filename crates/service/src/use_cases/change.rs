//! Changes of a visit: what the rules say, the audit lines, the amount and the news of it, stored together.

use std::mem::take;

use bedside_authz::Action;
use bedside_consult::{
    Consultation, Effect, Input, Refused,
    billing::{self, Currency},
    quality, record,
};
use bedside_protocol::{
    ChatMessage, Code, Notification, NotificationKind, Party, PresenceStatus, ServerMessage,
    SessionEventType, SessionId, SessionStatus, UserId, topic,
};
use jiff::Timestamp;

use super::{appointments, notifications, practice};
use crate::{
    App,
    ctx::Ctx,
    error::ApiError,
    store::{AuditLine, Heard, Listener, SessionRow, SitsAt, StoreError, Unit},
};

/// A change of one visit under way. Dropped before it is committed, nothing has happened.
pub(crate) struct Change<'a> {
    app: &'a App,
    pub(crate) unit: Unit,
    pub(crate) row: SessionRow,
    /// As it is stored.
    stored: Consultation,
    by: Option<&'a Ctx>,
    /// Something beside the visit itself is to be stored.
    has_more: bool,
    /// What its people are told.
    told: Vec<(UserId, Notification)>,
    /// What the chat says of it.
    said: Vec<ChatMessage>,
    /// What whoever makes it sits at.
    pub(crate) sits_at: SitsAt,
}

impl<'a> Change<'a> {
    /// Begins one of the visit `id`, by somebody or by time itself.
    pub(crate) async fn begin(app: &'a App, id: SessionId, by: Option<&'a Ctx>) -> Result<Self, ApiError> {
        let mut unit = app.store.begin(Timestamp::now()).await?;
        let row = unit.session(id).await?.ok_or(Code::NotFound)?;
        let stored = row.consultation.clone();
        let (told, said, sits_at) = (vec![], vec![], SitsAt::default());
        Ok(Self { app, stored, unit, row, by, has_more: false, told, said, sits_at })
    }

    /// Begins one that somebody makes who may; gives the side that they are on.
    pub(crate) async fn by_participant(
        app: &'a App,
        ctx: &'a Ctx,
        id: SessionId,
        action: Action,
    ) -> Result<(Self, Party), ApiError> {
        // Whoever may not has no turn among those who write.
        let party = app.party_in(ctx, id, action).await?;
        Ok((Self::begin(app, id, Some(ctx)).await?, party))
    }

    /// What the rules make of an input.
    pub(crate) async fn apply(&mut self, input: Input) -> Result<(), ApiError> {
        let effects = self.row.consultation.apply(input, self.unit.now, &self.app.config.limits());
        let effects = effects.map_err(|refused| match refused {
            Refused::Ended => Code::SessionEnded,
            Refused::TooEarly => Code::TooEarly,
            Refused::NotAdmitted => Code::NotAdmitted,
            Refused::WrongState(_) => Code::WrongState,
        })?;
        for effect in &effects {
            let action = match effect {
                Effect::PatientArrived => "SESSION_WAITING",
                Effect::Admitted => "SESSION_ADMITTED",
                Effect::Started => "SESSION_STARTED",
                Effect::Ended => "SESSION_ENDED",
            };
            tracing::info!(session = %self.row.id, action, status = ?self.row.consultation.status, "session changes");
            self.audit(action);
        }
        if effects.contains(&Effect::Admitted) && self.row.attendance.patient != PresenceStatus::Connected {
            self.notify(Party::Patient, NotificationKind::DoctorWaits).await?;
        }
        if effects.contains(&Effect::Ended) && self.row.consultation.status == SessionStatus::Completed {
            self.notify(Party::Patient, NotificationKind::VisitCompleted).await?;
            self.notify(Party::Patient, NotificationKind::FeedbackRequest).await?;
        }
        if effects.contains(&Effect::Ended) {
            charge(&mut self.unit, &mut self.row).await?;
            self.row.heard = heard(&mut self.unit, &self.row).await?;
        }
        if effects.iter().any(|effect| matches!(effect, Effect::Started | Effect::Ended)) {
            appointments::follow(&mut self.unit, &self.row).await?;
            practice::follow(&mut self.unit, &self.row).await?;
        }
        Ok(())
    }

    /// Tells one of the two something, once it is stored.
    pub(crate) async fn notify(&mut self, party: Party, kind: NotificationKind) -> Result<(), ApiError> {
        let told = notifications::add(self.app, &mut self.unit, &self.row, party, kind).await?;
        self.has_more |= told.is_some();
        self.told.extend(told);
        Ok(())
    }

    /// Whether the visit is not as it is stored.
    pub(crate) fn has_changed(&self) -> bool {
        self.row.consultation != self.stored
    }

    /// Adds a line to the audit log about this visit.
    pub(crate) fn audit(&mut self, action: &'static str) {
        self.audit_on(action, None);
    }

    /// The same, about a thing in it.
    pub(crate) fn audit_on(&mut self, action: &'static str, object: Option<String>) {
        let line = self.by.map_or(AuditLine::new(action), |ctx| ctx.line(action)).about(&self.row);
        self.unit.audit(object.map_or(line.clone(), |object| line.on(object)));
        self.has_more = true;
    }

    /// Somebody who listens is there again; gives whether they had left.
    pub(crate) async fn returns(&mut self, party: Party) -> Result<bool, ApiError> {
        if !self.row.attendance.has_left(party) {
            return Ok(false);
        }
        let listener = self.listener(party);
        let returns = self.unit.return_presence(listener).await?;
        self.look_who_is_there(returns).await
    }

    /// Somebody leaves on purpose; gives whether they were there.
    pub(crate) async fn leaves(&mut self, party: Party) -> Result<bool, ApiError> {
        let listener = self.listener(party);
        let leaves = self.unit.leave_presence(listener).await?;
        self.look_who_is_there(leaves).await
    }

    const fn listener(&self, party: Party) -> Listener {
        Listener { session: self.row.id, user: self.row.user(party) }
    }

    async fn look_who_is_there(&mut self, has_changed: bool) -> Result<bool, ApiError> {
        if has_changed {
            self.has_more = true;
            self.row.attendance = self.unit.attendance(&self.row).await?;
        }
        Ok(has_changed)
    }

    /// Writes what happened into the visit's record, and what both are to know of it into their chat: before the visit
    /// itself, whose end would keep it out.
    async fn record(&mut self) -> Result<(), ApiError> {
        let happened = record::between(&self.stored, &self.row.consultation);
        let before = &self.stored;
        let has_begun = self.row.consultation.started_at.is_some();
        let begins = has_begun && before.started_at.is_none();
        if begins {
            // One of the two came before, when there was nothing to say yet.
            let (patient, doctor) = (self.row.patient.id, self.row.doctor.id);
            for (who, came) in
                [(doctor, SessionEventType::DoctorJoined), (patient, SessionEventType::PatientJoined)]
            {
                if !happened.iter().any(|one| one.kind == came) {
                    self.say(who, came).await?;
                }
            }
        }
        for one in happened {
            let user = one.party.map(|party| self.row.user(party));
            self.unit.happened(self.row.id, one.kind, user);
            match (one.kind, user) {
                (SessionEventType::PatientJoined | SessionEventType::DoctorJoined, Some(user)) => {
                    let is_theirs = self.by.is_some_and(|ctx| ctx.user.id == user);
                    let at = if is_theirs { take(&mut self.sits_at) } else { SitsAt::default() };
                    self.unit.participant_joined(self.row.id, user, &at).await?;
                }
                (SessionEventType::PatientLeft | SessionEventType::DoctorLeft, Some(user)) => {
                    self.unit.participant_left(self.row.id, Some(user)).await?;
                }
                (SessionEventType::Ended, _) => self.unit.participant_left(self.row.id, None).await?,
                _ => {}
            }
            if has_begun && one.is_said() {
                self.say(user.unwrap_or(self.row.doctor.id), one.kind).await?;
            }
        }
        Ok(())
    }

    /// Says in the chat that something happened.
    pub(crate) async fn say(&mut self, about: UserId, what: SessionEventType) -> Result<(), ApiError> {
        let said = self.unit.add_system_message(&self.row, about, what).await?;
        self.said.extend(said);
        Ok(())
    }

    /// The same, with what was written beside it.
    pub(crate) async fn commit_all(mut self) -> Result<SessionRow, ApiError> {
        self.has_more = true;
        self.commit().await
    }

    /// Stores all of it; whoever listens is told afterwards. Gives the visit as it is now.
    pub(crate) async fn commit(mut self) -> Result<SessionRow, ApiError> {
        let has_changed = self.has_changed();
        if has_changed {
            self.record().await?;
            self.row = self.unit.replace(self.row).await?;
            self.unit.tell(&self.row).await?;
        }
        if let Some(ctx) = self.by.filter(|_| !self.sits_at.is_unsaid()) {
            // A doctor came with the calling-in, and somebody who changes to another device has come already.
            self.unit.participant_sits_at(self.row.id, ctx.user.id, &self.sits_at).await?;
        }
        if has_changed || self.has_more {
            self.unit.commit().await?;
        }
        for message in self.said {
            self.app.publish(&topic::session(self.row.id), &ServerMessage::ChatMessage(message));
        }
        for (user, notification) in self.told {
            notifications::tell(self.app, user, notification);
        }
        if has_changed && self.row.consultation.status.is_final() {
            self.app.end_relaying(&self.row.id.to_string());
        }
        Ok(self.row)
    }
}

/// How each side saw and heard a visit that has ended.
async fn heard(unit: &mut Unit, row: &SessionRow) -> Result<Heard, StoreError> {
    if row.consultation.started_at.is_none() {
        return Ok(Heard::default());
    }
    let mut heard = Heard::default();
    for (party, word) in [(Party::Patient, &mut heard.patient), (Party::Doctor, &mut heard.doctor)] {
        match unit.quality(row.id, party).await {
            Ok(reports) => *word = quality::mean(&reports).map(|mean| mean.connection_quality),
            // It has ended all the same.
            Err(error @ StoreError::Unreadable(_)) => {
                tracing::error!(session = %row.id, %error, "how it was heard was not kept");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(heard)
}

/// Keeps what a visit that has ended comes to by today's prices.
async fn charge(unit: &mut Unit, row: &mut SessionRow) -> Result<(), StoreError> {
    if row.consultation.started_at.is_none() {
        return Ok(());
    }
    let priced = match unit.pricing(row.doctor.id, row.mode).await {
        Ok(priced) => priced,
        // It has ended all the same.
        Err(error @ StoreError::Unreadable(_)) => {
            tracing::error!(session = %row.id, %error, "an amount was not kept");
            None
        }
        Err(error) => return Err(error),
    };
    if let Some((pricing, currency)) = priced {
        let Some(known) = Currency::from_code(&currency) else {
            tracing::error!(session = %row.id, "an amount was not kept: its currency is none");
            return Ok(());
        };
        // The clock stands.
        let amount = billing::amount(&pricing, known, row.mode, row.consultation.elapsed(unit.now));
        unit.keep_amount(row.id, amount, &currency).await?;
        row.charged = Some((amount, currency));
    }
    Ok(())
}
