//! How to reach Postgres; shared by every deployable that does.

use clap::{Args, ValueEnum};
use storage::Secret;

/// libpq's `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SslMode {
    /// Never TLS.
    Disable,
    /// TLS if the server has it.
    Prefer,
    /// TLS, whoever answers.
    Require,
    /// TLS with a certificate of a known authority.
    VerifyCa,
    /// The same, and it names the host.
    VerifyFull,
}

/// What stands for the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DbAuth {
    /// The one of the settings.
    Password,
    /// A token of AWS's IAM, renewed before it is too old.
    Iam,
}

/// Settings of the Postgres connection.
#[derive(Args, Clone, Debug)]
pub struct PostgresConfig {
    /// Postgres host name or address.
    #[arg(
        long = "db-host",
        env = "YAKS_DB_HOST",
        value_name = "YAKS_DB_HOST",
        default_value = "localhost"
    )]
    pub host: String,
    /// Postgres port.
    #[arg(
        long = "db-port",
        env = "YAKS_DB_PORT",
        value_name = "YAKS_DB_PORT",
        default_value_t = 5432
    )]
    pub port: u16,
    /// Postgres user.
    #[arg(
        long = "db-user",
        env = "YAKS_DB_USER",
        value_name = "YAKS_DB_USER",
        default_value = "testuser"
    )]
    pub user: String,
    /// How that user signs in: `password`, or `iam` with a token of AWS's default credentials (RDS and Aurora; needs `AWS_REGION` and
    /// TLS).
    #[arg(
        long = "db-auth",
        env = "YAKS_DB_AUTH",
        value_name = "YAKS_DB_AUTH",
        value_enum,
        default_value = "password"
    )]
    pub auth: DbAuth,
    /// Password of that user; never logged.
    #[arg(
        long = "db-password",
        env = "YAKS_DB_PASSWORD",
        value_name = "YAKS_DB_PASSWORD",
        default_value = "testpassword",
        hide_env_values = true
    )]
    pub password: Secret,
    /// Database name.
    #[arg(
        long = "db-name",
        env = "YAKS_DB_NAME",
        value_name = "YAKS_DB_NAME",
        default_value = "testdb"
    )]
    pub name: String,
    /// TLS to Postgres: `disable`, `prefer`, `require`, `verify-ca` or `verify-full`.
    #[arg(
        long = "db-sslmode",
        env = "YAKS_DB_SSLMODE",
        value_name = "YAKS_DB_SSLMODE",
        value_enum,
        default_value = "disable"
    )]
    pub ssl_mode: SslMode,
    /// PEM file of the authorities to trust with `verify-ca` and `verify-full`; empty: the system's.
    #[arg(
        long = "db-sslrootcert",
        env = "YAKS_DB_SSLROOTCERT",
        value_name = "YAKS_DB_SSLROOTCERT",
        default_value = ""
    )]
    pub ssl_root_cert: String,
    /// Most connections of one process; each costs Postgres some 10 MB.
    #[arg(long = "db-pool-size", env = "YAKS_DB_POOL_SIZE", value_name = "YAKS_DB_POOL_SIZE", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub pool_size: u32,
}
