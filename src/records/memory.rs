//! What is known of the database while records are written: what references name, who has an
//! external reference, how records stand. It outlives one record for callers that see everything;
//! what others see may change from one record to the next.
use super::links::{Links, References};
use super::{Kind, Kinds, Relation, Row, Selector, accounts, sight};
use crate::access::{Caller, policy::PERSON};
use crate::core::{Id, Invalid, Problem, Result};
use crate::db::dialect::{NOW, standing};
use crate::db::{Conn, schema::versions as v};
use diesel::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What is known of the database while several records are written.
#[derive(Default)]
pub(super) struct Memory {
    kept: bool,
    kind: &'static str,
    /// What references name.
    pub found: Found,
    /// Who has an external reference: its id, and the number in its code.
    pub external_refs: HashMap<String, Option<(Id, i64)>>,
    rows: HashMap<Id, Row>,
    numbers: HashMap<i64, Id>,
}

impl Memory {
    /// For writes of a kind.
    pub fn of(caller: &Caller, kinds: Kinds, kind: &'static Kind) -> Self {
        let named = kind
            .all_relations()
            .flat_map(|relation| meant(kinds, relation.to));
        let kinds: Vec<&Kind> = [kind].into_iter().chain(named).collect();
        // Of those that every record names, people may leave meanwhile.
        let named = Relation::COMMON.iter().any(|common| common.to == kind.name);
        Memory {
            kept: !named && sight::shown(caller, &kinds, NOW).is_none(),
            kind: kind.name,
            ..Memory::default()
        }
    }
    /// Is anything kept?
    pub fn keeps(&self) -> bool {
        self.kept
    }
    /// What may not outlive the question that it was looked up for goes.
    pub fn settle(&mut self) {
        if !self.kept {
            self.found = Found::default();
        }
    }
    /// Keeps a record as it stands.
    pub fn keep(&mut self, number: i64, row: Row) {
        self.numbers.insert(number, row.id);
        self.rows.insert(row.id, row);
    }
    /// A record that is kept.
    pub fn row(&self, kind: &Kind, selector: &Selector) -> Option<&Row> {
        let id = match selector {
            Selector::Id(id) => id,
            Selector::Number(_, number) => self.numbers.get(number)?,
        };
        self.rows.get(id).filter(|_| self.kind == kind.name)
    }
    /// A record was written.
    pub fn forget(&mut self, id: Id) {
        self.rows.remove(&id);
    }
    /// Who has this external reference of the kind, where that is known.
    pub fn referred(&self, kind: &Kind, reference: &str) -> Option<Option<(Id, i64)>> {
        let known = self.external_refs.get(reference).copied();
        known.filter(|_| self.kept && self.kind == kind.name)
    }
}

/// What was looked up of references: the records that texts name, by the kind that is meant, and
/// the people who have left, with their codes (none for those who have not).
#[derive(Debug, Default)]
pub struct Found {
    named: HashMap<&'static str, HashMap<String, Id>>,
    left: HashMap<Id, Option<String>>,
}

impl Found {
    /// Looks up what is not known yet. What was linked before is not asked for: it may stay linked
    /// though it was archived since.
    pub fn look(
        &mut self,
        conn: &mut Conn,
        (caller, kinds): (&Caller, Kinds),
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
                let found = known(conn, (caller, kinds), to, some)?.into_iter();
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
            let left = accounts::left(conn, caller.tenant, some, today)?;
            self.left.extend(
                left.into_iter()
                    .map(|(id, number)| (id, Some(kinds.code(PERSON, number)))),
            );
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
        let fault = |(n, id): (usize, &Id)| {
            let code = self.left.get(id)?.as_ref()?;
            let first = ids.iter().position(|known| known == id) == Some(n);
            (first && !before.contains(id)).then(|| {
                Invalid::body(
                    place(relation, n),
                    "person_left",
                    format!("{code} has left; choose another person"),
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

/// The kinds that a relation to this one may name. Accounts and keys are no subjects, and who does
/// not read them does not learn that they are there.
fn meant(kinds: Kinds, to: &str) -> impl Iterator<Item = &'static Kind> {
    let any = to.is_empty();
    let all = kinds.led_to(to).iter();
    all.filter(move |kind| !any || !kind.account)
}

/// Which of these texts name live records of a kind (of any when that is empty) that the caller
/// sees.
fn known<'t>(
    conn: &mut Conn,
    (caller, kinds): (&Caller, Kinds),
    kind: &'static str,
    texts: &'t [String],
) -> Result<BTreeMap<&'t str, Id>> {
    let named: Vec<(&str, Selector)> = texts
        .iter()
        .filter_map(|text| Some((text.as_str(), Selector::among(text, kinds.led_to(kind))?)))
        .collect();
    let (mut ids, mut numbers): (Vec<Id>, Vec<i64>) = (vec![], vec![]);
    for (_, selector) in &named {
        match selector {
            Selector::Id(id) => ids.push(*id),
            Selector::Number(_, number) => numbers.push(*number),
        }
    }
    let mut live = v::table
        .filter(v::tenant_id.eq(caller.tenant))
        .filter(standing())
        .filter(v::archived_at.is_null())
        .into_boxed();
    live = match kind {
        "" => live.filter(v::kind.ne_all(kinds.accounts())),
        to => live.filter(v::kind.eq(to)),
    };
    let meant: Vec<&Kind> = meant(kinds, kind).collect();
    if let Some(shown) = sight::shown(caller, &meant, NOW) {
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
