//! What a list may be asked: filters, sort, cursor, a moment in the past, what to include. Every
//! unknown or invalid parameter is refused.
use super::query::{self, Question};
use super::{Kind, Kinds, Selector, Settings};
use crate::access::{Caller, policy::PERSON};
use crate::core::clock::Edge;
use crate::core::text::composed;
use crate::core::{Code, Id, Instant, Invalid, Problem, Result, clock};
use crate::ledger::AsOf;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::str::FromStr;

/// Page size when none is asked for.
pub const LIMIT: i64 = 50;
/// Largest page.
pub const MOST: i64 = 200;
crate::vocabulary! {
    /// What a list can be sorted by.
    pub enum Key { CreatedAt, UpdatedAt, Name, Code, Status, DueOn, ReviewDueOn, Rank }
}

/// A key and a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// By what.
    pub key: Key,
    /// Largest first?
    pub down: bool,
}
impl Default for Sort {
    fn default() -> Self {
        let (key, down) = (Key::CreatedAt, true);
        Sort { key, down }
    }
}

crate::vocabulary! {
    /// Which records by whether they are archived.
    #[derive(Default)]
    pub enum Archived { #[default] False, True, Any }
}

/// When the values of a list are looked at: its position, its day, its instant; and by whom.
#[derive(Debug, Clone)]
pub struct ListContext {
    /// The position.
    pub seq: i64,
    /// The organization's date.
    pub today: NaiveDate,
    /// The instant.
    pub at: Instant,
    /// The organization's settings.
    pub settings: Settings,
    /// Who asks.
    pub caller: Caller,
}

/// Since (inclusive) and before (exclusive).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span<T> {
    /// Not earlier.
    pub since: Option<T>,
    /// Earlier.
    pub before: Option<T>,
}
impl<T> Default for Span<T> {
    fn default() -> Self {
        Span {
            since: None,
            before: None,
        }
    }
}
impl<T> Span<T> {
    /// Is nothing asked?
    pub fn open(&self) -> bool {
        self.since.is_none() && self.before.is_none()
    }
}

/// Where a record stands in a list: its sort key, then its id.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Keyset {
    /// The sort key.
    pub value: Value,
    /// The record.
    pub id: Id,
}
impl Keyset {
    /// The sort key, typed.
    pub fn value<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_value(self.value.clone()).map_err(|_| foreign())
    }
}

/// An owner filter: a person, or the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// `me`.
    Me,
    /// By id or code.
    Person(Selector),
}

/// A whole question.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// 1 to 200.
    pub limit: i64,
    /// The order.
    pub sort: Sort,
    /// After this row.
    pub after: Option<Keyset>,
    /// In the past.
    pub as_of: Option<AsOf>,
    /// In another format than JSON.
    pub format: Option<String>,
    /// Any of these states.
    pub status: Vec<String>,
    /// Any of these owners.
    pub owners: Vec<Owner>,
    /// Nobody answers for it.
    pub owner_none: Option<bool>,
    /// Whoever answers for it has left.
    pub owner_left: Option<bool>,
    /// Any of these records.
    pub ids: Vec<Id>,
    /// Any of these codes, as numbers.
    pub codes: Vec<i64>,
    /// Any of these external references.
    pub external_refs: Vec<String>,
    /// Any of these tags.
    pub tags: Vec<String>,
    /// Every of these prefixes of words.
    pub words: Vec<String>,
    /// Past its due day and not done.
    pub overdue: Option<bool>,
    /// Past the day of its review and not done.
    pub review_overdue: Option<bool>,
    /// By due day.
    pub due_on: Span<NaiveDate>,
    /// By review day.
    pub review_due_on: Span<NaiveDate>,
    /// By creation.
    pub created_at: Span<Edge>,
    /// By last change.
    pub updated_at: Span<Edge>,
    /// Archived or not.
    pub archived: Archived,
    /// Any of these targets, by relation.
    pub related: BTreeMap<&'static str, Vec<Selector>>,
    /// No target at all, by relation.
    pub unrelated: BTreeMap<&'static str, bool>,
    /// Any of these requirements.
    pub requirements: Vec<String>,
    /// How many in all?
    pub with_total: bool,
    /// What the ids in the answer are?
    pub with_refs: bool,
    /// Counts by state?
    pub with_counts: bool,
    own: Vec<(String, String)>,
    question: String,
}

impl ListQuery {
    /// Reads the query of a list of this kind, whose own filters are `F`; every fault is named.
    pub fn read<F: Question>(kinds: Kinds, kind: &Kind, query: &str) -> Result<Self> {
        let mut ask = ListQuery {
            limit: LIMIT,
            ..ListQuery::default()
        };
        let (mut faults, mut cursor, mut asked) = (Vec::new(), None, Vec::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if name == "cursor" {
                cursor = Some(value.into_owned());
                continue;
            }
            if !["limit", "as_of", "include", "format"].contains(&&*name) {
                asked.push((name.to_string(), value.to_string()));
            }
            match value.contains('\0') {
                true => faults.push(Invalid::query(
                    name,
                    "invalid_parameter",
                    "text cannot contain U+0000",
                )),
                false => faults.extend(ask.take(kinds, kind, &name, &value).err()),
            }
        }
        faults.extend(query::read::<F>(&ask.own).err().into_iter().flatten());
        if !faults.is_empty() {
            return Err(Problem::parameters(faults));
        }
        asked.sort();
        // A cursor goes on in the same register. The moment is left out: what was answered then is
        // answered again byte by byte.
        let whole = (kind.name, &asked);
        let digest = Sha256::digest(serde_json::to_vec(&whole).map_err(Problem::internal)?);
        ask.question = URL_SAFE_NO_PAD.encode(digest.get(..9).unwrap_or_default());
        ask.after = cursor.map(|text| ask.position(&text)).transpose()?;
        Ok(ask)
    }
    fn take(&mut self, kinds: Kinds, kind: &Kind, name: &str, value: &str) -> Result<(), Invalid> {
        let bad = |detail: &str| Invalid::query(name, "invalid_parameter", detail);
        let within = |most: usize| {
            if value.chars().count() <= most {
                Ok(value)
            } else {
                Err(bad(&format!("must have at most {most} characters")))
            }
        };
        let flag = || value.parse::<bool>().map_err(|_| bad(FLAG));
        match name {
            "limit" => {
                let number = value.parse().ok().filter(|n| (1..=MOST).contains(n));
                self.limit = number.ok_or_else(|| bad("must be a number from 1 to 200"))?
            }
            "sort" => self.sort = value.parse()?,
            "as_of" => self.as_of = Some(value.parse()?),
            "include" => self.include(value)?,
            "format" => self.format = Some(value.to_owned()),
            "status" if kind.statuses().contains(&value) => self.status.push(value.to_owned()),
            "status" => {
                return Err(bad(&format!(
                    "must be one of {}",
                    kind.statuses().join(", ")
                )));
            }
            "owner_id" if value == "me" => self.owners.push(Owner::Me),
            "owner_id" => self.owners.push(Owner::Person(
                Selector::among(value, kinds.led_to(PERSON))
                    .ok_or_else(|| bad("must be an id, a code or `me`"))?,
            )),
            "owner_none" => self.owner_none = Some(flag()?),
            "owner_left" => self.owner_left = Some(flag()?),
            "id" => self
                .ids
                .push(Id::parse(value).ok_or_else(|| bad("must be an id"))?),
            "code" => match Selector::parse(value, kind) {
                Some(Selector::Number(_, number)) => self.codes.push(number),
                _ => return Err(bad(&format!("must be a code like {}-12", kind.code))),
            },
            "external_ref" => self.external_refs.push(within(200).map(composed)?),
            "tag" => self.tags.push(within(50).map(str::to_owned)?),
            "q" if value.chars().count() <= 200 => {
                self.words = crate::core::text::folded(value)
                    .split(' ')
                    .map(str::to_owned)
                    .collect()
            }
            "q" => return Err(bad("must have at most 200 characters")),
            "overdue" => self.overdue = Some(flag()?),
            "review_overdue" => self.review_overdue = Some(flag()?),
            "archived" => {
                self.archived = value
                    .parse()
                    .map_err(|_| bad("must be true, false or any"))?
            }
            "requirement" if kind.cites => {
                let readable = |id: &&str| crate::core::catalogue::well_formed(id);
                let value = Some(within(120)?)
                    .filter(readable)
                    .ok_or_else(|| bad("must be a requirement like iso-27001-2022:A.5.1"))?;
                self.requirements
                    .extend(crate::core::catalogue::successors(value).map(str::to_owned));
                self.requirements.push(value.to_owned());
            }
            _ => return self.take_more(kinds, kind, name, value),
        }
        Ok(())
    }
    fn take_more(
        &mut self,
        kinds: Kinds,
        kind: &Kind,
        name: &str,
        value: &str,
    ) -> Result<(), Invalid> {
        let bad = |detail: &str| Invalid::query(name, "invalid_parameter", detail);
        if let Some((member, since)) = span(name) {
            let day = || clock::day(value);
            let needed = || bad("must be a date like 2026-03-31");
            let instant = || {
                value
                    .parse()
                    .map_err(|_| bad("must be an RFC 3339 instant or a date"))
            };
            match member {
                "due_on" => set(&mut self.due_on, since, day().ok_or_else(needed)?),
                "review_due_on" => set(&mut self.review_due_on, since, day().ok_or_else(needed)?),
                "created_at" => set(&mut self.created_at, since, instant()?),
                "updated_at" => set(&mut self.updated_at, since, instant()?),
                _ => self.own.push((name.to_owned(), value.to_owned())),
            }
            return Ok(());
        }
        for relation in kind.all_relations() {
            if name == relation.filter() {
                let target = Selector::among(value, kinds.led_to(relation.to))
                    .ok_or_else(|| bad("must be an id or a code"))?;
                self.related
                    .entry(relation.member)
                    .or_default()
                    .push(target);
                return Ok(());
            }
            if name.strip_suffix("_none") == Some(relation.stem()) {
                let flag = value.parse::<bool>().map_err(|_| bad(FLAG))?;
                self.unrelated.insert(relation.member, flag);
                return Ok(());
            }
        }
        self.own.push((name.to_owned(), value.to_owned()));
        Ok(())
    }
    fn include(&mut self, value: &str) -> Result<(), Invalid> {
        let refused = |words: &str| Err(Invalid::query("include", "invalid_parameter", words));
        for part in value.split(',') {
            let wanted = match part {
                "total" => &mut self.with_total,
                "refs" => &mut self.with_refs,
                "counts" => &mut self.with_counts,
                _ => return refused("must be total, refs or counts"),
            };
            if std::mem::replace(wanted, true) {
                return refused("use each word only once");
            }
        }
        Ok(())
    }
    /// The filters of this kind; `None` when nothing of its own was asked.
    pub fn own<F: Question>(&self) -> Result<Option<F>> {
        match self.own.as_slice() {
            [] => Ok(None),
            own => query::read(own).map(Some).map_err(Problem::parameters),
        }
    }
    /// The cursor for the page that ends here.
    pub fn cursor(&self, last: &Keyset) -> Result<String> {
        serde_json::to_vec(&(&self.question, last))
            .map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
            .map_err(Problem::internal)
    }
    fn position(&self, text: &str) -> Result<Keyset> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        let read = bytes.and_then(|bytes| serde_json::from_slice::<(String, Keyset)>(&bytes).ok());
        let place = read
            .filter(|(of, _)| *of == self.question)
            .map(|(_, place)| place)
            .ok_or_else(foreign)?;
        // Whoever makes a cursor up may write into it what no record has.
        match (&place.value, self.sort.key) {
            (Value::String(text), _) if text.contains('\0') => Err(foreign()),
            (Value::String(text), Key::DueOn | Key::ReviewDueOn) if clock::day(text).is_none() => {
                Err(foreign())
            }
            _ => Ok(place),
        }
    }
}

impl FromStr for Sort {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (down, name) = text
            .strip_prefix('-')
            .map_or((false, text), |name| (true, name));
        name.parse()
            .map(|key| Sort { key, down })
            .map_err(|_| Invalid::query("sort", "invalid_parameter", "unknown sort key"))
    }
}

fn foreign() -> Problem {
    Problem::new(
        Code::InvalidCursor,
        "Use the same filters and sort order as for the previous page.",
    )
}
const FLAG: &str = "must be true or false";
fn span(name: &str) -> Option<(&str, bool)> {
    name.strip_suffix("_since")
        .map(|member| (member, true))
        .or_else(|| name.strip_suffix("_before").map(|member| (member, false)))
}
fn set<T>(span: &mut Span<T>, since: bool, value: T) {
    *(if since {
        &mut span.since
    } else {
        &mut span.before
    }) = Some(value);
}
