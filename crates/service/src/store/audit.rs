//! Who did or looked at what: lines that are only ever added, and the chain that shows it.

use std::{net::IpAddr, sync::LazyLock};

use bedside_protocol::{AuditEntry, AuditPage, ClinicId, Code, Role, SessionId, SignInId, UserId};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{
    SessionRow, Store, StoreError, Unit, from_word, millis,
    sql::{Query, Row, inserts, sql},
    word,
};

/// Somebody did something, or was refused it.
#[derive(Clone, Debug)]
pub struct AuditLine {
    /// None where time itself did it, or somebody at the service's machine.
    user: Option<UserId>,
    origin: Option<IpAddr>,
    action: &'static str,
    session: Option<SessionId>,
    patient: Option<UserId>,
    object: Option<String>,
    refused: Option<Code>,
    guest: Option<SignInId>,
}

impl AuditLine {
    /// A line of this, such as `SESSION_ADMITTED`.
    pub const fn new(action: &'static str) -> Self {
        Self {
            user: None,
            origin: None,
            action,
            session: None,
            patient: None,
            object: None,
            refused: None,
            guest: None,
        }
    }

    /// Who did it.
    #[must_use]
    pub fn by(self, user: UserId) -> Self {
        Self { user: Some(user), ..self }
    }

    /// In whose place: somebody who came by a link or a code, by this sign-in.
    #[must_use]
    pub fn as_guest(self, guest: Option<SignInId>) -> Self {
        Self { guest, ..self }
    }

    /// From where.
    #[must_use]
    pub fn from(self, origin: IpAddr) -> Self {
        Self { origin: Some(origin), ..self }
    }

    /// To which visit, and so to which patient's data.
    #[must_use]
    pub fn about(self, row: &SessionRow) -> Self {
        Self { session: Some(row.id), patient: Some(row.patient.id), ..self }
    }

    /// The same, where no more is known of the visit.
    #[must_use]
    pub fn in_visit(self, session: SessionId, patient: UserId) -> Self {
        Self { session: Some(session), patient: Some(patient), ..self }
    }

    /// Another action of the same.
    #[must_use]
    pub fn named(self, action: &'static str) -> Self {
        Self { action, ..self }
    }

    /// To which patient's data.
    #[must_use]
    pub fn of(self, patient: UserId) -> Self {
        Self { patient: Some(patient), ..self }
    }

    /// To which thing: its kind and its id, with a colon between them.
    #[must_use]
    pub fn on(self, object: impl Into<String>) -> Self {
        Self { object: Some(object.into()), ..self }
    }

    /// It was refused.
    #[must_use]
    pub fn refused(self, code: Code) -> Self {
        Self { refused: Some(code), ..self }
    }
}

/// Which lines are asked for.
#[derive(Clone, Copy, Default, Debug)]
pub struct AuditFilter {
    /// To this patient's data.
    pub patient: Option<UserId>,
    /// By this person.
    pub user: Option<UserId>,
    /// To this visit.
    pub session: Option<SessionId>,
    /// Before this line.
    pub before: Option<i64>,
    /// By somebody of this clinic, or to the data of a patient or a visit of it.
    pub clinic: Option<ClinicId>,
}

/// What came of looking at the chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Chain {
    /// Every line is as it was when it was sealed.
    Whole {
        /// How many.
        lines: i64,
        /// The last seal: kept elsewhere, it shows that none was taken from the end.
        last: Vec<u8>,
    },
    /// The first that is not.
    Broken {
        /// Its seal's number.
        number: i64,
    },
}

/// Lines that one statement writes at the most: beyond that, the way to the database is little of it.
const INSERTED: usize = 32;
/// A line's columns.
const COLUMNS: usize = 9;

/// What writes one line, two, and so on up to [`INSERTED`].
pub(super) static INSERTS: LazyLock<[String; INSERTED]> = LazyLock::new(|| {
    inserts(
        "audit_log (at, user_id, origin, action, session_id, patient_id, object, refused, guest)",
        COLUMNS,
    )
});
/// Seals that one statement writes at the most.
const SEALED: usize = 64;
/// What writes one seal, two, and so on.
pub(super) static SEALS: LazyLock<[String; SEALED]> =
    LazyLock::new(|| inserts("audit_seals (number, audit_id, hash)", 3));

/// Lines that are sealed at once: few where others wait to write meanwhile, and more where each time costs a look for
/// those that were stored late.
const TOGETHER: i64 = 250;
const TOGETHER_SHARED: i64 = 2_000;
/// Lines among which one that was stored late is looked for: on PostgreSQL numbers are given before a change is stored,
/// and thousands are stored while one waits for its lock.
const LATE_WITHIN: i64 = 10_000;

/// What writes these lines, of which there are up to [`INSERTED`].
fn inserted(lines: &[(AuditLine, Timestamp)]) -> Result<Query, StoreError> {
    let mut query = Query::new(&INSERTS[lines.len() - 1]);
    for (line, at) in lines {
        query = query
            .bind(millis(*at))
            .bind(line.user)
            .bind(line.origin.map(|origin| origin.to_string()))
            .bind(line.action)
            .bind(line.session)
            .bind(line.patient)
            .bind(line.object.clone())
            .bind(line.refused.as_ref().map(word).transpose()?)
            .bind(line.guest);
    }
    Ok(query)
}

/// A line's place in the chain.
fn seal(before: &[u8], row: &Row) -> Result<Vec<u8>, StoreError> {
    let text = |name: &str| row.get::<Option<String>>(name);
    let line = (
        row.get::<i64>("id")?,
        row.get::<i64>("at")?,
        (text("user_id")?, text("origin")?, text("action")?),
        (text("session_id")?, text("patient_id")?, text("object")?, text("refused")?),
    );
    let line = serde_json::to_vec(&line).map_err(|_| StoreError::Unreadable("audit line"))?;
    // Beside the line, so that those from before there were guests are sealed as they were.
    let guest = text("guest")?.unwrap_or_default();
    Ok(Sha256::new().chain_update(before).chain_update(line).chain_update(guest).finalize().to_vec())
}

fn entry(row: &Row) -> Result<AuditEntry, StoreError> {
    Ok(AuditEntry {
        id: row.get("id")?,
        at: row.get("at")?,
        user_id: row.get("user_id")?,
        user_name: row.get("user_name")?,
        user_role: match row.get::<Option<String>>("guest")? {
            Some(_) => Some(Role::Guest),
            None => row.get::<Option<String>>("user_role")?.map(|role| from_word(&role)).transpose()?,
        },
        guest_sign_in: row.get("guest")?,
        origin: row.get("origin")?,
        action: row.get("action")?,
        session_id: row.get("session_id")?,
        patient_id: row.get("patient_id")?,
        object: row.get("object")?,
        refused: row.get::<Option<String>>("refused")?.map(|code| from_word(&code)).transpose()?,
    })
}

impl Store {
    /// Writes the first of these lines, all or none, in one statement by itself; gives how many those were.
    pub async fn write_some(&self, lines: &[(AuditLine, Timestamp)]) -> Result<usize, StoreError> {
        let some = &lines[..lines.len().min(INSERTED)];
        if !some.is_empty() {
            inserted(some)?.execute(&mut self.writer().await?).await?;
        }
        Ok(some.len())
    }

    /// A page of lines, the newest first.
    pub async fn audit_page(&self, filter: AuditFilter, limit: u32) -> Result<AuditPage, StoreError> {
        macro_rules! select {
            ($patient:literal) => {
                sql!(
                    "SELECT a.id, a.at, a.user_id, u.name AS user_name, u.role AS user_role, a.origin, a.action,
                    a.session_id, a.patient_id, a.object, a.refused, a.guest
                    FROM audit_log a LEFT JOIN users u ON u.id = a.user_id WHERE ",
                    $patient,
                    " AND (CAST($2 AS TEXT) IS NULL OR a.user_id = $2)
                    AND (CAST($3 AS TEXT) IS NULL OR a.session_id = $3)
                    AND (CAST($4 AS BIGINT) IS NULL OR a.id < $4)
                    AND (CAST($6 AS TEXT) IS NULL OR u.clinic_id = $6
                    OR EXISTS (SELECT 1 FROM users p WHERE p.id = a.patient_id AND p.clinic_id = $6)
                    OR EXISTS (SELECT 1 FROM consultation_sessions s JOIN appointments o ON o.id = s.appointment_id
                    WHERE s.id = a.session_id AND o.clinic_id = $6)) ORDER BY a.id DESC LIMIT $5"
                )
            };
        }
        let query = match filter.patient {
            Some(_) => select!("a.patient_id = $1"),
            None => select!("CAST($1 AS TEXT) IS NULL"),
        };
        let query = query.bind(filter.patient).bind(filter.user).bind(filter.session).bind(filter.before);
        let query = query.bind(i64::from(limit) + 1).bind(filter.clinic);
        let rows = query.fetch_all(&mut self.reader().await?).await?;
        let more = rows.len() > limit as usize;
        let items: Vec<AuditEntry> = rows.iter().take(limit as usize).map(entry).collect::<Result<_, _>>()?;
        let next = items.last().filter(|_| more).map(|last| last.id);
        Ok(AuditPage { items, next })
    }

    /// Looks at every sealed line, whether it is as it was.
    pub async fn audit_chain(&self) -> Result<Chain, StoreError> {
        let (mut lines, mut last) = (0, vec![]);
        loop {
            let rows = sql!(
                "SELECT s.number, s.hash, a.id, a.at, a.user_id, a.origin, a.action, a.session_id, a.patient_id,
                 a.object, a.refused, a.guest FROM audit_seals s JOIN audit_log a ON a.id = s.audit_id
                 WHERE s.number > $1 ORDER BY s.number LIMIT $2"
            )
            .bind(lines)
            .bind(TOGETHER)
            .fetch_all(&mut self.reader().await?)
            .await?;
            if rows.is_empty() {
                // A line that was taken away has left its seal.
                let seals = sql!("SELECT count(*) AS seals FROM audit_seals")
                    .fetch_one(&mut self.reader().await?)
                    .await?
                    .get::<i64>("seals")?;
                let is_whole = seals == lines;
                return Ok(if is_whole {
                    Chain::Whole { lines, last }
                } else {
                    Chain::Broken { number: lines + 1 }
                });
            }
            for row in &rows {
                let (number, hash): (i64, Vec<u8>) = (row.get("number")?, row.get("hash")?);
                if number != lines + 1 || hash != seal(&last, row)? {
                    return Ok(Chain::Broken { number: lines + 1 });
                }
                (lines, last) = (number, hash);
            }
        }
    }
}

impl Unit {
    /// Adds a line to the audit log.
    pub fn audit(&mut self, line: AuditLine) {
        self.audit_at(line, self.now);
    }

    /// Adds a line of what was done at another time.
    pub fn audit_at(&mut self, line: AuditLine, at: Timestamp) {
        self.lines.push((line, at));
    }

    /// Writes the lines that were added.
    pub(super) async fn write_lines(&mut self) -> Result<(), StoreError> {
        for lines in self.lines.chunks(INSERTED) {
            inserted(lines)?.execute(&mut self.tx).await?;
        }
        Ok(())
    }

    /// Seals lines that are not yet; gives how many. Of two that do it at once, one fails and has sealed nothing: only one is to.
    pub async fn seal_audit(&mut self) -> Result<usize, StoreError> {
        let newest = sql!("SELECT number, audit_id, hash FROM audit_seals ORDER BY number DESC LIMIT 1")
            .fetch_optional(&mut self.tx)
            .await?;
        let (mut number, newest, mut hash) = match newest {
            Some(row) => (row.get("number")?, row.get("audit_id")?, row.get("hash")?),
            None => (0_i64, 0_i64, vec![]),
        };
        let rows = sql!(
            "SELECT a.id, a.at, a.user_id, a.origin, a.action, a.session_id, a.patient_id, a.object, a.refused, a.guest
             FROM audit_log a WHERE a.id > $1
             AND NOT EXISTS (SELECT 1 FROM audit_seals s WHERE s.audit_id = a.id) ORDER BY a.id LIMIT $2"
        )
        .bind(if self.tx.has_one_writer() { newest } else { newest - LATE_WITHIN })
        .bind(if self.tx.has_one_writer() { TOGETHER } else { TOGETHER_SHARED })
        .fetch_all(&mut self.tx)
        .await?;
        for rows in rows.chunks(SEALED) {
            let mut query = Query::new(&SEALS[rows.len() - 1]);
            for row in rows {
                number += 1;
                hash = seal(&hash, row)?;
                query = query.bind(number).bind(row.get::<i64>("id")?).bind(hash.clone());
            }
            query.execute(&mut self.tx).await?;
        }
        Ok(rows.len())
    }
}
