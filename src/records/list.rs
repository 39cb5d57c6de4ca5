//! A list: the page, and what may be included with it.
use super::ask::{Keyset, ListQuery};
use super::filter::{Targets, condition, late, review_late, targets};
use super::order::{self, Half};
use super::record::{Found, assemble, columns};
use super::{Again, Condition, Kind, Reader, Resource, Row};
use crate::core::{Id, Problem, Result};
use crate::db::dialect::personal_of;
use crate::db::schema::versions as v;
use diesel::dsl::count_star;
use diesel::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A page as JSON, and what its headers need.
#[derive(Debug)]
pub struct Listed {
    /// The body.
    pub json: String,
    /// Where the next page begins.
    pub next_cursor: Option<String>,
    /// The last position.
    pub position: i64,
}

/// The records of a page as JSON, and where the next one begins.
pub fn records<R: Resource>(
    reader: &mut Reader<'_>,
    ask: &ListQuery,
) -> Result<(Vec<String>, Option<Keyset>)> {
    let targets = targets(reader, ask)?;
    let (mut rows, more) = pick(reader, &R::KIND, ask, &|reader| {
        condition::<R>(reader, ask, &targets)
    })?;
    reader.name(&mut rows)?;
    reader.veil(&R::KIND, &mut rows)?;
    let computed = R::computed(reader, &rows)?;
    let last = rows
        .last()
        .filter(|_| more)
        .map(|row| (row.id, row.version));
    let cut = rows
        .into_iter()
        .map(|row| reader.cut_row(row))
        .collect::<Result<Vec<_>>>()?;
    let data: Vec<String> = cut
        .iter()
        .zip(&computed)
        .map(|(row, text)| assemble(&R::KIND, row, text))
        .collect::<Result<_>>()?;
    let place = |(id, version)| order::place(reader.conn, reader.tenant(), ask.sort, id, version);
    Ok((data, last.map(place).transpose()?))
}

/// A page of a register.
pub fn page<R: Resource>(reader: &mut Reader<'_>, ask: &ListQuery) -> Result<Listed> {
    let (data, last) = records::<R>(reader, ask)?;
    let more = last.is_some();
    let next_cursor = last.map(|place| ask.cursor(&place)).transpose()?;
    let targets = if ask.with_total || ask.with_counts {
        targets(reader, ask)?
    } else {
        Targets::new()
    };
    let condition = |reader: &Reader<'_>| condition::<R>(reader, ask, &targets);
    let mut json = format!(
        "{{\"data\":[{}],\"next_cursor\":{},\"has_more\":{more}",
        data.join(","),
        json!(next_cursor)
    );
    if ask.with_total {
        let total: i64 = v::table
            .filter(condition(reader)?)
            .select(count_star())
            .get_result(reader.conn)?;
        json.push_str(&format!(",\"total\":{total}"));
    }
    if ask.with_counts {
        let all = condition(reader)?;
        json.push_str(&format!(
            ",\"counts\":{}",
            counted::<R>(reader, all, &|reader| condition(reader))?
        ));
    }
    if ask.with_refs {
        json.push_str(&format!(",\"refs\":{}", refs(reader, &data)?));
    }
    json.push('}');
    Ok(Listed {
        json,
        next_cursor,
        position: reader.moment.last,
    })
}

fn pick(
    reader: &mut Reader<'_>,
    kind: &Kind,
    ask: &ListQuery,
    condition: &dyn Fn(&Reader<'_>) -> Result<Condition>,
) -> Result<(Vec<Row>, bool)> {
    let mut found: Vec<Row> = Vec::new();
    let wanted = ask.limit + 1;
    let halves: &[Half] = if order::has_halves(ask.sort) {
        &[Half::With, Half::Without]
    } else {
        &[Half::With]
    };
    for half in halves {
        let missing = wanted - found.len() as i64;
        if missing > 0
            && let Some(rows) =
                order::ordered(v::table.into_boxed().filter(condition(reader)?), ask, *half)?
        {
            let rows = rows.limit(missing);
            match kind.personal.is_empty() {
                true => found.extend(
                    rows.select(columns())
                        .load::<Found>(reader.conn)?
                        .into_iter()
                        .map(|row| Row::of(row, None)),
                ),
                false => found.extend(
                    rows.select((columns(), personal_of()))
                        .load::<(Found, Option<String>)>(reader.conn)?
                        .into_iter()
                        .map(|(row, personal)| Row::of(row, personal)),
                ),
            }
        }
    }
    let more = found.len() as i64 > ask.limit;
    found.truncate(ask.limit.unsigned_abs() as usize);
    Ok((found, more))
}

/// Counts by state and owner, how many are overdue, and what the kind counts besides.
fn counted<R: Resource>(
    reader: &mut Reader<'_>,
    condition: Condition,
    again: Again<'_>,
) -> Result<Value> {
    let grouped = v::table
        .filter(condition)
        .group_by(v::status)
        .select((v::status, count_star()))
        .order(v::status);
    let by_status: Vec<(String, i64)> = grouped.load(reader.conn)?;
    let late = [
        late(&R::KIND, reader.today),
        review_late(&R::KIND, reader.today),
    ];
    let [overdue, review_overdue] = late.map(|late| -> Result<i64> {
        Ok(v::table
            .filter(again(reader)?)
            .filter(late)
            .select(count_star())
            .get_result(reader.conn)?)
    });
    let grouped = v::table
        .filter(again(reader)?)
        .group_by(v::owner_id)
        .select((v::owner_id, count_star()));
    let by_owner: Vec<(Option<Id>, i64)> = grouped.load(reader.conn)?;
    let without_owner = by_owner
        .iter()
        .find(|(owner, _)| owner.is_none())
        .map_or(0, |(_, n)| *n);
    let by_owner: BTreeMap<String, i64> = by_owner
        .into_iter()
        .filter_map(|(owner, n)| Some((owner?.to_string(), n)))
        .collect();
    let by_status: Map<String, Value> = by_status
        .into_iter()
        .map(|(status, n)| (status, json!(n)))
        .collect();
    let mut counts = json!({"by_status": by_status, "by_owner": by_owner,
        "without_owner": without_owner,
        "overdue": overdue?, "review_overdue": review_overdue?});
    if let Value::Object(counts) = &mut counts {
        counts.extend(R::counts(reader, again)?);
    }
    Ok(counts)
}

/// What the ids in these records are: one query.
fn refs(reader: &mut Reader<'_>, data: &[String]) -> Result<Value> {
    let mut ids = BTreeSet::new();
    for text in data {
        collect(
            "",
            &serde_json::from_str(text).map_err(Problem::internal)?,
            &mut ids,
        );
    }
    let found = reader.refs(&ids.into_iter().collect::<Vec<_>>())?;
    Ok(json!(
        found
            .into_iter()
            .map(|(id, r)| (id.to_string(), json!(r)))
            .collect::<BTreeMap<_, _>>()
    ))
}
fn collect(name: &str, value: &Value, ids: &mut BTreeSet<Id>) {
    match value {
        Value::Object(members) => members
            .iter()
            .for_each(|(name, value)| collect(name, value, ids)),
        Value::Array(items) => items.iter().for_each(|item| collect(name, item, ids)),
        Value::String(text) if name.ends_with("_id") || name.ends_with("_ids") => {
            ids.extend(Id::parse(text))
        }
        _ => {}
    }
}
