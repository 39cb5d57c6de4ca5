//! The score of a risk.
use crate::access::Actor;
use crate::core::{Id, Instant};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A score, as it was given; never rewritten.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RiskScore {
    /// How likely.
    #[schema(minimum = 1, maximum = 10)]
    pub likelihood: i32,
    /// How bad: the highest of the dimensions.
    #[schema(minimum = 1, maximum = 10)]
    pub impact: i32,
    /// How bad in each dimension, where the methodology has several.
    #[schema(required)]
    pub impacts: Option<BTreeMap<String, i32>>,
    /// Likelihood × impact.
    #[schema(minimum = 1, maximum = 100)]
    pub score: i32,
    /// The level in the methodology's matrix.
    #[schema(max_length = 32)]
    pub level: String,
    /// The place of that level among the methodology's levels, 1 the lowest.
    #[schema(minimum = 1, maximum = 10)]
    pub level_rank: i32,
    /// Did the level meet the acceptance criteria?
    pub acceptable: bool,
    /// The methodology.
    pub methodology_id: Id,
    /// Its revision.
    #[schema(minimum = 1)]
    pub methodology_revision: i32,
    /// When.
    pub assessed_at: Instant,
    /// By whom.
    pub assessed_by: Actor,
}
