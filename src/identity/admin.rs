//! What whoever has the shell may do with accounts: see them, set a password, give a role. It is
//! in the ledger as the system's.
use super::credential;
use super::user::{User, folded};
use crate::access::{Role, password};
use crate::core::{Code, Id, Instant, Problem, Result, TenantId};
use crate::db::Conn;
use crate::db::dialect::OPEN;
use crate::db::schema::{credentials as cr, users as u, versions as v};
use crate::http::House;
use crate::records::{IfMatch, Selector, accounts as entries};
use diesel::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;

/// An account, as the shell shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Account {
    /// The organization's name.
    pub organization: String,
    /// The organization.
    pub organization_id: Id,
    /// The user's readable identifier.
    pub code: String,
    /// The user.
    pub user_id: Id,
    /// What the account is called.
    pub name: String,
    /// What it logs in with.
    pub email: String,
    /// What it may do.
    pub roles: Vec<String>,
    /// Was a password set?
    pub has_password: bool,
    /// From when on it cannot come in.
    pub disabled_at: Option<Instant>,
    /// When it left the lists.
    pub archived_at: Option<Instant>,
}

/// Every account, by organization and code.
pub fn accounts(conn: &mut Conn) -> Result<Vec<Account>> {
    let named = v::table
        .filter(v::to_seq.eq(OPEN))
        .filter(v::kind.eq("organization"));
    let named: Vec<(TenantId, String)> = named.select((v::tenant_id, v::name)).load(conn)?;
    let named: BTreeMap<TenantId, String> = named.into_iter().collect();
    let current = v::tenant_id
        .eq(u::tenant_id)
        .and(v::id.eq(u::id))
        .and(v::version.eq(u::version));
    let credentials = cr::table.on(cr::tenant_id.eq(u::tenant_id).and(cr::user_id.eq(u::id)));
    let all = u::table
        .inner_join(v::table.on(current))
        .inner_join(credentials);
    type Row = (
        (TenantId, Id, i64, String),
        (String, String),
        bool,
        (Option<Instant>, Option<Instant>),
    );
    let all = all
        .filter(v::to_seq.eq(OPEN))
        .order((v::tenant_id, v::number))
        .select((
            (v::tenant_id, v::id, v::number, v::name),
            (u::email, u::roles),
            cr::password_hash.is_not_null(),
            (u::disabled_at, v::archived_at),
        ));
    let account = |row: Row| {
        let ((tenant, user_id, number, name), (email, roles), has_password, ends) = row;
        Account {
            organization: named.get(&tenant).cloned().unwrap_or_default(),
            organization_id: tenant.record(),
            code: format!("USR-{number}"),
            user_id,
            name,
            email,
            roles: roles
                .split(',')
                .filter(|role| !role.is_empty())
                .map(str::to_owned)
                .collect(),
            has_password,
            disabled_at: ends.0,
            archived_at: ends.1,
        }
    };
    Ok(all.load::<Row>(conn)?.into_iter().map(account).collect())
}

/// Every account of an organization, given by its id or its name; of all without one.
pub async fn list(house: &House, organization: Option<&str>) -> Result<Vec<Account>> {
    let all = house.look(accounts).await?;
    match organization {
        None => Ok(all),
        Some(named) => of_organization(all, named),
    }
}

fn of_organization(all: Vec<Account>, named: &str) -> Result<Vec<Account>> {
    let fits = |account: &Account| match Id::parse(named) {
        Some(id) => account.organization_id == id,
        None => folded(&account.organization) == folded(named),
    };
    let found: Vec<Account> = all.into_iter().filter(fits).collect();
    let mut ids: Vec<String> = found
        .iter()
        .map(|one| one.organization_id.to_string())
        .collect();
    ids.dedup();
    let none = || {
        Problem::new(
            Code::NotFound,
            format!("unknown organization `{named}`; `isms admin list` shows all"),
        )
    };
    match ids.as_slice() {
        [] => Err(none()),
        [_] => Ok(found),
        several => Err(Problem::new(
            Code::Conflict,
            format!(
                "several organizations are called `{named}`; use the id of one: {}",
                several.join(", ")
            ),
        )),
    }
}

/// The account with this address; of several, the one that is not archived.
async fn account(house: &House, organization: &str, email: &str) -> Result<Account> {
    let mut same = list(house, Some(organization)).await?;
    same.retain(|account| folded(&account.email) == folded(email));
    same.sort_by_key(|account| (account.archived_at.is_none(), account.archived_at));
    let none = || {
        let detail = format!(
            "no account of this organization has the address `{email}`; `isms admin list` shows all"
        );
        Problem::new(Code::NotFound, detail)
    };
    same.pop().ok_or_else(none)
}

/// Sets the password of an account; all its sessions end.
pub async fn set_password(
    house: &House,
    (organization, email): (&str, &str),
    secret: String,
) -> Result<Account> {
    let found = account(house, organization, email).await?;
    password::acceptable("/password", &secret, &[&found.email, &found.organization])?;
    let hash = house.logins().passwords().hash(secret).await?;
    let (tenant, user) = (TenantId(found.organization_id.0), found.user_id);
    let work = move |tx: &mut crate::records::Tx<'_, crate::service::house::Founding>| {
        let record = tx.load_any::<User>(&Selector::Id(user), &IfMatch::any(), true)?;
        let now = tx.now();
        credential::set_by_system(tx.conn(), (tenant, user), &hash, now)?;
        Ok(tx.save(&record, record.clone(), "set_password")?.map(drop))
    };
    house.administer(tenant, work).await?;
    account(house, organization, email).await
}

/// Gives an account a role, and lets it in again where it was disabled or archived.
pub async fn grant(
    house: &House,
    (organization, email): (&str, &str),
    role: Role,
) -> Result<Account> {
    let found = account(house, organization, email).await?;
    let (tenant, user) = (TenantId(found.organization_id.0), found.user_id);
    let work = move |tx: &mut crate::records::Tx<'_, crate::service::house::Founding>| {
        let record = tx.load_any::<User>(&Selector::Id(user), &IfMatch::any(), true)?;
        let record = match record.spine.archived_at {
            Some(_) => tx.restore(record)?.get().clone(),
            None => record,
        };
        let mut next = record.clone();
        if !next.own.roles.contains(&role) {
            next.own.roles.push(role);
        }
        next.own.disabled_at = None;
        let saved = tx.save(&record, next, "grant")?;
        let now = tx.now();
        if entries::entry(tx.conn(), tenant, user, now)?.is_none() {
            let detail = "the person behind this account has left; grant the role to another \
                account";
            return Err(Problem::new(Code::Conflict, detail));
        }
        Ok(saved.map(drop))
    };
    house.administer(tenant, work).await?;
    account(house, organization, email).await
}
