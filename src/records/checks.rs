//! What the database is asked before a record is written: links make no circles, an external
//! reference is nobody else's, and nothing is archived that others need.
use super::{Kind, Kinds, Relation, sight};
use crate::access::Caller;
use crate::core::{Code, Id, Invalid, Problem, Result, TenantId};
use crate::db::dialect::{NOW, OPEN, standing};
use crate::db::walk::{self, Walk};
use crate::db::{Conn, schema::links as l, schema::versions as v};
use diesel::dsl::not;
use diesel::prelude::*;

/// Links of one chain.
pub const DEPTH: usize = 100;

/// 422 when new links along a relation without circles would come back to where they began, or make
/// a chain of more than [`DEPTH`] links. Two queries, whatever the depth.
pub fn acyclic(
    conn: &mut Conn,
    tenant: TenantId,
    from: Id,
    relation: &Relation,
    new: &[Id],
) -> Result<()> {
    if new.is_empty() {
        return Ok(());
    }
    let fault = |code, words: String| {
        Err(Problem::invalid_one(
            &format!("/{}", relation.member),
            code,
            words,
        ))
    };
    let walk = |back, from| Walk {
        tenant,
        relation: relation.member,
        seq: NOW,
        back,
        from,
    };
    let below = walk(false, new).links(conn)?;
    if new.contains(&from) || below.iter().any(|(_, far)| *far == from) {
        return fault("circle", "this would make a circle".into());
    }
    let above = walk(true, &[from]).links(conn)?;
    if below.len().max(above.len()) > walk::MOST {
        return fault(
            "too_many",
            format!(
                "more than {} links are connected with these; add fewer",
                walk::MOST
            ),
        );
    }
    match walk::longest(&above, &[from]) + 1 + walk::longest(&below, new) {
        depth if depth <= DEPTH => Ok(()),
        depth => fault(
            "depth",
            format!("a chain may have at most {DEPTH} links, and this would make one of {depth}"),
        ),
    }
}

/// 409 when live records still need this one, and which of those that the caller sees.
pub fn free(conn: &mut Conn, caller: &Caller, kinds: Kinds, id: Id) -> Result<()> {
    let tenant = caller.tenant;
    let needing =
        v::table.inner_join(l::table.on(l::tenant_id.eq(v::tenant_id).and(l::from_id.eq(v::id))));
    let needing = needing.filter(
        v::tenant_id
            .eq(tenant)
            .and(v::to_seq.eq(OPEN))
            .and(v::archived_at.is_null()),
    );
    let needing = needing.filter(
        l::to_id
            .eq(id)
            .and(l::to_seq.eq(OPEN))
            .and(l::from_id.ne(id)),
    );
    let mut needing = needing.into_boxed();
    for kind in kinds.all() {
        for relation in kind
            .relations
            .iter()
            .filter(|relation| !relation.frees.is_empty())
        {
            let freed = v::kind
                .eq(kind.name)
                .and(l::relation.eq(relation.member))
                .and(v::status.eq_any(relation.frees.to_vec()));
            needing = needing.filter(not(freed));
        }
    }
    let rows: Vec<(String, i64, Id)> = needing
        .select((v::kind, v::number, v::id))
        .distinct()
        .order((v::kind, v::number))
        .limit(100)
        .load(conn)?;
    match rows.is_empty() {
        true => Ok(()),
        false => {
            let readable = |kind: &&Kind| crate::access::allows(&caller.roles, kind.name, "read");
            let known: Vec<&Kind> = kinds.all().iter().filter(readable).collect();
            let ids: Option<Vec<Id>> = sight::shown(caller, &known, NOW)
                .map(|shown| {
                    let standing = v::table
                        .filter(v::tenant_id.eq(tenant))
                        .filter(standing())
                        .filter(shown);
                    standing
                        .filter(v::id.eq_any(rows.iter().map(|(.., id)| *id)))
                        .select(v::id)
                        .load(conn)
                })
                .transpose()?;
            let seen = |(kind, _, id): &&(String, i64, Id)| {
                known.iter().any(|known| known.name == kind)
                    && ids.as_ref().is_none_or(|ids| ids.contains(id))
            };
            let seen: Vec<_> = rows.iter().filter(seen).collect();
            let detail = match (seen.len() == rows.len(), seen.is_empty()) {
                (true, _) => {
                    "Other records refer to this one; `needed_by` names them. Remove these links \
                        first."
                }
                (false, true) => "Records that you cannot see refer to this one.",
                (false, false) => {
                    "Other records refer to this one; you cannot see some of them. `needed_by` \
                        names the others."
                }
            };
            let codes = seen
                .into_iter()
                .map(|(kind, number, _)| kinds.code(kind, *number));
            Err(Problem::new(Code::InUse, detail).needed_by(codes))
        }
    }
}

/// The record of a kind that has this external reference now: its id, and the number in its code.
pub fn referred(
    conn: &mut Conn,
    tenant: TenantId,
    kind: &str,
    reference: &str,
) -> QueryResult<Option<(Id, i64)>> {
    let same = v::table
        .filter(v::tenant_id.eq(tenant).and(v::kind.eq(kind)))
        .filter(v::external_ref.eq(reference))
        .filter(standing());
    same.select((v::id, v::number)).get_result(conn).optional()
}

/// That an external reference is taken; the record that has it is named where the caller sees it.
pub fn taken(
    conn: &mut Conn,
    caller: &Caller,
    kind: &'static Kind,
    (id, number): (Id, i64),
) -> Result<Problem> {
    let seen = match sight::limits(caller, kind, NOW) {
        None => true,
        Some(limits) => v::table
            .filter(v::tenant_id.eq(caller.tenant).and(v::id.eq(id)))
            .filter(standing())
            .filter(limits)
            .select(v::number)
            .get_result::<i64>(conn)
            .optional()?
            .is_some(),
    };
    let code = seen.then(|| kind.numbered(number));
    let taken = code.as_ref().map_or_else(
        || "taken".to_owned(),
        |code| format!("already used by {code}"),
    );
    let problem = Problem::new(Code::Conflict, format!("external_ref is {taken}."));
    Ok(problem
        .listing(vec![Invalid::body("/external_ref", "taken", taken)])
        .needed_by(code))
}
