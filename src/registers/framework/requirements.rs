//! The requirements of a framework, to look them up.
use crate::core::Result;
use crate::core::catalogue::Requirement;
use crate::http::{Answer, Api, Guard, View, ViewQuery};
use crate::registers::framework::Frameworks;
use crate::registers::framework::catalogue_list as shelf;
use crate::registers::pages::{Walk, any, begins, page};
use actix_web::web::Path;
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

page! {
    /// Requirements of a framework.
    RequirementPage of Requirement: "In natural order."
}

/// What can be asked of `listRequirements`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RequirementsQuery {
    /// Only of this kind. Repeated: any of them.
    #[param(value_type = Option<String>, max_length = 64)]
    kind: Vec<String>,
    /// Only right under this one. Repeated: any of them.
    #[param(value_type = Option<String>, max_length = 64)]
    parent_ref: Vec<String>,
    /// Only what is asked for by itself, or only what is not.
    assessable: Option<bool>,
    /// Only with this attribute, as `name:value`. Repeated: any of them.
    #[param(value_type = Option<String>, max_length = 200, example = "baselines:low")]
    attribute: Vec<String>,
    /// Words that begin like this, in reference and title; a reference of ISO/IEC 27001:2013 finds
    /// what has become of it.
    #[param(max_length = 200, example = "A.9.2.1")]
    q: Option<String>,
}

async fn requirements(
    guard: Guard<View<Frameworks>>,
    slug: Path<String>,
    query: ViewQuery<RequirementsQuery>,
) -> Result<Answer> {
    let walk = Walk::read(&query)?;
    let asked = query.own;
    guard
        .view(query.as_of, move |reader| {
            let framework = shelf::framework(reader, &slug)?;
            let words = asked.q.as_deref().unwrap_or_default();
            let has = |one: &Requirement, asked: &String| {
                let pair = asked.split_once(':');
                pair.is_some_and(|(name, value)| has(one, name, value))
            };
            let fits = |one: &&Requirement| {
                any(&asked.kind, |kind| one.kind == *kind)
                    && any(&asked.parent_ref, |above| {
                        one.parent_ref.as_ref() == Some(above)
                    })
                    && any(&asked.attribute, |asked| has(one, asked))
                    && asked
                        .assessable
                        .is_none_or(|wanted| one.assessable == wanted)
                    && said(one, words)
            };
            let all = framework.requirements().iter().filter(fits);
            let page = walk.page(all, |one| one.r#ref.clone())?;
            RequirementPage::answer(page.map(Requirement::clone))
        })
        .await
}

/// Pure: has it an attribute of that value, or one with it in its list?
fn has(requirement: &Requirement, name: &str, value: &str) -> bool {
    let is = |found: &Value| match found {
        Value::String(text) => text == value,
        other => serde_json::from_str(value).is_ok_and(|asked: Value| *other == asked),
    };
    requirement
        .attributes
        .get(name)
        .is_some_and(|found| match found {
            Value::Array(all) => all.iter().any(is),
            one => is(one),
        })
}

/// Pure: do all of these words begin one of its own, or one of its references of 2013?
fn said(requirement: &Requirement, words: &str) -> bool {
    let before = requirement
        .attributes
        .get("iso_27001_2013")
        .and_then(Value::as_array);
    let before: Vec<&str> = before
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let text = format!(
        "{} {} {}",
        requirement.r#ref,
        requirement.title,
        before.join(" ")
    );
    begins(&text, words)
}

/// Mounts them.
pub fn mount(api: &mut Api<'_>) {
    api.get("/v1/frameworks/{slug}/requirements", requirements)
        .id("listRequirements")
        .says(
            "List the requirements of a framework",
            "In natural order. Those of ISO/IEC \
            27001:2022 are found by their numbers of 2013, too.",
        )
        .place("slug", "The framework.", "iso-27001-2022")
        .past()
        .query::<RequirementsQuery>()
        .paged()
        .answers::<RequirementPage>("The requirements.");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::catalogue;

    #[test]
    fn words_and_old_references_are_found() {
        let Some(found) = catalogue::requirement("iso-27001-2022:A.5.16") else {
            panic!("no A.5.16")
        };
        for words in ["identity", "a.5.16", "IDENT manag", "A.9.2.1", "a.9.2", ""] {
            assert!(said(found, words), "{words}");
        }
        assert!(!said(found, "A.9.2.2") && !said(found, "entity") && !said(found, "identity zzz"));
        assert!(
            has(found, "theme", "organizational")
                && has(found, "control_types", "preventive")
                && has(found, "new_in_2022", "false")
        );
        assert!(!has(found, "theme", "people") && !has(found, "nothing", ""));
    }
}
