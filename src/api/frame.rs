//! What is around every request: its id, its caller made known, security headers, problems with the
//! request's id, gzip, metrics, the log. One layer, because each costs.
use super::lines::Line;
use super::metrics::Metrics;
use crate::core::{Id, Problem};
use crate::http::cors::{self, Cors};
use crate::http::door::recognise;
use crate::http::{RequestId, answer, client_address, query};
use crate::service::limit::Standing;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, ResponseError, web};
use flate2::{Compression, write::GzEncoder};
use std::io::Write;
use std::time::Instant;

/// There is nothing at the path of this request.
#[derive(Debug, Clone, Copy)]
pub struct Nowhere;

/// Bodies of fewer bytes are not worth compressing.
const WORTH: u64 = 1024;
/// Bodies of more bytes are compressed beside the worker, which has other requests to answer.
const HEAVY: usize = 64 * 1024;

const SECURITY: [(HeaderName, HeaderValue); 4] = [
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// What of the settings is around requests.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// Is TLS ended in front of it? Then browsers are told to stay with it.
    pub behind_tls: bool,
}

/// The layer.
pub async fn around(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let (began, id) = (Instant::now(), Id::new());
    request.extensions_mut().insert(RequestId(id));
    let method = request.method().clone();
    let client = client_address(request.request());
    let gzip = accepts_gzip(request.headers());
    if method == Method::HEAD {
        // What answers GET answers HEAD; the server leaves the body out.
        request.head_mut().method = Method::GET;
    }
    let cors = request.app_data::<web::Data<Cors>>().cloned();
    let origin = cors
        .as_ref()
        .and_then(|cors| cors.allowed(request.headers()));
    let mut response = match cors.as_ref().and_then(|cors| cors.preflight(&request)) {
        Some(answer) => request.into_response(answer),
        None => match admitted(&request).await {
            Ok(()) => next.call(request).await?.map_into_boxed_body(),
            Err(problem) => {
                request.extensions_mut().insert(Nowhere);
                request.error_response(problem)
            }
        },
    };
    let problem = response
        .response()
        .error()
        .and_then(|error| error.as_error::<Problem>())
        .cloned();
    if let Some(problem) = problem {
        response = response
            .map_body(|head, body| drop_error(head, body, problem.of_request(id.to_string())));
    }
    let standing = response.request().extensions().get::<Standing>().copied();
    let behind_tls = response
        .request()
        .app_data::<web::Data<Frame>>()
        .is_some_and(|frame| frame.behind_tls);
    dress(response.headers_mut(), id, standing, behind_tls);
    response = compressed(response, gzip).await;
    if cors.is_some_and(|cors| cors.any()) {
        cors::vary(response.headers_mut(), &header::ORIGIN);
    }
    if let Some(origin) = origin {
        cors::open(response.headers_mut(), origin);
    }
    let (status, took) = (response.status(), began.elapsed());
    let request = response.request();
    let route = if request.extensions().get::<Nowhere>().is_some() {
        None
    } else {
        request.match_pattern()
    };
    if let Some(metrics) = request.app_data::<web::Data<Metrics>>() {
        metrics.count(method.as_str(), route.as_deref(), status.as_str(), took);
    }
    let location = response
        .headers()
        .get(header::LOCATION)
        .and_then(|value| value.to_str().ok());
    Line {
        request,
        method: &method,
        route: route.as_deref(),
        status,
        location,
        took,
        client,
        id,
    }
    .write();
    Ok(response)
}

/// What every request is asked before it is routed.
async fn admitted(request: &ServiceRequest) -> Result<(), Problem> {
    query::few(request.query_string())?;
    recognise(request.request()).await
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
        add(
            "ratelimit-policy",
            format!("\"key\";q={};w=60", standing.limit),
        );
        add(
            "ratelimit",
            format!(
                "\"key\";r={};t={}",
                standing.remaining,
                standing.retry_after.unwrap_or(60)
            ),
        );
    }
    if behind_tls {
        // This name alone: what stands beside it under the same domain is not the service's to
        // decide.
        add("strict-transport-security", "max-age=63072000".into());
    }
}

/// Does the client take gzip?
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let given = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let mut codings = given
        .split(',')
        .map(|coding| coding.trim().split(';').map(str::trim));
    codings.any(|mut parts| {
        matches!(parts.next(), Some("gzip" | "*")) && !parts.any(|q| q == "q=0" || q == "q=0.0")
    })
}

/// gzip for text of some length, where it is asked for.
async fn compressed(
    mut response: ServiceResponse<BoxBody>,
    asked: bool,
) -> ServiceResponse<BoxBody> {
    let media = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let text = [
        "application/json",
        "application/problem+json",
        "text/",
        "image/svg+xml",
    ]
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
    let mut whole = None;
    response = response.map_body(|_, body| match body.try_into_bytes() {
        Ok(bytes) => {
            whole = Some(bytes);
            BoxBody::new(())
        }
        Err(body) => body,
    });
    let Some(bytes) = whole else { return response };
    let small = match bytes.len() > HEAVY {
        true => {
            let bytes = bytes.clone();
            web::block(move || gzipped(&bytes, Compression::fast()))
                .await
                .ok()
                .flatten()
        }
        false => gzipped(&bytes, Compression::fast()),
    };
    response.map_body(|head, _| match small {
        Some(small) => {
            head.headers_mut()
                .insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            let tag = head
                .headers()
                .get(header::ETAG)
                .and_then(|tag| tag.to_str().ok())
                .map(answer::of_gzip);
            if let Some(tag) = tag.and_then(|tag| HeaderValue::try_from(tag).ok()) {
                head.headers_mut().insert(header::ETAG, tag);
            }
            BoxBody::new(small)
        }
        None => BoxBody::new(bytes),
    })
}

/// Compressed, if that can be done.
pub(super) fn gzipped(bytes: &[u8], how: Compression) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), how);
    encoder
        .write_all(bytes)
        .and_then(|()| encoder.finish())
        .ok()
}
