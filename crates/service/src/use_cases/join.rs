//! Visits: entered, and entered again.

use bedside_authz::Action;
use bedside_consult::{Input, session::Limits};
use bedside_protocol::{
    Code, DeviceId, JoinRequest, JoinResponse, NotificationKind, Party, PaymentStatus, SessionId,
    SessionStatus, Text, Token,
};
use jiff::{SignedDuration, Timestamp};

use super::change::Change;
use crate::{
    App,
    ctx::Ctx,
    error::ApiError,
    media_tokens::MediaToken,
    store::{SessionRow, SitsAt},
};

/// How long a media token lasts. It is asked for again before it ends, without touching the call.
const MEDIA_TOKEN_LASTS: SignedDuration = SignedDuration::from_hours(1);
/// Characters of what a client says of the device that it runs on.
const MOST_DEVICE_WORDS: usize = 100;

/// Enters: a patient the waiting room, then, once called in, either one the call. Only the
/// admitted are given a media token and relays, on the device that has their place in the visit.
/// Joining again is how a client comes back.
pub(crate) async fn join(
    app: &App,
    ctx: &Ctx,
    id: SessionId,
    request: JoinRequest,
) -> Result<JoinResponse, ApiError> {
    let short = |text: &Option<Text>| {
        text.as_ref().is_none_or(|text| text.reveal().chars().count() <= MOST_DEVICE_WORDS)
    };
    if !short(&request.browser) || !short(&request.os) {
        return Err(ApiError::new(
            Code::Invalid,
            "a browser and a system are named in 100 characters at most",
        ));
    }
    let (row, party) = app.session_of(ctx, id, Action::Join).await?;
    if row.payment == PaymentStatus::Pending {
        return Err(Code::PaymentRequired.into());
    }
    let place = Place { party, device: request.device.unwrap_or(ctx.device()), request };
    // Whoever asks for another token, or comes back to where they are, changes nothing: there is nothing to lock.
    let says_new = !place.request.prepare && place.says_new(app, ctx, id);
    if !says_new && place.is_taken(&row, &app.config.limits()) {
        let line = ctx.line(place.audited()).about(&row);
        app.access_log.note(line).await?;
        let media = place.media(app, ctx, &row, Timestamp::now());
        return answer(app, ctx, &row, party, Some(media)).await;
    }
    take(app, ctx, id, place).await
}

/// A place in a visit that somebody wants.
struct Place {
    party: Party,
    device: DeviceId,
    request: JoinRequest,
}

/// A media token, and until when it lasts.
struct Media {
    token: Token,
    until: Timestamp,
}

impl Place {
    /// What asking for it is, one after the other.
    fn inputs(&self) -> impl Iterator<Item = Input> + use<> {
        let JoinRequest { ready, device_check, prepare, by_itself, .. } = self.request;
        let (party, device) = (self.party, self.device);
        // An app that asks by itself says what it knows; only a person takes back that they are ready.
        let ready = ready.filter(|&ready| ready || !(prepare || by_itself));
        let enter = (party == Party::Patient).then_some(Input::Enter { ready, device_check });
        enter.into_iter().chain([Input::Sit { party, device, enters: !prepare, on_purpose: !by_itself }])
    }

    /// Whether they are in the call already, or only prepare to, on the device that they are on and seen there.
    fn is_taken(&self, row: &SessionRow, limits: &Limits) -> bool {
        let mut after = row.consultation.clone();
        let now = Timestamp::now();
        self.is_mine(row)
            && row.consultation.may_join(self.party)
            && (row.consultation.has_joined(self.party) || self.request.prepare)
            && !row.attendance.has_left(self.party)
            && self.inputs().all(|input| after.apply(input, now, limits).is_ok())
            && after == row.consultation
    }

    /// What they say that they sit at.
    fn sits_at(&self) -> SitsAt {
        let JoinRequest { device_type, browser, os, .. } = self.request.clone();
        SitsAt { device_type, browser, os }
    }

    /// Whether they say of it what is not known to be stored.
    fn says_new(&self, app: &App, ctx: &Ctx, id: SessionId) -> bool {
        let sits_at = self.sits_at();
        !sits_at.is_unsaid() && !app.store.seats().has(id, ctx.user.id, &sits_at)
    }

    /// Whether the device is the one that has their place.
    fn is_mine(&self, row: &SessionRow) -> bool {
        row.consultation.device(self.party) == Some(self.device)
    }

    const fn audited(&self) -> &'static str {
        if self.request.prepare { "SESSION_PREPARED" } else { "SESSION_JOINED" }
    }

    fn media(&self, app: &App, ctx: &Ctx, row: &SessionRow, now: Timestamp) -> Media {
        let until = now + MEDIA_TOKEN_LASTS;
        let token = MediaToken { session: row.id, user: ctx.user.id, device: self.device, until };
        Media { token: token.seal(app.store.keys()), until }
    }
}

/// Takes a place in a visit.
async fn take(app: &App, ctx: &Ctx, id: SessionId, place: Place) -> Result<JoinResponse, ApiError> {
    let (mut change, party) = Change::by_participant(app, ctx, id, Action::Join).await?;
    if change.row.consultation.status.is_final() {
        return Err(Code::SessionEnded.into());
    }
    change.sits_at = place.sits_at();
    let c = &change.row.consultation;
    if party == Party::Doctor && c.status == SessionStatus::Scheduled && c.scheduled_start <= change.unit.now
    {
        change.notify(Party::Patient, NotificationKind::DoctorWaits).await?;
    }
    let sits_on = change.row.consultation.device(party);
    for input in place.inputs() {
        change.apply(input).await?;
    }
    let is_here = place.is_mine(&change.row);
    if is_here && sits_on.is_some_and(|before| before != place.device) {
        change.audit("SESSION_TAKEN_OVER");
    }
    let comes_back = is_here || !change.row.consultation.has_joined(party);
    let lets_in = change.row.consultation.may_join(party) && is_here;
    if lets_in {
        if !place.request.prepare {
            change.apply(Input::Join(party)).await?;
        }
        change.audit(place.audited());
    }
    let now = change.unit.now;
    let returns = comes_back && change.returns(party).await?;
    let row = change.commit().await?;
    if returns {
        app.tell_presence(&row, party);
    }
    if lets_in && !place.request.prepare {
        app.store.seats().remember(id, ctx.user.id, place.sits_at());
    }
    let media = lets_in.then(|| place.media(app, ctx, &row, now));
    answer(app, ctx, &row, party, media).await
}

async fn answer(
    app: &App,
    ctx: &Ctx,
    row: &SessionRow,
    party: Party,
    media: Option<Media>,
) -> Result<JoinResponse, ApiError> {
    let until = media.as_ref().map(|media| media.until);
    Ok(JoinResponse {
        admitted: row.consultation.may_join(party),
        ice_servers: until
            .map(|until| app.ice_servers(&ctx.user, ctx.sign_in, Some(row.id), until))
            .unwrap_or_default(),
        access_token: media.map(|media| media.token),
        token_expires_at: until,
        room_name: row.room_name.clone(),
        identity: ctx.user.id,
        participant_type: party,
        session: app.view(row).await?,
    })
}
