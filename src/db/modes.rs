//! Who may read what is kept: the owner of the process, and nobody else on the machine. What is
//! made is made so; what is wider already is refused, because somebody may have read it, and who
//! runs the service has to know.
use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Others read nothing of what this process makes from now on, whatever the shell said before.
pub fn keep_to_the_owner() {
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

/// Makes a folder that only the owner enters, with those above it. One that is there and empty is
/// narrowed: nobody has read anything in it.
pub fn folder(path: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)?;
    let wide = fs::metadata(path)?.permissions().mode() & 0o077 != 0;
    if wide && fs::read_dir(path)?.next().is_none() {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Opens a file that locks are taken on; only the owner can take one.
pub fn lockable(path: &Path) -> std::io::Result<fs::File> {
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?; // It holds nothing: an older one is narrowed.
    Ok(file)
}

/// Refuses folders and files that others may enter, read or write.
pub fn narrow(data: &Path, database: Option<&Path>) -> Result<(), String> {
    let beside = |end: &str| database.map(|path| PathBuf::from(format!("{}{end}", path.display())));
    let mut places = vec![data.to_owned()];
    places.extend(
        [
            "object_store",
            "incoming",
            "demo.json",
            "sessions.db",
            "sessions.db-wal",
            "sessions.db-shm",
            "sessions.db-journal",
        ]
        .iter()
        .map(|name| data.join(name)),
    );
    places.extend(
        ["", "-wal", "-shm", "-journal"]
            .iter()
            .filter_map(|end| beside(end)),
    );
    let mut wide = Vec::new();
    for place in places {
        let mode = match fs::metadata(&place) {
            Ok(found) => found.permissions().mode() & 0o777,
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => continue,
            Err(why) => return Err(format!("{}: {why}", place.display())),
        };
        if mode & 0o077 != 0 {
            wide.push((place, mode));
        }
    }
    if wide.is_empty() {
        return Ok(());
    }
    let told: Vec<String> = wide
        .iter()
        .map(|(place, mode)| format!("{} (mode {mode:03o})", place.display()))
        .collect();
    let paths: Vec<String> = wide
        .iter()
        .map(|(place, _)| format!("'{}'", place.display().to_string().replace('\'', r"'\''")))
        .collect();
    Err(format!(
        "other users of this machine can access {}. These contain the hashes of passwords and \
            keys, and all data of the ISMS. Remove their access with `chmod go= {}`, and find \
            out who may have read it",
        told.join(", "),
        paths.join(" ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wide_is_named_with_the_way_to_mend_it() -> std::io::Result<()> {
        let dir = tempfile::tempdir()?;
        let (data, database) = (
            dir.path().join("it's data"),
            dir.path().join("it's data/isms.db"),
        );
        fs::create_dir(&data)?;
        fs::set_permissions(&data, fs::Permissions::from_mode(0o777))?;
        folder(&data)?;
        assert_eq!(fs::metadata(&data)?.permissions().mode() & 0o777, 0o700);
        assert_eq!(narrow(&data, Some(&database)), Ok(()));
        let lock = data.join("serving.lock");
        fs::write(&lock, "")?;
        fs::set_permissions(&lock, fs::Permissions::from_mode(0o666))?;
        lockable(&lock)?;
        assert_eq!(fs::metadata(&lock)?.permissions().mode() & 0o777, 0o600);
        for (name, mode) in [
            ("isms.db", 0o640),
            ("isms.db-wal", 0o604),
            ("isms.db-shm", 0o660),
            ("demo.json", 0o644),
        ] {
            let place = data.join(name);
            fs::write(&place, "x")?;
            fs::set_permissions(&place, fs::Permissions::from_mode(mode))?;
            let why = narrow(&data, Some(&database)).err().unwrap_or_default();
            assert!(
                why.contains(&format!("{name} (mode {mode:o})")) && why.contains("chmod go= '"),
                "{name}: {why}"
            );
            fs::set_permissions(&place, fs::Permissions::from_mode(0o600))?;
            assert_eq!(narrow(&data, Some(&database)), Ok(()), "{name}");
        }
        for wide in [0o750, 0o701, 0o777, 0o710] {
            fs::set_permissions(&data, fs::Permissions::from_mode(wide))?;
            folder(&data)?; // There is something in it.
            assert!(narrow(&data, None).is_err(), "{wide:o}");
        }
        Ok(())
    }
}
