//! Exports: a list as a table. All of it, read in parts at one position, so that it is complete and
//! of one state however long it takes, and never in memory as a whole.
use super::table::{Column, columns, headings, rows};
use crate::core::{Code, Problem, Result};
use crate::http::describe::Description;
use crate::http::format::{CSV, Formats};
use crate::http::view_query::whole;
use crate::http::{Answer, Guard, Read, answer};
use crate::ledger::Moment;
use crate::records::{ListQuery, Reader, Resource, Settings, ask::Keyset, list, veil};
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, Responder};
use bytes::Bytes;
use futures_util::stream::{self, TryStreamExt};

/// Records that are read at once.
const PART: i64 = 250;

/// A register's list as a table: all of it.
pub async fn export<R: Resource>(
    guard: Guard<Read<R>>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    if Formats::of(&request).quality("text/csv").is_none() {
        return Err(Problem::new(Code::NotAcceptable, "Available: text/csv."));
    }
    veil::asked(guard.caller(), &R::KIND, request.query_string())?;
    let ask =
        ListQuery::read::<R::Filter>(guard.house().kinds(), &R::KIND, request.query_string())?;
    table::<R>(guard, &request, ask).await
}

/// The table that answers this question for a list.
pub async fn table<R: Resource>(
    guard: Guard<Read<R>>,
    request: &HttpRequest,
    mut ask: ListQuery,
) -> Result<HttpResponse> {
    let fault = "exports are not paged; remove this parameter";
    whole(
        request.query_string(),
        &["limit", "cursor", "include"],
        "unknown_parameter",
        fault,
    )?;
    ask.limit = PART;
    let known = |tag: &str| format!("{}-csv\"", tag.trim_end_matches('"'));
    if request.headers().contains_key(header::IF_NONE_MATCH) {
        let (tag, position) = guard.state().await?;
        if answer::known(request.headers(), &known(&tag)) {
            return Ok(Answer::unchanged(known(&tag), position).respond_to(request));
        }
    }
    let columns = columns(&Description::of::<R>());
    let (as_of, asked, headed) = (ask.as_of, ask.clone(), columns.clone());
    let first = move |reader: &mut Reader<'_>| {
        reader.moment = reader.moment.pinned();
        let (rows, next) = part::<R>(reader, &asked, &headed)?;
        Ok((
            [headings(&headed)?, rows].concat(),
            next,
            reader.moment,
            reader.settings,
        ))
    };
    let known_then = guard.known().await?;
    let (bytes, next, moment, settings) = guard.read_with(known_then, as_of, first).await?;
    let mut answer = HttpResponse::Ok();
    answer
        .content_type(CSV)
        .insert_header((header::CACHE_CONTROL, "private, no-cache"));
    answer.insert_header((
        header::ETAG,
        known(&guard.tag(moment.last, known_then, None)),
    ));
    answer.insert_header(("Ledger-Position", moment.last));
    answer.insert_header((
        header::CONTENT_DISPOSITION,
        format!("attachment; filename=\"{}.csv\"", R::KIND.path),
    ));
    let rest = Rest {
        guard,
        ask,
        moment,
        settings,
        columns,
    };
    let first = stream::once(std::future::ready(Ok::<_, Problem>(Bytes::from(bytes))));
    let more = stream::try_unfold((rest, next), |(rest, place)| async move {
        let Some(place) = place else { return Ok(None) };
        // A key that was revoked meanwhile gets no further part.
        let rest = Rest {
            guard: rest.guard.refreshed().await?,
            ..rest
        };
        let (bytes, next) = rest.read::<R>(place).await?;
        Ok(Some((Bytes::from(bytes), (rest, next))))
    });
    Ok(answer
        .streaming(futures_util::StreamExt::chain(first, more).map_err(actix_web::Error::from)))
}

/// What the further parts are read with.
struct Rest<P> {
    guard: Guard<P>,
    ask: ListQuery,
    moment: Moment,
    settings: Settings,
    columns: Vec<Column>,
}

impl<P: crate::http::Permission> Rest<P> {
    /// The part after a place.
    async fn read<R: Resource>(&self, place: Keyset) -> Result<(Vec<u8>, Option<Keyset>)> {
        let (mut ask, columns) = (self.ask.clone(), self.columns.clone());
        ask.after = Some(place);
        self.guard
            .read_at((self.moment, self.settings), move |reader| {
                part::<R>(reader, &ask, &columns)
            })
            .await
    }
}

fn part<R: Resource>(
    reader: &mut Reader<'_>,
    ask: &ListQuery,
    columns: &[Column],
) -> Result<(Vec<u8>, Option<Keyset>)> {
    let (records, next) = list::records::<R>(reader, ask)?;
    Ok((rows(columns, &records)?, next))
}
