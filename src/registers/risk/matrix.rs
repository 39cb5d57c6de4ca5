//! The risk matrix (ISO/IEC 27001:2022 6.1.2): how many risks stand in each pair of likelihood and
//! impact.
use crate::core::{Id, Result};
use crate::records::{Reader, Record, Resource, reader::Ref};
use crate::registers::facts::{Fact, Facts, Part, RiskFact, Scored, Seen};
use crate::registers::methodology::in_force::InForce;
use crate::registers::methodology::{Level, RiskMethodology, Step};
use crate::registers::risk::Risk;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Risks that a cell names.
const NAMED: usize = 1000;

crate::vocabulary! {
    /// Which scores a matrix shows.
    pub enum MatrixStage { Inherent, Current, Residual }
}

/// One pair of the matrix.
#[derive(Debug, Serialize, ToSchema)]
pub struct MatrixCell {
    /// How likely.
    #[schema(minimum = 1, maximum = 10)]
    pub likelihood: i32,
    /// How bad.
    #[schema(minimum = 1, maximum = 10)]
    pub impact: i32,
    /// The level of the methodology in force.
    #[schema(max_length = 32)]
    pub level: String,
    /// How many open risks.
    #[schema(minimum = 0)]
    pub count: i64,
    /// Which, up to 1,000.
    #[schema(max_items = 1000)]
    pub risk_ids: Vec<Id>,
}
/// A level, as a matrix is drawn.
#[derive(Debug, Serialize, ToSchema)]
pub struct MatrixLevel {
    /// How cells name it.
    #[schema(max_length = 32)]
    pub slug: String,
    /// What people call it.
    #[schema(max_length = 100)]
    pub name: String,
    /// Its place among the levels, 1 the lowest.
    #[schema(minimum = 1, maximum = 10)]
    pub rank: i32,
    /// Does it meet the acceptance criteria?
    pub acceptable: bool,
    /// Its colour, `#rrggbb`.
    #[schema(max_length = 7)]
    pub colour: String,
}
/// What ids are.
pub struct RefsById;
impl utoipa::PartialSchema for RefsById {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::{ObjectBuilder, Ref as To};
        let all = ObjectBuilder::new()
            .additional_properties(Some(To::from_schema_name(Ref::name())))
            .max_properties(Some(100_000));
        all.description(Some("What ids are.")).into()
    }
}
impl ToSchema for RefsById {
    fn schemas(to: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)>) {
        to.push((Ref::name().into(), <Ref as utoipa::PartialSchema>::schema()));
    }
}
/// The risk matrix.
#[derive(Debug, Serialize, ToSchema)]
pub struct RiskMatrix {
    /// Which scores.
    pub stage: MatrixStage,
    /// The methodology whose matrix it is.
    pub methodology_id: Id,
    /// Its revision.
    #[schema(minimum = 1)]
    pub methodology_revision: i32,
    /// The readable identifier of the methodology.
    #[schema(max_length = 32)]
    pub methodology_code: String,
    /// What it is called.
    #[schema(max_length = 200)]
    pub methodology_name: String,
    /// Its levels, lowest first, with names and colours.
    #[schema(max_items = 10)]
    pub levels: Vec<MatrixLevel>,
    /// The steps of likelihood: the rows.
    #[schema(max_items = 10)]
    pub likelihood_scale: Vec<Step>,
    /// The steps of impact: the columns.
    #[schema(max_items = 10)]
    pub impact_scale: Vec<Step>,
    /// Every pair, by likelihood and impact.
    #[schema(max_items = 100)]
    pub cells: Vec<MatrixCell>,
    /// Open risks with a score of this stage that this matrix does not have: it was given under
    /// another revision, whose scales or levels differ. Score them again (`POST
    /// /v1/risks/rescore`), or assess them.
    #[schema(minimum = 0)]
    pub outside: i64,
    /// Open risks without a score of this stage.
    #[schema(minimum = 0)]
    pub not_assessed: i64,
    /// Open risks that another methodology scores, since it is in force for their scope (ask with
    /// that `scope_id`), or for the whole organization.
    #[schema(minimum = 0)]
    pub other_methodology: i64,
    /// What the ids in the cells are, with `include=refs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<RefsById>, nullable = false)]
    pub refs: Option<BTreeMap<Id, Ref>>,
}

impl MatrixStage {
    /// The score of this stage.
    pub fn of(self, risk: &RiskFact) -> &Scored {
        match self {
            MatrixStage::Inherent => &risk.inherent,
            MatrixStage::Current => &risk.current,
            MatrixStage::Residual => &risk.residual,
        }
    }
}

/// The matrix at the reader's moment, of the risks that this methodology scores.
pub fn compute(
    reader: &mut Reader<'_>,
    in_force: &InForce,
    method: &Record<RiskMethodology>,
    stage: MatrixStage,
    scope: Option<Id>,
) -> Result<RiskMatrix> {
    let (facts, seen) = (
        Facts::of(reader, &[Part::Risks])?,
        Seen::of(reader, Risk::KIND.name)?,
    );
    let open = facts.risks.iter().filter(|risk| {
        let stub = &risk.stub;
        stub.status == "open" && !stub.archived && stub.within(scope) && seen.has(stub.id)
    });
    let mut open: Vec<&Fact<RiskFact>> = open.collect();
    open.sort_by_key(|risk| risk.stub.number);
    let all = open.len();
    if in_force.divided() {
        let of = |risk: &Fact<RiskFact>| in_force.of(risk.stub.scopes()).map(|one| one.spine.id);
        open.retain(|risk| of(risk) == Some(method.spine.id));
    }
    let other_methodology = (all - open.len()) as i64;
    let scores = open.iter().map(|risk| (risk.stub.id, stage.of(&risk.own)));
    let (cells, outside, not_assessed) = arranged(scores, &method.own);
    let own = &method.own;
    let level = |(rank, level): (i32, &Level)| MatrixLevel {
        slug: level.slug.clone(),
        name: level.name.clone(),
        rank,
        acceptable: level.acceptable,
        colour: level.colour.clone(),
    };
    Ok(RiskMatrix {
        stage,
        methodology_id: method.spine.id,
        methodology_revision: method.state.revision,
        methodology_code: method.spine.code.clone(),
        methodology_name: method.common.name.clone(),
        levels: (1..).zip(&own.levels).map(level).collect(),
        likelihood_scale: own.likelihood_scale.clone(),
        impact_scale: own.impact_scale.clone(),
        cells,
        outside,
        not_assessed,
        other_methodology,
        refs: None,
    })
}

/// Pure: the risks in their cells.
fn arranged<'s>(
    scores: impl Iterator<Item = (Id, &'s Scored)>,
    method: &RiskMethodology,
) -> (Vec<MatrixCell>, i64, i64) {
    let mut at: BTreeMap<(i32, i32), Vec<Id>> = BTreeMap::new();
    let (mut outside, mut not_assessed) = (0, 0);
    for (id, score) in scores {
        let same = |(l, i)| {
            let level = method.level(l, i).map(|level| level.slug.as_str());
            level.is_some() && level == score.level.as_deref()
        };
        match score.likelihood.zip(score.impact) {
            Some(pair) if same(pair) => at.entry(pair).or_default().push(id),
            Some(_) => outside += 1,
            None => not_assessed += 1,
        }
    }
    let pairs = method
        .likelihood_scale
        .iter()
        .flat_map(|l| method.impact_scale.iter().map(move |i| (l.value, i.value)));
    let cell = |(likelihood, impact): (i32, i32)| {
        let risks = at.remove(&(likelihood, impact)).unwrap_or_default();
        let level = method
            .level(likelihood, impact)
            .map(|level| level.slug.clone())
            .unwrap_or_default();
        MatrixCell {
            likelihood,
            impact,
            level,
            count: risks.len() as i64,
            risk_ids: risks.into_iter().take(NAMED).collect(),
        }
    };
    (pairs.map(cell).collect(), outside, not_assessed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_risk_is_counted_once() {
        let method: RiskMethodology = serde_json::from_str("{}").unwrap_or_else(|e| panic!("{e}"));
        let score = |l: i32, i: i32, level: &str| Scored {
            likelihood: Some(l),
            impact: Some(i),
            level: Some(level.into()),
        };
        let (worst, low) = (
            [score(4, 5, "critical"), score(4, 5, "critical")],
            score(1, 1, "low"),
        );
        let (outside, other) = (score(7, 1, "low"), score(1, 2, "grave"));
        let scores = [worst.as_slice(), &[low, outside, other, Scored::default()]].concat();
        let (cells, outside, not_assessed) =
            arranged(scores.iter().map(|score| (Id::new(), score)), &method);
        assert_eq!(
            (cells.len(), outside, not_assessed),
            (25, 2, 1),
            "what the matrix says otherwise is of another revision"
        );
        let worst = cells
            .iter()
            .find(|cell| (cell.likelihood, cell.impact) == (4, 5));
        assert_eq!(
            worst.map(|cell| (cell.count, cell.level.as_str())),
            Some((2, "critical"))
        );
        assert_eq!(cells.iter().map(|cell| cell.count).sum::<i64>(), 3);
    }
}
