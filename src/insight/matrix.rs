//! The risk matrix (ISO/IEC 27001:2022 6.1.2): how many risks stand in each pair of likelihood and impact, as JSON or as a drawing.
use super::drawing::drawn;
use crate::core::{Id, Invalid, Problem, Result};
use crate::db::dialect::at;
use crate::db::schema::{risks as r, versions as v};
use crate::http::describe::Refusals;
use crate::http::format::wants;
use crate::http::{Answer, Guard, Read, Then};
use crate::records::{Reader, Record, Resource, Selector};
use crate::registers::plan::methodology::{self, RiskMethodology};
use crate::registers::plan::risk::Risk;
use crate::registers::plan::scope::Scope;
use actix_web::{HttpRequest, get};
use diesel::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
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
    /// Every pair, by likelihood and impact.
    #[schema(max_items = 100)]
    pub cells: Vec<MatrixCell>,
    /// Open risks with a score of this stage that lies outside the scales in force: scored under another revision.
    #[schema(minimum = 0)]
    pub outside: i64,
    /// Open risks without a score of this stage.
    #[schema(minimum = 0)]
    pub not_assessed: i64,
}

/// Get the risk matrix
///
/// Open risks by likelihood and impact. `format=svg` (or `Accept: image/svg+xml`) draws it.
#[utoipa::path(operation_id = "getRiskMatrix", tag = "risk-matrix", security(("bearer" = [])),
    params(("stage" = Option<MatrixStage>, Query, description = "Which scores; the current ones when absent."), ("scope_id" = Option<String>, Query, description = "Only risks of this scope: id or code.", max_length = 64, pattern = "^([0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|SCO-[0-9]{1,18})$"),
        ("format" = inline(Option<crate::http::document::DrawingFormat>), Query, description = "`json` or `svg`."), ("as_of" = Option<String>, Query, description = "As it stood then.", max_length = 64, pattern = "^(seq:[0-9]{1,18}|[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ].{1,40})?)$")),
    responses((status = 200, description = "The matrix.", content((RiskMatrix = "application/json"), (crate::http::document::Svg = "image/svg+xml"))), crate::http::describe::Unchanged, Refusals, crate::http::describe::NoFormat))]
#[get("/v1/risk-matrix")]
pub async fn get_matrix(guard: Guard<Read<Risk>>, request: HttpRequest) -> Result<Answer> {
    let then = Then::read(&request, &["stage", "scope_id", "format"])?;
    let svg = wants(&request, &then, "svg", "image/svg+xml")?;
    let stage = then.parsed("stage", "inherent, current or residual")?.unwrap_or(MatrixStage::Current);
    let scope = scope_asked(&then)?;
    guard
        .view_as(Some(if svg { "svg" } else { "json" }), then.as_of, move |reader| {
            let method = methodology::in_force(reader)?.ok_or_else(Problem::not_found)?;
            let scope = scope.map(|selector| reader.row::<Scope>(&selector, reader.moment.past()).map(|row| row.id)).transpose()?;
            let matrix = compute(reader, &method, stage, scope)?;
            if svg { Ok(Answer::json(drawn(&matrix, &method.own)).as_media("image/svg+xml")) } else { Answer::of(&matrix) }
        })
        .await
}

/// The scope that a view is cut to.
pub fn scope_asked(then: &Then) -> Result<Option<Selector>> {
    let bad = || Problem::parameters(vec![Invalid::query("scope_id", "invalid_parameter", "an id or a code is needed")]);
    then.get("scope_id").map(|text| Selector::parse(text, Scope::KIND.name).ok_or_else(bad)).transpose()
}

type Scored = (Id, Option<i32>, Option<i32>, Option<String>);

/// The scores of the open risks that this caller sees, of a scope and of the whole organization.
pub fn scores(reader: &mut Reader<'_>, stage: MatrixStage, scope: Option<Id>) -> Result<Vec<Scored>> {
    let (tenant, seq) = (reader.tenant(), reader.moment.seq);
    let open = v::table.filter(reader.seen("risk")).filter(v::archived_at.is_null()).filter(v::status.eq("open"));
    let mut seen: BTreeSet<Id> = open.select(v::id).load(reader.conn())?.into_iter().collect();
    if let Some(scope) = scope {
        let elsewhere = super::overview::elsewhere(reader, "risk", scope)?;
        seen.retain(|id| !elsewhere.contains(id));
    }
    let own = r::table.inner_join(v::table.on(v::tenant_id.eq(r::tenant_id).and(v::id.eq(r::id)).and(v::version.eq(r::version))));
    let own = own.filter(v::tenant_id.eq(tenant).and(v::kind.eq("risk"))).filter(at(seq)).order(v::number);
    let rows: Vec<Scored> = match stage {
        MatrixStage::Inherent => own.select((r::id, r::inherent_likelihood, r::inherent_impact, r::inherent_level)).load(reader.conn())?,
        MatrixStage::Current => own.select((r::id, r::current_likelihood, r::current_impact, r::current_level)).load(reader.conn())?,
        MatrixStage::Residual => own.select((r::id, r::residual_likelihood, r::residual_impact, r::residual_level)).load(reader.conn())?,
    };
    Ok(rows.into_iter().filter(|row| seen.contains(&row.0)).collect())
}

fn compute(reader: &mut Reader<'_>, method: &Record<RiskMethodology>, stage: MatrixStage, scope: Option<Id>) -> Result<RiskMatrix> {
    let scores = scores(reader, stage, scope)?;
    let (cells, outside, not_assessed) = arranged(&scores, &method.own);
    Ok(RiskMatrix { stage, methodology_id: method.spine.id, methodology_revision: method.state.revision, cells, outside, not_assessed })
}

/// Pure: the risks in their cells.
fn arranged(scores: &[Scored], method: &RiskMethodology) -> (Vec<MatrixCell>, i64, i64) {
    let mut at: BTreeMap<(i32, i32), Vec<Id>> = BTreeMap::new();
    let (mut outside, mut not_assessed) = (0, 0);
    for (id, likelihood, impact, _) in scores {
        match likelihood.zip(*impact) {
            Some((likelihood, impact)) if method.level(likelihood, impact).is_some() => {
                at.entry((likelihood, impact)).or_default().push(*id)
            }
            Some(_) => outside += 1,
            None => not_assessed += 1,
        }
    }
    let pairs = method.likelihood_scale.iter().flat_map(|l| method.impact_scale.iter().map(move |i| (l.value, i.value)));
    let cell = |(likelihood, impact): (i32, i32)| {
        let risks = at.remove(&(likelihood, impact)).unwrap_or_default();
        let level = method.level(likelihood, impact).map(|level| level.slug.clone()).unwrap_or_default();
        MatrixCell { likelihood, impact, level, count: risks.len() as i64, risk_ids: risks.into_iter().take(NAMED).collect() }
    };
    (pairs.map(cell).collect(), outside, not_assessed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_risk_is_counted_once() {
        let method: RiskMethodology = serde_json::from_str("{}").unwrap_or_else(|e| panic!("{e}"));
        let score = |l: i32, i: i32| (Id::new(), Some(l), Some(i), None);
        let scores = vec![score(4, 5), score(4, 5), score(1, 1), score(7, 1), (Id::new(), None, None, None)];
        let (cells, outside, not_assessed) = arranged(&scores, &method);
        assert_eq!((cells.len(), outside, not_assessed), (25, 1, 1));
        let worst = cells.iter().find(|cell| (cell.likelihood, cell.impact) == (4, 5));
        assert_eq!(worst.map(|cell| (cell.count, cell.level.as_str())), Some((2, "critical")));
        assert_eq!(cells.iter().map(|cell| cell.count).sum::<i64>(), 3);
    }
}
