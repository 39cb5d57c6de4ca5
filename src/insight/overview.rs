//! The overview: a dashboard's home in one request (ISO/IEC 27001:2022 9.1). Every number is cut to
//! what the caller may see.
use super::basis::Basis;
use super::upcoming::{self, Upcoming};
use crate::core::{Id, Result, catalogue};
use crate::http::{Answer, Guard, Overview as View, View as Viewing, ViewQuery};
use crate::records::{Reader, Resource};
use crate::registers::control::Control;
use crate::registers::control::proof::Operation;
use crate::registers::evidence::Evidence;
use crate::registers::facts::{CountsByName, Fact, Piece, Proofs, Stub};
use crate::registers::methodology::in_force::InForce;
use crate::registers::risk::matrix::MatrixStage;
use crate::registers::scope::{Cut, Scope, ScopeRef};
use crate::registers::soa::applicability::Applicability;
use crate::registers::soa::{self, SoaSummary};
use crate::registers::treatment::RiskTreatment;
use crate::registers::treatment::acceptance::Acceptance;
use crate::registers::treatment::lapse;
use crate::registers::vulnerability::Vulnerability;
use crate::registers::vulnerability::summary::{self, VulnerabilityNumbers};
use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// Records by state.
#[derive(Debug, Serialize, ToSchema)]
pub struct KindCount {
    /// The register.
    #[schema(max_length = 64)]
    pub kind: String,
    /// Open records (not archived, and in no end state), by state.
    #[schema(value_type = CountsByName)]
    pub by_status: BTreeMap<String, i64>,
    /// All of these.
    #[schema(minimum = 0)]
    pub total: i64,
    /// Records in an end state: closed, completed, fixed, cancelled, approved for good, …
    #[schema(minimum = 0)]
    pub done: i64,
}
/// Open risks by level, 0 where a level has none.
#[derive(Debug, Serialize, ToSchema)]
pub struct RiskLevels {
    /// Before controls.
    #[schema(value_type = CountsByName)]
    pub inherent: BTreeMap<String, i64>,
    /// With the controls that are in place.
    #[schema(value_type = CountsByName)]
    pub current: BTreeMap<String, i64>,
    /// Open risks without an inherent score.
    #[schema(minimum = 0)]
    pub inherent_not_assessed: i64,
    /// Open risks without a current score.
    #[schema(minimum = 0)]
    pub current_not_assessed: i64,
}
/// Evidence in numbers.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct EvidenceNumbers {
    /// Pieces that stand, superseded ones left out.
    #[schema(minimum = 0)]
    pub standing: i64,
    /// Implemented controls that current evidence proves: those of `GET
    /// /v1/controls?operation=operating`.
    #[schema(minimum = 0)]
    pub controls_current: i64,
    /// Implemented controls whose evidence has expired: those of `operation=stale`.
    #[schema(minimum = 0)]
    pub controls_expired: i64,
    /// Implemented controls of which a test failed, and none of its series passed since: those of
    /// `operation=failing`.
    #[schema(minimum = 0)]
    pub controls_failing: i64,
}
/// What stands against risks, in numbers.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct TreatmentNumbers {
    /// Treatments that are approved and not finished.
    #[schema(minimum = 0)]
    pub underway: i64,
    /// Acceptances that hold.
    #[schema(minimum = 0)]
    pub accepted: i64,
    /// Acceptances that hold no more.
    #[schema(minimum = 0)]
    pub lapsed: i64,
    /// Acceptances that hold, and end within 30 days.
    #[schema(minimum = 0)]
    pub expiring: i64,
}
/// Vulnerabilities in numbers.
#[derive(Debug, Serialize, ToSchema)]
pub struct VulnerabilityLevels {
    /// Those that are there, by severity.
    #[schema(value_type = CountsByName)]
    pub open: BTreeMap<String, i64>,
    /// Of these, those that are past their due day.
    #[schema(value_type = CountsByName)]
    pub overdue: BTreeMap<String, i64>,
}
/// The dashboard's home.
#[derive(Debug, Serialize, ToSchema)]
pub struct Overview {
    /// Open records by register and state.
    #[schema(max_items = 100)]
    pub open_by_kind: Vec<KindCount>,
    /// Records past their due day and not done.
    #[schema(minimum = 0)]
    pub overdue: i64,
    /// Records whose review is due.
    #[schema(minimum = 0)]
    pub review_due: i64,
    /// Open risks by level.
    pub risk_levels: RiskLevels,
    /// What stands against risks.
    pub treatments: TreatmentNumbers,
    /// The statement of applicability in numbers: of the scope that was asked for, else of the only
    /// one there is.
    #[schema(required)]
    pub soa: Option<SoaSummary>,
    /// The scope of that statement.
    #[schema(required)]
    pub soa_scope_id: Option<Id>,
    /// Evidence in numbers.
    pub evidence: EvidenceNumbers,
    /// Vulnerabilities in numbers.
    pub vulnerabilities: VulnerabilityLevels,
    /// Nonconformities by state.
    #[schema(value_type = CountsByName)]
    pub nonconformities: BTreeMap<String, i64>,
    /// What comes next, nearest first, up to 20: due days, reviews, and the ends of acceptances and
    /// of evidence.
    #[schema(max_items = 20)]
    pub upcoming: Vec<Upcoming>,
    /// The ledger's last position that it was computed from.
    #[schema(minimum = -1)]
    pub position: i64,
}

/// What can be asked of `getOverview`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OverviewQuery {
    /// Only this scope and what belongs to the whole organization: id or code.
    #[param(inline)]
    scope_id: Option<ScopeRef>,
}

async fn get_overview(
    guard: Guard<Viewing<View>>,
    query: ViewQuery<OverviewQuery>,
) -> Result<Answer> {
    let cut = Cut(query.own.scope_id);
    guard
        .view(query.as_of, move |reader| {
            let scope = cut.scope(reader)?;
            Answer::of(&compute(reader, scope)?)
        })
        .await
}

/// The overview at the reader's moment.
pub fn compute(reader: &mut Reader<'_>, scope: Option<Id>) -> Result<Overview> {
    let basis = Basis::read(reader, scope)?;
    let (mut open_by_kind, mut nonconformities) = (Vec::new(), BTreeMap::new());
    let (mut overdue, mut review_due, mut next) = (0, 0, upcoming::Nearest::default());
    for kind in reader.kinds().all().iter().filter(|kind| kind.counted) {
        let mut all: BTreeMap<&'static str, i64> = BTreeMap::new();
        for stub in basis.stubs(kind) {
            *all.entry(stub.status).or_default() += 1;
            if !kind.finished(stub.status) {
                overdue += i64::from(stub.due_on.is_some_and(|day| day < basis.today));
                review_due += i64::from(stub.review_due_on.is_some_and(|day| day <= basis.today));
                next.take(kind, stub, basis.today);
            }
        }
        let all = all
            .into_iter()
            .map(|(status, count)| (status.to_owned(), count));
        let all: BTreeMap<String, i64> = all.collect();
        if kind.name == "nonconformity" {
            nonconformities.clone_from(&all);
        }
        let (finished, by_status): (BTreeMap<String, i64>, BTreeMap<String, i64>) = all
            .into_iter()
            .partition(|(status, _)| kind.finished(status));
        let (total, done) = (by_status.values().sum(), finished.values().sum());
        open_by_kind.push(KindCount {
            kind: kind.name.to_owned(),
            by_status,
            total,
            done,
        });
    }
    let soa_scope_id = scope.or_else(|| only_scope(&basis));
    let soa = match (soa_scope_id, catalogue::framework(catalogue::ISO_27001)) {
        // A key whose limits say nothing of decisions has no statement.
        (Some(scope), Some(framework))
            if Applicability::KIND.read_with(&reader.caller().limits) =>
        {
            Some(soa::numbers(reader, scope, framework)?)
        }
        _ => None,
    };
    let position = if reader.moment.past() {
        reader.moment.seq
    } else {
        reader.moment.last
    };
    let in_force = InForce::seen(reader)?.levels(scope);
    let levels = |stage| levels(&basis, stage, in_force.clone());
    let ((inherent, inherent_not_assessed), (current, current_not_assessed)) =
        (levels(MatrixStage::Inherent), levels(MatrixStage::Current));
    let risk_levels = RiskLevels {
        inherent,
        current,
        inherent_not_assessed,
        current_not_assessed,
    };
    let (treatments, holding) = treatments(reader, &basis)?;
    next.acceptances(&basis, &holding);
    next.evidence(&basis, reader.settings.evidence_days);
    Ok(Overview {
        open_by_kind,
        overdue,
        review_due,
        risk_levels,
        treatments,
        soa,
        soa_scope_id,
        evidence: evidence(reader, &basis),
        vulnerabilities: vulnerabilities(&basis),
        nonconformities,
        upcoming: next.named(reader)?,
        position,
    })
}

/// The scope of the organization, where there is but one in use.
fn only_scope(basis: &Basis) -> Option<Id> {
    let kind = &Scope::KIND;
    let mut in_use = basis.stubs(kind).filter(|stub| !kind.finished(stub.status));
    in_use
        .next()
        .map(|stub| stub.id)
        .filter(|_| in_use.next().is_none())
}

/// The open risks at each level, 0 where a level of a methodology in force has none; and those
/// without a score.
fn levels(
    basis: &Basis,
    stage: MatrixStage,
    mut all: BTreeMap<String, i64>,
) -> (BTreeMap<String, i64>, i64) {
    let mut not_assessed = 0;
    let open = basis
        .facts
        .risks
        .iter()
        .filter(|risk| risk.stub.status == "open");
    for risk in open.filter(|risk| basis.here("risk", &risk.stub)) {
        match &stage.of(&risk.own).level {
            Some(level) => match all.get_mut(&**level) {
                Some(count) => *count += 1,
                None => drop(all.insert(level.to_string(), 1)),
            },
            None => not_assessed += 1,
        }
    }
    (all, not_assessed)
}

/// Acceptances that end within so many days are expiring.
const SOON: Days = Days::new(30);

/// What stands against risks, and the acceptances that hold.
fn treatments(
    reader: &mut Reader<'_>,
    basis: &Basis,
) -> Result<(TreatmentNumbers, Vec<Acceptance>)> {
    let kind = RiskTreatment::KIND.name;
    let here = || {
        basis
            .facts
            .treatments
            .iter()
            .filter(|one| basis.here(kind, &one.stub))
    };
    let moving = |one: &Stub| ["approved", "in_progress"].contains(&one.status);
    let underway = here().filter(|one| moving(&one.stub)).count() as i64;
    let mut holding: Vec<Acceptance> = here().filter_map(Acceptance::of_fact).collect();
    let lapsed = lapse::of(reader, &holding)?;
    holding.retain(|one| !lapsed.contains_key(&one.id));
    let soon = basis.today.checked_add_days(SOON).unwrap_or(NaiveDate::MAX);
    let expiring = holding
        .iter()
        .filter(|one| one.approval.expires_on <= soon)
        .count() as i64;
    Ok((
        TreatmentNumbers {
            underway,
            accepted: holding.len() as i64,
            lapsed: lapsed.len() as i64,
            expiring,
        },
        holding,
    ))
}

fn evidence(reader: &Reader<'_>, basis: &Basis) -> EvidenceNumbers {
    let (facts, pieces) = (&basis.facts, &Evidence::KIND);
    let standing =
        |piece: &&Fact<Piece>| !piece.own.superseded && basis.here(pieces.name, &piece.stub);
    let proofs = Proofs::of(facts, reader, basis.seen(pieces));
    let mut numbers = EvidenceNumbers {
        standing: facts.evidence.iter().filter(standing).count() as i64,
        ..EvidenceNumbers::default()
    };
    for (place, control) in facts.controls.iter().enumerate() {
        if basis.here(Control::KIND.name, &control.stub) {
            match proofs.operation(place, &control.own) {
                Operation::Operating => numbers.controls_current += 1,
                Operation::Stale => numbers.controls_expired += 1,
                Operation::Failing => numbers.controls_failing += 1,
                Operation::Unproven => {}
            }
        }
    }
    numbers
}

fn vulnerabilities(basis: &Basis) -> VulnerabilityLevels {
    let kind = Vulnerability::KIND.name;
    let here = basis
        .facts
        .vulnerabilities
        .iter()
        .filter(|weak| basis.here(kind, &weak.stub));
    let found = summary::numbers(here, basis.today);
    let some = |count: &dyn Fn(&VulnerabilityNumbers) -> i64| {
        let word =
            |numbers: &VulnerabilityNumbers| <&'static str>::from(numbers.severity).to_owned();
        found
            .iter()
            .map(|numbers| (word(numbers), count(numbers)))
            .filter(|(_, n)| *n > 0)
            .collect()
    };
    VulnerabilityLevels {
        open: some(&|numbers| numbers.open),
        overdue: some(&|numbers| numbers.overdue),
    }
}

/// Mounts them.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.get("/v1/overview", get_overview)
        .id("getOverview")
        .says(
            "Get the overview",
            "A dashboard's home in one request, live or as of a moment; cut \
            to a scope with `scope_id`.",
        )
        .as_of()
        .query::<OverviewQuery>()
        .answers::<Overview>("The overview.");
}
