//! The application: rooms, document, health, and every error of the framework as a problem.
use super::metrics::Metrics;
use crate::core::{Code, Problem};
use crate::http::{Api, Document, House, open_door};
use crate::registers::ROOMS;
use crate::{identity, insight};
use actix_web::dev::ResourceDef;
use actix_web::{HttpRequest, HttpResponse, Responder, web};
use std::sync::LazyLock;

/// The document, as served.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| super::document::document().to_string());

/// Mounts everything.
pub fn mount(app: &mut web::ServiceConfig) {
    app.app_data(web::PathConfig::default().error_handler(|_, _| Problem::not_found().into()));
    app.app_data(web::QueryConfig::default().error_handler(|e, _| Problem::new(Code::InvalidParameter, e.to_string()).into()));
    app.route("/healthz", web::get().to(healthy)).route("/healthz", web::head().to(healthy));
    rooms(&mut Api { app, document: &mut Document::default() });
    super::docs::mount(app);
    app.route("/readyz", web::get().to(ready)).route("/metrics", web::get().to(metrics));
    app.route("/v1/openapi.json", web::get().to(openapi)).route("/problems/{code}", web::get().to(explained));
    app.default_service(web::to(nowhere));
}

/// Mounts and describes what is under `/v1`.
pub fn rooms(api: &mut Api<'_>) {
    ROOMS.iter().for_each(|room| room.mount(api));
    insight::mount(api);
    identity::mount(api);
}

/// A small constant answer through the same middleware, without the database.
async fn healthy(request: HttpRequest) -> Result<HttpResponse, Problem> {
    open_door(&request)?;
    Ok(HttpResponse::Ok().content_type("application/json").body(r#"{"status":"ok"}"#))
}

async fn ready(request: HttpRequest, house: web::Data<House>) -> Result<HttpResponse, Problem> {
    open_door(&request)?;
    house.ready().await.map_err(|why| {
        log::warn!("not ready: {why}");
        Problem::new(Code::Unavailable, "The database does not answer.")
    })?;
    Ok(HttpResponse::Ok().content_type("application/json").body(r#"{"status":"ready"}"#))
}

async fn metrics(request: HttpRequest, metrics: web::Data<Metrics>) -> Result<HttpResponse, Problem> {
    let text = metrics.text(request.peer_addr()).ok_or_else(nothing_here)?;
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(text))
}

async fn openapi(request: HttpRequest) -> Result<HttpResponse, Problem> {
    open_door(&request)?;
    static TAG: LazyLock<String> = LazyLock::new(|| format!("{:08x}", crc32fast::hash(DOCUMENT.as_bytes())));
    let answer = crate::http::Answer::json(DOCUMENT.clone()).tagged(format!("\"{}\"", TAG.as_str()));
    Ok(answer.respond_to(&request))
}

/// What a problem's `type` leads to. It is open to everyone and so, like metrics, no part of the document's protected operations.
async fn explained(request: HttpRequest, code: web::Path<String>) -> Result<HttpResponse, Problem> {
    open_door(&request)?;
    let found = Code::ALL.iter().map(|known| known.row()).find(|(_, name, ..)| *name == code.as_str());
    let (place, name, status, title) = found.ok_or_else(nothing_here)?;
    Ok(HttpResponse::Ok().json(serde_json::json!({"type": place, "code": name, "status": status, "title": title})))
}

fn nothing_here() -> Problem {
    Problem::new(Code::NotFound, "There is nothing at this path.")
}

/// 405 where the document knows the path with other methods, else 404.
async fn nowhere(request: HttpRequest) -> Result<HttpResponse, Problem> {
    static KNOWN: LazyLock<Vec<(ResourceDef, Vec<String>)>> = LazyLock::new(|| {
        let document: serde_json::Value = serde_json::from_str(&DOCUMENT).unwrap_or_default();
        let paths = document.get("paths").and_then(|p| p.as_object()).cloned().unwrap_or_default();
        paths.iter().map(|(path, item)| (ResourceDef::new(path.as_str()), methods(item))).collect()
    });
    Err(match KNOWN.iter().find(|(path, _)| path.is_match(request.path())) {
        Some((_, methods)) => Problem::new(Code::MethodNotAllowed, "This path has other methods.").allowing(methods.clone()),
        None => nothing_here(),
    })
}

/// The methods of a path, HEAD with GET.
fn methods(item: &serde_json::Value) -> Vec<String> {
    let mut all: Vec<String> =
        item.as_object().map(|operations| operations.keys().map(|method| method.to_uppercase()).collect()).unwrap_or_default();
    if all.iter().any(|method| method == "GET") {
        all.push("HEAD".into());
    }
    all.sort();
    all
}
