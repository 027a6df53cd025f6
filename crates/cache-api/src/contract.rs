//! Paths, headers and error codes: what both sides must agree on.

use types::ObjectKey;

/// Objects live below this path, by key.
pub const OBJECTS_PATH: &str = "/v1/objects/";

/// Every answer of a sidecar carries this header. Without it a 404 might come from whatever else listens on the
/// port, and would be taken for lost data.
pub const CACHE_HEADER: &str = "x-yaks-cache";

/// Its value: the version of this contract.
pub const CACHE_VERSION: &str = "1";

/// `error` of a 404: S3 has no such key.
pub const NOT_FOUND: &str = "not_found";

/// `error` of a 416: the object has no byte in that range.
pub const RANGE_NOT_SATISFIABLE: &str = "range_not_satisfiable";

/// `error` of a 502: S3 did not give the bytes.
pub const ORIGIN_FAILED: &str = "origin_failed";

/// `error` of a 400: the request itself is wrong.
pub const BAD_REQUEST: &str = "bad_request";

/// `error` of a 413: more bytes than one request may ask for or push.
pub const TOO_LARGE: &str = "too_large";

/// Most bytes of one GET or PUT. Ours: twelve default objects; bounds what one request can take of the memory.
pub const REQUEST_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Path of an object: the key with everything but unreserved characters (RFC 3986) and `/` percent-encoded.
pub fn object_path(key: &ObjectKey) -> String {
    let mut path = String::with_capacity(OBJECTS_PATH.len() + key.as_str().len());
    path.push_str(OBJECTS_PATH);
    for byte in key.as_str().bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => path.push(char::from(byte)),
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slot_keys_read_as_they_are_and_odd_keys_are_encoded() {
        let path = |key: &str| object_path(&ObjectKey::new(key));
        assert_eq!(path("data/v1/3f/018c/0001"), "/v1/objects/data/v1/3f/018c/0001");
        assert_eq!(path("a b/%ü?#"), "/v1/objects/a%20b/%25%C3%BC%3F%23");
    }
}
