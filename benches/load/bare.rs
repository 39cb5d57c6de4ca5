//! The bases that are not the service: an actix server with one constant answer, and the same
//! questions on a plain connection.
use crate::Outcome;
use crate::process::thread_cpu;
use crate::seed::{Seeded, some};
use actix_web::{App, HttpResponse, HttpServer, web};
use diesel::backend::Backend;
use diesel::expression::{
    AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate,
};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::Bool;
use isms::core::{Id, TenantId};
use isms::db::schema::{ledger_entries as e, versions as v};
use std::time::Duration;

/// The constant answer of `/healthz`, with nothing around it.
pub fn serve(address: &str) -> Outcome<()> {
    actix_web::rt::System::new().block_on(async {
        let app = || {
            App::new().route(
                "/healthz",
                web::get().to(|| async {
                    HttpResponse::Ok()
                        .content_type("application/json")
                        .body(r#"{"status":"ok"}"#)
                }),
            )
        };
        let workers = std::thread::available_parallelism().map_or(2, usize::from);
        HttpServer::new(app)
            .workers(workers)
            .keep_alive(Duration::from_secs(75))
            .bind(address)?
            .run()
            .await
    })?;
    Ok(())
}

/// What stands now, in the words of the partial indexes. Unlike `dsl::sql` it leaves the statement
/// prepared.
#[derive(Clone, Copy, QueryId)]
struct Standing;
impl Expression for Standing {
    type SqlType = Bool;
}
impl<T> AppearsOnTable<T> for Standing {}
impl<T> SelectableExpression<T> for Standing {}
impl<G> ValidGrouping<G> for Standing {
    type IsAggregate = is_aggregate::Never;
}
impl<DB: Backend> QueryFragment<DB> for Standing {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql("versions.to_seq = 9223372036854775807");
        Ok(())
    }
}

/// CPU microseconds of finding a record by its key, and of a page of 50.
pub struct Plain {
    pub by_key: f64,
    pub page: f64,
}

/// Asks a plain connection to either database; the statements stay prepared.
macro_rules! asked {
    ($connected:expr, $seeded:expr, $tenant:expr) => {{
        let mut conn = $connected;
        let with_image = || {
            v::table
                .inner_join(e::table.on(e::tenant_id.eq(v::tenant_id).and(e::seq.eq(v::from_seq))))
                .filter(v::tenant_id.eq($tenant))
        };
        let by_key = timed(2_000, |n| {
            let id = Id::parse(some(&$seeded.assets, n)).ok_or("no id")?;
            let row = with_image().filter(v::id.eq(id)).filter(Standing);
            row.select((v::version, e::body))
                .get_result::<(i32, String)>(&mut conn)
                .map(drop)
                .map_err(Into::into)
        })?;
        let page = timed(500, |_| {
            let rows = with_image().filter(v::kind.eq("risk")).filter(Standing);
            let rows =
                rows.order((v::created_at, v::id))
                    .limit(51)
                    .select((v::id, v::version, e::body));
            rows.load::<(Id, i32, String)>(&mut conn)
                .map(drop)
                .map_err(Into::into)
        })?;
        Ok(Plain { by_key, page })
    }};
}

/// Asks them in this thread.
pub fn plain(url: &str, seeded: &Seeded) -> Outcome<Plain> {
    let tenant = TenantId(Id::parse(&seeded.organization).ok_or("no organization")?.0);
    match url.strip_prefix("sqlite:") {
        Some(path) => asked!(SqliteConnection::establish(path)?, seeded, tenant),
        None => asked!(PgConnection::establish(url)?, seeded, tenant),
    }
}

fn timed(count: usize, mut ask: impl FnMut(usize) -> Outcome<()>) -> Outcome<f64> {
    let mut best = f64::MAX;
    for round in 0..3 {
        let began = thread_cpu();
        for n in 0..count {
            ask(round * count + n)?;
        }
        best = best.min((thread_cpu() - began).as_secs_f64() * 1e6 / count as f64);
    }
    Ok(best)
}
