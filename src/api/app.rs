//! The application: rooms, document, health, and every error of the framework as a problem.
use super::metrics::Metrics;
use crate::core::{Code, Problem};
use crate::http::{Answer, Api, Document, House, open_door};
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
    rooms(Api::new(app, &mut Document::default()));
    super::docs::mount(app);
    app.route("/readyz", web::get().to(ready)).route("/metrics", web::get().to(metrics));
    app.route("/v1/openapi.json", web::get().to(openapi))
        .route("/v1/openapi.yaml", web::get().to(openapi_yaml))
        .route("/problems/{code}", web::get().to(explained));
    app.default_service(web::to(nowhere));
}

/// Mounts and describes what is under `/v1`.
pub fn rooms(mut api: Api<'_>) {
    ROOMS.iter().for_each(|room| room.mount(&mut api));
    insight::mount(&mut api);
    identity::mount(&mut api);
    api.close();
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
    static TAG: LazyLock<String> = LazyLock::new(|| tag(&DOCUMENT));
    published(&request, &DOCUMENT, &TAG, "application/json")
}

/// The same as YAML (RFC 9512), for tools that want a file of that kind. No part of the document, which it is.
async fn openapi_yaml(request: HttpRequest) -> Result<HttpResponse, Problem> {
    static TEXT: LazyLock<String> = LazyLock::new(|| super::yaml::of(&serde_json::from_str(&DOCUMENT).unwrap_or_default()));
    static TAG: LazyLock<String> = LazyLock::new(|| tag(&TEXT));
    published(&request, &TEXT, &TAG, "application/yaml")
}

fn tag(text: &str) -> String {
    format!("\"{:08x}\"", crc32fast::hash(text.as_bytes()))
}

fn published(request: &HttpRequest, text: &str, tag: &str, media: &'static str) -> Result<HttpResponse, Problem> {
    open_door(request)?;
    Ok(Answer::json(text.to_owned()).tagged(tag.to_owned()).as_media(media).respond_to(request))
}

/// What a problem's `type` leads to. It is open to everyone and so, like metrics, no part of the document's protected operations.
async fn explained(request: HttpRequest, code: web::Path<String>) -> Result<HttpResponse, Problem> {
    open_door(&request)?;
    let found = Code::ALL.iter().map(|known| (known.row(), known.help())).find(|((_, name, ..), _)| *name == code.as_str());
    let ((place, name, status, title), help) = found.ok_or_else(nothing_here)?;
    Ok(HttpResponse::Ok().json(serde_json::json!({"type": place, "code": name, "status": status, "title": title, "explanation": help})))
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
