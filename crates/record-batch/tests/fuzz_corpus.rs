//! Runs every file of the fuzz corpora through its check, on stable and in every `cargo test`.

#[path = "../fuzz/checks.rs"]
mod checks;

use std::path::Path;

fn run(target: &str, check: fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files = 0;
    for entry in std::fs::read_dir(&dir).expect("the corpus is in the repository") {
        let path = entry.expect("a directory entry").path();
        let bytes = std::fs::read(&path).expect("a readable file");
        let judged = std::panic::catch_unwind(|| check(&bytes));
        assert!(judged.is_ok(), "{} breaks it", path.display());
        files += 1;
    }
    assert!(files > 0, "no corpus in {}", dir.display());
}

#[test]
fn no_batch_of_the_corpus_breaks_validation() {
    run("validate", checks::validate);
}

#[test]
fn no_batch_of_the_corpus_breaks_the_records_reader() {
    run("records", checks::records_of);
}
