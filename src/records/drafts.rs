//! A body becomes a draft: what it refers to is looked up, and every fault is named.
use super::body::Body;
use super::frameworks::{self, Library};
use super::links::{Links, References};
use super::{Draft, Kind, Record, Resource, Writing};
use crate::access::Caller;
use crate::core::{Code, Invalid, Problem, Result, catalogue};
use crate::db::{Conn, dialect::NOW};
use crate::ledger;
use serde_json::{Map, Value};

impl Writing<'_> {
    /// A draft of a body that was read before; every fault is named, unknown references among them.
    pub fn draft<R: Resource>(&mut self, body: impl Into<Body<R>>) -> Result<Draft<R>> {
        self.draft_over(body.into(), None)
    }
    /// The same of members that a room put together.
    pub fn draft_of<R: Resource>(&mut self, members: Map<String, Value>) -> Result<Draft<R>> {
        self.draft(Body::read(self.schemas(), members))
    }
    /// The same of a body that changes a record: what that refers to may stay.
    pub(super) fn draft_over<R: Resource>(
        &mut self,
        body: Body<R>,
        before: Option<&Record<R>>,
    ) -> Result<Draft<R>> {
        ledger::in_time()?;
        let Body {
            common,
            own,
            references,
            mut faults,
        } = body;
        if let Some(own) = own.as_ref().filter(|_| faults.len() < Problem::LISTED) {
            faults.extend(uncited(
                self.conn,
                self.caller,
                own,
                before.map(|it| &it.own),
            )?);
        }
        if faults.len() >= Problem::LISTED {
            return Err(Problem::invalid(faults));
        }
        let none = Links::default();
        let linked = before.map_or(&none, |before| &before.links);
        let found = self.resolve(&R::KIND, &references, linked);
        match (common, own, found) {
            (Some(common), Some(own), Ok(links)) if faults.is_empty() => {
                Ok(Draft { common, own, links })
            }
            (_, _, Err(problem)) if !problem.is(Code::ValidationFailed) => Err(problem),
            (_, _, found) => {
                faults.extend(
                    found
                        .err()
                        .iter()
                        .flat_map(|unknown| unknown.errors().to_vec()),
                );
                Err(Problem::invalid(faults))
            }
        }
    }
    /// The links of a body: 422 with a place for each reference that names no live record which the
    /// caller sees.
    fn resolve(&mut self, kind: &Kind, references: &References, before: &Links) -> Result<Links> {
        let missing = self.memory.found.missing(kind, references, before);
        if !missing.is_empty() {
            self.find(&missing)?;
        }
        let links = self.memory.found.links(kind, references, before);
        self.memory.settle();
        links
    }
}

/// Faults of the frameworks and requirements that a record names (`iso-27001-2022:A.5.1`). What it
/// named before stays, though a later revision is without it.
fn uncited<R: Resource>(
    conn: &mut Conn,
    caller: &Caller,
    own: &R,
    before: Option<&R>,
) -> Result<Vec<Invalid>> {
    let (mut library, mut faults) = (Library::new(conn, caller, NOW), Vec::new());
    let seen = |slug: &str| frameworks::seen(caller, slug);
    let old = before.map(|before| (before.frameworks(), before.requirements()));
    let (slugs, ids) = old.unwrap_or_default();
    for (pointer, slug) in own.frameworks() {
        let stays = slugs.iter().any(|(_, known)| *known == slug);
        if !stays && library.framework(slug)?.is_none() {
            let words = catalogue::no_framework(slug, catalogue::slugs().filter(|slug| seen(slug)));
            faults.push(Invalid::body(pointer, "unknown_reference", words));
        }
    }
    let mut missing = catalogue::Missing::default();
    for (n, id) in own.requirements().iter().enumerate() {
        // One more than is listed says that there are more.
        if faults.len() > Problem::LISTED {
            break;
        }
        if !ids.contains(id) && !library.has(id)? {
            let (at, words) = (format!("/requirements/{n}"), missing.say(id, &seen));
            faults.push(Invalid::body(at, "unknown_reference", words));
        }
    }
    Ok(faults)
}
