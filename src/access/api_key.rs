//! API keys: `isms_<32 base62>_<6 base62 of CRC-32>`. Only their SHA-256 is kept; the checksum lets
//! a mistyped key be refused unasked.
use crate::core::{Problem, Result};
use sha2::{Digest, Sha256};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PREFIX: &str = "isms_";
const SETUP: &str = "setup_";
const SECRET: usize = 32;

/// A new key: 190 bits of randomness.
pub fn generate() -> Result<String> {
    let secret = letters()?;
    Ok(format!("{PREFIX}{secret}_{}", checksum(&secret)))
}

/// A new one-time token, with which the holder of an account sets its password.
pub fn setup_token() -> Result<String> {
    Ok(format!("{SETUP}{}", letters()?))
}

/// What is kept of a setup token that has the right form.
pub fn setup_hash(token: &str) -> Option<[u8; 32]> {
    let letters = token.strip_prefix(SETUP)?;
    let formed =
        letters.len() == SECRET && letters.bytes().all(|byte| byte.is_ascii_alphanumeric());
    formed.then(|| digest(token))
}

fn letters() -> Result<String> {
    let mut secret = String::with_capacity(SECRET);
    while secret.len() < SECRET {
        let mut bytes = [0_u8; 64];
        getrandom::fill(&mut bytes).map_err(Problem::internal)?;
        // 248 is the largest multiple of 62 in a byte: what lies above would favour some letters.
        let letters = bytes
            .iter()
            .filter(|byte| **byte < 248)
            .filter_map(|byte| ALPHABET.get(usize::from(byte % 62)));
        secret.extend(
            letters
                .take(SECRET - secret.len())
                .map(|letter| char::from(*letter)),
        );
    }
    Ok(secret)
}

/// What is kept of a key that has the right form.
pub fn hash(key: &str) -> Option<[u8; 32]> {
    let (secret, sum) = key.strip_prefix(PREFIX)?.split_once('_')?;
    let formed = (22..=43).contains(&secret.len())
        && secret.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && checksum(secret) == sum;
    formed.then(|| digest(key))
}

/// SHA-256 of any secret with enough randomness of its own.
pub fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

fn checksum(secret: &str) -> String {
    let mut rest = crc32fast::hash(secret.as_bytes());
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET.get(rest as usize % 62).copied().unwrap_or(b'0');
        rest /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_form() {
        let key = generate().unwrap_or_default();
        assert_eq!(key.len(), 5 + 32 + 1 + 6);
        assert!(hash(&key).is_some());
        let (head, last) = key.split_at(key.len() - 1);
        let other = if last == "0" { "1" } else { "0" };
        for bad in [
            format!("{head}{other}"),
            key.replace("isms_", "isma_"),
            "isms_short_000000".into(),
            String::new(),
        ] {
            assert_eq!(hash(&bad), None, "{bad}");
        }
    }
}
