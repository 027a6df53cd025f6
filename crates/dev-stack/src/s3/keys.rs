//! Object keys as paths.
//!
//! A key may hold anything, a path may not: every segment is percent-encoded, and the file of an object ends in `=`,
//! which no encoded segment contains, so that the keys `a` and `a/b` can both exist and no key climbs out of its bucket.

use std::path::PathBuf;

/// Ends the name of every file that is an object.
const OBJECT_MARK: char = '=';

/// The file of `key`, relative to its bucket. `None` for a key with a segment too long for a file name.
pub(super) fn path_of(key: &str) -> Option<PathBuf> {
    let mut name = encode(key);
    name.push(OBJECT_MARK);
    let fits = name.split('/').all(|segment| segment.len() <= 255);
    fits.then(|| PathBuf::from(name))
}

/// The directory that holds every object whose key starts with `prefix` (and others).
pub(super) fn directory_of(prefix: &str) -> PathBuf {
    let folders = prefix.rsplit_once('/').map_or("", |(folders, _)| folders);
    if folders.is_empty() {
        PathBuf::new()
    } else {
        PathBuf::from(encode(folders))
    }
}

/// The key whose file is `path`, relative to its bucket. `None` for what is not an object.
pub(super) fn key_of(path: &str) -> Option<String> {
    decode(path.strip_suffix(OBJECT_MARK)?)
}

fn encode(key: &str) -> String {
    let segments: Vec<String> = key.split('/').map(encode_segment).collect();
    segments.join("/")
}

/// Empty segments and those of dots only would mean something to the file system.
fn encode_segment(segment: &str) -> String {
    if segment.is_empty() {
        return "%".to_owned();
    }
    let only_dots = segment.bytes().all(|byte| byte == b'.');
    let mut text = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) || (byte == b'.' && !only_dots) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

fn decode(path: &str) -> Option<String> {
    let segments: Option<Vec<String>> = path.split('/').map(decode_segment).collect();
    Some(segments?.join("/"))
}

fn decode_segment(segment: &str) -> Option<String> {
    if segment == "%" {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_comes_back_from_its_path_and_stays_inside() {
        for key in [
            "data/v1/ab/0190/00000000000000000007",
            "a",
            "a/",
            "/a",
            "..",
            "../x",
            "a//b",
            "ä ö+%=&",
            "a=/b",
        ] {
            let path = path_of(key).unwrap();
            assert!(
                path.components()
                    .all(|part| matches!(part, std::path::Component::Normal(_))),
                "{path:?}"
            );
            assert_eq!(key_of(path.to_str().unwrap()).as_deref(), Some(key));
        }
    }

    #[test]
    fn a_key_and_its_extension_are_a_file_and_a_directory() {
        assert_ne!(path_of("a").unwrap(), path_of("a/b").unwrap().parent().unwrap());
    }

    #[test]
    fn a_prefix_is_listed_from_its_last_whole_folder() {
        assert_eq!(directory_of("data/v1/ab"), PathBuf::from("data/v1"));
        assert_eq!(directory_of("data"), PathBuf::new());
    }
}
