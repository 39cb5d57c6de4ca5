//! What was measured, as Markdown, each figure beside its target.
use crate::process::{Backends, Process};
use crate::scenarios::{BARE, HEALTH, Scenario};
use crate::wire::{Until, load};
use std::time::Duration;

/// One scenario once.
#[derive(Clone, Copy, Default)]
pub struct Sample {
    /// CPU microseconds of the service for each request.
    pub cpu: f64,
    /// The same of the PostgreSQL server.
    pub database: f64,
    pub rate: f64,
    pub p50: f64,
    pub p99: f64,
    /// With one client.
    pub alone: f64,
}

/// One scenario, all rounds.
pub struct Row {
    name: String,
    target: Option<(f64, &'static str)>,
    samples: Vec<Sample>,
    requests: usize,
    failures: usize,
    first_failure: Option<String>,
}

/// A figure that is no scenario.
pub struct Fact {
    pub name: &'static str,
    pub value: String,
    pub target: &'static str,
    pub met: Option<bool>,
}

#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
    facts: Vec<Fact>,
}

impl Report {
    pub fn fact(&mut self, name: &'static str, value: String) {
        self.facts.push(Fact {
            name,
            value,
            target: "",
            met: None,
        });
    }
    pub fn aim(&mut self, name: &'static str, value: String, target: &'static str, met: bool) {
        self.facts.push(Fact {
            name,
            value,
            target,
            met: Some(met),
        });
    }
    /// Asks one scenario for a while.
    pub fn run(
        &mut self,
        scenario: &Scenario<'_>,
        process: &Process,
        backends: Option<&Backends>,
        time: Duration,
    ) {
        let base = backends.filter(|_| !scenario.bare);
        let alone = match scenario.clients {
            1 => None,
            _ => Some(load(
                process.address,
                1,
                Until::Time(time / 6),
                scenario.expect,
                &scenario.make,
            )),
        };
        let (cpu, database) = (process.cpu(), base.map(Backends::cpu));
        let load = load(
            process.address,
            scenario.clients,
            Until::Time(time),
            scenario.expect,
            &scenario.make,
        );
        let each = |time: Duration| time.as_secs_f64() * 1e6 / load.requests.max(1) as f64;
        let cpu = each(process.cpu().saturating_sub(cpu));
        let database = base
            .map(Backends::cpu)
            .zip(database)
            .map_or(0.0, |(now, before)| each(now.saturating_sub(before)));
        let p50 = load.quantile(0.5);
        let alone = alone.map_or(p50, |alone| alone.quantile(0.5));
        let sample = Sample {
            cpu,
            database,
            rate: load.rate(),
            p50,
            p99: load.quantile(0.99),
            alone,
        };
        let row = match self.rows.iter_mut().find(|row| row.name == scenario.name) {
            Some(row) => row,
            None => {
                let name = scenario.name.clone();
                self.rows.push(Row {
                    name,
                    target: scenario.target,
                    samples: vec![],
                    requests: 0,
                    failures: 0,
                    first_failure: None,
                });
                let Some(row) = self.rows.last_mut() else {
                    return;
                };
                row
            }
        };
        row.samples.push(sample);
        row.requests += load.requests;
        row.failures += load.failures;
        eprintln!(
            "{:<50} {cpu:>9.1} µs {database:>8.1} µs {:>9.0}/s",
            scenario.name,
            load.rate()
        );
        row.first_failure = row.first_failure.take().or(load.first_failure);
    }
    pub fn cpu(&self, name: &str) -> f64 {
        self.rows
            .iter()
            .find(|row| row.name == name)
            .map_or(f64::NAN, |row| row.cpu())
    }
    fn judged(&self, row: &Row) -> Option<bool> {
        row.target
            .map(|(times, of)| row.cpu() <= times * self.cpu(of))
    }
    /// Compares two rows.
    pub fn compare(
        &mut self,
        name: &'static str,
        of: &str,
        with: &str,
        times: f64,
        target: &'static str,
    ) {
        let ratio = self.cpu(of) / self.cpu(with);
        self.aim(
            name,
            format!(
                "{ratio:.2} × ({:.0} µs : {:.0} µs)",
                self.cpu(of),
                self.cpu(with)
            ),
            target,
            ratio <= times,
        );
    }
    /// Is any target missed, or any answer wrong?
    pub fn missed(&self) -> bool {
        let rows = self
            .rows
            .iter()
            .any(|row| row.failures > 0 || self.judged(row) == Some(false));
        rows || self.facts.iter().any(|fact| fact.met == Some(false))
    }
    pub fn markdown(&self, postgresql: bool, targets: bool) -> String {
        let (bare, health) = (self.cpu(BARE), self.cpu(HEALTH));
        let word = |met: Option<bool>| {
            if targets {
                met.map_or("", |met| if met { "met" } else { "**missed**" })
            } else {
                ""
            }
        };
        let extra = |text: &str| {
            if postgresql {
                text.to_owned()
            } else {
                String::new()
            }
        };
        let mut text = format!(
            "| asked | CPU µs |{} × healthz | × bare | target | | requests/s | p50 ms | p99 ms | \
                p50 ms alone |\n",
            extra(" + database µs |")
        );
        text.push_str(&format!(
            "|---|---:|{}---:|---:|---|---|---:|---:|---:|---:|\n",
            extra("---:|")
        ));
        for row in &self.rows {
            let target = row
                .target
                .filter(|_| targets)
                .map_or(String::new(), |(times, of)| {
                    let of = if of == HEALTH {
                        "healthz"
                    } else if of == BARE {
                        "bare"
                    } else {
                        "first"
                    };
                    format!("≤ {times} × {of}")
                });
            let database = extra(&format!(" {:.0} |", row.median(|s| s.database)));
            let name = if row.failures == 0 {
                row.name.clone()
            } else {
                format!(
                    "{} (**{} of {} failed**)",
                    row.name, row.failures, row.requests
                )
            };
            text.push_str(&format!(
                "| {name} | {:.1} |{database} {:.2} | {:.2} | {target} | {} | {:.0} | {:.2} | \
                    {:.2} | {:.2} |\n",
                row.cpu(),
                row.cpu() / health,
                row.cpu() / bare,
                word(self.judged(row)),
                row.median(|s| s.rate),
                row.median(|s| s.p50) / 1000.0,
                row.median(|s| s.p99) / 1000.0,
                row.median(|s| s.alone) / 1000.0,
            ));
        }
        text.push_str("\n| | measured | target | |\n|---|---|---|---|\n");
        for Fact {
            name,
            value,
            target,
            met,
        } in &self.facts
        {
            text.push_str(&format!(
                "| {name} | {value} | {} | {} |\n",
                if targets { target } else { "" },
                word(*met)
            ));
        }
        for row in self.rows.iter() {
            if let Some(fault) = &row.first_failure {
                text.push_str(&format!("\nfirst failure of {}: `{fault}`\n", row.name));
            }
        }
        text
    }
}

impl Row {
    fn median(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        let mut all: Vec<f64> = self.samples.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
    }
    fn cpu(&self) -> f64 {
        self.median(|sample| sample.cpu)
    }
}
