//! Every setting, its default and its meaning, in one table: the environment, read once at the
//! start. What cannot be read stops the start.
mod filter;
mod settings;

pub use filter::filter;
pub use settings::SETTINGS;

use crate::db::address::Address;
use crate::http::client::Proxies;
use crate::http::cors::Cors;
use settings::GONE;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use strsim::osa_distance;

/// The settings.
#[derive(Clone)]
pub struct Config {
    /// Which database.
    pub database_url: String,
    /// Where contents and keys are kept.
    pub data_dir: PathBuf,
    /// Where to listen.
    pub bind: String,
    /// Requests a minute and key.
    pub rate_limit: u32,
    /// Which proxies are believed.
    pub forwarded_from: Proxies,
    /// Is the log JSON?
    pub json_log: bool,
    /// What is logged.
    pub log: String,
    /// Where metrics are read.
    pub metrics_bind: Option<String>,
    /// Does TLS end in front of it?
    pub behind_tls: bool,
    /// Whose pages may use it.
    pub cors: Cors,
    /// The key that signs access tokens.
    pub token_key_file: PathBuf,
    /// Bytes of a file.
    pub file_limit: u64,
    /// Connections for reading.
    pub readers: u32,
    /// Worker threads.
    pub workers: usize,
    /// The password of a first user.
    pub admin_password: Option<String>,
    /// Names of the environment that look like settings and are none.
    pub ignored: Vec<String>,
}

impl Config {
    /// From the environment.
    pub fn from_env() -> Result<Self, String> {
        Self::from_os(std::env::vars_os())
    }
    /// The same for names and values that need not be text.
    fn from_os(vars: impl Iterator<Item = (OsString, OsString)>) -> Result<Self, String> {
        let (mut given, mut faults) = (Vec::new(), Vec::new());
        for (name, value) in vars {
            let Ok(name) = name.into_string() else {
                continue;
            };
            match value.into_string() {
                Ok(value) => given.push((name, value)),
                Err(_) if is_ours(&name) => faults.push(format!("{name}: the value is not UTF-8")),
                Err(_) => {}
            }
        }
        if faults.is_empty() {
            Self::read(given.into_iter())
        } else {
            Err(faults.join("\n"))
        }
    }
    /// From names and values; every fault is named.
    pub fn read(vars: impl Iterator<Item = (String, String)>) -> Result<Self, String> {
        let given: BTreeMap<String, String> = vars.filter(|(name, _)| is_ours(name)).collect();
        let (mut faults, ignored) = strangers(&given);
        let text = |name: &str| {
            let default = SETTINGS
                .iter()
                .find(|(known, ..)| *known == name)
                .map_or("", |(_, default, _)| *default);
            given.get(name).map_or(default, String::as_str).to_owned()
        };
        let mut number = |name: &str, least: u64, most: u64| {
            let value = text(name)
                .parse()
                .ok()
                .filter(|n| (least..=most).contains(n));
            value.unwrap_or_else(|| {
                faults.push(format!(
                    "{name}: `{}` is not a number from {least} to {most}",
                    text(name)
                ));
                least
            })
        };
        let (rate_limit, readers) = (
            number("ISMS_RATE_LIMIT", 0, 100_000_000) as u32,
            number("ISMS_READERS", 1, 200) as u32,
        );
        let (file_limit, workers) = (
            number("ISMS_FILE_LIMIT", 1, 1 << 40),
            number("ISMS_WORKERS", 0, 256) as usize,
        );
        let mut word = |name: &str, words: &[&str]| {
            let value = text(name);
            if !words.contains(&value.as_str()) {
                faults.push(format!(
                    "{name}: `{value}` is not one of {}",
                    words.join(", ")
                ));
            }
            value
        };
        let json_log = word("ISMS_LOG_FORMAT", &["text", "json"]) == "json";
        let behind_tls = word("ISMS_BEHIND_TLS", &["true", "false"]) == "true";
        // An empty one is a variable that somebody forgot to fill: data would lie where nobody
        // looks for them.
        for name in [
            "DATABASE_URL",
            "ISMS_DATA_DIR",
            "ISMS_TOKEN_KEY_FILE",
            "ISMS_BIND",
        ] {
            if given.get(name).is_some_and(|value| value.trim().is_empty()) {
                faults.push(format!(
                    "{name}: it is empty; give it a value, or unset it to use the default"
                ));
            }
        }
        let data_dir = PathBuf::from(text("ISMS_DATA_DIR"));
        let database_url = given
            .get("DATABASE_URL")
            .cloned()
            .unwrap_or_else(|| format!("sqlite:{}", data_dir.join("isms.db").display()));
        if let Err(why) = Address::read(&database_url).map(drop)
            && !database_url.trim().is_empty()
        {
            faults.push(format!("DATABASE_URL: {why}"));
        }
        let log = text("ISMS_LOG");
        faults.extend(filter(&log).err().map(|why| format!("ISMS_LOG: {why}")));
        let cors = Cors::read(&text("ISMS_CORS_ORIGINS")).unwrap_or_else(|why| {
            faults.push(format!("ISMS_CORS_ORIGINS: {why}"));
            Cors::default()
        });
        let forwarded_from = Proxies::read(&text("ISMS_FORWARDED_FROM")).unwrap_or_else(|why| {
            faults.push(format!("ISMS_FORWARDED_FROM: {why}"));
            Proxies::default()
        });
        let token_key_file = given
            .get("ISMS_TOKEN_KEY_FILE")
            .map_or_else(|| data_dir.join("token.key"), PathBuf::from);
        let workers = if workers == 0 {
            std::thread::available_parallelism().map_or(2, usize::from)
        } else {
            workers
        };
        let (bind, admin_password) = (text("ISMS_BIND"), given.get("ISMS_ADMIN_PASSWORD").cloned());
        let metrics_bind = Some(text("ISMS_METRICS_BIND")).filter(|bind| !bind.trim().is_empty());
        match faults.is_empty() {
            true => Ok(Config {
                database_url,
                data_dir,
                bind,
                rate_limit,
                forwarded_from,
                json_log,
                log,
                metrics_bind,
                behind_tls,
                cors,
                token_key_file,
                file_limit,
                readers,
                workers,
                admin_password,
                ignored,
            }),
            false => Err(faults.join("\n")),
        }
    }
    /// Threads for work that blocks, for each worker: it may use every reader.
    pub fn blocking_threads(&self) -> usize {
        (self.readers as usize).max(2)
    }
}

fn is_ours(name: &str) -> bool {
    name == "DATABASE_URL" || name.starts_with("ISMS_")
}

/// What is no setting: a name that is nearly one is a mistake, and stops the start. Others come
/// from elsewhere (a cluster describes a service that is called `isms` as `ISMS_PORT=tcp://…`), and
/// are told.
fn strangers(given: &BTreeMap<String, String>) -> (Vec<String>, Vec<String>) {
    let (mut faults, mut ignored) = (Vec::new(), Vec::new());
    for (name, value) in given
        .iter()
        .filter(|(name, _)| !SETTINGS.iter().any(|(known, ..)| known == name))
    {
        let near = SETTINGS
            .iter()
            .map(|(known, ..)| *known)
            .filter(|known| known.starts_with("ISMS_"))
            .min_by_key(|known| osa_distance(&name.to_uppercase(), known));
        let near = near.filter(|known| {
            osa_distance(&name.to_uppercase(), known) <= 2 && !value.starts_with("tcp://")
        });
        match (GONE.iter().find(|(gone, _)| gone == name), near) {
            (Some((_, instead)), _) => {
                faults.push(format!("{name}: this setting was removed; {instead}"))
            }
            (None, Some(known)) => {
                faults.push(format!("{name}: unknown setting; did you mean {known}?"))
            }
            (None, None) => ignored.push(name.clone()),
        }
    }
    (faults, ignored)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    fn read(vars: &[(&str, &str)]) -> Result<Config, String> {
        Config::read(
            vars.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        )
    }

    #[test]
    fn defaults() {
        let config = read(&[("PATH", "/bin")]).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(
            (config.database_url.as_str(), config.bind.as_str()),
            ("sqlite:./data/isms.db", "127.0.0.1:8080")
        );
        assert!(config.metrics_bind.is_none() && config.ignored.is_empty());
    }

    #[test]
    fn every_fault_is_named() {
        let faults = read(&[
            ("ISMS_BINDD", "x"),
            ("ISMS_RATE_LIMIT", "many"),
            ("ISMS_LOG_FORMAT", "xml"),
            ("ISMS_LOG", "verbose"),
            ("ISMS_FORWARDED_FROM", "proxy"),
            ("ISMS_DATA_DIR", ""),
            ("ISMS_TOKEN_KEY_FILE", " "),
            ("ISMS_METRICS", "on"),
            ("DATABASE_URL", "mysql://x"),
            ("ISMS_CORS_ORIGINS", "*"),
        ])
        .err()
        .unwrap_or_default();
        for name in [
            "ISMS_BINDD",
            "ISMS_RATE_LIMIT",
            "ISMS_LOG_FORMAT",
            "ISMS_LOG",
            "ISMS_FORWARDED_FROM",
            "ISMS_DATA_DIR",
            "ISMS_TOKEN_KEY_FILE",
            "ISMS_METRICS",
            "DATABASE_URL",
            "ISMS_CORS_ORIGINS",
        ] {
            assert!(
                faults
                    .lines()
                    .any(|line| line.starts_with(&format!("{name}: "))),
                "{name}: {faults}"
            );
        }
        let bytes = (
            OsString::from("ISMS_DATA_DIR"),
            OsString::from_vec(vec![0xff]),
        );
        assert!(
            Config::from_os([bytes].into_iter())
                .err()
                .is_some_and(|why| why.contains("ISMS_DATA_DIR"))
        );
        assert!(
            read(&[("DATABASE_URL", "")])
                .err()
                .is_some_and(|why| why.contains("DATABASE_URL: it is empty"))
        );
    }

    #[test]
    fn only_what_is_nearly_a_setting_stops_the_start() {
        for near in [
            "ISMS_BIN",
            "ISMS_BNID",
            "ISMS_RATELIMIT",
            "ISMS_DATADIR",
            "ISMS_LOGS",
            "ISMS_READER",
            "ISMS_bind",
            "ISMS_METRIC_BIND",
            "ISMS_FORWARDED_FORM",
        ] {
            let why = read(&[(near, "1")]).err().unwrap_or_default();
            assert!(why.contains("did you mean ISMS_"), "{near}: {why}");
        }
        let elsewhere = [
            ("ISMS_PORT", "tcp://10.0.0.1:8080"),
            ("ISMS_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
            ("ISMS_PORT_8080_TCP_ADDR", "10.0.0.1"),
            ("ISMS_PORT_8080_TCP_PORT", "8080"),
            ("ISMS_PORT_8080_TCP_PROTO", "tcp"),
            ("ISMS_SERVICE_HOST", "10.0.0.1"),
            ("ISMS_SERVICE_PORT", "8080"),
            ("ISMS_SERVICE_PORT_HTTP", "8080"),
            ("ISMS_URL", "http://127.0.0.1:8080"),
            ("ISMS_KEY", "isms_x"),
            ("ISMS_EMAIL", "a@b.example"),
            ("ISMS_LOGO", "tcp://10.0.0.1:1"),
        ];
        let config = read(&elsewhere).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(config.ignored.len(), elsewhere.len());
    }
}
