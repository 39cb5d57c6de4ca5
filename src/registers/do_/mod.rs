//! Do: frameworks, controls, applicability, evidence (ISO/IEC 27001:2022 clauses 6.1.3, 8 and Annex A).
pub mod applicability;
pub mod content;
pub mod contradiction;
pub mod control;
pub mod decide;
pub mod evidence;
pub mod framework;
pub mod import;
pub mod occurrence;
pub mod push;
pub mod revisions;
pub mod rows;
pub mod shelf;
pub mod soa_version;
pub mod statements;
pub mod support;
