//! Floods: one organization sends what is slow to read, and another one, and the health check, are
//! measured meanwhile.
use crate::bodies::asset;
use crate::place::{Database, Databases, Place};
use crate::seed::{self, Seeded};
use crate::wire::{Client, Expect, Load, Make, Until, With, load, request};
use crate::{Options, Outcome, heavy};
use serde_json::{Map, Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Who floods at once.
const FLOODING: usize = 8;
/// Logins a second.
const LOGINS: usize = 100;
/// Milliseconds that the health check may take, and a read or a write of another organization: 99
/// of 100.
const HEALTH: f64 = 50.0;
const OTHERS: f64 = 500.0;

/// What is sent, and how often by each of those who flood (again at once, where nothing is said).
struct Flood {
    name: &'static str,
    request: Vec<u8>,
    every: Option<Duration>,
}

/// Everything that was slow to answer once.
fn floods(of: &Seeded) -> Vec<Flood> {
    let query = (0..4_000)
        .map(|n| format!("a{n:04}"))
        .collect::<Vec<_>>()
        .join("&");
    let strangers: Map<String, Value> = (0..600).map(|n| (format!("x{n:03}"), json!(0))).collect();
    let items: Vec<Value> = (0..700).map(|_| json!({"create": strangers})).collect();
    let rules: Vec<Value> = (0..100_000)
        .map(|n| json!({"id": format!("rule-{n}")}))
        .collect();
    let result = |n: usize| {
        json!({"ruleId": format!("rule-{}", 99_999 - n), "level": "warning",
        "message": {"text": "x"}})
    };
    let results: Vec<Value> = (0..5_000).map(result).collect();
    let report = json!({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "flood",
        "rules": rules}}, "results": results}]});
    let login =
        json!({"email": seed::EMAIL, "password": "a wrong password, and a long one"}).to_string();
    let every = Some(Duration::from_millis(
        1000 * FLOODING as u64 / LOGINS as u64,
    ));
    vec![
        Flood {
            name: "20 KB of parameters",
            request: of.get(&format!("/v1/assets?{query}")),
            every: None,
        },
        Flood {
            name: "a batch of faults, 4 MB",
            request: of.post("/v1/assets/batch", &json!({"items": items})),
            every: None,
        },
        Flood {
            name: "reports of 100,000 rules",
            request: of.post("/v1/vulnerabilities/findings?dry_run=true", &report),
            every: None,
        },
        Flood {
            name: "100 logins a second",
            request: request(
                "POST",
                "/v1/auth/login",
                With {
                    body: Some(&login),
                    ..With::default()
                },
            ),
            every,
        },
    ]
}

/// Sends one flood until it is told to stop.
fn send(address: SocketAddr, flood: &Flood, stop: &AtomicBool, sent: &AtomicUsize) {
    let mut client = Client::connect(address);
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let answered = client
            .as_mut()
            .is_ok_and(|client| client.exchange(&flood.request).is_ok());
        if !answered {
            client = Client::connect(address);
        }
        sent.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(flood.every.map_or(Duration::ZERO, |every| {
            every.saturating_sub(began.elapsed())
        }));
    }
}

/// What somebody else asked meanwhile, and how many milliseconds 99 of 100 may take.
pub struct Bystander {
    pub what: &'static str,
    pub load: Load,
    pub most: f64,
}

/// How the health check and another organization fare meanwhile: each by a client of its own.
fn measured(address: SocketAddr, other: &Seeded, time: Duration) -> Outcome<Vec<Bystander>> {
    let health = |_| request("GET", "/healthz", With::default());
    let read = |_| other.get("/v1/assets?limit=50");
    let write = |n| other.post("/v1/assets", &asset(n, None));
    let until = Until::Time(time);
    let ask = |status, make: Make<'_>| load(address, 1, until, Expect::Status(status), make);
    std::thread::scope(|scope| {
        let others = [
            ("GET /healthz", scope.spawn(|| ask(200, &health)), HEALTH),
            (
                "another organization's list",
                scope.spawn(|| ask(200, &read)),
                OTHERS,
            ),
            (
                "another organization's new asset",
                scope.spawn(|| ask(201, &write)),
                OTHERS,
            ),
        ];
        let found = others.into_iter().map(|(what, client, most)| {
            let load = client.join().map_err(|_| "a client broke off")??;
            Ok(Bystander { what, load, most })
        });
        found.collect()
    })
}

/// Prints what a flood did to somebody; tells whether that missed its goal.
pub fn line(database: Database, flood: &str, sent: usize, of: &Bystander) -> bool {
    let Bystander { what, load, most } = of;
    let (half, late) = (load.quantile(0.5) / 1000.0, load.quantile(0.99) / 1000.0);
    let met = load.requests > 0 && late < *most;
    println!(
        "| {} | {flood} | {sent} | {what} | {} | {half:.1} | {late:.1} | p99 < {most:.0} ms | {} |",
        database.name(),
        load.requests,
        if met { "met" } else { "**missed**" }
    );
    !met
}

/// Floods, one after the other; tells whether a goal was missed.
pub fn run(options: &Options) -> Outcome<bool> {
    println!(
        "| database | flood | sent | asked meanwhile | answers | p50 ms | p99 ms | goal | |\n\
            | --- | --- | ---: | --- | ---: | ---: | ---: | --- | --- |"
    );
    let mut missed = false;
    for database in Databases::or_found(options.database) {
        missed |= on(options, *database)?;
        missed |= heavy::run(options, *database)?;
    }
    Ok(missed)
}

fn on(options: &Options, database: Database) -> Outcome<bool> {
    let place = Place::fresh(database)?;
    let flooding = seed::found(&place)?;
    let all = floods(&flooding);
    let wanted = all
        .iter()
        .filter(|flood| flood.name.contains(&options.only));
    let wanted: Vec<&Flood> = wanted.collect();
    if wanted.is_empty() {
        return Ok(false);
    }
    let mut other = seed::found_as(&place, "Other", "other@example.org")?;
    let (service, _) = place.serve(&flooding.get("/v1/assets?limit=1"))?;
    other.add_assets(&place, &service, 1_000)?;
    let time = options.time().max(Duration::from_secs(5));
    let mut missed = false;
    for flood in wanted {
        let (stop, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
        let found = std::thread::scope(|scope| {
            for _ in 0..FLOODING {
                scope.spawn(|| send(service.address, flood, &stop, &sent));
            }
            std::thread::sleep(Duration::from_secs(1));
            let found = measured(service.address, &other, time);
            stop.store(true, Ordering::Relaxed);
            found
        })?;
        for bystander in &found {
            missed |= line(
                database,
                flood.name,
                sent.load(Ordering::Relaxed),
                bystander,
            );
        }
    }
    Ok(missed)
}
