//! Which traces are recorded: as OpenTelemetry's variables say, of those that begin with somebody's request.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

/// Spans that begin a trace. What an agent does by itself, or for requests that are not recorded, is not worth one: it looks for commits
/// ten times a second.
const BEGINNINGS: [&str; 2] = ["request", "invocation"];

/// The library's default, and its choices.
const DEFAULT: &str = "parentbased_always_on";
const CHOICES: &str =
    "always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off or parentbased_traceidratio";

/// The sampler of `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`. A wrong one is an error: the library would record everything, and
/// somebody pay for it.
pub(crate) fn of_environment() -> Result<OfBeginnings, String> {
    let name = std::env::var("OTEL_TRACES_SAMPLER").unwrap_or_else(|_| DEFAULT.to_owned());
    let share = std::env::var("OTEL_TRACES_SAMPLER_ARG").ok();
    parse(&name, share.as_deref()).map(OfBeginnings)
}

fn parse(name: &str, share: Option<&str>) -> Result<Sampler, String> {
    let (with_parent, plain) = match name.strip_prefix("parentbased_") {
        Some(plain) => (true, plain),
        None => (false, name),
    };
    let sampler = match plain {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => Sampler::TraceIdRatioBased(parse_share(share)?),
        _ => return Err(format!("OTEL_TRACES_SAMPLER={name}: expected {CHOICES}")),
    };
    Ok(if with_parent {
        Sampler::ParentBased(Box::new(sampler))
    } else {
        sampler
    })
}

fn parse_share(text: Option<&str>) -> Result<f64, String> {
    let share = text.and_then(|text| text.parse().ok());
    let share = share.filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "OTEL_TRACES_SAMPLER_ARG: the sampler needs a number from 0 to 1".to_owned())
}

/// A sampler that is asked about what begins a trace, and about what is part of one.
#[derive(Clone, Debug)]
pub(crate) struct OfBeginnings(Sampler);

impl ShouldSample for OfBeginnings {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let has_parent = parent.is_some_and(|parent| parent.span().span_context().is_valid());
        if has_parent || BEGINNINGS.contains(&name) {
            return self.0.should_sample(parent, trace_id, name, kind, attributes, links);
        }
        SamplingResult {
            decision: SamplingDecision::Drop,
            attributes: Vec::new(),
            trace_state: TraceState::NONE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sampler_that_is_not_understood_is_refused_by_the_name_of_its_variable() {
        for (name, share, named) in [
            ("xray", None, "OTEL_TRACES_SAMPLER=xray"),
            ("traceidratio", None, "OTEL_TRACES_SAMPLER_ARG"),
            ("parentbased_traceidratio", Some("2"), "OTEL_TRACES_SAMPLER_ARG"),
        ] {
            let error = parse(name, share).unwrap_err();
            assert!(error.starts_with(named), "{error}");
        }
    }

    #[test]
    fn only_requests_and_invocations_begin_a_trace() {
        let sampler = OfBeginnings(parse(DEFAULT, None).unwrap());
        let decision = |name| {
            let result = sampler.should_sample(None, TraceId::from(1), name, &SpanKind::Internal, &[], &[]);
            result.decision
        };
        assert_eq!(decision("request"), SamplingDecision::RecordAndSample);
        assert_eq!(decision("s3"), SamplingDecision::Drop);
    }

    #[test]
    fn a_share_is_taken_of_traces() {
        let sampler = OfBeginnings(parse("parentbased_traceidratio", Some("0")).unwrap());
        let result = sampler.should_sample(None, TraceId::from(1), "request", &SpanKind::Internal, &[], &[]);
        assert_eq!(result.decision, SamplingDecision::Drop);
    }
}
