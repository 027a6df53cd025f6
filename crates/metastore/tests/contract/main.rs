//! What every metastore does, as one suite: run on Postgres and on the one in memory. A claim that is not named below
//! is dead code, and clippy says so.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod audits;
#[path = "../commit_support/mod.rs"]
mod cluster;
mod commits;
mod consumer_groups;
mod group_offsets;
mod hints;
mod leases;
mod log_index;
mod orphans;
mod partitions;
mod producer_ids;
mod producers;
mod sweeps;
mod topics;
mod world;

macro_rules! claims {
    ($($module:ident { $($claim:ident,)+ })+) => {
        mod on_postgres {
            $(mod $module {
                $(#[tokio::test]
                async fn $claim() {
                    crate::$module::$claim(crate::world::World::on_postgres().await).await;
                })+
            })+
        }

        mod in_memory {
            $(mod $module {
                $(#[tokio::test]
                async fn $claim() {
                    crate::$module::$claim(crate::world::World::in_memory().await).await;
                })+
            })+
        }
    };
}

claims! {
    audits {
        objects_come_in_pages_with_all_that_their_rows_say,
        index_rows_come_from_the_offset_asked_for_with_the_ends_of_the_log,
        partitions_streams_and_slots_are_shown_as_they_stand,
    }
    commits {
        a_slot_is_committed_once_and_told_the_same_every_time,
        a_slot_before_its_predecessor_waits_and_commits_with_it,
        slots_whose_events_never_come_are_read_by_the_next_one,
        what_lies_past_a_tombstone_never_commits,
        slots_of_a_stream_without_a_row_are_told_so,
        an_unreadable_slot_stops_its_stream_and_no_other,
        what_ails_a_later_slot_does_not_cost_an_earlier_one_its_answer,
        a_merged_object_in_a_slot_is_not_committed_again,
        batches_of_a_deleted_topic_end_and_their_neighbours_commit,
        a_slot_is_kept_only_while_the_gate_stands_where_its_keeper_saw_it,
        progress_names_what_was_committed_from_the_slot_asked_for,
        ends_of_logs_are_told_for_the_partitions_that_are_there,
    }
    consumer_groups {
        a_taken_group_has_what_its_last_coordinator_wrote_under_an_epoch_of_its_own,
        whoever_was_replaced_changes_nothing_any_more,
        a_generation_that_is_over_commits_nothing,
        a_deleted_group_takes_its_offsets_along_and_fences_its_last_coordinator,
        offsets_are_forgotten_by_partition_and_only_by_the_coordinator,
        idle_groups_lose_their_offsets_after_the_retention_and_others_keep_them,
        groups_are_listed_with_who_took_them_last,
    }
    group_offsets {
        a_later_commit_replaces_an_earlier_one_and_groups_are_apart,
        partitions_that_do_not_exist_are_left_out_without_failing_their_neighbours,
        offsets_of_a_deleted_topic_do_not_come_back_with_its_name,
        lag_is_what_groups_have_not_committed_of_what_can_be_read,
    }
    hints {
        whoever_waits_for_commits_is_told_of_new_ones_only,
    }
    leases {
        a_live_lease_refuses_another_agent_and_names_its_holder,
        a_lease_that_ran_out_can_be_taken_and_is_lost_to_its_old_holder,
        a_renewed_lease_lives_on_and_names_its_stream,
        agents_without_an_id_get_the_lowest_free_ones,
        a_lease_runs_out_unless_it_is_renewed,
        a_lease_names_no_stream_that_has_no_row,
    }
    log_index {
        neighbours_share_an_index_row_and_a_refused_batch_splits_it,
        reads_agree_with_a_log_kept_by_hand,
    }
    orphans {
        a_slot_past_the_end_is_recorded_once_and_old_after_the_grace,
        only_what_lies_past_an_end_can_be_an_orphan,
        what_is_pending_past_an_end_becomes_an_orphan,
        an_ended_stream_is_searched_once_and_not_before_the_grace,
    }
    partitions {
        a_log_starts_later_and_never_earlier_again,
        only_an_offset_of_the_log_can_be_its_start,
        bytes_are_those_of_the_index_rows_whatever_became_of_the_batches,
    }
    producer_ids {
        producer_ids_are_never_handed_out_twice,
    }
    producers {
        a_batch_sent_again_through_another_stream_gets_its_first_offset,
        gaps_and_old_epochs_are_refused_and_leave_the_log_alone,
        the_last_five_batches_of_a_producer_are_remembered,
        a_producer_is_forgotten_when_it_was_silent_for_longer_than_the_expiry,
        producers_are_shown_with_their_last_sequence_until_they_expire,
    }
    sweeps {
        a_stream_stands_still_once_a_pass_a_grace_ago_saw_its_gate_where_it_is,
        a_lease_keeps_its_stream_from_the_dead_until_it_has_run_out,
        a_lease_that_comes_back_makes_the_sweep_forget_what_it_saw,
        streams_that_stood_longest_come_last_and_those_not_looked_at_first,
    }
    topics {
        a_created_topic_is_found_by_name_and_id_with_its_settings,
        each_topic_of_one_call_has_its_own_result,
        of_many_that_create_a_topic_at_once_one_does,
        a_deleted_topic_is_gone_and_its_name_free_for_another_one,
        what_is_in_the_way_is_told_without_creating_anything,
        of_names_that_collide_in_one_call_the_first_in_order_is_created,
        a_topic_grows_and_never_shrinks,
        of_many_that_let_a_topic_grow_at_once_all_leave_it_whole,
        settings_are_replaced_only_by_who_knows_them,
    }
}
