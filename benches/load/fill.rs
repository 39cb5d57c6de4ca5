//! Fills an organization through the API, in batches where there are any, and tells what that cost.
use crate::Outcome;
use crate::bodies::{assessment, asset, control, evidence, risk, treatment};
use crate::place::Place;
use crate::process::Process;
use crate::seed::{Seeded, Size, at, some};
use crate::wire::{Client, Expect, Until, fault, load};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Items of a batch.
pub const ITEMS: usize = 1_000;
/// Clients that send batches; one writes while the other's answer is read.
pub const BATCHING: usize = 2;
const CLIENTS: usize = 64;

pub const CREATING: &str = "filling: assets in batches of 1,000 (per item)";
pub const PATCHING: &str = "filling: PATCH in batches of 1,000 (per item)";
const HUBS: &str = "assets that others depend on";
const RISKS: &str = "filling: risks in batches of 1,000 (per item)";
const TREATMENTS: &str = "filling: treatments in batches of 1,000 (per item)";
const SPREAD: &str = "filling: evidence, 64 clients";
const CROWDED: &str = "filling: evidence of one control, 64 clients";
const ASSESSMENTS: &str = "filling: assessments, 64 clients";

/// What a part of the filling cost.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pace {
    pub name: String,
    pub items: usize,
    pub seconds: f64,
    /// Is it a row of the report?
    pub shown: bool,
    /// CPU microseconds of the service, and of the database's processes, for each item.
    pub cpu: f64,
    pub database: f64,
}

/// What is read of the answer to a batch.
#[derive(Deserialize)]
struct Batch {
    data: Vec<Made>,
}
#[derive(Deserialize)]
struct Made {
    record: Option<Named>,
}
#[derive(Deserialize)]
struct Named {
    id: String,
}

/// The ids of the records that a batch made or changed.
fn ids(text: &[u8]) -> Outcome<Vec<String>> {
    let Batch { data } = serde_json::from_slice(text)?;
    let records = data.into_iter().filter_map(|made| made.record);
    Ok(records.map(|named| named.id).collect())
}

/// A body of each number.
type Body<'a> = &'a (dyn Fn(usize) -> Value + Sync);

struct Filling<'a> {
    place: &'a Place,
    service: &'a Process,
    paces: Vec<Pace>,
}

impl<'a> Filling<'a> {
    fn new(place: &'a Place, service: &'a Process) -> Self {
        Filling {
            place,
            service,
            paces: vec![],
        }
    }
    /// Does a part and notes its pace.
    fn part<T>(
        &mut self,
        name: &str,
        items: usize,
        work: impl FnOnce(&Process) -> Outcome<T>,
    ) -> Outcome<T> {
        let before = (Instant::now(), self.service.cpu(), self.place.cpu());
        let done = work(self.service)?;
        let each = |cpu: std::time::Duration| cpu.as_secs_f64() * 1e6 / items.max(1) as f64;
        let pace = Pace {
            name: name.to_owned(),
            items,
            shown: name.starts_with("filling: "),
            seconds: before.0.elapsed().as_secs_f64(),
            cpu: each(self.service.cpu().saturating_sub(before.1)),
            database: each(self.place.cpu().saturating_sub(before.2)),
        };
        let Pace {
            seconds,
            cpu,
            database,
            ..
        } = &pace;
        eprintln!("{items:>9} × {name}: {seconds:.1} s, {cpu:.0} + {database:.0} µs CPU each");
        self.paces.push(pace);
        Ok(done)
    }
    /// New records in batches; gives their ids in the order of their numbers.
    fn batches(
        &mut self,
        name: &str,
        seeded: &Seeded,
        (path, count): (&str, usize),
        body: Body<'_>,
    ) -> Outcome<Vec<String>> {
        self.part(name, count, |service| {
            let batch = |numbers: Range<usize>| {
                let items: Vec<Value> = numbers.map(|n| json!({"create": body(n)})).collect();
                seeded.post(&format!("/v1/{path}/batch"), &json!({"items": items}))
            };
            in_parts(service, count, ITEMS, BATCHING, &batch, &ids)
        })
    }
    /// New records one by one; gives their ids.
    fn each(
        &mut self,
        name: &str,
        seeded: &Seeded,
        (path, count): (&str, usize),
        body: Body<'_>,
    ) -> Outcome<Vec<String>> {
        self.part(name, count, |service| {
            let one =
                |numbers: Range<usize>| seeded.post(&format!("/v1/{path}"), &body(numbers.start));
            let id = |text: &[u8]| -> Outcome<Vec<String>> {
                let Named { id } = serde_json::from_slice(text)?;
                Ok(vec![id])
            };
            in_parts(service, count, 1, CLIENTS, &one, &id)
        })
    }
}

/// Sends requests of so many items each, and gives what is read of the answers, in order. An item
/// without what is read is a failure.
fn in_parts(
    service: &Process,
    count: usize,
    items: usize,
    clients: usize,
    request: &(dyn Fn(Range<usize>) -> Vec<u8> + Sync),
    read: &(dyn Fn(&[u8]) -> Outcome<Vec<String>> + Sync),
) -> Outcome<Vec<String>> {
    let (next, made) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || -> Outcome<()> {
        let mut client = Client::connect(service.address)?;
        loop {
            let from = next.fetch_add(items, Ordering::Relaxed);
            if from >= count {
                return Ok(());
            }
            let numbers = from..(from + items).min(count);
            let count = numbers.len();
            let request = request(numbers);
            let reply = client.good(&request)?;
            let found = read(reply.body)?;
            if found.len() != count {
                return Err(fault(&request, &reply).into());
            }
            if let Ok(mut made) = made.lock() {
                made.push((from, found));
            }
        }
    };
    std::thread::scope(|scope| -> Outcome<()> {
        let all: Vec<_> = (0..clients).map(|_| scope.spawn(work)).collect();
        let mut outcomes = all.into_iter().map(|one| one.join());
        outcomes.try_for_each(|one| one.map_err(|_| "a client broke off")?)
    })?;
    let mut made = made.into_inner().unwrap_or_default();
    made.sort();
    Ok(made.into_iter().flat_map(|(_, ids)| ids).collect())
}

impl Seeded {
    /// The last position, as the service says it.
    fn last(&self, service: &Process) -> Outcome<i64> {
        let mut client = Client::connect(service.address)?;
        let reply = client.good(&self.get("/v1/scopes?limit=1"))?;
        let position = reply.header("Ledger-Position").ok_or("no position")?;
        Ok(position.parse()?)
    }
    /// So many assets: the first tenth of them are those that the others depend on.
    pub fn add_assets(&mut self, place: &Place, service: &Process, count: usize) -> Outcome<()> {
        let mut filling = Filling::new(place, service);
        let few = count.div_ceil(10);
        let hubs = filling.batches(HUBS, self, ("assets", few), &|n| asset(n, None))?;
        let others = count - few;
        self.assets = filling.batches(CREATING, self, ("assets", others), &|n| {
            asset(few + n, Some(at(&hubs, n)))
        })?;
        self.assets.extend(hubs);
        self.paces.extend(filling.paces);
        Ok(())
    }
    /// Everything, up to so many ledger entries.
    pub fn fill(&mut self, place: &Place, service: &Process, size: &Size) -> Outcome<()> {
        let start = service.memory().0;
        self.add_assets(place, service, size.assets)?;
        let mut filling = Filling::new(place, service);
        let scope = |_| {
            json!({"name": "The company", "frameworks": ["iso-27001-2022"],
                "statement": "All that the company does, in all of its places."})
        };
        let scopes = filling.each("scope", self, ("scopes", 1), &scope)?;
        self.scope = scopes.into_iter().next().ok_or("no scope")?;
        self.risks = filling.batches(RISKS, self, ("risks", size.risks), &|n| {
            risk(n, &self.assets)
        })?;
        self.controls = filling.batches("controls", self, ("controls", size.controls), &|n| {
            control(n, &self.scope)
        })?;
        self.crowded = self.controls.first().cloned().ok_or("no control")?;
        let spread = ("evidence", size.evidence);
        filling.each(SPREAD, self, spread, &|n| {
            evidence(n, some(&self.controls, n))
        })?;
        self.pieces = size.pieces;
        filling.each(CROWDED, self, ("evidence", size.pieces), &|n| {
            evidence(1_000_000 + n, &self.crowded)
        })?;
        self.assessed(&mut filling)?;
        let treated = ("risk-treatments", size.risks / 5);
        filling.batches(TREATMENTS, self, treated, &|n| {
            treatment(n, at(&self.risks, n * 3))
        })?;
        let left = size.entries as i64 - 1 - self.last(service)?;
        self.patched(&mut filling, usize::try_from(left).unwrap_or_default())?;
        self.paces.extend(filling.paces);
        self.position = self.last(service)?;
        let (now, most) = service.memory();
        self.memory = (start, now, most);
        Ok(())
    }
    /// Every risk before controls, and as many scores with those that are in place, by chance.
    fn assessed(&self, filling: &mut Filling<'_>) -> Outcome<()> {
        let all = self.risks.len();
        filling.part(ASSESSMENTS, 2 * all, |service| {
            let next = AtomicUsize::new(0);
            let request = |_| {
                let n = next.fetch_add(1, Ordering::Relaxed) % all.max(1);
                let path = format!("/v1/risks/{}/assessments", at(&self.risks, n));
                self.change("POST", &path, &assessment(n, None))
            };
            let (address, good) = (service.address, Expect::Good);
            load(address, CLIENTS, Until::Count(all), good, &request)?;
            load(address, CLIENTS, Until::Count(all), good, &|n| {
                self.assess(n)
            })
        })?;
        Ok(())
    }
    /// Changes in batches, a sixth of them of risks.
    fn patched(&self, filling: &mut Filling<'_>, count: usize) -> Outcome<()> {
        filling.part(PATCHING, count, |service| {
            let batch = |numbers: Range<usize>| {
                let (path, ids) = match numbers.start / ITEMS % 6 {
                    5 => ("risks", &self.risks),
                    _ => ("assets", &self.assets),
                };
                self.patch_batch(path, ids, numbers)
            };
            in_parts(service, count, ITEMS, BATCHING, &batch, &ids)
        })?;
        Ok(())
    }
}
