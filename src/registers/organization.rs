//! The organization itself (ISO/IEC 27001:2022 4.1): its name, the time zone that says which day it
//! is there, its locale. A record like any other, with one of it in each organization; so it is
//! changed under If-Match and stands in the ledger.
use crate::core::{Invalid, Result, VersionKey};
use crate::db::{Conn, schema::organizations as o, schema::versions as v};
use crate::http::Operations;
use crate::http::describe::{self, Description};
use crate::http::{Answer, Change, Guard, Input, Read, ViewQuery};
use crate::records::ask::Moments;
use crate::records::{
    By, Condition, Kind, Known, Limit, Part, Record, Resource, Selector, Stateless, Stored,
};
use actix_web::HttpRequest;
use diesel::{dsl::exists, prelude::*};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use validator::Validate;

/// What clients say about their organization.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Organization {
    /// IANA name of the time zone where its days begin and end.
    #[serde(default = "utc")]
    #[validate(length(max = 64))]
    #[schema(max_length = 64, example = "Europe/Berlin")]
    pub time_zone: String,
    /// BCP 47 tag of its language.
    #[serde(default = "english")]
    #[validate(length(min = 2, max = 35))]
    #[schema(min_length = 2, max_length = 35, example = "en")]
    pub locale: String,
    /// Days that evidence is current which names no period and no expiry.
    #[serde(default = "a_year")]
    #[validate(range(min = 1, max = 3650))]
    #[schema(minimum = 1, maximum = 3650)]
    pub evidence_default_valid_days: i32,
    /// Days until a record that is reviewed at intervals is looked at again, where neither its
    /// level nor the request says so.
    #[serde(default = "a_year")]
    #[validate(range(min = 1, max = 3650))]
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

/// Nothing to filter by: there is one.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub struct NoFilter {}

impl Resource for Organization {
    const KIND: Kind = Kind {
        part: Part::Plan,
        name: "organization",
        path: "organization",
        table: "organizations",
        code: "ORG",
        about: "The organization and its settings (4.1).",
        limited_by: &[
            (
                Limit::Scopes,
                By::ReadOnly("its name and its time zone are needed to read anything"),
            ),
            (
                Limit::Frameworks,
                By::ReadOnly("its name and its time zone are needed to read anything"),
            ),
            (
                Limit::Controls,
                By::ReadOnly("its name and its time zone are needed to read anything"),
            ),
            (
                Limit::Sources,
                By::ReadOnly("its name and its time zone are needed to read anything"),
            ),
            (
                Limit::Period,
                By::ReadOnly("its name and its time zone are needed to read anything"),
            ),
        ],
        counted: false,
        ..Kind::PLAIN
    };
    type State = Stateless;
    fn example() -> Value {
        json!({"name": "Example Shop", "time_zone": "Europe/Berlin", "locale": "en",
            "evidence_default_valid_days": 365, "review_every_days": 365})
    }
    fn faults(&self) -> Vec<Invalid> {
        let unknown = self.time_zone.parse::<chrono_tz::Tz>().is_err();
        unknown
            .then(|| {
                Invalid::body(
                    "/time_zone",
                    "unknown_time_zone",
                    "must be an IANA time zone such as Europe/Berlin",
                )
            })
            .into_iter()
            .collect()
    }
}

impl Stored for Organization {
    type Filter = NoFilter;
    fn insert(
        (tenant, id, version): VersionKey,
        record: &Record<Self>,
        conn: &mut Conn,
    ) -> QueryResult<usize> {
        let (own, key) = (
            &record.own,
            (
                o::tenant_id.eq(tenant),
                o::id.eq(id),
                o::version.eq(version),
            ),
        );
        let days = (
            o::evidence_default_valid_days.eq(own.evidence_default_valid_days),
            o::review_every_days.eq(own.review_every_days),
        );
        let row = (key, o::time_zone.eq(&own.time_zone), days);
        diesel::insert_into(o::table).values(row).execute(conn)
    }
    fn matching(_: &NoFilter, _: &Moments) -> Condition {
        Box::new(exists(
            o::table.filter(
                o::tenant_id
                    .eq(v::tenant_id)
                    .and(o::id.eq(v::id))
                    .and(o::version.eq(v::version)),
            ),
        ))
    }
}

async fn get_organization(
    guard: Guard<Read<Organization>>,
    request: HttpRequest,
) -> Result<Answer> {
    let (query, selector) = (
        ViewQuery::plain(&request)?,
        Selector::Id(guard.caller().tenant.record()),
    );
    guard
        .glance(query.as_of, move |reader| {
            reader
                .shown::<Organization>(&selector, true)
                .map(Answer::shown)
        })
        .await
}

async fn update_organization(
    guard: Guard<Change<Organization>>,
    known: Known,
    input: Input,
) -> Result<Answer> {
    let (selector, patch) = (
        Selector::Id(guard.caller().tenant.record()),
        input.patch::<Organization>().await?,
    );
    guard
        .effect(&[], move |tx| {
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
