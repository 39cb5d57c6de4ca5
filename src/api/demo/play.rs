//! Plays the script: each step is a request to the same application that is served, with a key. The
//! clock is set back meanwhile and moves with the script, so that the organization has a past that
//! `as_of` can show.
use super::script::{self, Step};
use crate::access::api_key;
use crate::api::contract::Contract;
use crate::api::document::document;
use crate::api::frame::Frame;
use crate::api::metrics::Metrics;
use crate::api::server::{self, Outcome};
use crate::config::Config;
use crate::core::{Clock, Id, Instant};
use crate::http::House;
use crate::identity::founding;
use actix_web::body::BoxBody;
use actix_web::dev::{Service, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::test::TestRequest;
use actix_web::web::Data;
use actix_web::{App, Error};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

const SCRIPT: &str = include_str!("nordwind.txt");
const NAME: &str = "Nordwind Logistics";
const EMAIL: &str = "security@nordwind.example";
const ADMIN: &str = "Head of information security";
/// The first request of a day, in milliseconds after midnight UTC, and how much later the next one
/// is.
const MORNING: i64 = 7 * 3_600_000;
const PACE: i64 = 60_000;
/// Requests that are sent at once.
const GROUP: usize = 24;

/// What filling made: the organization, and the keys by role.
pub struct Filled {
    /// The organization.
    pub organization: Id,
    /// The secrets of the keys, by role.
    pub keys: BTreeMap<String, String>,
}

/// Fills the empty database that the settings name. The house is one of its own: with the clock of
/// the script, and without a rate limit.
pub async fn fill(config: &Config, today: Instant) -> Outcome<Filled> {
    let hands = Arc::new(AtomicI64::new(today.millis()));
    let read = hands.clone();
    let clock = Clock::from_fn(move || {
        chrono::DateTime::from_timestamp_millis(read.load(Ordering::Relaxed)).unwrap_or_default()
    });
    let unlimited = Config {
        rate_limit: 0,
        ..config.clone()
    };
    let house = server::house(&unlimited, clock)?;
    let mut steps = script::steps(SCRIPT)?;
    let today = today.day(chrono_tz::Europe::Berlin);
    set(&hands, today, steps.first().map_or(0, |step| step.day))?;
    let password = api_key::setup_token().map_err(|e| e.to_string())?;
    let plan = founding::Plan {
        name: ADMIN.into(),
        ..founding::Plan::new(NAME, EMAIL, &password)
    };
    let founded = founding::found(&house, plan)
        .await
        .map_err(|e| e.to_string())?;
    let app = application(house)?;
    let app = actix_web::test::init_service(app).await;
    let mut keys = BTreeMap::new();
    steps
        .iter_mut()
        .for_each(|step| script::dated(&mut step.body, today));
    let embedded = config.database_url.starts_with("sqlite:");
    for day in steps.chunk_by(|a, b| a.day == b.day) {
        set(&hands, today, day.first().map_or(0, |step| step.day))?;
        if day.iter().any(|step| step.role == "admin") {
            keys.insert(
                "admin".to_owned(),
                login(&app, TestRequest::to_request, (EMAIL, &password)).await?,
            );
        }
        let groups = day
            .chunk_by(|a, b| embedded && !alone(a) && !alone(b))
            .flat_map(|group| group.chunks(GROUP));
        for group in groups {
            hands.fetch_add(PACE * i64::try_from(group.len())?, Ordering::Relaxed);
            for answer in join_all(
                group
                    .iter()
                    .map(|step| play(&app, step, keys.get(step.role), TestRequest::to_request)),
            )
            .await
            {
                let answer = answer?;
                let (secret, role, token) = (
                    member(&answer, "secret"),
                    member(&answer, "role"),
                    member(&answer, "setup_token"),
                );
                if !token.is_empty() {
                    let login = set_up(&app, TestRequest::to_request, token).await?;
                    keys.insert(member(&answer, "code").to_owned(), login);
                }
                if !secret.is_empty() {
                    keys.insert(role.to_owned(), secret.to_owned());
                }
            }
        }
    }
    keys.retain(|role, _| role != "admin" && !role.starts_with("USR-"));
    Ok(Filled {
        organization: founded.organization_id,
        keys,
    })
}

/// Must it be answered before the next one is sent? In the embedded database the others are written
/// in the order in which they are sent, so that several may share a commit.
fn alone(step: &Step<'_>) -> bool {
    ["organization", "people", "users", "api-keys", "evidence"]
        .iter()
        .any(|path| step.path.starts_with(path))
        || decides(step)
}

/// Is it about the version that was read?
fn decides(step: &Step<'_>) -> bool {
    let verb = step.path.rsplit_once('/').map(|(_, verb)| verb);
    verb.is_some_and(|verb| {
        crate::api::KINDS
            .all()
            .iter()
            .any(|kind| kind.decides(verb))
    })
}

/// An access token.
async fn login<Q>(
    app: &impl Service<Q, Response = ServiceResponse<BoxBody>, Error = Error>,
    form: impl FnOnce(TestRequest) -> Q,
    (email, password): (&str, &str),
) -> Outcome<String> {
    let request = TestRequest::post()
        .uri("/v1/auth/login")
        .set_json(json!({"email": email, "password": password}));
    Ok(member(&said(app, form(request)).await?, "access_token").to_owned())
}

/// The first login of a user, with a password that nobody keeps: an access token.
async fn set_up<Q>(
    app: &impl Service<Q, Response = ServiceResponse<BoxBody>, Error = Error>,
    form: impl FnOnce(TestRequest) -> Q,
    token: &str,
) -> Outcome<String> {
    let password = api_key::setup_token().map_err(|e| e.to_string())?;
    let body = json!({"setup_token": token, "password": password});
    let request = TestRequest::post().uri("/v1/auth/setup").set_json(body);
    Ok(member(&said(app, form(request)).await?, "access_token").to_owned())
}

/// Sends one request, and looks at what was made.
async fn play<Q>(
    app: &impl Service<Q, Response = ServiceResponse<BoxBody>, Error = Error>,
    step: &Step<'_>,
    key: Option<&String>,
    form: impl Fn(TestRequest) -> Q,
) -> Outcome<Value> {
    let at = format!("{} {} (line {})", step.method, step.path, step.line);
    let key = key.ok_or_else(|| format!("{at}: there is no key {}", step.role))?;
    let mut request = request(step, key);
    if let Some((record, _)) = step.path.rsplit_once('/').filter(|_| decides(step)) {
        let read = TestRequest::with_uri(&format!("/v1/{record}"))
            .insert_header(("Authorization", format!("Bearer {key}")));
        let read = said(app, form(read))
            .await
            .map_err(|why| format!("{at}: {why}"))?;
        let version = read
            .get("version")
            .and_then(Value::as_i64)
            .unwrap_or_default();
        request = request.insert_header(("If-Match", format!("\"{version}\"")));
    }
    let answer = said(app, form(request))
        .await
        .map_err(|why| format!("{at}: {why}"))?;
    match step.code.filter(|code| *code != member(&answer, "code")) {
        Some(code) => Err(format!(
            "{at}: {code} was expected, it is {}",
            member(&answer, "code")
        )
        .into()),
        None => Ok(answer),
    }
}

/// The organization of a key.
pub async fn organization(house: &Data<House>, key: &str) -> Outcome<String> {
    let app = actix_web::test::init_service(application(house.clone())?).await;
    let request = TestRequest::get()
        .uri("/v1/me")
        .insert_header(("Authorization", format!("Bearer {key}")));
    Ok(member(&said(&app, request.to_request()).await?, "organization_id").to_owned())
}

fn application(
    house: Data<House>,
) -> Outcome<
    App<
        impl ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<BoxBody>,
            Error = Error,
            InitError = (),
        >,
    >,
> {
    let metrics = Metrics::new().map_err(|e| e.to_string())?;
    Ok(server::application(
        house,
        Data::new(metrics),
        Data::new(Frame { behind_tls: false }),
        Data::new(Contract::of(&document())),
    ))
}

/// Sets the clock to the morning of a day.
fn set(hands: &AtomicI64, today: chrono::NaiveDate, day: i64) -> Outcome<()> {
    let morning = script::shifted(today, day)
        .and_then(|day| day.and_hms_opt(0, 0, 0))
        .ok_or("a day outside the calendar")?;
    hands.store(
        morning.and_utc().timestamp_millis() + MORNING,
        Ordering::Relaxed,
    );
    Ok(())
}

fn request(step: &Step<'_>, key: &str) -> TestRequest {
    let request = TestRequest::with_uri(&format!("/v1/{}", step.path)).method(step.method.clone());
    let mut request = request.insert_header(("Authorization", format!("Bearer {key}")));
    if step.method == Method::PATCH
        || step.path.matches('/').count() > 1 && !step.path.ends_with("/soa-versions")
    {
        request = request.insert_header(("If-Match", "*"));
    }
    match step.body.get("file") {
        Some(file) => {
            let mut metadata = step.body.clone();
            metadata
                .as_object_mut()
                .map(|members| members.remove("file"));
            request
                .insert_header((
                    "Content-Type",
                    format!("multipart/form-data; boundary={BOUNDARY}"),
                ))
                .set_payload(form(&metadata, file))
        }
        None => request.set_json(&step.body),
    }
}

const BOUNDARY: &str = "a-part-of-the-demo";

fn form(metadata: &Value, file: &Value) -> String {
    let (name, text) = (member(file, "name"), member(file, "text"));
    let media = if name.ends_with(".csv") {
        "text/csv"
    } else {
        "text/plain"
    };
    let part = |head: &str, media: &str, body: &str| {
        format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\nContent-Type: \
                {media}\r\n\r\n{body}\r\n"
        )
    };
    let told = part(
        "name=\"metadata\"",
        "application/json",
        &metadata.to_string(),
    );
    format!(
        "{told}{}--{BOUNDARY}--\r\n",
        part(&format!("name=\"file\"; filename=\"{name}\""), media, text)
    )
}

/// The answer to a request; anything but success is an error.
async fn said<Q>(
    app: &impl Service<Q, Response = ServiceResponse<BoxBody>, Error = Error>,
    request: Q,
) -> Outcome<Value> {
    let answer = app.call(request).await.map_err(|e| e.to_string())?;
    let status = answer.status();
    let body = actix_web::body::to_bytes(answer.into_body())
        .await
        .map_err(|e| e.to_string())?;
    match status.is_success() {
        true => Ok(serde_json::from_slice(&body)?),
        false => Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into()),
    }
}

/// A text member; empty when there is none.
fn member<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
