//! The words of a register: its names, what it refers to, and its states.
use super::limit::{By, Condition, Limit, Meaning};
use crate::access::policy::{PERSON, SCOPE};
use crate::access::{Caller, Limits};
use crate::core::{Code, Problem, Result};
use serde_json::{Map, Value};

/// The parts of the cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Part {
    Plan,
    Do,
    Check,
    Act,
}

/// The words of a register.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Its part of the cycle.
    pub part: Part,
    /// `risk_treatment`: in the ledger, the policy and links.
    pub name: &'static str,
    /// `risk-treatments`: in URLs.
    pub path: &'static str,
    /// `RTR`: before the number in codes; part of the contract.
    pub code: &'static str,
    /// What it is, and the clause that asks for it.
    pub about: &'static str,
    /// The status of a new record.
    pub initial: &'static str,
    /// The state machine; empty where records have no states.
    pub transitions: &'static [Transition],
    /// The members that refer to other records.
    pub relations: &'static [Relation],
    /// Does it refer to requirements of frameworks, in a member `requirements`?
    pub cites: bool,
    /// The members that can be erased.
    pub personal: &'static [&'static str],
    /// The personal members that only administrators see.
    pub confidential: &'static [&'static str],
    /// The members that `q` looks at, beside code and name.
    pub searched: &'static [&'static str],
    /// What each limit of a key means for it; with a limit that is not named here it is neither
    /// read nor written.
    pub limited_by: &'static [Meaning],
    /// What else a caller's view is cut by, whatever its limits.
    pub also: Option<fn(&Caller) -> Option<Condition>>,
    /// The end states: a record in one of them is finished, so it is neither open nor overdue.
    pub done: &'static [&'static str],
    /// Does the overview count it?
    pub counted: bool,
    /// Is a record of it looked at again at intervals? Then it has a day of its next review from
    /// the start.
    pub reviewed: bool,
    /// Is it an account? Actors are called what their account is called.
    pub account: bool,
    /// Is something of it kept in memory between requests, that a write has to put out of date?
    pub remembered: bool,
    /// Does a machine that pushes name it? Then that machine learns what it is called.
    pub addressed: bool,
    /// The shape of its images; grows by one when a member is renamed, removed or comes to be
    /// required.
    pub schema: i16,
    /// Brings the image of an older schema to that of the present one.
    pub upcast: fn(from: i16, image: &mut Map<String, Value>),
    /// What takes the place of required personal members once they were erased.
    pub erased: fn(code: &str, image: &mut Map<String, Value>),
}

/// For kinds whose images have had one shape so far.
fn first_schema(_: i16, _: &mut Map<String, Value>) {}

/// `Erased PER-3`: every record has a name.
fn erased_name(code: &str, image: &mut Map<String, Value>) {
    image.insert("name".into(), Value::String(format!("Erased {code}")));
}

impl Kind {
    /// A register without states or references; what differs is said over it.
    pub const PLAIN: Kind = Kind {
        part: Part::Do,
        name: "",
        path: "",
        code: "",
        about: "",
        initial: "active",
        transitions: &[],
        relations: &[],
        cites: false,
        personal: &[],
        confidential: &[],
        searched: &["description"],
        limited_by: &[],
        also: None,
        done: &[],
        counted: true,
        reviewed: false,
        account: false,
        remembered: false,
        addressed: false,
        schema: 1,
        upcast: first_schema,
        erased: erased_name,
    };
    /// `an asset`: one of it, in a sentence.
    pub fn one(&self) -> String {
        let name = self.name.replace('_', " ");
        let article = if name.starts_with(['a', 'e', 'i', 'o']) {
            "an"
        } else {
            "a"
        };
        format!("{article} {name}")
    }
    /// `RSK-12`: the code of a record of it.
    pub fn numbered(&self, number: i64) -> String {
        format!("{}-{number}", self.code)
    }
    /// Every relation that a record of it has.
    pub fn all_relations(&self) -> impl Iterator<Item = &'static Relation> {
        Relation::COMMON.iter().chain(self.relations)
    }
    /// The relation of a member.
    pub fn relation(&self, member: &str) -> Option<&'static Relation> {
        self.all_relations()
            .find(|relation| relation.member == member)
    }
    /// Every status that a record of it can have.
    pub fn statuses(&self) -> Vec<&'static str> {
        let mut all = vec![self.initial];
        for status in self
            .transitions
            .iter()
            .flat_map(|t| t.from.iter().copied().chain([t.to]))
        {
            if !all.contains(&status) {
                all.push(status);
            }
        }
        all
    }
    /// Is a record in this state finished?
    pub fn finished(&self, status: &str) -> bool {
        self.done.contains(&status)
    }
    /// Does this step decide on the version that was read?
    pub fn decides(&self, verb: &str) -> bool {
        let mut steps = self.transitions.iter();
        steps.any(|step| step.verb == verb && step.decision)
    }
    /// What can be done with a record in this state.
    pub fn allowed(&self, status: &str) -> impl Iterator<Item = &'static str> {
        self.transitions
            .iter()
            .filter(move |t| t.from.contains(&status))
            .map(|t| t.verb)
    }
    /// Where `verb` leads from `status`; 409 with what is allowed instead.
    pub fn transition(&self, verb: &str, status: &str) -> Result<&'static Transition> {
        let found = self
            .transitions
            .iter()
            .find(|t| t.verb == verb && t.from.contains(&status));
        found.ok_or_else(|| {
            let detail = format!("`{verb}` is not possible while the status is `{status}`.");
            Problem::new(Code::IllegalTransition, detail).allowing(self.allowed(status))
        })
    }
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

/// One arrow of a state machine.
#[derive(Debug, Clone, Copy)]
pub struct Transition {
    /// `approve`: the last part of the path.
    pub verb: &'static str,
    /// Where it may start.
    pub from: &'static [&'static str],
    /// Where it leads.
    pub to: &'static str,
    /// Does it need a comment?
    pub comment: CommentRule,
    /// Does it decide on the version that was read, and on no other?
    pub decision: bool,
}

/// Does a transition need a comment?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommentRule {
    /// It may have one.
    Optional,
    /// It is not accepted without.
    Required,
}

/// A member that refers to records: `…_ids` to several, `…_id` to one.
#[derive(Debug, Clone, Copy)]
pub struct Relation {
    /// `depends_on_ids`.
    pub member: &'static str,
    /// The kind referred to; empty for any.
    pub to: &'static str,
    /// Must no chain of it come back to where it began?
    pub acyclic: bool,
    /// Must it be given?
    pub required: bool,
    /// The states in which a record does not keep its target from being archived.
    pub frees: &'static [&'static str],
}

impl Relation {
    /// What every record has: who answers for it, and the scopes it belongs to.
    pub const COMMON: &'static [Relation] = &[
        Relation::new("owner_id", PERSON),
        Relation::new("scope_ids", SCOPE),
    ];

    /// Refers to records of a kind.
    pub const fn new(member: &'static str, to: &'static str) -> Self {
        Relation {
            member,
            to,
            acyclic: false,
            required: false,
            frees: &[],
        }
    }
    /// Without circles.
    pub const fn acyclic(member: &'static str, to: &'static str) -> Self {
        Relation {
            member,
            to,
            acyclic: true,
            required: false,
            frees: &[],
        }
    }
    /// The same where it must be given.
    pub const fn required(self) -> Self {
        Relation {
            required: true,
            ..self
        }
    }
    /// The same where a record in one of these states does not keep its target from being archived.
    pub const fn freed_when(self, frees: &'static [&'static str]) -> Self {
        Relation { frees, ..self }
    }
    /// Does it refer to several?
    pub fn many(&self) -> bool {
        self.member.ends_with("_ids")
    }
    /// The filter by it: `depends_on_id`.
    pub fn filter(&self) -> &'static str {
        self.member.strip_suffix('s').unwrap_or(self.member)
    }
    /// What it is called without `_id`: `depends_on`.
    pub fn stem(&self) -> &'static str {
        self.filter().strip_suffix("_id").unwrap_or(self.member)
    }
}

/// The table of kinds: a constant of the program, handed to whatever has to know a kind by name.
#[derive(Debug, Clone, Copy)]
pub struct Kinds(&'static [Kind]);

impl Kinds {
    /// Of these.
    pub const fn of(all: &'static [Kind]) -> Self {
        Kinds(all)
    }
    /// Every kind.
    pub fn all(self) -> &'static [Kind] {
        self.0
    }
    /// The kind of that name.
    pub fn named(self, name: &str) -> Option<&'static Kind> {
        self.0.iter().find(|kind| kind.name == name)
    }
    /// `RSK-12`, of the name of a kind.
    pub fn code(self, name: &str, number: i64) -> String {
        self.or_plain(name).numbered(number)
    }
    /// The kind of that name; one without words where there is none.
    pub fn or_plain(self, name: &str) -> &'static Kind {
        self.named(name).unwrap_or(&Kind::PLAIN)
    }
    /// Those that a relation to this one leads to: to any where it is empty.
    pub fn led_to(self, to: &str) -> &'static [Kind] {
        match self.named(to) {
            Some(kind) => std::slice::from_ref(kind),
            None if to.is_empty() => self.0,
            None => &[],
        }
    }
    /// The names of those whose records are accounts.
    pub fn accounts(self) -> Vec<&'static str> {
        let accounts = self.0.iter().filter(|kind| kind.account);
        accounts.map(|kind| kind.name).collect()
    }
}
