//! The organization under load: founded by the executable, filled through the API.
use crate::Outcome;
use crate::process::{Process, isms};
use crate::wire::{Client, Load, Until, With, load, request};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Mutex;

const CLIENTS: usize = 64;
const TYPES: [&str; 7] = [
    "information",
    "software",
    "hardware",
    "service",
    "people",
    "site",
    "process",
];
const CLASSES: [&str; 4] = ["public", "internal", "confidential", "restricted"];
const WORDS: [&str; 16] = [
    "Payroll", "Orders", "Backup", "Mail", "Archive", "Network", "Gateway", "Ledger", "Source",
    "Build", "Customer", "Invoice", "Badge", "Sensor", "Contract", "Research",
];

/// What the load needs to know of the filled organization; kept beside its data.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Seeded {
    pub organization: String,
    pub key: String,
    pub scope: String,
    pub assets: Vec<String>,
    pub risks: Vec<String>,
    /// The last position.
    pub position: i64,
    /// How fast it was filled.
    pub writes_a_second: f64,
}

/// An even spread of numbers.
pub fn scatter(n: usize) -> usize {
    let mut x = (n as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 1) as usize
}

/// One of many, by chance.
pub fn some(of: &[String], n: usize) -> &str {
    of.get(scatter(n) % of.len().max(1))
        .map_or("", String::as_str)
}

fn word<'a>(of: &[&'a str], n: usize) -> &'a str {
    of.get(n % of.len().max(1)).copied().unwrap_or_default()
}

fn name(n: usize) -> String {
    format!(
        "{} {} {n:06}",
        word(&WORDS, scatter(n)),
        word(
            &["server", "database", "process", "team", "archive"],
            scatter(n) / 16
        )
    )
}

/// A body of an asset; every tenth is one that the nine after it depend on.
pub fn asset(n: usize, hub: Option<&str>) -> String {
    json!({
        "name": name(n), "description": "What the ISMS protects, described in a sentence or two \
            as people do.", "asset_type": word(&TYPES, scatter(n)),
        "classification": word(&CLASSES, scatter(n) / 7), "confidentiality": 1 + scatter(n) % 5,
            "integrity": 1 + n % 5, "availability": 1 + n / 5 % 5,
        "location": "Frankfurt", "personal_data": n.is_multiple_of(3), "lifecycle": "in_use",
            "tags": ["load"], "depends_on_ids": hub.into_iter().collect::<Vec<_>>(),
    })
    .to_string()
}

fn risk(n: usize, assets: &[String]) -> String {
    let (one, other) = (some(assets, n), some(assets, n + 7_000_001));
    let assets: Vec<&str> = if one == other {
        vec![one]
    } else {
        vec![one, other]
    };
    json!({
        "name": format!("{} is lost", name(n)), "description": "Somebody gets at what is not \
            theirs.", "consequence": "Customers leave; a fine.",
        "category": word(&["access", "supply", "people", "site"], n),
            "affected_properties": ["confidentiality"], "asset_ids": assets,
    })
    .to_string()
}

/// An organization with a key; the service need not run.
pub fn found(data: &Path, database: Option<&str>) -> Outcome<Seeded> {
    found_as(data, database, ("Load", EMAIL))
}
/// The first user of the organization under load.
pub const EMAIL: &str = "load@example.org";
/// One of this name, with a user of this address.
pub fn found_as(
    data: &Path,
    database: Option<&str>,
    (name, email): (&str, &str),
) -> Outcome<Seeded> {
    let mut command = isms(
        &[
            "admin",
            "create",
            "--organization",
            name,
            "--email",
            email,
            "--api-key",
        ],
        data,
        database,
    );
    let made = command
        .env("ISMS_ADMIN_PASSWORD", "nine blue tractors sing")
        .output()?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into_owned().into());
    }
    let said: Value = serde_json::from_slice(&made.stdout)?;
    let text = |name: &str| {
        said.get(name)
            .and_then(Value::as_str)
            .map(str::to_owned)
            .ok_or("no such member")
    };
    Ok(Seeded {
        organization: text("organization_id")?,
        key: text("api_key")?,
        ..Seeded::default()
    })
}

impl Seeded {
    pub fn with<'a>(&'a self, body: Option<&'a str>) -> With<'a> {
        With {
            key: Some(&self.key),
            body,
            headers: &[],
        }
    }
    pub fn get(&self, path: &str) -> Vec<u8> {
        request("GET", path, self.with(None))
    }
    fn changing(&self, method: &str, path: &str, body: &str) -> Vec<u8> {
        request(
            method,
            path,
            With {
                headers: &[("If-Match", "*")],
                ..self.with(Some(body))
            },
        )
    }
    /// A PATCH that changes something, whatever was before.
    pub fn patch(&self, n: usize) -> Vec<u8> {
        let (path, ids) = if n.is_multiple_of(2) {
            ("assets", &self.assets)
        } else {
            ("risks", &self.risks)
        };
        let ids = if ids.is_empty() { &self.assets } else { ids };
        let body = match n % 10 {
            0 | 5 => {
                json!({"name": name(n + 1_000_000), "description": format!("Renamed in step {n}.")})
            }
            _ => {
                json!({"description": format!("Looked at in step {n}; what it says stays about as \
                    long as it was.")})
            }
        };
        self.changing(
            "PATCH",
            &format!(
                "/v1/{path}/{}",
                ids.get(n / 2 % ids.len().max(1)).map_or("", String::as_str)
            ),
            &body.to_string(),
        )
    }
    /// The last position, as the service says it.
    pub fn position(&self, process: &Process) -> Outcome<i64> {
        let mut client = Client::connect(process.address)?;
        let reply = client.good(&self.get("/v1/scopes?limit=1"))?;
        Ok(reply
            .header("Ledger-Position")
            .ok_or("no position")?
            .parse()?)
    }
    /// POSTs `count` bodies; gives their ids in the order of their numbers.
    fn post(
        &self,
        process: &Process,
        path: &str,
        numbers: &[usize],
        body: &(dyn Fn(usize) -> String + Sync),
    ) -> Outcome<Vec<String>> {
        let made: Mutex<Vec<(usize, String)>> = Mutex::new(Vec::new());
        let rest = Mutex::new(numbers.iter().copied());
        let (path, faults) = (format!("/v1/{path}"), Mutex::new(Vec::<String>::new()));
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS.min(numbers.len()) {
                scope.spawn(|| {
                    let work = || -> Outcome<()> {
                        let mut client = Client::connect(process.address)?;
                        loop {
                            let Some(n) = rest.lock().ok().and_then(|mut rest| rest.next()) else {
                                return Ok(());
                            };
                            let text = body(n);
                            let reply =
                                client.good(&request("POST", &path, self.with(Some(&text))))?;
                            let id = reply
                                .header("Location")
                                .and_then(|place| place.rsplit('/').next())
                                .unwrap_or_default()
                                .to_owned();
                            if let Ok(mut made) = made.lock() {
                                made.push((n, id));
                            }
                        }
                    };
                    if let (Err(fault), Ok(mut faults)) = (work(), faults.lock()) {
                        faults.push(fault.to_string());
                    }
                });
            }
        });
        if let Some(fault) = faults.into_inner().unwrap_or_default().into_iter().next() {
            return Err(fault.into());
        }
        let mut made = made.into_inner().unwrap_or_default();
        made.sort();
        Ok(made.into_iter().map(|(_, id)| id).collect())
    }
    /// Assets from the `from`-th to the `to`-th.
    pub fn add_assets(&mut self, process: &Process, from: usize, to: usize) -> Outcome<()> {
        let (hubs, others): (Vec<usize>, Vec<usize>) =
            (from..to).partition(|n| n.is_multiple_of(10));
        let made = self.post(process, "assets", &hubs, &|n| asset(n, None))?;
        let hub_of = |n: usize| {
            hubs.binary_search(&(n - n % 10))
                .ok()
                .and_then(|at| made.get(at))
                .map(String::as_str)
        };
        self.assets
            .extend(self.post(process, "assets", &others, &|n| asset(n, hub_of(n)))?);
        self.assets.extend(made);
        Ok(())
    }
    /// Everything, up to so many ledger entries.
    pub fn fill(
        &mut self,
        process: &Process,
        assets: usize,
        risks: usize,
        entries: usize,
    ) -> Outcome<()> {
        let (began, first) = (std::time::Instant::now(), self.position(process)?);
        let scope = |_| {
            json!({"name": "The company", "statement": "All that the company does, in all of its \
                places.", "frameworks": ["iso-27001-2022"]})
            .to_string()
        };
        self.scope = self
            .post(process, "scopes", &[0], &scope)?
            .pop()
            .unwrap_or_default();
        self.add_assets(process, 0, assets)?;
        let of_assets = std::mem::take(&mut self.assets);
        self.risks = self.post(process, "risks", &(0..risks).collect::<Vec<_>>(), &|n| {
            risk(n, &of_assets)
        })?;
        self.assets = of_assets;
        let themes = [("A.5", 37), ("A.6", 8), ("A.7", 14), ("A.8", 34)];
        let requirements: Vec<String> = themes
            .iter()
            .flat_map(|(theme, n)| (1..=*n).map(move |n| format!("iso-27001-2022:{theme}.{n}")))
            .collect();
        let control = |n: usize| {
            let state = word(&["implemented", "in_progress", "planned", "implemented"], n);
            json!({"name": format!("Control {n}"), "implementation": state,
                "frequency": "quarterly", "requirements": [some(&requirements, n),
                    requirements.get(n % 93)],
                "scope_ids": [self.scope]})
            .to_string()
        };
        let controls = self.post(process, "controls", &(0..120).collect::<Vec<_>>(), &control)?;
        let report = |n: usize| {
            json!({"name": format!("Report {n}"), "source": "load",
                "external_id": format!("report-{n}"), "payload": {"failed": 0, "jobs": n},
                    "control_ids": [some(&controls, n)]})
            .to_string()
        };
        self.post(process, "evidence", &(0..300).collect::<Vec<_>>(), &report)?;
        let left = |this: &Self| -> Outcome<usize> {
            Ok(usize::try_from(entries as i64 - 1 - this.position(process)?).unwrap_or_default())
        };
        let assessed = left(self)?.min(risks);
        let assess = |n: usize| {
            let stage = if n < risks / 2 { "inherent" } else { "current" };
            let body = json!({"stage": stage, "likelihood": 1 + scatter(n) % 5,
                "impact": 1 + scatter(n) / 5 % 5, "rationale": "As seen last year."});
            self.changing(
                "POST",
                &format!(
                    "/v1/risks/{}/assessments",
                    self.risks.get(n % risks.max(1)).map_or("", String::as_str)
                ),
                &body.to_string(),
            )
        };
        good(load(
            process.address,
            CLIENTS,
            Until::Count(assessed),
            0,
            &assess,
        ))?;
        good(load(
            process.address,
            CLIENTS,
            Until::Count(left(self)?),
            200,
            &|n| self.patch(n),
        ))?;
        self.position = self.position(process)?;
        self.writes_a_second = (self.position - first) as f64 / began.elapsed().as_secs_f64();
        Ok(())
    }
}

fn good(load: Load) -> Outcome<()> {
    load.first_failure.map_or(Ok(()), |fault| {
        Err(format!("{} of {} failed: {fault}", load.failures, load.requests).into())
    })
}
