//! The record of a visit: who was in it, and what happened.

use bedside_authz::Action;
use bedside_protocol::{ChatMessage, Code, Participant, Party, SessionEventPage, SessionId};
use jiff::Timestamp;

use crate::{App, ctx::Ctx, error::ApiError, fhir};

/// Messages that are read in one go.
const CHAT_PAGE: u32 = 200;

/// Who was in the call of a visit, with the means of what they measured.
pub(crate) async fn participants(app: &App, ctx: &Ctx, id: SessionId) -> Result<Vec<Participant>, ApiError> {
    let (row, _) = app.session_of(ctx, id, Action::ReadRecord).await?;
    app.note_look(ctx, "PARTICIPANTS_READ", Some(&row)).await?;
    let mut participants = app.store.participants(&row).await?;
    for participant in &mut participants {
        let reports = app.store.quality(id, participant.party).await?;
        let count = reports.len() as f32;
        if let Some(mean) = bedside_consult::quality::mean(&reports) {
            participant.avg_audio_level =
                Some(reports.iter().map(|report| report.audio_level).sum::<f32>() / count);
            participant.avg_video_bitrate = Some(mean.video_bitrate);
            participant.packet_loss_percent = Some(mean.packet_loss_percent);
        }
    }
    Ok(participants)
}

/// All of it, as a Bundle of FHIR R4; with the notes where its doctor asks.
pub(crate) async fn fhir(app: &App, ctx: &Ctx, id: SessionId) -> Result<serde_json::Value, ApiError> {
    let (row, party) = app.session_of(ctx, id, Action::Export).await?;
    app.note_look(ctx, "SESSION_EXPORTED", Some(&row)).await?;
    let appointment = app.store.appointment(row.appointment).await?.ok_or(Code::NotFound)?;
    let notes = match party {
        Party::Doctor => app.store.notes(id).await?,
        Party::Patient => None,
    };
    let mut chat: Vec<ChatMessage> = vec![];
    loop {
        let after = chat.last().map_or(0, |last| last.seq);
        let page = app.store.chat_page(&row, None, Some(after), CHAT_PAGE).await?;
        chat.extend(page.items);
        if !page.has_newer {
            break;
        }
    }
    let parts = fhir::Parts { visit: &row, appointment: &appointment, chat: &chat, notes: notes.as_ref() };
    Ok(fhir::bundle(&parts, Timestamp::now()))
}

/// A page of what happened in it, in order, after an event.
pub(crate) async fn events(
    app: &App,
    ctx: &Ctx,
    id: SessionId,
    after: i64,
    limit: u32,
) -> Result<SessionEventPage, ApiError> {
    let (row, _) = app.session_of(ctx, id, Action::ReadRecord).await?;
    let page = async { Ok(app.store.events(id, after, limit + 1).await?) };
    let mut items = app.look(ctx, "EVENTS_READ", Some(&row), page).await?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next = items.last().filter(|_| more).map(|last| last.id);
    Ok(SessionEventPage { items, next })
}
