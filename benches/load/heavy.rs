//! The flood of heavy questions: many ask for what is dear in a large organization, while something
//! is written so that no answer is kept; and others read one record each.
use crate::flood::{Bystander, line};
use crate::place::Database;
use crate::reads::{OVERVIEW, one_asset};
use crate::scenarios::worded;
use crate::seed::Seeded;
use crate::wire::{Expect, Load, Make, Until, load};
use crate::{Options, Outcome};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const NAME: &str = "heavy questions, 16 clients";
const ASKING: usize = 16;
const READING: usize = 3;
/// Milliseconds that one record may take: 99 of 100.
const MOST: f64 = 20.0;

/// Ledger pages by kind, the trend and the overview.
fn heavy(seeded: &Seeded, n: usize) -> Vec<u8> {
    let path = match n % 4 {
        0 => OVERVIEW,
        1 => "/v1/risk-trend?stage=current",
        2 => "/v1/ledger/entries?limit=50&kind=control",
        _ => "/v1/ledger/entries?limit=50&kind=risk",
    };
    seeded.get(&worded(path, n / 4))
}

/// Tells whether the goal was missed.
pub fn run(options: &Options, database: Database) -> Outcome<bool> {
    if !NAME.contains(&options.only) {
        return Ok(false);
    }
    let (place, seeded) = options.filled(database)?;
    let (service, _) = place.serve(&seeded.get("/v1/assets?limit=1"))?;
    let time = options.time().max(Duration::from_secs(10));
    let stop = AtomicBool::new(false);
    let ask = |clients, expect, make: Make<'_>| {
        load(service.address, clients, Until::Told(&stop), expect, make)
    };
    // 20 writes a second are enough to let no answer stand.
    let write = |n| {
        std::thread::sleep(Duration::from_millis(50));
        seeded.assess(n)
    };
    let (asked, wrote, read) = std::thread::scope(|scope| {
        let all = (
            scope.spawn(|| ask(ASKING, Expect::Status(200), &|n| heavy(&seeded, n))),
            scope.spawn(|| ask(1, Expect::Good, &write)),
        );
        std::thread::sleep(Duration::from_secs(1));
        let one = one_asset(&seeded);
        let read = load(
            service.address,
            READING,
            Until::Time(time),
            one.expect,
            &one.make,
        );
        stop.store(true, Ordering::Relaxed);
        (all.0.join(), all.1.join(), read)
    });
    let of = |outcome: std::thread::Result<Outcome<Load>>| -> Outcome<Load> {
        outcome.map_err(|_| "a client broke off")?
    };
    let (asked, wrote) = (of(asked)?, of(wrote)?);
    eprintln!(
        "{}: {} heavy questions, p50 {:.0} ms, p99 {:.0} ms; {} writes, p99 {:.0} ms",
        database.name(),
        asked.requests,
        asked.quantile(0.5) / 1000.0,
        asked.quantile(0.99) / 1000.0,
        wrote.requests,
        wrote.quantile(0.99) / 1000.0
    );
    let bystander = Bystander {
        what: "one record, 3 clients",
        load: read?,
        most: MOST,
    };
    Ok(line(database, NAME, asked.requests, &bystander))
}
