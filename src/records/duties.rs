//! Segregation of duties (ISO/IEC 27001:2022 A.5.3): whoever asked for something, wrote it or did
//! it does not decide on it. Persons are compared, not credentials: all accounts and keys of a
//! person are that person, and so are the persons between whom an account was moved since then.
use super::Writing;
use crate::access::policy::{API_KEY, USER};
use crate::access::{Actor, ActorKind};
use crate::core::{Code, Id, Problem, Result, TenantId};
use crate::db::Conn;
use crate::db::among::among;
use crate::db::schema::{ledger_entries as e, links as l, records as r};
use diesel::prelude::*;
use std::collections::BTreeSet;

/// What somebody did before: the last entry of that action on that record.
#[derive(Debug, Clone, Copy)]
pub struct Deed<'a> {
    /// Who.
    pub by: &'a Actor,
    /// With which record.
    pub record: Id,
    /// What, as the ledger names it.
    pub action: &'a str,
    /// The same in words: `submitted it`.
    pub what: &'a str,
}

/// The entries that write a secret of a key.
const ISSUES: [&str; 2] = ["create", "rotate"];
/// The entry of a password that was set with a setup token.
const SET: &str = "set_password";
/// The entries that say who could come into an account: two that give a token to whoever asked, and
/// its use.
const OPENINGS: [&str; 3] = ["create", "reset_password", SET];
/// The entries that change what a draft says.
const EDITS: [&str; 2] = ["create", "update"];

fn refused(why: impl Into<String>) -> Problem {
    Problem::new(Code::SegregationOfDuties, why)
}

impl Writing<'_> {
    /// The person who acts; 403 for a service key and for an account without a person: they submit,
    /// sign, approve and verify nothing.
    pub fn person(&self) -> Result<Id> {
        let (person, account) = (self.caller().actor.person_id, self.caller().user_id);
        match person {
            None => Err(refused(
                "A service key cannot do this: use a login, or a key that belongs to a person.",
            )),
            Some(_) if person == account => Err(refused(
                "Your account is not linked to a person, so it is unknown whether you are somebody \
                    else. Ask an admin to set its `person_id`.",
            )),
            Some(person) => Ok(person),
        }
    }
    /// 403 when one of these deeds was the caller's, whatever the credential.
    pub fn another_than(&mut self, deeds: &[Deed<'_>]) -> Result<()> {
        self.person()?;
        for deed in deeds {
            let entries = e::table.filter(
                e::tenant_id
                    .eq(self.stamp.tenant)
                    .and(e::record_id.eq(deed.record)),
            );
            let entries = entries.filter(e::actor_id.eq(deed.by.id).and(e::action.eq(deed.action)));
            let since: Option<i64> = entries
                .select(diesel::dsl::max(e::seq))
                .get_result(self.look())?;
            self.none_of(
                [deed.by.id].into_iter().chain(deed.by.person_id),
                since.unwrap_or(-1),
                deed.what,
            )?;
        }
        Ok(())
    }
    /// 403 when the caller wrote a part of the draft: the record as it changed since its last
    /// approval.
    pub fn another_than_editors(&mut self, record: Id) -> Result<()> {
        self.another_than_editors_since(record, "approve", "edited this draft")
    }
    /// The same of a record as it changed since the last entry of this action.
    pub fn another_than_editors_since(
        &mut self,
        record: Id,
        action: &str,
        what: &str,
    ) -> Result<()> {
        self.person()?;
        let tenant = self.stamp.tenant;
        let entries = || e::table.filter(e::tenant_id.eq(tenant).and(e::record_id.eq(record)));
        let before: Option<i64> = entries()
            .filter(e::action.eq(action))
            .select(diesel::dsl::max(e::seq))
            .get_result(self.look())?;
        let edits = entries()
            .filter(e::seq.gt(before.unwrap_or(-1)))
            .filter(e::action.eq_any(EDITS))
            .order(e::seq);
        let edits: Vec<(i64, Id, Option<Id>)> = edits
            .select((e::seq, e::actor_id, e::person_id))
            .load(self.look())?;
        let Some((first, ..)) = edits.first().copied() else {
            return Ok(());
        };
        let writers: BTreeSet<Id> = edits
            .into_iter()
            .flat_map(|(_, account, person)| [account].into_iter().chain(person))
            .collect();
        self.none_of(writers, first, what)
    }
    /// 403 when the caller is one of these accounts or persons, or holds a credential that one of
    /// them issued. Persons are the same when an account was moved between them after the position
    /// `since`.
    pub fn none_of(
        &mut self,
        of: impl IntoIterator<Item = Id>,
        since: i64,
        what: &str,
    ) -> Result<()> {
        let (tenant, caller) = (self.stamp.tenant, self.caller());
        let issued = issued(self.look(), tenant)?;
        let circle = circle(
            self.look(),
            tenant,
            of.into_iter().collect(),
            since,
            &issued,
        )?;
        let me = [
            Some(caller.actor.id),
            caller.actor.person_id,
            caller.user_id,
        ];
        if me.iter().flatten().any(|id| circle.contains(id)) {
            return Err(refused(format!(
                "You {what}, with this or another account or key of yours. Another person has to \
                    do this."
            )));
        }
        let mine = |(key, by): &(Id, Id)| *key == caller.actor.id && circle.contains(by);
        if caller.actor.kind == ActorKind::ApiKey && issued.iter().any(mine) {
            return Err(refused(format!(
                "Your key was issued by the person who {what}. Use a key that you created yourself."
            )));
        }
        let Some(account) = caller.user_id else {
            return Ok(());
        };
        match opened(self.look(), tenant, account, (&circle, &issued), since)? {
            true => {
                let why = "created your account or reset your password, and your password was set \
                    afterwards";
                Err(refused(format!(
                    "The person who {what} also {why}. Another person has to do this."
                )))
            }
            false => Ok(()),
        }
    }
}

/// Did one of these open the account after a position: make it, or reset its password? Or was a
/// password set after it with a token that one of them had, whenever they got it?
fn opened(
    conn: &mut Conn,
    tenant: TenantId,
    account: Id,
    (circle, issued): (&BTreeSet<Id>, &[(Id, Id)]),
    since: i64,
) -> Result<bool> {
    let mine = e::table.filter(
        e::tenant_id
            .eq(tenant)
            .and(e::record_id.eq(account))
            .and(e::kind.eq(USER)),
    );
    let steps: Vec<(i64, String, Id)> = mine
        .filter(e::action.eq_any(OPENINGS))
        .order(e::seq)
        .select((e::seq, e::action, e::actor_id))
        .load(conn)?;
    // A key that one of them made does what they want.
    let theirs = |by: &Id| {
        circle.contains(by)
            || issued
                .iter()
                .any(|(key, issuer)| key == by && circle.contains(issuer))
    };
    let mut holds_token = false;
    for (seq, action, by) in &steps {
        let token = action != SET;
        holds_token = if token { theirs(by) } else { holds_token };
        if holds_token && *seq > since {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Every key with each account that wrote a secret of it.
fn issued(conn: &mut Conn, tenant: TenantId) -> Result<Vec<(Id, Id)>> {
    let keys = e::table.filter(
        e::tenant_id
            .eq(tenant)
            .and(e::kind.eq(API_KEY))
            .and(e::action.eq_any(ISSUES)),
    );
    Ok(keys
        .filter(e::actor_kind.ne(ActorKind::System))
        .select((e::record_id, e::actor_id))
        .load(conn)?)
}

/// Whoever is the same as one of these: their accounts, persons and keys; and for a service key,
/// who issued it.
fn circle(
    conn: &mut Conn,
    tenant: TenantId,
    mut all: BTreeSet<Id>,
    since: i64,
    issued: &[(Id, Id)],
) -> Result<BTreeSet<Id>> {
    // A key never changes its user: that it had one at any time is enough.
    let keys = linked(conn, tenant, API_KEY, "user_id", -1)?;
    let moved = linked(conn, tenant, USER, "person_id", since)?;
    loop {
        let before = all.len();
        for (a, b) in keys.iter().chain(&moved) {
            if all.contains(a) || all.contains(b) {
                all.extend([*a, *b]);
            }
        }
        let service = |key: &Id| !keys.iter().any(|(of_a_user, _)| of_a_user == key);
        let issuers: Vec<Id> = issued
            .iter()
            .filter(|(key, _)| all.contains(key) && service(key))
            .map(|(_, by)| *by)
            .collect();
        all.extend(issuers);
        if all.len() == before {
            return Ok(all);
        }
    }
}

/// The links of a relation that stood after a position: (from, to).
fn linked(
    conn: &mut Conn,
    tenant: TenantId,
    kind: &str,
    relation: &str,
    since: i64,
) -> Result<Vec<(Id, Id)>> {
    let ids: Vec<Id> = r::table
        .filter(r::tenant_id.eq(tenant).and(r::kind.eq(kind)))
        .select(r::id)
        .load(conn)?;
    let mut all = Vec::new();
    for some in ids.chunks(500) {
        let links = l::table.filter(
            l::tenant_id
                .eq(tenant)
                .and(among(l::from_id, some))
                .and(l::relation.eq(relation)),
        );
        all.extend(
            links
                .filter(l::to_seq.gt(since))
                .select((l::from_id, l::to_id))
                .load::<(Id, Id)>(conn)?,
        );
    }
    Ok(all)
}

/// Has this account, or a key of it, written anything?
pub fn has_acted(conn: &mut Conn, tenant: TenantId, account: Id) -> Result<bool> {
    let keys = l::table
        .filter(
            l::tenant_id
                .eq(tenant)
                .and(l::to_id.eq(account))
                .and(l::relation.eq("user_id")),
        )
        .select(l::from_id);
    let mut actors: Vec<Id> = keys.load(conn)?;
    actors.push(account);
    for some in actors.chunks(500) {
        let acted = e::table
            .filter(
                e::tenant_id
                    .eq(tenant)
                    .and(e::record_id.ne(account))
                    .and(among(e::actor_id, some)),
            )
            .select(e::seq);
        if acted.first::<i64>(conn).optional()?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
