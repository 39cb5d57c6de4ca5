//! Floor 5: the table of contents of the product, in the order of the cycle: Plan, Do, Check, Act.
pub mod action;
pub mod answers;
pub mod asset;
pub mod control;
pub mod evidence;
pub mod facts;
pub mod framework;
pub mod gap;
pub mod methodology;
pub mod nonconformity;
pub mod organization;
pub mod pages;
pub mod person;
pub mod revision;
pub mod risk;
pub mod scope;
pub mod soa;
pub mod table;
pub mod threat;
pub mod treatment;
pub mod vulnerability;

use crate::http::{Api, Operations, collection};
use crate::records::rebuild::Replay;
use crate::records::{Kind, Resource};
use action::Action;
use asset::Asset;
use control::Control;
use evidence::Evidence;
use framework::own::ImportedFramework;
use gap::{GapAssessment, answer::GapAnswer};
use methodology::RiskMethodology;
use nonconformity::Nonconformity;
use organization::Organization;
use person::Person;
use risk::Risk;
use scope::Scope;
use serde_json::Value;
use soa::{applicability::Applicability, version::SoaVersion};
use threat::Threat;
use treatment::RiskTreatment;
use vulnerability::Vulnerability;

/// A register, as the application and the law tests see it.
pub struct Register {
    /// Its words.
    pub kind: Kind,
    /// A valid body.
    pub example: fn() -> Value,
    /// The members that are computed at reading, with their schemas.
    pub computed: fn() -> Vec<(&'static str, Value)>,
    /// How its derived tables are filled from the ledger.
    pub replay: Replay,
    /// Which of the common operations it has.
    pub operations: Option<Operations>,
    mount: fn(&mut Api<'_>, Operations),
    actions: fn(&mut Api<'_>),
}

const KEPT_AND_IMPORTED: Operations = Operations {
    import: true,
    ..Operations::KEPT
};
const ALL_AND_IMPORTED: Operations = Operations {
    import: true,
    ..Operations::ALL
};

/// All registers.
pub const REGISTERS: &[Register] = &[
    settings::<Organization>(organization::mount),
    room::<Scope>(Operations::ALL, scope::actions),
    room::<Person>(KEPT_AND_IMPORTED, nothing),
    room::<RiskMethodology>(Operations::ALL, methodology::steps::actions),
    room::<Asset>(ALL_AND_IMPORTED, asset::actions),
    room::<Threat>(Operations::KEPT, threat::attack::mount),
    room::<Vulnerability>(KEPT_AND_IMPORTED, vulnerability::actions),
    room::<Risk>(ALL_AND_IMPORTED, risk::actions),
    room::<RiskTreatment>(Operations::KEPT, treatment::actions),
    settings::<ImportedFramework>(framework::mount),
    room::<Control>(ALL_AND_IMPORTED, control::occurrence::actions),
    settings::<Applicability>(soa::decide::mount),
    settings::<SoaVersion>(soa::mount),
    room::<Evidence>(
        Operations {
            create: false,
            ..Operations::KEPT
        },
        evidence::actions,
    ),
    room::<GapAssessment>(Operations::KEPT, gap::actions),
    settings::<GapAnswer>(nothing),
    room::<Nonconformity>(Operations::KEPT, nonconformity::actions),
    room::<Action>(Operations::KEPT, action::actions),
];

impl Register {
    /// Mounts and describes the collection and what else belongs to it; that comes first, since the
    /// collection takes any word for an id.
    pub fn mount(&self, api: &mut Api<'_>) {
        (self.actions)(api);
        if let Some(operations) = self.operations {
            (self.mount)(api, operations);
        }
    }
}

fn nothing(_: &mut Api<'_>) {}

const fn room<R: Resource>(operations: Operations, actions: fn(&mut Api<'_>)) -> Register {
    Register {
        kind: R::KIND,
        example: R::example,
        computed: R::computed_schemas,
        replay: Replay::of::<R>(),
        operations: Some(operations),
        mount: |api, does| collection::mount::<R>(api, does),
        actions,
    }
}

/// A record that is kept like a register's, but stands at a place of its own.
const fn settings<R: Resource>(actions: fn(&mut Api<'_>)) -> Register {
    Register {
        kind: R::KIND,
        example: R::example,
        computed: R::computed_schemas,
        replay: Replay::of::<R>(),
        operations: None,
        mount: |_, _| {},
        actions,
    }
}
