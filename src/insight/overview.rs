//! The overview: a dashboard's home in one request (ISO/IEC 27001:2022 9.1). Every number is cut to
//! what the caller may see.
use super::upcoming::{self, Upcoming};
use crate::core::{Id, Instant, Result, catalogue};
use crate::db::dialect::at;
use crate::db::schema::{controls as c, evidence as ev, links as l, versions as v};
use crate::http::{Answer, Guard, Overview as View, View as Viewing, ViewQuery};
use crate::records::{Condition, Reader, Resource, kind, list, sight};
use crate::registers::control::proof as support;
use crate::registers::control::proof::Operation;
use crate::registers::control::{Implementation, Responsibility};
use crate::registers::methodology::in_force::InForce;
use crate::registers::risk::matrix::{self, MatrixStage};
use crate::registers::scope::Scope;
use crate::registers::scope::ScopeRef;
use crate::registers::soa::applicability::Applicability;
use crate::registers::soa::{self, SoaSummary};
use crate::registers::treatment::lapse;
use crate::registers::treatment::lapse::Acceptance;
use crate::registers::treatment::standing as against;
use crate::registers::vulnerability::summary;
use crate::registers::vulnerability::summary::VulnerabilityNumbers;
use actix_web::HttpRequest;
use chrono::{Days, NaiveDate};
use diesel::dsl::count_star;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
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

async fn get_overview(guard: Guard<Viewing<View>>, request: HttpRequest) -> Result<Answer> {
    let query = ViewQuery::<OverviewQuery>::read(&request)?;
    let scope = query.own.scope_id;
    guard
        .view(query.as_of, move |reader| {
            let scope = scope.map(|scope| scope.id(reader)).transpose()?;
            Answer::of(&compute(reader, scope)?)
        })
        .await
}

fn compute(reader: &mut Reader<'_>, scope: Option<Id>) -> Result<Overview> {
    let (mut open_by_kind, mut nonconformities) = (Vec::new(), BTreeMap::new());
    let (mut overdue, mut review_due, mut upcoming) = (0, 0, Vec::new());
    for kind in kind::all().iter().filter(|kind| kind.counted) {
        let standing = |reader: &Reader<'_>| standing(reader, kind.name, scope);
        let counts = v::table
            .filter(standing(reader))
            .group_by(v::status)
            .select((v::status, count_star()))
            .order(v::status);
        let all: BTreeMap<String, i64> = counts
            .load::<(String, i64)>(reader.conn())?
            .into_iter()
            .collect();
        let late = v::table
            .filter(standing(reader))
            .filter(list::late(kind, reader.today));
        overdue += late.select(count_star()).get_result::<i64>(reader.conn())?;
        let reviews = v::table
            .filter(standing(reader))
            .filter(list::unfinished(kind));
        let reviews = reviews.filter(
            v::review_due_on
                .is_not_null()
                .and(v::review_due_on.assume_not_null().le(reader.today)),
        );
        review_due += reviews
            .select(count_star())
            .get_result::<i64>(reader.conn())?;
        upcoming.extend(upcoming::of_kind(reader, kind, scope)?);
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
    let soa_scope_id = match scope {
        Some(scope) => Some(scope),
        None => only_scope(reader)?,
    };
    let soa = match (soa_scope_id, catalogue::framework(catalogue::ISO_27001)) {
        // A key whose limits say nothing of decisions has no statement.
        (Some(scope), Some(framework))
            if Applicability::KIND.read_with(&reader.caller().limits) =>
        {
            Some(soa::compute(reader, scope, framework)?.summary)
        }
        _ => None,
    };
    let position = if reader.moment.past() {
        reader.moment.seq
    } else {
        reader.moment.last
    };
    let ((inherent, inherent_not_assessed), (current, current_not_assessed)) = (
        levels(reader, MatrixStage::Inherent, scope)?,
        levels(reader, MatrixStage::Current, scope)?,
    );
    let risk_levels = RiskLevels {
        inherent,
        current,
        inherent_not_assessed,
        current_not_assessed,
    };
    let (treatments, holding) = treatments(reader, scope)?;
    let (evidence, vulnerabilities) = (evidence(reader, scope)?, vulnerabilities(reader, scope)?);
    upcoming.extend(upcoming::of_acceptances(reader, &holding)?);
    upcoming.extend(upcoming::of_evidence(reader, scope)?);
    let upcoming = upcoming::nearest(upcoming);
    Ok(Overview {
        open_by_kind,
        overdue,
        review_due,
        risk_levels,
        treatments,
        soa,
        soa_scope_id,
        evidence,
        vulnerabilities,
        nonconformities,
        upcoming,
        position,
    })
}

/// The scope of the organization, where there is but one in use.
fn only_scope(reader: &mut Reader<'_>) -> Result<Option<Id>> {
    let in_use = v::table
        .filter(standing(reader, Scope::KIND.name, None))
        .filter(list::unfinished(&Scope::KIND));
    let some: Vec<Id> = in_use.select(v::id).limit(2).load(reader.conn())?;
    Ok(some.first().copied().filter(|_| some.len() == 1))
}

/// What stands of a kind, of a scope and of the whole organization.
pub fn standing(reader: &Reader<'_>, kind: &'static str, scope: Option<Id>) -> Condition {
    let living: Condition = Box::new(v::archived_at.is_null());
    let all = sight::both(reader.seen(kind), living);
    match scope.filter(|_| kind != "scope") {
        Some(scope) => sight::both(all, sight::scoped(&[scope], reader.moment.seq)),
        None => all,
    }
}

/// The open risks at each level, 0 where a level of a methodology in force has none; and those
/// without a score.
fn levels(
    reader: &mut Reader<'_>,
    stage: MatrixStage,
    scope: Option<Id>,
) -> Result<(BTreeMap<String, i64>, i64)> {
    let mut all = InForce::seen(reader)?.levels(scope);
    let mut not_assessed = 0;
    for (.., level) in matrix::scores(reader, stage, scope)? {
        match level {
            Some(level) => *all.entry(level).or_default() += 1,
            None => not_assessed += 1,
        }
    }
    Ok((all, not_assessed))
}

/// Acceptances that end within so many days are expiring.
const SOON: Days = Days::new(30);

/// What stands against risks, and the acceptances that hold.
fn treatments(
    reader: &mut Reader<'_>,
    scope: Option<Id>,
) -> Result<(TreatmentNumbers, Vec<Acceptance>)> {
    let decided = v::table
        .filter(standing(reader, "risk_treatment", scope))
        .filter(v::status.eq_any(["approved", "in_progress", "accepted", "revoked"]));
    let all: Vec<(Id, i32, String, Instant)> = decided
        .select((v::id, v::version, v::status, v::updated_at))
        .load(reader.conn())?;
    let mut holding = against::acceptances(reader, &all)?;
    let underway = (all.len() - holding.len()) as i64;
    let lapsed = lapse::of(reader, &holding)?;
    holding.retain(|one| !lapsed.contains_key(&one.id));
    let soon = reader
        .today
        .checked_add_days(SOON)
        .unwrap_or(NaiveDate::MAX);
    let expiring = holding.iter().filter(|one| one.expires_on <= soon).count() as i64;
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

fn evidence(reader: &mut Reader<'_>, scope: Option<Id>) -> Result<EvidenceNumbers> {
    let superseded = ev::table.filter(
        ev::tenant_id
            .eq(v::tenant_id)
            .and(ev::id.eq(v::id))
            .and(ev::version.eq(v::version))
            .and(ev::superseded_by_id.is_not_null()),
    );
    let standing = v::table
        .filter(standing(reader, "evidence", scope))
        .filter(diesel::dsl::not(diesel::dsl::exists(superseded)));
    let standing: i64 = standing.select(count_star()).get_result(reader.conn())?;
    let own = c::table.inner_join(
        v::table.on(v::tenant_id
            .eq(c::tenant_id)
            .and(v::id.eq(c::id))
            .and(v::version.eq(c::version))),
    );
    let own = own
        .filter(v::tenant_id.eq(reader.tenant()))
        .filter(at(reader.moment.seq))
        .select((c::id, c::implementation, c::responsibility));
    let mut controls: Vec<(Id, Implementation, Responsibility)> = own.load(reader.conn())?;
    let here = v::table
        .filter(self::standing(reader, "control", scope))
        .select(v::id);
    let here: BTreeSet<Id> = here.load(reader.conn())?.into_iter().collect();
    controls.retain(|(id, ..)| here.contains(id));
    let proofs = support::proofs(reader, None)?;
    let operates = |(id, implementation, responsibility): &(Id, Implementation, Responsibility)| {
        let proofs = proofs.get(id).map(Vec::as_slice).unwrap_or_default();
        support::operation(
            *implementation == Implementation::Implemented,
            *responsibility,
            proofs,
        )
    };
    let operations: Vec<Operation> = controls.iter().map(operates).collect();
    let count = |of: Operation| operations.iter().filter(|one| **one == of).count() as i64;
    Ok(EvidenceNumbers {
        standing,
        controls_current: count(Operation::Operating),
        controls_expired: count(Operation::Stale),
        controls_failing: count(Operation::Failing),
    })
}

fn vulnerabilities(reader: &mut Reader<'_>, scope: Option<Id>) -> Result<VulnerabilityLevels> {
    let found = summary::numbers(reader, &|reader| standing(reader, "vulnerability", scope))?;
    let some = |count: &dyn Fn(&VulnerabilityNumbers) -> i64| {
        let word =
            |numbers: &VulnerabilityNumbers| <&'static str>::from(numbers.severity).to_owned();
        found
            .iter()
            .map(|numbers| (word(numbers), count(numbers)))
            .filter(|(_, n)| *n > 0)
            .collect()
    };
    Ok(VulnerabilityLevels {
        open: some(&|numbers| numbers.open),
        overdue: some(&|numbers| numbers.overdue),
    })
}

/// Records of a kind that belong to other scopes alone.
pub fn elsewhere(reader: &mut Reader<'_>, kind: &'static str, scope: Id) -> Result<BTreeSet<Id>> {
    elsewhere_of(reader, &[kind], scope)
}
/// The same for several kinds: one query.
pub fn elsewhere_of(
    reader: &mut Reader<'_>,
    kinds: &[&'static str],
    scope: Id,
) -> Result<BTreeSet<Id>> {
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    let scoped =
        l::table.inner_join(v::table.on(v::tenant_id.eq(l::tenant_id).and(v::id.eq(l::from_id))));
    let scoped = scoped.filter(
        l::tenant_id
            .eq(tenant)
            .and(l::relation.eq("scope_ids"))
            .and(l::from_seq.le(seq))
            .and(l::to_seq.gt(seq)),
    );
    let scoped = scoped
        .filter(v::kind.eq_any(kinds.to_vec()))
        .filter(at(seq));
    let pairs: Vec<(Id, Id)> = scoped.select((l::from_id, l::to_id)).load(reader.conn())?;
    let here: BTreeSet<Id> = pairs
        .iter()
        .filter(|(_, to)| *to == scope)
        .map(|(id, _)| *id)
        .collect();
    Ok(pairs
        .into_iter()
        .map(|(id, _)| id)
        .filter(|id| !here.contains(id))
        .collect())
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
