//! What people are told, and what is on its way to them by mail and text message.

use bedside_protocol::{
    AppointmentId, Notification, NotificationId, NotificationKind, SessionId, Text, Token, UserId,
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    Store, StoreError, Unit, from_word,
    sql::{Row, sql},
    tokens::hash,
    word,
};

/// A way out of the service.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// By SMTP.
    Mail,
    /// By text message.
    Sms,
}

/// What somebody is written about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum About {
    /// The practice has made an account for them.
    Welcome,
    /// Somebody says that the address is theirs.
    ConfirmAddress,
    /// Somebody says that they have forgotten the password.
    PasswordReset,
    /// A visit.
    #[serde(untagged)]
    Visit(NotificationKind),
}

/// Something on its way.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Which; a receiver knows a repetition by it.
    pub id: NotificationId,
    /// To whom.
    pub user: UserId,
    /// What about; none where another version knew.
    pub about: Option<About>,
    /// Which visit it is about.
    pub session: Option<SessionId>,
    /// How often it was tried before.
    pub attempts: i64,
}

/// How somebody is reached.
#[derive(Clone, Debug)]
pub struct Reach {
    /// By mail; absent of who has no address.
    pub email: Option<Text>,
    /// By text message.
    pub phone: Option<Text>,
    /// Whether they want to hear of visits so.
    pub wants_messages: bool,
    /// Whether somebody has made sure that it is theirs.
    pub is_confirmed: bool,
}

fn read(row: &Row) -> Result<Notification, StoreError> {
    Ok(Notification {
        notification_id: row.get("id")?,
        kind: from_word(&row.get::<String>("kind")?)?,
        session_id: row.get("session_id")?,
        scheduled_start_time: row.get("scheduled_start")?,
        created_at: row.get("created_at")?,
    })
}

impl Store {
    /// What somebody was told, the newest first.
    pub async fn notifications_of(&self, user: UserId, limit: u32) -> Result<Vec<Notification>, StoreError> {
        let rows = sql!(
            "SELECT n.id, n.kind, n.session_id, n.created_at, s.scheduled_start FROM notifications n
             JOIN consultation_sessions s ON s.id = n.session_id WHERE n.user_id = $1
             ORDER BY n.created_at DESC, n.id DESC LIMIT $2"
        )
        .bind(user)
        .bind(i64::from(limit))
        .fetch_all(&mut self.reader().await?)
        .await?;
        rows.iter().map(read).collect()
    }

    /// How somebody is reached.
    pub async fn reach_of(&self, user: UserId) -> Result<Option<Reach>, StoreError> {
        let row =
            sql!("SELECT email, phone, wants_messages, COALESCE(confirmed_at, address_confirmed_at) AS confirmed FROM users WHERE id = $1 AND disabled_at IS NULL")
                .bind(user)
                .fetch_optional(&mut self.reader().await?)
                .await?;
        row.map(|row| {
            let email: String = row.get("email")?;
            Ok(Reach {
                // What stands for none has spaces.
                email: Some(email).filter(|email| !email.contains(' ')).map(Text::new),
                phone: row.get("phone")?,
                wants_messages: row.get("wants_messages")?,
                is_confirmed: row.get::<Option<i64>>("confirmed")?.is_some(),
            })
        })
        .transpose()
    }

    /// Appointments with a visit of which somebody is to be reminded now.
    pub async fn to_remind(
        &self,
        now: Timestamp,
        day: SignedDuration,
        soon: SignedDuration,
        limit: u32,
    ) -> Result<Vec<AppointmentId>, StoreError> {
        let rows = sql!(
            "SELECT a.id FROM appointments a JOIN consultation_sessions s ON s.appointment_id = a.id
             WHERE a.status = 'BOOKED' AND a.scheduled_start_time > $1
             AND ((a.reminded < 1 AND a.scheduled_start_time <= $2 AND COALESCE(a.planned_at, a.created_at) < a.scheduled_start_time - $4)
             OR (a.reminded < 2 AND a.scheduled_start_time <= $3 AND COALESCE(a.planned_at, a.created_at) < a.scheduled_start_time - $5))
             ORDER BY a.scheduled_start_time LIMIT $6"
        )
        .bind(now)
        .bind(now + day)
        .bind(now + soon)
        .bind(i64::try_from(day.as_millis()).unwrap_or(0))
        .bind(i64::try_from(soon.as_millis()).unwrap_or(0))
        .bind(i64::from(limit))
        .fetch_all(&mut self.reader().await?)
        .await?;
        rows.iter().map(|row| row.get("id")).collect()
    }

    /// When the next thing is to be sent by one way, if there is one.
    pub async fn next_outgoing(&self, channel: Channel) -> Result<Option<Timestamp>, StoreError> {
        let row = sql!(
            "SELECT CASE WHEN claimed_until > not_before THEN claimed_until ELSE not_before END AS due FROM outgoing
             WHERE given_up_at IS NULL AND channel = $1 ORDER BY 1 LIMIT 1"
        )
        .bind(word(&channel)?)
        .fetch_optional(&mut self.reader().await?)
        .await?;
        row.map(|row| row.get("due")).transpose()
    }

    /// Whose a mail's token is, which goes on, and what it opens.
    pub async fn mail_token(
        &self,
        token: &Token,
        now: Timestamp,
    ) -> Result<Option<(UserId, About)>, StoreError> {
        let row = sql!("SELECT user_id, kind FROM mail_tokens WHERE hash = $1 AND expires_at > $2")
            .bind(hash(token))
            .bind(now)
            .fetch_optional(&mut self.reader().await?)
            .await?;
        row.map(|row| Ok((row.get("user_id")?, from_word(&row.get::<String>("kind")?)?))).transpose()
    }
}

impl Unit {
    /// Tells somebody something of a visit, once; none where they were told. `start` is when that is planned to begin.
    pub async fn add_notification(
        &mut self,
        user: UserId,
        kind: NotificationKind,
        session: SessionId,
        start: Timestamp,
    ) -> Result<Option<Notification>, StoreError> {
        let notification = Notification {
            notification_id: NotificationId::generate(),
            kind,
            session_id: session,
            scheduled_start_time: start,
            created_at: self.now,
        };
        let added = sql!(
            "INSERT INTO notifications (id, user_id, kind, session_id, created_at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (user_id, kind, session_id) DO NOTHING"
        )
        .bind(notification.notification_id)
        .bind(user)
        .bind(word(&kind)?)
        .bind(session)
        .bind(self.now)
        .execute(&mut self.tx)
        .await?;
        Ok((added == 1).then_some(notification))
    }

    /// Something goes out to somebody, not before then.
    pub async fn add_outgoing(
        &mut self,
        user: UserId,
        about: About,
        channel: Channel,
        session: Option<SessionId>,
        not_before: Timestamp,
    ) -> Result<(), StoreError> {
        sql!(
            "INSERT INTO outgoing (id, user_id, kind, channel, session_id, not_before)
             VALUES ($1, $2, $3, $4, $5, $6)"
        )
        .bind(NotificationId::generate())
        .bind(user)
        .bind(word(&about)?)
        .bind(word(&channel)?)
        .bind(session)
        .bind(not_before)
        .execute(&mut self.tx)
        .await?;
        Ok(())
    }

    /// Takes the next thing that is to be sent by one way, for this long; another service takes it after that.
    pub async fn claim_outgoing(
        &mut self,
        channel: Channel,
        lasts: SignedDuration,
    ) -> Result<Option<Outgoing>, StoreError> {
        let row = sql!(
            "UPDATE outgoing SET claimed_until = $1, attempts = attempts + 1 WHERE id = (SELECT id FROM outgoing
             WHERE channel = $3 AND given_up_at IS NULL AND not_before <= $2 AND (claimed_until IS NULL OR claimed_until <= $2)
             ORDER BY not_before, id LIMIT 1) AND (claimed_until IS NULL OR claimed_until <= $2)
             RETURNING id, user_id, kind, session_id, attempts - 1 AS attempts"
        )
        .bind(self.now + lasts)
        .bind(self.now)
        .bind(word(&channel)?)
        .fetch_optional(&mut self.tx)
        .await?;
        row.map(|row| {
            Ok(Outgoing {
                id: row.get("id")?,
                user: row.get("user_id")?,
                about: from_word(&row.get::<String>("kind")?).ok(),
                session: row.get("session_id")?,
                attempts: row.get("attempts")?,
            })
        })
        .transpose()
    }

    /// It was sent, or there is nothing to send any more.
    pub async fn remove_outgoing(&mut self, id: NotificationId) -> Result<(), StoreError> {
        sql!("DELETE FROM outgoing WHERE id = $1").bind(id).execute(&mut self.tx).await?;
        Ok(())
    }

    /// It was not, and is tried again then; or never, where it is given up.
    pub async fn postpone_outgoing(
        &mut self,
        id: NotificationId,
        again: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        sql!(
            "UPDATE outgoing SET claimed_until = NULL, not_before = COALESCE($1, not_before),
             given_up_at = CASE WHEN CAST($1 AS BIGINT) IS NULL THEN CAST($2 AS BIGINT) END WHERE id = $3"
        )
        .bind(again)
        .bind(self.now)
        .bind(id)
        .execute(&mut self.tx)
        .await?;
        Ok(())
    }

    /// Keeps what a mail to somebody opens.
    pub async fn add_mail_token(
        &mut self,
        token: &Token,
        user: UserId,
        about: About,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        sql!("INSERT INTO mail_tokens (hash, user_id, kind, expires_at) VALUES ($1, $2, $3, $4)")
            .bind(hash(token))
            .bind(user)
            .bind(word(&about)?)
            .bind(expires_at)
            .execute(&mut self.tx)
            .await?;
        Ok(())
    }

    /// How many such mails somebody has on their way, or was sent that end after `expires_after`. Nobody adds one until
    /// this is committed.
    pub async fn count_mails(
        &mut self,
        user: UserId,
        about: About,
        expires_after: Timestamp,
    ) -> Result<u64, StoreError> {
        self.tx.lock("SELECT id FROM users WHERE id = $1 FOR NO KEY UPDATE", user).await?;
        let row = sql!(
            "SELECT (SELECT COUNT(*) FROM outgoing o WHERE o.user_id = $1 AND o.kind = $2 AND o.given_up_at IS NULL)
             + (SELECT COUNT(*) FROM mail_tokens t WHERE t.user_id = $1 AND t.kind = $2 AND t.expires_at > $3) AS mails"
        )
        .bind(user)
        .bind(word(&about)?)
        .bind(expires_after)
        .fetch_one(&mut self.tx)
        .await?;
        row.get("mails")
    }

    /// What a mail would have opened that was not sent.
    pub async fn remove_mail_token(&mut self, token: &Token) -> Result<(), StoreError> {
        sql!("DELETE FROM mail_tokens WHERE hash = $1").bind(hash(token)).execute(&mut self.tx).await?;
        Ok(())
    }

    /// Whatever mails to somebody opened, they open nothing any more.
    pub(super) async fn forget_mail_tokens(&mut self, user: UserId) -> Result<(), StoreError> {
        sql!("DELETE FROM mail_tokens WHERE user_id = $1").bind(user).execute(&mut self.tx).await?;
        Ok(())
    }

    /// Uses a mail's token: with it go all that this person has. False where it has ended.
    pub async fn use_mail_token(&mut self, token: &Token, user: UserId) -> Result<bool, StoreError> {
        let used = sql!("DELETE FROM mail_tokens WHERE hash = $1 AND expires_at > $2")
            .bind(hash(token))
            .bind(self.now)
            .execute(&mut self.tx)
            .await?;
        if used == 1 {
            self.forget_mail_tokens(user).await?;
        }
        Ok(used == 1)
    }

    /// The last reminder that was given of an appointment, as a number, and when its time was chosen.
    pub async fn reminded(&mut self, id: AppointmentId) -> Result<(i64, Timestamp), StoreError> {
        let row = sql!(
            "SELECT reminded, COALESCE(planned_at, created_at) AS planned_at FROM appointments WHERE id = $1"
        )
        .bind(id)
        .fetch_one(&mut self.tx)
        .await?;
        Ok((row.get("reminded")?, row.get("planned_at")?))
    }

    /// Another time was chosen for an appointment: what was said of the one before is not said any more, and may be of
    /// this one.
    pub async fn plan_anew(&mut self, id: AppointmentId) -> Result<(), StoreError> {
        sql!("UPDATE appointments SET reminded = 0, planned_at = $1 WHERE id = $2")
            .bind(self.now)
            .bind(id)
            .execute(&mut self.tx)
            .await?;
        sql!(
            "DELETE FROM notifications WHERE kind IN ('REMINDER_DAY', 'REMINDER_SOON', 'DOCTOR_WAITS')
             AND session_id = (SELECT id FROM consultation_sessions WHERE appointment_id = $1)"
        )
        .bind(id)
        .execute(&mut self.tx)
        .await?;
        sql!(
            "DELETE FROM outgoing WHERE kind IN ('REMINDER_DAY', 'REMINDER_SOON', 'DOCTOR_WAITS')
             AND session_id = (SELECT id FROM consultation_sessions WHERE appointment_id = $1)"
        )
        .bind(id)
        .execute(&mut self.tx)
        .await?;
        Ok(())
    }

    /// This reminder was given.
    pub async fn set_reminded(&mut self, id: AppointmentId, reminded: i64) -> Result<(), StoreError> {
        sql!("UPDATE appointments SET reminded = $1 WHERE id = $2")
            .bind(reminded)
            .bind(id)
            .execute(&mut self.tx)
            .await?;
        Ok(())
    }

    /// How somebody wants to be reached.
    pub async fn set_reach(
        &mut self,
        user: UserId,
        phone: Option<&Text>,
        wants_messages: Option<bool>,
    ) -> Result<(), StoreError> {
        if let Some(phone) = phone {
            let phone = Some(phone.reveal()).filter(|phone| !phone.is_empty());
            sql!("UPDATE users SET phone = $1 WHERE id = $2")
                .bind(phone)
                .bind(user)
                .execute(&mut self.tx)
                .await?;
        }
        if let Some(wants) = wants_messages {
            sql!("UPDATE users SET wants_messages = $1 WHERE id = $2")
                .bind(wants)
                .bind(user)
                .execute(&mut self.tx)
                .await?;
        }
        Ok(())
    }

    /// Forgets what people were told before this, and what of it never went out.
    pub async fn forget_notifications(&mut self, before: Timestamp) -> Result<(), StoreError> {
        sql!("DELETE FROM notifications WHERE created_at < $1").bind(before).execute(&mut self.tx).await?;
        sql!("DELETE FROM outgoing WHERE given_up_at < $1").bind(before).execute(&mut self.tx).await?;
        sql!("DELETE FROM mail_tokens WHERE expires_at < $1").bind(before).execute(&mut self.tx).await?;
        Ok(())
    }
}
