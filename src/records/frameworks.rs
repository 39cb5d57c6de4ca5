//! The frameworks that an organization imported: which stand at a position, and what is in them.
//! Contents lie beside the ledger, under the SHA-256 that its entries name; a version never
//! changes, so what was read stays in memory, up to a bound.
use crate::access::{Caller, policy::FRAMEWORK};
use crate::core::catalogue::{self, Framework, Mapping, MappingKind, Relationship, Requirement};
use crate::core::{Id, Instant, Problem, Result, TenantId, packed::pack, packed::unpack};
use crate::db::Conn;
use crate::db::dialect::at;
use crate::db::schema::{framework_contents as fc, frameworks as f, versions as v};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex};

/// Bytes of contents, as JSON, that stay in memory.
const KEPT: usize = 16 << 20;

/// A mapping of an imported framework.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OwnMapping {
    /// Readable id.
    pub source: String,
    /// Readable id.
    pub target: String,
    /// Seen from the source.
    pub relationship: Relationship,
    /// Published, or composed.
    pub kind: MappingKind,
    /// Where it stands, or what it was composed of.
    pub provenance: String,
}
impl OwnMapping {
    /// As mappings are answered.
    pub fn told(&self) -> Mapping<'_> {
        let OwnMapping {
            source,
            target,
            relationship,
            kind,
            provenance,
        } = self;
        Mapping {
            source,
            target,
            relationship: *relationship,
            kind: *kind,
            provenance,
        }
    }
}

/// What a revision holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// In the order of the import.
    pub requirements: Vec<Requirement>,
    /// In the order of the import.
    pub mappings: Vec<OwnMapping>,
}

/// One version of an imported framework, without its content.
#[derive(Debug, Clone, Queryable)]
pub struct Head {
    /// The record.
    pub id: Id,
    /// Its version.
    pub version: i32,
    /// What it is called.
    pub title: String,
    /// Its readable id.
    pub slug: String,
    /// Which edition.
    pub edition: String,
    /// Who publishes it.
    pub publisher: String,
    /// Which import it is.
    pub revision: i32,
    /// How many requirements it has.
    pub requirement_count: i32,
    /// How many mappings it has.
    pub mapping_count: i32,
    /// Of its content.
    pub sha256: String,
    /// When it was imported.
    pub imported_at: Instant,
}

/// An imported framework.
#[derive(Debug)]
pub struct Own {
    /// What it is called.
    pub head: Head,
    /// Its requirements.
    pub framework: Arc<Framework>,
    /// Its mappings.
    pub mappings: Vec<OwnMapping>,
}

type Key = (TenantId, Id, i32, String);
static MEMORY: Mutex<Vec<(Key, usize, Arc<Own>)>> = Mutex::new(Vec::new());

macro_rules! heads {
    ($tenant:expr) => {
        f::table
            .inner_join(
                v::table.on(v::tenant_id
                    .eq(f::tenant_id)
                    .and(v::id.eq(f::id))
                    .and(v::version.eq(f::version))),
            )
            .filter(
                v::tenant_id
                    .eq($tenant)
                    .and(v::kind.eq(FRAMEWORK))
                    .and(v::archived_at.is_null()),
            )
            .select((
                (
                    v::id,
                    v::version,
                    v::name,
                    f::slug,
                    f::edition,
                    f::publisher,
                ),
                (
                    f::revision,
                    f::requirement_count,
                    f::mapping_count,
                    f::sha256,
                    v::updated_at,
                ),
            ))
    };
}
type Columns = (
    (Id, i32, String, String, String, String),
    (i32, i32, i32, String, Instant),
);
fn head(
    (
        (id, version, title, slug, edition, publisher),
        (revision, requirement_count, mapping_count, sha256, imported_at),
    ): Columns,
) -> Head {
    Head {
        id,
        version,
        title,
        slug,
        edition,
        publisher,
        revision,
        requirement_count,
        mapping_count,
        sha256,
        imported_at,
    }
}

/// Those that stand at a position, by their slugs: one query.
pub fn heads(conn: &mut Conn, tenant: TenantId, seq: i64) -> Result<Vec<Head>> {
    let rows: Vec<Columns> = heads!(tenant).filter(at(seq)).order(f::slug).load(conn)?;
    Ok(rows.into_iter().map(head).collect())
}

/// The one of that slug.
pub fn find(conn: &mut Conn, tenant: TenantId, seq: i64, slug: &str) -> Result<Option<Arc<Own>>> {
    let row: Option<Columns> = heads!(tenant)
        .filter(f::slug.eq(slug))
        .filter(at(seq))
        .get_result(conn)
        .optional()?;
    row.map(|row| whole(conn, tenant, head(row))).transpose()
}

/// Every revision of a record up to a position, newest first; without contents.
pub fn revisions(conn: &mut Conn, tenant: TenantId, seq: i64, id: Id) -> Result<Vec<Head>> {
    let rows: Vec<Columns> = heads!(tenant)
        .filter(v::id.eq(id).and(v::from_seq.le(seq)))
        .order(v::version.desc())
        .load(conn)?;
    let mut all: Vec<Head> = rows.into_iter().map(head).collect();
    all.dedup_by_key(|head| head.revision);
    Ok(all)
}

/// All that stand, with their contents: two queries at most.
pub fn all(conn: &mut Conn, tenant: TenantId, seq: i64) -> Result<Vec<Arc<Own>>> {
    let heads = heads(conn, tenant, seq)?;
    let known: Vec<Option<Arc<Own>>> = heads
        .iter()
        .map(|head| remembered(&key(tenant, head)))
        .collect();
    let missing: Vec<&str> = heads
        .iter()
        .zip(&known)
        .filter(|(_, known)| known.is_none())
        .map(|(head, _)| head.sha256.as_str())
        .collect();
    let mut read: Vec<(String, Vec<u8>)> = Vec::new();
    if !missing.is_empty() {
        let rows = fc::table
            .filter(fc::tenant_id.eq(tenant))
            .filter(fc::sha256.eq_any(missing));
        read = rows.select((fc::sha256, fc::content)).load(conn)?;
    }
    let own = |(head, known): (Head, Option<Arc<Own>>)| match known {
        Some(own) => Ok(own),
        None => {
            let packed = read
                .iter()
                .find(|(sha256, _)| *sha256 == head.sha256)
                .map(|(_, packed)| packed.as_slice());
            unpacked(
                tenant,
                head,
                packed.ok_or_else(|| Problem::internal("a framework without its content"))?,
            )
        }
    };
    heads.into_iter().zip(known).map(own).collect()
}

/// One with its content.
pub fn whole(conn: &mut Conn, tenant: TenantId, head: Head) -> Result<Arc<Own>> {
    match remembered(&key(tenant, &head)) {
        Some(own) => Ok(own),
        None => {
            let packed: Vec<u8> = fc::table
                .find((tenant, &head.sha256))
                .select(fc::content)
                .get_result(conn)?;
            unpacked(tenant, head, &packed)
        }
    }
}

fn key(tenant: TenantId, head: &Head) -> Key {
    (tenant, head.id, head.version, head.sha256.clone())
}
fn remembered(key: &Key) -> Option<Arc<Own>> {
    let mut memory = MEMORY.lock().ok()?;
    let at = memory.iter().position(|(known, ..)| known == key)?;
    let found = memory.remove(at);
    let own = found.2.clone();
    memory.push(found);
    Some(own)
}

fn unpacked(tenant: TenantId, head: Head, packed: &[u8]) -> Result<Arc<Own>> {
    let text = unpack(packed)?;
    let Content {
        requirements,
        mappings,
    } = serde_json::from_str(&text).map_err(Problem::internal)?;
    let Head {
        slug,
        title,
        edition,
        publisher,
        ..
    } = head.clone();
    let (key, framework) = (
        key(tenant, &head),
        Arc::new(Framework::own(
            slug,
            title,
            edition,
            publisher,
            requirements,
        )),
    );
    let own = Arc::new(Own {
        head,
        framework,
        mappings,
    });
    if let Ok(mut memory) = MEMORY.lock() {
        memory.push((key, text.len(), own.clone()));
        while memory.len() > 1 && memory.iter().map(|(_, bytes, _)| bytes).sum::<usize>() > KEPT {
            memory.remove(0);
        }
    }
    Ok(own)
}

/// Keeps a content, compressed, under its SHA-256.
pub fn keep(conn: &mut Conn, tenant: TenantId, sha256: &str, canonical: &str) -> Result<()> {
    let known: i64 = fc::table.find((tenant, sha256)).count().get_result(conn)?;
    if known == 0 {
        let row = (
            fc::tenant_id.eq(tenant),
            fc::sha256.eq(sha256),
            fc::content.eq(pack(canonical)?),
        );
        diesel::insert_into(fc::table).values(row).execute(conn)?;
    }
    Ok(())
}

/// May this caller see the framework of that slug?
pub fn seen(caller: &Caller, slug: &str) -> bool {
    let limits = &caller.limits.framework_slugs;
    limits.is_empty() || limits.iter().any(|limit| limit == slug)
}

/// The frameworks that a caller can refer to at a position: the built-in ones, and the
/// organization's own, each looked up once.
pub struct Library<'c> {
    conn: &'c mut Conn,
    caller: &'c Caller,
    seq: i64,
    own: Vec<(String, Option<Arc<Own>>)>,
}
impl<'c> Library<'c> {
    /// At a position.
    pub fn new(conn: &'c mut Conn, caller: &'c Caller, seq: i64) -> Self {
        Library {
            conn,
            caller,
            seq,
            own: vec![],
        }
    }
    /// A framework; `None` where the caller sees none.
    pub fn framework(&mut self, slug: &str) -> Result<Option<Arc<Framework>>> {
        if !seen(self.caller, slug) {
            return Ok(None);
        }
        if let Some(built_in) = catalogue::framework(slug) {
            return Ok(Some(built_in.clone()));
        }
        if !self.own.iter().any(|(known, _)| known == slug) {
            let found = if catalogue::is_slug(slug) {
                find(self.conn, self.caller.tenant, self.seq, slug)?
            } else {
                None
            };
            self.own.push((slug.to_owned(), found));
        }
        let found = self
            .own
            .iter()
            .find(|(known, _)| known == slug)
            .and_then(|(_, own)| own.as_ref());
        Ok(found.map(|own| own.framework.clone()))
    }
    /// Is there such a requirement?
    pub fn has(&mut self, id: &str) -> Result<bool> {
        let Some((slug, reference)) = catalogue::parts(id) else {
            return Ok(false);
        };
        Ok(self
            .framework(slug)?
            .is_some_and(|framework| framework.place(reference).is_some()))
    }
}
