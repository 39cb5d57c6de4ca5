//! How facts are read: each register by one statement, links and citations by one each for all.
use super::{
    Approval, ControlFact, Fact, Facts, Part, Piece, RiskFact, Scored, Stub, Table, TreatmentFact,
    WeakFact, part_of,
};
use crate::core::{Id, Instant, Problem, Result};
use crate::db::among::among;
use crate::db::dialect::at;
use crate::db::schema::{
    controls as c, evidence as ev, links as l, requirement_links as rl, risk_treatments as t,
    risks as r, versions as v, vulnerabilities as w,
};
use crate::records::{Kind, Reader};
use crate::registers::control::proof::Span;
use crate::registers::control::{Frequency, Implementation, Responsibility};
use crate::registers::evidence::outcome::EvidenceOutcome;
use crate::registers::vulnerability::severity::VulnerabilitySeverity;
use chrono::NaiveDate;
use diesel::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// Records that one statement names.
const AT_ONCE: usize = 500;

/// Which records are read: all of these registers, or these alone.
#[derive(Clone, Copy)]
enum Which<'a> {
    All(&'a [&'static str]),
    These(&'a [Id]),
}

type SpineRow = (
    Id,
    i64,
    i32,
    String,
    Option<NaiveDate>,
    Option<NaiveDate>,
    Option<Instant>,
    Instant,
    Option<i32>,
);
type SpineColumns = (
    v::id,
    v::number,
    v::version,
    v::status,
    v::due_on,
    v::review_due_on,
    v::archived_at,
    v::updated_at,
    v::rank,
);
const SPINE: SpineColumns = (
    v::id,
    v::number,
    v::version,
    v::status,
    v::due_on,
    v::review_due_on,
    v::archived_at,
    v::updated_at,
    v::rank,
);

/// The links and citations of the records that are read, taken out as each is made.
#[derive(Default)]
struct Linked {
    links: HashMap<Id, Vec<(String, Id)>>,
    cited: HashMap<Id, Vec<String>>,
    words: HashSet<Arc<str>>,
}

/// The members of which views follow the links.
const MEMBERS: [&str; 5] = [
    "scope_ids",
    "control_ids",
    "subject_ids",
    "existing_control_ids",
    "risk_id",
];

impl Linked {
    fn read(reader: &mut Reader<'_>, which: Which<'_>, cites: bool) -> Result<Self> {
        let (tenant, seq) = (reader.tenant(), reader.moment.seq);
        let mut all = Linked::default();
        let own = l::table
            .filter(l::tenant_id.eq(tenant))
            .filter(l::from_seq.le(seq).and(l::to_seq.gt(seq)));
        let columns = (l::from_id, l::relation, l::to_id);
        let links: Vec<(Id, String, Id)> = match which {
            Which::These(ids) => own
                .filter(among(l::from_id, ids))
                .select(columns)
                .load(reader.conn())?,
            Which::All(kinds) => own
                .filter(l::relation.eq_any(MEMBERS))
                .inner_join(v::table.on(v::tenant_id.eq(l::tenant_id).and(v::id.eq(l::from_id))))
                .filter(v::kind.eq_any(kinds.to_vec()))
                .filter(at(seq))
                .select(columns)
                .load(reader.conn())?,
        };
        for (from, member, to) in links {
            all.links.entry(from).or_default().push((member, to));
        }
        if !cites {
            return Ok(all);
        }
        let own = rl::table
            .filter(rl::tenant_id.eq(tenant))
            .filter(rl::from_seq.le(seq).and(rl::to_seq.gt(seq)));
        let columns = (rl::from_id, rl::requirement);
        let cited: Vec<(Id, String)> = match which {
            Which::These(ids) => own
                .filter(among(rl::from_id, ids))
                .select(columns)
                .load(reader.conn())?,
            Which::All(kinds) => own
                .inner_join(v::table.on(v::tenant_id.eq(rl::tenant_id).and(v::id.eq(rl::from_id))))
                .filter(v::kind.eq_any(kinds.to_vec()))
                .filter(at(seq))
                .select(columns)
                .load(reader.conn())?,
        };
        for (from, requirement) in cited {
            all.cited.entry(from).or_default().push(requirement);
        }
        Ok(all)
    }
    fn many(&self, id: Id, member: &str) -> Box<[Id]> {
        let links = self.links.get(&id).map(Vec::as_slice).unwrap_or_default();
        links
            .iter()
            .filter(|(of, _)| of == member)
            .map(|(_, to)| *to)
            .collect()
    }
    fn cited(&mut self, id: Id) -> Box<[String]> {
        self.cited.remove(&id).unwrap_or_default().into()
    }
    /// One text for all records that have the same.
    fn word(&mut self, word: String) -> Arc<str> {
        match self.words.get(word.as_str()) {
            Some(known) => known.clone(),
            None => {
                let word: Arc<str> = word.into();
                self.words.insert(word.clone());
                word
            }
        }
    }
    fn stub(&self, statuses: &[&'static str], row: SpineRow) -> Result<Stub> {
        let (id, number, version, status, due_on, review_due_on, archived_at, updated_at, rank) =
            row;
        let known = statuses.iter().find(|known| **known == status).copied();
        let unknown = || Problem::internal(format!("no status `{status}`"));
        Ok(Stub {
            id,
            number,
            version,
            status: known.ok_or_else(unknown)?,
            due_on,
            review_due_on,
            archived: archived_at.is_some(),
            rank,
            updated_at,
            scopes: self.many(id, "scope_ids"),
        })
    }
    fn scored(&mut self, (likelihood, impact, level): ScoreRow) -> Scored {
        let level = level.map(|level| self.word(level));
        Scored {
            likelihood,
            impact,
            level,
        }
    }
}

type ScoreRow = (Option<i32>, Option<i32>, Option<String>);

/// The rows of a register's own table with their spines.
macro_rules! rows {
    ($reader:ident, $which:ident, $kind:literal, $own:ident, $columns:expr) => {{
        let (tenant, seq) = ($reader.tenant(), $reader.moment.seq);
        let own = $own::table
            .inner_join(
                v::table.on(v::tenant_id
                    .eq($own::tenant_id)
                    .and(v::id.eq($own::id))
                    .and(v::version.eq($own::version))),
            )
            .filter(v::tenant_id.eq(tenant).and(v::kind.eq($kind)))
            .filter(at(seq));
        match $which {
            Which::All(_) => own.select((SPINE, $columns)).load($reader.conn())?,
            Which::These(ids) => own
                .filter(among(v::id, ids))
                .select((SPINE, $columns))
                .load($reader.conn())?,
        }
    }};
}

fn made<T, O>(
    linked: &mut Linked,
    kind: &Kind,
    rows: Vec<(SpineRow, O)>,
    own: impl Fn(&mut Linked, Id, O) -> T,
) -> Result<Vec<Fact<T>>> {
    let statuses = kind.statuses();
    let fact = |(spine, row): (SpineRow, O)| {
        let stub = linked.stub(&statuses, spine)?;
        let own = own(linked, stub.id, row);
        Ok(Fact { stub, own })
    };
    rows.into_iter().map(fact).collect()
}

fn controls(
    reader: &mut Reader<'_>,
    which: Which<'_>,
    linked: &mut Linked,
) -> Result<Vec<Fact<ControlFact>>> {
    let columns = (v::name, c::implementation, c::responsibility, c::frequency);
    type Own = (String, Implementation, Responsibility, Option<Frequency>);
    let rows: Vec<(SpineRow, Own)> = rows!(reader, which, "control", c, columns);
    made(
        linked,
        reader.kinds().or_plain("control"),
        rows,
        |linked, id, (name, stage, responsibility, frequency)| ControlFact {
            name: name.into(),
            stage,
            responsibility,
            frequency,
            requirements: linked.cited(id),
        },
    )
}

fn evidence(
    reader: &mut Reader<'_>,
    which: Which<'_>,
    linked: &mut Linked,
) -> Result<Vec<Fact<Piece>>> {
    let columns = (
        (ev::source, ev::external_id.is_not_null(), ev::collected_at),
        (ev::collected_on, ev::period_end_on, ev::expires_on),
        (ev::attests, ev::outcome, ev::superseded_by_id.is_not_null()),
    );
    type Own = (
        (String, bool, Instant),
        (NaiveDate, Option<NaiveDate>, Option<NaiveDate>),
        (bool, Option<EvidenceOutcome>, bool),
    );
    let rows: Vec<(SpineRow, Own)> = rows!(reader, which, "evidence", ev, columns);
    made(
        linked,
        reader.kinds().or_plain("evidence"),
        rows,
        |linked, id, (what, days, said)| {
            let (source, named, collected_at) = what;
            let (collected_on, period_end_on, expires_on) = days;
            let (attests, outcome, superseded) = said;
            Piece {
                source: linked.word(source),
                named,
                collected_at,
                span: Span {
                    collected_on,
                    period_end_on,
                    expires_on,
                },
                attests,
                outcome,
                superseded,
                controls: linked.many(id, "control_ids"),
                subjects: linked.many(id, "subject_ids"),
                requirements: linked.cited(id),
            }
        },
    )
}

fn risks(
    reader: &mut Reader<'_>,
    which: Which<'_>,
    linked: &mut Linked,
) -> Result<Vec<Fact<RiskFact>>> {
    let columns = (
        (
            r::inherent_likelihood,
            r::inherent_impact,
            r::inherent_level,
        ),
        (r::current_likelihood, r::current_impact, r::current_level),
        (
            r::residual_likelihood,
            r::residual_impact,
            r::residual_level,
        ),
        r::current_acceptable,
    );
    type Own = (ScoreRow, ScoreRow, ScoreRow, Option<bool>);
    let rows: Vec<(SpineRow, Own)> = rows!(reader, which, "risk", r, columns);
    made(
        linked,
        reader.kinds().or_plain("risk"),
        rows,
        |linked, id, (inherent, current, residual, acceptable)| RiskFact {
            inherent: linked.scored(inherent),
            current: linked.scored(current),
            residual: linked.scored(residual),
            acceptable,
            controls: linked.many(id, "existing_control_ids"),
        },
    )
}

fn treatments(
    reader: &mut Reader<'_>,
    which: Which<'_>,
    linked: &mut Linked,
) -> Result<Vec<Fact<TreatmentFact>>> {
    let approval = (
        t::expires_on,
        t::approved_seq,
        t::approved_owner_id,
        t::approved_rank,
        t::approved_methodology_id,
    );
    type Approved = (
        Option<NaiveDate>,
        Option<i64>,
        Option<Id>,
        Option<i32>,
        Option<Id>,
    );
    let columns = (t::risk_id, approval);
    let rows: Vec<(SpineRow, (Id, Approved))> = rows!(reader, which, "risk_treatment", t, columns);
    let approved = |(expires_on, seq, owner, rank, methodology): Approved| {
        Some(Approval {
            expires_on: expires_on?,
            seq: seq?,
            owner: owner?,
            rank: rank?,
            methodology: methodology?,
        })
    };
    made(
        linked,
        reader.kinds().or_plain("risk_treatment"),
        rows,
        |linked, id, (risk, approval)| TreatmentFact {
            risk,
            controls: linked.many(id, "control_ids"),
            approval: approved(approval),
        },
    )
}

fn vulnerabilities(
    reader: &mut Reader<'_>,
    which: Which<'_>,
    linked: &mut Linked,
) -> Result<Vec<Fact<WeakFact>>> {
    let columns = (w::severity, w::found_on, w::reopened_on, w::fixed_on);
    type Own = (
        VulnerabilitySeverity,
        Option<NaiveDate>,
        Option<NaiveDate>,
        Option<NaiveDate>,
    );
    let rows: Vec<(SpineRow, Own)> = rows!(reader, which, "vulnerability", w, columns);
    made(
        linked,
        reader.kinds().or_plain("vulnerability"),
        rows,
        |_, _, (severity, found_on, reopened_on, fixed_on)| WeakFact {
            severity,
            found_on,
            reopened_on,
            fixed_on,
        },
    )
}

/// Records of which only the spine is asked, with the names of their registers.
fn others(
    reader: &mut Reader<'_>,
    which: Which<'_>,
    linked: &mut Linked,
) -> Result<Vec<(&'static str, Fact<()>)>> {
    let of_kinds = v::table
        .filter(v::tenant_id.eq(reader.tenant()))
        .filter(at(reader.moment.seq));
    let found: Vec<(SpineRow, String)> = match which {
        Which::All(kinds) => of_kinds
            .filter(v::kind.eq_any(kinds.to_vec()))
            .select((SPINE, v::kind))
            .load(reader.conn())?,
        Which::These(ids) => of_kinds
            .filter(among(v::id, ids))
            .select((SPINE, v::kind))
            .load(reader.conn())?,
    };
    let statuses: HashMap<&str, (&'static str, Vec<&'static str>)> = reader
        .kinds()
        .all()
        .iter()
        .map(|kind| (kind.name, (kind.name, kind.statuses())))
        .collect();
    let fact = |(spine, kind): (SpineRow, String)| {
        let unknown = || Problem::internal(format!("no register `{kind}`"));
        let (name, statuses) = statuses.get(kind.as_str()).ok_or_else(unknown)?;
        Ok((
            *name,
            Fact {
                stub: linked.stub(statuses, spine)?,
                own: (),
            },
        ))
    };
    found.into_iter().map(fact).collect()
}

fn put<T: Clone>(table: &mut Arc<Table<T>>, facts: Vec<Fact<T>>) {
    let table = Arc::make_mut(table);
    facts.into_iter().for_each(|fact| table.put(fact));
}

impl Facts {
    /// Reads whole registers.
    pub(super) fn load(&mut self, reader: &mut Reader<'_>, parts: &BTreeSet<Part>) -> Result<()> {
        if parts.is_empty() {
            return Ok(());
        }
        let of = |kind: &Kind| part_of(kind).filter(|part| parts.contains(part));
        let all = reader.kinds().all().iter();
        let kinds: Vec<&'static str> = all
            .filter(|kind| of(kind).is_some())
            .map(|kind| kind.name)
            .collect();
        let which = Which::All(&kinds);
        let cites = parts.contains(&Part::Controls) || parts.contains(&Part::Evidence);
        let mut linked = Linked::read(reader, which, cites)?;
        let linked = &mut linked;
        for part in parts {
            match part {
                Part::Controls => {
                    Arc::make_mut(&mut self.controls).fill(controls(reader, which, linked)?);
                }
                Part::Evidence => {
                    Arc::make_mut(&mut self.evidence).fill(evidence(reader, which, linked)?);
                }
                Part::Risks => Arc::make_mut(&mut self.risks).fill(risks(reader, which, linked)?),
                Part::Treatments => {
                    Arc::make_mut(&mut self.treatments).fill(treatments(reader, which, linked)?);
                }
                Part::Vulnerabilities => {
                    let found = vulnerabilities(reader, which, linked)?;
                    Arc::make_mut(&mut self.vulnerabilities).fill(found);
                }
                Part::Others => {
                    let all = reader.kinds().all().iter();
                    let rest: Vec<&'static str> = all
                        .filter(|kind| of(kind) == Some(Part::Others))
                        .map(|kind| kind.name)
                        .collect();
                    let mut of: BTreeMap<&'static str, Vec<Fact<()>>> = BTreeMap::new();
                    for (kind, fact) in others(reader, Which::All(&rest), linked)? {
                        of.entry(kind).or_default().push(fact);
                    }
                    for (kind, facts) in of {
                        Arc::make_mut(self.others.entry(kind).or_default()).fill(facts);
                    }
                }
            }
        }
        Ok(())
    }
    /// Reads these records again, by register.
    pub(super) fn again(
        &mut self,
        reader: &mut Reader<'_>,
        changed: &BTreeMap<&'static str, Vec<Id>>,
    ) -> Result<()> {
        for (kind, ids) in changed {
            for some in ids.chunks(AT_ONCE) {
                let which = Which::These(some);
                let part = part_of(reader.kinds().or_plain(kind));
                let cites = matches!(part, Some(Part::Controls | Part::Evidence));
                let linked = &mut Linked::read(reader, which, cites)?;
                match part {
                    Some(Part::Controls) => {
                        put(&mut self.controls, controls(reader, which, linked)?);
                    }
                    Some(Part::Evidence) => {
                        put(&mut self.evidence, evidence(reader, which, linked)?);
                    }
                    Some(Part::Risks) => put(&mut self.risks, risks(reader, which, linked)?),
                    Some(Part::Treatments) => {
                        put(&mut self.treatments, treatments(reader, which, linked)?);
                    }
                    Some(Part::Vulnerabilities) => {
                        put(
                            &mut self.vulnerabilities,
                            vulnerabilities(reader, which, linked)?,
                        );
                    }
                    Some(Part::Others) => {
                        let found = others(reader, which, linked)?;
                        let facts = found.into_iter().map(|(_, fact)| fact).collect();
                        put(self.others.entry(*kind).or_default(), facts);
                    }
                    None => {}
                }
            }
        }
        Ok(())
    }
}
