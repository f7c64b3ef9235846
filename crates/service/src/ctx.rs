//! Who asks for something, by which sign-in, and from where.

use std::net::IpAddr;

use bedside_authz::{Action, Reach};
use bedside_protocol::{ClinicId, Code, DeviceId, Party, SessionId, SignInId, User, UserId};

use crate::{
    App,
    error::ApiError,
    store::{AuditLine, Grant, SessionRow},
};

/// Whatever way they ask.
#[derive(Clone, Debug)]
pub(crate) struct Ctx {
    /// Who.
    pub(crate) user: User,
    /// By which of their sign-ins.
    pub(crate) sign_in: SignInId,
    /// From where, as it is counted.
    pub(crate) origin: IpAddr,
    /// Which clinic they belong to.
    pub(crate) clinic: Option<ClinicId>,
    /// The one visit that they may have to do with, of a guest.
    pub(crate) visit: Option<SessionId>,
}

impl Ctx {
    /// A line of the audit log of what they do.
    pub(crate) fn line(&self, action: &'static str) -> AuditLine {
        let line = AuditLine::new(action).by(self.user.id).from(self.origin);
        line.as_guest(self.visit.map(|_| self.sign_in))
    }

    /// By a grant, from somewhere.
    pub(crate) fn new(grant: Grant, origin: IpAddr) -> Self {
        Self { user: grant.user, sign_in: grant.family, origin, clinic: grant.clinic, visit: grant.visit }
    }

    /// Whose own they reach beside that one visit: nobody's, of a guest.
    pub(crate) fn person(&self) -> Option<UserId> {
        self.visit.is_none().then_some(self.user.id)
    }

    /// The side of a visit that they are on.
    fn side(&self, row: &SessionRow) -> Option<Party> {
        if self.visit.is_some_and(|visit| visit != row.id) { None } else { row.party(self.user.id) }
    }

    /// Of which clinics they reach what there is.
    pub(crate) const fn reach(&self) -> Reach {
        Reach::of(self.user.role, self.clinic)
    }

    /// What is of a clinic that they do not reach is not there for them.
    pub(crate) fn reaches(&self, clinic: Option<ClinicId>) -> Result<(), ApiError> {
        if self.reach().has(clinic) { Ok(()) } else { Err(Code::NotFound.into()) }
    }

    /// The sign-in stands for the device where a client names none.
    pub(crate) const fn device(&self) -> DeviceId {
        DeviceId(self.sign_in.0)
    }
}

impl App {
    /// Lets somebody do what is about no visit, or refuses it, and writes that down.
    pub(crate) async fn allow(&self, ctx: &Ctx, action: Action) -> Result<(), ApiError> {
        let allowed = bedside_authz::decide(action, ctx.user.role, None).map_err(ApiError::from);
        self.write_refusal(ctx, action, None, allowed.map(|_| ())).await
    }

    /// A session that somebody may do this to, and the side that they are on. One they have no part in is told apart
    /// from none at all only by its code: ids can't be guessed. A refusal is written down.
    pub(crate) async fn session_of(
        &self,
        ctx: &Ctx,
        id: SessionId,
        action: Action,
    ) -> Result<(SessionRow, Party), ApiError> {
        let row = self.store.session(id).await?.ok_or(bedside_protocol::Code::NotFound)?;
        let side = ctx.side(&row);
        let allowed = bedside_authz::decide(action, ctx.user.role, side).map_err(ApiError::from);
        let side = allowed.and_then(|_| side.ok_or(bedside_protocol::Code::NotAParticipant.into()));
        let side = self.write_refusal(ctx, action, Some(&row), side).await?;
        Ok((row, side))
    }

    /// The side that somebody is on in a visit that they may do this to: as [`App::session_of`], where the visit
    /// itself is not wanted. Who is in one never changes, so it is remembered.
    pub(crate) async fn party_in(&self, ctx: &Ctx, id: SessionId, action: Action) -> Result<Party, ApiError> {
        let side = self.store.whose_visits().of(id).and_then(|people| {
            let is_theirs = ctx.visit.is_none_or(|visit| visit == id);
            people.party(ctx.user.id).filter(|_| is_theirs)
        });
        match side {
            Some(side) if bedside_authz::decide(action, ctx.user.role, Some(side)).is_ok() => Ok(side),
            // Not known yet, or refused, which is written down.
            _ => Ok(self.session_of(ctx, id, action).await?.1),
        }
    }

    /// Writes down that something was refused, if it was.
    pub(crate) async fn write_refusal<T>(
        &self,
        ctx: &Ctx,
        action: Action,
        row: Option<&SessionRow>,
        outcome: Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        if let Err(refused) = &outcome {
            let line = ctx.line("ACCESS_REFUSED").on(format!("action:{action:?}")).refused(refused.code);
            let line = row.map_or(line.clone(), |row| line.about(row));
            self.access_log.note(line).await?;
        }
        outcome
    }

    /// They are about to be shown something, of this visit or of none.
    pub(crate) async fn note_look(
        &self,
        ctx: &Ctx,
        action: &'static str,
        row: Option<&SessionRow>,
    ) -> Result<(), ApiError> {
        let line = ctx.line(action);
        self.access_log.note(row.map_or(line.clone(), |row| line.about(row))).await
    }

    /// Shows them something, when it has been written down that they look; both at once.
    pub(crate) async fn look<T>(
        &self,
        ctx: &Ctx,
        action: &'static str,
        row: Option<&SessionRow>,
        read: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, ApiError> {
        let ((), shown) = tokio::try_join!(self.note_look(ctx, action, row), read)?;
        Ok(shown)
    }
}
