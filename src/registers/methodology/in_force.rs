//! Which risk methodology scores which risks (ISO/IEC 27001:2022 6.1.2): at most one is in force
//! for the whole organization, and at most one for each scope that it names. A scope's own comes
//! first; risks without a scope have the organization's.
use crate::core::{Code, Id, Invalid, Problem, Result};
use crate::db::dialect::{at, same_version};
use crate::db::schema::{
    ledger_entries as e, links as l, risk_methodologies as m, risks as r, versions as v,
};
use crate::http::HasComment;
use crate::records::history::Entry;
use crate::records::model::{Changed, Model};
use crate::records::{Covers, Kind, Reader, Record, Resource, Selector, Tx, Writing};
use crate::registers::facts::Seen;
use crate::registers::methodology::RiskMethodology;
use crate::registers::risk::Risk;
use diesel::prelude::*;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;
use validator::Validate;

/// The revisions in force at a moment, in the order of their codes.
#[derive(Debug, Clone)]
pub struct InForce(Vec<Record<RiskMethodology>>);

/// The same as a model: it changes with methodologies alone.
#[derive(Clone, Default)]
struct Known(Option<InForce>);
impl Model for Known {
    type Want = ();
    fn concerns(kind: &Kind) -> bool {
        kind.name == RiskMethodology::KIND.name
    }
    fn has(&self, (): ()) -> bool {
        self.0.is_some()
    }
    fn bring(&mut self, reader: &mut Reader<'_>, (): (), _: &[Changed]) -> Result<()> {
        self.0 = Some(InForce::load(reader)?);
        Ok(())
    }
    fn rows(&self) -> usize {
        // Each is as large as some rows of other models.
        self.0.as_ref().map_or(0, |all| 50 * all.0.len())
    }
}

impl InForce {
    /// At the reader's moment.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let known = reader.model::<Known>(())?;
        Ok(known.0.clone().unwrap_or(InForce(vec![])))
    }
    /// Found by the records (there are few), never by walking the ledger.
    fn load(reader: &mut Reader<'_>) -> Result<Self> {
        let (tenant, seq) = (reader.tenant(), reader.moment.seq);
        let kind = RiskMethodology::KIND.name;
        let there = v::tenant_id
            .eq(tenant)
            .and(v::kind.eq(kind))
            .and(v::archived_at.is_null());
        let standing: Vec<Id> = m::table
            .inner_join(same_version!(v, m))
            .filter(there)
            .filter(at(seq))
            .filter(m::revision_in_force.is_not_null())
            .select(v::id)
            .order(v::number)
            .load(reader.conn())?;
        let own = e::tenant_id.eq(tenant).and(e::kind.eq(kind));
        let approved = e::table
            .filter(own.and(e::record_id.eq_any(&standing)))
            .filter(e::action.eq("approve"));
        let all: Vec<Entry> = approved.select(Entry::as_select()).load(reader.conn())?;
        let newest = |id: Id| {
            let of_it = all
                .iter()
                .filter(|entry| entry.record_id == id && entry.seq <= seq);
            let entry = of_it.max_by_key(|entry| entry.seq);
            entry.map(Entry::record).transpose()
        };
        let found: Vec<_> = standing.into_iter().map(newest).collect::<Result<_>>()?;
        Ok(InForce(found.into_iter().flatten().collect()))
    }
    /// Those that this caller sees, for what is shown; what scores a risk is looked for among all.
    pub fn seen(reader: &mut Reader<'_>) -> Result<Self> {
        let InForce(mut all) = InForce::read(reader)?;
        let seen = Seen::of(reader, RiskMethodology::KIND.name)?;
        all.retain(|one| seen.has(one.spine.id));
        Ok(InForce(all))
    }
    /// Is this one among them?
    pub fn has(&self, id: Id) -> bool {
        self.0.iter().any(|one| one.spine.id == id)
    }
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Record<RiskMethodology>> {
        self.0.iter()
    }
    /// That of the whole organization.
    pub fn whole(&self) -> Option<&Record<RiskMethodology>> {
        self.0.iter().find(|one| named(one).is_empty())
    }
    /// That of a record in these scopes: their own (where they have several, that of the lowest
    /// code), else the organization's.
    pub fn of(&self, scopes: &[Id]) -> Option<&Record<RiskMethodology>> {
        let own = |one: &&Record<_>| named(one).iter().any(|scope| scopes.contains(scope));
        self.0.iter().find(own).or_else(|| self.whole())
    }
    /// Does any scope have one of its own?
    pub fn divided(&self) -> bool {
        self.0.iter().any(|one| !named(one).is_empty())
    }
    /// The levels that risks of a scope and of the whole organization can have, or all; with no
    /// risk yet.
    pub fn levels(&self, scope: Option<Id>) -> BTreeMap<String, i64> {
        let here: Vec<&Record<RiskMethodology>> = match scope {
            Some(scope) => self.of(&[scope]).into_iter().chain(self.whole()).collect(),
            None => self.all().collect(),
        };
        here.into_iter()
            .flat_map(|method| &method.own.levels)
            .map(|level| (level.slug.clone(), 0))
            .collect()
    }
    /// Those that are in force where this one would be.
    fn rivals(&self, of: &Record<RiskMethodology>) -> Vec<&Record<RiskMethodology>> {
        let mine = named(of);
        let same = |one: &&Record<RiskMethodology>| {
            let theirs = named(one);
            one.spine.id != of.spine.id
                && (mine.is_empty() && theirs.is_empty()
                    || mine.iter().any(|scope| theirs.contains(scope)))
        };
        self.0.iter().filter(same).collect()
    }
    fn without(mut self, id: Id) -> Self {
        self.0.retain(|one| one.spine.id != id);
        self
    }
    fn with(mut self, one: Record<RiskMethodology>) -> Self {
        self.0.push(one);
        self
    }
}

/// The scopes that a methodology names.
fn named(of: &Record<RiskMethodology>) -> &[Id] {
    of.links.many("scope_ids")
}

/// The methodology that scores this risk; 409 where none is in force for it.
pub fn of_risk(reader: &mut Reader<'_>, risk: &Record<Risk>) -> Result<Record<RiskMethodology>> {
    InForce::read(reader)?
        .of(risk.links.many("scope_ids"))
        .cloned()
        .ok_or_else(none)
}
/// 409: nothing to score with.
pub fn none() -> Problem {
    Problem::new(
        Code::IllegalTransition,
        "No risk methodology is in force for this risk; approve one first.",
    )
}

/// The scopes of every record of a kind that has some.
pub fn scopes_of(reader: &mut Reader<'_>, kind: &'static str) -> Result<BTreeMap<Id, Vec<Id>>> {
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    let own = l::tenant_id.eq(tenant).and(l::relation.eq("scope_ids"));
    let pairs: Vec<(Id, Id)> = l::table
        .inner_join(v::table.on(v::tenant_id.eq(l::tenant_id).and(v::id.eq(l::from_id))))
        .filter(own.and(l::from_seq.le(seq)).and(l::to_seq.gt(seq)))
        .filter(v::kind.eq(kind))
        .filter(at(seq))
        .select((l::from_id, l::to_id))
        .load(reader.conn())?;
    let mut all: BTreeMap<Id, Vec<Id>> = BTreeMap::new();
    for (from, to) in pairs {
        all.entry(from).or_default().push(to);
    }
    Ok(all)
}

/// The open risks with a score that none of these methodologies would score again.
fn uncovered(reader: &mut Reader<'_>, by: &InForce) -> Result<BTreeSet<Id>> {
    if by.whole().is_some() {
        return Ok(BTreeSet::new());
    }
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    let kind = Risk::KIND.name;
    let there = v::tenant_id
        .eq(tenant)
        .and(v::kind.eq(kind))
        .and(v::archived_at.is_null());
    let scored = r::current_level
        .is_not_null()
        .or(r::inherent_level.is_not_null());
    let scored: Vec<Id> = r::table
        .inner_join(same_version!(v, r))
        .filter(there)
        .filter(at(seq))
        .filter(v::status.eq("open").and(scored))
        .select(v::id)
        .load(reader.conn())?;
    let scopes = scopes_of(reader, Risk::KIND.name)?;
    let of = |id: &Id| scopes.get(id).map(Vec::as_slice).unwrap_or_default();
    let covered = |id: &Id| by.of(of(id)).is_some();
    Ok(scored.into_iter().filter(|id| !covered(id)).collect())
}

/// 409 where assessed risks would be left without a methodology.
fn still_covered(tx: &mut Writing<'_>, before: &InForce, after: &InForce) -> Result<()> {
    let mut reader = tx.reader();
    let already = uncovered(&mut reader, before)?;
    let left: Vec<Id> = uncovered(&mut reader, after)?
        .difference(&already)
        .copied()
        .collect();
    if left.is_empty() {
        return Ok(());
    }
    let shown = reader.refs(left.get(..10).unwrap_or(&left))?;
    let risks = match left.len() {
        1 => "1 assessed risk".to_owned(),
        many => format!("{many} assessed risks"),
    };
    let detail = format!(
        "{risks} would be left without a methodology. Approve another one for them that names this \
            one in `replaces`."
    );
    Err(Problem::new(Code::InUse, detail).needed_by(shown.into_iter().map(|(_, found)| found.code)))
}

/// What is said with the approval of a methodology.
#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MethodologyApproval, example = json!({"comment": "As decided in the ISMS meeting.",
    "replaces": "MET-1"}))]
pub struct Approval {
    /// Why; it stands in the history.
    #[schema(max_length = 2000)]
    pub comment: Option<String>,
    /// The methodology that is in force for the same scopes, or for the whole organization: its id
    /// or its code. It is retired in the same step.
    #[schema(min_length = 1, max_length = 64)]
    pub replaces: Option<String>,
}
impl HasComment for Approval {
    const OPTIONAL: bool = true;
    fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }
}

/// Makes room for a methodology that is about to be in force: retires the one that it replaces.
pub fn replace<P: Covers<RiskMethodology>>(
    tx: &mut Tx<'_, P>,
    new: &Record<RiskMethodology>,
    replaces: Option<&str>,
) -> Result<()> {
    let before = InForce::read(&mut tx.reader())?;
    let rivals = before.rivals(new);
    let mut rest: Vec<&str> = rivals.iter().map(|one| one.spine.code.as_str()).collect();
    let replaced = replaces.map(|text| chosen(&rivals, text)).transpose()?;
    if let Some(replaced) = replaced {
        rest.retain(|code| *code != replaced.spine.code);
    }
    if let Some(first) = rest.first() {
        let all = rest.join(", ");
        let place = match named(new) {
            [] => "the whole organization",
            _ => "the same scope",
        };
        let detail = match replaced {
            None if rest.len() == 1 => {
                format!(
                    "{first} is in force for {place}. Send `\"replaces\": \"{first}\"` to retire \
                        it in the same step."
                )
            }
            _ => format!(
                "{all} are in force for {place}. One approval replaces one methodology: retire \
                    the others first."
            ),
        };
        let words = format!("{all}: in force for {place}");
        let missing = Invalid::body("/replaces", "required", words);
        return Err(Problem::new(Code::Conflict, detail)
            .listing(vec![missing])
            .needed_by(rest.iter().map(|code| (*code).to_owned())));
    }
    let replaced = replaced.map(|one| one.spine.id);
    let mut after = before.clone().without(new.spine.id).with(new.clone());
    if let Some(id) = replaced {
        after = after.without(id);
    }
    still_covered(tx, &before, &after)?;
    if let Some(id) = replaced {
        let stored = tx
            .reader()
            .load::<RiskMethodology>(&Selector::Id(id), false)?;
        let mut gone = stored.clone();
        gone.spine.status = "retired".to_owned();
        out_of_force(&mut gone);
        let _retired = tx.save(&stored, gone, "retire")?;
    }
    Ok(())
}

/// The methodology that `replaces` names, among those that are in the way.
fn chosen<'a>(
    rivals: &[&'a Record<RiskMethodology>],
    text: &str,
) -> Result<&'a Record<RiskMethodology>> {
    let fits = |one: &&&Record<RiskMethodology>| match Selector::parse(text, &RiskMethodology::KIND)
    {
        Some(Selector::Id(id)) => one.spine.id == id,
        Some(Selector::Number(_, number)) => one.spine.number == number,
        None => false,
    };
    let none = || {
        Problem::invalid_one(
            "/replaces",
            "not_in_force",
            "name a methodology that is in force for the same scopes",
        )
    };
    rivals.iter().find(fits).copied().ok_or_else(none)
}

/// Takes a methodology out of force; 409 where assessed risks need it.
pub fn retire(tx: &mut Writing<'_>, record: &mut Record<RiskMethodology>) -> Result<()> {
    let before = InForce::read(&mut tx.reader())?;
    let after = before.clone().without(record.spine.id);
    still_covered(tx, &before, &after)?;
    out_of_force(record);
    Ok(())
}
fn out_of_force(record: &mut Record<RiskMethodology>) {
    (record.state.revision_in_force, record.state.submitted_by) = (None, None);
}
