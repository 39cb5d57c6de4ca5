//! How facts are read: each register by one statement, links and citations by one each for all.
use super::linked::{Linked, ScoreRow, Spine, Which};
use super::{
    Approved, ControlFact, Fact, Facts, Part, Piece, RiskFact, Table, TreatmentFact, WeakFact,
    part_of,
};
use crate::core::{Id, Instant, Problem, Result};
use crate::db::among::among;
use crate::db::dialect::{at, same_version};
use crate::db::schema::{
    controls as c, evidence as ev, risk_treatments as t, risks as r, versions as v,
    vulnerabilities as w,
};
use crate::records::{Reader, kind};
use crate::registers::control::currency::Span;
use crate::registers::control::{Frequency, Implementation, Responsibility};
use crate::registers::evidence::outcome::EvidenceOutcome;
use diesel::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Records that one statement names.
const AT_ONCE: usize = 500;

/// The rows of a register's own table with their spines.
macro_rules! rows {
    ($reader:ident, $which:ident, $kind:literal, $own:ident, $columns:expr) => {{
        let (tenant, seq) = ($reader.tenant(), $reader.moment.seq);
        let own = $own::table
            .inner_join(same_version!(v, $own))
            .filter(v::tenant_id.eq(tenant).and(v::kind.eq($kind)))
            .filter(at(seq));
        match $which {
            Which::All(_) => own
                .select((Spine::as_select(), $columns))
                .load($reader.conn())?,
            Which::These(ids) => own
                .filter(among(v::id, ids))
                .select((Spine::as_select(), $columns))
                .load($reader.conn())?,
        }
    }};
}

fn made<T, O>(
    linked: &mut Linked,
    kind: &str,
    rows: Vec<(Spine, O)>,
    own: impl Fn(&mut Linked, Id, O) -> T,
) -> Result<Vec<Fact<T>>> {
    let statuses = kind::named(kind)
        .map(|kind| kind.statuses())
        .unwrap_or_default();
    let fact = |(spine, row): (Spine, O)| {
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
    let rows: Vec<(Spine, Own)> = rows!(reader, which, "control", c, columns);
    made(
        linked,
        "control",
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
    type Said = (bool, Option<EvidenceOutcome>, bool);
    type Own = ((String, bool, Instant), Span, Said);
    let rows: Vec<(Spine, Own)> = rows!(reader, which, "evidence", ev, columns);
    made(
        linked,
        "evidence",
        rows,
        |linked, id, (what, span, said)| {
            let (source, named, collected_at) = what;
            let (attests, outcome, superseded) = said;
            Piece {
                source: linked.word(source),
                named,
                collected_at,
                span,
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
    let rows: Vec<(Spine, Own)> = rows!(reader, which, "risk", r, columns);
    made(
        linked,
        "risk",
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
    let columns = (t::risk_id, Approved::as_select());
    let rows: Vec<(Spine, (Id, Approved))> = rows!(reader, which, "risk_treatment", t, columns);
    made(
        linked,
        "risk_treatment",
        rows,
        |linked, id, (risk, approved)| TreatmentFact {
            risk,
            controls: linked.many(id, "control_ids"),
            approval: approved.whole(),
        },
    )
}

fn vulnerabilities(
    reader: &mut Reader<'_>,
    which: Which<'_>,
    linked: &mut Linked,
) -> Result<Vec<Fact<WeakFact>>> {
    let columns = (w::severity, w::found_on, w::reopened_on, w::fixed_on);
    let rows: Vec<(Spine, WeakFact)> = rows!(reader, which, "vulnerability", w, columns);
    made(linked, "vulnerability", rows, |_, _, own| own)
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
    let found: Vec<(Spine, String)> = match which {
        Which::All(kinds) => of_kinds
            .filter(v::kind.eq_any(kinds.to_vec()))
            .select((Spine::as_select(), v::kind))
            .load(reader.conn())?,
        Which::These(ids) => of_kinds
            .filter(among(v::id, ids))
            .select((Spine::as_select(), v::kind))
            .load(reader.conn())?,
    };
    let statuses: HashMap<&str, (&'static str, Vec<&'static str>)> = kind::all()
        .iter()
        .map(|kind| (kind.name, (kind.name, kind.statuses())))
        .collect();
    let fact = |(spine, kind): (Spine, String)| {
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

/// Takes what was read: in place of what is there, or beside it.
fn keep<T: Clone>(table: &mut Arc<Table<T>>, which: Which<'_>, facts: Vec<Fact<T>>) {
    let table = Arc::make_mut(table);
    match which {
        Which::All(_) => table.fill(facts),
        Which::These(_) => facts.into_iter().for_each(|fact| table.put(fact)),
    }
}

impl Facts {
    /// Reads whole registers.
    pub(super) fn load(&mut self, reader: &mut Reader<'_>, parts: &BTreeSet<Part>) -> Result<()> {
        if parts.is_empty() {
            return Ok(());
        }
        let names = || kind::all().iter().map(|kind| kind.name);
        let of = |name: &str| part_of(name).filter(|part| parts.contains(part));
        let kinds: Vec<&'static str> = names().filter(|name| of(name).is_some()).collect();
        let rest: Vec<&'static str> = names()
            .filter(|name| of(name) == Some(Part::Others))
            .collect();
        let cites = parts.contains(&Part::Controls) || parts.contains(&Part::Evidence);
        let mut linked = Linked::read(reader, Which::All(&kinds), cites)?;
        parts
            .iter()
            .try_for_each(|part| self.take(reader, *part, Which::All(&rest), &mut linked))
    }
    /// Reads these records again, by register.
    pub(super) fn again(
        &mut self,
        reader: &mut Reader<'_>,
        changed: &BTreeMap<&'static str, Vec<Id>>,
    ) -> Result<()> {
        for (part, ids) in changed
            .iter()
            .filter_map(|(kind, ids)| Some((part_of(kind)?, ids)))
        {
            for some in ids.chunks(AT_ONCE) {
                let which = Which::These(some);
                let cites = matches!(part, Part::Controls | Part::Evidence);
                let mut linked = Linked::read(reader, which, cites)?;
                self.take(reader, part, which, &mut linked)?;
            }
        }
        Ok(())
    }
    fn take(
        &mut self,
        reader: &mut Reader<'_>,
        part: Part,
        which: Which<'_>,
        linked: &mut Linked,
    ) -> Result<()> {
        match part {
            Part::Controls => keep(&mut self.controls, which, controls(reader, which, linked)?),
            Part::Evidence => keep(&mut self.evidence, which, evidence(reader, which, linked)?),
            Part::Risks => keep(&mut self.risks, which, risks(reader, which, linked)?),
            Part::Treatments => {
                let found = treatments(reader, which, linked)?;
                keep(&mut self.treatments, which, found);
            }
            Part::Vulnerabilities => {
                let found = vulnerabilities(reader, which, linked)?;
                keep(&mut self.vulnerabilities, which, found);
            }
            Part::Others => {
                let mut of: BTreeMap<&'static str, Vec<Fact<()>>> = BTreeMap::new();
                for (kind, fact) in others(reader, which, linked)? {
                    of.entry(kind).or_default().push(fact);
                }
                for (kind, facts) in of {
                    keep(self.others.entry(kind).or_default(), which, facts);
                }
            }
        }
        Ok(())
    }
}
