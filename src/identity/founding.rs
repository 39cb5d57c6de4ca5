//! The founding of an organization: its record, its first user (admin and manager) with the person
//! behind it, the elementary threats and a risk methodology that is in force from the start.
use super::key::{ApiKey, KeyState};
use super::user::{User, folded};
use super::{credential, secrets};
use crate::access::{Actor, password};
use crate::core::{Code, Id, Invalid, Problem, Result, TenantId, catalogue};
use crate::http::House;
use crate::records::{Body, NoState, Tx};
use crate::registers::methodology::RiskMethodology;
use crate::registers::organization::Organization;
use crate::registers::person::Person;
use crate::registers::revision;
use crate::registers::threat::{Threat, ThreatState};
use crate::service::house::Founding;
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

/// What an organization begins with.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What it is called.
    pub organization: String,
    /// The IANA time zone where its days begin and end.
    pub time_zone: String,
    /// What its first user and the person behind the account are called.
    pub name: String,
    /// What the first user logs in with.
    pub email: String,
    /// The first user's password.
    pub password: String,
    /// Is a key with the role manager made, too?
    pub api_key: bool,
    /// May there be an organization of that name with that address already?
    pub another: bool,
}

impl Plan {
    /// With what needs not be said.
    pub fn new(organization: &str, email: &str, password: &str) -> Self {
        Plan {
            organization: organization.to_owned(),
            time_zone: "UTC".to_owned(),
            name: "First admin".to_owned(),
            email: email.to_owned(),
            password: password.to_owned(),
            api_key: false,
            another: false,
        }
    }
}

/// Founds an organization.
pub async fn found(house: &House, plan: Plan) -> Result<Founded> {
    let Plan {
        organization,
        time_zone,
        name,
        email,
        password: secret,
        api_key,
        another,
    } = plan;
    let mut faults = Vec::new();
    let mut kept =
        |read: Result<()>| faults.extend(read.err().iter().flat_map(|p| p.errors().to_vec()));
    kept(password::acceptable(
        "/password",
        &secret,
        &[&email, &organization],
    ));
    if folded(&name) == folded(&email) || email.split('@').next().map(folded) == Some(folded(&name))
    {
        let words = "give the person's name, not their address: it remains in the ledger";
        faults.push(Invalid::body("/name", "address", words));
    }
    let body = members(json!({"name": organization, "time_zone": time_zone}))?;
    let organization = renamed(
        Body::<Organization>::read(house.schemas(), body).sound(),
        "/name",
        "/organization",
        &mut faults,
    );
    let body = members(json!({"name": name, "email": email}))?;
    let person = Body::<Person>::read(house.schemas(), body);
    let person = renamed(person.sound(), "", "", &mut faults);
    let (Some(organization), Some(person), true) = (organization, person, faults.is_empty()) else {
        return Err(Problem::invalid(faults));
    };
    if !another {
        unknown(house, &organization.common.name, &email).await?;
    }
    let hash = house.logins().passwords().hash(secret).await?;
    let (tenant, (user_id, api_key)) = house
        .found(move |tx| {
            let (tenant, now) = (tx.caller().tenant, tx.now());
            let organization = tx.draft(organization)?;
            let _organization =
                tx.create_as(tenant.record(), organization, NoState {}, "active")?;
            threats(tx)?;
            methodology(tx)?;
            let person = tx.draft(person)?;
            let person = tx.create(person)?;
            let body = json!({"name": name, "email": email, "roles": ["admin", "manager"],
                "person_id": person.get().spine.id});
            let user = tx.draft_of::<User>(members(body)?)?;
            let made = tx.create(user)?;
            let user_id = made.get().spine.id;
            credential::set_by_system(tx.conn(), (tenant, user_id), &hash, now)?;
            let secret = if api_key {
                Some(manager_key(tx, tenant, user_id)?)
            } else {
                None
            };
            Ok(made.map(|_| (user_id, secret)))
        })
        .await?;
    Ok(Founded {
        organization_id: tenant.record(),
        user_id,
        api_key,
    })
}

/// What was read; its faults are added, at the place that the option has.
fn renamed<T>(read: Result<T>, from: &str, to: &str, faults: &mut Vec<Invalid>) -> Option<T> {
    let place = |fault: &Invalid| match fault.pointer == from {
        true => Invalid {
            pointer: to.to_owned(),
            ..fault.clone()
        },
        false => fault.clone(),
    };
    read.map_err(|problem| faults.extend(problem.errors().iter().map(place)))
        .ok()
}

/// 409 when an organization of that name has an account with that address.
async fn unknown(house: &House, name: &str, email: &str) -> Result<()> {
    let accounts = house.look(super::admin::accounts).await?;
    let mut same = accounts.into_iter();
    let same = same.find(|account| {
        folded(&account.organization) == folded(name) && folded(&account.email) == folded(email)
    });
    match same {
        None => Ok(()),
        Some(account) => Err(Problem::new(
            Code::Conflict,
            format!(
                "the organization {} ({}) already has an account with this address; add --another \
                    to create one more organization",
                account.organization, account.organization_id
            ),
        )),
    }
}

fn manager_key(tx: &mut Tx<'_, Founding>, tenant: TenantId, user: Id) -> Result<String> {
    let until = tx
        .now()
        .utc()
        .checked_add_days(Days::new(KEY_DAYS))
        .ok_or_else(|| Problem::internal("the end of time"))?;
    let body = json!({"name": "First key", "role": "manager", "user_id": user,
        "expires_at": crate::core::Instant::new(until)});
    let draft = tx.draft_of::<ApiKey>(members(body)?)?;
    let id = Id::new();
    let (until, now) = (draft.own.expires_at, tx.now());
    let _key = tx.create_as(id, draft, KeyState::default(), "active")?;
    secrets::issue(tx.conn(), (tenant, id), until, now)
}

fn threats(tx: &mut Tx<'_, Founding>) -> Result<()> {
    for threat in catalogue::THREATS.iter() {
        let body = json!({"name": threat.name, "external_ref": threat.id, "origin": threat.origin});
        let draft = tx.draft_of::<Threat>(members(body)?)?;
        let state = ThreatState { built_in: true };
        let _threat = tx.create_as(Id::new(), draft, state, "active")?;
    }
    Ok(())
}

fn methodology(tx: &mut Tx<'_, Founding>) -> Result<()> {
    let body = members(json!({"name": "Default 5 × 5"}))?;
    let draft = tx.draft_of::<RiskMethodology>(body)?;
    let made = tx.create(draft)?;
    let (draft, mut record) = (made.get().clone(), made.get().clone());
    record.spine.status = "approved".into();
    revision::in_force(
        &mut record.state,
        &Actor::system(tx.caller().tenant),
        tx.now(),
    );
    let _approved = tx.save(&draft, record, "approve")?;
    Ok(())
}

fn members(value: Value) -> Result<serde_json::Map<String, Value>> {
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(Problem::internal("no object")),
    }
}
