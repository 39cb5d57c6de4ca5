//! Entering an import: the next revision of a framework, or the first.
use crate::core::catalogue::Requirement;
use crate::core::{Code, Id, Problem, Result, json, packed};
use crate::db::dialect::NOW;
use crate::http::{Answer, Change};
use crate::ledger::Recorded;
use crate::records::frameworks::{self as contents, Content, Head, OwnMapping};
use crate::records::{IfMatch, Record, Resource, Selector, Sound, Tx};
use crate::registers::framework::FrameworkShown;
use crate::registers::framework::catalogue_list::seen;
use crate::registers::framework::csv_rows::{Rows, refused};
use crate::registers::framework::imported::ImportedMapping;
use crate::registers::framework::own::{ImportedFramework, ImportedState};
use actix_web::http::StatusCode;
use std::collections::HashSet;

/// Frameworks of one organization.
const MOST: usize = 100;

/// The next revision, or the first; the same content again is no change.
pub fn enter(
    tx: &mut Tx<'_, Change<ImportedFramework>>,
    head: Sound<ImportedFramework>,
    requirements: Option<Vec<Requirement>>,
    mappings: Option<Rows<ImportedMapping>>,
    known: &IfMatch,
) -> Result<Recorded<Answer>> {
    let (tenant, slug) = (tx.caller().tenant, head.own.slug.clone());
    if !seen(tx.caller(), &slug) {
        return Err(Problem::new(
            Code::OutsideLimits,
            "Your key is limited to other frameworks.",
        ));
    }
    let before = contents::find(tx.conn(), tenant, NOW, &slug)?;
    if *known != IfMatch::Missing {
        known.check(before.as_ref().map_or(0, |own| own.head.version))?;
    }
    if before.is_none() && contents::heads(tx.conn(), tenant, NOW)?.len() >= MOST {
        return Err(Problem::new(
            Code::Conflict,
            format!("An organization may import at most {MOST} frameworks."),
        ));
    }
    let stood = before.as_ref().map(|own| Content {
        requirements: own.framework.requirements().to_vec(),
        mappings: own.mappings.clone(),
    });
    let stood = stood.unwrap_or_default();
    let requirements = requirements.unwrap_or(stood.requirements);
    let own: HashSet<&str> = requirements.iter().map(|one| one.id.as_str()).collect();
    let mine = format!("{slug}:");
    let caller = tx.caller();
    let mut library = tx.library();
    let mut there = |id: &str| match id.starts_with(&mine) {
        true => Ok(own.contains(id)),
        false => library.has(id),
    };
    let mappings: Vec<OwnMapping> = match mappings {
        Some(rows) => {
            let seen = |slug: &str| seen(caller, slug);
            let (mappings, faults) = rows.mappings(&slug, &mut there, &seen)?;
            refused(faults)?;
            mappings
        }
        None => {
            let leads = |id: &String| !id.starts_with(&mine) || own.contains(id.as_str());
            let leads = |pair: &OwnMapping| leads(&pair.source) && leads(&pair.target);
            stood.mappings.into_iter().filter(leads).collect()
        }
    };
    if requirements.is_empty() && mappings.is_empty() {
        let words = "send requirements or mappings";
        return Err(Problem::invalid_one("/requirements", "required", words));
    }
    let (requirement_count, mapping_count) = (requirements.len() as i32, mappings.len() as i32);
    let canonical = json::canonical(&Content {
        requirements,
        mappings,
    })?;
    let sha256 = packed::digest(&canonical);
    contents::keep(tx.conn(), tenant, &sha256, &canonical)?;
    let state = ImportedState {
        revision: before.as_ref().map_or(0, |own| own.head.revision) + 1,
        requirement_count,
        mapping_count,
        sha256,
    };
    let recorded = match before {
        None => {
            let draft = tx.draft(head)?;
            tx.create_as(Id::new(), draft, state, ImportedFramework::KIND.initial)?
        }
        Some(own) => {
            let stored =
                tx.load::<ImportedFramework>(&Selector::Id(own.head.id), &IfMatch::any())?;
            let mut record = stored.clone();
            (record.common.name, record.own, record.state) = (head.common.name, head.own, state);
            if record.state.sha256 == stored.state.sha256 && record.body()? == stored.body()? {
                let answer = shown(&stored, StatusCode::OK)?;
                return tx.unchanged(answer);
            }
            tx.save(&stored, record, "import")?
        }
    };
    let answer = shown(recorded.get(), StatusCode::CREATED)?;
    Ok(recorded.map(|_| answer))
}

fn shown(record: &Record<ImportedFramework>, status: StatusCode) -> Result<Answer> {
    let (own, state, spine) = (record.own.clone(), record.state.clone(), &record.spine);
    let head = Head {
        id: spine.id,
        version: spine.version,
        title: record.common.name.clone(),
        slug: own.slug,
        edition: own.edition,
        publisher: own.publisher,
        revision: state.revision,
        requirement_count: state.requirement_count,
        mapping_count: state.mapping_count,
        sha256: state.sha256,
        imported_at: spine.updated_at,
    };
    let location = (status == StatusCode::CREATED).then(|| format!("/v1/frameworks/{}", head.slug));
    let answer = Answer::of(&FrameworkShown::own(&head))?.tagged(format!("\"{}\"", head.version));
    Ok(Answer {
        status,
        location,
        ..answer
    })
}
