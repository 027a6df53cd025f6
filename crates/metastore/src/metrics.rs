//! Every metric of the metastore.

use types::MetricLabel;

const RESULT: MetricLabel = MetricLabel::of("result", &["ok", "error"]);
const UNREADABLE: MetricLabel = MetricLabel::of(
    "reason",
    &[
        "empty",
        "storage",
        "misplaced",
        "foreign",
        "truncated",
        "damaged",
        "newer",
        "invalid",
    ],
);

types::metric_list! {
    /// All metrics of the metastore.
    pub static METRICS;
    pub(crate) const:
    COMMIT_DURATION = Histogram "yaks_commit_duration_seconds" Seconds [RESULT]
        "Time of one commit transaction of this process, by result";
    COMMIT_SLOTS = Counter "yaks_commit_slots_total" Count [] "Slots committed by this process";
    UNREADABLE_SLOTS = Counter "yaks_unreadable_slots_total" Count [UNREADABLE]
        "Meetings with an object that cannot be read in a slot whose turn it is: its stream stands still; by reason";
    ORPHANS = Counter "yaks_orphans_total" Count []
        "Slots past their stream's end that were found for the first time";
}
