//! Nonconformities (ISO/IEC 27001:2022 10.2): open → contained → analysed → action_planned → implemented → verified → closed. What did not help
//! goes back to analysed, in the next iteration; whoever did the work does not verify it.
use crate::access::Actor;
use crate::core::{Code, Id, Problem, Result, VersionKey};
use crate::db::{Conn, schema::links as l, schema::nonconformities as n, schema::versions as v};
use crate::http::describe::Changed;
use crate::http::handlers::Comment;
use crate::http::{Analyse, Answer, At, Close, Contain, Guard, Implement, Input, Plan, Return, Verify, transit};
use crate::records::ask::Moments;
use crate::records::{
    Comment as Needs, Condition, Covers, Kind, Known, Record, Relation, Resource, Stored, Transition, Tx, unasked, unasked_flag,
};
use actix_web::post;
use chrono::NaiveDate;
use diesel::{dsl::exists, prelude::*};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use validator::Validate;

crate::vocabulary! {
    /// How it was found.
    pub enum IdentifiedThrough { Audit, Incident, Monitoring, Review, Violation, Complaint, Supplier }
}
crate::vocabulary! {
    /// How bad it is.
    pub enum Severity { Observation, Minor, Major }
}

/// What clients say about a nonconformity.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nonconformity {
    /// What was found.
    #[validate(length(max = 4000))]
    #[schema(max_length = 4000)]
    pub description: Option<String>,
    /// How it was found.
    pub identified_through: IdentifiedThrough,
    /// How bad it is.
    pub severity: Severity,
    /// The requirements that are not met.
    #[serde(default)]
    #[validate(length(max = 200))]
    #[schema(max_items = 200, max_length = 120)]
    pub requirements: Vec<String>,
    /// The day on which it was found.
    pub detected_on: NaiveDate,
    /// What was done about it at once.
    #[validate(length(max = 4000))]
    #[schema(max_length = 4000)]
    pub correction: Option<String>,
    /// Why it happened.
    #[validate(length(max = 4000))]
    #[schema(max_length = 4000)]
    pub root_cause: Option<String>,
    /// Where else it is, or may be.
    #[validate(length(max = 4000))]
    #[schema(max_length = 4000)]
    pub similar_cases: Option<String>,
    /// What it led to.
    #[validate(length(max = 4000))]
    #[schema(max_length = 4000)]
    pub consequences: Option<String>,
}

/// What the server says about a nonconformity.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Course {
    /// How often its cause was sought.
    #[schema(minimum = 1)]
    pub iteration: i32,
    /// Did what was done help?
    #[schema(required)]
    pub effective: Option<bool>,
    /// Who said that it was implemented.
    #[schema(required)]
    pub implemented_by: Option<Actor>,
    /// Who verified it.
    #[schema(required)]
    pub verified_by: Option<Actor>,
}
impl Default for Course {
    fn default() -> Self {
        Course { iteration: 1, effective: None, implemented_by: None, verified_by: None }
    }
}

/// What a list of nonconformities can be filtered by.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NonconformityFilter {
    /// Found in any of these ways.
    #[param(max_items = 10)]
    pub identified_through: Vec<IdentifiedThrough>,
    /// Any of these severities.
    #[param(max_items = 10)]
    pub severity: Vec<Severity>,
    /// Found on this day or later.
    pub detected_on_since: Option<NaiveDate>,
    /// Found before this day.
    pub detected_on_before: Option<NaiveDate>,
}

/// The state machine. `verify` leads to verified when it helped; when it did not, [`verified`] sends it back to analysed.
const STATES: &[Transition] = &[
    Transition { verb: "contain", from: &["open"], to: "contained", comment: Needs::Optional },
    Transition { verb: "analyse", from: &["contained"], to: "analysed", comment: Needs::Optional },
    Transition { verb: "plan", from: &["analysed"], to: "action_planned", comment: Needs::Optional },
    Transition { verb: "implement", from: &["action_planned"], to: "implemented", comment: Needs::Optional },
    Transition { verb: "verify", from: &["implemented"], to: "verified", comment: Needs::Optional },
    Transition { verb: "close", from: &["verified"], to: "closed", comment: Needs::Optional },
    Transition { verb: "return", from: &["contained"], to: "open", comment: Needs::Required },
    Transition { verb: "return", from: &["analysed"], to: "contained", comment: Needs::Required },
    Transition { verb: "return", from: &["action_planned"], to: "analysed", comment: Needs::Required },
    Transition { verb: "return", from: &["implemented"], to: "action_planned", comment: Needs::Required },
    Transition { verb: "return", from: &["verified"], to: "implemented", comment: Needs::Required },
];

impl Resource for Nonconformity {
    const KIND: Kind = Kind {
        name: "nonconformity",
        path: "nonconformities",
        code: "NCR",
        about: "Nonconformities and their correction (10.2).",
        initial: "open",
        transitions: STATES,
        relations: &[Relation::new("identified_in_id", ""), Relation::acyclic("recurrence_of_id", "nonconformity")],
        cites: true,
        ..Kind::PLAIN
    };
    type State = Course;
    fn example() -> Value {
        json!({"name": "Access of leavers not withdrawn", "description": "Two leavers still had access after a week.", "identified_through": "audit",
            "severity": "minor", "requirements": ["iso-27001-2022:A.5.18"], "detected_on": "2026-11-02"})
    }
    fn rank(record: &Record<Self>) -> Option<i32> {
        Some(record.own.severity as i32)
    }
    fn changeable(record: &Record<Self>) -> Result<()> {
        match record.spine.status.as_str() {
            "closed" => Err(Problem::new(Code::IllegalTransition, "What is closed stays as it is; record a recurrence.")),
            _ => Ok(()),
        }
    }
    fn requirements(&self) -> &[String] {
        &self.requirements
    }
}

impl Stored for Nonconformity {
    type Filter = NonconformityFilter;
    fn insert((tenant, id, version): VersionKey, record: &Record<Self>, conn: &mut Conn) -> QueryResult<usize> {
        let (own, key) = (&record.own, (n::tenant_id.eq(tenant), n::id.eq(id), n::version.eq(version)));
        let row = (key, n::identified_through.eq(own.identified_through), n::severity.eq(own.severity), n::detected_on.eq(own.detected_on));
        diesel::insert_into(n::table).values(row).execute(conn)
    }
    fn matching(filter: &NonconformityFilter, _: &Moments) -> Condition {
        let own = n::table.filter(n::tenant_id.eq(v::tenant_id).and(n::id.eq(v::id)).and(n::version.eq(v::version)));
        let own = own.filter(n::identified_through.eq_any(filter.identified_through.clone()).or(unasked(&filter.identified_through)));
        let own = own.filter(n::severity.eq_any(filter.severity.clone()).or(unasked(&filter.severity)));
        let own = own.filter(n::detected_on.nullable().ge(filter.detected_on_since).or(unasked_flag(&filter.detected_on_since)));
        Box::new(exists(own.filter(n::detected_on.nullable().lt(filter.detected_on_before).or(unasked_flag(&filter.detected_on_before)))))
    }
}

/// The bodies of the steps; each member may stand in the record already.
macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident { $($(#[$member_doc:meta])* $member:ident),+ })+) => { $(
        $(#[$doc])*
        #[derive(Debug, Deserialize, Validate, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$member_doc])* #[validate(length(max = 4000))] #[schema(max_length = 4000)] pub $member: Option<String>,)+
            /// Why; it stands in the history.
            #[validate(length(max = 2000))]
            #[schema(max_length = 2000)]
            pub comment: Option<String>,
        }
        impl transit::Said for $name {
            fn comment(&self) -> Option<&str> { self.comment.as_deref() }
        }
    )+ };
}
steps! {
    /// What was done at once; or, in the comment, why nothing had to be.
    Containment {
        /// What was done at once.
        correction
    }
    /// Why it happened and where else it is; or, in the comment, why no cause need be removed.
    Analysis {
        /// Why it happened.
        root_cause,
        /// Where else it is, or may be.
        similar_cases
    }
}

/// Whether what was done helped.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"effective": true, "comment": "Ten leavers checked, none had access."}))]
pub struct Verification {
    /// Did it help? If not, the nonconformity goes back to its analysis.
    pub effective: bool,
    /// What was looked at.
    #[validate(length(max = 2000))]
    #[schema(max_length = 2000)]
    pub comment: Option<String>,
}
impl transit::Said for Verification {
    fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }
}

/// Contain a nonconformity
///
/// Says what was done at once (`correction`); it may be skipped with a comment that says why.
#[utoipa::path(operation_id = "containNonconformity", tag = "nonconformities", security(("bearer" = [])), request_body = Containment, responses(Changed<Nonconformity>),
    params(("id" = String, Path, description = "The nonconformity: its id or its code.", max_length = 64), crate::http::document::Conditional))]
#[post("/v1/nonconformities/{id}/contain")]
pub async fn contain(guard: Guard<Contain<Nonconformity>>, at: At, known: Known, input: Input) -> Result<Answer> {
    let change = |_: &mut Tx<'_, _>, record: &mut Record<Nonconformity>, said: Containment| {
        record.own.correction = said.correction.or(record.own.correction.take());
        given(record.own.correction.is_some() || said.comment.is_some(), "/correction")
    };
    transit::transit(guard, (at, known, input), "contain", transit::anyone, change).await
}

/// Analyse a nonconformity
///
/// Says why it happened and where else it is (`root_cause`, `similar_cases`), or why no cause need be removed.
#[utoipa::path(operation_id = "analyseNonconformity", tag = "nonconformities", security(("bearer" = [])), request_body = Analysis, responses(Changed<Nonconformity>),
    params(("id" = String, Path, description = "The nonconformity: its id or its code.", max_length = 64), crate::http::document::Conditional))]
#[post("/v1/nonconformities/{id}/analyse")]
pub async fn analyse(guard: Guard<Analyse<Nonconformity>>, at: At, known: Known, input: Input) -> Result<Answer> {
    let change = |_: &mut Tx<'_, _>, record: &mut Record<Nonconformity>, said: Analysis| {
        let own = &mut record.own;
        own.root_cause = said.root_cause.or(own.root_cause.take());
        own.similar_cases = said.similar_cases.or(own.similar_cases.take());
        let explained = said.comment.is_some();
        let missing = [(own.root_cause.is_some(), "/root_cause"), (own.similar_cases.is_some(), "/similar_cases")];
        let faults = missing.iter().filter(|(there, _)| !there && !explained);
        let faults: Vec<_> =
            faults.map(|(_, at)| crate::core::Invalid::body(*at, "required", "is needed, or a comment that says why not")).collect();
        if faults.is_empty() { Ok(()) } else { Err(Problem::invalid(faults)) }
    };
    transit::transit(guard, (at, known, input), "analyse", transit::anyone, change).await
}

/// Plan what is done about a nonconformity
///
/// At least one action whose `origin_id` is this nonconformity has to stand.
#[utoipa::path(operation_id = "planNonconformity", tag = "nonconformities", security(("bearer" = [])), request_body = Option<Comment>, responses(Changed<Nonconformity>),
    params(("id" = String, Path, description = "The nonconformity: its id or its code.", max_length = 64), crate::http::document::Conditional))]
#[post("/v1/nonconformities/{id}/plan")]
pub async fn plan(guard: Guard<Plan<Nonconformity>>, at: At, known: Known, input: Input) -> Result<Answer> {
    let change = |tx: &mut Tx<'_, Plan<Nonconformity>>, record: &mut Record<Nonconformity>, _: Comment| {
        planned(&actions_of(tx, record.spine.id)?, record.state.iteration)
    };
    transit::transit(guard, (at, known, input), "plan", transit::anyone, change).await
}

/// Say that a nonconformity's actions are done
///
/// Every action that was planned is done (or cancelled, with one done at least).
#[utoipa::path(operation_id = "implementNonconformity", tag = "nonconformities", security(("bearer" = [])), request_body = Option<Comment>, responses(Changed<Nonconformity>),
    params(("id" = String, Path, description = "The nonconformity: its id or its code.", max_length = 64), crate::http::document::Conditional))]
#[post("/v1/nonconformities/{id}/implement")]
pub async fn implement(guard: Guard<Implement<Nonconformity>>, at: At, known: Known, input: Input) -> Result<Answer> {
    let change = |tx: &mut Tx<'_, Implement<Nonconformity>>, record: &mut Record<Nonconformity>, _: Comment| {
        record.state.implemented_by = Some(tx.caller().actor.clone());
        implemented(&actions_of(tx, record.spine.id)?)
    };
    transit::transit(guard, (at, known, input), "implement", transit::anyone, change).await
}

/// Verify what was done about a nonconformity
///
/// By a person who implemented none of it. What did not help goes back to analysed, and the iteration grows.
#[utoipa::path(operation_id = "verifyNonconformity", tag = "nonconformities", security(("bearer" = [])), request_body = Verification, responses(Changed<Nonconformity>),
    params(("id" = String, Path, description = "The nonconformity: its id or its code.", max_length = 64), crate::http::document::Conditional))]
#[post("/v1/nonconformities/{id}/verify")]
pub async fn verify(guard: Guard<Verify<Nonconformity>>, at: At, known: Known, input: Input) -> Result<Answer> {
    let another = |tx: &mut Tx<'_, Verify<Nonconformity>>, stored: &Record<Nonconformity>| {
        tx.another_than(stored.state.implemented_by.as_ref(), "implemented it")?;
        let me = tx.person()?;
        match actions_of(tx, stored.spine.id)?.iter().any(|action| action.owner == Some(me)) {
            true => Err(Problem::new(Code::SegregationOfDuties, "Who owns one of its actions cannot verify it; another person has to.")),
            false => Ok(()),
        }
    };
    let change = |tx: &mut Tx<'_, Verify<Nonconformity>>, record: &mut Record<Nonconformity>, said: Verification| {
        let by = tx.caller().actor.clone();
        record.spine.status = verified(&mut record.state, said.effective, by).to_owned();
        Ok(())
    };
    transit::transit(guard, (at, known, input), "verify", another, change).await
}

/// Close a nonconformity
///
/// What was verified is closed and stays as it is.
#[utoipa::path(operation_id = "closeNonconformity", tag = "nonconformities", security(("bearer" = [])), request_body = Option<Comment>, responses(Changed<Nonconformity>),
    params(("id" = String, Path, description = "The nonconformity: its id or its code.", max_length = 64), crate::http::document::Conditional))]
#[post("/v1/nonconformities/{id}/close")]
pub async fn close(guard: Guard<Close<Nonconformity>>, at: At, known: Known, input: Input) -> Result<Answer> {
    transit::transit::<Nonconformity, _, Comment>(guard, (at, known, input), "close", transit::a_person, transit::nothing).await
}

/// Send a nonconformity one step back
///
/// The comment says why.
#[utoipa::path(operation_id = "returnNonconformity", tag = "nonconformities", security(("bearer" = [])), request_body = Comment, responses(Changed<Nonconformity>),
    params(("id" = String, Path, description = "The nonconformity: its id or its code.", max_length = 64), crate::http::document::Conditional))]
#[post("/v1/nonconformities/{id}/return")]
pub async fn return_nonconformity(guard: Guard<Return<Nonconformity>>, at: At, known: Known, input: Input) -> Result<Answer> {
    transit::transit::<Nonconformity, _, Comment>(guard, (at, known, input), "return", transit::anyone, transit::nothing).await
}

fn given(there: bool, pointer: &str) -> Result<()> {
    if there { Ok(()) } else { Err(Problem::invalid_one(pointer, "required", "is needed, or a comment that says why not")) }
}

/// An action that a nonconformity led to, as its rules need it.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct Led {
    status: String,
    owner: Option<Id>,
}

fn actions_of<P: Covers<Nonconformity>>(tx: &mut Tx<'_, P>, id: Id) -> Result<Vec<Led>> {
    let tenant = tx.caller().tenant;
    let led = v::table.inner_join(l::table.on(l::tenant_id.eq(v::tenant_id).and(l::from_id.eq(v::id))));
    let led = led.filter(v::tenant_id.eq(tenant).and(v::kind.eq("action")).and(v::archived_at.is_null()));
    let led = led.filter(l::relation.eq("origin_id").and(l::to_id.eq(id)).and(l::to_seq.eq(crate::db::dialect::OPEN)));
    Ok(led.filter(v::to_seq.eq(crate::db::dialect::OPEN)).select((v::status, v::owner_id)).load(tx.conn())?)
}

/// Pure: may it be called planned? What did not help before is no plan for the next iteration.
fn planned(actions: &[Led], iteration: i32) -> Result<()> {
    let counts = |action: &Led| action.status != "cancelled" && (iteration == 1 || action.status != "done");
    match actions.iter().any(counts) {
        true => Ok(()),
        false => Err(Problem::new(Code::IllegalTransition, "A plan needs an action: create one with this nonconformity as `origin_id`.")
            .allowing(["return"])),
    }
}

/// Pure: may it be called implemented?
fn implemented(actions: &[Led]) -> Result<()> {
    let open = actions.iter().filter(|action| !["done", "cancelled"].contains(&action.status.as_str())).count();
    match (open, actions.iter().any(|action| action.status == "done")) {
        (0, true) => Ok(()),
        (0, false) => Err(Problem::new(Code::IllegalTransition, "None of its actions is done.").allowing(["return"])),
        (n, _) => Err(Problem::new(Code::IllegalTransition, format!("{n} of its actions are not done.")).allowing(["return"])),
    }
}

/// Pure: where a verification leads.
fn verified(course: &mut Course, effective: bool, by: Actor) -> &'static str {
    (course.effective, course.verified_by) = (Some(effective), Some(by));
    if effective {
        return "verified";
    }
    course.iteration += 1;
    course.implemented_by = None;
    "analysed"
}

/// Mounts what is particular to nonconformities.
pub fn actions(api: &mut crate::http::Api<'_>) {
    api.service(contain);
    api.service(analyse);
    api.service(plan);
    api.service(implement);
    api.service(verify);
    api.service(close);
    api.service(return_nonconformity);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::ActorKind;

    fn led(status: &str) -> Led {
        Led { status: status.into(), owner: None }
    }

    #[test]
    fn a_plan_needs_an_action_and_its_end_all_of_them() {
        assert!(planned(&[], 1).is_err() && planned(&[led("cancelled")], 1).is_err() && planned(&[led("open")], 1).is_ok());
        assert!(
            planned(&[led("done")], 1).is_ok() && planned(&[led("done")], 2).is_err() && planned(&[led("done"), led("open")], 2).is_ok()
        );
        assert!(implemented(&[led("done"), led("cancelled")]).is_ok());
        for bad in [vec![], vec![led("cancelled")], vec![led("done"), led("open")], vec![led("in_progress")]] {
            assert!(implemented(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_did_not_help_is_analysed_again() {
        let by = Actor { kind: ActorKind::User, id: Id::new(), name: "x".into(), person_id: None };
        let mut course = Course { implemented_by: Some(by.clone()), ..Course::default() };
        assert_eq!(verified(&mut course, false, by.clone()), "analysed");
        assert_eq!((course.iteration, course.effective, course.implemented_by.clone()), (2, Some(false), None));
        assert_eq!(verified(&mut course, true, by), "verified");
        assert_eq!(course.iteration, 2);
    }

    #[test]
    fn every_state_but_the_last_leads_on() {
        let kind = Nonconformity::KIND;
        assert_eq!(kind.statuses(), ["open", "contained", "analysed", "action_planned", "implemented", "verified", "closed"]);
        for status in kind.statuses() {
            assert_eq!(kind.allowed(status).next().is_none(), status == "closed", "{status}");
        }
        assert!(kind.transition("plan", "open").is_err_and(|problem| problem.is(Code::IllegalTransition)));
    }
}
