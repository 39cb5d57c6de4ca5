//! Content kept by its SHA-256, outside the database: `object_store/<organization>/<first two
//! digits>/<digest>`. A file is written beside, synced, renamed and its folder synced before any
//! row may name it; so a row never names a file that is not whole.
use crate::core::{Code, Problem, Result, TenantId};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the store and the records have apart from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compared {
    /// Contents that records name and the store does not have.
    pub missing: usize,
    /// Contents of the store that no record names.
    pub unnamed: usize,
}

/// The folder of contents.
#[derive(Debug, Clone)]
pub struct Files {
    kept: PathBuf,
    incoming: PathBuf,
}

/// A file that is being received; what is not kept is removed when this goes.
#[derive(Debug)]
pub struct Incoming(tempfile::NamedTempFile);

impl Files {
    /// Under the data folder.
    pub fn open(data: &Path) -> io::Result<Self> {
        let files = Files {
            kept: data.join("object_store"),
            incoming: data.join("incoming"),
        };
        fs::create_dir_all(&files.kept)?;
        fs::create_dir_all(&files.incoming)?;
        Ok(files)
    }
    /// Removes what an earlier process was still receiving when it ended. Where this process is not
    /// `alone`, what is younger than a day may be another's.
    pub fn sweep(&self, alone: bool) -> io::Result<()> {
        for left in fs::read_dir(&self.incoming)?.flatten() {
            let age = left.metadata()?.modified()?.elapsed().unwrap_or_default();
            if alone || age > Duration::from_secs(24 * 3600) {
                fs::remove_file(left.path())?;
            }
        }
        Ok(())
    }
    /// Compares the store with the contents that the records of an organization name: how many of
    /// those are missing, and how many are named by none (left by a process that ended between the
    /// store and the database). Nothing is removed: an older database may have been restored beside
    /// them.
    pub fn compare(&self, tenant: TenantId, named: &BTreeSet<String>) -> io::Result<Compared> {
        let mut kept = BTreeSet::new();
        let folder = self.kept.join(tenant.0.to_string());
        if folder.exists() {
            for some in fs::read_dir(folder)? {
                let files = fs::read_dir(some?.path())?;
                kept.extend(
                    files
                        .flatten()
                        .filter_map(|file| file.file_name().into_string().ok()),
                );
            }
        }
        Ok(Compared {
            missing: named.difference(&kept).count(),
            unnamed: kept.difference(named).count(),
        })
    }
    /// Room for a file to come.
    pub fn receive(&self) -> Result<Incoming> {
        tempfile::NamedTempFile::new_in(&self.incoming)
            .map(Incoming)
            .map_err(Problem::internal)
    }
    /// Keeps a received file under its digest, durably. The same content is kept once.
    pub fn keep(&self, tenant: TenantId, sha256: &str, file: Incoming) -> Result<()> {
        let path = self.path(tenant, sha256);
        let folder = path.parent().unwrap_or(&self.kept);
        let work = || -> io::Result<()> {
            file.0.as_file().sync_all()?;
            if !folder.exists() {
                fs::create_dir_all(folder)?;
                for above in folder.ancestors().skip(1).take(2) {
                    File::open(above)?.sync_all()?;
                }
            }
            if !path.exists() {
                file.0.persist(&path).map_err(|e| e.error)?;
                File::open(folder)?.sync_all()?;
            }
            Ok(())
        };
        work().map_err(Problem::internal)
    }
    /// Opens a kept file for reading.
    pub fn open_kept(&self, tenant: TenantId, sha256: &str) -> Result<File> {
        File::open(self.path(tenant, sha256)).map_err(|why| match why.kind() {
            io::ErrorKind::NotFound => {
                log::error!("the object store has no content {sha256}");
                Problem::new(
                    Code::ContentMissing,
                    "The content is not in the object store. \
                    Restore it from the backup, or push it again.",
                )
            }
            _ => Problem::internal(format!("content {sha256}: {why}")),
        })
    }
    /// How many files are kept, and their bytes.
    pub fn size(&self) -> io::Result<(u64, u64)> {
        let (mut folders, mut files, mut bytes) = (vec![self.kept.clone()], 0, 0);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                match entry.metadata()? {
                    found if found.is_dir() => folders.push(entry.path()),
                    found => (files, bytes) = (files + 1, bytes + found.len()),
                }
            }
        }
        Ok((files, bytes))
    }
    /// Can files be received, kept and read? The folders may be on a disk that is gone.
    pub fn ready(&self) -> io::Result<()> {
        fs::read_dir(&self.kept)?;
        tempfile::tempfile_in(&self.incoming).map(drop)
    }
    fn path(&self, tenant: TenantId, sha256: &str) -> PathBuf {
        self.kept
            .join(tenant.0.to_string())
            .join(sha256.get(..2).unwrap_or("00"))
            .join(sha256)
    }
}

impl Incoming {
    /// Makes what was written durable.
    pub fn sync(&self) -> Result<()> {
        self.0.as_file().sync_all().map_err(Problem::internal)
    }
}

impl Write for Incoming {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
