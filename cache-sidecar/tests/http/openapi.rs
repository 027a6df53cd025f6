//! `docs/cache-api.openapi.yaml` says what the sidecar does: every answer in it is provoked, and there is none that it does not name.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use cache_api::contract;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming};
use serde_json::Value;

use crate::sidecar::{PAGE, Sidecar};

const OBJECTS: &str = "/v1/objects/{key}";

/// A request, and the status it is for.
struct Case {
    path: &'static str,
    method: &'static str,
    status: u16,
    key: &'static str,
    header: (&'static str, &'static str),
    body_bytes: usize,
}

fn case(path: &'static str, method: &'static str, status: u16) -> Case {
    Case {
        path,
        method,
        status,
        key: "there",
        header: ("accept", "*/*"),
        body_bytes: 0,
    }
}

fn cases() -> Vec<Case> {
    let mut cases = vec![
        case("/livez", "get", 200),
        case("/readyz", "get", 200),
        case("/readyz", "get", 503),
        case("/metrics", "get", 200),
        Case {
            body_bytes: 10,
            ..case(OBJECTS, "put", 204)
        },
        Case {
            header: ("transfer-encoding", "chunked"),
            ..case(OBJECTS, "put", 400)
        },
        Case {
            body_bytes: contract::REQUEST_BYTES_MAX as usize + 1,
            ..case(OBJECTS, "put", 413)
        },
        Case {
            key: "large",
            ..case(OBJECTS, "get", 413)
        },
    ];
    for method in ["get", "head"] {
        cases.extend([
            case(OBJECTS, method, 200),
            Case {
                header: ("range", "bytes=1-2"),
                ..case(OBJECTS, method, 206)
            },
            Case {
                header: ("range", "lines=1-2"),
                ..case(OBJECTS, method, 400)
            },
            Case {
                key: "absent",
                ..case(OBJECTS, method, 404)
            },
            Case {
                header: ("range", "bytes=100-"),
                ..case(OBJECTS, method, 416)
            },
            Case {
                key: "unlucky",
                ..case(OBJECTS, method, 502)
            },
            Case {
                key: "not-here",
                header: ("cache-control", "only-if-cached"),
                ..case(OBJECTS, method, 504)
            },
        ]);
    }
    cases
}

async fn ask(sidecar: &Sidecar, case: &Case) -> Response<Incoming> {
    sidecar.bucket.failing.store(case.key == "unlucky", Ordering::SeqCst);
    if case.status == 503 {
        sidecar.readiness.condition("test").unmet("on purpose");
    }
    let uri = format!("{}{}", sidecar.url, case.path.replace("{key}", case.key));
    let method = case.method.to_uppercase();
    let request = Request::builder()
        .method(method.as_str())
        .uri(uri)
        .header(case.header.0, case.header.1);
    let body = Full::new(Bytes::from(vec![0; case.body_bytes]));
    sidecar.http.request(request.body(body).unwrap()).await.unwrap()
}

fn document() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cache-api.openapi.yaml");
    serde_yaml_ng::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[tokio::test]
async fn every_answer_in_the_openapi_file_is_given_with_the_headers_it_names() {
    let document = document();
    let sidecar = Sidecar::start().await;
    sidecar.store("there", 100).await;
    sidecar.store("unlucky", 100).await;
    sidecar
        .store("large", contract::REQUEST_BYTES_MAX as usize + PAGE as usize)
        .await;
    let mut given = BTreeSet::new();
    for case in cases() {
        let name = format!("{} {} {}", case.method, case.path, case.status);
        let answer = ask(&sidecar, &case).await;
        assert_eq!(answer.status().as_u16(), case.status, "{name}");
        let said = &document["paths"][case.path][case.method]["responses"][case.status.to_string()];
        let named: BTreeSet<&str> = said["headers"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str())
            .collect();
        let headers = answer.headers().clone();
        let sent: BTreeSet<&str> = headers
            .keys()
            .map(|name| name.as_str())
            .filter(|name| *name != "date")
            .collect();
        // What HTTP adds by itself where there is a body need not be named.
        let missing: Vec<_> = named.difference(&sent).collect();
        let unnamed: Vec<_> = sent
            .difference(&named)
            .filter(|name| !["content-length", "connection"].contains(name))
            .collect();
        assert!(
            missing.is_empty() && unnamed.is_empty(),
            "{name}: lacks {missing:?}, {unnamed:?} are not named"
        );
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        if case.status >= 400 && case.path == OBJECTS && case.method != "head" {
            let code = serde_json::from_slice::<Value>(&body).unwrap()["error"].clone();
            let codes = &said["content"]["application/json"]["schema"]["properties"]["error"]["enum"];
            assert!(codes.as_array().unwrap().contains(&code), "{name}: {code}");
        }
        given.insert(name);
    }
    let mut named = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods
            .as_object()
            .unwrap()
            .iter()
            .filter(|(method, _)| *method != "parameters")
        {
            let statuses = operation["responses"].as_object().unwrap().keys();
            named.extend(statuses.map(|status| format!("{method} {path} {status}")));
        }
    }
    assert_eq!(given, named);
}

#[test]
fn the_openapi_file_names_the_headers_of_the_contract() {
    let document = document();
    let parameters = document["paths"][OBJECTS]["get"]["parameters"].as_array().unwrap();
    let named: BTreeSet<&str> = parameters
        .iter()
        .map(|parameter| parameter["name"].as_str().unwrap())
        .collect();
    let known = [
        "range",
        "cache-control",
        contract::CLIENT_HEADER,
        contract::LANE_HEADER,
        contract::FORMER_OWNER_HEADER,
    ];
    assert_eq!(named, BTreeSet::from(known));
    for status in ["200", "206"] {
        let headers = &document["paths"][OBJECTS]["get"]["responses"][status]["headers"];
        let said = headers[contract::CACHE_STATUS]["description"].as_str().unwrap();
        assert!(said.contains(contract::GETS_PARAMETER), "{status}: {said}");
    }
}
