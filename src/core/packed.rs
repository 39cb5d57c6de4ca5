//! Long text that lies beside the ledger, compressed, under the SHA-256 that an entry names.
use super::{Problem, Result, text::hex};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};

/// SHA-256 of a text, in hexadecimal digits.
pub fn digest(text: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(text.as_ref()))
}
/// The text, compressed.
pub fn pack(text: &str) -> Result<Vec<u8>> {
    let mut packing = GzEncoder::new(Vec::new(), Compression::default());
    packing
        .write_all(text.as_bytes())
        .map_err(Problem::internal)?;
    packing.finish().map_err(Problem::internal)
}
/// The text again.
pub fn unpack(packed: &[u8]) -> Result<String> {
    let mut text = String::new();
    GzDecoder::new(packed)
        .read_to_string(&mut text)
        .map_err(Problem::internal)?;
    Ok(text)
}
