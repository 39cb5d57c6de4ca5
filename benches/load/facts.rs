//! Figures that are no scenarios: how fast it starts, its memory, its syncs, the bare query.
use crate::place::{Database, Place};
use crate::process::{self, Process};
use crate::reads::{self, OVERVIEW};
use crate::report::Report;
use crate::scenarios::Scenario;
use crate::seed::{Seeded, some};
use crate::wire::{Client, Until, load};
use crate::writes;
use crate::{Outcome, bare};

/// What a service may have in memory after all that it did.
const MEMORY: f64 = 110.0;
/// Requests of a day.
const MANY: usize = 100_000;

/// Starts on what is there, a few times; the last one stays.
pub fn started(report: &mut Report, place: &Place, seeded: &Seeded) -> Outcome<Process> {
    let first = seeded.get(&format!("/v1/assets/{}", some(&seeded.assets, 1)));
    let mut times: Vec<f64> = Vec::new();
    for _ in 0..4 {
        times.push(place.serve(&first)?.1.as_secs_f64());
    }
    let (service, last) = place.serve(&first)?;
    times.push(last.as_secs_f64());
    times.sort_by(f64::total_cmp);
    let median = times.get(2).copied().unwrap_or(f64::NAN);
    report.aim(
        place.database,
        "start to the first answer",
        format!("{:.0} ms", median * 1000.0),
        ("< 500 ms", Some(median < 0.5)),
    );
    Ok(service)
}

/// What the first one to ask for the overview after a start waits for.
pub fn first_view(
    report: &mut Report,
    place: &Place,
    service: &Process,
    seeded: &Seeded,
) -> Outcome<()> {
    let (cpu, database) = (service.cpu(), place.cpu());
    let began = std::time::Instant::now();
    Client::connect(service.address)?.good(&seeded.get(OVERVIEW))?;
    let value = format!(
        "{:.0} ms ({:.0} ms CPU, {:.0} ms the database's)",
        began.elapsed().as_secs_f64() * 1000.0,
        (service.cpu() - cpu).as_secs_f64() * 1000.0,
        (place.cpu() - database).as_secs_f64() * 1000.0
    );
    report.fact(place.database, "the first overview after a start", value);
    Ok(())
}

/// What the filling came to.
pub fn filled(report: &mut Report, database: Database, seeded: &Seeded) {
    let what = format!(
        "{} entries, {} assets, {} risks",
        seeded.position + 1,
        seeded.assets.len(),
        seeded.risks.len()
    );
    report.fact(database, "filled", what);
    let seconds: f64 = seeded.paces.iter().map(|pace| pace.seconds).sum();
    report.fact(database, "filled in", format!("{seconds:.0} s"));
    let (start, end, most) = seeded.memory;
    memory(report, database, "memory when filled", (end, most));
    let value = format!("{start:.1} MiB");
    report.fact(database, "memory before that, with nothing in it", value);
}

/// Memory now, which has a goal, and at most.
pub fn memory(report: &mut Report, database: Database, name: &str, (now, most): (f64, f64)) {
    report.aim(
        database,
        name,
        format!("{now:.1} MiB, at most {most:.1} MiB"),
        ("≤ 110 MiB", Some(now <= MEMORY)),
    );
}

/// Memory when it has started, and after many requests of all sorts.
pub fn a_day(
    report: &mut Report,
    database: Database,
    service: &Process,
    seeded: &Seeded,
) -> Outcome<()> {
    let (idle, _) = service.memory();
    report.fact(database, "memory when started", format!("{idle:.1} MiB"));
    let mixed = Scenario::new("a day", |n| reads::mixed(seeded, n));
    let count = usize::try_from(seeded.position).map_or(MANY, |all| all.min(MANY));
    let until = Until::Count(count);
    load(service.address, 64, until, mixed.expect, &mixed.make)?;
    let name = format!("memory after {count} requests of all sorts");
    memory(report, database, &name, service.memory());
    Ok(())
}

/// Syncs of the disk for what is written.
pub fn syncs(
    report: &mut Report,
    place: &Place,
    service: &Process,
    seeded: &Seeded,
) -> Outcome<()> {
    let database = place.database;
    let (half, most) = process::raw_sync(&place.data())?;
    let value = format!("p50 {half:.0} µs, p99 {most:.0} µs");
    report.fact(
        database,
        "one small write and its sync in the folder",
        value,
    );
    if database != Database::Sqlite {
        return Ok(());
    }
    let name = "answered writes for each sync of the service, 64 clients";
    let write = writes::create(seeded);
    let until = Until::Count(6_000);
    let work = || load(service.address, 64, until, write.expect, &write.make);
    let (load, found) = service.syncs(work);
    let load = load?;
    match found {
        Some(syncs) => {
            let each = load.requests as f64 / syncs.max(1) as f64;
            let value = format!("{each:.1} ({syncs} syncs)");
            report.aim(database, name, value, ("≥ 4", Some(each >= 4.0)));
        }
        None => {
            let why = "not measured: strace is missing or may not look";
            report.fact(database, name, why.into());
        }
    }
    Ok(())
}

/// The same questions on a plain connection.
pub fn plain(report: &mut Report, place: &Place, seeded: &Seeded) -> Outcome<()> {
    let file = format!("sqlite:{}", place.data().join("isms.db").display());
    let plain = bare::plain(place.url().unwrap_or(&file), seeded)?;
    for (name, cpu) in [
        ("the bare query, one asset by its key", plain.by_key),
        ("the bare query, a page of 50 risks", plain.page),
    ] {
        report.fact(place.database, name, format!("{cpu:.1} µs CPU"));
    }
    Ok(())
}
