//! The techniques of MITRE ATT&CK, to look up what threats refer to; read only, the same for
//! everyone and for all time.
use crate::core::catalogue::{TACTICS, TECHNIQUES, Technique};
use crate::core::{Problem, Result, text::folded};
use crate::http::{Answer, Guard, Read, ViewQuery};
use crate::registers::framework::catalogue_list::{Walk, any};
use crate::registers::threat::Threat;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A tactic of MITRE ATT&CK.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttackTactic {
    /// Its id.
    #[schema(max_length = 12, example = "TA0001")]
    pub id: &'static str,
    /// Its name.
    #[schema(max_length = 200)]
    pub name: &'static str,
}
/// A technique of MITRE ATT&CK.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttackTechnique {
    /// Its id: what `attack_ids` of a threat take.
    #[schema(max_length = 12, example = "T1566")]
    pub id: &'static str,
    /// Its name.
    #[schema(max_length = 200)]
    pub name: &'static str,
    /// What it serves.
    #[schema(max_items = 20)]
    pub tactics: Vec<AttackTactic>,
}
/// Techniques.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttackTechniquePage {
    /// By their ids.
    #[schema(max_items = 200)]
    pub data: Vec<AttackTechnique>,
    /// Ask with it for the next page; null on the last.
    #[schema(required, max_length = 2000)]
    pub next_cursor: Option<String>,
    /// Is there a next page?
    pub has_more: bool,
}

fn shown(technique: &'static Technique) -> AttackTechnique {
    let tactic = |id: &String| {
        TACTICS
            .iter()
            .find(|tactic| tactic.id == *id)
            .map(|tactic| AttackTactic {
                id: &tactic.id,
                name: &tactic.name,
            })
    };
    AttackTechnique {
        id: &technique.id,
        name: &technique.name,
        tactics: technique.tactics.iter().filter_map(tactic).collect(),
    }
}

/// What can be asked of `listAttackTechniques`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AttackTechniquesQuery {
    /// Words that begin like this, in id and name; all of them.
    #[param(max_length = 200)]
    q: Option<String>,
    /// Only of this tactic: its id or its name. Repeated: any of them.
    #[param(value_type = Option<String>, max_length = 200, example = "TA0001")]
    tactic: Vec<String>,
}

async fn list(
    guard: Guard<Read<Threat>>,
    query: ViewQuery<AttackTechniquesQuery>,
) -> Result<Answer> {
    let walk = Walk::read(&query)?;
    let words = folded(&query.own.q.unwrap_or_default());
    let serves = |one: &Technique, asked: &str| {
        one.tactics.iter().any(|id| {
            id == asked
                || TACTICS
                    .iter()
                    .any(|tactic| tactic.id == *id && folded(&tactic.name) == folded(asked))
        })
    };
    let fits = |one: &&'static Technique| {
        let text = format!(" {}", folded(&format!("{} {}", one.id, one.name)));
        any(&query.own.tactic, |asked| serves(one, asked))
            && words
                .split(' ')
                .filter(|word| !word.is_empty())
                .all(|word| text.contains(&format!(" {word}")))
    };
    let page = walk.page(TECHNIQUES.iter().filter(fits).map(shown), |one| {
        one.id.to_owned()
    })?;
    let link = page.link;
    let page = AttackTechniquePage {
        data: page.data,
        next_cursor: page.next_cursor,
        has_more: page.has_more,
    };
    let answer = serde_json::to_string(&page).map_err(Problem::internal)?;
    guard
        .view(query.as_of, move |_| {
            Ok(Answer {
                link,
                ..Answer::json(answer)
            })
        })
        .await
}

/// Mounts the techniques.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.get("/v1/attack-techniques", list)
        .id("listAttackTechniques")
        .says(
            "List the techniques of MITRE ATT&CK",
            "By their ids; they stand beside the \
            elementary threats, and threats refer to them.",
        )
        .tag("threats")
        .past()
        .query::<AttackTechniquesQuery>()
        .paged()
        .answers::<AttackTechniquePage>("The techniques.");
}
