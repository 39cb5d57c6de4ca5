//! Plan: context, scope, people, assets, threats, vulnerabilities, risks (ISO/IEC 27001:2022 clauses 4 to 6).
pub mod assessment;
pub mod asset;
pub mod attack;
pub mod in_force;
pub mod methodology;
pub mod methodology_steps;
pub mod organization;
pub mod person;
pub mod rescore;
pub mod revision;
pub mod risk;
pub mod risk_counts;
pub mod scope;
pub mod threat;
pub mod treatment;
pub mod vulnerability;
