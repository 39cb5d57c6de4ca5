//! What is the same for everyone and made once: its text, its compressed form, and a tag for each.
use super::frame::{accepts_gzip, gzipped};
use crate::core::Problem;
use crate::http::{Answer, answer, open_door};
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, Responder};
use bytes::Bytes;

/// One text.
pub struct Published {
    text: Bytes,
    small: Option<Bytes>,
    tag: String,
    media: &'static str,
}

impl Published {
    /// Compresses it, once.
    pub fn new(text: String, media: &'static str) -> Self {
        let tag = format!("\"{:08x}\"", crc32fast::hash(text.as_bytes()));
        Published {
            small: gzipped(text.as_bytes(), flate2::Compression::best()).map(Bytes::from),
            text: Bytes::from(text),
            tag,
            media,
        }
    }
    /// The answer to a request: the form that it takes, or 304.
    pub fn answer(&self, request: &HttpRequest) -> Result<HttpResponse, Problem> {
        open_door(request)?;
        let small = self
            .small
            .as_ref()
            .filter(|_| accepts_gzip(request.headers()));
        let tag = if small.is_some() {
            answer::of_gzip(&self.tag)
        } else {
            self.tag.clone()
        };
        let mut answer = Answer::json(String::new())
            .tagged(tag)
            .as_media(self.media)
            .respond_to(request);
        answer
            .headers_mut()
            .insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        if answer.status() == 304 {
            return Ok(answer);
        }
        if small.is_some() {
            answer
                .headers_mut()
                .insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(answer
            .set_body(small.unwrap_or(&self.text).clone())
            .map_into_boxed_body())
    }
}
