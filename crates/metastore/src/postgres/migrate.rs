//! Bringing the schema up to date, and refusing to work on one that this build does not know. The migrations are
//! compiled in; sqlx holds an advisory lock while it runs them, so several agents may start at once.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::{Postgres, roles};
use crate::{MetastoreError, Roles, Schema};

static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

#[async_trait]
impl Schema for Postgres {
    async fn migrate(&self) -> Result<(), MetastoreError> {
        // A connection of its own: it waits for the migrations' lock, and an index build may well take longer than a statement of
        // ours is allowed to.
        let mut connection = PgConnection::connect_with(&self.pool.options()).await?;
        connection
            .execute("SET statement_timeout = 0; SET lock_timeout = 0")
            .await?;
        MIGRATOR
            .run_direct(None, &mut connection, false)
            .await
            .map_err(from_migrate_error)?;
        connection.close().await?;
        Ok(())
    }

    async fn make_roles(&self, roles: &Roles) -> Result<(), MetastoreError> {
        roles::make(&self.pool, roles).await
    }

    async fn check_schema(&self) -> Result<(), MetastoreError> {
        let exists: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
            .fetch_one(&self.pool)
            .await?;
        let applied: Vec<(i64, Vec<u8>)> = if exists {
            sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations WHERE success")
                .fetch_all(&self.pool)
                .await?
        } else {
            Vec::new()
        };
        let known = MIGRATOR.iter().map(|m| (m.version, m.checksum.to_vec())).collect();
        judge(&known, &applied.into_iter().collect())
    }
}

fn judge(known: &BTreeMap<i64, Vec<u8>>, applied: &BTreeMap<i64, Vec<u8>>) -> Result<(), MetastoreError> {
    let missing: BTreeSet<_> = known.keys().filter(|v| !applied.contains_key(v)).collect();
    if !missing.is_empty() {
        return Err(MetastoreError::Schema(format!(
            "migrations {missing:?} are missing: run `yaks-agent migrate` or set YAKS_RUN_MIGRATIONS=true"
        )));
    }
    let newer: BTreeSet<_> = applied.keys().filter(|v| !known.contains_key(v)).collect();
    if !newer.is_empty() {
        return Err(MetastoreError::Schema(format!(
            "migrations {newer:?} come from a newer version of yaks than this one"
        )));
    }
    match known
        .iter()
        .find(|(version, checksum)| applied.get(version) != Some(checksum))
    {
        Some((version, _)) => Err(MetastoreError::Schema(format!(
            "migration {version} differs from the one that was applied"
        ))),
        None => Ok(()),
    }
}

fn from_migrate_error(error: MigrateError) -> MetastoreError {
    match error {
        MigrateError::Execute(error) => error.into(),
        MigrateError::ExecuteMigration(error, version) => match MetastoreError::from(error) {
            MetastoreError::Internal(message) => MetastoreError::Schema(format!("migration {version}: {message}")),
            other => other,
        },
        other => MetastoreError::Schema(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(list: &[(i64, u8)]) -> BTreeMap<i64, Vec<u8>> {
        list.iter()
            .map(|(version, checksum)| (*version, vec![*checksum]))
            .collect()
    }

    fn message(known: &[(i64, u8)], applied: &[(i64, u8)]) -> String {
        judge(&versions(known), &versions(applied)).unwrap_err().to_string()
    }

    #[test]
    fn a_schema_is_refused_when_older_newer_or_changed() {
        assert!(judge(&versions(&[(1, 7), (2, 8)]), &versions(&[(1, 7), (2, 8)])).is_ok());
        let older = message(&[(1, 7), (2, 8)], &[(1, 7)]);
        assert!(older.contains("{2}") && older.contains("yaks-agent migrate"), "{older}");
        assert!(message(&[(1, 7)], &[(1, 7), (2, 8)]).contains("newer version"));
        assert!(message(&[(1, 7)], &[(1, 9)]).contains("migration 1 differs"));
    }
}
