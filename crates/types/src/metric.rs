//! What a metric is called and what it means. Each crate declares all of its metrics in one list; the exporter, the documents, the
//! dashboard's test and whoever counts have it from there.

/// A metric, as it is told to Prometheus and to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name, with its unit.
    pub name: &'static str,
    /// How its values behave.
    pub kind: MetricKind,
    /// What one of it is.
    pub unit: MetricUnit,
    /// By what it is told apart.
    pub labels: &'static [MetricLabel],
    /// What it counts or measures, without a full stop.
    pub help: &'static str,
}

/// How a metric's values behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counted in buckets.
    Histogram,
}

impl MetricKind {
    /// Prometheus's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// What one of a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricUnit {
    /// A thing, whichever the name says.
    Count,
    /// A byte.
    Bytes,
    /// A second.
    Seconds,
    /// A US dollar an hour.
    DollarsPerHour,
}

impl MetricUnit {
    /// The word in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Bytes => "bytes",
            Self::Seconds => "seconds",
            Self::DollarsPerHour => "dollars per hour",
        }
    }
}

/// A label, and the values it takes: a label without a bound would fill the memory of whoever scrapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricLabel {
    /// Its name.
    pub name: &'static str,
    /// Values that are served from the start, at zero, so that a rate knows the first time.
    pub at_start: &'static [&'static str],
    /// What bounds the values that come later; `None`: none come.
    pub later: Option<&'static str>,
}

impl MetricLabel {
    /// A label that takes these values and no others.
    pub const fn of(name: &'static str, values: &'static [&'static str]) -> Self {
        Self {
            name,
            at_start: values,
            later: None,
        }
    }

    /// A label that takes `values` from the start, and others, within `bound`, once they happen.
    pub const fn open(name: &'static str, values: &'static [&'static str], bound: &'static str) -> Self {
        Self {
            name,
            at_start: values,
            later: Some(bound),
        }
    }
}

/// Declares a crate's metrics: the list of all, and a constant with the name of each, for those who count.
#[macro_export]
macro_rules! metric_list {
    (
        $(#[$about:meta])* $list_vis:vis static $list:ident;
        $vis:vis const:
        $($constant:ident = $kind:ident $name:literal $unit:ident [$($label:expr),*] $help:literal;)*
    ) => {
        $(
            #[doc = $help]
            $vis const $constant: &str = $name;
        )*
        $(#[$about])*
        $list_vis static $list: &[$crate::Metric] = &[$($crate::Metric {
            name: $constant,
            kind: $crate::MetricKind::$kind,
            unit: $crate::MetricUnit::$unit,
            labels: &[$($label),*],
            help: $help,
        }),*];
    };
}
