//! The account behind a credential, and the change of its own password.
use super::attempts::{self, Attempt};
use super::auth::{count, uncounted};
use super::credential;
use super::user::User;
use crate::access::{Actor, ActorKind, Limits, Role, password};
use crate::core::{Code, Id, Instant, Problem, Result};
use crate::http::journal::Event;
use crate::http::{Answer, Anyone, Guard, Input, Permission};
use crate::records::{Covers, IfMatch, Selector};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

/// Who one is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    /// The organization.
    pub organization_id: Id,
    /// The account.
    pub actor: Actor,
    /// The person behind it.
    #[schema(required)]
    pub person_id: Option<Id>,
    /// What one may do.
    #[schema(max_items = 7)]
    pub roles: Vec<Role>,
    /// What one is cut down to.
    pub limits: Limits,
    /// When the credential ends.
    #[schema(required)]
    pub expires_at: Option<Instant>,
}

async fn me(guard: Guard<Anyone>) -> Result<Answer> {
    let caller = guard.caller();
    let actor = caller.actor.clone();
    let expires_at = Some(guard.ends());
    let me = Me {
        organization_id: caller.tenant.record(),
        person_id: actor.person_id,
        actor,
        roles: caller.roles.clone(),
        limits: caller.limits.clone(),
        expires_at,
    };
    let (_, position) = guard.state().await?;
    Ok(Answer::of(&me)?.at(position).private())
}

/// The permission over one's own login.
pub struct OwnLogin;
impl Permission for OwnLogin {
    const KIND: &'static str = "";
    const ACTION: &'static str = "";
}
impl Covers<User> for OwnLogin {}

/// A change of one's password.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"current_password": "correct horse battery staple",
    "new_password": "another long sentence of mine"}))]
pub struct PasswordChange {
    /// The one that is good now.
    #[schema(min_length = 1, max_length = 128, format = "password")]
    pub current_password: String,
    /// The one to come.
    #[schema(min_length = 12, max_length = 128, format = "password")]
    pub new_password: String,
}

async fn change_password(guard: Guard<OwnLogin>, input: Input) -> Result<Answer> {
    let caller = guard.caller().clone();
    if caller.actor.kind != ActorKind::User {
        return Err(Problem::new(
            Code::Forbidden,
            "A key has no password; log in as a user to change yours.",
        ));
    }
    let said: PasswordChange = input.clone().read()?;
    let (house, tenant, user) = (guard.house().clone(), caller.tenant, caller.actor.id);
    let attempt = Attempt::password(tenant, user, guard.source());
    let attempt = count(&house, attempt).await?;
    let look = move |conn: &mut crate::db::Conn| {
        Ok((
            credential::hash(conn, (tenant, user))?,
            credential::known(conn, (tenant, user))?,
        ))
    };
    let (hash, known) = match house.look(look).await {
        Ok(found) => found,
        Err(why) => return uncounted(&house, &attempt, why).await,
    };
    let passwords = house.logins().passwords();
    match passwords.fits(said.current_password.clone(), hash).await {
        Ok(true) => {}
        Ok(false) => {
            guard.tell(Event::PasswordChangeFailed, Some(user));
            let detail = "this is not your current password";
            return Err(Problem::invalid_one("/current_password", "wrong", detail));
        }
        Err(why) => return uncounted(&house, &attempt, why).await,
    }
    let now = house.clock().now();
    let forget = move |conn: &mut _| attempts::succeeded(conn, &attempt, tenant, now);
    house.logins().sessions().run(forget).await?;
    if said.new_password == said.current_password {
        let detail = "choose a password other than the current one";
        return Err(Problem::invalid_one("/new_password", "same", detail));
    }
    let about: Vec<&str> = known.iter().map(String::as_str).collect();
    password::acceptable("/new_password", &said.new_password, &about)?;
    let hash = passwords.hash(said.new_password).await?;
    let answer = guard.write(&input, move |tx| {
        let record = tx.load::<User>(&Selector::Id(user), &IfMatch::any())?;
        let now = tx.now();
        credential::set_by_holder(tx.conn(), (tenant, user), &hash, now)?;
        let saved = tx.save(&record, record.clone(), "change_password")?;
        Ok(saved.map(|_| Answer::nothing().private()))
    });
    let answer = answer.await?;
    house.forget(tenant);
    guard.tell(Event::PasswordChanged, Some(user));
    Ok(answer)
}

/// Mounts what concerns the own account.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.get("/v1/me", me)
        .id("getMe")
        .says(
            "Get who one is",
            "The account behind the credential, its person, roles, limits and \
            end.",
        )
        .tag("auth")
        .untagged()
        .answers::<Me>("Who one is.");
    api.post("/v1/me/password", change_password)
        .id("changePassword")
        .says(
            "Change one's password",
            "For users, not for keys. Every session of the user ends, \
            this one included: log in again.",
        )
        .tag("auth")
        .retried()
        .body::<PasswordChange>()
        .ends("Changed.");
}
