//! Accounts of machines: kiosks, and other systems of the clinic's. They sign in with a token that lasts, made on the
//! command line and told once.

use bedside_protocol::{ClinicId, Role, Text, Token, User, UserId};
use jiff::{SignedDuration, Timestamp};

use super::{
    accounts::{account, check_name},
    people::{NO_PASSWORD, no_address},
};
use crate::{App, error::ApiError, store::AuditLine};

/// What a machine's account was made with.
#[derive(Debug)]
pub struct Machine {
    /// Its account.
    pub id: UserId,
    /// What it signs in with.
    pub token: Token,
    /// Until when.
    pub until: Timestamp,
}

/// Makes one.
pub async fn add(
    app: &App,
    role: Role,
    name: &str,
    clinic: Option<ClinicId>,
    lasts: SignedDuration,
) -> Result<Machine, bedside_protocol::Problem> {
    let made = async {
        check_name(name)?;
        let id = UserId::generate();
        let user = User { id, role, name: Text::new(name.trim()), specialization: None };
        let mut unit = app.store.begin(Timestamp::now()).await?;
        unit.add_account(&user, &no_address(id), NO_PASSWORD, true, clinic).await?;
        unit.audit(AuditLine::new("USER_REGISTERED").on(account(id)));
        let machine = give_token(app, &mut unit, &user, clinic, lasts).await?;
        unit.commit().await?;
        Ok(machine)
    };
    made.await.map_err(|error: ApiError| error.problem())
}

/// Gives a machine another token; those that it had have ended.
pub async fn renew(
    app: &App,
    id: UserId,
    lasts: SignedDuration,
) -> Result<Machine, bedside_protocol::Problem> {
    let made = async {
        let found = app.store.account(id).await?.filter(|found| !found.is_disabled);
        let found = found.filter(|found| matches!(found.user.role, Role::Kiosk | Role::Service));
        let found = found.ok_or(bedside_protocol::Code::NotFound)?;
        let mut unit = app.store.begin(Timestamp::now()).await?;
        unit.end_sign_ins_of(id, None).await?;
        let machine = give_token(app, &mut unit, &found.user, found.clinic, lasts).await?;
        unit.commit().await?;
        Ok(machine)
    };
    made.await.map_err(|error: ApiError| error.problem())
}

async fn give_token(
    app: &App,
    unit: &mut crate::store::Unit,
    user: &User,
    clinic: Option<ClinicId>,
    lasts: SignedDuration,
) -> Result<Machine, ApiError> {
    let until = unit.now + lasts;
    let token = app.access_tokens.issue(user, clinic, None, unit.now, until)?;
    let family = unit.start_family_for(user.id, None, Some(until)).await?;
    unit.add_token(family, "access", &token, until).await?;
    let line = AuditLine::new("SIGNED_IN").by(user.id);
    unit.audit(line.on(format!("sign-in:{family}")));
    Ok(Machine { id: user.id, token, until })
}
