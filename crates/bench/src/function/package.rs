//! What Lambda is given: the zip, and the program in it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use zip::ZipArchive;

const PROGRAM: &str = "yaks-materializer";
/// What Lambda starts.
const ENTRY: &str = "bootstrap";

/// The function's program, and how large a zip it comes in.
#[derive(Clone, Debug)]
pub struct Package {
    pub(super) program: PathBuf,
    pub(super) zip_bytes: Option<u64>,
}

impl Package {
    /// The program in `binaries`, in no zip.
    pub fn none(binaries: &Path) -> Self {
        Self {
            program: binaries.join(PROGRAM),
            zip_bytes: None,
        }
    }

    /// Unpacks the program of `zip` into `directory`.
    pub fn unpack(zip: &Path, directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let program = directory.join(ENTRY);
        let unpacked = unpack(zip, &program);
        Ok(Self {
            zip_bytes: Some(unpacked.with_context(|| format!("cannot unpack {} of {}", ENTRY, zip.display()))?),
            program,
        })
    }
}

fn unpack(zip: &Path, program: &Path) -> Result<u64> {
    let file = File::open(zip)?;
    let zip_bytes = file.metadata()?.len();
    let mut archive = ZipArchive::new(file)?;
    let mut entry = archive.by_name(ENTRY)?;
    let mode = entry.unix_mode().unwrap_or_default();
    let mut unpacked = File::options().create_new(true).write(true).mode(mode).open(program)?;
    io::copy(&mut entry, &mut unpacked)?;
    Ok(zip_bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    #[test]
    fn the_program_of_a_zip_can_be_run_and_the_zip_is_weighed() {
        let directory = tempfile::tempdir().unwrap();
        let zip = directory.path().join("function.zip");
        let program = b"no program, but it repeats itself ".repeat(1000);
        let mut writer = ZipWriter::new(File::create(&zip).unwrap());
        let executable = SimpleFileOptions::default().unix_permissions(0o755);
        writer.start_file(ENTRY, executable).unwrap();
        writer.write_all(&program).unwrap();
        writer.finish().unwrap();

        let package = Package::unpack(&zip, &directory.path().join("unpacked")).unwrap();
        assert_eq!(package.zip_bytes, Some(fs::metadata(&zip).unwrap().len()));
        assert_eq!(fs::read(&package.program).unwrap(), program);
        let mode = fs::metadata(&package.program).unwrap().permissions().mode();
        assert_eq!(mode & 0o700, 0o700);
    }

    #[test]
    fn a_file_that_is_no_zip_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let zip = directory.path().join("function.zip");
        fs::write(&zip, "no zip").unwrap();
        let error = Package::unpack(&zip, directory.path()).unwrap_err();
        assert!(format!("{error:#}").contains("function.zip"), "{error:#}");
    }
}
