//! Check: gap assessments (ISO/IEC 27001:2022 clause 9).
pub mod answers;
pub mod coverage;
pub mod gap;
pub mod give;
