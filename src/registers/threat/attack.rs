//! The techniques of MITRE ATT&CK, to look up what threats refer to; read only, the same for
//! everyone and for all time.
use crate::core::catalogue::{TACTICS, TECHNIQUES, Technique};
use crate::core::{Result, text::folded};
use crate::http::{Answer, Guard, Read, ViewQuery};
use crate::registers::pages::{Walk, any, begins, page};
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
page! {
    /// Techniques.
    AttackTechniquePage of AttackTechnique: "By their ids."
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
    let words = query.own.q.unwrap_or_default();
    let called = |id: &String, asked: &str| {
        let mut names = TACTICS.iter().filter(|tactic| tactic.id == *id);
        id == asked || names.any(|tactic| folded(&tactic.name) == folded(asked))
    };
    let fits = |one: &&'static Technique| {
        any(&query.own.tactic, |asked| {
            one.tactics.iter().any(|id| called(id, asked))
        }) && begins(&format!("{} {}", one.id, one.name), &words)
    };
    let page = walk.page(TECHNIQUES.iter().filter(fits), |one| one.id.clone())?;
    let answer = AttackTechniquePage::answer(page.map(shown));
    guard.view(query.as_of, |_| answer).await
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
