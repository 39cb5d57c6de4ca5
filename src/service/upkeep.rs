//! What is looked after beside requests.
use super::House;
use crate::core::{Problem, Result, TenantId};
use crate::db::files::Compared;
use crate::db::{Database, Files, schema::evidence as ev, schema::tenants as t};
use diesel::prelude::*;

impl House {
    /// Clears what an earlier process left behind, and says in the log where contents and records
    /// do not agree. That takes as long as there are contents, so it runs beside requests.
    pub fn tidy(&self) -> std::io::Result<()> {
        self.files.sweep(self.database.embedded())?;
        let (files, database) = (self.files.clone(), self.database.clone());
        let compare = move || match contents(&files, &database) {
            Ok(Compared {
                missing: 0,
                unnamed: 0,
            }) => {}
            Ok(Compared { missing, unnamed }) => {
                log::warn!(
                    "object_store: {missing} contents that records refer to are missing, {unnamed} \
                        are not referred to by any record"
                );
            }
            Err(problem) => {
                log::warn!("object_store could not be compared with the records: {problem}")
            }
        };
        std::thread::Builder::new()
            .name("contents".into())
            .spawn(compare)
            .map(drop)
    }
}

/// Contents and records of all organizations, compared.
fn contents(files: &Files, database: &Database) -> Result<Compared> {
    let mut conn = database.connect()?;
    let mut all = Compared {
        missing: 0,
        unnamed: 0,
    };
    for tenant in t::table.select(t::id).load::<TenantId>(&mut conn)? {
        let named = ev::table
            .filter(ev::tenant_id.eq(tenant))
            .select(ev::sha256)
            .distinct()
            .load::<String>(&mut conn)?;
        let found = files
            .compare(tenant, &named.into_iter().collect())
            .map_err(Problem::internal)?;
        (all.missing, all.unnamed) = (all.missing + found.missing, all.unnamed + found.unnamed);
    }
    Ok(all)
}
