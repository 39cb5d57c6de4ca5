//! Every setting, its default and its meaning, in one table: the environment, read once at the
//! start. What cannot be read stops the start.
use crate::db::address::Address;
use crate::http::client::Proxies;
use crate::http::cors::Cors;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// `(name, default, meaning)`; the README has the same table.
pub const SETTINGS: &[(&str, &str, &str)] = &[
    (
        "DATABASE_URL",
        "sqlite:<ISMS_DATA_DIR>/isms.db",
        "`sqlite:<file>` or `postgres://user:password@host:port/database`",
    ),
    (
        "ISMS_DATA_DIR",
        "./data",
        "folder for the embedded database, evidence files and the signing key; only its owner \
            may have access (mode 0700)",
    ),
    (
        "ISMS_BIND",
        "127.0.0.1:8080",
        "address and port to listen on",
    ),
    (
        "ISMS_RATE_LIMIT",
        "6000",
        "requests per minute for each key (for each address without a valid key); 0 means no limit",
    ),
    (
        "ISMS_FORWARDED_FROM",
        "",
        "proxies whose `X-Forwarded-For` is trusted, separated by commas: \
            `10.0.0.5,2001:db8::5`; list proxies only: anyone in a network listed here can claim \
            any address",
    ),
    ("ISMS_LOG_FORMAT", "text", "`text` or `json`"),
    (
        "ISMS_LOG",
        "info",
        "log levels, overall and by module: `warn`, `info,isms::access=off`",
    ),
    (
        "ISMS_METRICS_BIND",
        "",
        "address and port of `/metrics`, separate from the API; unset means no metrics",
    ),
    (
        "ISMS_BEHIND_TLS",
        "false",
        "`true` if a proxy in front terminates TLS; browsers are then told to use HTTPS only",
    ),
    (
        "ISMS_CORS_ORIGINS",
        "",
        "origins whose pages may call the service, separated by commas: `https://grc.example.org`",
    ),
    (
        "ISMS_TOKEN_KEY_FILE",
        "<ISMS_DATA_DIR>/token.key",
        "key that signs access tokens; created with mode 0600 if missing",
    ),
    (
        "ISMS_FILE_LIMIT",
        "104857600",
        "maximum size of an evidence file in bytes",
    ),
    ("ISMS_READERS", "4", "database connections for reading"),
    (
        "ISMS_WORKERS",
        "0",
        "worker threads; 0 means one per processor",
    ),
    (
        "ISMS_ADMIN_PASSWORD",
        "",
        "password for `isms admin create` and `set-password`; read from standard input if unset",
    ),
];

/// Names that there were, and what to use now.
const GONE: &[(&str, &str)] = &[(
    "ISMS_METRICS",
    "`/metrics` now has a separate address: set ISMS_METRICS_BIND, for example to 127.0.0.1:9464",
)];

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
    /// Threads for work that blocks, for each worker: as many in all as there are connections for
    /// reading.
    pub fn blocking_threads(&self) -> usize {
        (self.readers as usize).div_ceil(self.workers.max(1)).max(2)
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
            .min_by_key(|known| distance(name, known));
        let near = near.filter(|known| distance(name, known) <= 2 && !value.starts_with("tcp://"));
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

/// How many letters have to be changed, added or taken away (Levenshtein), or two neighbours
/// exchanged.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (
        one.to_uppercase().chars().collect(),
        other.chars().collect(),
    );
    let (mut before, mut last): (Vec<usize>, Vec<usize>) =
        (Vec::new(), (0..=other.len()).collect());
    let at = |row: &[usize], n: usize| row.get(n).copied().unwrap_or(usize::MAX / 2);
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let step = (at(&last, j) + usize::from(a != b))
                .min(at(&last, j + 1) + 1)
                .min(at(&row, j) + 1);
            let swapped =
                i > 0 && j > 0 && one.get(i - 1) == Some(b) && other.get(j - 1) == Some(a);
            row.push(if swapped {
                step.min(at(&before, j - 1) + 1)
            } else {
                step
            });
        }
        before = std::mem::replace(&mut last, row);
    }
    at(&last, other.len())
}

/// A filter of the log: `<level>` and `<part>=<level>`, separated by commas.
pub fn filter(text: &str) -> Result<Vec<(Option<&str>, log::LevelFilter)>, String> {
    let levels = "off, error, warn, info, debug or trace";
    let level = |word: &str| {
        word.parse().map_err(|_| {
            format!(
                "`{word}` is not a level; write {levels}, or <module>=<level>, such as \
                    `info,isms::access=off`"
            )
        })
    };
    let part = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_:-".contains(c))
    };
    let one = |directive| match str::split_once(directive, '=') {
        None => level(directive).map(|level| (None, level)),
        Some((name, word)) if part(name) => level(word).map(|level| (Some(name), level)),
        Some((name, _)) => Err(format!(
            "`{name}` is not a module of the program, such as isms::access"
        )),
    };
    let directives: Vec<&str> = text.split(',').map(str::trim).collect();
    match directives.as_slice() {
        [""] => Err(format!("it is empty; write {levels}")),
        all => all.iter().map(|directive| one(directive)).collect(),
    }
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

    #[test]
    fn a_filter_of_the_log_is_read_or_refused() {
        for good in [
            "warn",
            "INFO",
            "off",
            "info,isms::access=off",
            "isms=debug, actix_server=warn",
            "trace,isms::security=info",
        ] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for bad in [
            "verbose",
            "trace3",
            "isms=loud",
            "isms",
            "info,",
            "",
            "=info",
            "isms=",
            "info/x",
            "a=b=c",
            "info;warn",
            "isms access=off",
        ] {
            assert!(filter(bad).is_err(), "{bad}");
        }
    }
}
