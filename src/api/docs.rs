//! `/docs`: the document as a page that can be searched and tried. Three small files inside the
//! executable; the browser asks nobody else.
use super::published::Published;
use crate::core::Problem;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use std::sync::LazyLock;

/// What the page may do: its own script, its own style, requests to this service. Nothing inline,
/// nothing from elsewhere, no markup from text.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
        base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
);

/// Path, media type and content.
const FILES: [(&str, &str, &str); 4] = [
    (
        "/docs",
        "text/html; charset=utf-8",
        include_str!("docs/page.html"),
    ),
    (
        "/docs/page.css",
        "text/css; charset=utf-8",
        include_str!("docs/page.css"),
    ),
    (
        "/docs/page.js",
        "text/javascript; charset=utf-8",
        include_str!("docs/page.js"),
    ),
    (
        "/docs/icon.svg",
        "image/svg+xml",
        include_str!("docs/icon.svg"),
    ),
];

/// Mounts the page and its parts.
pub fn mount(app: &mut web::ServiceConfig) {
    static PARTS: LazyLock<Vec<Published>> = LazyLock::new(|| {
        FILES
            .iter()
            .map(|(_, media, content)| Published::new((*content).to_owned(), media))
            .collect()
    });
    for (n, (path, ..)) in FILES.iter().enumerate() {
        app.route(
            path,
            web::get().to(move |request: HttpRequest| async move { part(&request, PARTS.get(n)) }),
        );
    }
}

fn part(request: &HttpRequest, part: Option<&Published>) -> Result<HttpResponse, Problem> {
    let mut answer = part.ok_or_else(Problem::not_found)?.answer(request)?;
    answer
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, POLICY);
    Ok(answer)
}
