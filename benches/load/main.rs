//! A repeatable load on the built service: `cargo bench --bench load -- --help`. It founds an
//! organization on each database, fills it through the API, asks, and prints tables in Markdown;
//! docs/performance.md explains them. Linux only (CPU times are the kernel's, from /proc), and
//! never beyond the loopback.
mod bare;
mod bodies;
mod facts;
mod fill;
mod flood;
mod heavy;
mod place;
mod postgres;
mod process;
mod reads;
mod report;
mod scenarios;
mod seed;
mod table;
mod wire;
mod writes;

use clap::Parser;
use place::{Database, Databases, Place};
use process::Process;
use report::{Asked, Report};
use scenarios::{Goal, Scenario};
use seed::{Seeded, Size};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Loads the built service, and prints what that costs as tables in Markdown.
///
/// Figures are CPU time of the service for each request, or for each item of a batch. Lists and
/// views are worked out anew for each request, but for those that say `kept`. An answer that is not
/// as expected ends the run and is named.
#[derive(Parser)]
struct Options {
    /// What is measured, side by side. Both by default, where PostgreSQL's programs are found; a
    /// private server is started for the run, on a free port.
    #[arg(long, value_enum)]
    database: Option<Databases>,
    /// Ledger entries before anything is measured; 1000000 is supported.
    #[arg(long, default_value_t = 100_000)]
    entries: usize,
    /// Assets among these; a tenth of the entries by default.
    #[arg(long)]
    assets: Option<usize>,
    /// Assessed risks among these; a fiftieth of the entries by default.
    #[arg(long)]
    risks: Option<usize>,
    /// Seconds that each question is asked, in each round.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Rounds; figures are the medians of them.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only questions (or floods) whose name has this in it, beside the bases.
    #[arg(long, default_value = "")]
    only: String,
    /// Keeps filled organizations in this folder, one for each database and size, and fills none
    /// that is there. What is measured is a copy, so that each run finds the same.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Measures the small set that a peer was measured with instead (2,000 assets, 2,000 risks, 200
    /// controls, 2,000 pieces of evidence), in CPU milliseconds, the database's included.
    #[arg(long, conflicts_with_all = ["flood", "entries", "assets", "risks"])]
    peer_size: bool,
    /// Floods the service with what is slow to answer instead, and measures how others fare
    /// meanwhile.
    #[arg(long)]
    flood: bool,
    /// Ends with 1 when a goal is missed.
    #[arg(long)]
    check: bool,
    /// Serves the constant answer at this address (the base of the comparison).
    #[arg(long, hide = true)]
    bare: Option<String>,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn size(&self) -> Size {
        if self.peer_size {
            Size::peer()
        } else {
            Size::of(self.entries, self.assets, self.risks)
        }
    }
    fn time(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
    fn filled(&self, database: Database) -> Outcome<(Place, Seeded)> {
        Place::filled(database, &self.size(), self.keep.as_deref())
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = match &options.bare {
        Some(address) => bare::serve(address).map(|()| false),
        None if options.flood => flood::run(&options),
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

/// Measures each database, and prints what was found; tells whether a goal was missed.
fn run(options: &Options) -> Outcome<bool> {
    let databases = Databases::or_found(options.database);
    let mut report = Report::default();
    let bare = Process::bare()?;
    for database in databases {
        let (place, seeded) = options.filled(*database)?;
        let service = facts::started(&mut report, &place, &seeded)?;
        let asked = Asked {
            place: &place,
            service: &service,
            bare: &bare,
            time: options.time(),
        };
        if options.peer_size {
            let reads = writes::peer_reads(service.address, &seeded)?;
            ask(&mut report, &asked, options, reads)?;
            ask(&mut report, &asked, options, writes::peer_writes(&seeded))?;
        } else {
            all(&mut report, &asked, options, &seeded)?;
        }
    }
    println!("\n{}\n", headline(options));
    if options.peer_size {
        println!("{}", table::millis(&report, databases));
    } else {
        println!("{}", table::micros(&report, databases));
    }
    println!("{}", table::times(&report, databases));
    println!("{}", table::facts(&report, databases));
    Ok(report.missed())
}

/// Everything that is asked of an organization of this size.
fn all(report: &mut Report, asked: &Asked<'_>, options: &Options, seeded: &Seeded) -> Outcome<()> {
    let Asked { place, service, .. } = asked;
    let (database, address) = (place.database, service.address);
    facts::filled(report, database, seeded);
    facts::first_view(report, place, service, seeded)?;
    facts::a_day(report, database, service, seeded)?;
    ask(report, asked, options, reads::records(address, seeded)?)?;
    ask(report, asked, options, reads::lists(address, seeded)?)?;
    ask(report, asked, options, reads::ledger(seeded))?;
    ask(report, asked, options, reads::views(seeded))?;
    ask(report, asked, options, writes::writes(seeded))?;
    ask(report, asked, options, writes::batches(seeded))?;
    for pace in seeded.paces.iter().filter(|pace| pace.shown) {
        let goal = match pace.name.as_str() {
            fill::CREATING => writes::CREATING,
            fill::PATCHING => writes::PATCHING,
            _ => Goal::default(),
        };
        report.pace(database, pace, goal);
    }
    let name = "memory at the end of all";
    facts::memory(report, database, name, service.memory());
    facts::syncs(report, place, service, seeded)?;
    facts::plain(report, place, seeded)
}

/// Asks these, beside the bases, round after round.
fn ask(
    report: &mut Report,
    asked: &Asked<'_>,
    options: &Options,
    all: Vec<Scenario<'_>>,
) -> Outcome<()> {
    let wanted = |one: &&Scenario<'_>| one.name.contains(&options.only);
    let all: Vec<&Scenario<'_>> = all.iter().filter(wanted).collect();
    if all.is_empty() {
        return Ok(());
    }
    let bases = scenarios::bases();
    for _ in 0..options.rounds {
        for one in bases.iter().chain(all.iter().copied()) {
            report.run(asked, one)?;
        }
    }
    Ok(())
}

/// On what it was measured.
fn headline(options: &Options) -> String {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let size = options.size();
    let more = if options.peer_size {
        format!(
            "{} controls, {} pieces of evidence",
            size.controls, size.evidence
        )
    } else {
        format!("{} ledger entries", size.entries)
    };
    format!(
        "{} assets, {} risks, {more} · {} × {} s a question, medians · {processors} \
            processors, shared with the load itself and the database. Worked out for each request, \
            but for rows that say kept.",
        size.assets, size.risks, options.rounds, options.seconds
    )
}
