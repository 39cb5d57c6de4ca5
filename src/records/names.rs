//! Puts the names of accounts into images. In a stored image each actor is
//! `{"id":…,"kind":…,"name":null,"person_id":…}`, in this order and without blanks (RFC 8785), so
//! that a text search finds it. No string of JSON can contain it: its quotes would be escaped.
use super::{Condition, Reader};
use crate::access::Names;
use crate::core::{Id, Result};
use crate::db::dialect::{at, standing};
use crate::db::schema::versions as v;
use diesel::prelude::*;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

const UNNAMED: &str = ",\"name\":null,\"person_id\":";
const NULL: std::ops::Range<usize> = 8..12;
const SYSTEM: &str = "system";

/// An actor without a name in a canonical text.
struct Unnamed {
    /// Where its `null` begins.
    place: usize,
    id: Id,
    system: bool,
}

/// The actors without a name, in order.
fn unnamed(text: &str) -> Vec<Unnamed> {
    let found = text.match_indices(UNNAMED).filter_map(|(place, _)| {
        let before = text.get(..place)?;
        let (object, kind) = before.rsplit_once("\",\"kind\":\"")?;
        let id = Id::parse(object.get(object.len().checked_sub(36)?..)?)?;
        let closed = kind.strip_suffix('"')?;
        Some(Unnamed {
            place: place + NULL.start,
            id,
            system: closed == SYSTEM,
        })
    });
    found.collect()
}

/// Takes the names out of every actor of an image.
pub fn anonymize(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let actor = members.len() == 4
                && ["id", "kind", "name", "person_id"]
                    .iter()
                    .all(|name| members.contains_key(*name));
            match members.get_mut("name").filter(|_| actor) {
                Some(name) => *name = Value::Null,
                None => members.values_mut().for_each(anonymize),
            }
        }
        Value::Array(items) => items.iter_mut().for_each(anonymize),
        _ => {}
    }
}

impl Reader<'_> {
    /// Puts the names of the accounts into these images, as they are called at this moment. Gives a
    /// digest of the names for each.
    pub fn name_actors(&mut self, texts: &mut [&mut String]) -> Result<Vec<u32>> {
        let found: Vec<Vec<Unnamed>> = texts.iter().map(|text| unnamed(text)).collect();
        let ids: HashSet<Id> = found
            .iter()
            .flatten()
            .filter(|actor| !actor.system)
            .map(|actor| actor.id)
            .collect();
        let names = self.account_names(ids)?;
        let put = |(text, actors): (&mut &mut String, Vec<Unnamed>)| {
            let mut digest = crc32fast::Hasher::new();
            let (mut named, mut from) = (String::with_capacity(text.len() + 32 * actors.len()), 0);
            for actor in actors {
                let name = if actor.system {
                    SYSTEM
                } else {
                    names.get(&actor.id).map(String::as_str).unwrap_or_default()
                };
                named.push_str(text.get(from..actor.place).unwrap_or_default());
                named.push_str(&Value::from(name).to_string());
                from = actor.place + NULL.len();
                digest.update(name.as_bytes());
                digest.update(&[0]);
            }
            if from > 0 {
                named.push_str(text.get(from..).unwrap_or_default());
                **text = named;
            }
            digest.finalize()
        };
        Ok(texts.iter_mut().zip(found).map(put).collect())
    }
    /// What these accounts are called at this moment: from memory, but for those that were called
    /// otherwise then.
    pub fn account_names(&mut self, ids: HashSet<Id>) -> Result<HashMap<Id, String>> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let (seq, names) = (self.moment.seq, self.known_names()?);
        let known = |id: &Id| {
            names
                .as_ref()?
                .by_id
                .get(id)
                .filter(|(_, since)| *since <= seq)
                .map(|(name, _)| (*id, name.clone()))
        };
        let mut found: HashMap<Id, String> = ids.iter().filter_map(known).collect();
        let others: Vec<Id> = ids
            .into_iter()
            .filter(|id| !found.contains_key(id))
            .collect();
        for some in others.chunks(500) {
            let of_them = v::table
                .filter(v::tenant_id.eq(self.tenant()))
                .filter(v::id.eq_any(some))
                .filter(at(seq));
            found.extend(
                of_them
                    .select((v::id, v::name))
                    .load::<(Id, String)>(self.conn)?,
            );
        }
        Ok(found)
    }
    /// The names of all accounts now, read anew when one has changed; `None` inside a write that
    /// changes one, since it may be undone.
    fn known_names(&mut self) -> Result<Option<Arc<Names>>> {
        let known = self.caller().names.get();
        let as_of = match self.moment.accounts {
            Some(as_of) => as_of,
            None => crate::ledger::read::end(self.conn, self.tenant())?.accounts,
        };
        if known.as_of == Some(as_of) {
            return Ok(Some(known));
        }
        if self.writes {
            return Ok(None);
        }
        let all: Condition = Box::new(
            v::tenant_id
                .eq(self.tenant())
                .and(v::kind.eq_any(self.kinds.accounts())),
        );
        let rows = v::table
            .filter(all)
            .filter(standing())
            .select((v::id, v::name, v::from_seq));
        let rows: Vec<(Id, String, i64)> = rows.load(self.conn)?;
        let by_id = rows
            .into_iter()
            .map(|(id, name, since)| (id, (name, since)))
            .collect();
        let names = Arc::new(Names {
            as_of: Some(as_of),
            by_id,
        });
        self.caller().names.put(names.clone());
        Ok(Some(names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actors_are_found_in_a_canonical_text_and_nothing_else() {
        let id = "01936f2e-7a10-7c3b-9d5e-1f2a3b4c5d6e";
        let actor = |kind: &str, name: Value| {
            serde_json::json!({"id": id, "kind": kind,
            "name": name, "person_id": null})
        };
        let trap =
            format!("{{\"id\":\"{id}\",\"kind\":\"user\",\"name\":null,\"person_id\":null}}");
        let mut image = serde_json::json!({"by": actor("user", "Ana".into()),
            "in": [actor("system", "system".into())], "text": trap, "name": "x"});
        anonymize(&mut image);
        assert_eq!(
            (image.pointer("/by/name"), image.pointer("/name")),
            (Some(&Value::Null), Some(&Value::from("x")))
        );
        let text = crate::core::json::canonical(&image).unwrap_or_default();
        let found = unnamed(&text);
        assert_eq!(
            found
                .iter()
                .map(|actor| (actor.id.to_string(), actor.system))
                .collect::<Vec<_>>(),
            [(id.to_owned(), false), (id.to_owned(), true)]
        );
        assert!(
            found
                .iter()
                .all(|actor| text.get(actor.place..actor.place + 4) == Some("null"))
        );
    }
}
