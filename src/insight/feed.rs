//! The ledger, read by position: the change feed that a program follows, and the entries that answer "who changed what in March".
use crate::access::Actor;

use crate::core::clock::Edge;
use crate::core::{Id, Instant, Invalid, Problem, Result, text::hex};
use crate::db::schema::{ledger_entries as e, versions as v};
use crate::http::describe::Refusals;
use crate::http::{Answer, Guard, Ledger, Permission, Then, View};
use crate::records::history::{self, Entry};
use crate::records::{Condition, Reader, kind, sight};
use actix_web::{HttpRequest, get};
use diesel::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use utoipa::ToSchema;

/// One entry of the ledger.
#[derive(Debug, Serialize, ToSchema)]
pub struct LedgerEvent {
    /// Its position.
    #[schema(minimum = 0)]
    pub seq: i64,
    /// When.
    pub at: Instant,
    /// Who.
    pub actor: Actor,
    /// What was done.
    #[schema(max_length = 64)]
    pub action: String,
    /// In which register.
    #[schema(max_length = 64)]
    pub kind: String,
    /// With which record.
    pub id: Id,
    /// Its readable identifier.
    #[schema(required, max_length = 32)]
    pub code: Option<String>,
    /// What it was called then.
    #[schema(required, max_length = 200)]
    pub name: Option<String>,
    /// Its version after it.
    #[schema(minimum = 1)]
    pub version: i32,
    /// Why.
    #[schema(required, max_length = 2500)]
    pub reason: Option<String>,
    /// The request that caused it.
    pub request_id: Id,
    /// The members that changed.
    #[schema(max_items = 1000, max_length = 100)]
    pub changed: Vec<String>,
    /// RFC 6962 hash of its leaf, in hexadecimal digits.
    #[schema(min_length = 64, max_length = 64)]
    pub leaf_hash: String,
}
/// A part of the change feed.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventPage {
    /// In the order of the ledger.
    #[schema(max_items = 200)]
    pub data: Vec<LedgerEvent>,
    /// Ask for what comes `after` it next.
    #[schema(minimum = -1)]
    pub last_seq: i64,
    /// Is there more already?
    pub has_more: bool,
}
/// A page of entries, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct EntryPage {
    /// The entries.
    #[schema(max_items = 200)]
    pub data: Vec<LedgerEvent>,
    /// Ask with it for the next page; null on the last.
    #[schema(required, max_length = 2000)]
    pub next_cursor: Option<String>,
    /// Is there a next page?
    pub has_more: bool,
}

/// Which entries.
#[derive(Debug, Clone, Default)]
struct Asked {
    after: Option<i64>,
    before: Option<i64>,
    kinds: Vec<&'static str>,
    actors: Vec<Id>,
    records: Vec<Id>,
    actions: Vec<String>,
    since: Option<Instant>,
    until: Option<Instant>,
    limit: i64,
    backwards: bool,
}

/// The kinds that this caller reads, cut to those that were asked for.
fn kinds<P: Permission>(guard: &Guard<P>, then: &Then) -> Result<Vec<&'static str>> {
    let caller = guard.caller();
    let readable = kind::all().iter().map(|kind| kind.name).filter(|kind| caller.follows(kind));
    let asked: Vec<&str> = then.own.iter().filter(|(name, _)| name == "kind").map(|(_, value)| value.as_str()).collect();
    let unknown = asked.iter().find(|name| kind::named(name).is_none());
    if let Some(name) = unknown {
        return Err(Problem::parameters(vec![Invalid::query("kind", "invalid_parameter", format!("there is no kind `{name}`"))]));
    }
    Ok(readable.filter(|kind| asked.is_empty() || asked.contains(kind)).collect())
}

/// The entries that this caller sees, with what changed in each: two queries, and some more where the key is limited, so that pages are full.
fn read(reader: &mut Reader<'_>, asked: &Asked) -> Result<(Vec<LedgerEvent>, i64, bool)> {
    let last = if reader.moment.past() { reader.moment.seq } else { reader.moment.last };
    let mut entries = match sight::shown(reader.caller(), &asked.kinds, reader.moment.seq) {
        None => entries(reader, asked, last, None, asked.limit + 1)?,
        Some(_) => limited(reader, asked, last)?,
    };
    let more = entries.len() as i64 > asked.limit;
    entries.truncate(usize::try_from(asked.limit).unwrap_or_default());
    let nothing = if asked.backwards { 0 } else { asked.after.unwrap_or(-1).max(last) };
    let end = entries.last().map_or(nothing, |entry| entry.seq);
    Ok((events(reader, entries)?, end, more))
}

/// Entries as asked for, up to a position; of these positions only, where some are given.
fn entries(reader: &mut Reader<'_>, asked: &Asked, last: i64, of: Option<&[i64]>, limit: i64) -> Result<Vec<Entry>> {
    let mut query =
        e::table.filter(e::tenant_id.eq(reader.tenant())).filter(e::seq.le(last)).filter(e::kind.eq_any(asked.kinds.clone())).into_boxed();
    if let Some(of) = of {
        query = query.filter(e::seq.eq_any(of.to_vec()));
    }
    if let Some(after) = asked.after {
        query = query.filter(e::seq.gt(after));
    }
    if let Some(before) = asked.before {
        query = query.filter(e::seq.lt(before));
    }
    if !asked.actors.is_empty() {
        query = query.filter(e::actor_id.eq_any(asked.actors.clone()));
    }
    if !asked.records.is_empty() {
        query = query.filter(e::record_id.eq_any(asked.records.clone()));
    }
    if !asked.actions.is_empty() {
        query = query.filter(e::action.eq_any(asked.actions.clone()));
    }
    if let Some(since) = asked.since {
        query = query.filter(e::at.ge(since));
    }
    if let Some(until) = asked.until {
        query = query.filter(e::at.lt(until));
    }
    query = if asked.backwards { query.order(e::seq.desc()) } else { query.order(e::seq) };
    Ok(query.limit(limit).select(Entry::as_select()).load(reader.conn())?)
}

/// The entries whose versions the key's limits show: their positions some hundreds at a time, until the page is full.
fn limited(reader: &mut Reader<'_>, asked: &Asked, last: i64) -> Result<Vec<Entry>> {
    const SOME: usize = 500;
    let (mut found, mut from) = (Vec::new(), if asked.backwards { asked.before.unwrap_or(last + 1) } else { asked.after.unwrap_or(-1) });
    while let Some(shown) = sight::shown(reader.caller(), &asked.kinds, reader.moment.seq) {
        let versions = v::table.filter(v::tenant_id.eq(reader.tenant())).filter(v::from_seq.le(last)).filter(shown);
        let seqs: Vec<i64> = match asked.backwards {
            true => versions
                .filter(v::from_seq.lt(from))
                .order(v::from_seq.desc())
                .limit(SOME as i64)
                .select(v::from_seq)
                .load(reader.conn())?,
            false => versions.filter(v::from_seq.gt(from)).order(v::from_seq).limit(SOME as i64).select(v::from_seq).load(reader.conn())?,
        };
        found.extend(entries(reader, asked, last, Some(&seqs), asked.limit + 1 - found.len() as i64)?);
        match seqs.last().filter(|_| seqs.len() == SOME && found.len() as i64 <= asked.limit) {
            Some(seq) => from = *seq,
            None => break,
        }
    }
    Ok(found)
}

/// The entries of the versions just before these: of each record that one, and no other.
fn previous(reader: &mut Reader<'_>, entries: &[Entry]) -> Result<Vec<Entry>> {
    let tenant = reader.tenant();
    let changes = entries.iter().filter(|entry| entry.record_version > 1);
    let one = |entry: &Entry| -> Condition {
        Box::new(v::tenant_id.eq(tenant).and(v::id.eq(entry.record_id)).and(v::version.eq(entry.record_version - 1)))
    };
    let Some(any) = changes.map(one).reduce(|a, b| Box::new(a.or(b))) else { return Ok(vec![]) };
    let seqs: Vec<i64> = v::table.filter(any).select(v::from_seq).load(reader.conn())?;
    let before = e::table.filter(e::tenant_id.eq(tenant)).filter(e::seq.eq_any(seqs));
    Ok(before.select(Entry::as_select()).load(reader.conn())?)
}

/// Entries with the members that each changed, against the version before.
fn events(reader: &mut Reader<'_>, mut entries: Vec<Entry>) -> Result<Vec<LedgerEvent>> {
    let mut before = previous(reader, &entries)?;
    history::name(reader, &mut before)?;
    history::name(reader, &mut entries)?;
    let before: BTreeMap<(Id, i32), Entry> = before.into_iter().map(|entry| ((entry.record_id, entry.record_version), entry)).collect();
    let event = |entry: Entry| {
        let image = entry.image()?;
        let old = before.get(&(entry.record_id, entry.record_version - 1)).map(Entry::image).transpose()?;
        let changed = history::changes(old.as_ref(), &image).into_iter().map(|change| change.pointer.trim_start_matches('/').to_owned());
        let text = |name: &str| image.get(name).and_then(|value| value.as_str()).map(str::to_owned);
        Ok(LedgerEvent {
            seq: entry.seq,
            at: entry.at,
            actor: entry.actor(&image),
            changed: changed.collect(),
            code: text("code"),
            name: text("name"),
            action: entry.action,
            kind: entry.kind,
            id: entry.record_id,
            version: entry.record_version,
            reason: entry.reason,
            request_id: entry.request_id,
            leaf_hash: hex(&entry.leaf_hash),
        })
    };
    entries.into_iter().map(event).collect()
}

/// How long a poll that was woken for nothing sleeps at least.
const ROUND: Duration = Duration::from_millis(200);

/// Follow the change feed
///
/// What changed, in the order of the ledger. `wait` holds the answer up to that many seconds until there is something; up to ten requests of a key
/// wait at once. An `after` beyond the end of the ledger is 400: there the ledger was restored from a backup.
#[utoipa::path(operation_id = "listEvents", tag = "ledger", security(("bearer" = [])),
    params(("after" = Option<i64>, Query, description = "Only entries after this position; from the start when absent.", minimum = -1),
        ("kind" = Option<Vec<String>>, Query, description = "Only of these registers.", max_items = 50, max_length = 64),
        ("limit" = Option<i32>, Query, description = "How many at most.", minimum = 1, maximum = 200),
        ("wait" = Option<i32>, Query, description = "Seconds to wait for something.", minimum = 0, maximum = 30)),
    responses((status = 200, description = "Entries.", body = EventPage), Refusals))]
#[get("/v1/events")]
pub async fn list_events(guard: Guard<View<Ledger>>, request: HttpRequest) -> Result<Answer> {
    let then = Then::read(&request, &["after", "kind", "limit", "wait"])?;
    let after = then.at_least("after", -1)?;
    let limit = history::limit(&then.parsed("limit", "a number from 1 to 200")?)?;
    let needed = "a number of seconds from 0 to 30";
    let wait = then.parsed::<u64>("wait", needed)?.unwrap_or(0);
    if wait > 30 {
        return Err(Problem::parameters(vec![Invalid::query("wait", "invalid_parameter", format!("{needed} is needed"))]));
    }
    let asked = Asked { after, kinds: kinds(&guard, &then)?, limit, ..Asked::default() };
    let until = tokio::time::Instant::now() + Duration::from_secs(wait);
    let (mut guard, mut asked, mut poll) = (guard, asked, None);
    loop {
        let question = asked.clone();
        let (data, end, has_more, last) = guard
            .read(None, move |reader| {
                let (data, end, more) = read(reader, &question)?;
                Ok((data, end, more, reader.moment.last))
            })
            .await?;
        if let Some(after) = asked.after.filter(|after| *after > last) {
            let words =
                format!("the ledger ends at {last}, before {after}: it may have been restored from a backup; begin again after its end");
            return Err(Problem::parameters(vec![Invalid::query("after", "invalid_parameter", words)]));
        }
        if !data.is_empty() || has_more || tokio::time::Instant::now() >= until {
            return Ok(Answer::of(&EventPage { data, last_seq: end, has_more })?.at(last));
        }
        // What was written and was not asked for wakes everybody who waits, but not more often than this.
        match poll {
            None => poll = Some(guard.poll()?),
            Some(_) => tokio::time::sleep(ROUND).await,
        }
        guard.changed(last, until).await?;
        // Who waited may have lost the key or the role meanwhile.
        guard = guard.refreshed().await?;
        asked.kinds = kinds(&guard, &then)?;
    }
}

/// List the entries of the ledger
///
/// Who changed what, when and why; newest first.
#[utoipa::path(operation_id = "listLedgerEntries", tag = "ledger", security(("bearer" = [])),
    params(("actor_id" = Option<Vec<String>>, Query, description = "By these accounts.", max_items = 50, max_length = 36, pattern = "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"), ("kind" = Option<Vec<String>>, Query, description = "Of these registers.", max_items = 50, max_length = 64),
        ("action" = Option<Vec<String>>, Query, description = "Of these actions.", max_items = 50, max_length = 64), ("record_id" = Option<Vec<String>>, Query, description = "Of these records: ids or codes.", max_items = 50, max_length = 64, pattern = "^([0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[A-Z]{3}-[0-9]{1,18})$"),
        ("at_since" = Option<String>, Query, description = "On or after: an RFC 3339 instant, or a date, which begins where the organization is.", max_length = 64, pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ].{1,40})?$"), ("at_before" = Option<String>, Query, description = "Earlier.", max_length = 64, pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ].{1,40})?$"),
        ("limit" = Option<i32>, Query, description = "How many at most.", minimum = 1, maximum = 200), ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before.", max_length = 2000),
        ("as_of" = Option<String>, Query, description = "As it stood then.", max_length = 64, pattern = "^(seq:[0-9]{1,18}|[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ].{1,40})?)$")),
    responses((status = 200, description = "Entries.", body = EntryPage), crate::http::describe::Unchanged, Refusals))]
#[get("/v1/ledger/entries")]
pub async fn list_entries(guard: Guard<View<Ledger>>, request: HttpRequest) -> Result<Answer> {
    let then = Then::read(&request, &["actor_id", "kind", "action", "record_id", "at_since", "at_before", "limit", "cursor"])?;
    let many = |name: &str| then.own.iter().filter(|(given, _)| given == name).map(|(_, value)| value.clone()).collect::<Vec<_>>();
    let bad =
        |name: &str, needed: &str| Problem::parameters(vec![Invalid::query(name, "invalid_parameter", format!("{needed} is needed"))]);
    let edge =
        |name: &str| then.get(name).map(|text| text.parse::<Edge>().map_err(|_| bad(name, "an RFC 3339 instant or a date"))).transpose();
    let actors = many("actor_id").iter().map(|id| Id::parse(id).ok_or_else(|| bad("actor_id", "an id"))).collect::<Result<Vec<_>>>()?;
    let named = many("record_id")
        .iter()
        .map(|id| crate::records::Selector::parse(id, "").ok_or_else(|| bad("record_id", "an id or a code")))
        .collect::<Result<Vec<_>>>()?;
    let before = then.parsed::<i64>("cursor", "`next_cursor` of the page before")?;
    let limit = history::limit(&then.parsed("limit", "a number from 1 to 200")?)?;
    let (since, until) = (edge("at_since")?, edge("at_before")?);
    let asked = Asked { before, kinds: kinds(&guard, &then)?, actors, actions: many("action"), limit, backwards: true, ..Asked::default() };
    guard
        .view(then.as_of, move |reader| {
            let tenant = reader.tenant();
            let records = named.iter().map(|selector| selector.resolve(reader.conn(), tenant)).collect::<QueryResult<Vec<_>>>()?;
            let records: Vec<Id> = records.into_iter().flatten().collect();
            if !named.is_empty() && records.is_empty() {
                return Answer::of(&EntryPage { data: vec![], next_cursor: None, has_more: false });
            }
            let zone = reader.settings.zone;
            let (since, until) = (since.map(|edge| edge.instant(zone)), until.map(|edge| edge.instant(zone)));
            let (data, end, has_more) = read(reader, &Asked { records, since, until, ..asked })?;
            Answer::of(&EntryPage { data, next_cursor: has_more.then(|| end.to_string()), has_more })
        })
        .await
}
