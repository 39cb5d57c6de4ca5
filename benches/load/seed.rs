//! The organization under load: founded by the executable, filled through the API.
use crate::Outcome;
use crate::bodies::{self, BOUNDARY};
use crate::fill::Pace;
use crate::place::Place;
use crate::process::isms;
use crate::wire::{With, request};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What the load needs to know of the filled organization; kept beside its data.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Seeded {
    pub organization: String,
    pub key: String,
    pub scope: String,
    /// Those that others depend on are the last of them.
    pub assets: Vec<String>,
    pub risks: Vec<String>,
    pub controls: Vec<String>,
    /// The control that many pieces of evidence lie on, and how many.
    pub crowded: String,
    pub pieces: usize,
    /// The last position.
    pub position: i64,
    /// How fast it was filled.
    pub paces: Vec<Pace>,
    /// MiB of the service that filled it: at its start, at its end, at most.
    pub memory: (f64, f64, f64),
}

/// How much there is.
#[derive(Debug, Clone)]
pub struct Size {
    pub entries: usize,
    pub assets: usize,
    pub risks: usize,
    pub controls: usize,
    /// Spread over the controls.
    pub evidence: usize,
    /// Of one control.
    pub pieces: usize,
}

impl Size {
    /// A million entries have 100,000 assets and 20,000 risks.
    pub fn of(entries: usize, assets: Option<usize>, risks: Option<usize>) -> Self {
        Size {
            entries,
            assets: assets.unwrap_or(entries / 10).max(20),
            risks: risks.unwrap_or(entries / 50).max(10),
            controls: 200,
            evidence: (entries / 50).min(2_000),
            pieces: (entries / 25).min(4_000),
        }
    }
    /// That of the comparison with a peer.
    pub fn peer() -> Self {
        Size {
            entries: 0,
            assets: 2_000,
            risks: 2_000,
            controls: 200,
            evidence: 2_000,
            pieces: 0,
        }
    }
    pub fn name(&self) -> String {
        let Size {
            entries,
            assets,
            risks,
            ..
        } = self;
        format!("{entries}-{assets}-{risks}")
    }
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
    at(of, scatter(n))
}

/// One of many, in turn.
pub fn at(of: &[String], n: usize) -> &str {
    of.get(n % of.len().max(1)).map_or("", String::as_str)
}

pub fn word<'a>(of: &[&'a str], n: usize) -> &'a str {
    of.get(n % of.len().max(1)).copied().unwrap_or_default()
}

/// The first user of the organization under load.
pub const EMAIL: &str = "load@example.org";

/// An organization with a key; the service need not run.
pub fn found(place: &Place) -> Outcome<Seeded> {
    found_as(place, "Load", EMAIL)
}

/// One of this name, with a user of this address.
pub fn found_as(place: &Place, name: &str, email: &str) -> Outcome<Seeded> {
    let words = [
        "admin",
        "create",
        "--organization",
        name,
        "--email",
        email,
        "--api-key",
    ];
    let mut command = isms(&words, &place.data(), place.url());
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
            ..With::default()
        }
    }
    pub fn get(&self, path: &str) -> Vec<u8> {
        request("GET", path, self.with(None))
    }
    pub fn post(&self, path: &str, body: &Value) -> Vec<u8> {
        request("POST", path, self.with(Some(&body.to_string())))
    }
    /// Changes a record, whatever its version.
    pub fn change(&self, method: &str, path: &str, body: &Value) -> Vec<u8> {
        let text = body.to_string();
        let with = With {
            headers: &[("If-Match", "*")],
            ..self.with(Some(&text))
        };
        request(method, path, with)
    }
    /// A PATCH of an asset or a risk.
    pub fn patch(&self, n: usize) -> Vec<u8> {
        let (path, ids) = if n.is_multiple_of(2) {
            ("assets", &self.assets)
        } else {
            ("risks", &self.risks)
        };
        let path = format!("/v1/{path}/{}", at(ids, n / 2));
        self.change("PATCH", &path, &bodies::patch(n))
    }
    /// A current score of a risk, never above its inherent one.
    pub fn assess(&self, n: usize) -> Vec<u8> {
        let risk = scatter(n) % self.risks.len().max(1);
        let path = format!("/v1/risks/{}/assessments", at(&self.risks, risk));
        self.change("POST", &path, &bodies::assessment(risk, Some(n)))
    }
    /// A control that is in another state than before.
    pub fn implement(&self, n: usize) -> Vec<u8> {
        let body = json!({"implementation": bodies::implementation(n),
            "description": format!("Looked at in step {n}.")});
        let path = format!("/v1/controls/{}", some(&self.controls, n));
        self.change("PATCH", &path, &body)
    }
    /// A small file as evidence of a control.
    pub fn push(&self, n: usize, control: &str) -> Vec<u8> {
        let (body, media) = (
            bodies::upload(n, control),
            format!("multipart/form-data; boundary={BOUNDARY}"),
        );
        let with = With {
            media: Some(&media),
            ..self.with(Some(&body))
        };
        request("POST", "/v1/evidence", with)
    }
    /// A batch of new assets.
    pub fn create_batch(&self, n: usize, items: usize) -> Vec<u8> {
        let numbers = n * items..(n + 1) * items;
        let items: Vec<Value> = numbers
            .map(|n| json!({"create": bodies::asset(n, None)}))
            .collect();
        self.post("/v1/assets/batch", &json!({"items": items}))
    }
    /// A batch of changes of records in turn.
    pub fn patch_batch(
        &self,
        path: &str,
        ids: &[String],
        numbers: std::ops::Range<usize>,
    ) -> Vec<u8> {
        let item = |n| json!({"id": at(ids, n), "if_match": "*", "patch": bodies::patch(n)});
        let items: Vec<Value> = numbers.map(item).collect();
        self.post(&format!("/v1/{path}/batch"), &json!({"items": items}))
    }
}
