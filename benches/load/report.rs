//! What was measured, as Markdown, each figure beside its goal.
use crate::Outcome;
use crate::fill::Pace;
use crate::place::{Database, Place};
use crate::process::Process;
use crate::scenarios::{Goal, HEALTH, Most, Scenario};
use crate::wire::{Client, Expect, Load, Until, load, turns};
use std::collections::BTreeMap;
use std::time::Duration;

/// One scenario once; each figure is for one item.
#[derive(Clone, Copy, Default)]
pub struct Sample {
    /// CPU microseconds of the service.
    pub cpu: f64,
    /// The same of the database's processes.
    pub database: f64,
    /// Items a second.
    pub rate: f64,
    /// Milliseconds that a request took.
    pub p50: f64,
    pub p99: f64,
}

/// One scenario, all rounds, on each database.
#[derive(Default)]
pub struct Row {
    pub name: String,
    pub goal: Goal,
    samples: BTreeMap<Database, Vec<Sample>>,
}

/// A figure that is no scenario.
#[derive(Default)]
pub struct Fact {
    pub name: String,
    pub goal: String,
    pub values: BTreeMap<Database, (String, Option<bool>)>,
}

#[derive(Default)]
pub struct Report {
    pub rows: Vec<Row>,
    pub facts: Vec<Fact>,
}

/// What is asked, and for how long.
pub struct Asked<'a> {
    pub place: &'a Place,
    pub service: &'a Process,
    pub bare: &'a Process,
    pub time: Duration,
}

impl Asked<'_> {
    /// Asks one scenario for a while.
    fn run(&self, scenario: &Scenario<'_>) -> Outcome<Sample> {
        let process = if scenario.bare {
            self.bare
        } else {
            self.service
        };
        let Scenario {
            make,
            expect,
            clients,
            items,
            ..
        } = scenario;
        let address = process.address;
        let time = Until::Time(self.time);
        if scenario.warm {
            Client::connect(address)?.good(&make(0))?;
        }
        let Some(write) = &scenario.write else {
            let both = self.cost(process, *items, || {
                load(address, *clients, time, *expect, make)
            })?;
            return Ok(both.0);
        };
        let (both, _) = self.cost(process, 1, || turns(address, self.time, write, make))?;
        let half = Until::Time(self.time / 2);
        let (alone, _) = self.cost(process, 1, || load(address, 1, half, Expect::Good, write))?;
        Ok(Sample {
            cpu: (both.cpu - alone.cpu).max(0.0),
            database: (both.database - alone.database).max(0.0),
            ..both
        })
    }
    fn cost(
        &self,
        process: &Process,
        items: usize,
        work: impl FnOnce() -> Outcome<Load>,
    ) -> Outcome<(Sample, Load)> {
        let before = (process.cpu(), self.place.cpu());
        let load = work()?;
        let count = (load.requests * items).max(1) as f64;
        let each = |time: Duration| time.as_secs_f64() * 1e6 / count;
        let sample = Sample {
            cpu: each(process.cpu().saturating_sub(before.0)),
            database: each(self.place.cpu().saturating_sub(before.1)),
            rate: load.rate() * items as f64,
            p50: load.quantile(0.5) / 1000.0,
            p99: load.quantile(0.99) / 1000.0,
        };
        Ok((sample, load))
    }
}

impl Report {
    fn row(&mut self, name: &str, goal: Goal) -> Option<&mut Row> {
        if !self.rows.iter().any(|row| row.name == name) {
            self.rows.push(Row {
                name: name.to_owned(),
                goal,
                ..Row::default()
            });
        }
        self.rows.iter_mut().find(|row| row.name == name)
    }
    fn sample(&mut self, (name, goal): (&str, Goal), database: Database, sample: Sample) {
        let Sample {
            cpu,
            database: other,
            rate,
            p50,
            p99,
        } = sample;
        eprintln!(
            "{:<10} {name:<60} {cpu:>9.1} + {other:>7.1} µs {rate:>8.0}/s {p50:>7.2} {p99:>7.2} ms",
            database.name()
        );
        if let Some(row) = self.row(name, goal) {
            row.samples.entry(database).or_default().push(sample);
        }
    }
    /// Asks one scenario for a while; an answer that is not as expected is an error.
    pub fn run(&mut self, asked: &Asked<'_>, scenario: &Scenario<'_>) -> Outcome<()> {
        let sample = asked.run(scenario)?;
        self.sample(
            (&scenario.name, scenario.goal),
            asked.place.database,
            sample,
        );
        Ok(())
    }
    /// What a part of the filling cost.
    pub fn pace(&mut self, database: Database, pace: &Pace, goal: Goal) {
        let sample = Sample {
            cpu: pace.cpu,
            database: pace.database,
            rate: pace.items as f64 / pace.seconds.max(1e-9),
            p50: f64::NAN,
            p99: f64::NAN,
        };
        self.sample((&pace.name, goal), database, sample);
    }
    pub fn fact(&mut self, database: Database, name: &str, value: String) {
        self.aim(database, name, value, ("", None));
    }
    /// A figure, its goal, and whether that was met.
    pub fn aim(
        &mut self,
        database: Database,
        name: &str,
        value: String,
        (goal, met): (&str, Option<bool>),
    ) {
        eprintln!("{:<10} {name}: {value}", database.name());
        if !self.facts.iter().any(|fact| fact.name == name) {
            self.facts.push(Fact {
                name: name.to_owned(),
                goal: goal.to_owned(),
                ..Fact::default()
            });
        }
        if let Some(fact) = self.facts.iter_mut().find(|fact| fact.name == name) {
            fact.values.insert(database, (value, met));
        }
    }
    /// The median of what a row cost.
    pub fn cpu(&self, name: &str, database: Database) -> f64 {
        let row = self.rows.iter().find(|row| row.name == name);
        row.map_or(f64::NAN, |row| row.median(database, |sample| sample.cpu))
    }
    pub fn health(&self, database: Database) -> f64 {
        self.cpu(HEALTH, database)
    }
    /// The goal of a row and whether it was met.
    pub fn judged(&self, row: &Row, database: Database) -> Option<(Most, bool)> {
        let goal = match database {
            Database::Sqlite => row.goal.sqlite?,
            Database::Postgresql => row.goal.postgresql?,
        };
        let of = |figure: fn(&Sample) -> f64| row.median(database, figure);
        let met = match goal {
            Most::Times(_, other) if self.cpu(other, database).is_nan() => return None,
            Most::Times(times, other) => of(|s| s.cpu) <= times * self.cpu(other, database),
            Most::Micros(most) => of(|s| s.cpu) <= most,
            Most::Millis(most) => of(|s| s.cpu + s.database) <= most * 1000.0,
            Most::Rate(least) => of(|s| s.rate) >= least,
        };
        row.samples.contains_key(&database).then_some((goal, met))
    }
    /// Is any goal missed?
    pub fn missed(&self) -> bool {
        let all = [Database::Sqlite, Database::Postgresql];
        let missed = |row: &Row| {
            let judged = all
                .iter()
                .filter_map(|database| self.judged(row, *database));
            judged.into_iter().any(|(_, met)| !met)
        };
        let facts = self.facts.iter().flat_map(|fact| fact.values.values());
        self.rows.iter().any(missed) || facts.into_iter().any(|(_, met)| *met == Some(false))
    }
}

impl Row {
    /// Not a number where it was not measured.
    pub fn median(&self, database: Database, of: impl Fn(&Sample) -> f64) -> f64 {
        let samples = self.samples.get(&database).into_iter().flatten();
        let mut all: Vec<f64> = samples.map(of).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
    }
}
