//! Questions to the ledger with a bound: whatever is asked for, a page follows an index and looks
//! at some thousand entries at the most.
use crate::core::{Id, Instant, Result};
use crate::db::Backend;
use crate::db::schema::ledger_entries as e;
use crate::ledger::read::first_since;
use crate::records::history::Entry;
use crate::records::{Kind, Reader, sight};
use diesel::prelude::*;
use std::collections::BTreeSet;

/// Which entries.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Behind this position.
    pub after: Option<i64>,
    /// Before this position.
    pub before: Option<i64>,
    /// What the caller may read, cut to what was asked for.
    pub kinds: Vec<&'static str>,
    /// Were some of them asked for?
    pub some: bool,
    /// By any of these accounts.
    pub actors: Vec<Id>,
    /// Of any of these records.
    pub records: Vec<Id>,
    /// Of any of these actions.
    pub actions: Vec<String>,
    /// Written then or later.
    pub since: Option<Instant>,
    /// Written before.
    pub until: Option<Instant>,
    /// Entries of a page.
    pub limit: i64,
    /// Newest first?
    pub backwards: bool,
}

impl Asked {
    /// Was nothing asked but a position? Then the answer has no gaps.
    pub fn everything(&self) -> bool {
        let narrowed = self.some || self.since.or(self.until).is_some();
        !narrowed && self.actors.is_empty() && self.records.is_empty() && self.actions.is_empty()
    }
    /// The indexes that are followed: each gives entries in the order of the ledger.
    fn lanes(&self) -> Vec<Lane> {
        match self {
            Asked { records, .. } if !records.is_empty() => {
                records.iter().copied().map(Lane::Record).collect()
            }
            Asked { actors, .. } if !actors.is_empty() => {
                actors.iter().copied().map(Lane::Actor).collect()
            }
            Asked {
                some: true, kinds, ..
            } => kinds.iter().copied().map(Lane::Kind).collect(),
            _ => vec![Lane::All],
        }
    }
    /// What the followed index does not say.
    fn fits(&self, entry: &Looked) -> bool {
        let any = |of: &[Id], id| of.is_empty() || of.contains(&id);
        any(&self.records, entry.record)
            && any(&self.actors, entry.actor)
            && self.kinds.contains(&entry.kind.as_str())
            && (self.actions.is_empty() || self.actions.contains(&entry.action))
    }
}

/// Entries of one record, account or register; or all.
#[derive(Debug, Clone, Copy)]
enum Lane {
    Record(Id),
    Actor(Id),
    Kind(&'static str),
    All,
}

/// An entry, as far as filters look at it.
#[derive(Debug, Queryable)]
struct Looked {
    seq: i64,
    record: Id,
    actor: Id,
    kind: String,
    action: String,
}

/// Positions from the first to the last, both included.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: i64,
    to: i64,
}

/// What a page came to.
pub struct Found {
    /// One more than the page has, where there are so many.
    pub entries: Vec<Entry>,
    /// Up to where was looked, when it ended before the page was full and before the span was.
    pub looked_to: Option<i64>,
}

/// How much a page may cost.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Entries that are looked at together.
    pub some: i64,
    /// The least of them of one index.
    pub least: i64,
    /// How often more are looked at.
    pub rounds: usize,
}
/// Some thousand entries.
pub const EFFORT: Effort = Effort {
    some: 2000,
    least: 50,
    rounds: 5,
};

/// The entries that were asked for, up to the position `last`. What the caller does not see is left
/// out here, or the question would tell of it.
pub fn find(reader: &mut Reader<'_>, asked: &Asked, last: i64, effort: Effort) -> Result<Found> {
    let (mut span, lanes) = (span(reader, asked, last)?, asked.lanes());
    let mut seqs = Vec::new();
    let mut looked_to = None;
    for round in 0..effort.rounds {
        // The first round is enough where most entries fit.
        let some = if round == 0 {
            asked.limit + 1
        } else {
            (effort.some / lanes.len().max(1) as i64).max(effort.least)
        };
        let (looked, horizon) = look(reader, asked, &lanes, span, some)?;
        let fitting: Vec<(i64, Id)> = looked
            .iter()
            .filter(|entry| asked.fits(entry))
            .map(|entry| (entry.seq, entry.record))
            .collect();
        let seen = seen(reader, &asked.kinds, &fitting)?;
        seqs.extend(
            fitting
                .into_iter()
                .map(|(seq, _)| seq)
                .filter(|seq| seen.contains(seq)),
        );
        looked_to = horizon;
        match horizon.filter(|_| seqs.len() as i64 <= asked.limit) {
            None => break,
            Some(seq) if asked.backwards => span.to = seq - 1,
            Some(seq) => span.from = seq + 1,
        }
    }
    let full = seqs.len() as i64 > asked.limit;
    seqs.truncate(usize::try_from(asked.limit + 1).unwrap_or_default());
    let chosen = e::table
        .filter(e::tenant_id.eq(reader.tenant()))
        .filter(e::seq.eq_any(seqs))
        .select(Entry::as_select());
    let mut entries: Vec<Entry> = chosen.load(reader.conn())?;
    entries.sort_by_key(|entry| {
        if asked.backwards {
            -entry.seq
        } else {
            entry.seq
        }
    });
    Ok(Found {
        entries,
        looked_to: looked_to.filter(|_| !full),
    })
}

/// The next entries of all lanes together, in order, and up to where they are complete (`None`: to
/// the end of the span).
fn look(
    reader: &mut Reader<'_>,
    asked: &Asked,
    lanes: &[Lane],
    span: Span,
    some: i64,
) -> Result<(Vec<Looked>, Option<i64>)> {
    let (mut all, mut horizon) = (Vec::new(), None);
    for lane in lanes {
        let mut found: Vec<Looked> = lane
            .from(reader, span, asked.backwards)
            .limit(some)
            .load(reader.conn())?;
        found.retain(|entry| (span.from..=span.to).contains(&entry.seq));
        // Fewer are left where the span has ended.
        if let Some(last) = found.last().filter(|_| found.len() as i64 == some) {
            let nearest = |known: i64| {
                if asked.backwards {
                    known.max(last.seq)
                } else {
                    known.min(last.seq)
                }
            };
            horizon = Some(horizon.map_or(last.seq, nearest));
        }
        all.extend(found);
    }
    let near = |seq: i64| {
        horizon.is_none_or(|end| {
            if asked.backwards {
                seq >= end
            } else {
                seq <= end
            }
        })
    };
    all.retain(|entry| near(entry.seq));
    all.sort_by_key(|entry| {
        if asked.backwards {
            -entry.seq
        } else {
            entry.seq
        }
    });
    Ok((all, horizon))
}

impl Lane {
    /// From the end of the span where it begins. The other end is not said: between two ends SQLite
    /// would walk the log instead of the index.
    fn from(self, reader: &Reader<'_>, span: Span, backwards: bool) -> LookedQuery {
        let of = e::table.filter(e::tenant_id.eq(reader.tenant()));
        let of = of
            .select((e::seq, e::record_id, e::actor_id, e::kind, e::action))
            .into_boxed();
        let of = match self {
            Lane::Record(id) => of.filter(e::record_id.eq(id)),
            Lane::Actor(id) => of.filter(e::actor_id.eq(id)),
            Lane::Kind(kind) => of.filter(e::kind.eq(kind)),
            Lane::All => of,
        };
        if backwards {
            of.filter(e::seq.le(span.to)).order(e::seq.desc())
        } else {
            of.filter(e::seq.ge(span.from)).order(e::seq)
        }
    }
}
type LookedQuery = diesel::helper_types::IntoBoxed<
    'static,
    diesel::helper_types::Select<e::table, (e::seq, e::record_id, e::actor_id, e::kind, e::action)>,
    Backend,
>;

/// The positions that a question is about. Times never fall along the ledger, so each bound in time
/// is one position.
fn span(reader: &mut Reader<'_>, asked: &Asked, last: i64) -> Result<Span> {
    let tenant = reader.tenant();
    let mut span = Span {
        from: asked.after.map_or(0, |after| after.saturating_add(1)),
        to: last,
    };
    if let Some(before) = asked.before {
        span.to = span.to.min(before.saturating_sub(1));
    }
    if let Some(since) = asked.since {
        span.from = span
            .from
            .max(first_since(reader.conn(), tenant, since)?.unwrap_or(i64::MAX));
    }
    if let Some(until) = asked.until {
        let first = first_since(reader.conn(), tenant, until)?;
        span.to = span.to.min(first.map_or(i64::MAX, |first| first - 1));
    }
    Ok(span)
}

/// Which of these entries the caller sees: two queries for a limited one.
pub fn seen(
    reader: &mut Reader<'_>,
    kinds: &[&'static str],
    of: &[(i64, Id)],
) -> Result<BTreeSet<i64>> {
    let (caller, seq, table) = (reader.caller().clone(), reader.moment.seq, reader.kinds());
    let kinds: Vec<&Kind> = kinds.iter().map(|name| table.or_plain(name)).collect();
    let seen = sight::entries(reader.conn(), &caller, (&kinds, seq), of)?;
    Ok(seen.unwrap_or_else(|| of.iter().map(|(seq, _)| *seq).collect()))
}
