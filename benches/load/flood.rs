//! Floods: one organization sends what is slow to read, and another one, and the health check, are
//! measured meanwhile.
use crate::process::Process;
use crate::seed::{self, Seeded, asset};
use crate::wire::{Client, Load, Until, With, load, request};
use crate::{Options, Outcome, on_this_machine};
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
    let post = |path: &str, body: &Value| request("POST", path, of.with(Some(&body.to_string())));
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
            request: post("/v1/assets/batch", &json!({"items": items})),
            every: None,
        },
        Flood {
            name: "reports of 100,000 rules",
            request: post("/v1/vulnerabilities/findings?dry_run=true", &report),
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

/// How the health check and another organization fare meanwhile: each by a client of its own.
fn measured(address: SocketAddr, other: &Seeded, time: Duration) -> [(&'static str, Load, f64); 3] {
    let health = |_| request("GET", "/healthz", With::default());
    let read = |_| other.get("/v1/assets?limit=50");
    let write = |n| request("POST", "/v1/assets", other.with(Some(&asset(n, None))));
    std::thread::scope(|scope| {
        let health = scope.spawn(|| load(address, 1, Until::Time(time), 200, &health));
        let read = scope.spawn(|| load(address, 1, Until::Time(time), 200, &read));
        let write = scope.spawn(|| load(address, 1, Until::Time(time), 201, &write));
        [
            ("GET /healthz", health.join().unwrap_or_default(), HEALTH),
            (
                "another organization's list",
                read.join().unwrap_or_default(),
                OTHERS,
            ),
            (
                "another organization's new asset",
                write.join().unwrap_or_default(),
                OTHERS,
            ),
        ]
    })
}

/// Floods, one after the other; tells whether a target was missed.
pub fn run(options: &Options) -> Outcome<bool> {
    let database = (options.database != "sqlite").then_some(options.database.as_str());
    if database.is_some_and(|url| !on_this_machine(url)) {
        return Err("--database: `sqlite`, or postgres:// of 127.0.0.1 or localhost".into());
    }
    let own = tempfile::Builder::new()
        .prefix("flood")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let flooding = seed::found(own.path(), database)?;
    let mut other = seed::found_as(own.path(), database, ("Other", "other@example.org"))?;
    let (service, _) = Process::serve(own.path(), database, &flooding.get("/v1/assets?limit=1"))?;
    other.add_assets(&service, 0, 1_000)?;
    let mut missed = false;
    println!(
        "| flood | sent | asked meanwhile | p50 ms | p99 ms | failed | target | |\n| --- | --- | \
            --- | --- | --- | --- | --- | --- |"
    );
    let time = Duration::from_secs_f64(options.seconds.max(5.0));
    for flood in floods(&flooding)
        .iter()
        .filter(|flood| flood.name.contains(&options.only))
    {
        let (stop, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
        let found = std::thread::scope(|scope| {
            for _ in 0..FLOODING {
                scope.spawn(|| send(service.address, flood, &stop, &sent));
            }
            std::thread::sleep(Duration::from_secs(1));
            let found = measured(service.address, &other, time);
            stop.store(true, Ordering::Relaxed);
            found
        });
        for (what, load, most) in found {
            let (half, late) = (load.quantile(0.5) / 1000.0, load.quantile(0.99) / 1000.0);
            let good = load.failures == 0 && load.requests > 0 && late < most;
            missed |= !good;
            let (sent, word) = (
                sent.load(Ordering::Relaxed),
                if good { "met" } else { "**missed**" },
            );
            let failed = format!("{} of {}", load.failures, load.requests);
            println!(
                "| {} | {sent} | {what} | {half:.1} | {late:.1} | {failed} | p99 < {most:.0} ms | \
                    {word} |",
                flood.name
            );
            if let Some(fault) = load.first_failure {
                eprintln!(
                    "{}: {what}: {}",
                    flood.name,
                    fault.chars().take(200).collect::<String>()
                );
            }
        }
    }
    Ok(missed)
}
