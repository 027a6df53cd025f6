//! The zip that Lambda is given.

use std::fs;
use std::io::{Cursor, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Bytes of a zip that holds `program` as `bootstrap` and nothing else, deflated as most tools do by default.
pub(super) fn zip_bytes(program: &Path) -> Result<u64> {
    let binary = fs::read(program).with_context(|| format!("{} is not there", program.display()))?;
    Ok(zipped(&binary)?.len() as u64)
}

fn zipped(binary: &[u8]) -> Result<Vec<u8>> {
    let executable = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .unix_permissions(0o755);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("bootstrap", executable)?;
    zip.write_all(binary)?;
    Ok(zip.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use zip::ZipArchive;

    use super::*;

    #[test]
    fn the_zip_holds_the_program_as_bootstrap_and_can_be_run() {
        let binary = b"no program, but it repeats itself ".repeat(1000);
        let zip = zipped(&binary).unwrap();
        assert!(zip.len() < binary.len() / 10, "{} bytes", zip.len());
        let mut archive = ZipArchive::new(Cursor::new(zip)).unwrap();
        assert_eq!(archive.len(), 1);
        let mut file = archive.by_name("bootstrap").unwrap();
        assert_eq!(file.unix_mode().map(|mode| mode & 0o777), Some(0o755));
        let mut unzipped = Vec::new();
        file.read_to_end(&mut unzipped).unwrap();
        assert_eq!(unzipped, binary);
    }
}
