//! What is said with an action: the bodies that registers share.
use chrono::NaiveDate;
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::ToSchema;
use validator::Validate;

/// What is said with a transition.
pub trait HasComment: DeserializeOwned + Validate + ToSchema + Send + 'static {
    /// Can it be left out, since no member of it is required?
    const OPTIONAL: bool = false;
    /// Why; it becomes the reason of the entry.
    fn comment(&self) -> Option<&str>;
}

/// What is said with a transition that is not accepted without a reason.
#[derive(Debug, Clone, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"comment": "As decided in the ISMS meeting."}))]
pub struct RequiredComment {
    /// Why. The history keeps it.
    #[validate(length(min = 1, max = 2000))]
    #[schema(min_length = 1, max_length = 2000)]
    pub comment: String,
}

impl HasComment for RequiredComment {
    fn comment(&self) -> Option<&str> {
        Some(&self.comment)
    }
}

/// What may be said with a transition.
#[derive(Debug, Clone, Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Comment, example = json!({"comment": "As discussed in the ISMS meeting."}))]
pub struct OptionalComment {
    /// Why; it stands in the history.
    #[schema(max_length = 2000)]
    pub comment: Option<String>,
}

impl HasComment for OptionalComment {
    const OPTIONAL: bool = true;
    fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }
}

/// What a review found.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"comment": "Still right.", "outcome": "unchanged",
    "review_due_on": "2027-03-01"}))]
pub struct Reviewed {
    /// What was looked at, and what was found; it stands in the history.
    #[schema(max_length = 2000)]
    pub comment: Option<String>,
    /// What follows from it.
    #[schema(max_length = 200)]
    pub outcome: Option<String>,
    /// When to look again. When absent: as the level of a risk says, else as the organization's
    /// `review_every_days` does.
    pub review_due_on: Option<NaiveDate>,
}

/// One link to add.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"relation": "scope_ids", "to": "SCO-1"}))]
pub struct NewLink {
    /// The member that holds it, such as `control_ids`.
    #[schema(min_length = 1, max_length = 64)]
    pub relation: String,
    /// The record to link with: its id or its code.
    #[schema(min_length = 1, max_length = 64)]
    pub to: String,
}
