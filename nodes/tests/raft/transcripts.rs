//! The golden transcripts: each script under `scripts/` with what it prints under `snapshots/`.

use crate::script;

macro_rules! transcripts {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            let transcript = script::run(include_str!(concat!("scripts/", stringify!($name), ".txt")));
            insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
                insta::assert_snapshot!(stringify!($name), transcript);
            });
        })*
    };
}

transcripts! {
    a_leader_is_elected_with_pre_votes
    a_leaders_own_candidacy_is_not_blocked_by_its_heartbeat
    acknowledgement_names_the_tail_of_its_message
    acknowledgement_of_replaced_entries_is_withdrawn
    acknowledgement_waits_for_the_disk
    append_adds_what_is_missing
    append_commits_up_to_its_own_tail
    append_cuts_a_conflict
    append_refuses_a_gap
    append_refuses_an_older_term
    apply_waits_for_the_local_disk
    bytes_bound_what_is_in_flight
    candidate_yields_to_a_leader
    check_quorum_makes_a_cut_off_leader_step_down
    committed_entries_are_applied_in_order
    conflict_hint_skips_terms
    conflict_with_a_later_stamp_is_rejected
    crash_in_the_middle_of_a_store_keeps_a_prefix
    doubled_append_is_acknowledged_no_sooner
    doubled_heartbeat_answer_confirms_nothing_new
    figure_8
    follower_asks_for_election_when_it_hears_nothing
    followers_redirect_proposals_and_reads
    heartbeat_commit_is_clamped
    higher_term_makes_anyone_follow
    late_and_doubled_votes_count_once
    late_pre_votes_do_not_unseat_a_leader
    leader_commits_only_its_own_term_by_count
    leader_counts_itself_after_its_own_store
    leader_hint_skips_its_own_terms
    leader_replicates_a_command
    leader_sends_heartbeats
    lost_append_is_sent_again
    lost_election_makes_a_follower
    lost_probe_is_sent_again
    lost_read_round_is_made_up_for_by_the_next_heartbeat
    malformed_messages_are_ignored
    next_index_goes_back_until_logs_agree
    old_completion_does_not_vouch_for_a_rewritten_entry
    overload_is_refused
    pre_vote_denial_of_a_newer_term_is_adopted
    pre_vote_does_not_disturb
    read_is_refused_by_a_deposed_leader
    read_waits_until_the_term_has_committed
    reads_share_a_round
    reordered_appends_are_put_right
    restart_forgets_the_commit_index
    single_node_needs_nobody
    split_vote_leads_to_a_new_election
    stale_append_does_not_truncate
    stale_leader_learns_of_the_newer_term
    stores_gather_while_one_is_out
    unstored_vote_is_never_announced
    vote_goes_to_one_candidate_a_term
    vote_refuses_an_older_log
    vote_refuses_an_older_term
    vote_request_is_ignored_while_the_leader_lives
    vote_survives_a_restart
    vote_waits_for_the_disk
    window_bounds_what_is_in_flight
}
