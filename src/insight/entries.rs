//! The entries of the ledger, newest first: who changed what, when and why.
use super::event::LedgerEvent;
use super::feed::{kinds, read};
use super::scan::Asked;
use crate::core::clock::Edge;
use crate::core::{Id, Result};
use crate::http::{Answer, Guard, Ledger, View, ViewQuery};
use crate::records::named::{AccountRef, AnyRef};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

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

/// What can be asked of `listLedgerEntries`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LedgerEntriesQuery {
    /// By these accounts.
    #[param(
        value_type = Option<Vec<String>>,
        max_items = 50,
        max_length = 36,
        pattern = "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"
    )]
    actor_id: Vec<AccountRef>,
    /// Of these registers.
    #[param(max_items = 50, max_length = 64)]
    kind: Vec<String>,
    /// Of these actions.
    #[param(max_items = 50, max_length = 64)]
    action: Vec<String>,
    /// Of these records: ids or codes.
    #[param(
        value_type = Option<Vec<String>>,
        max_items = 50,
        max_length = 64,
        pattern = "^([0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[A-Z]{3}-[0-9]{1,18})$"
    )]
    record_id: Vec<AnyRef>,
    /// On or after: an RFC 3339 instant, or a date, which begins where the organization is.
    #[param(
        value_type = Option<String>,
        max_length = 64,
        pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ].{1,40})?$"
    )]
    at_since: Option<Edge>,
    /// Earlier.
    #[param(
        value_type = Option<String>,
        max_length = 64,
        pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ].{1,40})?$"
    )]
    at_before: Option<Edge>,
}

async fn list_entries(
    guard: Guard<View<Ledger>>,
    query: ViewQuery<LedgerEntriesQuery>,
) -> Result<Answer> {
    let LedgerEntriesQuery {
        actor_id,
        kind,
        action,
        record_id,
        at_since: since,
        at_before: until,
    } = query.own;
    let table = guard.house().kinds();
    let named = record_id
        .iter()
        .map(|record| record.selector("record_id", table))
        .collect::<Result<Vec<_>>>()?;
    let (readable, some) = kinds(&guard, &kind)?;
    let asked = Asked {
        before: query.page.before()?,
        kinds: readable,
        some,
        actors: actor_id.into_iter().map(|account| account.0).collect(),
        actions: action,
        limit: query.page.limit,
        backwards: true,
        ..Asked::default()
    };
    guard
        .view(query.as_of, move |reader| {
            let tenant = reader.tenant();
            let records = named
                .iter()
                .map(|record| record.resolve(reader.conn(), tenant))
                .collect::<QueryResult<Vec<_>>>()?;
            let records: Vec<Id> = records.into_iter().flatten().collect();
            if !named.is_empty() && records.is_empty() {
                return Answer::of(&EntryPage {
                    data: vec![],
                    next_cursor: None,
                    has_more: false,
                });
            }
            let zone = reader.settings.zone;
            let (since, until) = (
                since.map(|edge| edge.instant(zone)),
                until.map(|edge| edge.instant(zone)),
            );
            let (data, end, has_more) = read(
                reader,
                &Asked {
                    records,
                    since,
                    until,
                    ..asked
                },
            )?;
            Answer::of(&EntryPage {
                data,
                next_cursor: has_more.then(|| end.to_string()),
                has_more,
            })
        })
        .await
}

/// Mounts them.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.get("/v1/ledger/entries", list_entries)
        .id("listLedgerEntries")
        .says(
            "List the entries of the ledger",
            "Who changed what, when and why; newest first. \
            Without a filter there are no gaps: an entry that the reader may not see has its \
            position and the hash of its leaf, and `hidden`. With one, such entries are left out, \
            and a page may be shorter than asked for.",
        )
        .as_of()
        .query::<LedgerEntriesQuery>()
        .paged()
        .answers::<EntryPage>("Entries.");
}
