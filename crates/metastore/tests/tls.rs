//! Whom a connection trusts, on a Postgres with a certificate of an authority of this test's own.

#![expect(clippy::unwrap_used, reason = "a test ends where its world fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use metastore::{DbAuth, Metastore, PostgresConfig, SslMode};
use private_postgres::PrivatePostgres;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use sqlx::{Connection as _, PgConnection, QueryBuilder};

/// What the certificate names, and what the server listens on besides.
const NAMED: &str = "localhost";
const NOT_NAMED: &str = "127.0.0.1";
const RDS_AUTHORITIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../infra/dist/rds-global-bundle.pem");

fn authority() -> (String, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = parameters.self_signed(&key).unwrap().pem();
    (pem, Issuer::new(parameters, key))
}

/// Certificate and key of a server, signed by `authority`.
fn certificate(authority: &Issuer<'_, KeyPair>) -> [String; 2] {
    let key = KeyPair::generate().unwrap();
    let parameters = CertificateParams::new(vec![NAMED.to_owned()]).unwrap();
    let certificate = parameters.signed_by(&key, authority).unwrap();
    [certificate.pem(), key.serialize_pem()]
}

/// The server itself writes the files: a key has to be its user's.
async fn turn_tls_on(server: &PrivatePostgres, certificate: &[String; 2]) {
    let url = server.url(&server.create_fresh_database().unwrap());
    let mut owner = PgConnection::connect(&url).await.unwrap();
    for (name, pem) in ["server.crt", "server.key"].iter().zip(certificate) {
        let file = server.data_dir().join(name);
        let write = format!(
            "COPY (SELECT unnest(string_to_array('{}', E'\n'))) TO '{}'",
            pem.trim_end(),
            file.display()
        );
        QueryBuilder::new(write).build().execute(&mut owner).await.unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    QueryBuilder::new("ALTER SYSTEM SET ssl = on")
        .build()
        .execute(&mut owner)
        .await
        .unwrap();
    owner.close().await.unwrap();
    server.kill().unwrap();
    server.start_again().unwrap();
}

async fn connect(server: &PrivatePostgres, host: &str, ssl_mode: SslMode, authority: &Path) -> Result<(), String> {
    let metastore = Metastore::new(&PostgresConfig {
        host: host.to_owned(),
        port: server.port(),
        user: server.user().to_owned(),
        auth: DbAuth::Password,
        password: server.password().expose().into(),
        name: "postgres".to_owned(),
        ssl_mode,
        ssl_root_cert: authority.to_str().unwrap().to_owned(),
        pool_size: 1,
    });
    metastore.ping().await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_server_of_another_authority_or_another_name_is_refused() {
    let server = PrivatePostgres::temporary().unwrap();
    let ((ours, issuer), (foreign, _)) = (authority(), authority());
    turn_tls_on(&server, &certificate(&issuer)).await;
    let folder = std::env::temp_dir().join(format!("yaks-tls-{}", uuid::Uuid::new_v4()));
    fs::create_dir(&folder).unwrap();
    let (ours_file, foreign_file) = (folder.join("ours.pem"), folder.join("foreign.pem"));
    fs::write(&ours_file, ours).unwrap();
    fs::write(&foreign_file, foreign).unwrap();

    connect(&server, NAMED, SslMode::VerifyFull, &ours_file).await.unwrap();
    connect(&server, NOT_NAMED, SslMode::VerifyCa, &ours_file)
        .await
        .unwrap();
    connect(&server, NOT_NAMED, SslMode::Require, &foreign_file)
        .await
        .unwrap();
    for (host, mode, authority) in [
        (NAMED, SslMode::VerifyFull, &foreign_file),
        (NAMED, SslMode::VerifyCa, &foreign_file),
        (NOT_NAMED, SslMode::VerifyFull, &ours_file),
    ] {
        let said = connect(&server, host, mode, authority).await.unwrap_err();
        assert!(said.contains("certificate"), "{host} {mode:?}: {said}");
    }
    // What is deployed can be read, and is another authority too.
    let said = connect(&server, NAMED, SslMode::VerifyFull, Path::new(RDS_AUTHORITIES))
        .await
        .unwrap_err();
    assert!(said.contains("UnknownIssuer"), "{said}");
    fs::remove_dir_all(&folder).unwrap();
}
