//! Paths to handlers.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::get;
use cache_api::contract::{CACHE_HEADER, CACHE_VERSION, OBJECTS_PATH};

use crate::Objects;
use crate::routes::objects;

/// The routes of objects. Every answer carries the header by which clients know a sidecar.
pub fn router(objects: Objects) -> Router {
    let path = format!("{OBJECTS_PATH}{{*key}}");
    let object = get(objects::get).head(objects::head).put(objects::put);
    Router::new()
        .route(&path, object)
        // `put` has a limit of its own, checked before a byte is read.
        .layer(DefaultBodyLimit::disable())
        .layer(map_response(async |mut response: Response| {
            response.headers_mut().insert(
                HeaderName::from_static(CACHE_HEADER),
                HeaderValue::from_static(CACHE_VERSION),
            );
            response
        }))
        .with_state(objects)
}
