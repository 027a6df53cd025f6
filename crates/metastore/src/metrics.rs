//! Every metric of the metastore: its name, its unit, what it counts.

use ::metrics::{Unit, describe_counter, describe_histogram};

/// Time of one commit transaction, by result.
pub(crate) const COMMIT_DURATION: &str = "yaks_commit_duration_seconds";
/// Slots committed.
pub(crate) const COMMIT_SLOTS: &str = "yaks_commit_slots_total";
/// Meetings with an object that cannot be read in a slot whose turn it is, so that its stream stands still, by reason.
pub(crate) const UNREADABLE_SLOTS: &str = "yaks_unreadable_slots_total";
/// Slots past their stream's end that were found for the first time.
pub(crate) const ORPHANS: &str = "yaks_orphans_total";

/// Tells the exporter what each metric means.
pub fn describe_metrics() {
    describe_histogram!(
        COMMIT_DURATION,
        Unit::Seconds,
        "Time of one commit transaction, by result"
    );
    describe_counter!(COMMIT_SLOTS, Unit::Count, "Slots committed");
    describe_counter!(
        UNREADABLE_SLOTS,
        Unit::Count,
        "Meetings with an object that cannot be read in a slot whose turn it is: its stream stands still; by reason"
    );
    describe_counter!(
        ORPHANS,
        Unit::Count,
        "Slots past their stream's end that were found for the first time"
    );
}
