//! The batches of real clients in `golden/`.

use std::path::Path;

/// Name and bytes of every golden batch.
pub(crate) fn golden() -> Vec<(String, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let entries = std::fs::read_dir(dir).expect("the golden files are in the repository");
    let paths = entries.map(|entry| entry.expect("a directory entry").path());
    let batches = paths.filter(|path| path.extension().is_some_and(|extension| extension == "bin"));
    let golden: Vec<_> = batches
        .map(|path| {
            (
                path.display().to_string(),
                std::fs::read(&path).expect("a readable file"),
            )
        })
        .collect();
    assert_eq!(golden.len(), 17);
    golden
}

/// One golden batch.
pub(crate) fn golden_batch(name: &str) -> Vec<u8> {
    let mut golden = golden();
    golden.retain(|(path, _)| path.ends_with(&format!("/{name}.bin")));
    golden.pop().expect("a golden file of this name").1
}
