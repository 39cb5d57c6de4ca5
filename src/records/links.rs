//! Links between records: rows of one table with foreign keys both ways, each valid from one ledger
//! entry to another; shown in bodies as `…_ids` arrays, and as `…_id` where there is at most one.
use super::{Kind, Relation, Selector, sight};
use crate::access::{Caller, policy::PERSON};
use crate::core::{Code, Id, Invalid, Problem, Result, TenantId};
use crate::db::dialect::{NOW, OPEN};
use crate::db::walk::{self, Walk};
use crate::db::{
    Conn, schema::links as l, schema::records as r, schema::requirement_links as rl,
    schema::versions as v,
};
use diesel::dsl::not;
use diesel::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What a body says about references, before they are looked up: ids or codes, by member.
pub type References = BTreeMap<&'static str, Vec<String>>;

/// What a record refers to, by member; sorted, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links(BTreeMap<&'static str, Vec<Id>>);

impl Links {
    /// The target of a member that has at most one.
    pub fn one(&self, member: &str) -> Option<Id> {
        self.0.get(member).and_then(|ids| ids.first()).copied()
    }
    /// The targets of a member.
    pub fn many(&self, member: &str) -> &[Id] {
        self.0.get(member).map(Vec::as_slice).unwrap_or_default()
    }
    /// Sets the targets of a member.
    pub fn set(&mut self, member: &'static str, mut ids: Vec<Id>) {
        ids.sort();
        ids.dedup();
        self.0.insert(member, ids);
    }
    /// As members of a body, the empty ones too.
    pub fn shown(&self, kind: &Kind) -> Map<String, Value> {
        let value = |relation: &Relation| match relation.many() {
            true => json!(self.many(relation.member)),
            false => json!(self.one(relation.member)),
        };
        kind.all_relations()
            .map(|relation| (relation.member.to_owned(), value(relation)))
            .collect()
    }
    /// From the members of an image.
    pub fn of_image(image: Value, kind: &Kind) -> Self {
        let ids = |value: &Value| match value {
            Value::Array(items) => items
                .iter()
                .filter_map(|item| Id::parse(item.as_str()?))
                .collect(),
            one => one
                .as_str()
                .and_then(Id::parse)
                .into_iter()
                .collect::<Vec<_>>(),
        };
        let found = kind
            .all_relations()
            .filter_map(|relation| Some((relation.member, ids(image.get(relation.member)?))));
        Links(found.filter(|(_, ids)| !ids.is_empty()).collect())
    }
    fn pairs(&self) -> BTreeSet<(&'static str, Id)> {
        self.0
            .iter()
            .flat_map(|(member, ids)| ids.iter().map(move |id| (*member, *id)))
            .collect()
    }
}

/// Takes the references out of a body; what is no id and no code is a fault.
pub fn take(body: &mut Map<String, Value>, kind: &Kind, faults: &mut Vec<Invalid>) -> References {
    let mut found = References::new();
    for relation in kind.all_relations() {
        let value = body.remove(relation.member).unwrap_or(Value::Null);
        let texts = match (&value, relation.many()) {
            (Value::Null, _) => Some(vec![]),
            (Value::String(one), false) => Some(vec![one.clone()]),
            (Value::Array(items), true) if items.len() <= 1000 => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect(),
            _ => None,
        };
        let pointer = format!("/{}", relation.member);
        match texts {
            Some(texts) if texts.is_empty() && relation.required => {
                faults.push(Invalid::body(pointer, "required", "is needed"))
            }
            Some(texts) => drop(found.insert(relation.member, texts)),
            None if relation.many() => faults.push(Invalid::body(
                pointer,
                "invalid",
                "an array of up to 1,000 ids or codes is needed",
            )),
            None => faults.push(Invalid::body(
                pointer,
                "invalid",
                "an id or a code is needed",
            )),
        }
    }
    found
}

/// Looks the references up: 422 with a place for each that is not a live record of the right kind.
/// What was linked before may stay linked though it was archived since. Nothing more is given to a
/// person whose last day has passed.
pub fn resolve(
    conn: &mut Conn,
    caller: &Caller,
    kind: &Kind,
    wanted: &References,
    before: &Links,
    today: chrono::NaiveDate,
) -> Result<Links> {
    let (mut links, mut faults) = (Links::default(), Vec::new());
    for relation in kind.all_relations() {
        let Some(texts) = wanted
            .get(relation.member)
            .filter(|texts| !texts.is_empty())
        else {
            continue;
        };
        let known = known(conn, caller, relation, texts)?;
        let mut ids = Vec::with_capacity(texts.len());
        for (n, text) in texts.iter().enumerate() {
            match known
                .get(text.as_str())
                .copied()
                .or_else(|| Id::parse(text).filter(|id| before.many(relation.member).contains(id)))
            {
                Some(id) => ids.push(id),
                None => {
                    let pointer = if relation.many() {
                        format!("/{}/{n}", relation.member)
                    } else {
                        format!("/{}", relation.member)
                    };
                    let what = if relation.to.is_empty() {
                        "record"
                    } else {
                        relation.to
                    };
                    faults.push(Invalid::body(
                        pointer,
                        "unknown_reference",
                        format!("there is no such {what}"),
                    ));
                }
            }
        }
        if relation.to == PERSON {
            faults.extend(given_to_who_left(
                conn,
                caller,
                relation,
                (&ids, before.many(relation.member)),
                today,
            )?);
        }
        links.set(relation.member, ids);
    }
    if faults.is_empty() {
        Ok(links)
    } else {
        Err(Problem::invalid(faults))
    }
}

/// A fault for each person that is named anew and has left.
fn given_to_who_left(
    conn: &mut Conn,
    caller: &Caller,
    relation: &Relation,
    (ids, before): (&[Id], &[Id]),
    today: chrono::NaiveDate,
) -> Result<Vec<Invalid>> {
    let fresh: Vec<Id> = ids
        .iter()
        .filter(|id| !before.contains(id))
        .copied()
        .collect();
    if fresh.is_empty() {
        return Ok(vec![]);
    }
    let left = super::accounts::left(conn, caller.tenant, &fresh, today)?;
    let fault = |(id, number): (Id, i64)| {
        let place = ids
            .iter()
            .position(|known| *known == id)
            .unwrap_or_default();
        let pointer = if relation.many() {
            format!("/{}/{place}", relation.member)
        } else {
            format!("/{}", relation.member)
        };
        let code = super::kind::prefix_of(relation.to);
        Invalid::body(
            pointer,
            "person_left",
            format!("{code}-{number} has left; name somebody else"),
        )
    };
    Ok(left.into_iter().map(fault).collect())
}
/// What a relation to any kind does not name.
fn accounts() -> Vec<&'static str> {
    let all = super::kind::all().iter();
    all.filter(|kind| kind.account)
        .map(|kind| kind.name)
        .collect()
}

/// Which of these texts name live records of the relation's kind that the caller sees.
fn known<'t>(
    conn: &mut Conn,
    caller: &Caller,
    relation: &Relation,
    texts: &'t [String],
) -> Result<BTreeMap<&'t str, Id>> {
    let named: Vec<(&str, Selector)> = texts
        .iter()
        .filter_map(|text| Some((text.as_str(), Selector::parse(text, relation.to)?)))
        .collect();
    let ids: Vec<Id> = named
        .iter()
        .filter_map(|(_, s)| {
            if let Selector::Id(id) = s {
                Some(*id)
            } else {
                None
            }
        })
        .collect();
    let numbers: Vec<i64> = named
        .iter()
        .filter_map(|(_, s)| {
            if let Selector::Number(_, n) = s {
                Some(*n)
            } else {
                None
            }
        })
        .collect();
    let mut live = v::table
        .filter(v::tenant_id.eq(caller.tenant))
        .filter(crate::db::dialect::standing())
        .filter(v::archived_at.is_null())
        .into_boxed();
    let kinds: Vec<&'static str> = match relation.to {
        // Accounts and keys are no subjects, and who does not read them does not learn that they
        // are there.
        "" => super::kind::all()
            .iter()
            .map(|kind| kind.name)
            .filter(|kind| !accounts().contains(kind))
            .collect(),
        to => vec![to],
    };
    live = match relation.to {
        "" => live.filter(v::kind.ne_all(accounts())),
        to => live.filter(v::kind.eq(to)),
    };
    if let Some(shown) = sight::shown(caller, &kinds, NOW) {
        live = live.filter(shown);
    }
    live = match (ids.is_empty(), numbers.is_empty()) {
        (false, true) => live.filter(v::id.eq_any(ids)),
        (true, false) => live.filter(v::number.eq_any(numbers)),
        _ => live.filter(v::id.eq_any(ids).or(v::number.eq_any(numbers))),
    };
    let rows: Vec<(Id, i64, String)> = live.select((v::id, v::number, v::kind)).load(conn)?;
    let fits = |selector: &Selector, (id, number, kind): &(Id, i64, String)| match selector {
        Selector::Id(wanted) => wanted == id,
        Selector::Number(of, wanted) => wanted == number && of == kind,
    };
    Ok(named
        .iter()
        .filter_map(|(text, selector)| {
            Some((*text, rows.iter().find(|row| fits(selector, row))?.0))
        })
        .collect())
}

/// Makes the rows what the record says; what stays is not touched.
pub fn replace(
    conn: &mut Conn,
    tenant: TenantId,
    from: Id,
    before: &Links,
    now: &Links,
    seq: i64,
) -> Result<()> {
    let (old, new) = (before.pairs(), now.pairs());
    for (member, to) in old.difference(&new) {
        let row = l::table.filter(
            l::tenant_id
                .eq(tenant)
                .and(l::from_id.eq(from))
                .and(l::relation.eq(*member))
                .and(l::to_id.eq(*to)),
        );
        diesel::update(row.filter(l::to_seq.eq(OPEN)))
            .set(l::to_seq.eq(seq))
            .execute(conn)?;
    }
    let row = |(member, to): &(&'static str, Id)| {
        (
            l::tenant_id.eq(tenant),
            l::from_id.eq(from),
            l::relation.eq(*member),
            l::to_id.eq(*to),
            l::from_seq.eq(seq),
            l::to_seq.eq(OPEN),
        )
    };
    let rows: Vec<_> = new.difference(&old).map(row).collect();
    for some in rows.chunks(500) {
        crate::each!(conn, |c| diesel::insert_into(l::table)
            .values(some)
            .execute(c))?;
    }
    Ok(())
}

/// The same for requirements.
pub fn replace_requirements(
    conn: &mut Conn,
    tenant: TenantId,
    from: Id,
    before: &[String],
    now: &[String],
    seq: i64,
) -> Result<()> {
    let (old, new): (BTreeSet<_>, BTreeSet<_>) = (before.iter().collect(), now.iter().collect());
    for gone in old.difference(&new) {
        let row = rl::table.filter(
            rl::tenant_id
                .eq(tenant)
                .and(rl::from_id.eq(from))
                .and(rl::requirement.eq(*gone)),
        );
        diesel::update(row.filter(rl::to_seq.eq(OPEN)))
            .set(rl::to_seq.eq(seq))
            .execute(conn)?;
    }
    let row = |requirement: &&String| {
        let requirement = rl::requirement.eq((*requirement).clone());
        (
            rl::tenant_id.eq(tenant),
            rl::from_id.eq(from),
            requirement,
            rl::from_seq.eq(seq),
            rl::to_seq.eq(OPEN),
        )
    };
    let rows: Vec<_> = new.difference(&old).map(row).collect();
    for some in rows.chunks(500) {
        crate::each!(conn, |c| diesel::insert_into(rl::table)
            .values(some)
            .execute(c))?;
    }
    Ok(())
}

/// Links of one chain.
pub const DEPTH: usize = 100;

/// 422 when new links along a relation without circles would come back to where they began, or make
/// a chain of more than [`DEPTH`] links. Two queries, whatever the depth.
pub fn acyclic(
    conn: &mut Conn,
    tenant: TenantId,
    from: Id,
    relation: &Relation,
    new: &[Id],
) -> Result<()> {
    if new.is_empty() {
        return Ok(());
    }
    let fault = |code, words: String| {
        Err(Problem::invalid_one(
            &format!("/{}", relation.member),
            code,
            words,
        ))
    };
    let walk = |back, from| Walk {
        tenant,
        relation: relation.member,
        seq: NOW,
        back,
        from,
    };
    let below = walk(false, new).links(conn)?;
    if new.contains(&from) || below.iter().any(|(_, far)| *far == from) {
        return fault("circle", "this would make a circle".into());
    }
    let above = walk(true, &[from]).links(conn)?;
    if below.len().max(above.len()) > walk::MOST {
        return fault(
            "too_many",
            format!(
                "more than {} links hang together with these; link fewer",
                walk::MOST
            ),
        );
    }
    match walk::longest(&above, &[from]) + 1 + walk::longest(&below, new) {
        depth if depth <= DEPTH => Ok(()),
        depth => fault(
            "depth",
            format!("a chain has at most {DEPTH} links, and this would make one of {depth}"),
        ),
    }
}

/// 409 when live records still need this one, and which of those that the caller sees.
pub fn free(conn: &mut Conn, caller: &Caller, id: Id) -> Result<()> {
    let tenant = caller.tenant;
    let needing =
        v::table.inner_join(l::table.on(l::tenant_id.eq(v::tenant_id).and(l::from_id.eq(v::id))));
    let needing = needing.filter(
        v::tenant_id
            .eq(tenant)
            .and(v::to_seq.eq(OPEN))
            .and(v::archived_at.is_null()),
    );
    let needing = needing.filter(
        l::to_id
            .eq(id)
            .and(l::to_seq.eq(OPEN))
            .and(l::from_id.ne(id)),
    );
    let mut needing = needing.into_boxed();
    for kind in super::kind::all() {
        for relation in kind
            .relations
            .iter()
            .filter(|relation| !relation.frees.is_empty())
        {
            let freed = v::kind
                .eq(kind.name)
                .and(l::relation.eq(relation.member))
                .and(v::status.eq_any(relation.frees.to_vec()));
            needing = needing.filter(not(freed));
        }
    }
    let rows: Vec<(String, i64, Id)> = needing
        .select((v::kind, v::number, v::id))
        .distinct()
        .order((v::kind, v::number))
        .limit(100)
        .load(conn)?;
    match rows.is_empty() {
        true => Ok(()),
        false => {
            let readable = |kind: &&'static str| crate::access::allows(&caller.roles, kind, "read");
            let kinds: Vec<&'static str> = super::kind::all()
                .iter()
                .map(|kind| kind.name)
                .filter(readable)
                .collect();
            let ids: Option<Vec<Id>> = sight::shown(caller, &kinds, NOW)
                .map(|shown| {
                    let standing = v::table
                        .filter(v::tenant_id.eq(tenant))
                        .filter(crate::db::dialect::standing())
                        .filter(shown);
                    standing
                        .filter(v::id.eq_any(rows.iter().map(|(.., id)| *id)))
                        .select(v::id)
                        .load(conn)
                })
                .transpose()?;
            let seen = |(kind, _, id): &&(String, i64, Id)| {
                kinds.contains(&kind.as_str()) && ids.as_ref().is_none_or(|ids| ids.contains(id))
            };
            let seen: Vec<_> = rows.iter().filter(seen).collect();
            let detail = match (seen.len() == rows.len(), seen.is_empty()) {
                (true, _) => "Other records need this one.",
                (false, true) => "Records that you cannot see need this one.",
                (false, false) => "Other records need this one; some of them you cannot see.",
            };
            let codes = seen
                .into_iter()
                .map(|(kind, number, _)| format!("{}-{number}", super::kind::prefix_of(kind)));
            Err(Problem::new(Code::InUse, detail).needed_by(codes))
        }
    }
}

/// Records of this tenant that these ids name, whatever their kind: what `r` knows of them.
pub fn exist(conn: &mut Conn, tenant: TenantId, ids: &[Id]) -> QueryResult<Vec<(Id, String)>> {
    r::table
        .filter(r::tenant_id.eq(tenant).and(r::id.eq_any(ids)))
        .select((r::id, r::kind))
        .load(conn)
}
