//! Coverage: how far the controls in place meet a framework (ISO/IEC 27001:2022 6.1.3 c). A control
//! covers what it refers to, and by one mapping what another framework asks for as well; each
//! requirement shows its paths. Composed mappings are suggestions, and never count.
use crate::core::catalogue::{self, Framework, MappingKind, Requirement};
use crate::core::{Id, Problem, Result};
use crate::http::{Answer, Guard, View, ViewQuery};
use crate::records::{Reader, Resource};
use crate::registers::control::proof::Operation;
use crate::registers::control::{Control, Implementation};
use crate::registers::evidence::Evidence;
use crate::registers::facts::{ControlFact, Fact, Facts, Part, Proofs, Seen};
use crate::registers::framework::Frameworks;
use crate::registers::framework::catalogue_list::Shelf;
use crate::registers::framework::mappings::RequirementMapping;
use crate::registers::scope::{Cut, ScopeRef};
use crate::registers::table::{self, Table, list, names, table_columns, text, word};
use actix_web::web::Path;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::{IntoParams, ToSchema};

/// Controls that a path names; all of them are counted.
const NAMED: usize = 20;
/// Paths that an entry shows; all of them are counted.
const PATHS: usize = 100;

crate::vocabulary! {
    /// How far controls cover a requirement.
    pub enum CoverageState { NotCovered, Partial, Covered }
}

/// A control on a path.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CoverageControl {
    /// The control.
    pub id: Id,
    /// Its readable identifier.
    #[schema(max_length = 32)]
    pub code: String,
    /// What it is called.
    #[schema(max_length = 200)]
    pub name: String,
    /// How far it is.
    pub implementation: Implementation,
    /// Whether it works.
    pub operation: Operation,
}
/// A way from controls to a requirement.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CoveragePath {
    /// What the controls refer to: the requirement itself, a part of it, or one of another
    /// framework.
    #[schema(max_length = 120)]
    pub cited: String,
    /// How that leads to the requirement; null where it is the same, or a part of it.
    #[schema(required)]
    pub mapping: Option<RequirementMapping>,
    /// How far this way covers it.
    pub state: CoverageState,
    /// Does it rest on a composed mapping? Then it does not count.
    pub suggestion: bool,
    /// The controls, up to 20, those that work first.
    #[schema(max_items = 20)]
    pub controls: Vec<CoverageControl>,
    /// How many controls there are.
    #[schema(minimum = 0)]
    pub control_count: i64,
}
/// One requirement.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CoverageEntry {
    /// The requirement.
    #[schema(max_length = 120)]
    pub requirement: String,
    /// Its short title.
    #[schema(max_length = 300)]
    pub title: String,
    /// `covered`: a control that is implemented and operates meets it, directly or by a mapping
    /// that is equal or wider; `partial`: a control is there, but does not operate, or meets a
    /// part.
    pub state: CoverageState,
    /// What the state would be if the suggestions held; null where they would not change it.
    #[schema(required)]
    pub suggested_state: Option<CoverageState>,
    /// The ways, up to 100, the best first.
    #[schema(max_items = 100)]
    pub paths: Vec<CoveragePath>,
    /// How many ways there are.
    #[schema(minimum = 0)]
    pub path_count: i64,
}
/// Coverage in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct CoverageSummary {
    /// All that the framework asks for by itself.
    #[schema(minimum = 0)]
    pub requirements: i64,
    /// Covered.
    #[schema(minimum = 0)]
    pub covered: i64,
    /// Covered in part.
    #[schema(minimum = 0)]
    pub partial: i64,
    /// Not covered.
    #[schema(minimum = 0)]
    pub not_covered: i64,
    /// Whose state suggestions would better; not counted above.
    #[schema(minimum = 0)]
    pub suggested: i64,
}
/// How far a framework is covered.
#[derive(Debug, Serialize, ToSchema)]
pub struct Coverage {
    /// The framework.
    #[schema(max_length = 64)]
    pub framework: String,
    /// The scope; null for the whole organization.
    #[schema(required)]
    pub scope_id: Option<Id>,
    /// Each requirement that is asked for by itself, in natural order.
    #[schema(max_items = 5000)]
    pub entries: Vec<CoverageEntry>,
    /// In numbers.
    pub summary: CoverageSummary,
}

/// Coverage at the reader's moment: as many queries whatever the size, ten at most.
pub fn compute(reader: &mut Reader<'_>, slug: &str, scope: Option<Id>) -> Result<Coverage> {
    let shelf = Shelf::open(reader)?;
    let framework = shelf
        .framework(slug)
        .cloned()
        .ok_or_else(Problem::not_found)?;
    let (controls, citing) = controls(reader, scope)?;
    let mut paths: Vec<Vec<CoveragePath>> = vec![Vec::new(); framework.requirements().len()];
    let told = |cited: &str, mapping: Option<RequirementMapping>, whole: bool| {
        let by: Vec<&CoverageControl> = citing
            .get(cited)?
            .iter()
            .filter_map(|n| controls.get(*n))
            .collect();
        Some(path(cited, mapping, whole, &by))
    };
    for (place, requirement) in framework.requirements().iter().enumerate() {
        let (at, whole) = if requirement.assessable {
            (Some(place), true)
        } else {
            (above(&framework, requirement), false)
        };
        if let Some(path) = told(&requirement.id, None, whole)
            && let Some(all) = at.and_then(|at| paths.get_mut(at))
        {
            all.push(path);
        }
    }
    for (by, pair) in shelf.mappings(slug) {
        // Told from this framework; the path is told from what the controls refer to.
        let back = pair.inverse();
        let place =
            catalogue::parts(back.target).and_then(|(_, reference)| framework.place(reference));
        let target = place.and_then(|place| framework.requirements().get(place));
        let (place, whole) = match target {
            Some(part) if !part.assessable => (above(&framework, part), false),
            _ => (place, back.relationship.carries()),
        };
        let mapping = || RequirementMapping::of(by, back);
        if citing.contains_key(back.source)
            && let Some(all) = place.and_then(|place| paths.get_mut(place))
        {
            all.extend(told(back.source, Some(mapping()), whole));
        }
    }
    let both = framework
        .requirements()
        .iter()
        .zip(paths)
        .filter(|(requirement, _)| requirement.assessable);
    let entries: Vec<CoverageEntry> = both
        .map(|(requirement, paths)| entry(requirement, paths))
        .collect();
    let summary = summary(&entries);
    Ok(Coverage {
        framework: framework.slug.clone(),
        scope_id: scope,
        entries,
        summary,
    })
}

/// The nearest requirement above a heading or a part that is asked for by itself.
fn above(framework: &Framework, part: &Requirement) -> Option<usize> {
    let up = |one: &Requirement| framework.place(one.parent_ref.as_deref()?);
    let mut at = up(part)?;
    for _ in 0..framework.requirements().len() {
        let one = framework.requirements().get(at)?;
        if one.assessable {
            return Some(at);
        }
        at = up(one)?;
    }
    None
}

fn works(control: &CoverageControl) -> bool {
    control.implementation == Implementation::Implemented
        && control.operation == Operation::Operating
}

/// Pure: a way, and how far it covers.
fn path(
    cited: &str,
    mapping: Option<RequirementMapping>,
    whole: bool,
    controls: &[&CoverageControl],
) -> CoveragePath {
    let working = controls.iter().filter(|control| works(control));
    let state = if whole && working.clone().next().is_some() {
        CoverageState::Covered
    } else {
        CoverageState::Partial
    };
    let named = working
        .chain(controls.iter().filter(|control| !works(control)))
        .take(NAMED)
        .map(|control| (*control).clone())
        .collect();
    let suggestion = mapping
        .as_ref()
        .is_some_and(|mapping| mapping.kind == MappingKind::Composed);
    CoveragePath {
        cited: cited.to_owned(),
        mapping,
        state,
        suggestion,
        controls: named,
        control_count: controls.len() as i64,
    }
}

/// Pure: a requirement with its ways; suggestions do not count.
fn entry(requirement: &Requirement, mut paths: Vec<CoveragePath>) -> CoverageEntry {
    let best = |counts: &dyn Fn(&CoveragePath) -> bool| {
        let states = paths
            .iter()
            .filter(|path| counts(path))
            .map(|path| path.state);
        states
            .max_by_key(|state| *state as u8)
            .unwrap_or(CoverageState::NotCovered)
    };
    let (state, with_all) = (best(&|path| !path.suggestion), best(&|_| true));
    paths.sort_by_key(|path| {
        (
            path.suggestion,
            std::cmp::Reverse(path.state as u8),
            path.mapping.is_some(),
        )
    });
    let path_count = paths.len() as i64;
    paths.truncate(PATHS);
    let suggested_state = (with_all != state).then_some(with_all);
    CoverageEntry {
        requirement: requirement.id.clone(),
        title: requirement.title.clone(),
        state,
        suggested_state,
        paths,
        path_count,
    }
}

/// Pure: the entries in numbers.
fn summary(entries: &[CoverageEntry]) -> CoverageSummary {
    let of = |state| entries.iter().filter(|entry| entry.state == state).count() as i64;
    CoverageSummary {
        requirements: entries.len() as i64,
        covered: of(CoverageState::Covered),
        partial: of(CoverageState::Partial),
        not_covered: of(CoverageState::NotCovered),
        suggested: entries
            .iter()
            .filter(|entry| entry.suggested_state.is_some())
            .count() as i64,
    }
}

/// The places of the controls that refer to a requirement.
type Citing = HashMap<String, Vec<usize>>;

/// The controls that stand in a scope (its own, and those of the whole organization), retired ones
/// left out, in the order of their codes; and which of them refer to which requirement, by their
/// places.
fn controls(reader: &mut Reader<'_>, scope: Option<Id>) -> Result<(Vec<CoverageControl>, Citing)> {
    let facts = Facts::of(reader, &[Part::Controls, Part::Evidence])?;
    let seen = Seen::of(reader, Control::KIND.name)?;
    let evidence = Seen::of(reader, Evidence::KIND.name)?;
    let proofs = Proofs::of(&facts, reader, &evidence);
    let here = facts.controls.iter().enumerate().filter(|(_, control)| {
        let (stub, own) = (&control.stub, &control.own);
        let retired = own.stage == Implementation::Retired;
        !stub.archived && !retired && stub.within(scope) && seen.has(stub.id)
    });
    let mut here: Vec<_> = here.collect();
    here.sort_by_key(|(_, control)| control.stub.number);
    let mut citing: HashMap<String, Vec<usize>> = HashMap::new();
    for (n, (_, control)) in here.iter().enumerate() {
        for requirement in &control.own.requirements {
            citing.entry(requirement.clone()).or_default().push(n);
        }
    }
    let told = |(place, control): (usize, &Fact<ControlFact>)| CoverageControl {
        id: control.stub.id,
        code: Control::KIND.numbered(control.stub.number),
        name: control.own.name.to_string(),
        implementation: control.own.stage,
        operation: proofs.operation(place, &control.own),
    };
    Ok((here.into_iter().map(told).collect(), citing))
}

table_columns! { ENTRY of entry: CoverageEntry {
    "requirement" => entry.requirement.clone(),
    "title" => entry.title.clone(),
    "state" => word(Some(entry.state)),
    "suggested_state" => word(entry.suggested_state),
} }
table_columns! { PATH of path: CoveragePath {
    "cited" => path.cited.clone(),
    "path_state" => word(Some(path.state)),
    "target" => text(path.mapping.as_ref().map(|mapping| &mapping.target)),
    "relationship" => word(path.mapping.as_ref().map(|mapping| mapping.relationship)),
    "kind" => word(path.mapping.as_ref().map(|mapping| mapping.kind)),
    "provenance" => text(path.mapping.as_ref().map(|mapping| &mapping.provenance)),
    "suggestion" => path.suggestion.to_string(),
    "controls" => list(path.controls.iter().map(|control| &control.code)),
    "control_count" => path.control_count.to_string(),
} }

/// A row for each way; a requirement without any has one, too.
fn as_csv(coverage: &Coverage) -> Result<String> {
    let mut table = Table::of(names(ENTRY).chain(names(PATH)));
    for entry in &coverage.entries {
        for path in &entry.paths {
            table.row().says(entry, ENTRY).says(path, PATH);
        }
        if entry.paths.is_empty() {
            table.row().says(entry, ENTRY);
        }
    }
    table.text()
}

/// What can be asked of `getCoverage`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CoverageQuery {
    /// Only controls of this scope, and of the whole organization: id or code.
    #[param(inline)]
    scope_id: Option<ScopeRef>,
}

async fn get_coverage(
    guard: Guard<View<Frameworks>>,
    slug: Path<String>,
    query: ViewQuery<CoverageQuery>,
) -> Result<Answer> {
    let csv = query.wants("csv", "text/csv")?;
    let cut = Cut(query.own.scope_id);
    let work = move |reader: &mut Reader<'_>| {
        let scope = cut.scope(reader)?;
        compute(reader, &slug, scope)
    };
    table::view(&guard, csv, query.as_of, work, as_csv).await
}

/// Mounts them.
pub fn mount(api: &mut crate::http::Api<'_>) {
    api.get("/v1/frameworks/{slug}/coverage", get_coverage)
        .id("getCoverage")
        .says(
            "Get how far controls cover a framework",
            "Directly, and by one mapping from what \
            they refer to in other frameworks. `format=csv` (or `Accept: text/csv`) is the same \
            computation, a row for each way.",
        )
        .place("slug", "The framework.", "nist-csf-2.0")
        .past()
        .query::<CoverageQuery>()
        .answers::<Coverage>("The coverage.")
        .or_csv();
}
