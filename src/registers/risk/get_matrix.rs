//! The risk matrix as it is asked for: as JSON or as a drawing.
use crate::core::{Id, Problem, Result};
use crate::http::{Answer, Guard, Read, ViewQuery};
use crate::records::Resource;
use crate::registers::methodology::in_force::InForce;
use crate::registers::risk::Risk;
use crate::registers::risk::drawing::drawn;
use crate::registers::risk::matrix::{MatrixStage, RiskMatrix, compute};
use crate::registers::scope::{Cut, ScopeRef};
use serde::Deserialize;
use utoipa::IntoParams;

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
