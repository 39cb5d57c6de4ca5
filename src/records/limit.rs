//! What a limit of a key means for a register: which of its records the key reads, and which it
//! writes. Each kind says it in `limited_by`; a kind that does not name a limit is neither read nor
//! written by a key that has it.
use super::kind::{self, Kind};
use super::{Condition, Record, Resource};
use crate::access::{Caller, Limits};
use crate::core::{Code, Id, Problem, Result, catalogue};
use chrono::NaiveDate;
use serde_json::{Map, Value};

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
    fn refused(self) -> Problem {
        let detail = match self {
            Limit::Period => "Your key is limited to another period.".to_owned(),
            other => format!("Your key is limited to other {}.", other.word()),
        };
        Problem::new(Code::OutsideLimits, detail)
    }
}

impl Kind {
    /// What a limit means here; `None` where records are neither read nor written.
    pub fn meaning(&self, limit: Limit) -> Option<By> {
        self.limited_by
            .iter()
            .find(|(of, _)| *of == limit)
            .map(|(_, by)| *by)
    }
    /// Does a key with these limits read any of its records?
    pub fn read_with(&self, limits: &Limits) -> bool {
        Limit::ALL
            .into_iter()
            .filter(|limit| limit.set(limits))
            .all(|limit| self.meaning(limit).is_some())
    }
    /// The first of these limits with which none of its records is written.
    fn locked_with(&self, limits: &Limits) -> Option<Limit> {
        let locks = |limit: &Limit| matches!(self.meaning(*limit), None | Some(By::ReadOnly(_)));
        Limit::ALL
            .into_iter()
            .filter(|limit| limit.set(limits))
            .find(locks)
    }
    /// 403 when a key with these limits writes none of its records, whichever it is.
    pub fn open_to(&self, limits: &Limits) -> Result<()> {
        match self.locked_with(limits) {
            None => Ok(()),
            Some(limit) => {
                let (word, kind) = (limit.word(), self.path.replace('-', " "));
                Err(Problem::new(
                    Code::OutsideLimits,
                    format!("Your key is limited to {word}, so it cannot change {kind}."),
                ))
            }
        }
    }
}

/// Does the caller read any record of the kind of that name, as far as its limits go?
pub fn reads(caller: &Caller, name: &str) -> bool {
    kind::named(name).is_none_or(|kind| kind.read_with(&caller.limits))
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

/// 403 unless a record lies wholly within the caller's limits: everything that a limit compares is
/// in it, and there is something to compare.
pub fn within<R: Resource>(caller: &Caller, record: &Record<R>) -> Result<()> {
    let limits = &caller.limits;
    R::KIND.open_to(limits)?;
    for (limit, by) in R::KIND
        .limited_by
        .iter()
        .filter(|(limit, _)| limit.set(limits))
    {
        if !lies(*limit, *by, limits, record) {
            return Err(limit.refused());
        }
    }
    Ok(())
}

fn lies<R: Resource>(limit: Limit, by: By, limits: &Limits, record: &Record<R>) -> bool {
    let all = |ids: &[Id]| !ids.is_empty() && ids.iter().all(|id| limit.ids(limits).contains(id));
    match (by, limit) {
        (By::Itself, _) => all(&[record.spine.id]),
        (By::Scopes, _) => all(record.links.many("scope_ids")),
        (By::Controls, _) => all(record.links.many("control_ids")),
        (By::ReadOnly(_), _) => false,
        (By::Rule(_), _) => true,
        (_, Limit::Frameworks) => {
            let of = R::facts(record).frameworks;
            !of.is_empty() && of.iter().all(|slug| limits.framework_slugs.contains(slug))
        }
        (_, Limit::Sources) => R::facts(record)
            .source
            .is_some_and(|source| limits.sources.contains(&source)),
        (_, Limit::Period) => R::facts(record).collected_on.is_some_and(|day| {
            limits.period_start_on.is_none_or(|start| day >= start)
                && limits.period_end_on.is_none_or(|end| day <= end)
        }),
        (By::Citations | By::Fact(..), _) => false,
    }
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
