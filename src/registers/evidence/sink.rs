//! Where the content of evidence goes: to disk, written and hashed off the worker threads; and what
//! it is.
use crate::core::{Problem, Result, text};
use crate::db::files::{Files, Incoming};
use actix_web::web;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::io::Write;

/// Bytes that go to disk at once.
const PIECE: usize = 256 * 1024;
/// Bytes that media types are told by.
const HEAD: usize = 512;

/// A content that was received and is still to be kept.
pub struct Content {
    /// The bytes, on disk.
    pub file: Incoming,
    /// Their SHA-256.
    pub sha256: String,
    /// How many they are.
    pub size_bytes: i64,
    /// What they are.
    pub media_type: String,
    /// What the file was called.
    pub file_name: Option<String>,
}

/// A file that is being received: its bytes are written and hashed in pieces.
pub struct Sink {
    files: Files,
    written: Option<(Incoming, Sha256)>,
    waiting: Vec<Bytes>,
    held: usize,
    /// Bytes that came.
    pub size: u64,
    head: Vec<u8>,
}

impl Sink {
    /// An empty one.
    pub fn new(files: Files) -> Self {
        Sink {
            files,
            written: None,
            waiting: vec![],
            held: 0,
            size: 0,
            head: vec![],
        }
    }
    /// Takes more of it; did anything go to disk?
    pub async fn take(&mut self, chunk: Bytes) -> Result<bool> {
        self.size += chunk.len() as u64;
        self.held += chunk.len();
        self.head.extend(
            chunk
                .iter()
                .copied()
                .take(HEAD.saturating_sub(self.head.len())),
        );
        self.waiting.push(chunk);
        match self.held > PIECE {
            true => self.flush(false).await.map(|()| true),
            false => Ok(false),
        }
    }
    async fn flush(&mut self, durably: bool) -> Result<()> {
        let (files, written, waiting) = (
            self.files.clone(),
            self.written.take(),
            std::mem::take(&mut self.waiting),
        );
        self.held = 0;
        let writing = move || -> Result<(Incoming, Sha256)> {
            let (mut file, mut sha) = match written {
                Some(written) => written,
                None => (files.receive()?, Sha256::new()),
            };
            for bytes in &waiting {
                sha.update(bytes);
                file.write_all(bytes).map_err(Problem::internal)?;
            }
            if durably {
                file.sync()?;
            }
            Ok((file, sha))
        };
        self.written = Some(web::block(writing).await.map_err(Problem::internal)??);
        Ok(())
    }
    /// The whole, durable under the name that it was received with.
    pub async fn kept(
        mut self,
        file_name: Option<String>,
        declared: Option<&str>,
    ) -> Result<Content> {
        self.flush(true).await?;
        let (file, sha) = self
            .written
            .take()
            .ok_or_else(|| Problem::internal("nothing was written"))?;
        let (sha256, media_type) = (text::hex(&sha.finalize()), media_type(&self.head, declared));
        Ok(Content {
            file,
            sha256,
            size_bytes: self.size as i64,
            media_type,
            file_name,
        })
    }
}

/// The last part of a path, in Unicode's composed form, without characters that hide or turn others
/// around (`\u{202e}` makes `fdp.exe` of `exe.pdf`).
pub fn cleaned(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let seen: String = last
        .chars()
        .filter(|letter| !text::hidden(*letter))
        .collect();
    text::composed(seen.trim()).chars().take(255).collect()
}

/// By the first bytes; text by its declared type.
fn media_type(head: &[u8], declared: Option<&str>) -> String {
    let sniffed = infer::get(head).map(|kind| kind.mime_type().to_owned());
    let declared = declared
        .map(str::to_ascii_lowercase)
        .filter(|given| given.len() <= 255 && given.is_ascii());
    let plain = plain(head);
    sniffed
        .or(declared.filter(|given| plain == textual(given)))
        .unwrap_or_else(|| {
            if plain {
                "text/plain"
            } else {
                "application/octet-stream"
            }
            .to_owned()
        })
}
/// Is it the beginning of a text? Its last letter may be cut where the beginning ends.
fn plain(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(fault) => head.len() >= HEAD && fault.error_len().is_none(),
    };
    text && !head.contains(&0)
}
fn textual(media: &str) -> bool {
    media.starts_with("text/")
        || ["json", "xml", "yaml", "javascript", "csv"]
            .iter()
            .any(|word| media.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_told_from_its_beginning() {
        for letter in ["ü", "€", "𝄞"] {
            for before in HEAD - 4..HEAD {
                let whole = format!("{}{letter} and more", "a".repeat(before));
                let head = whole.as_bytes().get(..HEAD).unwrap_or_default();
                let found = media_type(head, Some("text/csv"));
                assert_eq!(found, "text/csv", "{letter} after {before} bytes");
            }
        }
        // The first is the half of a letter, and a whole file.
        for (head, found) in [
            (b"\xc3".as_slice(), "application/octet-stream"),
            (b"a\0b", "application/octet-stream"),
            (&[0xff; 600], "application/octet-stream"),
            (b"%PDF-1.7", "application/pdf"),
        ] {
            assert_eq!(media_type(head, Some("text/plain")), found);
        }
    }

    #[test]
    fn file_names_show_what_they_are() {
        for (given, kept) in [
            ("../a/b.txt", "b.txt"),
            ("C:\\x\\b.txt", "b.txt"),
            ("report\u{202e}fdp.exe", "reportfdp.exe"),
            ("a\u{200b}\u{feff}\u{2066}b\r\n.txt", "ab.txt"),
            ("u\u{308}ber.txt", "\u{fc}ber.txt"),
            (" x ", "x"),
            ("\u{202e}", ""),
        ] {
            assert_eq!(cleaned(given), kept, "{given:?}");
        }
    }
}
