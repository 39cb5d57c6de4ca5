//! Act: nonconformities and what is done about them (ISO/IEC 27001:2022 clause 10).
pub mod action;
pub mod nonconformity;
