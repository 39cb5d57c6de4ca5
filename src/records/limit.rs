//! What a limit of a key means for a register: which of its records the key reads, and which it
//! writes. Each kind says it in `limited_by`; a kind that does not name a limit is neither read nor
//! written by a key that has it.
use crate::access::{Caller, Limits};
use crate::core::{Code, Id, Problem, catalogue};
use crate::db::{Backend, schema::versions};
use chrono::NaiveDate;
use diesel::{BoxableExpression, sql_types::Bool};
use serde_json::{Map, Value};

/// A predicate on the spine.
pub type Condition = Box<dyn BoxableExpression<versions::table, Backend, SqlType = Bool>>;

/// One limit of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// `scope_ids`.
    Scopes,
    /// `framework_slugs`.
    Frameworks,
    /// `control_ids`.
    Controls,
    /// `sources`.
    Sources,
    /// `period_start_on` and `period_end_on`.
    Period,
}

/// How a record is known to lie within a limit.
#[derive(Debug, Clone, Copy)]
pub enum By {
    /// The limit names it.
    Itself,
    /// By its `scope_ids`; a record without any belongs to the whole organization and is read.
    Scopes,
    /// By its `control_ids`; a record without any lies outside.
    Controls,
    /// By the requirements that it cites; a record that cites none is read.
    Citations,
    /// By a fact of its own: in words, and as a condition.
    Fact(&'static str, fn(&Limits) -> Condition),
    /// All of them are read and none is written, because of this.
    ReadOnly(&'static str),
    /// All of them are read; what is written is for a rule of the register to say, in these words.
    Rule(&'static str),
}

/// What one limit means for one register.
pub type Meaning = (Limit, By);

/// The meaning that `scope_ids` has for nearly every register.
pub const SCOPED: Meaning = (Limit::Scopes, By::Scopes);
/// The meaning that a period has for nearly every register.
pub const PERIOD: Meaning = (
    Limit::Period,
    By::ReadOnly("a period limits evidence alone"),
);

/// For a register that a key reads with any limit, and with the others than scopes does not write,
/// because of this.
pub const fn read_only(scopes: By, why: &'static str) -> [Meaning; 5] {
    [
        (Limit::Scopes, scopes),
        (Limit::Frameworks, By::ReadOnly(why)),
        (Limit::Controls, By::ReadOnly(why)),
        (Limit::Sources, By::ReadOnly(why)),
        (Limit::Period, By::ReadOnly(why)),
    ]
}

impl Limit {
    /// Every limit that there is.
    pub const ALL: [Limit; 5] = [
        Limit::Scopes,
        Limit::Frameworks,
        Limit::Controls,
        Limit::Sources,
        Limit::Period,
    ];
    /// What it is called in sentences.
    pub fn word(self) -> &'static str {
        match self {
            Limit::Scopes => "scopes",
            Limit::Frameworks => "frameworks",
            Limit::Controls => "controls",
            Limit::Sources => "sources",
            Limit::Period => "a period",
        }
    }
    /// Do these limits have it?
    pub fn set(self, limits: &Limits) -> bool {
        match self {
            Limit::Scopes => !limits.scope_ids.is_empty(),
            Limit::Frameworks => !limits.framework_slugs.is_empty(),
            Limit::Controls => !limits.control_ids.is_empty(),
            Limit::Sources => !limits.sources.is_empty(),
            Limit::Period => limits.period_start_on.or(limits.period_end_on).is_some(),
        }
    }
    /// The records that it names.
    pub(super) fn ids(self, limits: &Limits) -> &[Id] {
        match self {
            Limit::Scopes => &limits.scope_ids,
            Limit::Controls => &limits.control_ids,
            _ => &[],
        }
    }
    pub(super) fn refused(self) -> Problem {
        let detail = match self {
            Limit::Period => "Your key is limited to another period.".to_owned(),
            other => format!("Your key is limited to other {}.", other.word()),
        };
        Problem::new(Code::OutsideLimits, detail)
    }
}

/// The facts of a record that limits compare, beside its id and its links.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The frameworks that it is about.
    pub frameworks: Vec<String>,
    /// The program that it comes from.
    pub source: Option<String>,
    /// The day on which it was collected.
    pub collected_on: Option<NaiveDate>,
}

/// The frameworks of these requirements.
pub fn frameworks_of<'r>(requirements: impl IntoIterator<Item = &'r String>) -> Vec<String> {
    requirements
        .into_iter()
        .filter_map(|id| catalogue::parts(id))
        .map(|(slug, _)| slug.to_owned())
        .collect()
}

/// Members that cite requirements or name frameworks.
const CITING: [&str; 2] = ["requirements", "frameworks"];

/// Takes what an image says of frameworks that the caller does not see out of it.
pub fn cut(caller: &Caller, image: &mut Map<String, Value>) {
    let slugs = &caller.limits.framework_slugs;
    if slugs.is_empty() {
        return;
    }
    let seen = |cited: &Value| {
        let text = cited.as_str().unwrap_or_default();
        let slug = text.split_once(':').map_or(text, |(slug, _)| slug);
        slugs.iter().any(|known| known == slug)
    };
    for member in CITING {
        if let Some(Value::Array(cited)) = image.get_mut(member) {
            cited.retain(seen);
        }
    }
}

/// Does [`cut`] change anything for this caller?
pub fn cuts(caller: &Caller) -> bool {
    !caller.limits.framework_slugs.is_empty()
}
