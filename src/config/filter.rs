//! The setting that says what is logged.

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
