//! How a question is asked, and how dear it may be.
use crate::seed::Seeded;
use crate::wire::{Expect, With, request};

/// The request of a number.
type Request<'a> = Box<dyn Fn(usize) -> Vec<u8> + Sync + 'a>;

/// A question asked again and again.
pub struct Scenario<'a> {
    pub name: String,
    pub make: Request<'a>,
    /// What is written before each question, so that no answer is one that was kept. Its own cost
    /// is measured alone and taken off.
    pub write: Option<Request<'a>>,
    pub expect: Expect,
    pub clients: usize,
    /// What one request does; figures are for each.
    pub items: usize,
    /// Asked once before it is measured: then the answer is one that was kept, and what the service
    /// knows of the organization is loaded.
    pub warm: bool,
    /// Of the bare server instead of the service.
    pub bare: bool,
    pub goal: Goal,
}

/// At most, or at least, what.
#[derive(Debug, Clone, Copy)]
pub enum Most {
    /// So many times the service's CPU of another scenario.
    Times(f64, &'static str),
    /// CPU microseconds of the service.
    Micros(f64),
    /// CPU milliseconds of the service and of the database's processes.
    Millis(f64),
    /// Items a second, at the least.
    Rate(f64),
}

/// On SQLite, and on PostgreSQL.
#[derive(Debug, Clone, Copy, Default)]
pub struct Goal {
    pub sqlite: Option<Most>,
    pub postgresql: Option<Most>,
}

impl Goal {
    pub fn of(sqlite: Most, postgresql: Most) -> Self {
        Goal {
            sqlite: Some(sqlite),
            postgresql: Some(postgresql),
        }
    }
    /// So many times the health check.
    pub fn times(sqlite: f64, postgresql: f64) -> Self {
        Self::of(Most::Times(sqlite, HEALTH), Most::Times(postgresql, HEALTH))
    }
    /// The same of SQLite alone.
    pub fn on_sqlite(times: f64) -> Self {
        Goal {
            sqlite: Some(Most::Times(times, HEALTH)),
            postgresql: None,
        }
    }
    /// So many times another row, on both.
    pub fn as_row(times: f64, row: &'static str) -> Self {
        Self::of(Most::Times(times, row), Most::Times(times, row))
    }
    pub fn millis(sqlite: f64, postgresql: f64) -> Self {
        Self::of(Most::Millis(sqlite), Most::Millis(postgresql))
    }
}

pub const BARE: &str = "bare actix answer";
pub const HEALTH: &str = "GET /healthz";

impl<'a> Scenario<'a> {
    pub fn new(name: &str, make: impl Fn(usize) -> Vec<u8> + Sync + 'a) -> Self {
        Scenario {
            name: name.into(),
            make: Box::new(make),
            write: None,
            expect: Expect::Status(200),
            clients: 64,
            items: 1,
            warm: false,
            bare: false,
            goal: Goal::default(),
        }
    }
    /// The same question in other words each time: no answer is one that was kept.
    pub fn worked_out(seeded: &'a Seeded, name: &str, path: &str) -> Self {
        let path = path.to_owned();
        Self::new(name, move |n| seeded.get(&worded(&path, n)))
    }
    /// The same question while nothing changes.
    pub fn kept(seeded: &'a Seeded, name: &str, path: &str) -> Self {
        let request = seeded.get(path);
        let name = format!("{name}, asked again (kept)");
        Scenario {
            warm: true,
            ..Self::new(&name, move |_| request.clone()).clients(16)
        }
    }
    /// The same question after a write each time, by one client.
    pub fn fresh(
        seeded: &'a Seeded,
        name: &str,
        path: &str,
        write: impl Fn(usize) -> Vec<u8> + Sync + 'a,
    ) -> Self {
        let request = seeded.get(path);
        Scenario {
            write: Some(Box::new(write)),
            warm: true,
            ..Self::new(&format!("{name}, after a write"), move |_| request.clone()).clients(1)
        }
    }
    pub fn goal(self, goal: Goal) -> Self {
        Scenario { goal, ..self }
    }
    pub fn clients(self, clients: usize) -> Self {
        Scenario { clients, ..self }
    }
    pub fn expect(self, status: u16) -> Self {
        let expect = Expect::Status(status);
        Scenario { expect, ..self }
    }
    /// A batch of so many items.
    pub fn batch(self, items: usize) -> Self {
        Scenario {
            expect: Expect::Batch,
            items,
            ..self
        }
    }
}

/// The bases: they stand first in every round.
pub fn bases<'a>() -> Vec<Scenario<'a>> {
    let health = |_| request("GET", "/healthz", With::default());
    vec![
        Scenario {
            bare: true,
            ..Scenario::new(BARE, health)
        },
        Scenario::new(HEALTH, health).goal(Goal::as_row(2.0, BARE)),
    ]
}

/// A question in other words: the number decides which letters of its query are percent-encoded,
/// and how many empty parameters it ends with. The answers that are kept are found by these words.
pub fn worded(path: &str, mut n: usize) -> String {
    let Some((path, query)) = path.split_once('?') else {
        return path.to_owned();
    };
    let mut text = format!("{path}?");
    for letter in query.chars() {
        let plain = !letter.is_ascii_alphanumeric() || n.is_multiple_of(2);
        if letter.is_ascii_alphanumeric() {
            n /= 2;
        }
        match plain {
            true => text.push(letter),
            false => text.push_str(&format!("%{:02X}", u32::from(letter))),
        }
    }
    text.push_str(&"&".repeat(n % 64));
    text
}
