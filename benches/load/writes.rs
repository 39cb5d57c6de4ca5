//! What writes, each answer durable; and the small set that a peer was measured with.
use crate::Outcome;
use crate::bodies::asset;
use crate::fill::{BATCHING, ITEMS};
use crate::reads::{OVERVIEW, STATEMENT, one_asset, statement, unchanged};
use crate::scenarios::{Goal, Most, Scenario};
use crate::seed::{Seeded, at};
use crate::wire::Client;
use std::net::SocketAddr;

const PUSH: &str = "push of a small file as evidence, 16 clients";

pub fn create(seeded: &Seeded) -> Scenario<'_> {
    let make = |n| seeded.post("/v1/assets", &asset(n, None));
    Scenario::new("create an asset, 64 clients", make).expect(201)
}

/// A file for any control but the crowded one, which is the first.
fn push(seeded: &Seeded) -> Scenario<'_> {
    let quiet = seeded.controls.len().saturating_sub(1).max(1);
    let make = move |n| seeded.push(n, at(&seeded.controls, 1 + n % quiet));
    Scenario::new(PUSH, make).expect(201).clients(16)
}

pub fn writes(seeded: &Seeded) -> Vec<Scenario<'_>> {
    let crowded = format!("the same, onto {} pieces and more", seeded.pieces);
    let onto = |n| seeded.push(n, &seeded.crowded);
    let alone = Scenario {
        name: "create an asset, 1 client".into(),
        ..create(seeded).clients(1)
    };
    vec![
        create(seeded).goal(Goal::on_sqlite(25.0)),
        alone,
        Scenario::new("PATCH of a record, 64 clients", |n| seeded.patch(n)),
        push(seeded),
        Scenario::new(&crowded, onto)
            .expect(201)
            .clients(16)
            .goal(Goal::as_row(1.2, PUSH)),
    ]
}

/// Batches; the figures are for each item.
pub fn batches(seeded: &Seeded) -> Vec<Scenario<'_>> {
    let patch = |n: usize| {
        let from = n * ITEMS;
        seeded.patch_batch("assets", &seeded.assets, from..from + ITEMS)
    };
    let named = |name: &str| format!("{name} in batches of 1,000 (per item)");
    vec![
        Scenario::new(&named("creating assets"), |n| seeded.create_batch(n, ITEMS))
            .clients(BATCHING)
            .batch(ITEMS)
            .goal(CREATING),
        Scenario::new(&named("PATCH of assets"), patch)
            .clients(BATCHING)
            .batch(ITEMS)
            .goal(PATCHING),
    ]
}

/// What an item of a batch may cost.
pub const CREATING: Goal = Goal {
    sqlite: None,
    postgresql: Some(Most::Rate(2_500.0)),
};
pub const PATCHING: Goal = Goal {
    sqlite: Some(Most::Micros(200.0)),
    postgresql: Some(Most::Micros(200.0)),
};

/// The questions of the comparison with a peer, while nothing changes.
pub fn peer_reads(address: SocketAddr, seeded: &Seeded) -> Outcome<Vec<Scenario<'_>>> {
    let mut client = Client::connect(address)?;
    let page = |name: &str, path: &str| Scenario::worked_out(seeded, name, path);
    Ok(vec![
        one_asset(seeded),
        page("50 risks", "/v1/risks?limit=50"),
        page("50 assets", "/v1/assets?limit=50"),
        unchanged(&mut client, seeded)?,
    ])
}

/// The others of that comparison.
pub fn peer_writes(seeded: &Seeded) -> Vec<Scenario<'_>> {
    let assess = |n| seeded.assess(n);
    let again =
        |name: &str, path: &str| Scenario::kept(seeded, name, path).goal(Goal::millis(0.1, 0.1));
    let (of_scope, counters) = (statement(seeded), "/v1/risks?limit=1&include=counts");
    let view = Goal::millis(1.0, 3.0);
    vec![
        Scenario::fresh(seeded, STATEMENT, &of_scope, |n| seeded.implement(n)).goal(view),
        again(STATEMENT, &of_scope),
        Scenario::fresh(seeded, "overview", OVERVIEW, assess).goal(view),
        again("overview", OVERVIEW),
        Scenario::fresh(
            seeded,
            "counters of risks (include=counts)",
            counters,
            assess,
        )
        .goal(view),
        again("counters of risks (include=counts)", counters),
        push(seeded).goal(Goal::millis(0.5, 1.5)),
        create(seeded),
    ]
}
