//! What a key is and can be, and who may make and change which.
use super::secrets;
use crate::access::{ActorKind, Limits, Role};
use crate::core::{Code, Id, Instant, Invalid, Problem, Result, TenantId};
use crate::db::schema::{users as u, versions as v};
use crate::db::{Conn, dialect::OPEN};
use crate::records::{Record, Resource, Selector, Writing, links};
use crate::registers::control::Control;
use crate::registers::scope::Scope;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use validator::Validate;

/// What is said about a key.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// What it may do, as far as its user has the role.
    pub role: Role,
    /// When it ends by itself: at most two years after its secret was made, with the role auditor
    /// 400 days.
    pub expires_at: Instant,
    /// What it is cut down to.
    #[serde(default)]
    #[validate(nested)]
    pub limits: Limits,
}

/// What the server says about a key.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct KeyState {
    /// When it was ended.
    #[schema(required)]
    pub revoked_at: Option<Instant>,
}

/// Days that a secret is good for at most: two years.
const DAYS: i64 = 731;
/// The same for a key that only reads everything.
const AUDITOR_DAYS: i64 = 400;

/// Asked of each write of a key, whatever the operation.
pub fn permitted(
    tx: &mut Writing<'_>,
    before: Option<&Record<ApiKey>>,
    after: &Record<ApiKey>,
    action: &str,
) -> Result<()> {
    // The founding of an organization makes the first key.
    if tx.caller().actor.kind != ActorKind::System {
        mine(tx, before, after, action)?;
        within(tx, before, after)?;
    }
    let faults: Vec<Invalid> = [
        moved(before, after),
        role(tx, before, after)?,
        life(tx, before, after, action)?,
    ]
    .into_iter()
    .flatten()
    .collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Problem::invalid(faults))
    }
}

/// A person's key is made and rotated by that person, after a login; a service key by an
/// administrator. Administrators change and revoke any.
fn mine(
    tx: &Writing<'_>,
    before: Option<&Record<ApiKey>>,
    after: &Record<ApiKey>,
    action: &str,
) -> Result<()> {
    let caller = tx.caller();
    let user = before.unwrap_or(after).links.one("user_id");
    let issues = ["create", "rotate"].contains(&action);
    match user {
        None if caller.administers() => Ok(()),
        None => {
            let detail = "Only administrators can create service keys. For a personal key, send \
                your account (`actor.id` of `GET /v1/me`) as `user_id`.";
            Err(Problem::new(Code::Forbidden, detail))
        }
        Some(user) if Some(user) == caller.user_id => {
            match caller.actor.kind == ActorKind::User || !issues && !raised(before, after) {
                true => Ok(()),
                false => {
                    let detail = "A key cannot change the secret, role, limits or expiry of a key \
                        of its person. Log in, and use the access token.";
                    Err(Problem::new(Code::Forbidden, detail))
                }
            }
        }
        Some(_) if issues => {
            let detail = "Only the person themselves can create the secret of a personal key, \
                after they log in.";
            Err(Problem::new(Code::SegregationOfDuties, detail))
        }
        Some(_) if caller.administers() => Ok(()),
        Some(_) => Err(Problem::not_found()),
    }
}

/// Does it change what a key may do, or for how long?
fn raised(before: Option<&Record<ApiKey>>, after: &Record<ApiKey>) -> bool {
    let reach = |key: &Record<ApiKey>| (key.own.role, key.own.limits.clone(), key.own.expires_at);
    before.map(reach) != Some(reach(after))
}

/// A limited key gives nothing that reaches further than itself, and changes nothing that does.
fn within(tx: &Writing<'_>, before: Option<&Record<ApiKey>>, after: &Record<ApiKey>) -> Result<()> {
    let own = &tx.caller().limits;
    let beyond: Vec<&str> = [before, Some(after)]
        .into_iter()
        .flatten()
        .flat_map(|key| key.own.limits.beyond(own))
        .collect();
    let Some(member) = beyond.first() else {
        return Ok(());
    };
    let faults = vec![Invalid::body(
        format!("/limits/{member}"),
        "outside_limits",
        "is outside the limits of your own key",
    )];
    Err(Problem::new(
        Code::OutsideLimits,
        "Your own key is limited. The limits of this key must be within its limits.",
    )
    .listing(faults))
}

/// The user of a key never changes.
fn moved(before: Option<&Record<ApiKey>>, after: &Record<ApiKey>) -> Option<Invalid> {
    let other = before?.links.one("user_id") != after.links.one("user_id");
    other.then(|| {
        Invalid::body(
            "/user_id",
            "immutable",
            "the user of a key never changes: revoke it and create another key",
        )
    })
}

/// A key has no role that its user has not.
fn role(
    tx: &mut Writing<'_>,
    before: Option<&Record<ApiKey>>,
    after: &Record<ApiKey>,
) -> Result<Option<Invalid>> {
    let Some(user) = after
        .links
        .one("user_id")
        .filter(|_| before.is_none_or(|before| before.own.role != after.own.role))
    else {
        return Ok(None);
    };
    let tenant = tx.caller().tenant;
    let standing = u::table.inner_join(
        v::table.on(v::tenant_id
            .eq(u::tenant_id)
            .and(v::id.eq(u::id))
            .and(v::version.eq(u::version))),
    );
    let standing = standing.filter(
        u::tenant_id
            .eq(tenant)
            .and(u::id.eq(user))
            .and(v::to_seq.eq(OPEN)),
    );
    let roles: Option<String> = standing.select(u::roles).get_result(tx.conn()).optional()?;
    let role = <&str>::from(after.own.role);
    let has = roles.is_some_and(|roles| roles.split(',').any(|one| one == role));
    Ok((!has).then(|| {
        Invalid::body(
            "/role",
            "not_a_role_of_the_user",
            format!("the user does not have the role {role}: choose one that they have"),
        )
    }))
}

/// A key that has ended stays ended, none is given an end in the past, and none lives too long.
fn life(
    tx: &mut Writing<'_>,
    before: Option<&Record<ApiKey>>,
    after: &Record<ApiKey>,
    action: &str,
) -> Result<Option<Invalid>> {
    let (now, end) = (tx.now(), after.own.expires_at);
    let fault = |code: &str, detail: &str| Ok(Some(Invalid::body("/expires_at", code, detail)));
    let changed = before
        .is_none_or(|before| before.own.expires_at != end || before.own.role != after.own.role);
    let ended = before
        .is_some_and(|before| before.own.expires_at <= now || before.state.revoked_at.is_some());
    if ended && (changed || action == "rotate") {
        return fault("ended", "this key has expired for good: create a new one");
    }
    if !changed {
        return Ok(None);
    }
    if end <= now {
        return fault(
            "in_the_past",
            "is in the past; to end a key at once, revoke it",
        );
    }
    let key = (tx.caller().tenant, after.spine.id);
    let made = match before {
        None => now,
        Some(_) => secrets::made_at(tx.conn(), key)?.unwrap_or(now),
    };
    let (days, words) = match after.own.role {
        Role::Auditor => (
            AUDITOR_DAYS,
            "a key with the role auditor expires at most 400 days after its secret was created; \
                rotate it to use it longer",
        ),
        _ => (
            DAYS,
            "a key expires at most two years after its secret was created; rotate it to use it \
                longer",
        ),
    };
    if end > made.plus_millis(days * 86_400_000) {
        fault("too_late", words)
    } else {
        Ok(None)
    }
}

/// Looks up the records that limits name: codes become ids, what is unknown is a fault.
pub fn resolved(conn: &mut Conn, tenant: TenantId, body: &mut Map<String, Value>) -> Result<()> {
    let Some(Value::Object(limits)) = body.get_mut("limits") else {
        return Ok(());
    };
    let mut faults = Vec::new();
    for (member, kind) in [("scope_ids", &Scope::KIND), ("control_ids", &Control::KIND)] {
        let Some(Value::Array(items)) = limits.get_mut(member) else {
            continue;
        };
        for (n, item) in items.iter_mut().enumerate() {
            let selector = item.as_str().and_then(|text| Selector::parse(text, kind));
            let id: Option<Id> = selector
                .map(|selector| selector.resolve(conn, tenant))
                .transpose()?
                .flatten();
            let there = match id {
                Some(id) => links::exist(conn, tenant, &[id])?
                    .iter()
                    .any(|(_, found)| found == kind.name),
                None => false,
            };
            match id.filter(|_| there) {
                Some(id) => *item = json!(id),
                None => faults.push(Invalid::body(
                    format!("/limits/{member}/{n}"),
                    "unknown_reference",
                    format!("unknown {}", kind.name),
                )),
            }
        }
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Problem::invalid(faults))
    }
}
