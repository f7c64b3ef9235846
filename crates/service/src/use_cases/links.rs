//! Links into one visit, in its patient's place: for who has no account, or can't sign in with the doctor waiting.

use std::net::IpAddr;

use bedside_authz::Action;
use bedside_protocol::{
    AppointmentId, Code, CreateLinkRequest, LinkId, LinkListing, OpenLinkRequest, SessionId, TokenPair,
    VisitLink,
};
use jiff::{SignedDuration, Timestamp};

use super::{
    appointments,
    sign_ins::{self, random_token},
};
use crate::{
    App,
    ctx::Ctx,
    error::ApiError,
    store::{AuditLine, Unit},
};

/// The longest that a link can be opened (requirements §10: 1 to 30 minutes).
const LONGEST_MINUTES: u8 = 30;
/// How long somebody stays who came by a link or a code: a long day's wait, the visit and its feedback.
const STAYS_FOR: SignedDuration = SignedDuration::from_hours(12);
/// The least characters of a client's secret.
const LEAST_ATTEMPT: usize = 16;

fn of_link(link: LinkId) -> String {
    format!("link:{link}")
}

/// The visit of an appointment that somebody may make links into, and its patient.
async fn visit(app: &App, ctx: &Ctx, id: AppointmentId) -> Result<(SessionId, AuditLine), ApiError> {
    let row = appointments::allowed(app, ctx, id, Action::MakeLink).await?;
    let (session, _) = row.visit.ok_or_else(|| {
        ApiError::new(
            Code::WrongState,
            "this appointment has no visit: its video link is pending, or it is none",
        )
    })?;
    Ok((
        session,
        AuditLine::new("LINK_MADE").by(ctx.user.id).from(ctx.origin).in_visit(session, row.patient.id),
    ))
}

/// Makes a link.
pub(crate) async fn create(
    app: &App,
    ctx: &Ctx,
    id: AppointmentId,
    request: &CreateLinkRequest,
) -> Result<VisitLink, ApiError> {
    let (session, line) = visit(app, ctx, id).await?;
    if !(1..=LONGEST_MINUTES).contains(&request.minutes) {
        return Err(ApiError::new(Code::Invalid, "a link can be opened for 1 to 30 minutes"));
    }
    let token = random_token();
    let lasts = SignedDuration::from_mins(i64::from(request.minutes));
    let mut unit = app.store.begin(Timestamp::now()).await?;
    let has_ended = unit.session(session).await?.is_none_or(|row| row.consultation.status.is_final());
    if has_ended {
        return Err(Code::SessionEnded.into());
    }
    let link = unit.add_link(&token, session, ctx.user.id, lasts).await?;
    unit.audit(line.on(of_link(link)));
    let expires_at = unit.now + lasts;
    unit.commit().await?;
    let url = app.config.public_url.as_ref().map(|address| {
        let mut url = address.clone();
        url.set_path(&format!("{}/visit", address.path().trim_end_matches('/')));
        url.set_fragment(Some(token.expose()));
        url.as_str().into()
    });
    Ok(VisitLink { link_id: link, token, url, expires_at })
}

/// Links into a visit that were made.
pub(crate) async fn list(app: &App, ctx: &Ctx, id: AppointmentId) -> Result<Vec<LinkListing>, ApiError> {
    let (session, _) = visit(app, ctx, id).await?;
    Ok(app.store.links_of(session).await?)
}

/// Takes a link back; whoever came by it is out.
pub(crate) async fn end(app: &App, ctx: &Ctx, id: AppointmentId, link: LinkId) -> Result<(), ApiError> {
    let (session, line) = visit(app, ctx, id).await?;
    let mut unit = app.store.begin(Timestamp::now()).await?;
    let family = unit.end_link(session, link).await?.ok_or(Code::NotFound)?;
    unit.audit(line.named("LINK_ENDED").on(of_link(link)));
    unit.commit().await?;
    if let Some(family) = family {
        app.end_relaying(&family.to_string());
    }
    Ok(())
}

/// Opens a link: signs somebody in for its visit and for nothing else.
pub(crate) async fn open(app: &App, from: IpAddr, request: &OpenLinkRequest) -> Result<TokenPair, ApiError> {
    let attempt = request.attempt.as_ref();
    if attempt.is_some_and(|attempt| attempt.expose().len() < LEAST_ATTEMPT) {
        return Err(ApiError::new(Code::Invalid, "an attempt has at least 16 characters"));
    }
    // Guesses have no turn among those who write.
    if !app.store.knows_link(&request.token).await? {
        return Err(Code::LinkEnded.into());
    }
    let mut unit = app.store.begin(Timestamp::now()).await?;
    let Some(opened) = unit.open_link(&request.token, attempt).await? else {
        return Err(Code::LinkEnded.into());
    };
    if let Some(before) = opened.before {
        unit.end_family(before).await?;
    }
    let row = unit.session(opened.session).await?.ok_or(Code::LinkEnded)?;
    if row.consultation.status.is_final() {
        return Err(Code::LinkEnded.into());
    }
    let pair = sign_in(app, &mut unit, opened.session, &row.patient).await?;
    let line = AuditLine::new("LINK_OPENED").by(row.patient.id).as_guest(Some(pair.family)).from(from);
    unit.audit(line.about(&row).on(of_link(opened.link)));
    unit.link_signed_in(opened.link, pair.family).await?;
    unit.commit().await?;
    if let Some(before) = opened.before {
        app.end_relaying(&before.to_string());
    }
    Ok(pair.tokens)
}

/// Signs somebody in for one visit only, in its patient's place.
pub(super) async fn sign_in(
    app: &App,
    unit: &mut Unit,
    session: SessionId,
    patient: &bedside_protocol::User,
) -> Result<sign_ins::SignedIn, ApiError> {
    let until = unit.now + STAYS_FOR;
    let family = unit.start_family_for(patient.id, Some(session), Some(until)).await?;
    sign_ins::give_tokens(app, unit, patient, None, family, Some(session)).await
}
