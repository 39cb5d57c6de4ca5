//! How evidence goes out: the content as it was kept, under its SHA-256, never run by a browser; a
//! part of it by `Range` (RFC 9110 14).
use crate::core::{Code, Problem, Result};
use crate::http::references::{self, schema};
use crate::http::{Guard, Read, RecordId, ViewQuery, answer};
use crate::records::Resource;
use crate::registers::evidence::Evidence;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, ByteRangeSpec, Range};
use actix_web::{HttpResponse, body::SizedStream, web};
use futures_util::stream::try_unfold;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use std::fs::File;
use std::io::{Read as _, Seek, SeekFrom};

const CHUNK: u64 = 128 * 1024;

async fn content(
    guard: Guard<Read<Evidence>>,
    at: RecordId,
    query: ViewQuery,
) -> Result<HttpResponse> {
    let selector = at.of(&Evidence::KIND)?;
    let found = guard.read(query.as_of, move |reader| {
        Ok((
            reader.load::<Evidence>(&selector, query.archived_too)?,
            reader.moment.last,
        ))
    });
    let (record, position) = found.await?;
    let said = record.state;
    let etag = format!("\"{}\"", said.sha256);
    let name = said
        .file_name
        .unwrap_or_else(|| format!("{}.json", record.spine.code));
    let disposition = format!(
        "attachment; filename*=UTF-8''{}",
        utf8_percent_encode(&name, NON_ALPHANUMERIC)
    );
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::ETAG, etag.clone()))
        .insert_header((header::CONTENT_DISPOSITION, disposition))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header((header::CACHE_CONTROL, "private, no-cache"))
        .insert_header(("Ledger-Position", position))
        .insert_header((
            "Repr-Digest",
            format!("sha-256=:{}:", base64_of(&said.sha256)),
        ));
    if answer::known(guard.headers(), &etag) {
        return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
    }
    let whole = u64::try_from(said.size_bytes).unwrap_or_default();
    // A part is good only beside the rest of the same content (RFC 9110 13.1.5).
    let same = guard
        .headers()
        .get(header::IF_RANGE)
        .is_none_or(|tag| tag.as_bytes() == etag.as_bytes());
    let asked = guard.headers().get(header::RANGE).filter(|_| same);
    let asked = asked.and_then(|value| value.to_str().ok());
    let (start, length) = match asked.map_or(Asked::Whole, |asked| range(asked, whole)) {
        Asked::Whole => (0, whole),
        Asked::Part(first, last) => {
            let part = format!("bytes {first}-{last}/{whole}");
            response.status(StatusCode::PARTIAL_CONTENT);
            response.insert_header((header::CONTENT_RANGE, part));
            (first, last - first + 1)
        }
        Asked::Outside => {
            let detail = format!("The content has {whole} bytes.");
            return Err(Problem::new(Code::RangeUnsatisfiable, detail));
        }
    };
    let files = guard.house().files().clone();
    let tenant = guard.caller().tenant;
    let open = move || -> Result<File> {
        let mut file = files.open_kept(tenant, &said.sha256)?;
        file.seek(SeekFrom::Start(start))
            .map_err(Problem::internal)?;
        Ok(file)
    };
    let file = web::block(open).await.map_err(Problem::internal)??;
    response.content_type(served(&said.media_type));
    response.insert_header((
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'; sandbox",
    ));
    Ok(response.body(SizedStream::new(length, chunks(file, length))))
}

/// Pure: the media type that a content is served with. JSON, plain text and tables, which no
/// browser runs; all else is bytes, whatever it is, and the record names its media type.
fn served(media: &str) -> &'static str {
    match media.split(';').next().unwrap_or_default().trim() {
        "application/json" => "application/json",
        "text/plain" => "text/plain; charset=utf-8",
        "text/csv" => "text/csv; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// The file chunk by chunk, read off the worker threads.
fn chunks(
    file: File,
    length: u64,
) -> impl futures_util::Stream<Item = std::result::Result<web::Bytes, actix_web::Error>> {
    try_unfold((file, length), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let read = move || -> std::io::Result<(File, Vec<u8>)> {
            let mut bytes = vec![0; usize::try_from(left.min(CHUNK)).unwrap_or_default()];
            file.read_exact(&mut bytes)?;
            Ok((file, bytes))
        };
        let (file, bytes) = web::block(read).await??;
        let left = left - bytes.len() as u64;
        Ok(Some((web::Bytes::from(bytes), (file, left))))
    })
}

/// What a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// From the first byte to the last.
    Part(u64, u64),
    /// Nothing that is understood: all of it.
    Whole,
    /// Nothing that is there.
    Outside,
}

/// Pure: one range of bytes; several, or another unit, are not understood and so ignored (RFC 9110
/// 14.2).
fn range(header: &str, whole: u64) -> Asked {
    let Ok(Range::Bytes(parts)) = header.parse() else {
        return Asked::Whole;
    };
    match parts.as_slice() {
        [ByteRangeSpec::Last(1..)] if whole == 0 => Asked::Whole,
        [part] if !header.contains(',') => part
            .to_satisfiable_range(whole)
            .map_or(Asked::Outside, |(first, last)| Asked::Part(first, last)),
        _ => Asked::Whole,
    }
}

fn base64_of(hex: &str) -> String {
    use base64::Engine;
    let digit = |n: usize| {
        hex.get(n..n + 2)
            .and_then(|pair| u8::from_str_radix(pair, 16).ok())
    };
    let bytes: Vec<u8> = (0..hex.len()).step_by(2).filter_map(digit).collect();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Mounts them.
pub fn mount(api: &mut crate::http::Api<'_>) {
    let (name, bytes) = references::binary();
    api.document.schema(name, bytes);
    let op = api.get("/v1/evidence/{id}/content", content);
    op.id("getEvidenceContent")
        .says(
            "Download the content of evidence",
            "The bytes whose SHA-256 the evidence names, as \
            an attachment: JSON, plain text and CSV with their media type, all else as bytes. The \
            entity tag is that digest; a single range can be asked for.",
        )
        .past()
        .parameter(json!({"name": "Range", "in": "header", "required": false,
            "description": "One range of bytes; another unit, or several ranges, is answered \
                with the whole.",
            "schema": {"type": "string", "maxLength": 100}, "example": "bytes=0-1023"}))
        .refuses(&[416]);
    let example = json!({"accounts": 42, "with_second_factor": 42});
    let payload = json!({"schema": schema("AnyValue"), "example": example});
    for (status, about) in [
        (200, "The content."),
        (206, "The range of it that you asked for."),
    ] {
        for media in ["application/octet-stream", "text/plain", "text/csv"] {
            op.answer(status, about, media, schema(name));
        }
        op.answer_with(status, about, "application/json", payload.clone());
    }
    for header in [
        "Content-Disposition",
        "Accept-Ranges",
        "Content-Range",
        "Repr-Digest",
    ] {
        op.header(header);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (header, asked) in [
            ("bytes=0-4", Asked::Part(0, 4)),
            ("bytes=5-", Asked::Part(5, 9)),
            ("bytes=-3", Asked::Part(7, 9)),
            ("bytes=-30", Asked::Part(0, 9)),
            ("bytes=8-99", Asked::Part(8, 9)),
            ("bytes=10-", Asked::Outside),
            ("bytes=-0", Asked::Outside),
            ("bytes=4-2", Asked::Whole),
            ("bytes=0-1,4-5", Asked::Whole),
            ("bytes=0-1,x", Asked::Whole),
            ("lines=1-2", Asked::Whole),
        ] {
            assert_eq!(range(header, 10), asked, "{header}");
        }
        assert_eq!(range("bytes=-3", 0), Asked::Whole);
        assert_eq!(range("bytes=0-", 0), Asked::Outside);
    }

    #[test]
    fn a_browser_runs_nothing() {
        for (media, served_as) in [
            ("application/json", "application/json"),
            ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
            ("text/csv", "text/csv; charset=utf-8"),
            ("text/html", "application/octet-stream"),
            ("image/svg+xml", "application/octet-stream"),
            ("application/xhtml+xml", "application/octet-stream"),
            ("text/javascript", "application/octet-stream"),
            ("application/pdf", "application/octet-stream"),
        ] {
            assert_eq!(served(media), served_as);
        }
    }
}
