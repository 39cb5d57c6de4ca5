//! The questions: records, pages, the ledger, and views.
use crate::Outcome;
use crate::bodies::RARE;
use crate::scenarios::{Goal, Scenario};
use crate::seed::{Seeded, scatter, some};
use crate::wire::{Client, With, request};
use serde_json::Value;
use std::net::SocketAddr;

const FIRST: &str = "first page of 200 assets";
const FIRST_HUBS: &str = "first page of 200 assets that others depend on";

/// One answer's entity tag.
fn tag(client: &mut Client, seeded: &Seeded, path: &str) -> Outcome<String> {
    let reply = client.good(&seeded.get(path))?;
    Ok(reply.header("ETag").ok_or("no entity tag")?.to_owned())
}

/// A cursor so many rows into a list.
fn cursor(client: &mut Client, seeded: &Seeded, list: &str, rows: usize) -> Outcome<String> {
    let (mut path, mut cursor) = (list.to_owned(), String::new());
    for _ in 0..(rows / 200).max(1) {
        let page: Value = serde_json::from_slice(client.good(&seeded.get(&path))?.body)?;
        match page.get("next_cursor").and_then(Value::as_str) {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
        path = format!("{list}&cursor={cursor}");
    }
    Ok(cursor)
}

/// Asks whether there is anything new.
fn poll<'a>(
    client: &mut Client,
    seeded: &'a Seeded,
    name: &str,
    path: String,
) -> Outcome<Scenario<'a>> {
    let tag = tag(client, seeded, &path)?;
    let asked = move |_| {
        let with = With {
            headers: &[("If-None-Match", &tag)],
            ..seeded.with(None)
        };
        request("GET", &path, with)
    };
    Ok(Scenario::new(name, asked).expect(304))
}

/// An unchanged list.
pub fn unchanged<'a>(client: &mut Client, seeded: &'a Seeded) -> Outcome<Scenario<'a>> {
    let list = "/v1/risks?limit=50".to_owned();
    poll(client, seeded, "304 on an unchanged list", list)
}

pub fn one_asset(seeded: &Seeded) -> Scenario<'_> {
    Scenario::new("one asset by id", |n| {
        seeded.get(&format!("/v1/assets/{}", some(&seeded.assets, n)))
    })
}

/// Records.
pub fn records(address: SocketAddr, seeded: &Seeded) -> Outcome<Vec<Scenario<'_>>> {
    let mut client = Client::connect(address)?;
    let half = seeded.position / 2;
    let then = |n: usize| {
        let id = some(&seeded.assets, n);
        seeded.get(&format!(
            "/v1/assets/{id}?as_of=seq:{}",
            seeded.position - n as i64 % 50
        ))
    };
    let risk = |n: usize| seeded.get(&format!("/v1/risks/{}", some(&seeded.risks, n)));
    let path = format!("/v1/assets/{}", some(&seeded.assets, half as usize));
    Ok(vec![
        one_asset(seeded).goal(Goal::times(4.0, 9.0)),
        Scenario::new("one risk by id", risk).goal(Goal::times(4.0, 9.0)),
        Scenario::new("one asset, as_of", then).goal(Goal::on_sqlite(10.0)),
        poll(&mut client, seeded, "304 on one asset", path)?,
    ])
}

/// Pages and lists; each question is put in other words each time.
pub fn lists(address: SocketAddr, seeded: &Seeded) -> Outcome<Vec<Scenario<'_>>> {
    let mut client = Client::connect(address)?;
    let all = seeded.assets.len();
    let (newest, oldest) = (
        "/v1/assets?limit=200",
        "/v1/assets?limit=200&sort=created_at",
    );
    let half_way = cursor(&mut client, seeded, newest, all / 2)?;
    let among_hubs = cursor(&mut client, seeded, newest, all * 19 / 20)?;
    let page = |name: &str, path: &str| Scenario::worked_out(seeded, name, path);
    let past = format!(
        "/v1/assets?asset_type=hardware&sort=name&limit=50&as_of=seq:{}",
        seeded.position / 2
    );
    Ok(vec![
        page("50 risks", "/v1/risks?limit=50").goal(Goal::times(20.0, 30.0)),
        page("50 assets", "/v1/assets?limit=50").goal(Goal::times(20.0, 30.0)),
        page(FIRST, newest),
        page("the same, half way", &format!("{newest}&cursor={half_way}"))
            .goal(Goal::as_row(1.1, FIRST)),
        page(FIRST_HUBS, oldest),
        page(
            "200 of these, at the other end of the list",
            &format!("{newest}&cursor={among_hubs}"),
        )
        .goal(Goal::as_row(1.1, FIRST_HUBS)),
        page(
            "50 assets, q= of one rare word",
            &format!("/v1/assets?limit=50&q={RARE}"),
        )
        .goal(Goal::times(60.0, 60.0)),
        page(
            "50 assets, include=total over all",
            "/v1/assets?limit=50&include=total",
        )
        .goal(Goal::times(250.0, 250.0)),
        page(
            "50 risks, level=high&sort=-rank",
            "/v1/risks?limit=50&level=high&sort=-rank",
        )
        .goal(Goal::times(30.0, 30.0)),
        page("50 assets, as_of, asset_type=hardware&sort=name", &past)
            .goal(Goal::times(40.0, 40.0)),
        page(
            "counters of risks (include=counts)",
            "/v1/risks?limit=1&include=counts",
        )
        .clients(16),
        Scenario::kept(seeded, "50 risks", "/v1/risks?limit=50"),
        unchanged(&mut client, seeded)?.goal(Goal::times(3.0, 3.0)),
    ])
}

/// The feed and the ledger.
pub fn ledger(seeded: &Seeded) -> Vec<Scenario<'_>> {
    let feed = move |n: usize| {
        let after = scatter(n) as i64 % (seeded.position - 50).max(1);
        seeded.get(&format!("/v1/events?limit=50&after={after}"))
    };
    let page = |name: &str, path: &str| Scenario::worked_out(seeded, name, path);
    let of_kind = |kind: &str, what: &str| {
        let name = format!("ledger page of 50, kind={kind} ({what})");
        page(&name, &format!("/v1/ledger/entries?limit=50&kind={kind}"))
            .goal(Goal::times(30.0, 30.0))
    };
    vec![
        Scenario::new("feed page of 50", feed).goal(Goal::times(25.0, 25.0)),
        page("ledger page of 50", "/v1/ledger/entries?limit=50").goal(Goal::times(25.0, 25.0)),
        of_kind("risk", "many"),
        of_kind("control", "few, long ago"),
    ]
}

/// What is computed of many records: fresh after each write, and kept.
pub fn views(seeded: &Seeded) -> Vec<Scenario<'_>> {
    let both = |name: &str, path: &str, goal: Goal| {
        let fresh = match name {
            STATEMENT => Scenario::fresh(seeded, name, path, |n| seeded.implement(n)),
            _ => Scenario::fresh(seeded, name, path, |n| seeded.assess(n)),
        };
        [fresh.goal(goal), Scenario::kept(seeded, name, path)]
    };
    let (large, any) = (Goal::times(1_000.0, 1_000.0), Goal::default());
    [
        both("overview", OVERVIEW, large),
        both("risk trend", "/v1/risk-trend", large),
        both("treatment plan, 50 risks", "/v1/risk-treatment-plan", any),
        both(STATEMENT, &statement(seeded), any),
        both("risk matrix", "/v1/risk-matrix?stage=current", any),
    ]
    .into_iter()
    .flatten()
    .collect()
}

pub const OVERVIEW: &str = "/v1/overview";
pub const STATEMENT: &str = "statement of applicability";

/// The path of the statement of applicability.
pub fn statement(seeded: &Seeded) -> String {
    format!("/v1/scopes/{}/statement-of-applicability", seeded.scope)
}

/// What a day brings: mostly single records, some lists, questions whether anything is new.
pub fn mixed(seeded: &Seeded, n: usize) -> Vec<u8> {
    match n % 20 {
        0 => seeded.get("/v1/risks?limit=50"),
        1 => seeded.get("/v1/assets?limit=50&asset_type=hardware"),
        2 => seeded.get("/v1/risks?limit=50&sort=name"),
        3 if n % 200 == 3 => seeded.get("/v1/overview"),
        4 if n % 200 == 4 => seeded.get(&statement(seeded)),
        5 => seeded.get(&format!(
            "/v1/assets/{}?as_of=seq:{}",
            some(&seeded.assets, n),
            seeded.position
        )),
        6..12 => seeded.get(&format!("/v1/risks/{}", some(&seeded.risks, n))),
        _ => seeded.get(&format!("/v1/assets/{}", some(&seeded.assets, n))),
    }
}
