//! The facts that views of several registers share: what stands of each record, as far as views
//! look at it. Each view is a function of them, of the day, and of what the caller sees.
mod linked;
mod load;
mod proofs;

pub use crate::records::sight::Seen;
pub use proofs::Proofs;

use crate::core::{Id, Instant, Result};
use crate::db::schema::risk_treatments;
use crate::records::model::{Changed, Model};
use crate::records::{Kind, Reader};
use crate::registers::control::currency::Span;
use crate::registers::control::{Frequency, Implementation, Responsibility};
use crate::registers::evidence::outcome::EvidenceOutcome;
use crate::registers::vulnerability::severity::VulnerabilitySeverity;
use chrono::NaiveDate;
use diesel::{Queryable, Selectable};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use utoipa::ToSchema;

/// A register whose facts a view asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Controls.
    Controls,
    /// Evidence.
    Evidence,
    /// Risks.
    Risks,
    /// Treatments of risks.
    Treatments,
    /// Vulnerabilities.
    Vulnerabilities,
    /// Every other register that the overview counts, by its spine alone.
    Others,
}

/// What every record has.
#[derive(Debug, Clone)]
pub struct Stub {
    /// The record.
    pub id: Id,
    /// The number in its code.
    pub number: i64,
    /// Its version.
    pub version: i32,
    /// Where it is in its life.
    pub status: &'static str,
    /// The day by which it has to be done.
    pub due_on: Option<NaiveDate>,
    /// The day of its next review.
    pub review_due_on: Option<NaiveDate>,
    /// Was it archived?
    pub archived: bool,
    /// How it ranks in lists.
    pub rank: Option<i32>,
    /// When it was last changed.
    pub updated_at: Instant,
    scopes: Box<[Id]>,
}
impl Stub {
    /// Does it belong to this scope, or to the whole organization?
    pub fn within(&self, scope: Option<Id>) -> bool {
        scope.is_none_or(|scope| self.scopes.is_empty() || self.scopes.contains(&scope))
    }
    /// The scopes that it names.
    pub fn scopes(&self) -> &[Id] {
        &self.scopes
    }
}

/// A record: what every one has, and what its register adds.
#[derive(Debug, Clone)]
pub struct Fact<T> {
    /// What every record has.
    pub stub: Stub,
    /// What its register adds.
    pub own: T,
}

/// A control.
#[derive(Debug, Clone)]
pub struct ControlFact {
    /// What it is called.
    pub name: Box<str>,
    /// How far it is.
    pub stage: Implementation,
    /// Who does it.
    pub responsibility: Responsibility,
    /// How often it is done.
    pub frequency: Option<Frequency>,
    /// The requirements that it meets.
    pub requirements: Box<[String]>,
}

/// A piece of evidence.
#[derive(Debug, Clone)]
pub struct Piece {
    /// Where it comes from.
    pub source: Arc<str>,
    /// Has it a name there?
    pub named: bool,
    /// When it was collected.
    pub collected_at: Instant,
    /// What decides until when it is current.
    pub span: Span,
    /// Is it a provider's attestation?
    pub attests: bool,
    /// What it showed, where it is a test.
    pub outcome: Option<EvidenceOutcome>,
    /// Did a later one take its place?
    pub superseded: bool,
    /// The controls that it proves.
    pub controls: Box<[Id]>,
    /// The records that it is about; controls among them are proven as well.
    pub subjects: Box<[Id]>,
    /// The requirements that it names itself.
    pub requirements: Box<[String]>,
}
impl Piece {
    /// Everything that it may prove, each once.
    pub fn proves(&self) -> impl Iterator<Item = Id> + '_ {
        let more = self
            .subjects
            .iter()
            .filter(|id| !self.controls.contains(id));
        self.controls.iter().chain(more).copied()
    }
}

/// A score, as far as views look at it.
#[derive(Debug, Clone, Default)]
pub struct Scored {
    /// How likely.
    pub likelihood: Option<i32>,
    /// How bad.
    pub impact: Option<i32>,
    /// The level.
    pub level: Option<Arc<str>>,
}

/// A risk.
#[derive(Debug, Clone)]
pub struct RiskFact {
    /// Before controls.
    pub inherent: Scored,
    /// With the controls that are in place.
    pub current: Scored,
    /// After treatment.
    pub residual: Scored,
    /// Does the present level meet the acceptance criteria?
    pub acceptable: Option<bool>,
    /// The controls that its present score rests on.
    pub controls: Box<[Id]>,
}

/// A treatment of a risk.
#[derive(Debug, Clone)]
pub struct TreatmentFact {
    /// The risk.
    pub risk: Id,
    /// The controls that it applies.
    pub controls: Box<[Id]>,
    /// What an approval decided, where it was approved.
    pub approval: Option<Approval>,
}

/// The approval of an acceptance, as it is compared with what happened since.
#[derive(Debug, Clone, Copy)]
pub struct Approval {
    /// The last day of the acceptance.
    pub expires_on: NaiveDate,
    /// The position that approved it.
    pub seq: i64,
    /// Who answered for the risk.
    pub owner: Id,
    /// The place of the accepted level among the levels.
    pub rank: i32,
    /// The methodology that it was scored by.
    pub methodology: Id,
}

/// The same, as it is read: each column is empty where nothing was approved.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = risk_treatments)]
pub struct Approved {
    expires_on: Option<NaiveDate>,
    approved_seq: Option<i64>,
    approved_owner_id: Option<Id>,
    approved_rank: Option<i32>,
    approved_methodology_id: Option<Id>,
}
impl Approved {
    /// The approval, where there is one.
    pub fn whole(&self) -> Option<Approval> {
        Some(Approval {
            expires_on: self.expires_on?,
            seq: self.approved_seq?,
            owner: self.approved_owner_id?,
            rank: self.approved_rank?,
            methodology: self.approved_methodology_id?,
        })
    }
}

/// A vulnerability.
#[derive(Debug, Clone, Queryable)]
pub struct WeakFact {
    /// How bad it is.
    pub severity: VulnerabilitySeverity,
    /// When it was found.
    pub found_on: Option<NaiveDate>,
    /// When it came back.
    pub reopened_on: Option<NaiveDate>,
    /// When it was fixed.
    pub fixed_on: Option<NaiveDate>,
}

/// Records of a register, in the order of their ids.
#[derive(Debug, Clone)]
pub struct Table<T>(Vec<Fact<T>>);
impl<T> Default for Table<T> {
    fn default() -> Self {
        Table(vec![])
    }
}
impl<T> Table<T> {
    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Fact<T>> {
        self.0.iter()
    }
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// Where a record lies.
    pub fn place(&self, id: Id) -> Option<usize> {
        self.0.binary_search_by_key(&id, |fact| fact.stub.id).ok()
    }
    /// One of them.
    pub fn get(&self, id: Id) -> Option<&Fact<T>> {
        self.0.get(self.place(id)?)
    }
    fn fill(&mut self, mut facts: Vec<Fact<T>>) {
        facts.sort_by_key(|fact| fact.stub.id);
        self.0 = facts;
    }
    fn put(&mut self, fact: Fact<T>) {
        match self
            .0
            .binary_search_by_key(&fact.stub.id, |fact| fact.stub.id)
        {
            Ok(place) => {
                if let Some(old) = self.0.get_mut(place) {
                    *old = fact;
                }
            }
            Err(place) => self.0.insert(place, fact),
        }
    }
}

/// What stands in the registers that were asked for.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    parts: BTreeSet<Part>,
    /// Controls.
    pub controls: Arc<Table<ControlFact>>,
    /// Evidence.
    pub evidence: Arc<Table<Piece>>,
    /// Risks.
    pub risks: Arc<Table<RiskFact>>,
    /// Treatments of risks.
    pub treatments: Arc<Table<TreatmentFact>>,
    /// Vulnerabilities.
    pub vulnerabilities: Arc<Table<WeakFact>>,
    others: BTreeMap<&'static str, Arc<Table<()>>>,
}

impl Facts {
    /// What stands at the reader's moment, whoever reads.
    pub fn of(reader: &mut Reader<'_>, parts: &'static [Part]) -> Result<Arc<Facts>> {
        reader.model::<Facts>(parts)
    }
    /// The records of any register that the overview counts.
    pub fn stubs(&self, kind: &Kind) -> Box<dyn Iterator<Item = &Stub> + '_> {
        fn of<T>(table: &Table<T>) -> Box<dyn Iterator<Item = &Stub> + '_> {
            Box::new(table.iter().map(|fact| &fact.stub))
        }
        match part_of(kind) {
            Some(Part::Controls) => of(&self.controls),
            Some(Part::Evidence) => of(&self.evidence),
            Some(Part::Risks) => of(&self.risks),
            Some(Part::Treatments) => of(&self.treatments),
            Some(Part::Vulnerabilities) => of(&self.vulnerabilities),
            _ => match self.others.get(kind.name) {
                Some(table) => of(table),
                None => Box::new(std::iter::empty()),
            },
        }
    }
}

/// The part that a register's facts are in.
fn part_of(kind: &Kind) -> Option<Part> {
    Some(match kind.name {
        "control" => Part::Controls,
        "evidence" => Part::Evidence,
        "risk" => Part::Risks,
        "risk_treatment" => Part::Treatments,
        "vulnerability" => Part::Vulnerabilities,
        _ if kind.counted => Part::Others,
        _ => return None,
    })
}

impl Model for Facts {
    type Want = &'static [Part];
    fn concerns(kind: &Kind) -> bool {
        part_of(kind).is_some()
    }
    fn has(&self, want: &'static [Part]) -> bool {
        want.iter().all(|part| self.parts.contains(part))
    }
    fn bring(
        &mut self,
        reader: &mut Reader<'_>,
        want: &'static [Part],
        changed: &[Changed],
    ) -> Result<()> {
        let mut of: BTreeMap<Part, Vec<Id>> = BTreeMap::new();
        for one in changed {
            if let Some(part) = part_of(one.kind).filter(|part| self.parts.contains(part)) {
                of.entry(part).or_default().push(one.id);
            }
        }
        self.read_at(reader, &of)?;
        let missing: BTreeSet<Part> = want
            .iter()
            .filter(|part| !self.parts.contains(part))
            .copied()
            .collect();
        self.load(reader, &missing)?;
        self.parts.extend(missing);
        Ok(())
    }
    fn rows(&self) -> usize {
        self.controls.len()
            + self.evidence.len()
            + self.risks.len()
            + self.treatments.len()
            + self.vulnerabilities.len()
            + self.others.values().map(|table| table.len()).sum::<usize>()
    }
}

/// Counts by name.
pub struct CountsByName;
impl utoipa::PartialSchema for CountsByName {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::{KnownFormat, ObjectBuilder, SchemaFormat, schema::Type};
        let count = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .minimum(Some(0));
        let all = ObjectBuilder::new()
            .additional_properties(Some(count))
            .max_properties(Some(100));
        all.description(Some("Counts by name.")).into()
    }
}
impl ToSchema for CountsByName {}
