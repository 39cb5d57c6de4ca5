//! A register on the wire: what every register can be asked, mounted and described in one place.
use super::asked::{asked, unpaged};
use super::describe::{self, Description, Operations, pascal};
use super::document::Api;
use super::handlers as h;
use super::references::schema;
use super::{bulk, said};
use crate::records::Resource;
use serde_json::json;

/// The words that the operations of a register are described with.
struct Words {
    /// `Asset`.
    one: String,
    /// `Assets`.
    many: String,
    /// `an asset`.
    a: String,
    /// `assets`.
    some: String,
    about: &'static str,
}

impl Words {
    fn of(of: &Description) -> Self {
        Words {
            one: of.name.clone(),
            many: pascal(of.kind.path),
            a: of.kind.one(),
            some: of.kind.path.replace('-', " "),
            about: of.kind.about,
        }
    }
}

/// Mounts and describes a register with these operations.
pub fn mount<R: Resource>(api: &mut Api<'_>, does: Operations) {
    let of = Description::of::<R>();
    let words = Words::of(&of);
    describe::schemas(api.document, &of, does);
    bulk::describe::schemas(api.document, &of, does);
    let all = format!("/v1/{}", R::KIND.path);
    let one = format!("{all}/{{id}}");
    reads::<R>(api, &of, &words, (&all, &one));
    if does.create {
        let op = api
            .post(&all, h::create::<R>)
            .id(format!("create{}", words.one));
        op.says(format!("Create {}", words.a), words.about)
            .retried()
            .never(&[404, 412]);
        op.body_named(&format!("{}Input", words.one));
        op.answer(201, "Created.", "application/json", schema(&words.one));
    }
    if does.update {
        updates::<R>(api, &of, &words, (&all, &one), does);
    }
    if does.archive {
        let op = api
            .delete(&one, h::delete::<R>)
            .id(format!("delete{}", words.one));
        op.says(
            format!("Archive {}", words.a),
            "Takes the record out of the lists. A record that others need stays (409 names them).",
        );
        op.versioned("IfMatch").never(&[422]);
        op.ends("Archived: it has left the lists, its history stays.");
        let op = api.post(&format!("{one}/restore"), h::restore::<R>);
        op.id(format!("restore{}", words.one)).says(
            format!("Restore {}", words.a),
            "Brings an archived record back into the lists.",
        );
        changed::<R>(op).body::<said::OptionalComment>().optional();
    }
    if does.import {
        let op = api.post(&format!("{all}/import"), bulk::import::import::<R>);
        bulk::describe::import(op, &of, &words.many, &words.some);
    }
    if does.review {
        let op = api.post(&format!("{one}/review"), h::review::<R>);
        op.id(format!("review{}", words.one)).says(
            format!("Review {}", words.a),
            "Records that it was looked at, and sets the day of the next review.",
        );
        changed::<R>(op).body::<said::Reviewed>().optional();
    }
}

/// A change that is not about a reason of its own: the body has it.
fn changed<R: Resource>(op: &mut super::operation::Operation) -> &mut super::operation::Operation {
    op.shared("IfMatch")
        .refuses(&[428])
        .retried()
        .record(&R::name(), "The record.")
}

fn reads<R: Resource>(
    api: &mut Api<'_>,
    of: &Description,
    words: &Words,
    (all, one): (&str, &str),
) {
    let kinds = api.kinds;
    let op = api.get(all, h::list::<R>).id(format!("list{}", words.many));
    op.says(format!("List {}", words.some), words.about)
        .queries(asked(kinds, of));
    op.refuses(&[406])
        .never(&[404])
        .record(&format!("{}Page", words.one), "A page.");
    let op = api.get(one, h::get::<R>).id(format!("get{}", words.one));
    op.says(format!("Get {}", words.a), words.about)
        .past()
        .record(&words.one, "The record.");
    let op = api.get(&format!("{one}/history"), h::history::<R>);
    op.id(format!("list{}History", words.one))
        .says(
            format!("List the versions of {}", words.a),
            "Who changed what, when and why, newest first; archived records too.",
        )
        .history();
    let op = api.get(&format!("{all}/export"), bulk::export::export::<R>);
    op.id(format!("export{}", words.many)).says(
        format!("Export {} as a table", words.some),
        "All of the list, of one state, with the same filters. The list itself answers so, too, \
            when it is asked with `format=csv` or `Accept: text/csv`.",
    );
    op.queries(unpaged(kinds, of)).refuses(&[406]).never(&[404]);
    op.answer(200, "All of them.", "text/csv", schema("Table"));
    op.header("Content-Disposition");
}

fn updates<R: Resource>(
    api: &mut Api<'_>,
    of: &Description,
    words: &Words,
    (all, one): (&str, &str),
    does: Operations,
) {
    let op = api
        .patch(one, h::update::<R>)
        .id(format!("update{}", words.one));
    op.says(
        format!("Change {}", words.a),
        "A JSON merge patch (RFC 7396). One that changes nothing leaves the version as it is.",
    );
    op.shared("ArchivedToo")
        .changes::<R>()
        .patch_named(&format!("{}Patch", words.one));
    let op = api.post(&format!("{one}/links"), h::link_to::<R>);
    op.id(format!("link{}", words.one))
        .says(
            format!("Add a link to {}", words.a),
            "Adds one link to a member with several.",
        )
        .versioned("IfMatch")
        .record(&words.one, "The record with the link.")
        .body::<said::NewLink>();
    let op = api.delete(&format!("{one}/links/{{relation}}/{{to}}"), h::unlink::<R>);
    op.id(format!("unlink{}", words.one))
        .says(
            format!("Remove a link from {}", words.a),
            "Removes one link from a member with several.",
        )
        .place("relation", "The member that holds the link.", "scope_ids")
        .place_of(
            "relation",
            json!({"enum": describe::many_relations(&of.kind)}),
        )
        .place("to", "The linked record: its id or its code.", "SCO-1")
        .versioned("IfMatch")
        .record(&words.one, "The record without the link.");
    let batch = move |guard, request, input| bulk::batch::batch::<R>(guard, request, input, does);
    bulk::describe::batch(
        api.post(&format!("{all}/batch"), batch),
        of,
        &words.many,
        &words.some,
    );
}
