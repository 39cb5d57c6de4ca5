//! A repeatable load on the built service: `cargo bench --bench load -- [--database URL] [--assets
//! N] [--risks N] [--entries N] [--seconds S]`. `cargo bench --bench load -- --flood [--database
//! URL] [--seconds S] [--check]` shows what floods by one organization do to another. It founds an
//! organization, fills it through the API, asks, and prints a table in Markdown;
//! docs/performance.md explains it. Linux only (CPU times are the kernel's, from /proc), and never
//! beyond the loopback.
mod bare;
mod flood;
mod process;
mod report;
mod scenarios;
mod seed;
mod wire;

use clap::Parser;
use process::{Backends, Process};
use report::Report;
use seed::Seeded;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use wire::{Until, load};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Loads the built service and reports what that costs.
#[derive(Parser)]
struct Options {
    /// `sqlite`, or `postgres://…` of an empty database on this machine.
    #[arg(long, default_value = "sqlite")]
    database: String,
    #[arg(long, default_value_t = 10_000)]
    assets: usize,
    #[arg(long, default_value_t = 10_000)]
    risks: usize,
    /// Ledger entries before anything is measured.
    #[arg(long, default_value_t = 100_000)]
    entries: usize,
    /// Seconds that each scenario is asked, in each round.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only scenarios whose name has this in it, beside the bases.
    #[arg(long, default_value = "")]
    only: String,
    /// Also compares pages of 1,000 and of 100,000 assets.
    #[arg(long)]
    deep: bool,
    /// Floods one organization's door instead, and measures how another one and the health check
    /// fare.
    #[arg(long)]
    flood: bool,
    /// Keeps the filled data here, and uses what is there.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Ends with 1 when a target is missed.
    #[arg(long)]
    check: bool,
    /// Serves the constant answer at this address (the base of the comparison).
    #[arg(long, hide = true)]
    bare: Option<String>,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = match &options.bare {
        None if options.flood => flood::run(&options),
        Some(address) => bare::serve(address).map(|()| false),
        None => run(&options),
    };
    match outcome {
        Ok(missed) if missed && options.check => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("load: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Outcome<bool> {
    let database = (options.database != "sqlite").then_some(options.database.as_str());
    if database.is_some_and(|url| !on_this_machine(url)) {
        return Err("--database: `sqlite`, or postgres:// of 127.0.0.1 or localhost".into());
    }
    let kept = options
        .data
        .clone()
        .map(|path| std::path::absolute(path).unwrap_or_default());
    let own = tempfile::Builder::new()
        .prefix("load")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let data = kept.as_deref().unwrap_or(own.path());
    let mut report = Report::default();
    let seeded = filled(options, data, database)?;
    let mut service = started(&mut report, data, database, &seeded)?;
    let backends = database.map(Backends::of).transpose()?;
    memory(&mut report, &service, &seeded);
    let bare = Process::bare()?;
    let time = Duration::from_secs_f64(options.seconds);
    let wanted = |scenario: &scenarios::Scenario<'_>| scenario.name.contains(&options.only);
    let mut ask = |all: Vec<scenarios::Scenario<'_>>, service: &Process| {
        for _ in 0..options.rounds {
            scenarios::bases().iter().for_each(|base| {
                report.run(
                    base,
                    if base.bare { &bare } else { service },
                    backends.as_ref(),
                    time,
                )
            });
            all.iter()
                .filter(|one| wanted(one))
                .for_each(|one| report.run(one, service, backends.as_ref(), time));
        }
    };
    ask(scenarios::reads(service.address, &seeded)?, &service);
    ask(scenarios::writes(&seeded), &service);
    syncs(&mut report, &service, &seeded, data)?;
    let (now, most) = service.memory();
    report.fact(
        "memory at the end of all",
        format!("{now:.1} MiB, at most {most:.1} MiB"),
    );
    let url = database.map_or_else(
        || format!("sqlite:{}", data.join("isms.db").display()),
        str::to_owned,
    );
    let plain = bare::plain(&url, &seeded)?;
    report.fact(
        "the bare query, one asset by its key",
        format!("{:.1} µs CPU", plain.by_key),
    );
    report.fact(
        "the bare query, a page of 50 risks",
        format!("{:.1} µs CPU", plain.page),
    );
    if options.deep {
        let (short, long) = (1_000, 100_000);
        drop(service);
        let folder = tempfile::Builder::new()
            .prefix("deep")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let mut of_pages = seed::found(folder.path(), database)?;
        service = Process::serve(folder.path(), database, &of_pages.get("/v1/assets?limit=1"))?.0;
        let mut from = 0;
        for (size, name) in [(short, "1,000 assets"), (long, "100,000 assets")] {
            of_pages.add_assets(&service, from, size)?;
            from = size;
            for _ in 0..options.rounds {
                let pages = scenarios::pages(service.address, &of_pages, name)?;
                pages
                    .iter()
                    .for_each(|one| report.run(one, &service, backends.as_ref(), time));
            }
        }
        for (what, page) in [
            ("first page, 100,000 : 1,000 assets", "first page"),
            ("deep page, 100,000 : 1,000 assets", "deep page"),
        ] {
            report.compare(
                what,
                &format!("{page} of 100,000 assets"),
                &format!("{page} of 1,000 assets"),
                1.5,
                "≤ 1.5 ×",
            );
        }
    }
    println!("\n{}", headline(options, &seeded));
    println!(
        "{}",
        report.markdown(database.is_some(), database.is_none())
    );
    Ok(database.is_none() && report.missed())
}

fn on_this_machine(url: &str) -> bool {
    let rest = url
        .strip_prefix("postgres://")
        .or_else(|| url.strip_prefix("postgresql://"))
        .unwrap_or_default();
    let host = rest
        .split('/')
        .next()
        .and_then(|authority| authority.rsplit('@').next())
        .unwrap_or_default();
    let name = host
        .rsplit_once(':')
        .filter(|(_, port)| port.chars().all(|c| c.is_ascii_digit()))
        .map_or(host, |(name, _)| name);
    ["127.0.0.1", "localhost", "[::1]"].contains(&name)
}

/// What the data folder has from before, or a new organization.
fn filled(options: &Options, data: &Path, database: Option<&str>) -> Outcome<Seeded> {
    let note = data.join("load.json");
    if let Ok(text) = std::fs::read_to_string(&note) {
        return Ok(serde_json::from_str(&text)?);
    }
    std::fs::create_dir_all(data)?;
    let mut seeded = seed::found(data, database)?;
    let (service, _) = Process::serve(data, database, &seeded.get("/v1/assets?limit=1"))?;
    eprintln!(
        "filling {} assets, {} risks, {} entries …",
        options.assets, options.risks, options.entries
    );
    seeded.fill(&service, options.assets, options.risks, options.entries)?;
    drop(service);
    std::fs::write(&note, serde_json::to_string(&seeded)?)?;
    Ok(seeded)
}

/// Starts on what is there, a few times; the last one stays.
fn started(
    report: &mut Report,
    data: &Path,
    database: Option<&str>,
    seeded: &Seeded,
) -> Outcome<Process> {
    let first = seeded.get(&format!("/v1/assets/{}", seed::some(&seeded.assets, 1)));
    let mut times: Vec<f64> = Vec::new();
    for _ in 0..4 {
        times.push(Process::serve(data, database, &first)?.1.as_secs_f64());
    }
    let (service, last) = Process::serve(data, database, &first)?;
    times.push(last.as_secs_f64());
    times.sort_by(f64::total_cmp);
    let median = times.get(2).copied().unwrap_or(f64::NAN);
    report.fact(
        "filled at",
        format!("{:.0} entries/s, 64 clients", seeded.writes_a_second),
    );
    report.aim(
        "start to the first answer",
        format!("{:.0} ms", median * 1000.0),
        "< 500 ms",
        median < 0.5,
    );
    Ok(service)
}

fn memory(report: &mut Report, service: &Process, seeded: &Seeded) {
    let (idle, _) = service.memory();
    let day = load(service.address, 64, Until::Count(100_000), 200, &|n| {
        scenarios::mixed(seeded, n)
    });
    if let Some(fault) = day.first_failure {
        report.aim(
            "wrong answers among 100,000",
            format!(
                "{}, the first `{}`",
                day.failures,
                fault.chars().take(160).collect::<String>()
            ),
            "0",
            false,
        );
    }
    let (now, most) = service.memory();
    report.fact("memory when started", format!("{idle:.1} MiB"));
    report.aim(
        "memory after 100,000 requests",
        format!("{now:.1} MiB, at most {most:.1} MiB"),
        "< 80 MiB",
        now < 80.0,
    );
}

fn syncs(report: &mut Report, service: &Process, seeded: &Seeded, data: &Path) -> Outcome<()> {
    let (half, most) = process::raw_sync(data)?;
    report.fact(
        "one small write and its sync in the folder",
        format!("p50 {half:.0} µs, p99 {most:.0} µs"),
    );
    if let Some(write) = scenarios::writes(seeded).first() {
        let (load, found) =
            service.syncs(|| load(service.address, 64, Until::Count(6_000), 201, &write.make));
        match found {
            Some(syncs) => {
                let each = load.requests as f64 / syncs.max(1) as f64;
                report.aim(
                    "answered writes for each sync of the service, 64 clients",
                    format!("{each:.1} ({syncs} syncs)"),
                    "≥ 4",
                    each >= 4.0,
                );
            }
            None => report.fact(
                "answered writes for each sync, 64 clients",
                "not measured: strace is missing or may not look".into(),
            ),
        }
    }
    Ok(())
}

/// On what it was measured.
fn headline(options: &Options, seeded: &Seeded) -> String {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{} · {} assets, {} risks, {} ledger entries · {} × {} s a scenario, medians · \
            {processors} processors, shared with the load itself",
        if options.database == "sqlite" {
            "SQLite"
        } else {
            "PostgreSQL"
        },
        seeded.assets.len(),
        seeded.risks.len(),
        seeded.position + 1,
        options.rounds,
        options.seconds
    )
}
