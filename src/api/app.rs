//! The application: rooms, document, health, and every error of the framework as a problem.
use super::contract::Contract;
use super::frame::Nowhere;
use super::rooms::rooms;
use crate::core::{Code, Problem};
use crate::http::document::other_methods;
use crate::http::door::{count, threshold};
use crate::http::format::Formats;
use crate::http::{Answer, Api, Document, House, open_door};
use actix_web::http::header;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, Responder, web};

/// Mounts everything.
pub fn mount(app: &mut web::ServiceConfig, contract: &web::Data<Contract>) {
    app.app_data(contract.clone());
    app.app_data(contract.parameters.clone());
    app.app_data(contract.page.clone());
    app.app_data(web::PathConfig::default().error_handler(|_, _| Problem::not_found().into()));
    app.app_data(
        web::QueryConfig::default()
            .error_handler(|e, _| Problem::new(Code::InvalidParameter, e.to_string()).into()),
    );
    app.route("/healthz", web::get().to(healthy))
        .route("/healthz", web::head().to(healthy));
    rooms(Api::new(app, &mut Document::default(), super::KINDS));
    super::docs::mount(app);
    app.route("/readyz", web::get().to(ready))
        .route("/", web::get().to(welcome));
    app.route("/v1/openapi.json", web::get().to(openapi))
        .route("/problems/{code}", web::get().to(explained));
    app.default_service(web::to(nowhere));
}

/// A small constant answer through the same middleware, without the database.
async fn healthy(request: HttpRequest) -> Result<HttpResponse, Problem> {
    threshold(&request)?;
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .body(r#"{"status":"ok"}"#))
}

async fn ready(request: HttpRequest, house: web::Data<House>) -> Result<HttpResponse, Problem> {
    threshold(&request)?;
    house.ready().await.map_err(|why| {
        log::warn!("not ready: {why}");
        Problem::new(
            Code::Unavailable,
            "The database or the object store does not answer as it \
            should; the server's log says why.",
        )
    })?;
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .body(r#"{"status":"ready"}"#))
}

/// Where to go from here: browsers to the page of the document, programs to its address.
async fn welcome(request: HttpRequest) -> Result<HttpResponse, Problem> {
    open_door(&request)?;
    let formats = Formats::of(&request);
    let html = formats.quality("text/html") > formats.quality("application/json");
    if html {
        return Ok(HttpResponse::SeeOther()
            .insert_header((header::LOCATION, "/docs"))
            .insert_header((header::VARY, "Accept"))
            .finish());
    }
    let links = serde_json::json!({"service": "isms", "docs": "/docs",
        "openapi": "/v1/openapi.json", "health": "/healthz", "readiness": "/readyz"});
    Ok(Answer {
        by_accept: true,
        ..Answer::of(&links)?
    }
    .respond_to(&request))
}

async fn openapi(
    request: HttpRequest,
    contract: web::Data<Contract>,
) -> Result<HttpResponse, Problem> {
    contract.openapi.answer(&request)
}

/// What a problem's `type` leads to. It is open to everyone and so, like metrics, no part of the
/// document's protected operations.
async fn explained(request: HttpRequest, code: web::Path<String>) -> Result<HttpResponse, Problem> {
    open_door(&request)?;
    let found = Code::ALL
        .iter()
        .map(|known| (known.row(), known.help()))
        .find(|((_, name, ..), _)| *name == code.as_str());
    let ((place, name, status, title), help) = found.ok_or_else(nothing_here)?;
    Ok(HttpResponse::Ok().json(
        serde_json::json!({"type": place, "code": name, "status": status,
        "title": title, "explanation": help}),
    ))
}

fn nothing_here() -> Problem {
    Problem::new(Code::NotFound, "There is nothing at this path.")
}

/// 405 where the document knows the path with other methods, else 404.
async fn nowhere(
    request: HttpRequest,
    contract: web::Data<Contract>,
) -> Result<HttpResponse, Problem> {
    request.extensions_mut().insert(Nowhere);
    count(&request)?;
    Err(match contract.methods(request.path()) {
        Some(methods) => other_methods(methods),
        None => nothing_here(),
    })
}
