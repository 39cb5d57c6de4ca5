//! `DATABASE_URL`: read strictly, because what cannot be read must not be guessed at, and must not
//! be printed either. A password that is not encoded changes where a URL's parts begin; then the
//! driver would take a piece of it for a host and say so. No part of such a URL is in any message.
use percent_encoding::percent_decode_str;

/// Where the database is.
#[derive(Clone, PartialEq, Eq)]
pub enum Address {
    /// A file of the embedded database.
    Sqlite(String),
    /// A PostgreSQL server.
    Pg(Server),
}

/// A server's URL, and what of it is secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    url: String,
    place: String,
    secrets: Vec<String>,
}

/// What is wrong with a URL that cannot be read; without any part of it.
const NEITHER: &str = "must be `sqlite:<file>` or `postgres://user:password@host:port/database`";
const UNREADABLE: &str = "it cannot be read as `postgres://user:password@host:port/database`. In \
    user, password and database write every character but letters, \
                          digits and `-._~` percent-encoded: `@` is %40, `/` is %2F, `:` is %3A, \
                          `?` is %3F, `#` is %23, `%` is %25, a blank is %20";

impl Address {
    /// `sqlite:<path>` or `postgres://…`; never a guess.
    pub fn read(url: &str) -> Result<Self, &'static str> {
        match url.split_once(':') {
            Some(("sqlite", path)) => {
                let path = path.strip_prefix("//").unwrap_or(path);
                let plain = !path.is_empty() && !path.starts_with("file:") && !path.contains('\0');
                if plain {
                    Ok(Address::Sqlite(path.to_owned()))
                } else {
                    Err("`sqlite:` must be followed by the path of a file")
                }
            }
            Some(("postgres" | "postgresql", rest)) => {
                let rest = rest.strip_prefix("//").ok_or(UNREADABLE)?;
                Server::read(url, rest).map(Address::Pg).ok_or(UNREADABLE)
            }
            _ => Err(NEITHER),
        }
    }
    /// What may be said of it: no password, no other parameters.
    pub fn place(&self) -> String {
        match self {
            Address::Sqlite(path) => format!("sqlite:{path}"),
            Address::Pg(server) => server.place.clone(),
        }
    }
}

impl Server {
    /// From what follows `postgres://`.
    fn read(url: &str, rest: &str) -> Option<Self> {
        let (rest, query) = rest
            .split_once('?')
            .map_or((rest, None), |(rest, query)| (rest, Some(query)));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = authority
            .split_once('@')
            .map_or((None, authority), |(login, hosts)| (Some(login), hosts));
        let (user, password) = login
            .unwrap_or_default()
            .split_once(':')
            .map_or((login.unwrap_or_default(), None), |(user, password)| {
                (user, Some(password))
            });
        let well = component(user)
            && password.is_none_or(component)
            && component(database)
            && hosts.split(',').all(host);
        let parameters: Vec<(&str, &str)> = query
            .into_iter()
            .flat_map(|query| query.split('&'))
            .map(|part| part.split_once('='))
            .collect::<Option<_>>()?;
        let named = |name: &str| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit())
        };
        if !well
            || !parameters
                .iter()
                .all(|(name, value)| named(name) && value.split([',', '/', ':']).all(component))
        {
            return None;
        }
        let secret = |name: &str| {
            ["password", "sslpassword", "passfile", "oauth_client_secret"].contains(&name)
        };
        let given = password.into_iter().chain(
            parameters
                .iter()
                .filter(|(name, _)| secret(name))
                .map(|(_, value)| *value),
        );
        let mut secrets: Vec<String> = given
            .flat_map(|text| {
                [
                    text.to_owned(),
                    percent_decode_str(text).decode_utf8_lossy().into_owned(),
                ]
            })
            .collect();
        secrets.retain(|text| !text.is_empty());
        let of = if user.is_empty() {
            String::new()
        } else {
            format!("{user}@")
        };
        let place = format!("postgres://{of}{hosts}/{database}");
        Some(Server {
            url: url.to_owned(),
            place,
            secrets,
        })
    }
    /// What the driver is given.
    pub fn url(&self) -> &str {
        &self.url
    }
    /// A message of the driver, without secrets.
    pub fn scrubbed(&self, message: &str) -> String {
        self.secrets
            .iter()
            .fold(message.to_owned(), |message, secret| {
                message.replace(secret.as_str(), "…")
            })
    }
}

/// A part of a URL in which everything but letters, digits and a few marks is percent-encoded.
fn component(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let good = match byte {
            b'%' => {
                let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
                let (high, low) = (digit(), digit());
                high.is_some() && low.is_some() && (high, low) != (Some(0), Some(0))
            }
            byte => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte),
        };
        if !good {
            return false;
        }
    }
    true
}

/// `name`, `name:5432`, `[::1]:5432`, `%2Frun%2Fpostgresql`, or nothing.
fn host(text: &str) -> bool {
    let port = |text: &str| {
        text.is_empty()
            || (text.bytes().all(|byte| byte.is_ascii_digit())
                && text.parse::<u16>().is_ok_and(|port| port > 0))
    };
    if let Some((inner, after)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return inner.parse::<std::net::Ipv6Addr>().is_ok()
            && (after.is_empty() || after.strip_prefix(':').is_some_and(port));
    }
    let (name, number) = text.split_once(':').unwrap_or((text, ""));
    let marks = |byte: u8| byte.is_ascii_alphanumeric() || b"-._%".contains(&byte);
    component(name) && name.bytes().all(marks) && port(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_are_well_formed_are_read() {
        for (url, place) in [
            ("sqlite:data/isms.db", "sqlite:data/isms.db"),
            (
                "sqlite:///var/lib/isms/isms.db",
                "sqlite:/var/lib/isms/isms.db",
            ),
            (
                "postgres://isms:secret@127.0.0.1:5432/isms",
                "postgres://isms@127.0.0.1:5432/isms",
            ),
            (
                "postgresql://isms@db.example/isms",
                "postgres://isms@db.example/isms",
            ),
            ("postgres:///isms", "postgres:///isms"),
            ("postgres://localhost", "postgres://localhost/"),
            (
                "postgres://u:p%40ss%2Fw%20rd@[::1]:5433/x?sslmode=verify-full&sslrootcert=system",
                "postgres://u@[::1]:5433/x",
            ),
            (
                "postgres://u:secret@%2Frun%2Fpostgresql/x",
                "postgres://u@%2Frun%2Fpostgresql/x",
            ),
            (
                "postgres://u@/x?host=/run/postgresql&password=secret",
                "postgres://u@/x",
            ),
            (
                "postgres://a:1,b:2/x?target_session_attrs=read-write",
                "postgres://a:1,b:2/x",
            ),
        ] {
            let read = Address::read(url).map(|address| address.place());
            assert_eq!(read.as_deref(), Ok(place), "{url}");
        }
    }

    #[test]
    fn no_part_of_a_url_that_cannot_be_read_is_said() {
        let secret = "s3cretW0rd";
        for url in [
            "",
            ":",
            "sqlite",
            "sqlite:",
            "sqlite://",
            "isms.db",
            "postgres",
            "postgres:",
            "postgres:x",
            "postgres:/u:{}@h/x",
            "mysql://u:{}@h/x",
            "POSTGRES://u:{}@h/x",
            " postgres://u:{}@h/x",
            "postgres ://u:{}@h/x",
            "postgres://u:top%zz{}@h/x",
            "postgres://u:{}%@h/x",
            "postgres://u:{}%4@h/x",
            "postgres://u:{}%00@h/x",
            "postgres://u:a@{}@h/x",
            "postgres://u:a/{}@h/x",
            "postgres://u:a?{}@h/x",
            "postgres://u:a#{}@h/x",
            "postgres://u:a:{}@h/x",
            "postgres://u:a {}@h/x",
            "postgres://u:a\t{}@h/x",
            "postgres://u:a[{}]@h/x",
            "postgres://u:{}@h:port/x",
            "postgres://u:{}@h:99999/x",
            "postgres://u:{}@h:0/x",
            "postgres://u:{}@h/x y",
            "postgres://u:{}@h/x?sslmode",
            "postgres://u:{}@h/x?=y",
            "postgres://u:{}@h/x?a b=c",
            "postgres://u:{}@[::1/x",
            "postgres://u:{}@::1/x",
            "postgres://{}:a@b@h",
            "postgres://h/x?password=a@{}",
            "postgres://h/x?password=a b{}",
            "postgres://u:ü{}@h/x",
            "postgres://u:\"{}\"@h/x",
            "postgres://u:a\\{}@h/x",
            "host=h user=u password={}",
            "{}",
            "{}:{}",
            "sqlite:file:{}?mode=ro",
            "postgres://u:<{}>@h",
            "postgres://u:`{}`@h",
            "postgres://u:{}^@h",
            "postgres://{}/x@h",
            "postgres://u:1/{}@h/x",
            "postgres://u:5432/{}@h/x",
            "postgres://u:5432?{}@h",
            "postgres://u:a,{}:b@h/x/y",
        ] {
            let url = url.replace("{}", secret);
            match Address::read(&url) {
                Ok(address) => panic!("{url} was read as {}", address.place()),
                Err(why) => assert!(!why.contains(secret) && why.len() > 20, "{url}: {why}"),
            }
        }
    }

    #[test]
    fn secrets_are_taken_out_of_messages() {
        let Ok(Address::Pg(server)) = Address::read("postgres://u:p%40ss@h/x?sslpassword=key")
        else {
            panic!("not read")
        };
        assert_eq!(
            server.scrubbed("p%40ss and p@ss and key of u at h"),
            "… and … and … of u at h"
        );
    }
}
