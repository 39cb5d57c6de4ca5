//! The rules of a treatment's life, without a database: what each option needs, what is put before
//! those who sign, and who may sign as what.
use crate::access::{Actor, Role};
use crate::core::{Code, Id, Instant, Invalid, Problem, Result};
use crate::records::links::References;
use crate::records::{Record, Resource};
use crate::registers::methodology::{AcceptBy, RiskMethodology};
use crate::registers::risk::assessment;
use crate::registers::risk::{Risk, RiskScore};
use crate::registers::treatment::{
    Capacity, ExpectedRisk, RiskTreatment, TreatmentBasis, TreatmentCourse, TreatmentOption,
};

/// What an option needs of the treatment itself.
pub fn faults(own: &RiskTreatment) -> Vec<Invalid> {
    let needs =
        |there: bool, at: &str, what: &str| (!there).then(|| Invalid::body(at, "required", what));
    let expected = || needs(own.expected.is_some(), "/expected", EXPECTED);
    let all = match own.option {
        TreatmentOption::Accept => {
            let (reason, end) = (own.justification.is_some(), own.expires_on.is_some());
            vec![
                needs(
                    reason,
                    "/justification",
                    "an acceptance requires a justification",
                ),
                needs(end, "/expires_on", "an acceptance requires an end date"),
            ]
        }
        TreatmentOption::Transfer => {
            let taken = own.counterparty.is_some();
            vec![
                needs(taken, "/counterparty", "say who takes over the risk"),
                expected(),
            ]
        }
        TreatmentOption::Mitigate | TreatmentOption::Avoid => vec![expected()],
    };
    all.into_iter().flatten().collect()
}
const EXPECTED: &str = "give the expected score of the risk";

/// What an option needs of what the treatment refers to.
pub fn linked_faults(own: &RiskTreatment, references: &References) -> Vec<Invalid> {
    let controls = references
        .get("control_ids")
        .is_some_and(|ids| !ids.is_empty());
    let planned = own
        .plan
        .as_ref()
        .is_some_and(|plan| !plan.trim().is_empty());
    let missing = own.option == TreatmentOption::Mitigate && !controls && !planned;
    let either = ["/control_ids", "/plan"].into_iter().filter(|_| missing);
    either
        .map(|at| Invalid::body(at, "required", "a mitigation requires controls or a plan"))
        .collect()
}

fn not_now(detail: impl Into<String>, allowed: &[&'static str]) -> Problem {
    Problem::new(Code::IllegalTransition, detail).allowing(allowed.iter().copied())
}

/// What would be signed now: whose risk it is, what would be left of it, and whose signature that
/// needs.
pub fn basis(
    treatment: &Record<RiskTreatment>,
    risk: &Record<Risk>,
    method: &Record<RiskMethodology>,
    by: (Instant, Actor),
) -> Result<TreatmentBasis> {
    let (code, own) = (&risk.spine.code, &treatment.own);
    if risk.spine.status != "open" || risk.spine.archived_at.is_some() {
        return Err(not_now(format!("{code} is closed or archived."), &[]));
    }
    let (owner, current) = (risk.links.one("owner_id"), risk.state.current.clone());
    let stale = |score: &RiskScore| {
        (score.methodology_id, score.methodology_revision)
            != (method.spine.id, method.state.revision)
    };
    let outdated = current.as_ref().is_some_and(stale);
    let unowned = || format!("{code} has no owner who could sign. Assign one first.");
    let unassessed = || format!("{code} is not assessed. Assess its current level first.");
    let old =
        || format!("The current score of {code} is from an earlier methodology. Assess it again.");
    let of_risk = [
        owner.is_none().then(unowned),
        current.is_none().then(unassessed),
        outdated.then(old),
    ];
    let of_risk: Vec<String> = of_risk.into_iter().flatten().collect();
    let scored = |pair: ExpectedRisk| assessment::score(method, (pair.likelihood, pair.impact), by);
    let expected = own.expected.and_then(scored);
    let present = current.as_ref().filter(|_| !outdated);
    let mut missing = missing(treatment, expected.as_ref(), present);
    if !missing.is_empty() {
        let of_risk = of_risk.into_iter();
        missing.extend(of_risk.map(|why| Invalid::body("/risk_id", "not_ready", why)));
        let detail = "Complete the treatment before you submit it: `errors` names everything that \
            is missing.";
        return Err(Problem::new(Code::NotReady, detail).listing(missing));
    }
    let (Some(owner), Some(current), true) = (owner, current, of_risk.is_empty()) else {
        return Err(not_now(of_risk.join(" "), &[]));
    };
    let score = expected.filter(|_| !own.accepts()).unwrap_or(current);
    let level = method.own.level(score.likelihood, score.impact);
    let level = level.ok_or_else(|| Problem::internal("a score without a level"))?;
    let authority = Some(level.accept_by).filter(|by| !level.acceptable && *by != AcceptBy::Owner);
    Ok(TreatmentBasis {
        risk_owner_id: owner,
        score,
        authority,
    })
}

/// Pure: what a treatment lacks to be put before those who sign (6.1.3 e): who does it, until when,
/// and that it does not make the risk worse.
fn missing(
    treatment: &Record<RiskTreatment>,
    expected: Option<&RiskScore>,
    current: Option<&RiskScore>,
) -> Vec<Invalid> {
    let (own, common) = (&treatment.own, &treatment.common);
    let (accepts, mitigates) = (own.accepts(), own.option == TreatmentOption::Mitigate);
    let worse = |(left, now): (&RiskScore, &RiskScore)| {
        left.score > now.score || left.level_rank > now.level_rank
    };
    let above = expected.zip(current).is_some_and(worse);
    let present = current
        .map(|now| format!("is above the current score ({}, {})", now.score, now.level))
        .unwrap_or_default();
    let other = |(left, now): (ExpectedRisk, &RiskScore)| {
        (left.likelihood, left.impact) != (now.likelihood, now.impact)
    };
    let other = own.expected.zip(current).is_some_and(other);
    let outside = own.expected.is_some() && expected.is_none();
    let unowned = mitigates && treatment.links.one("owner_id").is_none();
    let all = [
        (unowned, ["/owner_id", "required", UNOWNED]),
        (
            mitigates && common.due_on.is_none(),
            ["/due_on", "required", ENDLESS],
        ),
        (
            !accepts && own.expected.is_none(),
            ["/expected", "required", EXPECTED],
        ),
        (!accepts && outside, ["/expected", "range", OUTSIDE]),
        (!accepts && above, ["/expected", "above_current", &present]),
        (accepts && other, ["/expected", "not_current", OTHER]),
    ];
    let lacking = all.into_iter().filter(|(lacking, _)| *lacking);
    lacking
        .map(|(_, [at, code, what])| Invalid::body(at, code, what))
        .collect()
}
const UNOWNED: &str = "a mitigation requires an owner who carries it out";
const ENDLESS: &str = "a mitigation requires a due date";
const OUTSIDE: &str = "is outside the scales of the methodology in force";
const OTHER: &str = "an acceptance leaves the risk at its current score: remove this member";

/// 409 when what was submitted is not what is there any more.
pub fn unchanged(submitted: &TreatmentBasis, now: &TreatmentBasis) -> Result<()> {
    let key = |basis: &TreatmentBasis| {
        let score = &basis.score;
        (
            basis.risk_owner_id,
            score.likelihood,
            score.impact,
            score.methodology_id,
            score.methodology_revision,
        )
    };
    match key(submitted) == key(now) {
        true => Ok(()),
        false => Err(not_now(
            "The risk, its owner or the methodology has changed since the treatment was submitted. \
                Return it and submit it again.",
            &["return", "cancel"],
        )),
    }
}

/// As what this person signs; 403 where they may not.
pub fn capacity(
    course: &TreatmentCourse,
    basis: &TreatmentBasis,
    me: Id,
    roles: &[Role],
) -> Result<Capacity> {
    let duties = |why: &str| Err(Problem::new(Code::SegregationOfDuties, why));
    if course
        .signatures
        .iter()
        .any(|given| given.person.person_id == Some(me))
    {
        return duties("You have already signed. Another person has to give the second signature.");
    }
    match basis.authority {
        _ if me == basis.risk_owner_id => Ok(Capacity::Owner),
        None => Err(Problem::new(
            Code::NotAssigned,
            "Only the owner of the risk can sign this.",
        )),
        Some(authority) if !has(authority, roles) => {
            let needed = match authority {
                AcceptBy::Manager => "a manager or an approver",
                _ => "an approver",
            };
            Err(Problem::new(
                Code::NotAssigned,
                format!("Only the owner of the risk and {needed} can sign this."),
            ))
        }
        Some(_) if course.signed_as(Capacity::Authority) => {
            duties("It is already signed with authority. The owner of the risk has to sign now.")
        }
        Some(_) => Ok(Capacity::Authority),
    }
}

/// Does one of these roles have that authority? An approver has a manager's, too.
fn has(authority: AcceptBy, roles: &[Role]) -> bool {
    match authority {
        AcceptBy::Owner => true,
        AcceptBy::Manager => roles
            .iter()
            .any(|role| [Role::Manager, Role::Approver].contains(role)),
        AcceptBy::Approver => roles.contains(&Role::Approver),
    }
}

/// Are all signatures there that it needs?
pub fn complete(course: &TreatmentCourse, basis: &TreatmentBasis) -> bool {
    course.signed_as(Capacity::Owner)
        && (basis.authority.is_none() || course.signed_as(Capacity::Authority))
}

/// May it be called completed? A mitigation has shown what it did: the risk was assessed again
/// since it began.
pub fn completed(treatment: &Record<RiskTreatment>, risk: &Record<Risk>) -> Result<()> {
    let assessed = risk.state.current.as_ref().map(|score| score.assessed_at);
    let mitigates = treatment.own.option == TreatmentOption::Mitigate;
    if !mitigates || assessed > treatment.state.started_at {
        return Ok(());
    }
    let detail = format!(
        "Assess the current level of {} first: it was not assessed since the treatment began.",
        risk.spine.code
    );
    let allowed: Vec<&str> = RiskTreatment::KIND.allowed("in_progress").collect();
    Err(not_now(detail, &allowed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::ActorKind;
    use crate::registers::treatment::Signature;
    use serde_json::json;

    fn at() -> Instant {
        Instant::from_millis(0).unwrap_or_else(|| panic!("1970"))
    }
    fn by(person: Id) -> Actor {
        Actor {
            kind: ActorKind::ApiKey,
            id: Id::new(),
            name: "key".into(),
            person_id: Some(person),
        }
    }
    fn signed(person: Id, capacity: Capacity) -> Signature {
        Signature {
            person: by(person),
            capacity,
            at: at(),
            version: 2,
        }
    }
    fn basis(owner: Id, authority: Option<AcceptBy>) -> TreatmentBasis {
        let score = RiskScore {
            likelihood: 4,
            impact: 4,
            impacts: None,
            score: 16,
            level: "critical".into(),
            level_rank: 4,
            acceptable: false,
            methodology_id: Id::new(),
            methodology_revision: 1,
            assessed_at: at(),
            assessed_by: by(owner),
        };
        TreatmentBasis {
            risk_owner_id: owner,
            score,
            authority,
        }
    }
    fn treatment(more: serde_json::Value) -> RiskTreatment {
        serde_json::from_value(more).unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn each_option_needs_its_own() {
        for (body, missing) in [
            (
                json!({"option": "accept"}),
                &["/justification", "/expires_on"] as &[&str],
            ),
            (
                json!({"option": "transfer"}),
                &["/counterparty", "/expected"],
            ),
            (json!({"option": "avoid"}), &["/expected"]),
            (
                json!({"option": "mitigate", "expected": {"likelihood": 1, "impact": 1}}),
                &[],
            ),
        ] {
            let found = faults(&treatment(body));
            let found: Vec<&str> = found.iter().map(|fault| fault.pointer.as_str()).collect();
            assert_eq!(found, missing);
        }
        let none = References::new();
        let controls = References::from([("control_ids", vec!["CTL-1".to_owned()])]);
        for (body, references, many) in [
            (json!({"option": "mitigate", "plan": " "}), &none, 2),
            (json!({"option": "mitigate"}), &controls, 0),
            (json!({"option": "avoid"}), &none, 0),
        ] {
            assert_eq!(linked_faults(&treatment(body), references).len(), many);
        }
    }

    #[test]
    fn two_different_persons_sign_above_the_criteria() {
        let (owner, boss, other) = (Id::new(), Id::new(), Id::new());
        let course = |signatures| TreatmentCourse {
            signatures,
            ..TreatmentCourse::default()
        };
        let (high, low) = (basis(owner, Some(AcceptBy::Approver)), basis(owner, None));
        let owned = course(vec![signed(owner, Capacity::Owner)]);
        let decided = course(vec![signed(boss, Capacity::Authority)]);
        let none = course(vec![]);
        let signs = |course: &TreatmentCourse, who, role| capacity(course, &high, who, &[role]);
        assert_eq!(
            signs(&none, owner, Role::Approver).ok(),
            Some(Capacity::Owner)
        );
        assert_eq!(
            signs(&none, boss, Role::Approver).ok(),
            Some(Capacity::Authority)
        );
        assert!(
            signs(&none, boss, Role::Manager).is_err(),
            "no authority for it"
        );
        assert!(
            signs(&owned, owner, Role::Approver).is_err(),
            "never the same person"
        );
        assert!(signs(&decided, other, Role::Approver).is_err());
        assert!(
            capacity(&none, &low, boss, &[Role::Approver]).is_err(),
            "the owner alone"
        );
        let both = course([decided.signatures.clone(), owned.signatures.clone()].concat());
        assert!(!complete(&owned, &high) && complete(&owned, &low));
        assert!(!complete(&decided, &high) && complete(&both, &high));
        assert!(has(AcceptBy::Manager, &[Role::Approver]));
        assert!(!has(AcceptBy::Manager, &[Role::Contributor]));
    }

    #[test]
    fn what_has_changed_is_not_signed() {
        let owner = Id::new();
        let (was, mut now) = (basis(owner, None), basis(owner, None));
        now.score.methodology_id = was.score.methodology_id;
        assert!(unchanged(&was, &now).is_ok());
        now.score.likelihood = 5;
        assert!(unchanged(&was, &now).is_err());
        now.score.likelihood = 4;
        now.risk_owner_id = Id::new();
        assert!(unchanged(&was, &now).is_err());
    }
}
