//! `/docs`: the document as a page that can be searched and tried. Three small files inside the executable; the browser asks nobody else.
use crate::core::Problem;
use crate::http::{Answer, open_door};
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, Responder, web};

/// What the page may do: its own script, its own style, requests to this service. Nothing inline, nothing from elsewhere, no markup from text.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
);

/// Path, media type and content.
const FILES: [(&str, &str, &str); 4] = [
    ("/docs", "text/html; charset=utf-8", include_str!("docs/page.html")),
    ("/docs/page.css", "text/css; charset=utf-8", include_str!("docs/page.css")),
    ("/docs/page.js", "text/javascript; charset=utf-8", include_str!("docs/page.js")),
    ("/docs/icon.svg", "image/svg+xml", include_str!("docs/icon.svg")),
];

/// Mounts the page and its parts.
pub fn mount(app: &mut web::ServiceConfig) {
    for file in FILES {
        app.route(file.0, web::get().to(move |request: HttpRequest| async move { part(&request, file) }));
    }
}

fn part(request: &HttpRequest, (_, media, content): (&str, &'static str, &str)) -> Result<HttpResponse, Problem> {
    open_door(request)?;
    let tag = format!("\"{:08x}\"", crc32fast::hash(content.as_bytes()));
    let mut answer = Answer::json(content.to_owned()).as_media(media).tagged(tag).respond_to(request);
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, POLICY);
    Ok(answer)
}
