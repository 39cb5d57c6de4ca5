//! Access tokens: JWT (RFC 7519, RFC 9068) signed with HS256 and a key that stays in a file.
//! Algorithm, issuer, audience and type are pinned; roles are not in the token but looked up, so
//! that what is taken away is gone at once.
use crate::core::{Code, Id, Instant, Problem, Result, TenantId};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Seconds that an access token lives.
pub const ACCESS_SECONDS: i64 = 900;
/// Seconds that a refresh token lives.
pub const REFRESH_SECONDS: i64 = 30 * 24 * 3600;

const ISSUER: &str = "isms";
const AUDIENCE: &str = "isms-api";
const TYPE: &str = "at+jwt";

/// What is in a token.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: Id,
    tenant: uuid::Uuid,
    iat: i64,
    exp: i64,
    jti: Id,
    /// The session: the family of refresh tokens that it came with.
    sid: Id,
    /// The account's epoch: what ends all its sessions makes a new one.
    epoch: i32,
}

/// What an access token stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Session {
    /// The organization.
    pub tenant: TenantId,
    /// The user.
    pub user: Id,
    /// The family of refresh tokens.
    pub family: Id,
    /// The account's epoch when it began.
    pub epoch: i32,
}

/// Signs and checks.
pub struct Tokens {
    signing: EncodingKey,
    checking: DecodingKey,
    fingerprints: [u8; 32],
}

impl Tokens {
    /// With the key of this file, which is made (mode 0600) where there is none; a file that others
    /// can read is refused.
    pub fn open(file: &Path) -> std::result::Result<Self, String> {
        let told = |e: std::io::Error| format!("{}: {e}", file.display());
        if !file.exists() {
            let mut key = [0_u8; 64];
            getrandom::fill(&mut key).map_err(|e| e.to_string())?;
            let new = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(file);
            new.and_then(|mut file| file.write_all(&key).and_then(|()| file.sync_all()))
                .map_err(told)?;
        }
        let mode = fs::metadata(file).map_err(told)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(format!(
                "{}: mode {:o} lets others read the signing key; set it to 600",
                file.display(),
                mode & 0o777
            ));
        }
        let key = fs::read(file).map_err(told)?;
        if key.len() < 32 {
            return Err(format!(
                "{}: a signing key must have at least 32 bytes",
                file.display()
            ));
        }
        let fingerprints = keyed(&key, &[b"isms fingerprints"]).map_err(|e| e.to_string())?;
        let (signing, checking) = (
            EncodingKey::from_secret(&key),
            DecodingKey::from_secret(&key),
        );
        Ok(Tokens {
            signing,
            checking,
            fingerprints,
        })
    }
    /// What stands for a content that may hold a secret: without the key it cannot be guessed.
    pub fn fingerprint(&self, parts: &[&[u8]]) -> Result<[u8; 32]> {
        keyed(&self.fingerprints, parts)
    }
    /// A token of a session.
    pub fn sign(&self, session: Session, now: Instant) -> Result<String> {
        let iat = now.millis() / 1000;
        let Session {
            tenant,
            user,
            family,
            epoch,
        } = session;
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: user,
            tenant: tenant.0,
            iat,
            exp: iat + ACCESS_SECONDS,
            jti: Id::new(),
            sid: family,
            epoch,
        };
        let header = Header {
            typ: Some(TYPE.into()),
            ..Header::new(Algorithm::HS256)
        };
        encode(&header, &claims, &self.signing).map_err(Problem::internal)
    }
    /// Whose token it is, and until when.
    pub fn check(&self, token: &str, now: Instant) -> Result<(Session, Instant)> {
        let bad = || {
            Problem::new(
                Code::Unauthenticated,
                "The access token is unknown or has expired; log in again.",
            )
        };
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_issuer(&[ISSUER]);
        rules.set_audience(&[AUDIENCE]);
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        rules.validate_exp = false; // by our own clock, below
        let read = decode::<Claims>(token, &self.checking, &rules).map_err(|_| bad())?;
        let Claims {
            sub: user,
            tenant,
            exp,
            sid: family,
            epoch,
            ..
        } = read.claims;
        let ends = Instant::from_millis(exp.saturating_mul(1000)).ok_or_else(bad)?;
        let right = read.header.typ.as_deref() == Some(TYPE) && now < ends && !critical(token);
        let session = Session {
            tenant: TenantId(tenant),
            user,
            family,
            epoch,
        };
        right.then_some((session, ends)).ok_or_else(bad)
    }
}

/// Does its header name extensions that have to be understood (RFC 7515 4.1.11)? None is.
fn critical(token: &str) -> bool {
    let header = token.split('.').next().unwrap_or_default();
    let read = URL_SAFE_NO_PAD.decode(header).ok();
    let members = read.and_then(|bytes| {
        serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&bytes).ok()
    });
    members.is_none_or(|members| members.contains_key("crit"))
}

fn keyed(key: &[u8], parts: &[&[u8]]) -> Result<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(Problem::internal)?;
    parts.iter().for_each(|part| mac.update(part));
    Ok(mac.finalize().into_bytes().into())
}
