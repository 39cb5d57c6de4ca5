//! Where an organization under load is kept: a folder, and for PostgreSQL a server of its own.
use crate::postgres::{self, Cluster};
use crate::process::Process;
use crate::seed::{Seeded, Size};
use crate::{Outcome, seed};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Database {
    Sqlite,
    Postgresql,
}

impl Database {
    pub fn name(self) -> &'static str {
        match self {
            Database::Sqlite => "SQLite",
            Database::Postgresql => "PostgreSQL",
        }
    }
}

/// What `--database` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Databases {
    Sqlite,
    Postgresql,
    Both,
}

impl Databases {
    /// Both, where PostgreSQL is installed.
    pub fn or_found(asked: Option<Self>) -> &'static [Database] {
        match asked {
            Some(Databases::Sqlite) => &[Database::Sqlite],
            Some(Databases::Postgresql) => &[Database::Postgresql],
            None if postgres::binaries().is_none() => {
                eprintln!("PostgreSQL's programs were not found: SQLite alone is measured");
                &[Database::Sqlite]
            }
            _ => &[Database::Sqlite, Database::Postgresql],
        }
    }
}

pub struct Place {
    pub database: Database,
    folder: PathBuf,
    cluster: Option<Cluster>,
    _own: Option<TempDir>,
}

impl Place {
    fn at(folder: PathBuf, database: Database, own: Option<TempDir>) -> Outcome<Self> {
        std::fs::create_dir_all(folder.join("data"))?;
        let cluster = match database {
            Database::Sqlite => None,
            Database::Postgresql => Some(Cluster::start(&folder)?),
        };
        Ok(Place {
            database,
            folder,
            cluster,
            _own: own,
        })
    }
    /// An empty one that goes when it is dropped.
    pub fn fresh(database: Database) -> Outcome<Self> {
        let own = passing()?;
        Self::at(own.path().to_owned(), database, Some(own))
    }
    /// One that is filled. What is kept is filled once, and what is measured is a copy of it, so
    /// that each run finds the same.
    pub fn filled(database: Database, size: &Size, keep: Option<&Path>) -> Outcome<(Self, Seeded)> {
        let Some(keep) = keep else {
            let place = Self::fresh(database)?;
            let seeded = place.fill(size)?;
            return Ok((place, seeded));
        };
        let name = format!("{}-{}", database.name().to_lowercase(), size.name());
        let kept = std::path::absolute(keep)?.join(name);
        let note = kept.join("load.json");
        if !note.exists() {
            if kept.exists() {
                return Err(
                    format!("{} was not filled to its end: remove it", kept.display()).into(),
                );
            }
            let seeded = Self::at(kept.clone(), database, None)?.fill(size)?;
            std::fs::write(&note, serde_json::to_string(&seeded)?)?;
        }
        let seeded = serde_json::from_str(&std::fs::read_to_string(&note)?)?;
        eprintln!("{}: using a copy of {}", database.name(), kept.display());
        let own = passing()?;
        let copy = own.path().join("copy");
        done(
            Command::new("cp")
                .args(["-a", "--reflink=auto"])
                .arg(&kept)
                .arg(&copy),
        )?;
        done(Command::new("sync").arg("-f").arg(&copy))?;
        Ok((Self::at(copy, database, Some(own))?, seeded))
    }
    fn fill(&self, size: &Size) -> Outcome<Seeded> {
        let mut seeded = seed::found(self)?;
        let (service, _) = self.serve(&seeded.get("/v1/assets?limit=1"))?;
        eprintln!(
            "{}: filling up to {} entries …",
            self.database.name(),
            size.entries
        );
        seeded.fill(self, &service, size)?;
        drop(service);
        self.cluster.as_ref().map_or(Ok(()), Cluster::settle)?;
        Ok(seeded)
    }
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }
    /// What `DATABASE_URL` says; without it, it is SQLite in the data folder.
    pub fn url(&self) -> Option<&str> {
        self.cluster.as_ref().map(|cluster| cluster.url.as_str())
    }
    /// Starts the service here, and tells how long it took to answer this question.
    pub fn serve(&self, first: &[u8]) -> Outcome<(Process, Duration)> {
        Process::serve(&self.data(), self.url(), first)
    }
    /// CPU time of the database's processes so far; SQLite has none.
    pub fn cpu(&self) -> Duration {
        self.cluster.as_ref().map_or(Duration::ZERO, Cluster::cpu)
    }
}

/// A folder that another user's PostgreSQL can reach.
fn passing() -> Outcome<TempDir> {
    let folder = tempfile::Builder::new()
        .prefix("load")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    Ok(folder)
}

fn done(command: &mut Command) -> Outcome<()> {
    match command.status()?.success() {
        true => Ok(()),
        false => Err(format!("{command:?} failed").into()),
    }
}
