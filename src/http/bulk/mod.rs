//! Many records in one request: batches (JSON), imports and exports (CSV, RFC 4180), the same for
//! every register.
pub mod batch;
pub mod describe;
pub mod export;
pub mod import;
pub mod table;

use crate::core::{Invalid, Problem, Result};
use actix_web::HttpRequest;

/// Is this flag set in the query? Nothing else may stand there.
fn flag(request: &HttpRequest, flag: &str) -> Result<bool> {
    let (mut set, mut faults) = (false, Vec::new());
    for (name, value) in form_urlencoded::parse(request.query_string().as_bytes()) {
        match value.parse() {
            _ if name != flag => faults.push(Invalid::query(
                name,
                "unknown_parameter",
                "unknown parameter",
            )),
            Ok(said) => set = said,
            Err(_) => faults.push(Invalid::query(
                name,
                "invalid_parameter",
                "must be true or false",
            )),
        }
    }
    if faults.is_empty() {
        Ok(set)
    } else {
        Err(Problem::parameters(faults))
    }
}
