//! The organization itself (ISO/IEC 27001:2022 4.1): its name, the time zone that says which day it
//! is there, its locale. A record like any other, with one of it in each organization; so it is
//! changed under If-Match and stands in the ledger.
use crate::core::{Invalid, Result};
use crate::db::schema::organizations;
use crate::http::Operations;
use crate::http::describe::{self, Description};
use crate::http::{Answer, Change, Guard, Input, Read, ViewQuery};
use crate::records::limit::read_only;
use crate::records::{By, IfMatch, Kind, NoState, Part, Resource, Selector};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use validator::Validate;

/// What clients say about their organization.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Organization {
    /// IANA name of the time zone where its days begin and end.
    #[serde(default = "utc")]
    #[schema(max_length = 64, example = "Europe/Berlin")]
    pub time_zone: String,
    /// BCP 47 tag of its language.
    #[serde(default = "english")]
    #[schema(min_length = 2, max_length = 35, example = "en")]
    pub locale: String,
    /// Days that evidence is current which names no period and no expiry.
    #[serde(default = "a_year")]
    #[schema(minimum = 1, maximum = 3650)]
    pub evidence_default_valid_days: i32,
    /// Days until a record that is reviewed at intervals is looked at again, where neither its
    /// level nor the request says so.
    #[serde(default = "a_year")]
    #[schema(minimum = 1, maximum = 3650)]
    pub review_every_days: i32,
}
fn utc() -> String {
    "UTC".into()
}
fn english() -> String {
    "en".into()
}
fn a_year() -> i32 {
    365
}

const NEEDED: &str = "its name and its time zone are needed to read anything";

impl Resource for Organization {
    const KIND: Kind = Kind {
        part: Part::Plan,
        name: "organization",
        path: "organization",
        code: "ORG",
        about: "The organization and its settings (4.1).",
        limited_by: &read_only(By::ReadOnly(NEEDED), NEEDED),
        remembered: true,
        counted: false,
        ..Kind::PLAIN
    };
    type State = NoState;
    fn example() -> Value {
        json!({"name": "Example Shop", "time_zone": "Europe/Berlin", "locale": "en",
            "evidence_default_valid_days": 365, "review_every_days": 365})
    }
    fn faults(&self) -> Vec<Invalid> {
        let unknown = self.time_zone.parse::<chrono_tz::Tz>().is_err();
        Vec::from_iter(unknown.then(|| {
            Invalid::body(
                "/time_zone",
                "unknown_time_zone",
                "must be an IANA time zone such as Europe/Berlin",
            )
        }))
    }
}

crate::columns! {
    organizations of Organization {
        time_zone,
        evidence_default_valid_days,
        review_every_days,
    }
}

async fn get_organization(guard: Guard<Read<Organization>>, query: ViewQuery) -> Result<Answer> {
    let selector = Selector::Id(guard.caller().tenant.record());
    guard
        .read_one(query.as_of, move |reader| {
            reader
                .shown::<Organization>(&selector, true)
                .map(Answer::shown)
        })
        .await
}

async fn update_organization(
    guard: Guard<Change<Organization>>,
    known: IfMatch,
    input: Input,
) -> Result<Answer> {
    let (selector, patch) = (
        Selector::Id(guard.caller().tenant.record()),
        input.patch::<Organization>().await?,
    );
    guard
        .write_raw(&[], move |tx| {
            let stored = tx.load::<Organization>(&selector, &known)?;
            let saved = tx.patch(stored, patch)?;
            Ok(tx.shown(saved)?.map(Answer::shown))
        })
        .await
}

/// Mounts the organization: it has no list and cannot be created or archived through the API.
pub fn mount(api: &mut crate::http::Api<'_>) {
    let does = Operations {
        update: true,
        ..Operations::READ
    };
    describe::schemas(api.document, &Description::of::<Organization>(), does);
    api.get("/v1/organization", get_organization)
        .id("getOrganization")
        .says(
            "Get the organization",
            "Its name, time zone, locale and defaults.",
        )
        .past()
        .record(&Organization::name(), "The record.");
    api.patch("/v1/organization", update_organization)
        .id("updateOrganization")
        .says("Change the organization", "A JSON merge patch (RFC 7396).")
        .changes::<Organization>()
        .patch_named("OrganizationPatch");
}
