//! The settings that the stack gives its children. Everything else they take from the environment that the stack
//! itself was started in, so `YAKS_FLUSH_BYTES=... make up` tunes the agents.

use std::path::Path;

use private_postgres::PrivatePostgres;

use crate::config::{AgentPorts, OutsideAws, StackConfig};

/// The database that SEED.md's settings default to.
pub(crate) const DATABASE: &str = "testdb";
/// The bucket, likewise.
pub(crate) const BUCKET: &str = "test-bucket";
/// Access key and secret key, likewise.
pub(crate) const S3_KEY: &str = "test";
/// Who commits first.
const COMMIT_PATH: &str = "YAKS_COMMIT_PATH";
/// The function's name at the Invoke API.
pub(crate) const FUNCTION: &str = "yaks-materializer";

/// Under which agents and function sign in, as in a deployment.
const AGENT_ROLE: &str = "yaks_agent";
const FUNCTION_ROLE: &str = "yaks_materializer";

/// Small enough for a laptop, large enough to be used.
const CACHE_DISK_MB: u32 = 256;

pub(crate) type Variables = Vec<(String, String)>;

/// Where S3 and Postgres are: for every part.
pub(crate) fn shared(config: &StackConfig, postgres: &PrivatePostgres) -> Variables {
    let mut variables = aws();
    variables.extend(variables_of([
        ("YAKS_S3_ENDPOINT", config.s3_endpoint()),
        ("YAKS_S3_REGION", "us-east-1".to_owned()),
        ("YAKS_S3_ACCESS_KEY", S3_KEY.to_owned()),
        ("YAKS_S3_SECRET_KEY", S3_KEY.to_owned()),
        ("YAKS_S3_PATH_STYLE", "true".to_owned()),
        ("YAKS_S3_BUCKET", BUCKET.to_owned()),
        ("YAKS_DB_HOST", postgres.host().to_owned()),
        ("YAKS_DB_PORT", postgres.port().to_string()),
        ("YAKS_DB_USER", postgres.user().to_owned()),
        ("YAKS_DB_PASSWORD", postgres.password().expose().to_owned()),
        ("YAKS_DB_NAME", DATABASE.to_owned()),
        ("YAKS_DB_SSLMODE", "disable".to_owned()),
    ]));
    variables
}

/// For the migrations, which are run by the tables' owner and make the roles of the others, on top of `shared`.
pub(crate) fn migrate(postgres: &PrivatePostgres) -> Variables {
    let password = postgres.password().expose();
    variables_of([
        ("YAKS_DB_AGENT_USER", AGENT_ROLE),
        ("YAKS_DB_AGENT_PASSWORD", password),
        ("YAKS_DB_FUNCTION_USER", FUNCTION_ROLE),
        ("YAKS_DB_FUNCTION_PASSWORD", password),
    ])
}

/// For the function, on top of `shared`.
pub(crate) fn function(config: &StackConfig) -> Variables {
    let mut variables = variables_of([("YAKS_DB_USER", FUNCTION_ROLE)]);
    variables.extend(config.function_env.iter().cloned());
    variables
}

/// Keeps the SDK's own credential chain and profiles out of it: no part may reach a real account by accident.
fn aws() -> Variables {
    variables_of([
        ("AWS_ACCESS_KEY_ID", S3_KEY),
        ("AWS_SECRET_ACCESS_KEY", S3_KEY),
        ("AWS_SESSION_TOKEN", ""),
        ("AWS_REGION", "us-east-1"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"),
    ])
}

/// For agent `n`, on top of `shared`.
pub(crate) fn agent(config: &StackConfig, n: usize, ports: AgentPorts) -> Variables {
    let mut variables = variables_of([
        ("YAKS_DB_USER", AGENT_ROLE.to_owned()),
        ("YAKS_NODE_ID", n.to_string()),
        ("YAKS_BROKER_PORT", ports.kafka.to_string()),
        ("YAKS_METRICS_PORT", ports.admin.to_string()),
        ("YAKS_CACHE_ENABLED", config.sidecars.to_string()),
        ("YAKS_CACHE_URL", format!("http://127.0.0.1:{}", ports.sidecar)),
        ("YAKS_LAMBDA_FUNCTION", FUNCTION.to_owned()),
        ("YAKS_LAMBDA_ENDPOINT", format!("http://127.0.0.1:{}", config.dev_port)),
    ]);
    if let Some(path) = &config.commit_path {
        variables.push((COMMIT_PATH.to_owned(), path.clone()));
    }
    variables.extend(config.agent_env.iter().cloned());
    variables.extend(config.agent_env_each.get(n).into_iter().flatten().cloned());
    variables
}

/// The `YAKS_COMMIT_PATH` that agents take, if anybody sets it.
pub(crate) fn commit_path(config: &StackConfig) -> Option<String> {
    let further = config.agent_env.iter().rfind(|(name, _)| name == COMMIT_PATH);
    let further = further.map(|(_, path)| path.clone());
    further
        .or_else(|| config.commit_path.clone())
        .or_else(|| std::env::var(COMMIT_PATH).ok())
}

/// For the function where there is no Lambda, on top of `shared`.
pub(crate) fn worker(config: &StackConfig, aws: &OutsideAws) -> Variables {
    let mut variables = variables_of([
        ("YAKS_EVENT_QUEUE_URL", aws.event_queue_url.clone()),
        ("YAKS_SWEEP_INTERVAL_MS", config.sweep_interval.as_millis().to_string()),
    ]);
    variables.extend(function(config));
    variables
}

/// For the sidecar of agent `n`, whose disk lies below `cache_dir`, on top of `shared`.
pub(crate) fn sidecar(config: &StackConfig, cache_dir: &Path, n: usize, ports: AgentPorts) -> Variables {
    let disk = cache_dir.join(n.to_string());
    let mut variables = variables_of([
        ("YAKS_CACHE_PORT", ports.sidecar.to_string()),
        ("YAKS_CACHE_DISK_DIR", disk.to_string_lossy().into_owned()),
    ]);
    if std::env::var_os("YAKS_CACHE_DISK_MB").is_none() {
        // Off by default, but a stack should run all of what is deployed.
        variables.push(("YAKS_CACHE_DISK_MB".to_owned(), CACHE_DISK_MB.to_string()));
    }
    variables.extend(config.sidecar_env.iter().cloned());
    variables
}

fn variables_of<const N: usize, V: Into<String>>(pairs: [(&str, V); N]) -> Variables {
    pairs
        .map(|(name, value)| (name.to_owned(), value.into()))
        .into_iter()
        .collect()
}
