//! What a history can be asked.
use super::ViewQuery;
use crate::core::Result;
use crate::records::{Reader, Resource, Selector, history};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

/// What a history can be asked.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub struct HistoryQuery {
    /// Only versions before this position.
    #[param(minimum = 0)]
    pub before_seq: Option<i64>,
    /// The whole record with each version.
    #[param(inline)]
    pub include: Option<HistoryPart>,
}

/// What a history has besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HistoryPart {
    /// The whole record.
    Body,
}

/// A question for a history.
pub type HistoryView = ViewQuery<HistoryQuery>;

impl HistoryView {
    /// The page of that record; an empty one where there is none yet.
    pub fn history<R: Resource>(
        &self,
        reader: &mut Reader<'_>,
        record: Option<&Selector>,
    ) -> Result<history::HistoryPage> {
        let with_body = self.own.include.is_some();
        match record {
            Some(selector) => {
                let before = self.own.before_seq;
                history::of::<R>(reader, selector, self.page.limit, before, with_body)
            }
            None => Ok(history::HistoryPage {
                data: vec![],
                has_more: false,
            }),
        }
    }
}
