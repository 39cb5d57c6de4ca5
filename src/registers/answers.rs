//! Answers to requirements, one record each: whether it applies to a scope, how far an assessment
//! found it met. Found by what they belong to and by requirement; where nothing is stored, nobody
//! has answered yet (`version` 0).
use crate::access::Actor;
use crate::core::{Id, Invalid, Problem, Result};
use crate::http::{Answer, Guard, HistoryView, Input, Permission, RecordId, ViewQuery};
use crate::ledger::Recorded;
use crate::records::record::etag;
use crate::records::{About, Covers, IfMatch, Reader, Record, Resource, Selector, Tx, about};
use actix_web::web::Path;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use validator::Validate;

/// Which requirements can be answered for.
pub type Asks<'p> = Box<dyn Fn(&str) -> bool + 'p>;

/// A kind of which each record answers for one requirement of something.
pub trait Answers: Resource {
    /// What they belong to: its place is in the path.
    type Of: Resource;
    /// The same, as it was read.
    type Place: Send;
    /// The permission to read them.
    type Read: Permission;
    /// The permission to give them.
    type Change: Permission + Covers<Self>;
    /// What a client answers.
    type Said: Said;
    /// The same of several requirements.
    type Several: Several<Self::Said>;
    /// An answer as it is shown.
    type Shown: Shown;

    /// What is asked about, for a reader; 404 where there is no such place or requirement.
    fn open(
        reader: &mut Reader<'_>,
        of: &Selector,
        requirement: Option<&str>,
        archived_too: bool,
    ) -> Result<Self::Place>;
    /// The same for whoever answers.
    fn change(
        tx: &mut Tx<'_, Self::Change>,
        of: &Selector,
        requirement: Option<&str>,
    ) -> Result<Self::Place>;
    /// The positions of the answers that stand there, or of that for one requirement.
    fn standing(
        reader: &mut Reader<'_>,
        place: &Self::Place,
        only: Option<&str>,
    ) -> Result<Vec<i64>>;
    /// The requirement that this one answers for.
    fn requirement(&self) -> &str;
    /// How it is shown, or that nobody has answered.
    fn shown(place: &Self::Place, requirement: &str, record: Option<&Record<Self>>) -> Self::Shown;
    /// 404 for what nobody is asked, where nobody has answered either.
    fn asked(reader: &mut Reader<'_>, place: &Self::Place, requirement: &str) -> Result<()>;
    /// Which requirements can be answered for.
    fn all_asked<'p>(
        reader: &mut Reader<'_>,
        place: &'p Self::Place,
        stored: &'p BTreeMap<String, Self::Shown>,
    ) -> Result<Asks<'p>>;
    /// Puts beside the answers what follows from other records; they were read, or `written`.
    fn follow(
        reader: &mut Reader<'_>,
        place: &Self::Place,
        answers: &mut [Self::Shown],
        written: bool,
    ) -> Result<()>;
    /// The record of an answer, and what else it has.
    fn record(
        place: &Self::Place,
        requirement: String,
        said: Self::Said,
    ) -> (Self, Map<String, Value>);
    /// Several, as they are answered.
    fn list(data: Vec<Self::Shown>) -> Result<Answer>;
}

/// What a client answers.
pub trait Said: DeserializeOwned + Validate + ToSchema + Send + 'static {
    /// What is wrong with it, whatever is stored; `at` is its place.
    fn fault(&self, at: &str) -> Option<Invalid>;
}

/// Several answers at once.
pub trait Several<S>: DeserializeOwned + Validate + ToSchema + Send + 'static {
    /// One of them.
    type Item: About + Clone;
    /// All of them.
    fn items(self) -> Vec<Self::Item>;
    /// The requirement, and what is said of it.
    fn apart(item: Self::Item) -> (String, S);
}

/// The bodies of answers: for one requirement, for several, and an item of these.
macro_rules! answer_bodies {
    (
        $(#[$said_doc:meta])* $said:ident,
        $(#[$all_doc:meta])* $all:ident,
        $(#[$item_doc:meta])* $item:ident { $($(#[$doc:meta])* $member:ident: $type:ty,)+ }
    ) => {
        #[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
        #[serde(deny_unknown_fields)]
        $(#[$said_doc])*
        pub struct $said { $($(#[$doc])* pub $member: $type,)+ }
        #[derive(Debug, Deserialize, Validate, ToSchema)]
        #[serde(deny_unknown_fields)]
        $(#[$all_doc])*
        pub struct $all {
            /// Up to 1,000; all are made, or none.
            #[validate(nested)]
            #[schema(min_items = 1, max_items = 1000)]
            pub items: Vec<$item>,
        }
        #[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
        #[serde(deny_unknown_fields)]
        $(#[$item_doc])*
        pub struct $item {
            /// The requirement.
            #[schema(min_length = 1, max_length = 120)]
            pub requirement: String,
            /// The version that was read; when sent, it has to match.
            #[schema(minimum = 0)]
            pub if_match: Option<i32>,
            $($(#[$doc])* pub $member: $type,)+
        }
        impl $crate::registers::answers::Several<$said> for $all {
            type Item = $item;
            fn items(self) -> Vec<$item> {
                self.items
            }
            fn apart(item: $item) -> (String, $said) {
                (item.requirement, $said { $($member: item.$member,)+ })
            }
        }
        impl $crate::records::About for $item {
            fn requirement(&self) -> &str {
                &self.requirement
            }
            fn if_match(&self) -> Option<i32> {
                self.if_match
            }
            fn faults(&self, at: &str) -> Vec<$crate::core::Invalid> {
                use $crate::registers::answers::{Said, Several};
                let (_, said) = <$all as Several<$said>>::apart(self.clone());
                Vec::from_iter(said.fault(at))
            }
        }
    };
}
pub(crate) use answer_bodies;

/// An answer as it is shown.
pub trait Shown: Serialize + Clone + Send {
    /// Its record; none where nobody has answered.
    fn id(&self) -> Option<Id>;
    /// Its version, and who wrote that.
    fn version(&self) -> (i32, Option<&Actor>);
    /// What follows from other records, for its entity tag.
    fn followed(&self) -> Result<String>;
    /// With its entity tag, which has what stands behind it and the name of the account.
    fn answer(&self) -> Result<Answer> {
        let (version, by) = self.version();
        let names = crc32fast::hash(by.map_or("", |by| by.name.as_str()).as_bytes());
        Ok(Answer::of(self)?.tagged(etag(version, names, &self.followed()?)))
    }
}

/// What was answered, by requirement, at the reader's moment: two queries.
pub fn answered<A: Answers>(
    reader: &mut Reader<'_>,
    place: &A::Place,
    only: Option<&str>,
) -> Result<BTreeMap<String, A::Shown>> {
    let seqs = A::standing(reader, place, only)?;
    let records = reader.written::<A>(&seqs)?;
    let shown = |record: &Record<A>| {
        let requirement = record.own.requirement();
        (
            requirement.to_owned(),
            A::shown(place, requirement, Some(record)),
        )
    };
    Ok(records.iter().map(shown).collect())
}

/// The answer for a requirement, given or not.
fn one<A: Answers>(
    reader: &mut Reader<'_>,
    place: &A::Place,
    requirement: &str,
) -> Result<A::Shown> {
    match answered::<A>(reader, place, Some(requirement))?.remove(requirement) {
        Some(answer) => Ok(answer),
        None => {
            A::asked(reader, place, requirement)?;
            Ok(A::shown(place, requirement, None))
        }
    }
}

/// Where a path leads, and the requirement that it names.
fn place<A: Answers>(path: Path<(String, String)>) -> Result<(Selector, String)> {
    let (id, requirement) = path.into_inner();
    let selector = Selector::parse(&id, &A::Of::KIND).ok_or_else(Problem::not_found)?;
    Ok((selector, requirement))
}

/// One answer.
pub async fn get<A: Answers>(
    guard: Guard<A::Read>,
    path: Path<(String, String)>,
    query: ViewQuery,
) -> Result<Answer> {
    let (selector, requirement) = place::<A>(path)?;
    guard
        .read(query.as_of, move |reader| {
            let place = A::open(reader, &selector, Some(&requirement), query.archived_too)?;
            let mut answer = [one::<A>(reader, &place, &requirement)?];
            A::follow(reader, &place, &mut answer, false)?;
            let [answer] = answer;
            Ok(answer.answer()?.at(reader.moment.last))
        })
        .await
}

/// Its versions.
pub async fn history<A: Answers>(
    guard: Guard<A::Read>,
    path: Path<(String, String)>,
    query: HistoryView,
) -> Result<Answer> {
    let (selector, requirement) = place::<A>(path)?;
    guard
        .view(query.as_of, move |reader| {
            let place = A::open(reader, &selector, Some(&requirement), query.archived_too)?;
            let id = one::<A>(reader, &place, &requirement)?.id();
            Answer::of(&query.history::<A>(reader, id.map(Selector::Id).as_ref())?)
        })
        .await
}

/// Answers for one requirement.
pub async fn put<A: Answers>(
    guard: Guard<A::Change>,
    path: Path<(String, String)>,
    known: IfMatch,
    input: Input,
) -> Result<Answer> {
    let (selector, requirement) = place::<A>(path)?;
    let said = input.read::<A::Said>();
    guard
        .write_raw(&[], move |tx| {
            let place = A::change(tx, &selector, Some(&requirement))?;
            let stored = one::<A>(&mut tx.reader(), &place, &requirement)?;
            known.check(stored.version().0)?;
            let said = said?;
            if let Some(fault) = said.fault("") {
                return Err(Problem::invalid(vec![fault]));
            }
            let made = say::<A>(tx, &place, stored.id(), (requirement, said))?;
            let mut answer = [made.get().clone()];
            A::follow(&mut tx.reader(), &place, &mut answer, true)?;
            let [answer] = answer;
            made.try_map(|_| answer.answer())
        })
        .await
}

/// Answers for several requirements; for all of them, or for none.
pub async fn batch<A: Answers>(
    guard: Guard<A::Change>,
    at: RecordId,
    input: Input,
) -> Result<Answer> {
    let selector = at.of(&A::Of::KIND)?;
    let said = input.clone().read::<A::Several>();
    guard
        .write(&input, move |tx| {
            let place = A::change(tx, &selector, None)?;
            let items = said?.items();
            let stored = answered::<A>(&mut tx.reader(), &place, None)?;
            let asked = A::all_asked(&mut tx.reader(), &place, &stored)?;
            let version = |id: &str| stored.get(id).map_or(0, |answer| answer.version().0);
            let faults = about::faults(tx.caller(), &items, asked, version);
            if !faults.is_empty() {
                return Err(Problem::invalid(faults));
            }
            let made = tx.say_all(&items, |tx, item| {
                let before = stored.get(item.requirement()).and_then(Shown::id);
                say::<A>(tx, &place, before, A::Several::apart(item.clone()))
            })?;
            let mut data = made.get().clone();
            A::follow(&mut tx.reader(), &place, &mut data, true)?;
            made.try_map(|_| A::list(data))
        })
        .await
}

/// Stores one answer.
fn say<A: Answers>(
    tx: &mut Tx<'_, A::Change>,
    place: &A::Place,
    stored: Option<Id>,
    (requirement, said): (String, A::Said),
) -> Result<Recorded<A::Shown>> {
    let (own, beside) = A::record(place, requirement.clone(), said);
    let said = tx.say(stored, &requirement, own, beside)?;
    Ok(said.map(|record| A::shown(place, &requirement, Some(&record))))
}
