//! The founding of an organization: its record, its first user (admin and manager) with the person behind it, the elementary threats and a risk
//! methodology that is in force from the start.
use super::key::{ApiKey, KeyState};
use super::secrets;
use super::user::{self, User};
use crate::access::{Actor, password};
use crate::core::{Id, Problem, Result, TenantId, catalogue};
use crate::http::House;
use crate::http::house::Founding;
use crate::records::{Draft, Stateless, Tx};
use crate::registers::plan::methodology::RiskMethodology;
use crate::registers::plan::organization::Organization;
use crate::registers::plan::person::Person;
use crate::registers::plan::revision;
use crate::registers::plan::threat::{Threat, ThreatState};
use chrono::Days;
use serde::Serialize;
use serde_json::{Value, json};

/// Days that a first key lives.
const KEY_DAYS: u64 = 365;

/// What was founded.
#[derive(Debug, Clone, Serialize)]
pub struct Founded {
    /// The organization.
    pub organization_id: Id,
    /// Its first user.
    pub user_id: Id,
    /// A key of that user with the role manager, where one was asked for.
    pub api_key: Option<String>,
}

/// Founds an organization.
pub async fn found(house: &House, name: &str, email: &str, secret: &str, with_key: bool) -> Result<Founded> {
    password::acceptable(secret)?;
    let hash = password::hash(secret.to_owned()).await?;
    let organization = Draft::<Organization>::read(members(json!({"name": name}))?)?;
    let person = Draft::<Person>::read(members(json!({"name": email.split('@').next().unwrap_or(email), "email": email}))?)?;
    let email = email.to_owned();
    let (tenant, (user_id, api_key)) = house
        .found(move |tx| {
            let tenant = tx.caller().tenant;
            let _organization = tx.create_as(tenant.record(), organization, Stateless {}, "active")?;
            threats(tx)?;
            methodology(tx)?;
            let person = tx.create(person)?;
            let body = json!({"name": email, "email": email, "roles": ["admin", "manager"], "person_id": person.get().spine.id});
            let made = tx.create(Draft::<User>::read(members(body)?)?)?;
            let user_id = made.get().spine.id;
            user::keep_password(tx.conn(), tenant, user_id, &email, &hash)?;
            let secret = if with_key { Some(manager_key(tx, tenant, user_id)?) } else { None };
            Ok(made.map(|_| (user_id, secret)))
        })
        .await?;
    Ok(Founded { organization_id: tenant.record(), user_id, api_key })
}

fn manager_key(tx: &mut Tx<'_, Founding>, tenant: TenantId, user: Id) -> Result<String> {
    let until = tx.now().utc().checked_add_days(Days::new(KEY_DAYS)).ok_or_else(|| Problem::internal("the end of time"))?;
    let body = json!({"name": "First key", "role": "manager", "user_id": user, "expires_at": crate::core::Instant::new(until)});
    let (id, draft) = (Id::new(), Draft::<ApiKey>::read(members(body)?)?);
    let (until, now) = (draft.own.expires_at, tx.now());
    let _key = tx.create_as(id, draft, KeyState::default(), "active")?;
    secrets::issue(tx.conn(), (tenant, id), until, now)
}

fn threats(tx: &mut Tx<'_, Founding>) -> Result<()> {
    for threat in catalogue::THREATS.iter() {
        let body = json!({"name": threat.name, "external_ref": threat.id, "origin": threat.origin});
        let _threat = tx.create_as(Id::new(), Draft::<Threat>::read(members(body)?)?, ThreatState { built_in: true }, "active")?;
    }
    Ok(())
}

fn methodology(tx: &mut Tx<'_, Founding>) -> Result<()> {
    let made = tx.create(Draft::<RiskMethodology>::read(members(json!({"name": "Default 5 × 5"}))?)?)?;
    let (draft, mut record) = (made.get().clone(), made.get().clone());
    record.spine.status = "approved".into();
    revision::approved(&mut record.state, &Actor::system(tx.caller().tenant), tx.now());
    let _approved = tx.save(&draft, record, "approve")?;
    Ok(())
}

fn members(value: Value) -> Result<serde_json::Map<String, Value>> {
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(Problem::internal("no object")),
    }
}
