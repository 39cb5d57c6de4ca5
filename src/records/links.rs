//! Links between records: rows of one table with foreign keys both ways, each valid from one ledger
//! entry to another; shown in bodies as `…_ids` arrays, and as `…_id` where there is at most one.
use super::{Kind, Relation, Selector, sight};
use crate::access::{Caller, policy::PERSON};
use crate::core::{Code, Id, Invalid, Problem, Result, TenantId};
use crate::db::dialect::{NOW, OPEN};
use crate::db::ending::{Turn, Which};
use crate::db::walk::{self, Walk};
use crate::db::{
    Conn, schema::links as l, schema::records as r, schema::requirement_links as rl,
    schema::versions as v,
};
use diesel::dsl::not;
use diesel::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};

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
                faults.push(Invalid::body(pointer, "required", "is required"))
            }
            Some(texts) => drop(found.insert(relation.member, texts)),
            None if relation.many() => faults.push(Invalid::body(
                pointer,
                "invalid",
                "must be an array of at most 1,000 ids or codes",
            )),
            None => faults.push(Invalid::body(pointer, "invalid", "must be an id or a code")),
        }
    }
    found
}

/// What was looked up of references: the records that texts name, by the kind that is meant, and
/// the people who have left, by the number in their code (none for those who have not).
#[derive(Debug, Default)]
pub struct Found {
    named: HashMap<&'static str, HashMap<String, Id>>,
    left: HashMap<Id, Option<i64>>,
}

impl Found {
    /// Looks up what is not known yet. What was linked before is not asked for: it may stay linked
    /// though it was archived since.
    pub fn look(
        &mut self,
        conn: &mut Conn,
        caller: &Caller,
        wanted: &[(&'static Relation, String)],
        today: chrono::NaiveDate,
    ) -> Result<()> {
        let mut texts: BTreeMap<&'static str, BTreeSet<&String>> = BTreeMap::new();
        for (relation, text) in wanted {
            if self.one(relation, text).is_none() {
                texts.entry(relation.to).or_default().insert(text);
            }
        }
        for (to, texts) in texts {
            let texts: Vec<String> = texts.into_iter().cloned().collect();
            for some in texts.chunks(500) {
                let found = known(conn, caller, to, some)?.into_iter();
                self.named
                    .entry(to)
                    .or_default()
                    .extend(found.map(|(text, id)| (text.to_owned(), id)));
            }
        }
        let people: BTreeSet<Id> = wanted
            .iter()
            .filter(|(relation, _)| relation.to == PERSON)
            .filter_map(|(relation, text)| self.one(relation, text))
            .filter(|id| !self.left.contains_key(id))
            .collect();
        for some in people.into_iter().collect::<Vec<_>>().chunks(500) {
            self.left.extend(some.iter().map(|id| (*id, None)));
            let left = super::accounts::left(conn, caller.tenant, some, today)?;
            self.left
                .extend(left.into_iter().map(|(id, number)| (id, Some(number))));
        }
        Ok(())
    }
    fn one(&self, relation: &Relation, text: &str) -> Option<Id> {
        self.named.get(relation.to)?.get(text).copied()
    }
    /// What has to be looked up for a body.
    pub fn missing(
        &self,
        kind: &Kind,
        wanted: &References,
        before: &Links,
    ) -> Vec<(&'static Relation, String)> {
        let mut missing = Vec::new();
        for relation in kind.all_relations() {
            let old = before.many(relation.member);
            let stays = |text: &String| Id::parse(text).is_some_and(|id| old.contains(&id));
            let texts = wanted.get(relation.member).into_iter().flatten();
            missing.extend(
                texts
                    .filter(|text| !stays(text) && self.one(relation, text).is_none())
                    .map(|text| (relation, text.clone())),
            );
        }
        missing
    }
    /// The links of a body: 422 with a place for each reference that is not a live record of the
    /// right kind. Nothing more is given to a person whose last day has passed.
    pub fn links(&self, kind: &Kind, wanted: &References, before: &Links) -> Result<Links> {
        let (mut links, mut faults) = (Links::default(), Vec::new());
        for relation in kind.all_relations() {
            let (texts, old) = (wanted.get(relation.member), before.many(relation.member));
            let Some(texts) = texts.filter(|texts| !texts.is_empty()) else {
                continue;
            };
            let mut ids = Vec::with_capacity(texts.len());
            for (n, text) in texts.iter().enumerate() {
                let stays = || Id::parse(text).filter(|id| old.contains(id));
                match self.one(relation, text).or_else(stays) {
                    Some(id) => ids.push(id),
                    None => {
                        let what = if relation.to.is_empty() {
                            "record"
                        } else {
                            relation.to
                        };
                        faults.push(Invalid::body(
                            place(relation, n),
                            "unknown_reference",
                            format!("unknown {what}"),
                        ));
                    }
                }
            }
            if relation.to == PERSON {
                faults.extend(self.given_to_who_left(relation, &ids, old));
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
    fn given_to_who_left(&self, relation: &Relation, ids: &[Id], before: &[Id]) -> Vec<Invalid> {
        let code = super::kind::prefix_of(relation.to);
        let fault = |(n, id): (usize, &Id)| {
            let number = self.left.get(id).copied().flatten()?;
            let first = ids.iter().position(|known| known == id) == Some(n);
            (first && !before.contains(id)).then(|| {
                Invalid::body(
                    place(relation, n),
                    "person_left",
                    format!("{code}-{number} has left; choose another person"),
                )
            })
        };
        ids.iter().enumerate().filter_map(fault).collect()
    }
}

/// Where a reference stands in a body.
fn place(relation: &Relation, n: usize) -> String {
    if relation.many() {
        format!("/{}/{n}", relation.member)
    } else {
        format!("/{}", relation.member)
    }
}

/// What a relation to any kind does not name.
fn accounts() -> Vec<&'static str> {
    let all = super::kind::all().iter();
    all.filter(|kind| kind.account)
        .map(|kind| kind.name)
        .collect()
}

/// Which of these texts name live records of a kind (of any when that is empty) that the caller
/// sees.
fn known<'t>(
    conn: &mut Conn,
    caller: &Caller,
    kind: &'static str,
    texts: &'t [String],
) -> Result<BTreeMap<&'t str, Id>> {
    let named: Vec<(&str, Selector)> = texts
        .iter()
        .filter_map(|text| Some((text.as_str(), Selector::parse(text, kind)?)))
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
    let kinds: Vec<&'static str> = match kind {
        // Accounts and keys are no subjects, and who does not read them does not learn that they
        // are there.
        "" => super::kind::all()
            .iter()
            .filter(|kind| !kind.account)
            .map(|kind| kind.name)
            .collect(),
        to => vec![to],
    };
    live = match kind {
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

impl Links {
    /// What begins and what ends where a record that was linked as before comes to be linked so.
    pub fn since(&self, before: &Links) -> (Vec<Which>, Vec<Which>) {
        let (old, new) = (before.pairs(), self.pairs());
        let which = |(member, to): &(&'static str, Id)| Which::Link(member, *to);
        (
            new.difference(&old).map(which).collect(),
            old.difference(&new).map(which).collect(),
        )
    }
}

/// The same of requirements.
pub fn cited_since(now: &[String], before: &[String]) -> (Vec<Which>, Vec<Which>) {
    let (old, new): (BTreeSet<_>, BTreeSet<_>) = (before.iter().collect(), now.iter().collect());
    let which = |text: &&String| Which::Requirement((*text).clone());
    (
        new.difference(&old).map(which).collect(),
        old.difference(&new).map(which).collect(),
    )
}

/// Adds rows of links and of requirements.
pub fn insert(conn: &mut Conn, tenant: TenantId, rows: &[Turn]) -> QueryResult<()> {
    let link = |row: &Turn| match &row.which {
        Which::Link(member, to) => Some((
            l::tenant_id.eq(tenant),
            l::from_id.eq(row.id),
            l::relation.eq(*member),
            l::to_id.eq(*to),
            l::from_seq.eq(row.seq),
            l::to_seq.eq(OPEN),
        )),
        _ => None,
    };
    let cited = |row: &Turn| match &row.which {
        Which::Requirement(requirement) => Some((
            rl::tenant_id.eq(tenant),
            rl::from_id.eq(row.id),
            rl::requirement.eq(requirement.clone()),
            rl::from_seq.eq(row.seq),
            rl::to_seq.eq(OPEN),
        )),
        _ => None,
    };
    for some in rows.iter().filter_map(link).collect::<Vec<_>>().chunks(500) {
        crate::each!(conn, |c| diesel::insert_into(l::table)
            .values(some)
            .execute(c))?;
    }
    for some in rows
        .iter()
        .filter_map(cited)
        .collect::<Vec<_>>()
        .chunks(500)
    {
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
                "more than {} links are connected with these; add fewer",
                walk::MOST
            ),
        );
    }
    match walk::longest(&above, &[from]) + 1 + walk::longest(&below, new) {
        depth if depth <= DEPTH => Ok(()),
        depth => fault(
            "depth",
            format!("a chain may have at most {DEPTH} links, and this would make one of {depth}"),
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
                (true, _) => {
                    "Other records refer to this one; `needed_by` names them. Remove these links \
                        first."
                }
                (false, true) => "Records that you cannot see refer to this one.",
                (false, false) => {
                    "Other records refer to this one; you cannot see some of them. `needed_by` \
                        names the others."
                }
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
