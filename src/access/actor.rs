//! Who is calling, and for which organization.
use super::{KnownNames, Role};
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
    /// What the account is called at the moment that is read. (The ledger does not hold it, so that it can be erased.)
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
        Actor { kind: ActorKind::System, id: tenant.record(), name: "system".into(), person_id: None }
    }
    /// Is it the same person, whatever the credential? Without a person, the account stands for itself.
    pub fn same_person(&self, other: &Actor) -> bool {
        match (self.person_id, other.person_id) {
            (Some(a), Some(b)) => a == b,
            _ => self.id == other.id,
        }
    }
}

/// What an API key is cut down to; empty means not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(default)]
pub struct Limits {
    /// Only records of these scopes, and of the whole organization.
    #[serde(deserialize_with = "crate::core::text::or_default")]
    #[validate(length(max = 100))]
    #[schema(max_items = 100)]
    pub scope_ids: Vec<Id>,
    /// Only these frameworks.
    #[serde(deserialize_with = "crate::core::text::or_default")]
    #[validate(length(max = 100), custom(function = slugs))]
    #[schema(max_items = 100, max_length = 64)]
    pub framework_slugs: Vec<String>,
    /// Only these controls, and evidence of these controls.
    #[serde(deserialize_with = "crate::core::text::or_default")]
    #[validate(length(max = 200))]
    #[schema(max_items = 200)]
    pub control_ids: Vec<Id>,
    /// Only evidence of these sources.
    #[serde(deserialize_with = "crate::core::text::or_default")]
    #[validate(length(max = 100), custom(function = sources))]
    #[schema(max_items = 100, max_length = 200)]
    pub sources: Vec<String>,
    /// Only evidence collected on this day or later.
    pub period_start_on: Option<NaiveDate>,
    /// Only evidence collected on this day or earlier.
    pub period_end_on: Option<NaiveDate>,
}

fn slugs(all: &[String]) -> Result<(), ValidationError> {
    within(all, 64, "a slug has at most 64 characters")
}
fn sources(all: &[String]) -> Result<(), ValidationError> {
    within(all, 200, "a source has at most 200 characters")
}
fn within(all: &[String], most: usize, needed: &'static str) -> Result<(), ValidationError> {
    let fits = all.iter().all(|text| text.chars().count() <= most);
    if fits { Ok(()) } else { Err(ValidationError::new("too_long").with_message(needed.into())) }
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
    /// When the credential ends.
    pub expires_at: crate::core::Instant,
    /// Stands for role and limits in entity tags.
    pub digest: u32,
    /// The names of the organization's accounts.
    pub names: Arc<KnownNames>,
}

impl Caller {
    /// Its digest is made of what decides what it sees.
    pub fn new(tenant: TenantId, actor: Actor, roles: Vec<Role>, limits: Limits, expires_at: crate::core::Instant) -> Self {
        let sight = serde_json::to_vec(&(&roles, &limits, actor.id)).unwrap_or_default();
        let digest = crc32fast::hash(&sight);
        Caller { tenant, actor, roles, limits, expires_at, digest, names: Arc::default() }
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
