//! The Invoke API, as the AWS SDKs speak it.
//! <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use serde_json::json;

use super::function::Function;
use super::invocation::{Failure, Outcome};

/// Lambda's limit for a synchronous request.
const REQUEST_BYTES_MAX: usize = 6 * 1024 * 1024;

/// Routes for one function. Signatures are not checked: only this machine reaches them.
pub fn invoke_routes(function: Arc<Function>) -> Router {
    Router::new()
        .route("/2015-03-31/functions/{name}/invocations", post(invoke))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .with_state(function)
}

async fn invoke(
    State(function): State<Arc<Function>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !names(&function, &name) {
        let message = format!("Function not found: {name}");
        return refuse(StatusCode::NOT_FOUND, "ResourceNotFoundException", &message);
    }
    match headers
        .get("x-amz-invocation-type")
        .map_or("RequestResponse", |kind| kind.to_str().unwrap_or(""))
    {
        "RequestResponse" => answer(function.invoke(body).await),
        "Event" => {
            tokio::spawn(async move {
                if let Outcome::Failure(error) = function.invoke(body).await {
                    tracing::warn!(%error, "an asynchronous invocation failed");
                }
            });
            StatusCode::ACCEPTED.into_response()
        }
        "DryRun" => StatusCode::NO_CONTENT.into_response(),
        other => refuse(
            StatusCode::BAD_REQUEST,
            "InvalidParameterValueException",
            &format!("invocation type {other}"),
        ),
    }
}

/// A name, or an ARN that ends in it.
fn names(function: &Function, name: &str) -> bool {
    name == function.name() || name.ends_with(&format!(":function:{}", function.name()))
}

fn answer(outcome: Outcome) -> Response {
    let version = ("x-amz-executed-version", "$LATEST");
    match outcome {
        Outcome::Success(body) => (StatusCode::OK, [version], body).into_response(),
        Outcome::Failure(Failure::Throttled) => refuse(
            StatusCode::TOO_MANY_REQUESTS,
            "TooManyRequestsException",
            "Rate Exceeded.",
        ),
        Outcome::Failure(failure) => (
            StatusCode::OK,
            [version, ("x-amz-function-error", "Unhandled")],
            failure.payload(),
        )
            .into_response(),
    }
}

fn refuse(status: StatusCode, error_type: &'static str, message: &str) -> Response {
    let body = json!({"Type": "User", "Message": message});
    (status, [("x-amzn-errortype", error_type)], axum::Json(body)).into_response()
}
