//! The risk matrix (ISO/IEC 27001:2022 6.1.2): how many risks stand in each pair of likelihood and
//! impact, as JSON or as a drawing.
use crate::core::{Id, Problem, Result};
use crate::http::{Answer, Guard, Read, ViewQuery};
use crate::records::{Reader, Record, Resource, reader::Ref};
use crate::registers::facts::{Fact, Facts, Part, RiskFact, Scored, Seen};
use crate::registers::methodology::in_force::InForce;
use crate::registers::methodology::{Level, RiskMethodology, Step};
use crate::registers::risk::Risk;
use crate::registers::risk::drawing::drawn;
use crate::registers::scope::{Cut, ScopeRef};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

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

/// What can be asked of `getRiskMatrix`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RiskMatrixQuery {
    /// Which scores; the current ones when absent.
    stage: Option<MatrixStage>,
    /// Only risks of this scope: id or code.
    #[param(inline)]
    scope_id: Option<ScopeRef>,
    /// `refs`: what the ids in the cells are.
    #[param(value_type = Option<String>, pattern = "^refs$", max_length = 4)]
    include: Option<MatrixPart>,
}

/// What a matrix has besides.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum MatrixPart {
    Refs,
}

async fn get_matrix(guard: Guard<Read<Risk>>, query: ViewQuery<RiskMatrixQuery>) -> Result<Answer> {
    let svg = query.wants("svg", "image/svg+xml")?;
    let (as_of, asked) = (query.as_of, query.own);
    let stage = asked.stage.unwrap_or(MatrixStage::Current);
    let cut = Cut(asked.scope_id);
    guard
        .view_as(
            Some(if svg { "svg" } else { "json" }),
            as_of,
            move |reader| {
                let scope = cut.scope(reader)?;
                reader.knows(&Risk::KIND)?;
                let (in_force, seen) = (InForce::read(reader)?, InForce::seen(reader)?);
                let method = in_force
                    .of(scope.as_slice())
                    .filter(|method| seen.has(method.spine.id))
                    .ok_or_else(Problem::not_found)?;
                let mut matrix = compute(reader, &in_force, method, stage, scope)?;
                if asked.include.is_some() {
                    let ids: Vec<Id> = matrix
                        .cells
                        .iter()
                        .flat_map(|cell| &cell.risk_ids)
                        .copied()
                        .collect();
                    matrix.refs = Some(reader.refs(&ids)?.into_iter().collect());
                }
                if svg {
                    Ok(Answer::json(drawn(&matrix, &method.own)).as_media("image/svg+xml"))
                } else {
                    Answer::of(&matrix)
                }
            },
        )
        .await
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

fn compute(
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

/// Mounts them.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.get("/v1/risk-matrix", get_matrix)
        .id("getRiskMatrix")
        .says(
            "Get the risk matrix",
            "Open risks by likelihood and impact, on the scales of the \
            methodology in force: with `scope_id` the scope's own where it has one, else the \
            organization's. Levels, colours and labels are there, so that one request draws it; \
            `include=refs` adds the risks' names. `format=svg` (or `Accept: image/svg+xml`) draws \
            it.",
        )
        .as_of()
        .query::<RiskMatrixQuery>()
        .answers::<RiskMatrix>("The matrix.")
        .or_svg();
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
