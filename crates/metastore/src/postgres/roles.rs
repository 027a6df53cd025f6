//! The roles under which agents and the function work: what each may do is the whole of what its statements need, so that a function that
//! was taken over cannot delete topics, and neither can drop a table.

use sqlx::{QueryBuilder, query_scalar};

use super::connections::Connections;
use super::lifecycle::{PLANNING, TIMEOUTS};
use super::transaction::Transaction;
use crate::{MetastoreError, Role, Roles};

/// Whoever has it signs in with IAM. <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.DBAccounts.html>
const RDS_IAM: &str = "rds_iam";

const READ: &str = "SELECT";
/// Rows that are locked (`FOR SHARE`, `FOR UPDATE`) need UPDATE too.
const CHANGE: &str = "SELECT, UPDATE";
const ADD: &str = "SELECT, INSERT";
const ADD_CHANGE: &str = "SELECT, INSERT, UPDATE";
const ADD_REMOVE: &str = "SELECT, INSERT, DELETE";
const ALL: &str = "SELECT, INSERT, UPDATE, DELETE";

/// Table, rights of agents, rights of the function. A table that stands here twice or not at all fails a test.
const RIGHTS: [(&str, &str, &str); 14] = [
    ("_sqlx_migrations", READ, READ),
    ("agents", ALL, READ),
    ("cluster", READ, READ),
    ("consumer_groups", ALL, ""),
    ("group_offsets", ALL, ""),
    ("log_index", ADD, ADD),
    ("objects", ADD_CHANGE, ADD_CHANGE),
    ("orphans", ADD_CHANGE, ALL),
    ("partitions", ALL, CHANGE),
    ("pending_slots", ADD_REMOVE, ADD_REMOVE),
    ("producer_ids", ADD, READ),
    ("producer_state", ADD_CHANGE, ADD_CHANGE),
    ("streams", ADD_CHANGE, CHANGE),
    ("topics", ADD_CHANGE, READ),
];

/// Makes both, or brings them up to date, in one transaction.
pub(super) async fn make(connections: &Connections, roles: &Roles) -> Result<(), MetastoreError> {
    let mut transaction = connections.begin().await?;
    let rds_iam: bool = query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
        .bind(RDS_IAM)
        .fetch_one(&mut transaction)
        .await?;
    for role in [&roles.agent, &roles.function] {
        make_role(&mut transaction, role, rds_iam).await?;
    }
    for (table, agent, function) in RIGHTS {
        grant(&mut transaction, table, agent, &roles.agent).await?;
        grant(&mut transaction, table, function, &roles.function).await?;
    }
    let sequence = format!(
        "GRANT USAGE ON SEQUENCE coordinator_epochs TO {}",
        identifier(&roles.agent.name)
    );
    execute(&mut transaction, sequence).await?;
    for role in [&roles.agent, &roles.function] {
        let name = identifier(&role.name);
        let commit = format!("GRANT EXECUTE ON FUNCTION commit_lock_and_read TO {name}");
        execute(&mut transaction, commit).await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn make_role(transaction: &mut Transaction, role: &Role, rds_iam: bool) -> Result<(), MetastoreError> {
    let name = identifier(&role.name);
    let exists: bool = query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
        .bind(&role.name)
        .fetch_one(&mut *transaction)
        .await?;
    // Nothing is said of superusers: a new role is none, and of one that is there only a superuser may say it. RDS's master is none.
    // <https://www.postgresql.org/docs/16/sql-alterrole.html>
    let verb = if exists { "ALTER" } else { "CREATE" };
    let password = match role.password.reveal() {
        "" => "NULL".to_owned(),
        password => literal(password),
    };
    let mut statements = vec![
        format!("{verb} ROLE {name} LOGIN PASSWORD {password}"),
        format!("GRANT USAGE ON SCHEMA public TO {name}"),
    ];
    let settings = TIMEOUTS.into_iter().chain(PLANNING);
    statements.extend(settings.map(|(setting, value)| format!("ALTER ROLE {name} SET {setting} = {}", literal(value))));
    if rds_iam && role.password.reveal().is_empty() {
        statements.push(format!("GRANT {RDS_IAM} TO {name}"));
    }
    for statement in statements {
        execute(transaction, statement).await?;
    }
    Ok(())
}

/// What an older version was given and this one does not need is taken away.
async fn grant(transaction: &mut Transaction, table: &str, rights: &str, role: &Role) -> Result<(), MetastoreError> {
    let name = identifier(&role.name);
    execute(transaction, format!("REVOKE ALL ON {table} FROM {name}")).await?;
    if !rights.is_empty() {
        execute(transaction, format!("GRANT {rights} ON {table} TO {name}")).await?;
    }
    Ok(())
}

/// Names and passwords cannot be parameters of such statements.
async fn execute(transaction: &mut Transaction, statement: String) -> Result<(), MetastoreError> {
    QueryBuilder::new(statement).build().execute(transaction).await?;
    Ok(())
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// With `standard_conforming_strings`, which is on unless somebody turned it off, a backslash is a backslash.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
