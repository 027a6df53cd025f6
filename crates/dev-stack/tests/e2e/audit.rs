//! `yaks-oracle audit` against a running stack: silent while all is well, and naming what was planted.

use std::process::{Command, Output};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use storage::{GetRange, ObjectStore, PutOutcome, S3Config, S3Store};
use tokio::runtime::Runtime;
use types::ObjectKey;

use crate::kafka::values;
use crate::running::{Running, agent_env, binaries};

/// What an audit printed, and how it ended.
struct Audited {
    code: Option<i32>,
    findings: Vec<Value>,
    summary: Value,
}

impl Audited {
    /// Kinds of the findings, with the key of each.
    fn found(&self) -> Vec<(&str, &str)> {
        let mut found: Vec<_> = self
            .findings
            .iter()
            .map(|finding| (text(finding, "finding"), text(finding, "key")))
            .collect();
        found.sort_unstable();
        found
    }

    fn assert_clean(&self) {
        assert_eq!(self.code, Some(0), "{:?}", self.findings);
        assert!(self.findings.is_empty(), "{:?}", self.findings);
    }

    fn checked(&self, check: &str) -> u64 {
        self.summary["summary"]["checked"][check].as_u64().unwrap()
    }
}

fn text<'a>(finding: &'a Value, field: &str) -> &'a str {
    finding.get(field).and_then(Value::as_str).unwrap_or_default()
}

impl Running {
    fn audit(&self, args: &[&str]) -> Audited {
        let Output { status, stdout, stderr } = self.audit_command(args).output().unwrap();
        let lines = String::from_utf8(stdout).unwrap();
        let mut findings: Vec<Value> = lines
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}\n{}", String::from_utf8_lossy(&stderr)))
            })
            .collect();
        Audited {
            code: status.code(),
            summary: findings.pop().unwrap(),
            findings,
        }
    }

    /// The audit with the settings that the agents have.
    fn audit_command(&self, args: &[&str]) -> Command {
        let postgres = self.stack().postgres();
        let mut command = Command::new(binaries().join("yaks-oracle"));
        command
            .args(["audit", "--json"])
            .args(args)
            .env("YAKS_S3_ENDPOINT", self.stack().s3_endpoint())
            .env("YAKS_DB_HOST", postgres.host())
            .env("YAKS_DB_PORT", postgres.port().to_string())
            .env("YAKS_DB_USER", postgres.user())
            .env("YAKS_DB_PASSWORD", postgres.password().expose());
        command
    }

    fn sql(&self, statement: &str) -> String {
        let mut psql = self.stack().postgres().client("psql");
        let output = psql
            .args(["-d", "testdb", "-AtX", "-v", "ON_ERROR_STOP=1", "-c", statement])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// The stack's bucket, past its agents.
struct Bucket {
    runtime: Runtime,
    store: Arc<dyn ObjectStore>,
}

impl Bucket {
    fn of(stack: &Running) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let config = S3Config {
            endpoint: stack.stack().s3_endpoint(),
            region: "us-east-1".to_owned(),
            access_key: "test".to_owned(),
            secret_key: "test".into(),
            path_style: true,
            bucket: stack.stack().bucket().to_owned(),
        };
        let store = runtime.block_on(S3Store::new(&config)).unwrap();
        Self {
            runtime,
            store: Arc::new(store),
        }
    }

    fn keys(&self) -> Vec<ObjectKey> {
        let listed = self.runtime.block_on(self.store.list("data/", None)).unwrap();
        listed.into_iter().map(|object| object.key).collect()
    }

    fn delete(&self, key: &ObjectKey) {
        self.runtime.block_on(self.store.delete(key)).unwrap();
    }

    fn put(&self, key: &ObjectKey, body: Bytes) {
        let put = self.runtime.block_on(self.store.put_if_absent(key, body)).unwrap();
        assert_eq!(put, PutOutcome::Created);
    }

    /// Changes one byte of an object, as a disk that forgets would.
    fn flip_byte(&self, key: &ObjectKey, at: usize) {
        let got = self.runtime.block_on(self.store.get(key, GetRange::Full)).unwrap();
        let mut body = got.bytes.to_vec();
        body[at] ^= 0x10;
        self.delete(key);
        self.put(key, body.into());
    }
}

#[test]
fn an_audit_is_clean_under_load_and_after_it() {
    let stack = Running::start(2, |_| ());
    let mut audits = Vec::new();
    let report = stack.oracle_during(
        |config| {
            config.producers = 10;
            config.records = 1000;
            config.rate = 60;
            config.idempotent = true;
        },
        |oracle| {
            // On a slow machine one audit may take as long as the load.
            while audits.is_empty() || oracle.so_far().acked < 8000 {
                audits.push(stack.audit(&["--unsequenced-max-age=20s"]));
            }
        },
    );
    assert!(report.passed(), "{report}");
    audits.iter().for_each(Audited::assert_clean);
    let last = stack.audit(&[]);
    last.assert_clean();
    let objects: Vec<u64> = audits.iter().map(|audited| audited.checked("objects")).collect();
    assert!(
        objects[0] < last.checked("objects"),
        "{objects:?}, then {}",
        last.summary
    );
    assert!(last.checked("bucket") >= last.checked("objects"), "{}", last.summary);
    assert!(
        last.checked("index") > 0 && last.checked("streams") >= 2,
        "{}",
        last.summary
    );
}

#[test]
fn an_audit_names_everything_that_was_planted() {
    let stack = Running::start(1, |config| agent_env(config, "YAKS_COMMIT_STALL_MS", "0"));
    let (kafka, bucket) = (stack.kafka(), Bucket::of(&stack));
    let topic = kafka.create_topic("planted", 1);
    for _ in 0..4 {
        kafka.produce_all(&topic, 0, &values(5), &[("batch.num.messages", "5")]);
    }
    stack.audit(&[]).assert_clean();

    let committed = bucket.keys();
    let [deleted, flipped, unindexed_row] = [&committed[0], &committed[1], &committed[2]];
    bucket.delete(deleted);
    bucket.flip_byte(flipped, 100);
    let seq: u64 = unindexed_row.as_str().rsplit('/').next().unwrap().parse().unwrap();
    let gap = format!("FROM log_index WHERE object_id = (SELECT object_id FROM objects WHERE seq = {seq})");
    let gap_at: i64 = stack.sql(&format!("SELECT min(base_offset) {gap}")).parse().unwrap();
    stack.sql(&format!("DELETE {gap}"));
    let junk = ObjectKey::new("data/notes.txt");
    bucket.put(&junk, Bytes::from_static(b"not a slot"));
    stack.hold_events(true);
    kafka.produce_all(&topic, 0, &values(5), &[("acks", "1")]);
    let keys = bucket.keys();
    let decided: Vec<_> = keys
        .iter()
        .filter(|key| !committed.contains(key) && **key != junk)
        .collect();
    assert!(!decided.is_empty());

    let audited = stack.audit(&["--unsequenced-max-age=1s"]);
    assert_eq!(audited.code, Some(1));
    let mut expected = vec![
        ("damaged_batch", flipped.as_str()),
        ("gap", ""),
        ("index_mismatch", unindexed_row.as_str()),
        ("junk", junk.as_str()),
        ("missing_object", deleted.as_str()),
    ];
    expected.extend(decided.iter().map(|key| ("unindexed_slot", key.as_str())));
    expected.sort_unstable();
    assert_eq!(audited.found(), expected, "{:?}", audited.findings);
    let gap = audited.findings.iter().find(|f| f["finding"] == "gap").unwrap();
    assert_eq!(
        (&gap["topic"], &gap["partition"], &gap["offset"]),
        (&topic.into(), &0.into(), &gap_at.into())
    );
    stack.hold_events(false);
}

#[test]
fn an_audit_that_cannot_reach_what_it_audits_says_so() {
    let stack = crate::running::shared();
    let output = stack
        .audit_command(&[])
        .env("YAKS_DB_NAME", "nowhere")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("could not run") && said.contains("nowhere"), "{said}");
}
