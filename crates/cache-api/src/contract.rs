//! Paths, headers and error codes: what both sides must agree on.

use types::ObjectKey;

/// Objects live below this path, by key.
pub const OBJECTS_PATH: &str = "/v1/objects/";

/// Every answer of a sidecar carries this header. Without it a 404 might come from whatever else listens on the
/// port, and would be taken for lost data.
pub const CACHE_HEADER: &str = "x-yaks-cache";

/// Its value: the version of this contract.
pub const CACHE_VERSION: &str = "1";

/// How a GET was served, as RFC 9211 has it.
pub const CACHE_STATUS: &str = "cache-status";

/// A parameter of it: how many GETs the sidecar has sent to S3 for this answer. Where it is missing, none.
pub const GETS_PARAMETER: &str = "yaks-gets";

/// A request may name its client with this header: clients take turns at S3. Without it the address counts.
pub const CLIENT_HEADER: &str = "x-yaks-client";

/// Which way to S3 a GET takes where it misses; there are two, so that readers of old data do not stand in the way.
pub const LANE_HEADER: &str = "x-yaks-lane";

/// Its value for old data; all else is the end of the log.
pub const COLD: &str = "cold";

/// The base URL of the sidecar that had this object until lately: it is asked before S3.
pub const FORMER_OWNER_HEADER: &str = "x-yaks-former-owner";

/// `Cache-Control` of a GET that S3 is to be spared (RFC 9111, 5.2.1.7).
pub const ONLY_IF_CACHED: &str = "only-if-cached";

/// `error` of a 504: the cache does not have it, and the request was for what it has only.
pub const NOT_CACHED: &str = "not_cached";

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

/// The GETs that a `Cache-Status` tells of; what is not understood is as if it had not been said.
pub fn gets_of(cache_status: &str) -> u64 {
    let parameters = cache_status
        .split([',', ';'])
        .filter_map(|part| part.trim().split_once('='));
    let gets = parameters.filter(|(name, _)| *name == GETS_PARAMETER);
    gets.filter_map(|(_, value)| value.parse::<u32>().ok())
        .map(u64::from)
        .sum()
}

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
    fn the_gets_of_an_answer_are_read_from_among_what_else_is_said() {
        for (said, gets) in [
            ("yaks-cache; fwd=uri-miss; stored; yaks-gets=2", 2),
            ("yaks-cache;yaks-gets=1;fwd=partial, nginx; hit", 1),
            ("yaks-cache; hit; detail=memory", 0),
            ("yaks-cache; yaks-gets=many; not-yaks-gets=3", 0),
            ("", 0),
        ] {
            assert_eq!(gets_of(said), gets, "{said}");
        }
    }

    #[test]
    fn slot_keys_read_as_they_are_and_odd_keys_are_encoded() {
        let path = |key: &str| object_path(&ObjectKey::new(key));
        assert_eq!(path("data/v1/3f/018c/0001"), "/v1/objects/data/v1/3f/018c/0001");
        assert_eq!(path("a b/%ü?#"), "/v1/objects/a%20b/%25%C3%BC%3F%23");
    }
}
