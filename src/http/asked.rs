//! What a list can be asked, for the document.
use super::describe::Description;
use super::references::{REQUIREMENT, parameter};
use crate::records::ask::Key;
use crate::records::{Kinds, Relation};
use serde_json::{Value, json};
use strum::VariantNames;

/// What a list of this kind can be asked.
pub fn asked(kinds: Kinds, of: &Description) -> Vec<Value> {
    let kind = of.kind;
    let query = |name: &str, about: &str, schema: Value| {
        json!({"name": name, "in": "query",
        "required": false, "description": about, "schema": schema})
    };
    let any = |name: &str, about: &str, items: Value| {
        json!({"name": name, "in": "query",
        "required": false, "description": format!("{about} Repeated: any of them."),
            "explode": true, "style": "form", "schema": {"type": "array", "maxItems": 200,
                "items": items}})
    };
    let text = |n: u32| json!({"type": "string", "maxLength": n});
    let flag = || json!({"type": "boolean"});
    let date = json!({"type": "string", "format": "date"});
    let instant = json!({"type": "string", "maxLength": 40, "anyOf": [{"type": "string",
        "format": "date-time"}, {"type": "string", "format": "date"}],
            "example": "2026-03-01T09:00:00Z"});
    let mut all = vec![
        any(
            "status",
            "In this state.",
            json!({"type": "string", "enum": kind.statuses()}),
        ),
        any(
            "id",
            "With this id.",
            json!({"type": "string", "format": "uuid", "maxLength": 36}),
        ),
        any(
            "code",
            "With this code.",
            json!({"type": "string", "maxLength": 32, "pattern": format!("^{}-[0-9]{{1,18}}$",
                kind.code)}),
        ),
        any("external_ref", "With this external reference.", text(200)),
        any("tag", "With this tag.", text(50)),
        query("owner_none", "Without an owner, or with one.", flag()),
        query(
            "owner_left",
            "Its owner's last day has passed, or not.",
            flag(),
        ),
        query(
            "q",
            "Words that begin like this, in code, name and description; all of them.",
            text(200),
        ),
        query("overdue", "Past its due day and not done, or not.", flag()),
        query(
            "review_overdue",
            "Past the day of its review and not done, or not.",
            flag(),
        ),
        query(
            "archived",
            "Whether archived.",
            json!({"type": "string", "enum": ["false", "true", "any"], "default": "false"}),
        ),
    ];
    for (name, schema) in [
        ("due_on", &date),
        ("review_due_on", &date),
        ("created_at", &instant),
        ("updated_at", &instant),
    ] {
        all.push(query(
            &format!("{name}_since"),
            "On or after; a date begins where the organization is.",
            schema.clone(),
        ));
        all.push(query(
            &format!("{name}_before"),
            "Before; a date begins where the organization is.",
            schema.clone(),
        ));
    }
    for relation in kind.all_relations() {
        let what = if relation.to.is_empty() {
            "record"
        } else {
            relation.to
        };
        all.push(any(
            relation.filter(),
            &format!(
                "Linked with this {}: id or code{}.",
                what.replace('_', " "),
                if relation.member == "owner_id" {
                    ", or `me`"
                } else {
                    ""
                }
            ),
            json!({"type": "string", "maxLength": 64, "pattern": selector(kinds, relation)}),
        ));
        if relation.member != "owner_id" {
            all.push(query(
                &format!("{}_none", relation.stem()),
                "Linked with none, or with some.",
                flag(),
            ));
        }
    }
    if kind.cites {
        all.push(any(
            "requirement",
            "Refers to this requirement; one of ISO/IEC 27001:2013 finds what has become of it, \
                too.",
            json!({"type": "string", "maxLength": 120, "pattern": REQUIREMENT}),
        ));
    }
    all.extend(of.filters.iter().cloned());
    let keys = Key::VARIANTS
        .iter()
        .flat_map(|key| [(*key).to_owned(), format!("-{key}")]);
    all.push(query(
        "sort",
        "A key, with `-` for largest first. `rank` is the score of risks (likelihood × impact of \
            the current score, else of the inherent one), the severity of vulnerabilities and \
            nonconformities, and the highest rating of assets: `-rank` is worst first.",
        json!({"type": "string", "enum": Vec::from_iter(keys), "default": "-created_at"}),
    ));
    all.push(query(
        "include",
        "More with the page, separated by commas: `total`, `refs`, `counts` (by state, by owner, \
            overdue; of risks by level and evaluation, too).",
        json!({"type": "string", "maxLength": 17,
            "pattern": "^(total(,refs(,counts)?|,counts(,refs)?)?|refs(,total(,counts)?|,counts(,total)?)?|counts(,total(,refs)?|,refs(,total)?)?)$"}),
    ));
    all.extend([parameter("AsOf"), parameter("Limit"), parameter("Cursor")]);
    all
}

/// The same for all of the list at once.
pub fn unpaged(kinds: Kinds, of: &Description) -> Vec<Value> {
    let mut all = asked(kinds, of);
    let page = [parameter("Limit"), parameter("Cursor")];
    all.retain(|one| one["name"] != "include" && !page.contains(one));
    all
}

/// An id, or a code of the kind (of any kind where the relation leads to any).
fn selector(kinds: Kinds, relation: &Relation) -> String {
    let code = match relation.to {
        "" => "[A-Z]{3}",
        kind => kinds.or_plain(kind).code,
    };
    let me = if relation.member == "owner_id" {
        "|me"
    } else {
        ""
    };
    format!(
        "^([0-9A-Fa-f]{{8}}(-[0-9A-Fa-f]{{4}}){{3}}-[0-9A-Fa-f]{{12}}|{code}-[0-9]{{1,18}}{me})$"
    )
}
