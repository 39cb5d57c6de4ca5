//! Versions of the statement of applicability (ISO/IEC 27001:2022 6.1.3 d, 7.5): the statement of a
//! scope, frozen word for word, and approved by another person than who froze it. in_review →
//! approved, returned or withdrawn; nothing in it ever changes. How one is made is in `steps`.
use crate::access::{Actor, Caller, Limits};
use crate::core::{Code, Id, Instant, Problem, Result};
use crate::db::dialect::{at, same_version};
use crate::db::schema::versions as v;
use crate::records::columns::own;
use crate::records::limit::Facts;
use crate::records::{
    By, CommentRule, Condition, Kind, Limit, Reader, Record, Resource, SCOPED, Transition,
};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use soa_versions as s;
use utoipa::ToSchema;
use validator::Validate;

/// What is frozen.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FrozenStatement)]
pub struct SoaVersion {
    /// The framework.
    #[schema(max_length = 64)]
    pub framework: String,
}

/// What the server says about it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct Frozen {
    /// 1, 2, … within the scope.
    #[schema(minimum = 1)]
    pub number: i32,
    /// The position of the ledger entry that froze it.
    #[schema(minimum = 0)]
    pub position: i64,
    /// The revision of the scope that was in force.
    #[schema(required, minimum = 1)]
    pub scope_revision: Option<i32>,
    /// The risk methodology that was in force.
    #[schema(required)]
    pub methodology_id: Option<Id>,
    /// Its revision.
    #[schema(required, minimum = 1)]
    pub methodology_revision: Option<i32>,
    /// SHA-256 of the statement's canonical JSON (RFC 8785).
    #[schema(min_length = 64, max_length = 64)]
    pub sha256: String,
    /// The statement in numbers; the whole of it lies beside the ledger, under its SHA-256.
    pub summary: SoaSummary,
    /// What it was frozen without, and why; null where it was complete.
    #[schema(required)]
    pub incomplete: Option<SoaIncomplete>,
    /// When it was approved.
    #[schema(required)]
    pub approved_at: Option<Instant>,
    /// By whom.
    #[schema(required)]
    pub approved_by: Option<Actor>,
}

/// The statement in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SoaSummary {
    /// Requirements that apply; one that is not decided applies.
    #[schema(minimum = 0)]
    pub applicable: i64,
    /// Requirements that do not.
    #[schema(minimum = 0)]
    pub excluded: i64,
    /// Requirements for which nobody has decided yet.
    #[schema(minimum = 0)]
    pub undecided: i64,
    /// Of those that apply.
    pub by_implementation: ByImplementation,
    /// Included without any reason.
    #[schema(minimum = 0)]
    pub justification_missing: i64,
    /// Excluded, though controls that meet them are implemented, or risks rest on such controls.
    #[schema(minimum = 0)]
    pub contradicted: i64,
    /// Necessary controls outside the framework.
    #[schema(minimum = 0)]
    pub own_controls: i64,
}
/// Counts by implementation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ByImplementation {
    /// No control, or none begun.
    #[schema(minimum = 0)]
    pub not_implemented: i64,
    /// Controls are planned.
    #[schema(minimum = 0)]
    pub planned: i64,
    /// Some controls are implemented.
    #[schema(minimum = 0)]
    pub partially_implemented: i64,
    /// All controls are implemented.
    #[schema(minimum = 0)]
    pub implemented: i64,
}
/// What a statement was frozen without. Its entries say which they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SoaIncomplete {
    /// Why it was frozen all the same.
    #[schema(max_length = 2000)]
    pub comment: String,
    /// Requirements that were not decided.
    #[schema(minimum = 0)]
    pub undecided: i64,
    /// Requirements that were decided to apply, without any reason.
    #[schema(minimum = 0)]
    pub unjustified: i64,
    /// Requirements that were excluded, though controls or risks speak against it.
    #[schema(minimum = 0)]
    pub contradicted: i64,
}

impl Resource for SoaVersion {
    const KIND: Kind = Kind {
        name: "soa_version",
        path: "soa-versions",
        code: "SOA",
        about: "Versions of the statement of applicability, frozen and approved (6.1.3 d).",
        initial: "in_review",
        transitions: &[
            Transition {
                verb: "approve",
                from: &["in_review"],
                to: "approved",
                comment: CommentRule::Optional,
                decision: true,
            },
            Transition {
                verb: "return",
                from: &["in_review"],
                to: "returned",
                comment: CommentRule::Required,
                decision: false,
            },
            Transition {
                verb: "withdraw",
                from: &["in_review"],
                to: "withdrawn",
                comment: CommentRule::Required,
                decision: false,
            },
        ],
        limited_by: &[
            SCOPED,
            (
                Limit::Frameworks,
                By::Fact("its `framework`", of_frameworks),
            ),
        ],
        done: &["approved", "returned", "withdrawn"],
        ..Kind::PLAIN
    };
    type State = Frozen;
    fn facts(record: &Record<Self>) -> Facts {
        Facts {
            frameworks: vec![record.own.framework.clone()],
            ..Facts::default()
        }
    }
    fn example() -> Value {
        json!({"name": "Statement of applicability 1", "framework": "iso-27001-2022"})
    }
    fn changeable(record: &Record<Self>) -> Result<()> {
        Err(Problem::new(
            Code::IllegalTransition,
            "A frozen statement cannot change. Freeze a new version instead.",
        )
        .allowing(Self::KIND.allowed(&record.spine.status)))
    }
}

/// Statements of these frameworks.
fn of_frameworks(limits: &Limits) -> Condition {
    own::<SoaVersion>(s::framework.eq_any(limits.framework_slugs.clone()))
}

crate::columns! {
    table soa_versions of SoaVersion as frozen {
        scope_id: DbUuid = frozen.links.many("scope_ids").first().ok_or(diesel::NotFound)?,
        framework: Text,
        number: Integer = frozen.state.number,
    }
}

/// One version of a scope, as it is found.
#[derive(Debug, Clone, Queryable)]
pub struct Numbered {
    /// The record.
    pub id: Id,
    /// 1, 2, … within the scope.
    pub number: i32,
    /// Of which framework.
    pub framework: String,
    /// Where it is in its life.
    pub status: String,
}

/// The versions of a scope, newest first.
pub fn of_scope(reader: &mut Reader<'_>, scope: Id) -> Result<Vec<Numbered>> {
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    let standing = s::table.inner_join(same_version!(v, s));
    let standing = standing
        .filter(s::tenant_id.eq(tenant).and(s::scope_id.eq(scope)))
        .filter(at(seq))
        .order(s::number.desc());
    Ok(standing
        .select((s::id, s::number, s::framework, v::status))
        .load(reader.conn())?)
}

/// Pure: the version in force of the same framework: the newest that was approved.
pub fn in_force<'a>(all: &'a [Numbered], framework: &str) -> Option<&'a Numbered> {
    all.iter()
        .filter(|one| one.framework == framework && one.status == "approved")
        .max_by_key(|one| one.number)
}

/// 403 for a key that sees only some controls or some evidence: a frozen statement is whole, or it
/// is none.
pub fn whole(caller: &Caller) -> Result<()> {
    let limits = &caller.limits;
    match [Limit::Controls, Limit::Sources, Limit::Period]
        .iter()
        .any(|limit| limit.set(limits))
    {
        true => Err(Problem::new(
            Code::OutsideLimits,
            "Your key can see only a part of this frozen statement.",
        )),
        false => Ok(()),
    }
}
