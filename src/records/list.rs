//! A list: the filters as one condition on the spine, the page, and what may be included with it.
use super::ask::{Archived, Ask, Moments, Owner, Place, Span};
use super::order::{self, Half};
use super::record::assemble;
use super::{Condition, Kind, Reader, Resource, Row, Selector, sight};
use crate::core::{Id, Problem, Result};
use crate::db::dialect::{body_of, inside, personal_of};
use crate::db::schema::{links as l, requirement_links as rl, versions as v};
use chrono::NaiveDate;
use diesel::dsl::{count_star, exists, not};
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

/// What the question leaves of a register, as a condition on the spine.
fn condition<R: Resource>(reader: &Reader<'_>, ask: &Ask, targets: &Targets) -> Result<Condition> {
    let common = matching(reader, &R::KIND, ask, targets)?;
    Ok(match ask.own::<R::Filter>()? {
        Some(own) => R::matching(&own, &reader.moments())
            .into_iter()
            .fold(common, sight::both),
        None => common,
    })
}

/// The records of a page as JSON, and where the next one begins.
pub fn records<R: Resource>(
    reader: &mut Reader<'_>,
    ask: &Ask,
) -> Result<(Vec<String>, Option<Place>)> {
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
pub fn page<R: Resource>(reader: &mut Reader<'_>, ask: &Ask) -> Result<Listed> {
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

type Found = (Id, i32, String, bool, i16, String);
fn of_row((id, version, status, archived, schema, body): Found, personal: Option<String>) -> Row {
    Row {
        id,
        version,
        status,
        archived,
        body,
        personal,
        schema,
        names: 0,
    }
}

fn pick(
    reader: &mut Reader<'_>,
    kind: &Kind,
    ask: &Ask,
    condition: &dyn Fn(&Reader<'_>) -> Result<Condition>,
) -> Result<(Vec<Row>, bool)> {
    let mut found: Vec<Row> = Vec::new();
    let wanted = ask.limit + 1;
    let columns = || {
        (
            v::id,
            v::version,
            v::status,
            v::archived_at.is_not_null(),
            v::schema,
            body_of(),
        )
    };
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
                        .map(|row| of_row(row, None)),
                ),
                false => found.extend(
                    rows.select((columns(), personal_of()))
                        .load::<(Found, Option<String>)>(reader.conn)?
                        .into_iter()
                        .map(|(row, personal)| of_row(row, personal)),
                ),
            }
        }
    }
    let more = found.len() as i64 > ask.limit;
    found.truncate(ask.limit.unsigned_abs() as usize);
    Ok((found, more))
}

/// What the question leaves of a kind, for this caller, at this moment.
fn matching(reader: &Reader<'_>, kind: &Kind, ask: &Ask, targets: &Targets) -> Result<Condition> {
    let seq = reader.moment.seq;
    let mut all: Vec<Condition> = vec![reader.seen(kind.name)];
    match ask.archived {
        Archived::False => all.push(Box::new(v::archived_at.is_null())),
        Archived::True => all.push(Box::new(v::archived_at.is_not_null())),
        Archived::Any => {}
    }
    if !ask.status.is_empty() {
        all.push(Box::new(v::status.eq_any(ask.status.clone())));
    }
    if !ask.ids.is_empty() {
        all.push(Box::new(v::id.eq_any(ask.ids.clone())));
    }
    if !ask.codes.is_empty() {
        all.push(Box::new(v::number.eq_any(ask.codes.clone())));
    }
    if !ask.external_refs.is_empty() {
        all.push(Box::new(
            v::external_ref
                .assume_not_null()
                .eq_any(ask.external_refs.clone())
                .and(v::external_ref.is_not_null()),
        ));
    }
    if let Some(none) = ask.owner_none {
        all.push(if none {
            Box::new(v::owner_id.is_null())
        } else {
            Box::new(v::owner_id.is_not_null())
        });
    }
    if let Some(wanted) = ask.owner_left {
        let gone = targets.get(GONE).map(Vec::as_slice).unwrap_or_default();
        let left: Condition = Box::new(
            v::owner_id
                .is_not_null()
                .and(v::owner_id.assume_not_null().eq_any(gone.to_vec())),
        );
        let stays: Condition = Box::new(
            v::owner_id
                .is_null()
                .or(v::owner_id.assume_not_null().ne_all(gone.to_vec())),
        );
        all.push(if wanted { left } else { stays });
    }
    let tags = ask.tags.iter().map(|tag| -> Condition {
        Box::new(v::tags.like(inside(&format!("\n{tag}\n"))).escape('\\'))
    });
    all.extend(tags.reduce(|a, b| Box::new(a.or(b))));
    all.extend(
        ask.words
            .iter()
            .filter(|w| !w.is_empty())
            .map(|word| -> Condition {
                Box::new(v::words.like(inside(&format!(" {word}"))).escape('\\'))
            }),
    );
    if let Some(overdue) = ask.overdue {
        let late = late(kind, reader.today);
        all.push(if overdue { late } else { Box::new(not(late)) });
    }
    if let Some(overdue) = ask.review_overdue {
        let late = review_late(kind, reader.today);
        all.push(if overdue { late } else { Box::new(not(late)) });
    }
    all.extend(days(ask, reader.settings.zone));
    all.extend(
        targets
            .iter()
            .filter(|(member, _)| **member != GONE)
            .map(|(member, ids)| related(member, ids, seq)),
    );
    for (member, none) in &ask.unrelated {
        let links = l::table.filter(
            l::tenant_id
                .eq(v::tenant_id)
                .and(l::from_id.eq(v::id))
                .and(l::relation.eq(*member)),
        );
        let some = exists(links.filter(l::from_seq.le(seq).and(l::to_seq.gt(seq))));
        all.push(if *none {
            Box::new(not(some))
        } else {
            Box::new(some)
        });
    }
    if !ask.requirements.is_empty() {
        // What the caller does not see is cited by nothing that it sees.
        let seen = |id: &&String| {
            id.split_once(':')
                .is_some_and(|(slug, _)| super::frameworks::seen(reader.caller(), slug))
        };
        let requirements: Vec<String> = ask.requirements.iter().filter(seen).cloned().collect();
        let cited = rl::table.filter(rl::tenant_id.eq(v::tenant_id).and(rl::from_id.eq(v::id)));
        let cited = cited
            .filter(rl::from_seq.le(seq).and(rl::to_seq.gt(seq)))
            .filter(rl::requirement.eq_any(requirements));
        all.push(Box::new(exists(cited)));
    }
    all.into_iter()
        .reduce(sight::both)
        .ok_or_else(|| Problem::internal("a list of nothing"))
}

/// Not in one of the end states of its kind.
pub fn unfinished(kind: &Kind) -> Condition {
    Box::new(v::status.ne_all(kind.done.to_vec()))
}
/// Past its due day, and not done.
pub fn late(kind: &Kind, today: NaiveDate) -> Condition {
    sight::both(
        Box::new(
            v::due_on
                .is_not_null()
                .and(v::due_on.assume_not_null().lt(today)),
        ),
        unfinished(kind),
    )
}
/// Past the day of its review, and not done.
pub fn review_late(kind: &Kind, today: NaiveDate) -> Condition {
    sight::both(
        Box::new(
            v::review_due_on
                .is_not_null()
                .and(v::review_due_on.assume_not_null().lt(today)),
        ),
        unfinished(kind),
    )
}

fn days(ask: &Ask, zone: chrono_tz::Tz) -> Vec<Condition> {
    let mut all: Vec<Condition> = Vec::new();
    let spans = [(ask.due_on, true), (ask.review_due_on, false)];
    for (Span { since, before }, due) in spans {
        if let Some(since) = since {
            let at_least: Condition = if due {
                Box::new(
                    v::due_on
                        .is_not_null()
                        .and(v::due_on.assume_not_null().ge(since)),
                )
            } else {
                Box::new(
                    v::review_due_on
                        .is_not_null()
                        .and(v::review_due_on.assume_not_null().ge(since)),
                )
            };
            all.push(at_least);
        }
        if let Some(before) = before {
            let below: Condition = if due {
                Box::new(
                    v::due_on
                        .is_not_null()
                        .and(v::due_on.assume_not_null().lt(before)),
                )
            } else {
                Box::new(
                    v::review_due_on
                        .is_not_null()
                        .and(v::review_due_on.assume_not_null().lt(before)),
                )
            };
            all.push(below);
        }
    }
    if let Some(since) = ask.created_at.since {
        all.push(Box::new(v::created_at.ge(since.instant(zone))));
    }
    if let Some(before) = ask.created_at.before {
        all.push(Box::new(v::created_at.lt(before.instant(zone))));
    }
    if let Some(since) = ask.updated_at.since {
        all.push(Box::new(v::updated_at.ge(since.instant(zone))));
    }
    if let Some(before) = ask.updated_at.before {
        all.push(Box::new(v::updated_at.lt(before.instant(zone))));
    }
    all
}

/// The people who have left, among the targets.
const GONE: &str = "";

/// The targets asked for, by member.
type Targets = BTreeMap<&'static str, Vec<Id>>;

/// Looks up what was named by code. What does not exist matches nothing.
fn targets(reader: &mut Reader<'_>, ask: &Ask) -> Result<Targets> {
    let mut all = Targets::new();
    for (member, selectors) in &ask.related {
        let ids = selectors
            .iter()
            .map(|selector| named(reader, selector))
            .collect::<Result<Vec<_>>>()?;
        all.entry(*member)
            .or_default()
            .extend(ids.into_iter().flatten());
    }
    for owner in &ask.owners {
        let id = match owner {
            Owner::Me => reader.person(),
            Owner::Person(selector) => named(reader, selector)?,
        };
        all.entry("owner_id").or_default().extend(id);
    }
    if ask.owner_left.is_some() {
        let (seq, today) = (reader.moment.seq, reader.today);
        all.insert(
            GONE,
            super::accounts::all_left(reader.conn, reader.tenant(), seq, today)?,
        );
    }
    Ok(all)
}

/// What a filter names. A code tells a limited caller nothing of a record that it does not see; an
/// id is what it is told anyway.
fn named(reader: &mut Reader<'_>, selector: &Selector) -> Result<Option<Id>> {
    match selector {
        Selector::Number(kind, number) if reader.limited(kind) => {
            let seen = v::table
                .filter(reader.seen(kind))
                .filter(v::number.eq(*number));
            Ok(seen.select(v::id).get_result(reader.conn).optional()?)
        }
        _ => Ok(selector.resolve(reader.conn, reader.tenant())?),
    }
}

/// Linked with one of these.
fn related(member: &'static str, ids: &[Id], seq: i64) -> Condition {
    let links = l::table.filter(
        l::tenant_id
            .eq(v::tenant_id)
            .and(l::from_id.eq(v::id))
            .and(l::relation.eq(member)),
    );
    Box::new(exists(
        links
            .filter(l::from_seq.le(seq).and(l::to_seq.gt(seq)))
            .filter(l::to_id.eq_any(ids.to_vec())),
    ))
}

/// The records of a list, asked again for each count.
pub type Again<'a> = &'a dyn Fn(&Reader<'_>) -> Result<Condition>;

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

impl Reader<'_> {
    /// The moment as filters need it.
    pub fn moments(&self) -> Moments {
        let (seq, at) = (self.moment.seq, self.moment.at);
        Moments {
            seq,
            today: self.today,
            at,
            settings: self.settings,
            caller: self.caller().clone(),
        }
    }
}
