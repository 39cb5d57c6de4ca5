//! Many records in one request: batches (JSON), imports and exports (CSV, RFC 4180), the same for
//! every register.
pub mod batch;
pub mod describe;
pub mod export;
pub mod import;
pub mod rows;
pub mod table;
