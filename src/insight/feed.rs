//! The ledger, read by position: the change feed that a program follows, and the entries that
//! answer "who changed what in March".
use super::event::LedgerEvent;
use super::scan::{self, Asked, EFFORT, Found, seen};
use crate::core::{Code, Id, Problem, Result, json::canonical, text::hex};
use crate::db::schema::ledger_entries as e;
use crate::db::schema::ledger_entries;
use crate::http::{Answer, Guard, Ledger, Permission, View, ViewQuery};
use crate::records::history::{self, Entry};
use crate::records::{Kind, Reader, limit};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

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
/// The kinds that this caller reads, cut to those that were asked for; 403 for one that it does not
/// read.
pub(super) fn kinds<P: Permission>(
    guard: &Guard<P>,
    asked: &[String],
) -> Result<(Vec<&'static str>, bool)> {
    let (caller, table) = (guard.caller(), guard.house().kinds());
    let readable = |kind: &Kind| caller.follows(kind.name) && kind.read_with(&caller.limits);
    for name in asked {
        let unknown = || Problem::parameter("kind", format!("unknown kind `{name}`"));
        let kind = table.named(name).ok_or_else(unknown)?;
        if !caller.follows(kind.name) {
            return Err(Problem::new(
                Code::Forbidden,
                format!("Your role may not read {}.", kind.path.replace('-', " ")),
            ));
        }
        if !readable(kind) {
            let detail = format!(
                "The limits of your key do not allow it to read {}.",
                kind.path.replace('-', " ")
            );
            return Err(Problem::new(Code::OutsideLimits, detail));
        }
    }
    let all = table.all().iter().filter(|kind| readable(kind));
    let some = all.filter(|kind| asked.is_empty() || asked.iter().any(|one| one == kind.name));
    Ok((some.map(|kind| kind.name).collect(), !asked.is_empty()))
}

/// The entries that were asked for, with what changed in each, where the page ends, and whether
/// there is more.
pub(super) fn read(
    reader: &mut Reader<'_>,
    asked: &Asked,
) -> Result<(Vec<LedgerEvent>, i64, bool)> {
    let last = if reader.moment.past() {
        reader.moment.seq
    } else {
        reader.moment.last
    };
    let nothing = if asked.backwards {
        0
    } else {
        asked.after.unwrap_or(-1).max(last)
    };
    let most = usize::try_from(asked.limit).unwrap_or_default();
    let Found {
        mut entries,
        looked_to,
    } = if asked.everything() {
        all(reader, asked, last)?
    } else {
        scan::find(reader, asked, last, EFFORT)?
    };
    let more = entries.len() > most || looked_to.is_some();
    entries.truncate(most);
    let full = entries.len() == most;
    let end = looked_to
        .filter(|_| !full)
        .or(entries.last().map(|entry| entry.seq))
        .unwrap_or(nothing);
    Ok((events(reader, asked, entries)?, end, more))
}

/// Every entry from a position on, and one more than the page has.
fn all(reader: &mut Reader<'_>, asked: &Asked, last: i64) -> Result<Found> {
    let (from, to) = (asked.after.unwrap_or(-1), asked.before.unwrap_or(i64::MAX));
    let entries = e::table
        .filter(e::tenant_id.eq(reader.tenant()))
        .filter(e::seq.le(last))
        .filter(e::seq.gt(from).and(e::seq.lt(to)));
    let entries = entries
        .limit(asked.limit + 1)
        .select(Entry::as_select())
        .into_boxed();
    let entries = if asked.backwards {
        entries.order(e::seq.desc())
    } else {
        entries.order(e::seq)
    };
    Ok(Found {
        entries: entries.load(reader.conn())?,
        looked_to: None,
    })
}

/// Entries with the members that each changed, against the version before; what the caller does not
/// see keeps its place.
fn events(reader: &mut Reader<'_>, asked: &Asked, entries: Vec<Entry>) -> Result<Vec<LedgerEvent>> {
    let mut before = previous(reader, &entries)?;
    let named = entries
        .iter()
        .chain(&before)
        .filter(|entry| asked.kinds.contains(&entry.kind.as_str()));
    let named: Vec<(i64, Id)> = named.map(|entry| (entry.seq, entry.record_id)).collect();
    let seen = seen(reader, &asked.kinds, &named)?;
    let (mut told, hidden): (Vec<Entry>, Vec<Entry>) = entries
        .into_iter()
        .partition(|entry| seen.contains(&entry.seq));
    before.retain(|entry| seen.contains(&entry.seq));
    history::name(reader, &mut before)?;
    history::name(reader, &mut told)?;
    let before: BTreeMap<(Id, i32), Entry> = before
        .into_iter()
        .map(|entry| ((entry.record_id, entry.record_version), entry))
        .collect();
    let event = |entry: Entry| {
        let old = before.get(&(entry.record_id, entry.record_version - 1));
        let (text, old) = (
            text(reader, &entry)?,
            old.map(|old| text(reader, old)).transpose()?,
        );
        let (image, old) = (members(&text)?, old.as_deref().map(members).transpose()?);
        let value = |name: &str| match image.get(name) {
            Some(value) => serde_json::from_str(value.get()).map_err(Problem::internal),
            None => Ok(Value::Null),
        };
        let by = value("updated_by")?;
        Ok(LedgerEvent {
            seq: entry.seq,
            leaf_hash: hex(&entry.leaf_hash),
            hidden: false,
            at: Some(entry.at),
            actor: Some(entry.actor(by.get("name").and_then(Value::as_str).unwrap_or_default())),
            changed: Some(changed(&old.unwrap_or_default(), &image)),
            code: Some(value("code")?),
            name: Some(value("name")?),
            action: Some(entry.action),
            kind: Some(entry.kind),
            id: Some(entry.record_id),
            version: Some(entry.record_version),
            reason: Some(json!(entry.reason)),
            request_id: Some(entry.request_id),
        })
    };
    let mut all = told.into_iter().map(event).collect::<Result<Vec<_>>>()?;
    all.extend(hidden.iter().map(LedgerEvent::hidden));
    all.sort_by_key(|event| {
        if asked.backwards {
            -event.seq
        } else {
            event.seq
        }
    });
    Ok(all)
}

/// The members of a canonical image, each as its text: two are compared without being read.
type Members<'t> = BTreeMap<&'t str, &'t RawValue>;

fn members(text: &str) -> Result<Members<'_>> {
    serde_json::from_str(text).map_err(Problem::internal)
}

/// The canonical image after an entry, as the reader sees it: as it is stored, where nothing has to
/// be put in or taken out.
fn text<'e>(reader: &Reader<'_>, entry: &'e Entry) -> Result<Cow<'e, str>> {
    let kind = reader.kinds().named(&entry.kind);
    let present = kind.is_some_and(|kind| kind.schema == entry.schema);
    if present && entry.personal.is_none() && !limit::cuts(reader.caller()) {
        return Ok(Cow::Borrowed(&entry.body));
    }
    let mut image = entry.image(reader.kinds())?;
    reader.cut(&mut image);
    Ok(Cow::Owned(canonical(&image)?))
}

/// The names of the members in which two images differ.
fn changed(before: &Members<'_>, after: &Members<'_>) -> Vec<String> {
    let names: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    fn said<'t>(image: &Members<'t>, name: &str) -> &'t str {
        image.get(name).map_or("null", |value| value.get())
    }
    let differs =
        |name: &&str| !history::ALWAYS.contains(name) && said(before, name) != said(after, name);
    names
        .into_iter()
        .filter(differs)
        .map(str::to_owned)
        .collect()
}

/// The entries of the versions just before these: of each record that one, and no other.
fn previous(reader: &mut Reader<'_>, entries: &[Entry]) -> Result<Vec<Entry>> {
    let this = diesel::alias!(ledger_entries as this);
    let changes = entries.iter().filter(|entry| entry.record_version > 1);
    let seqs: Vec<i64> = changes.map(|entry| entry.seq).collect();
    let (Some(first), Some(last)) = (seqs.iter().min(), seqs.iter().max()) else {
        return Ok(vec![]);
    };
    let (tenant, version) = (this.field(e::tenant_id), this.field(e::record_version));
    let before = e::table.inner_join(
        this.on(e::tenant_id
            .eq(tenant)
            .and(e::kind.eq(this.field(e::kind)))
            .and(e::record_id.eq(this.field(e::record_id)))
            .and(e::record_version.eq(version - 1))),
    );
    let before = before
        .filter(tenant.eq(reader.tenant()))
        .select(Entry::as_select());
    // A page without filters is every entry from one position to another, and its statement stays
    // prepared.
    let whole = last - first < 2 * seqs.len() as i64;
    Ok(match whole {
        true => before
            .filter(
                this.field(e::seq)
                    .ge(*first)
                    .and(this.field(e::seq).le(*last)),
            )
            .load(reader.conn())?,
        false => before
            .filter(this.field(e::seq).eq_any(seqs))
            .load(reader.conn())?,
    })
}

/// How long a poll that was woken for nothing sleeps at least.
const ROUND: Duration = Duration::from_millis(200);

/// What can be asked of `listEvents`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EventsQuery {
    /// Only entries after this position; from the start when absent.
    #[param(minimum = -1)]
    after: Option<i64>,
    /// Only of these registers.
    #[param(max_items = 50, max_length = 64)]
    kind: Vec<String>,
    /// Seconds to wait for something.
    #[param(minimum = 0, maximum = 30)]
    wait: Option<i32>,
}

async fn list_events(guard: Guard<View<Ledger>>, query: ViewQuery<EventsQuery>) -> Result<Answer> {
    let (limit, EventsQuery { after, kind, wait }) = (query.page.limit, query.own);
    let (readable, some) = kinds(&guard, &kind)?;
    let asked = Asked {
        after,
        kinds: readable,
        some,
        limit,
        ..Asked::default()
    };
    let wait = Duration::from_secs(wait.unwrap_or(0).unsigned_abs().into());
    let until = tokio::time::Instant::now() + wait;
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
            let words = format!(
                "the ledger ends at {last}, before {after}. It may have been restored from a \
                    backup: start again from its end"
            );
            return Err(Problem::parameter("after", words));
        }
        if !data.is_empty() || has_more || tokio::time::Instant::now() >= until {
            return Ok(Answer::of(&EventPage {
                data,
                last_seq: end,
                has_more,
            })?
            .at(last));
        }
        // What was written and was not asked for wakes everybody who waits, but not more often than
        // this.
        match poll {
            None => poll = Some(guard.poll()?),
            Some(_) => tokio::time::sleep(ROUND).await,
        }
        guard.changed(last, until).await?;
        // Who waited may have lost the key or the role meanwhile.
        guard = guard.refreshed().await?;
        asked.kinds = kinds(&guard, &kind)?.0;
    }
}

/// Mounts the feed.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.get("/v1/events", list_events)
        .id("listEvents")
        .says(
            "Follow the change feed",
            "What changed, in the order of the ledger. `wait` holds \
            the answer up to that many seconds until there is something; up to ten requests of a \
            key wait at once. An `after` beyond the end of the ledger is 400: there the ledger \
            was restored from a backup. Without `kind` there are no gaps: an entry that the \
            reader may not see has its position and the hash of its leaf, and `hidden`.",
        )
        .tag("ledger")
        .query::<EventsQuery>()
        .shared("Limit")
        .untagged()
        .answers::<EventPage>("Entries.");
}
