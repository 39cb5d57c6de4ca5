//! What is asked, and how dear each may be.
use crate::Outcome;
use crate::seed::{Seeded, asset, some};
use crate::wire::{Client, With, request};
use serde_json::Value;
use std::net::SocketAddr;

/// A question asked again and again.
pub struct Scenario<'a> {
    pub name: String,
    pub make: Box<dyn Fn(usize) -> Vec<u8> + Sync + 'a>,
    pub expect: u16,
    pub clients: usize,
    /// Of the bare server instead of the service.
    pub bare: bool,
    /// At most so many times the CPU of which other scenario.
    pub target: Option<(f64, &'static str)>,
}

pub const BARE: &str = "bare actix answer";
pub const HEALTH: &str = "GET /healthz";
pub const FIRST: &str = "first page of 50 assets";

impl<'a> Scenario<'a> {
    fn new(name: &str, make: impl Fn(usize) -> Vec<u8> + Sync + 'a) -> Self {
        Scenario {
            name: name.into(),
            make: Box::new(make),
            expect: 200,
            clients: 64,
            bare: false,
            target: None,
        }
    }
    fn at_most(self, times: f64, of: &'static str) -> Self {
        Scenario {
            target: Some((times, of)),
            ..self
        }
    }
}

/// The bases: they stand first in every round.
pub fn bases<'a>() -> Vec<Scenario<'a>> {
    let health = |_| request("GET", "/healthz", With::default());
    vec![
        Scenario {
            bare: true,
            ..Scenario::new(BARE, health)
        },
        Scenario::new(HEALTH, health).at_most(2.0, BARE),
    ]
}

/// One answer's entity tag.
fn tag(client: &mut Client, seeded: &Seeded, path: &str) -> Outcome<String> {
    Ok(client
        .good(&seeded.get(path))?
        .header("ETag")
        .ok_or("no entity tag")?
        .to_owned())
}

/// A cursor some pages into a list.
pub fn cursor(client: &mut Client, seeded: &Seeded, list: &str, rows: usize) -> Outcome<String> {
    let mut path = format!("{list}limit=200");
    let mut cursor = String::new();
    for _ in 0..(rows / 200).max(1) {
        let page: Value = serde_json::from_str(&client.good(&seeded.get(&path))?.text())?;
        match page.get("next_cursor").and_then(Value::as_str) {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
        path = format!("{list}limit=200&cursor={cursor}");
    }
    Ok(cursor)
}

fn if_new<'a>(
    seeded: &'a Seeded,
    path: &'static str,
    tag: String,
) -> impl Fn(usize) -> Vec<u8> + Sync + 'a {
    move |_| {
        request(
            "GET",
            path,
            With {
                headers: &[("If-None-Match", &tag)],
                ..seeded.with(None)
            },
        )
    }
}

/// What only reads.
pub fn reads(address: SocketAddr, seeded: &Seeded) -> Outcome<Vec<Scenario<'_>>> {
    let mut client = Client::connect(address)?;
    let plain = |name: &str, path: &'static str| Scenario::new(name, move |_| seeded.get(path));
    let (half, one) = (
        seeded.position / 2,
        seeded.assets.first().cloned().unwrap_or_default(),
    );
    let (deep, by_name) = (
        cursor(
            &mut client,
            seeded,
            "/v1/assets?",
            seeded.assets.len() * 9 / 10,
        )?,
        cursor(
            &mut client,
            seeded,
            "/v1/assets?sort=name&",
            seeded.assets.len() * 9 / 10,
        )?,
    );
    let (list_tag, record_path) = (
        tag(&mut client, seeded, "/v1/risks?limit=50")?,
        format!("/v1/assets/{one}"),
    );
    let record_tag = tag(&mut client, seeded, &record_path)?;
    let unchanged = Scenario::new(
        "304 on an unchanged list",
        if_new(seeded, "/v1/risks?limit=50", list_tag),
    )
    .at_most(3.0, HEALTH);
    let kept = Scenario::new("304 on one asset", move |_| {
        request(
            "GET",
            &record_path,
            With {
                headers: &[("If-None-Match", &record_tag)],
                ..seeded.with(None)
            },
        )
    });
    let soa = format!("/v1/scopes/{}/statement-of-applicability", seeded.scope);
    let past = format!("/v1/assets?asset_type=hardware&sort=name&limit=50&as_of=seq:{half}");
    let past_whole = format!("/v1/risks?limit=50&as_of=seq:{half}");
    Ok(vec![
        Scenario::new("one asset by id", |n| {
            seeded.get(&format!("/v1/assets/{}", some(&seeded.assets, n)))
        })
        .at_most(4.0, HEALTH),
        Scenario::new("one asset by code", |n| {
            seeded.get(&format!(
                "/v1/assets/AST-{}",
                1 + crate::seed::scatter(n) % seeded.assets.len().max(1)
            ))
        }),
        Scenario::new("one risk by id", |n| {
            seeded.get(&format!("/v1/risks/{}", some(&seeded.risks, n)))
        }),
        Scenario {
            expect: 304,
            ..kept
        },
        plain("50 risks", "/v1/risks?limit=50").at_most(25.0, HEALTH),
        plain("50 risks, sort=name", "/v1/risks?limit=50&sort=name"),
        plain(
            "50 risks, sort=-rank, level=high",
            "/v1/risks?limit=50&sort=-rank&level=high",
        ),
        plain(
            "50 risks, include=total",
            "/v1/risks?limit=50&include=total",
        ),
        Scenario {
            expect: 304,
            ..unchanged
        },
        plain(FIRST, "/v1/assets?limit=50"),
        Scenario::new("the same, nine tenths in", move |_| {
            seeded.get(&format!("/v1/assets?limit=50&cursor={deep}"))
        })
        .at_most(1.5, FIRST),
        Scenario::new("50 assets, sort=name, nine tenths in", move |_| {
            seeded.get(&format!("/v1/assets?sort=name&limit=50&cursor={by_name}"))
        }),
        plain(
            "50 assets, asset_type=hardware",
            "/v1/assets?limit=50&asset_type=hardware",
        ),
        plain("50 assets, q=payr", "/v1/assets?limit=50&q=payr"),
        Scenario::new("one asset, as_of", move |n| {
            seeded.get(&format!(
                "/v1/assets/{}?as_of=seq:{half}",
                some(&seeded.assets, n)
            ))
        })
        .at_most(10.0, HEALTH),
        Scenario::new("50 risks, as_of", move |_| seeded.get(&past_whole)),
        Scenario::new(
            "50 assets, as_of, asset_type=hardware&sort=name",
            move |_| seeded.get(&past),
        )
        .at_most(40.0, HEALTH),
        Scenario {
            clients: 16,
            ..Scenario::new("statement of applicability", move |_| seeded.get(&soa))
        },
        Scenario {
            clients: 16,
            ..plain("overview", "/v1/overview")
        },
        Scenario {
            clients: 16,
            ..plain("risk matrix", "/v1/risk-matrix?stage=current")
        },
    ])
}

/// What writes, each answer durable.
pub fn writes(seeded: &Seeded) -> Vec<Scenario<'_>> {
    let create = |n: usize| request("POST", "/v1/assets", seeded.with(Some(&asset(n, None))));
    vec![
        Scenario {
            expect: 201,
            ..Scenario::new("POST of an asset, 64 clients", create).at_most(25.0, HEALTH)
        },
        Scenario {
            expect: 201,
            clients: 1,
            ..Scenario::new("POST of an asset, 1 client", create)
        },
        Scenario::new("PATCH of a record, 64 clients", |n| seeded.patch(n)),
    ]
}

/// Pages of a long list, and of a short one.
pub fn pages<'a>(address: SocketAddr, seeded: &'a Seeded, of: &str) -> Outcome<Vec<Scenario<'a>>> {
    let mut client = Client::connect(address)?;
    let mut all = Vec::new();
    for (sort, list) in [
        ("", "/v1/assets?"),
        (", sort=name", "/v1/assets?sort=name&"),
    ] {
        let cursor = cursor(&mut client, seeded, list, seeded.assets.len() * 9 / 10)?;
        all.push(Scenario::new(
            &format!("first page of {of}{sort}"),
            move |_| seeded.get(&format!("{list}limit=50")),
        ));
        all.push(Scenario::new(
            &format!("deep page of {of}{sort}"),
            move |_| seeded.get(&format!("{list}limit=50&cursor={cursor}")),
        ));
    }
    Ok(all)
}

/// What a day brings: mostly single records, some lists, questions whether anything is new, a few
/// changes.
pub fn mixed(seeded: &Seeded, n: usize) -> Vec<u8> {
    match n % 20 {
        0 => seeded.get("/v1/risks?limit=50"),
        1 => seeded.get("/v1/assets?limit=50&asset_type=hardware"),
        2 => seeded.get("/v1/risks?limit=50&sort=name"),
        3 if n % 200 == 3 => seeded.get("/v1/overview"),
        4 if n % 200 == 4 => seeded.get(&format!(
            "/v1/scopes/{}/statement-of-applicability",
            seeded.scope
        )),
        5 => seeded.get(&format!(
            "/v1/assets/{}?as_of=seq:{}",
            some(&seeded.assets, n),
            seeded.position
        )),
        6..12 => seeded.get(&format!("/v1/risks/{}", some(&seeded.risks, n))),
        _ => seeded.get(&format!("/v1/assets/{}", some(&seeded.assets, n))),
    }
}
