//! One entry of the ledger as it is answered.
use crate::access::Actor;
use crate::core::{Id, Instant, text::hex};
use crate::records::history::Entry;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// One entry of the ledger. One that the reader may not see has its position and the hash of its
/// leaf, and says `hidden`.
#[derive(Debug, Serialize, ToSchema)]
pub struct LedgerEvent {
    /// Its position.
    #[schema(minimum = 0)]
    pub seq: i64,
    /// RFC 6962 hash of its leaf, in hexadecimal digits.
    #[schema(min_length = 64, max_length = 64)]
    pub leaf_hash: String,
    /// Is it about something that the reader may not see? Then nothing else is said.
    pub hidden: bool,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub at: Option<Instant>,
    /// Who.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub actor: Option<Actor>,
    /// What was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 64)]
    pub action: Option<String>,
    /// In which register.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 64)]
    pub kind: Option<String>,
    /// With which record.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub id: Option<Id>,
    /// Its readable identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 32)]
    pub code: Option<Value>,
    /// What it was called then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 200)]
    pub name: Option<Value>,
    /// Its version after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1)]
    pub version: Option<i32>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 2500)]
    pub reason: Option<Value>,
    /// The request that caused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub request_id: Option<Id>,
    /// The members that changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_items = 1000, max_length = 100)]
    pub changed: Option<Vec<String>>,
}
impl LedgerEvent {
    /// What is said of an entry that the reader may not see.
    pub fn hidden(entry: &Entry) -> Self {
        LedgerEvent {
            seq: entry.seq,
            leaf_hash: hex(&entry.leaf_hash),
            hidden: true,
            at: None,
            actor: None,
            action: None,
            kind: None,
            id: None,
            code: None,
            name: None,
            version: None,
            reason: None,
            request_id: None,
            changed: None,
        }
    }
}
