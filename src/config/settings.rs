//! Every setting, its default and its meaning.

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
pub(super) const GONE: &[(&str, &str)] = &[(
    "ISMS_METRICS",
    "`/metrics` now has a separate address: set ISMS_METRICS_BIND, for example to 127.0.0.1:9464",
)];
