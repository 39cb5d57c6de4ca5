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
use crate::records::{Kind, Reader};
use crate::registers::control::currency::Span;
use crate::registers::control::{Frequency, Implementation, Responsibility};
use crate::registers::evidence::outcome::EvidenceOutcome;
use diesel::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Records that one statement names.
const AT_ONCE: usize = 500;

/// How registers are read.
struct Reading<'a, 'r> {
    reader: &'a mut Reader<'r>,
    which: Which<'a>,
    linked: &'a mut Linked,
}

/// The rows of a register's own table with their spines.
macro_rules! rows {
    ($of:ident, $kind:literal, $own:ident, $columns:expr) => {{
        let reader = &mut *$of.reader;
        let (tenant, seq) = (reader.tenant(), reader.moment.seq);
        let own = $own::table
            .inner_join(same_version!(v, $own))
            .filter(v::tenant_id.eq(tenant).and(v::kind.eq($kind)))
            .filter(at(seq));
        match $of.which {
            Which::All(_) => own
                .select((Spine::as_select(), $columns))
                .load(reader.conn())?,
            Which::These(ids) => own
                .filter(among(v::id, ids))
                .select((Spine::as_select(), $columns))
                .load(reader.conn())?,
        }
    }};
}

impl Reading<'_, '_> {
    fn made<T, O>(
        &mut self,
        kind: &str,
        rows: Vec<(Spine, O)>,
        own: impl Fn(&mut Linked, Id, O) -> T,
    ) -> Result<Vec<Fact<T>>> {
        let statuses = self.reader.kinds().or_plain(kind).statuses();
        let fact = |(spine, row): (Spine, O)| {
            let stub = self.linked.stub(&statuses, spine)?;
            let own = own(self.linked, stub.id, row);
            Ok(Fact { stub, own })
        };
        rows.into_iter().map(fact).collect()
    }

    fn controls(&mut self) -> Result<Vec<Fact<ControlFact>>> {
        let columns = (v::name, c::implementation, c::responsibility, c::frequency);
        type Own = (String, Implementation, Responsibility, Option<Frequency>);
        let rows: Vec<(Spine, Own)> = rows!(self, "control", c, columns);
        self.made(
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

    fn evidence(&mut self) -> Result<Vec<Fact<Piece>>> {
        let columns = (
            (ev::source, ev::external_id.is_not_null(), ev::collected_at),
            (ev::collected_on, ev::period_end_on, ev::expires_on),
            (ev::attests, ev::outcome, ev::superseded_by_id.is_not_null()),
        );
        type HasComment = (bool, Option<EvidenceOutcome>, bool);
        type Own = ((String, bool, Instant), Span, HasComment);
        let rows: Vec<(Spine, Own)> = rows!(self, "evidence", ev, columns);
        self.made("evidence", rows, |linked, id, (what, span, said)| {
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
        })
    }

    fn risks(&mut self) -> Result<Vec<Fact<RiskFact>>> {
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
        let rows: Vec<(Spine, Own)> = rows!(self, "risk", r, columns);
        self.made(
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

    fn treatments(&mut self) -> Result<Vec<Fact<TreatmentFact>>> {
        let columns = (t::risk_id, Approved::as_select());
        let rows: Vec<(Spine, (Id, Approved))> = rows!(self, "risk_treatment", t, columns);
        self.made("risk_treatment", rows, |linked, id, (risk, approved)| {
            TreatmentFact {
                risk,
                controls: linked.many(id, "control_ids"),
                approval: approved.whole(),
            }
        })
    }

    fn vulnerabilities(&mut self) -> Result<Vec<Fact<WeakFact>>> {
        let columns = (w::severity, w::found_on, w::reopened_on, w::fixed_on);
        let rows: Vec<(Spine, WeakFact)> = rows!(self, "vulnerability", w, columns);
        self.made("vulnerability", rows, |_, _, own| own)
    }

    /// Records of which only the spine is asked, with the names of their registers.
    fn others(&mut self) -> Result<Vec<(&'static str, Fact<()>)>> {
        let of_kinds = v::table
            .filter(v::tenant_id.eq(self.reader.tenant()))
            .filter(at(self.reader.moment.seq));
        let found: Vec<(Spine, String)> = match self.which {
            Which::All(kinds) => of_kinds
                .filter(v::kind.eq_any(kinds.to_vec()))
                .select((Spine::as_select(), v::kind))
                .load(self.reader.conn())?,
            Which::These(ids) => of_kinds
                .filter(among(v::id, ids))
                .select((Spine::as_select(), v::kind))
                .load(self.reader.conn())?,
        };
        let statuses: HashMap<&str, (&'static str, Vec<&'static str>)> = self
            .reader
            .kinds()
            .all()
            .iter()
            .map(|kind| (kind.name, (kind.name, kind.statuses())))
            .collect();
        let fact = |(spine, kind): (Spine, String)| {
            let unknown = || Problem::internal(format!("no register `{kind}`"));
            let (name, statuses) = statuses.get(kind.as_str()).ok_or_else(unknown)?;
            Ok((
                *name,
                Fact {
                    stub: self.linked.stub(statuses, spine)?,
                    own: (),
                },
            ))
        };
        found.into_iter().map(fact).collect()
    }
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
        let all = reader.kinds().all();
        let of = |kind: &Kind| part_of(kind).filter(|part| parts.contains(part));
        let named = |fits: &dyn Fn(Part) -> bool| -> Vec<&'static str> {
            let kinds = all.iter().filter(|kind| of(kind).is_some_and(fits));
            kinds.map(|kind| kind.name).collect()
        };
        let (kinds, rest) = (named(&|_| true), named(&|part| part == Part::Others));
        let cites = parts.contains(&Part::Controls) || parts.contains(&Part::Evidence);
        let mut linked = Linked::read(reader, Which::All(&kinds), cites)?;
        let mut reading = Reading {
            reader,
            which: Which::All(&rest),
            linked: &mut linked,
        };
        parts
            .iter()
            .try_for_each(|part| self.take(*part, &mut reading))
    }
    /// Reads these records again, by register.
    pub(super) fn read_at(
        &mut self,
        reader: &mut Reader<'_>,
        changed: &BTreeMap<Part, Vec<Id>>,
    ) -> Result<()> {
        for (part, ids) in changed {
            for some in ids.chunks(AT_ONCE) {
                let cites = matches!(part, Part::Controls | Part::Evidence);
                let linked = &mut Linked::read(reader, Which::These(some), cites)?;
                let mut reading = Reading {
                    reader,
                    which: Which::These(some),
                    linked,
                };
                self.take(*part, &mut reading)?;
            }
        }
        Ok(())
    }
    fn take(&mut self, part: Part, of: &mut Reading<'_, '_>) -> Result<()> {
        let which = of.which;
        match part {
            Part::Controls => keep(&mut self.controls, which, of.controls()?),
            Part::Evidence => keep(&mut self.evidence, which, of.evidence()?),
            Part::Risks => keep(&mut self.risks, which, of.risks()?),
            Part::Treatments => keep(&mut self.treatments, which, of.treatments()?),
            Part::Vulnerabilities => keep(&mut self.vulnerabilities, which, of.vulnerabilities()?),
            Part::Others => {
                let mut by: BTreeMap<&'static str, Vec<Fact<()>>> = BTreeMap::new();
                for (kind, fact) in of.others()? {
                    by.entry(kind).or_default().push(fact);
                }
                for (kind, facts) in by {
                    keep(self.others.entry(kind).or_default(), which, facts);
                }
            }
        }
        Ok(())
    }
}
