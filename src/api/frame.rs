//! What is around every request: its id, its caller made known, security headers, problems with the request's id, gzip, metrics, the access log.
//! One layer, because each costs.
use super::metrics::Metrics;
use crate::core::{Id, Problem};
use crate::http::cors::{self, Cors};
use crate::http::limit::Standing;
use crate::http::{House, RequestId};
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, ResponseError, web};
use flate2::{Compression, write::GzEncoder};
use std::io::Write;
use std::time::Instant;

/// Bodies of fewer bytes are not worth compressing.
const WORTH: u64 = 1024;

const SECURITY: [(HeaderName, HeaderValue); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// What of the settings is around requests.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// Is TLS ended in front of it? Then browsers are told to stay with it.
    pub behind_tls: bool,
}

/// The layer.
pub async fn around(mut request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> Result<ServiceResponse<BoxBody>, Error> {
    let (began, id) = (Instant::now(), Id::new());
    request.extensions_mut().insert(RequestId(id));
    let method = request.method().clone();
    let path = log::log_enabled!(target: "isms::access", log::Level::Info).then(|| request.path().to_owned());
    let gzip = accepts_gzip(request.headers());
    if method == Method::HEAD {
        // What answers GET answers HEAD; the server leaves the body out.
        request.head_mut().method = Method::GET;
    }
    let cors = request.app_data::<web::Data<Cors>>().cloned();
    let origin = cors.as_ref().and_then(|cors| cors.allowed(request.headers()));
    let mut response = match cors.as_ref().and_then(|cors| cors.preflight(&request)) {
        Some(answer) => request.into_response(answer),
        None => match recognise(&request).await {
            Ok(()) => next.call(request).await?.map_into_boxed_body(),
            Err(problem) => request.error_response(problem),
        },
    };
    let problem = response.response().error().and_then(|error| error.as_error::<Problem>()).cloned();
    if let Some(problem) = problem {
        response = response.map_body(|head, body| drop_error(head, body, problem.of_request(id.to_string())));
    }
    let standing = response.request().extensions().get::<Standing>().copied();
    let behind_tls = response.request().app_data::<web::Data<Frame>>().is_some_and(|frame| frame.behind_tls);
    dress(response.headers_mut(), id, standing, behind_tls);
    response = compressed(response, gzip);
    if cors.is_some_and(|cors| cors.any()) {
        cors::vary(response.headers_mut(), &header::ORIGIN);
    }
    if let Some(origin) = origin {
        cors::open(response.headers_mut(), origin);
    }
    let (status, took) = (response.status(), began.elapsed());
    if let Some(metrics) = response.request().app_data::<web::Data<Metrics>>() {
        metrics.count(method.as_str(), status.as_str(), took);
    }
    if let Some(path) = path {
        let level = if path == "/healthz" || path == "/readyz" || path == "/metrics" { log::Level::Debug } else { log::Level::Info };
        log::log!(target: "isms::access", level, "{method} {path} {} {:.1} ms {id}", status.as_u16(), took.as_secs_f64() * 1000.0);
    }
    Ok(response)
}

/// Makes the caller known before the handler's extractors look for it.
async fn recognise(request: &ServiceRequest) -> Result<(), Problem> {
    let Some(authorization) = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) else { return Ok(()) };
    match request.app_data::<web::Data<House>>() {
        Some(house) => house.recognise(Some(authorization)).await,
        None => Ok(()),
    }
}

fn drop_error(head: &mut actix_web::dev::ResponseHead, _: BoxBody, problem: Problem) -> BoxBody {
    let fresh = problem.error_response();
    for (name, value) in fresh.headers() {
        head.headers_mut().insert(name.clone(), value.clone());
    }
    fresh.into_body()
}

fn dress(headers: &mut HeaderMap, id: Id, standing: Option<Standing>, behind_tls: bool) {
    for (name, value) in SECURITY {
        if !headers.contains_key(&name) {
            headers.insert(name, value);
        }
    }
    let mut add = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    add("x-request-id", id.to_string());
    if let Some(standing) = standing {
        add("ratelimit-policy", format!("\"key\";q={};w=60", standing.limit));
        add("ratelimit", format!("\"key\";r={};t={}", standing.remaining, standing.retry_after.unwrap_or(60)));
    }
    if behind_tls {
        add("strict-transport-security", "max-age=63072000; includeSubDomains".into());
    }
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let given = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut codings = given.split(',').map(|coding| coding.trim().split(';').map(str::trim));
    codings.any(|mut parts| matches!(parts.next(), Some("gzip" | "*")) && !parts.any(|q| q == "q=0" || q == "q=0.0"))
}

/// gzip for text of some length, where it is asked for.
fn compressed(mut response: ServiceResponse<BoxBody>, asked: bool) -> ServiceResponse<BoxBody> {
    let media = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let text = ["application/json", "application/problem+json", "text/", "image/svg+xml", "application/yaml"]
        .iter()
        .any(|kind| media.starts_with(kind));
    let large = matches!(response.response().body().size(), BodySize::Sized(size) if size >= WORTH);
    if !text || !large || response.headers().contains_key(header::CONTENT_ENCODING) {
        return response;
    }
    cors::vary(response.headers_mut(), &header::ACCEPT_ENCODING);
    if !asked {
        return response;
    }
    response.map_body(|head, body| match body.try_into_bytes() {
        Ok(bytes) => {
            let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
            match encoder.write_all(&bytes).and_then(|()| encoder.finish()) {
                Ok(small) => {
                    head.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                    BoxBody::new(small)
                }
                Err(_) => BoxBody::new(bytes),
            }
        }
        Err(body) => body,
    })
}
