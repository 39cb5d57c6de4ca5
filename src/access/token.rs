//! Access tokens: JWT (RFC 7519, RFC 9068) signed with HS256 and a key that stays in a file. Algorithm, issuer, audience and type are pinned;
//! roles are not in the token but looked up, so that what is taken away is gone at once.
use crate::core::{Code, Id, Instant, Problem, Result, TenantId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
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
}

/// Signs and checks.
pub struct Tokens {
    signing: EncodingKey,
    checking: DecodingKey,
}

impl Tokens {
    /// With the key of this file, which is made (mode 0600) where there is none; a file that others can read is refused.
    pub fn open(file: &Path) -> std::result::Result<Self, String> {
        let told = |e: std::io::Error| format!("{}: {e}", file.display());
        if !file.exists() {
            let mut key = [0_u8; 64];
            getrandom::fill(&mut key).map_err(|e| e.to_string())?;
            let new = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
            new.and_then(|mut file| file.write_all(&key).and_then(|()| file.sync_all())).map_err(told)?;
        }
        let mode = fs::metadata(file).map_err(told)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(format!("{}: mode {:o} lets others read the signing key; it must be 600", file.display(), mode & 0o777));
        }
        let key = fs::read(file).map_err(told)?;
        if key.len() < 32 {
            return Err(format!("{}: a signing key has at least 32 bytes", file.display()));
        }
        Ok(Tokens { signing: EncodingKey::from_secret(&key), checking: DecodingKey::from_secret(&key) })
    }
    /// A token for a user.
    pub fn sign(&self, tenant: TenantId, user: Id, now: Instant) -> Result<String> {
        let iat = now.millis() / 1000;
        let (iss, aud) = (ISSUER.to_owned(), AUDIENCE.to_owned());
        let claims = Claims { iss, aud, sub: user, tenant: tenant.0, iat, exp: iat + ACCESS_SECONDS, jti: Id::new() };
        let header = Header { typ: Some(TYPE.into()), ..Header::new(Algorithm::HS256) };
        encode(&header, &claims, &self.signing).map_err(Problem::internal)
    }
    /// Whose token it is, and until when.
    pub fn check(&self, token: &str, now: Instant) -> Result<(TenantId, Id, Instant)> {
        let bad = || Problem::new(Code::Unauthenticated, "The access token is not valid or has ended.");
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_issuer(&[ISSUER]);
        rules.set_audience(&[AUDIENCE]);
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        rules.validate_exp = false; // by our own clock, below
        let read = decode::<Claims>(token, &self.checking, &rules).map_err(|_| bad())?;
        let ends = Instant::from_millis(read.claims.exp.saturating_mul(1000)).ok_or_else(bad)?;
        let right = read.header.typ.as_deref() == Some(TYPE) && now < ends;
        right.then_some((TenantId(read.claims.tenant), read.claims.sub, ends)).ok_or_else(bad)
    }
}
