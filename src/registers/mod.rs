//! Floor 5: the table of contents of the product, in the order of the cycle: Plan, Do, Check, Act.
pub mod act;
pub mod check;
#[path = "do_/mod.rs"]
pub mod r#do;
pub mod plan;

use crate::http::{Api, Collection, Operations};
use crate::records::rebuild::Replay;
use crate::records::{Kind, Resource};
use act::{action::Action, nonconformity::Nonconformity};
use check::{answers::GapAnswer, gap::GapAssessment};
use r#do::{applicability::Applicability, control::Control, evidence::Evidence, import::ImportedFramework, soa_version::SoaVersion};
use plan::{
    asset::Asset, methodology::RiskMethodology, organization::Organization, person::Person, risk::Risk, scope::Scope, threat::Threat,
    treatment::RiskTreatment, vulnerability::Vulnerability,
};
use serde_json::Value;

/// A register, as the application and the law tests see it.
pub struct Room {
    /// Its words.
    pub kind: Kind,
    /// A valid body.
    pub example: fn() -> Value,
    /// How its derived tables are filled from the ledger.
    pub replay: Replay,
    /// Its part of the cycle: the folder that it stands in.
    pub part: fn() -> &'static str,
    /// Which of the common operations it has.
    pub operations: Option<Operations>,
    mount: fn(&mut Api<'_>, Operations),
    actions: fn(&mut Api<'_>),
}

/// All registers.
pub const ROOMS: &[Room] = &[
    settings::<Organization>(plan::organization::mount),
    room::<Scope>(Operations::ALL, plan::scope::actions),
    room::<Person>(Operations { import: true, ..Operations::KEPT }, nothing),
    room::<RiskMethodology>(Operations::ALL, plan::methodology_steps::actions),
    room::<Asset>(Operations { import: true, ..Operations::ALL }, plan::asset::actions),
    room::<Threat>(Operations::KEPT, plan::attack::mount),
    room::<Vulnerability>(Operations { import: true, ..Operations::KEPT }, plan::vulnerability::actions),
    room::<Risk>(Operations { import: true, ..Operations::ALL }, plan::risk::actions),
    room::<RiskTreatment>(Operations::KEPT, plan::treatment::actions),
    settings::<ImportedFramework>(r#do::framework::mount),
    room::<Control>(Operations { import: true, ..Operations::ALL }, r#do::occurrence::actions),
    settings::<Applicability>(r#do::applicability::mount),
    settings::<SoaVersion>(nothing),
    room::<Evidence>(Operations { create: false, ..Operations::KEPT }, r#do::evidence::actions),
    room::<GapAssessment>(Operations::KEPT, check::gap::actions),
    settings::<GapAnswer>(nothing),
    room::<Nonconformity>(Operations::KEPT, act::nonconformity::actions),
    room::<Action>(Operations::KEPT, act::action::actions),
];

impl Room {
    /// Mounts and describes the collection and what else belongs to it; that comes first, since the collection takes any word for an id.
    pub fn mount(&self, api: &mut Api<'_>) {
        (self.actions)(api);
        if let Some(operations) = self.operations {
            (self.mount)(api, operations);
        }
    }
}

fn nothing(_: &mut Api<'_>) {}

/// `Plan` of `isms::registers::plan::…`.
fn part<R>() -> &'static str {
    match std::any::type_name::<R>().split("::").nth(2) {
        Some("plan") => "Plan",
        Some("check") => "Check",
        Some("act") => "Act",
        _ => "Do",
    }
}

const fn room<R: Resource>(operations: Operations, actions: fn(&mut Api<'_>)) -> Room {
    Room {
        kind: R::KIND,
        example: R::example,
        replay: Replay::of::<R>(),
        part: part::<R>,
        operations: Some(operations),
        mount: |api, does| api.service(Collection::<R>::new(does)),
        actions,
    }
}

/// A record that is kept like a register's, but stands at a place of its own.
const fn settings<R: Resource>(actions: fn(&mut Api<'_>)) -> Room {
    Room { kind: R::KIND, example: R::example, replay: Replay::of::<R>(), part: part::<R>, operations: None, mount: |_, _| {}, actions }
}
