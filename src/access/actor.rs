//! Who is calling, and for which organization.
use super::{KnownNames, Role, policy};
use crate::core::{Id, TenantId};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use validator::{Validate, ValidationError};

crate::vocabulary! {
    /// What kind of account acts.
    pub enum ActorKind { User, ApiKey, System }
}

/// Who did something: the account, and the person behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Actor {
    /// A user, an API key or the system itself.
    pub kind: ActorKind,
    /// The account.
    pub id: Id,
    /// What the account is called at the moment that is read. (The ledger does not hold it, so that
    /// it can be erased.)
    #[serde(deserialize_with = "crate::core::text::or_default")]
    #[schema(max_length = 320)]
    pub name: String,
    /// The person; a service key and the system have none.
    #[schema(required)]
    pub person_id: Option<Id>,
}

impl Actor {
    /// The house itself, for what it sets up.
    pub fn system(tenant: TenantId) -> Self {
        Actor {
            kind: ActorKind::System,
            id: tenant.record(),
            name: "system".into(),
            person_id: None,
        }
    }
}

/// What an API key is cut down to; empty means not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(default)]
#[validate(schema(function = period))]
pub struct Limits {
    /// Only records of these scopes, and of the whole organization.
    #[serde(deserialize_with = "crate::core::text::or_default")]
    #[schema(max_items = 100)]
    pub scope_ids: Vec<Id>,
    /// Only these frameworks.
    #[serde(deserialize_with = "crate::core::text::or_default")]
    #[schema(max_items = 100, max_length = 64)]
    pub framework_slugs: Vec<String>,
    /// Only these controls, and evidence of these controls.
    #[serde(deserialize_with = "crate::core::text::or_default")]
    #[schema(max_items = 200)]
    pub control_ids: Vec<Id>,
    /// Only evidence of these sources.
    #[serde(deserialize_with = "crate::core::text::or_default")]
    #[schema(max_items = 100, max_length = 200)]
    pub sources: Vec<String>,
    /// Only evidence collected on this day or later.
    pub period_start_on: Option<NaiveDate>,
    /// Only evidence collected on this day or earlier.
    pub period_end_on: Option<NaiveDate>,
}

impl Limits {
    /// Is nothing cut?
    pub fn none(&self) -> bool {
        *self == Limits::default()
    }
    /// The members in which it reaches further than `outer`.
    pub fn beyond(&self, outer: &Limits) -> Vec<&'static str> {
        fn wider<T: PartialEq>(own: &[T], outer: &[T]) -> bool {
            !outer.is_empty() && (own.is_empty() || own.iter().any(|one| !outer.contains(one)))
        }
        let starts = outer
            .period_start_on
            .is_some_and(|day| self.period_start_on.is_none_or(|own| own < day));
        let ends = outer
            .period_end_on
            .is_some_and(|day| self.period_end_on.is_none_or(|own| own > day));
        let all = [
            (wider(&self.scope_ids, &outer.scope_ids), "scope_ids"),
            (
                wider(&self.framework_slugs, &outer.framework_slugs),
                "framework_slugs",
            ),
            (wider(&self.control_ids, &outer.control_ids), "control_ids"),
            (wider(&self.sources, &outer.sources), "sources"),
            (starts, "period_start_on"),
            (ends, "period_end_on"),
        ];
        all.into_iter()
            .filter(|(wider, _)| *wider)
            .map(|(_, member)| member)
            .collect()
    }
}

fn period(limits: &Limits) -> Result<(), ValidationError> {
    match limits
        .period_start_on
        .zip(limits.period_end_on)
        .is_some_and(|(start, end)| end < start)
    {
        true => {
            Err(ValidationError::new("order")
                .with_message("the period ends before it begins".into()))
        }
        false => Ok(()),
    }
}

/// A caller whose credential was found good.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The organization: the only source of it.
    pub tenant: TenantId,
    /// Who.
    pub actor: Actor,
    /// What it may do.
    pub roles: Vec<Role>,
    /// What it is cut down to.
    pub limits: Limits,
    /// The account behind it: the user, or the user of the key. A service key has none.
    pub user_id: Option<Id>,
    /// When the credential ends.
    pub expires_at: crate::core::Instant,
    /// Stands for role and limits in entity tags.
    pub digest: u32,
    /// The names of the organization's accounts.
    pub names: Arc<KnownNames>,
    /// The position of the last entry about an account when this caller was looked up: what it may
    /// do is known up to there.
    pub known_at: i64,
}

impl Caller {
    /// Its digest is made of what decides what it sees.
    pub fn new(
        tenant: TenantId,
        actor: Actor,
        roles: Vec<Role>,
        limits: Limits,
        expires_at: crate::core::Instant,
    ) -> Self {
        let sight =
            serde_json::to_vec(&(&roles, &limits, actor.id, actor.person_id)).unwrap_or_default();
        let digest = crc32fast::hash(&sight);
        let user_id = (actor.kind == ActorKind::User).then_some(actor.id);
        Caller {
            tenant,
            actor,
            roles,
            limits,
            user_id,
            expires_at,
            digest,
            names: Arc::default(),
            known_at: i64::MAX,
        }
    }
    /// A key of this user.
    pub fn of_user(self, user_id: Option<Id>) -> Self {
        Caller { user_id, ..self }
    }
    /// Does it see the accounts and keys of everyone? Others see their own keys.
    pub fn sees_accounts(&self) -> bool {
        self.roles
            .iter()
            .any(|role| [Role::Admin, Role::InternalAuditor, Role::Auditor].contains(role))
    }
    /// May it read a kind beyond its own records? Feeds and references leave out the keys of those
    /// who see only theirs.
    pub fn follows(&self, kind: &str) -> bool {
        super::allows(&self.roles, kind, "read")
            && (kind != policy::API_KEY || self.sees_accounts())
    }
    /// Is it an administrator?
    pub fn administers(&self) -> bool {
        self.roles.contains(&Role::Admin)
    }
    /// Is it a machine that only pushes?
    pub fn collects(&self) -> bool {
        self.roles == [Role::Collector]
    }
    /// May it only touch what is its person's?
    pub fn contributes(&self) -> bool {
        self.roles.contains(&Role::Contributor) && !self.roles.contains(&Role::Manager)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_within_others_in_every_member() {
        let day = |day| NaiveDate::from_ymd_opt(2026, 1, day);
        let (one, two) = (Id::new(), Id::new());
        let outer = Limits {
            scope_ids: vec![one],
            framework_slugs: vec!["a".into()],
            control_ids: vec![one, two],
            sources: vec!["s".into()],
            period_start_on: day(5),
            period_end_on: day(9),
        };
        assert!(
            outer.beyond(&outer).is_empty()
                && Limits::default().beyond(&Limits::default()).is_empty()
        );
        assert!(
            outer.beyond(&Limits::default()).is_empty(),
            "whoever is not limited may limit"
        );
        assert_eq!(Limits::default().beyond(&outer).len(), 6);
        let narrower = Limits {
            control_ids: vec![two],
            period_start_on: day(6),
            period_end_on: day(6),
            ..outer.clone()
        };
        assert!(narrower.beyond(&outer).is_empty());
        let wider = Limits {
            scope_ids: vec![one, two],
            period_start_on: day(4),
            period_end_on: day(10),
            ..outer.clone()
        };
        assert_eq!(
            wider.beyond(&outer),
            ["scope_ids", "period_start_on", "period_end_on"]
        );
    }
}
