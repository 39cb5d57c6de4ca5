//! Every setting, its default and its meaning, in one table: the environment, read once at the start. What is not understood stops the start.
use crate::http::cors::Cors;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// `(name, default, meaning)`; the README has the same table.
pub const SETTINGS: &[(&str, &str, &str)] = &[
    ("DATABASE_URL", "sqlite:<ISMS_DATA_DIR>/isms.db", "`sqlite:<file>` or `postgres://user@host:port/database`"),
    ("ISMS_DATA_DIR", "./data", "folder of the embedded database, of evidence and of the signing key"),
    ("ISMS_BIND", "127.0.0.1:8080", "address and port to listen on"),
    ("ISMS_RATE_LIMIT", "6000", "requests a minute and key; 0 is no limit"),
    ("ISMS_LOG_FORMAT", "text", "`text` or `json`"),
    ("ISMS_LOG", "info", "what is logged, as env_logger filters: `warn`, `info,isms::access=off`"),
    ("ISMS_METRICS", "loopback", "who reads /metrics: `off`, `loopback` or `on`"),
    ("ISMS_BEHIND_TLS", "false", "`true` where TLS ends in front of it: browsers are told to stay with TLS"),
    ("ISMS_CORS_ORIGINS", "", "origins whose pages may use the service, separated by commas: `https://grc.example.org`"),
    ("ISMS_TOKEN_KEY_FILE", "<ISMS_DATA_DIR>/token.key", "key that signs access tokens; made with mode 0600 where there is none"),
    ("ISMS_FILE_LIMIT", "104857600", "bytes that a file of evidence may have"),
    ("ISMS_READERS", "4", "connections for reading"),
    ("ISMS_WORKERS", "0", "worker threads; 0 is one for each processor"),
    ("ISMS_ADMIN_PASSWORD", "", "password for `isms admin create` and `set-password`; read from standard input when absent"),
];

/// Who may read the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Nobody.
    Off,
    /// Who asks from this machine.
    Loopback,
    /// Everyone who reaches the service.
    On,
}

/// The settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Which database.
    pub database_url: String,
    /// Where contents and keys are kept.
    pub data_dir: PathBuf,
    /// Where to listen.
    pub bind: String,
    /// Requests a minute and key.
    pub rate_limit: u32,
    /// Is the log JSON?
    pub json_log: bool,
    /// What is logged.
    pub log: String,
    /// Who reads metrics.
    pub metrics: Audience,
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
}

impl Config {
    /// From the environment.
    pub fn from_env() -> Result<Self, String> {
        Self::read(std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))))
    }
    /// From names and values; every fault is named.
    pub fn read(vars: impl Iterator<Item = (String, String)>) -> Result<Self, String> {
        let given: BTreeMap<String, String> = vars.filter(|(name, _)| name == "DATABASE_URL" || name.starts_with("ISMS_")).collect();
        let mut faults: Vec<String> = Vec::new();
        for name in given.keys().filter(|name| !SETTINGS.iter().any(|(known, ..)| known == name)) {
            faults.push(format!(
                "{name}: there is no such setting (there are {})",
                SETTINGS.iter().map(|(known, ..)| *known).collect::<Vec<_>>().join(", ")
            ));
        }
        let text = |name: &str| {
            let default = SETTINGS.iter().find(|(known, ..)| *known == name).map_or("", |(_, default, _)| *default);
            given.get(name).map_or(default, String::as_str).to_owned()
        };
        let mut number = |name: &str, least: u64, most: u64| {
            let value = text(name).parse().ok().filter(|n| (least..=most).contains(n));
            value.unwrap_or_else(|| {
                faults.push(format!("{name}: `{}` is not a number from {least} to {most}", text(name)));
                least
            })
        };
        let (rate_limit, readers) = (number("ISMS_RATE_LIMIT", 0, 100_000_000) as u32, number("ISMS_READERS", 1, 200) as u32);
        let (file_limit, workers) = (number("ISMS_FILE_LIMIT", 1, 1 << 40), number("ISMS_WORKERS", 0, 256) as usize);
        let mut word = |name: &str, words: &[&str]| {
            let value = text(name);
            if !words.contains(&value.as_str()) {
                faults.push(format!("{name}: `{value}` is none of {}", words.join(", ")));
            }
            value
        };
        let json_log = word("ISMS_LOG_FORMAT", &["text", "json"]) == "json";
        let behind_tls = word("ISMS_BEHIND_TLS", &["true", "false"]) == "true";
        let metrics = match word("ISMS_METRICS", &["off", "loopback", "on"]).as_str() {
            "off" => Audience::Off,
            "on" => Audience::On,
            _ => Audience::Loopback,
        };
        let data_dir = PathBuf::from(text("ISMS_DATA_DIR"));
        let database_url = given.get("DATABASE_URL").cloned().unwrap_or_else(|| format!("sqlite:{}", data_dir.join("isms.db").display()));
        if let Err(why) = crate::db::Manager::new(&database_url) {
            faults.push(format!("DATABASE_URL: {why}"));
        }
        let cors = Cors::read(&text("ISMS_CORS_ORIGINS")).unwrap_or_else(|why| {
            faults.push(format!("ISMS_CORS_ORIGINS: {why}"));
            Cors::default()
        });
        let token_key_file = given.get("ISMS_TOKEN_KEY_FILE").map_or_else(|| data_dir.join("token.key"), PathBuf::from);
        let workers = if workers == 0 { std::thread::available_parallelism().map_or(2, usize::from) } else { workers };
        let (bind, log, admin_password) = (text("ISMS_BIND"), text("ISMS_LOG"), given.get("ISMS_ADMIN_PASSWORD").cloned());
        match faults.is_empty() {
            true => Ok(Config {
                database_url,
                data_dir,
                bind,
                rate_limit,
                json_log,
                log,
                metrics,
                behind_tls,
                cors,
                token_key_file,
                file_limit,
                readers,
                workers,
                admin_password,
            }),
            false => Err(faults.join("\n")),
        }
    }
    /// Threads for work that blocks, for each worker: as many in all as there are connections for reading.
    pub fn blocking_threads(&self) -> usize {
        (self.readers as usize).div_ceil(self.workers.max(1)).max(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Config, String> {
        Config::read(vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn defaults() {
        let config = read(&[("PATH", "/bin")]).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((config.database_url.as_str(), config.bind.as_str()), ("sqlite:./data/isms.db", "127.0.0.1:8080"));
    }

    #[test]
    fn every_fault_is_named() {
        let faults = read(&[
            ("ISMS_BINDD", "x"),
            ("ISMS_RATE_LIMIT", "many"),
            ("ISMS_LOG_FORMAT", "xml"),
            ("DATABASE_URL", "mysql://x"),
            ("ISMS_CORS_ORIGINS", "*"),
        ])
        .err()
        .unwrap_or_default();
        for name in ["ISMS_BINDD", "ISMS_RATE_LIMIT", "ISMS_LOG_FORMAT", "DATABASE_URL", "ISMS_CORS_ORIGINS"] {
            assert!(faults.lines().any(|line| line.starts_with(name)), "{name}: {faults}");
        }
    }
}
