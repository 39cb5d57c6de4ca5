//! `/docs`: the document as a page that can be searched and tried. Three small files inside the
//! executable; the browser asks nobody else.
use super::published::Published;
use crate::core::Problem;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};

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

/// The parts of the page, compressed.
pub struct Page(Vec<Published>);

impl Default for Page {
    fn default() -> Self {
        let parts = FILES.iter();
        Page(
            parts
                .map(|(_, media, content)| Published::new((*content).to_owned(), media))
                .collect(),
        )
    }
}

/// Mounts the page and its parts.
pub fn mount(app: &mut web::ServiceConfig) {
    for (n, (path, ..)) in FILES.iter().enumerate() {
        let answer = move |request: HttpRequest, page: web::Data<Page>| async move {
            part(&request, page.0.get(n))
        };
        app.route(path, web::get().to(answer));
    }
}

fn part(request: &HttpRequest, part: Option<&Published>) -> Result<HttpResponse, Problem> {
    let mut answer = part.ok_or_else(Problem::not_found)?.answer(request)?;
    answer
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, POLICY);
    Ok(answer)
}
