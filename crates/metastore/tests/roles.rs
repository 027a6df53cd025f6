//! What the roles of agents and function may do, and may not. That it is enough, the end-to-end tests show: there they work under these roles.

#![expect(clippy::unwrap_used, reason = "a test ends where its world fails")]

mod support;

use metastore::{Metastore, PostgresConfig, Role, Roles};
use private_postgres::PrivatePostgres;
use sqlx::{Connection as _, PgConnection, query_scalar};

/// A migrated database and its two roles, which other databases of the server do not have.
struct Database {
    owner: PostgresConfig,
    roles: Roles,
}

impl Database {
    async fn new() -> Self {
        let owner = support::config();
        let role = |kind: &str| Role {
            name: format!("{kind} of \"{}\"", owner.name),
            password: "it's a secret\\".into(),
        };
        let roles = Roles {
            agent: role("agent"),
            function: role("function"),
        };
        let database = Self { owner, roles };
        let metastore = Metastore::new(&database.owner);
        metastore.migrate().await.unwrap();
        metastore.make_roles(&database.roles).await.unwrap();
        database
    }

    async fn connect(&self, user: &str, password: &str) -> PgConnection {
        let server = PrivatePostgres::shared();
        let options = sqlx::postgres::PgConnectOptions::new_without_pgpass()
            .host(server.host())
            .port(server.port())
            .database(&self.owner.name)
            .username(user)
            .password(password);
        PgConnection::connect_with(&options).await.unwrap()
    }

    async fn sign_in(&self, role: &Role) -> PgConnection {
        self.connect(&role.name, role.password.reveal()).await
    }

    async fn owner(&self) -> PgConnection {
        self.connect(&self.owner.user, self.owner.password.reveal()).await
    }
}

async fn refused(connection: &mut PgConnection, statement: &'static str) -> bool {
    match sqlx::raw_sql(statement).execute(connection).await {
        Ok(_) => false,
        Err(error) => {
            let error = error.to_string();
            assert!(
                error.contains("permission denied") || error.contains("must be owner"),
                "{statement}: {error}"
            );
            true
        }
    }
}

#[tokio::test]
async fn neither_role_may_do_what_its_statements_do_not_need() {
    let database = Database::new().await;
    let mut agent = database.sign_in(&database.roles.agent).await;
    let mut function = database.sign_in(&database.roles.function).await;
    for statement in [
        "DROP TABLE topics",
        "CREATE TABLE mine (id int)",
        "TRUNCATE log_index",
        "DELETE FROM streams",
        "DELETE FROM objects",
        "DELETE FROM log_index",
        "UPDATE cluster SET cluster_id = cluster_id",
        "DELETE FROM _sqlx_migrations",
    ] {
        assert!(refused(&mut agent, statement).await, "agent: {statement}");
        assert!(refused(&mut function, statement).await, "function: {statement}");
    }
    for statement in [
        "DELETE FROM topics",
        "UPDATE topics SET name = name",
        "DELETE FROM partitions",
        "INSERT INTO streams DEFAULT VALUES",
        "SELECT * FROM group_offsets",
        "SELECT * FROM consumer_groups",
        "UPDATE agents SET lease_expires_at = lease_expires_at",
    ] {
        assert!(refused(&mut function, statement).await, "function: {statement}");
    }
    assert!(!refused(&mut agent, "SELECT * FROM group_offsets").await);
}

/// RDS's master owns the database and makes roles, and is no superuser.
#[tokio::test]
async fn an_owner_who_is_no_superuser_makes_the_roles_and_brings_them_up_to_date() {
    let mut owner = support::config();
    let master = format!("master of {}", owner.name);
    let mut superuser = PgConnection::connect(&PrivatePostgres::shared().url(&owner.name))
        .await
        .unwrap();
    for statement in [
        format!("CREATE ROLE \"{master}\" LOGIN CREATEDB CREATEROLE PASSWORD 'm'"),
        format!("ALTER DATABASE \"{}\" OWNER TO \"{master}\"", owner.name),
    ] {
        sqlx::QueryBuilder::new(statement)
            .build()
            .execute(&mut superuser)
            .await
            .unwrap();
    }
    (owner.user, owner.password) = (master, "m".into());
    let metastore = Metastore::new(&owner);
    metastore.migrate().await.unwrap();
    let role = |kind: &str| Role {
        name: format!("{kind} under {}", owner.user),
        password: "secret".into(),
    };
    let roles = Roles {
        agent: role("agent"),
        function: role("function"),
    };
    for _ in 0..2 {
        metastore.make_roles(&roles).await.unwrap();
    }
}

#[tokio::test]
async fn every_table_is_named_in_the_rights() {
    let database = Database::new().await;
    let without_rights: Vec<String> = query_scalar(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
         AND NOT has_table_privilege($1, oid, 'SELECT')",
    )
    .bind(&database.roles.agent.name)
    .fetch_all(&mut database.owner().await)
    .await
    .unwrap();
    assert_eq!(without_rights, Vec::<String>::new());
}

#[tokio::test]
async fn roles_carry_their_settings_and_are_brought_up_to_date() {
    let database = Database::new().await;
    let mut owner = database.owner().await;
    let name = &database.roles.function.name;
    let grant = format!("GRANT DELETE ON topics TO \"{}\"", name.replace('"', "\"\""));
    sqlx::QueryBuilder::new(grant)
        .build()
        .execute(&mut owner)
        .await
        .unwrap();
    Metastore::new(&database.owner)
        .make_roles(&database.roles)
        .await
        .unwrap();

    let mut function = database.sign_in(&database.roles.function).await;
    assert!(
        refused(&mut function, "DELETE FROM topics").await,
        "what is not needed is taken away"
    );
    for (setting, value) in [
        ("idle_in_transaction_session_timeout", "5s"),
        ("plan_cache_mode", "force_generic_plan"),
    ] {
        let set: String = query_scalar("SELECT current_setting($1)")
            .bind(setting)
            .fetch_one(&mut function)
            .await
            .unwrap();
        assert_eq!(set, value, "{setting}");
    }
}
