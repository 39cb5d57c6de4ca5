//! Exports: a list as a table. All of it, read in parts at one position, so that it is complete and of one state however long it takes, and
//! never in memory as a whole; or one page, where a `limit` is given.
use super::table::{self, Column};
use crate::core::{Problem, Result};
use crate::http::format::CSV;
use crate::http::{Answer, Guard, Read, answer};
use crate::ledger::Moment;
use crate::records::{Ask, Reader, Resource, Settings, ask::Place, list};
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, Responder};
use bytes::Bytes;
use futures_util::stream::{self, TryStreamExt};

/// Records that are read at once.
const PART: i64 = 250;

/// A register's list as a table.
pub async fn export<R: Resource>(guard: Guard<Read<R>>, request: &HttpRequest, mut ask: Ask) -> Result<HttpResponse> {
    let known = |tag: &str| format!("{}-csv\"", tag.trim_end_matches('"'));
    if request.headers().contains_key(header::IF_NONE_MATCH) {
        let (tag, position) = guard.state().await?;
        if answer::known(request, &known(&tag)) {
            return Ok(Answer::unchanged(known(&tag), position).respond_to(request));
        }
    }
    let paged = ask.limited;
    if !paged {
        ask.limit = PART;
    }
    let columns = table::columns::<R>();
    let (as_of, asked, headed) = (ask.as_of, ask.clone(), columns.clone());
    let first = move |reader: &mut Reader<'_>| {
        reader.moment = reader.moment.pinned();
        let (rows, next) = part::<R>(reader, &asked, &headed)?;
        Ok(([table::headings(&headed)?, rows].concat(), next, reader.moment, reader.settings))
    };
    let (bytes, next, moment, settings) = guard.read(as_of, first).await?;
    let mut answer = HttpResponse::Ok();
    answer.content_type(CSV).insert_header((header::CACHE_CONTROL, "private, no-cache"));
    answer.insert_header((header::ETAG, known(&guard.tag(moment.last, guard.zone().await?))));
    answer.insert_header(("Ledger-Position", moment.last));
    answer.insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}.csv\"", R::KIND.path)));
    answer.insert_header((header::VARY, "Accept"));
    if let Some(place) = next.as_ref().filter(|_| paged) {
        answer.insert_header((header::LINK, crate::http::handlers::link::<R>(request.query_string(), &ask.cursor(place)?)));
    }
    Ok(match next.filter(|_| !paged) {
        None => answer.body(bytes),
        Some(place) => {
            let rest = Rest { guard, ask, moment, settings, columns };
            let first = stream::once(std::future::ready(Ok::<_, Problem>(Bytes::from(bytes))));
            let more = stream::try_unfold((rest, Some(place)), |(rest, place)| async move {
                let Some(place) = place else { return Ok(None) };
                let (bytes, next) = rest.read::<R>(place).await?;
                Ok(Some((Bytes::from(bytes), (rest, next))))
            });
            answer.streaming(futures_util::StreamExt::chain(first, more).map_err(actix_web::Error::from))
        }
    })
}

/// What the further parts are read with.
struct Rest<P> {
    guard: Guard<P>,
    ask: Ask,
    moment: Moment,
    settings: Settings,
    columns: Vec<Column>,
}

impl<P: crate::http::Permission> Rest<P> {
    /// The part after a place.
    async fn read<R: Resource>(&self, place: Place) -> Result<(Vec<u8>, Option<Place>)> {
        let (mut ask, columns) = (self.ask.clone(), self.columns.clone());
        ask.after = Some(place);
        self.guard.again((self.moment, self.settings), move |reader| part::<R>(reader, &ask, &columns)).await
    }
}

fn part<R: Resource>(reader: &mut Reader<'_>, ask: &Ask, columns: &[Column]) -> Result<(Vec<u8>, Option<Place>)> {
    let (records, next) = list::records::<R>(reader, ask)?;
    Ok((table::rows(columns, &records)?, next))
}
