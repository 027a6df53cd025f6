//! Bringing the schema up to date, and refusing to work on one that this build does not know.

use async_trait::async_trait;

use storage::Secret;

use crate::MetastoreError;

/// A role that signs in.
#[derive(Clone, Debug)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Its password; empty: it has none, and signs in with IAM, or as the server's `pg_hba.conf` says.
    pub password: Secret,
}

/// The roles under which agents and the function work, each with the rights that it needs and no more.
#[derive(Clone, Debug)]
pub struct Roles {
    /// Agents.
    pub agent: Role,
    /// The function.
    pub function: Role,
}

/// The schema as a whole.
#[async_trait]
pub trait Schema {
    /// Applies the migrations that are missing.
    async fn migrate(&self) -> Result<(), MetastoreError>;

    /// Makes the roles, or brings them up to date. Whoever signs in has to own the tables and be allowed to make roles.
    async fn make_roles(&self, roles: &Roles) -> Result<(), MetastoreError>;

    /// Whether the database has exactly the migrations of this build; the error says what to do.
    async fn check_schema(&self) -> Result<(), MetastoreError>;
}
