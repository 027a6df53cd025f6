//! Where in which trace something happens, as it travels between tasks, in footers and in headers: W3C's `traceparent`
//! (<https://www.w3.org/TR/trace-context/>). All of it does nothing, and costs next to nothing, while traces are off.

use std::collections::HashMap;

use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry_aws::trace::XrayPropagator;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The header's name.
pub const TRACEPARENT: &str = "traceparent";

/// The header by which AWS passes its own traces on.
const XRAY: &str = "x-amzn-trace-id";

/// Most causes that a span names: an object holds the batches of a thousand requests.
const CAUSES_MAX: usize = 32;

/// A span of a trace that is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace: TraceId,
    span: SpanId,
}

impl TraceContext {
    /// The span that we are in; `None` where it is not recorded.
    pub fn current() -> Option<Self> {
        Self::of(&Span::current())
    }

    /// The same of another span, which is begun by this.
    pub fn of(span: &Span) -> Option<Self> {
        Self::in_context(&span.context())
    }

    /// What a `traceparent` says; `None` where it is none, or its trace is not recorded.
    pub fn parse(traceparent: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(traceparent).ok()?;
        let headers = HashMap::from([(TRACEPARENT.to_owned(), text.to_owned())]);
        let nothing = Context::new();
        Self::in_context(&TraceContextPropagator::new().extract_with_context(&nothing, &headers))
    }

    /// What AWS says in a header or a variable of its own, such as `Root=1-...;Parent=...;Sampled=1`.
    pub fn parse_xray(text: &str) -> Option<Self> {
        let headers = HashMap::from([(XRAY.to_owned(), text.to_owned())]);
        let nothing = Context::new();
        Self::in_context(&XrayPropagator::default().extract_with_context(&nothing, &headers))
    }

    /// As a `traceparent`.
    pub fn to_traceparent(self) -> String {
        format!("00-{}-{}-01", self.trace, self.span)
    }

    fn in_context(context: &Context) -> Option<Self> {
        let span = context.span();
        let found = span.span_context();
        (found.is_valid() && found.is_sampled()).then(|| Self {
            trace: found.trace_id(),
            span: found.span_id(),
        })
    }

    fn span_context(self) -> SpanContext {
        SpanContext::new(self.trace, self.span, TraceFlags::SAMPLED, true, TraceState::NONE)
    }
}

/// Makes `span`, which has not begun, part of the trace of the first of its causes, whatever it is in here, and links it to
/// the others and to what it is in.
pub fn follow(span: &Span, causes: impl IntoIterator<Item = TraceContext>) {
    let mut named: Vec<TraceContext> = Vec::new();
    for cause in causes {
        if named.len() == CAUSES_MAX {
            break;
        }
        if !named.contains(&cause) {
            named.push(cause);
        }
    }
    let Some((first, others)) = named.split_first() else {
        return;
    };
    let parent = Context::new().with_remote_span_context(first.span_context());
    // No layer for traces, or nothing that is written at all: then there is nobody to be told of the others either.
    if span.set_parent(parent).is_err() {
        return;
    }
    for cause in others.iter().copied().chain(TraceContext::current()) {
        span.add_link(cause.span_context());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_comes_back_as_it_was() {
        let context = TraceContext::parse(TEXT.as_bytes()).unwrap();
        assert_eq!(context.to_traceparent(), TEXT);
    }

    #[test]
    fn what_is_no_context_of_a_recorded_trace_is_none() {
        let unsampled = TEXT.replace("-01", "-00");
        for text in [
            "",
            "x",
            "\u{e9}",
            &TEXT[..54],
            &unsampled,
            &TEXT.replace("b7ad6b7169203331", "0000000000000000"),
        ] {
            assert_eq!(TraceContext::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(TraceContext::parse(&[0xff; 55]), None);
    }

    #[test]
    fn traces_of_aws_are_understood() {
        let text = "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1";
        assert_eq!(TraceContext::parse_xray(text), TraceContext::parse(TEXT.as_bytes()));
        assert_eq!(TraceContext::parse_xray("Root=1-5759e988;Sampled=1"), None);
    }

    #[test]
    fn without_traces_there_is_no_context() {
        let span = tracing::info_span!("x");
        follow(&span, TraceContext::parse(TEXT.as_bytes()));
        assert_eq!(TraceContext::of(&span), None);
        assert_eq!(TraceContext::current(), None);
    }
}
