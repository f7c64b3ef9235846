//! People of a clinic: found, and made known to it.

use bedside_authz::Action;
use bedside_protocol::{
    ChangeUserRequest, Code, CreateUserRequest, Profile, Role, Text, User, UserId, UserListing,
};
use jiff::Timestamp;

use super::accounts::{account, address, check_address, check_name, check_no_doctors};
use crate::{
    App,
    ctx::Ctx,
    error::ApiError,
    store::{About, AuditLine, Channel, Reach},
};

/// A page of people by their names, and the last of them where there are more: of one's own clinic, and patients of
/// none.
pub(crate) async fn people(
    app: &App,
    ctx: &Ctx,
    role: Option<Role>,
    words: Option<&str>,
    after: Option<UserId>,
    limit: u32,
) -> Result<(Vec<UserListing>, Option<UserId>), ApiError> {
    app.allow(ctx, Action::FindPeople).await?;
    app.note_look(ctx, "PEOPLE_LISTED", None).await?;
    let words = words.map(str::trim).filter(|words| !words.is_empty());
    let mut people = app.store.people(ctx.reach(), role, words, after, limit + 1).await?;
    let more = people.len() > limit as usize;
    people.truncate(limit as usize);
    let next = people.last().filter(|_| more).map(|last| last.user.id);
    Ok((people, next))
}

/// Changes what others see of oneself.
pub(crate) async fn change_own(app: &App, ctx: &Ctx, change: ChangeUserRequest) -> Result<User, ApiError> {
    app.allow(ctx, Action::KeepOwnAccount).await?;
    if let Some(name) = &change.name {
        check_name(name.reveal())?;
    }
    check_phone(change.phone.as_ref())?;
    let name = change.name.map_or_else(|| ctx.user.name.clone(), |name| Text::new(name.reveal().trim()));
    let mut unit = app.store.begin(Timestamp::now()).await?;
    if name != ctx.user.name {
        if ctx.user.role == Role::Patient {
            check_no_doctors(&mut unit, &name).await?;
        }
        unit.set_name(ctx.user.id, name.reveal()).await?;
        unit.audit(ctx.line("ACCOUNT_RENAMED").on(account(ctx.user.id)));
    }
    unit.set_reach(ctx.user.id, change.phone.as_ref(), change.wants_messages).await?;
    unit.commit().await?;
    Ok(User { name, ..ctx.user.clone() })
}

/// Who one is, and how one is reached.
pub(crate) async fn profile(app: &App, ctx: &Ctx) -> Result<Profile, ApiError> {
    app.allow(ctx, Action::KeepOwnAccount).await?;
    let reach = app.store.reach_of(ctx.user.id).await?.ok_or(Code::NotSignedIn)?;
    let Reach { email, phone, wants_messages, .. } = reach;
    Ok(Profile { user: ctx.user.clone(), email, phone, wants_messages })
}

/// A telephone in international form (ITU-T E.164): a plus and up to 15 digits. None, and an empty one, is fine.
fn check_phone(phone: Option<&Text>) -> Result<(), ApiError> {
    let is_one = phone.is_none_or(|phone| {
        phone.reveal().is_empty()
            || phone.reveal().strip_prefix('+').is_some_and(|digits| {
                (7..=15).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit())
            })
    });
    let why = "a telephone is in international form: +49301234567";
    if is_one { Ok(()) } else { Err(ApiError::new(Code::Invalid, why)) }
}

/// Makes an account for a patient of one's own clinic. They have no password yet: with an address, they choose one by
/// what is sent there; without, they come by links and codes.
pub(crate) async fn add_patient(
    app: &App,
    ctx: &Ctx,
    request: &CreateUserRequest,
) -> Result<UserListing, ApiError> {
    app.allow(ctx, Action::AddPatient).await?;
    check_name(request.name.reveal())?;
    check_phone(request.phone.as_ref())?;
    let id = UserId::generate();
    let email = match &request.email {
        Some(email) => {
            check_address(email.reveal())?;
            address(email)
        }
        None => no_address(id),
    };
    let name = Text::new(request.name.reveal().trim());
    let user = User { id, role: Role::Patient, name, specialization: None };
    let mut unit = app.store.begin(Timestamp::now()).await?;
    // Somebody's who is known to a practice, if not to this one: their patient.
    if unit.is_in_use(&email).await? {
        return Err(Code::EmailTaken.into());
    }
    let mut ended = vec![];
    if let Some(other) = unit.free_address(&email).await? {
        ended = unit.end_sign_ins_of(other, None).await?;
        unit.audit(AuditLine::new("ACCOUNT_LOST_ADDRESS").on(account(other)).of(other));
    }
    unit.add_account(&user, &email, NO_PASSWORD, true, ctx.clinic).await?.ok_or(Code::EmailTaken)?;
    unit.set_reach(id, request.phone.as_ref(), None).await?;
    if request.email.is_some() && app.outgoing.has_mail() {
        unit.add_outgoing(id, About::Welcome, Channel::Mail, None, unit.now).await?;
    }
    unit.audit(ctx.line("USER_REGISTERED").on(account(id)).of(id));
    unit.commit().await?;
    for family in ended {
        app.end_relaying(&family.to_string());
    }
    app.outgoing.wake();
    Ok(UserListing { user, is_confirmed: true, is_address_confirmed: false, is_disabled: false })
}

/// What nobody can sign in with: no password has this hash.
pub(super) const NO_PASSWORD: &str = "";

/// What stands for the address of somebody who has none; nobody can type it, as it has spaces.
pub(super) fn no_address(user: UserId) -> String {
    format!("no address: {user}")
}
