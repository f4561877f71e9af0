//! The golden transcripts: each script under `scripts/` with what it prints under `snapshots/`.
//!
//! Bugs that real cores had, and the transcripts that pin the opposite (of what a core alone can do wrong;
//! what its driver, its store or a machine can is tested there):
//!
//! | a core that … | is noticed by |
//! |-|-|
//! | forgets its vote when it steps down in its term | `vote_is_kept_when_a_candidate_yields_in_its_term` |
//! | loses term or vote in a crash, or writes them apart | `vote_survives_a_restart`, `unstored_vote_is_never_announced` |
//! | does not vote for itself, or counts itself before it has | `vote_waits_for_the_disk`, `vote_goes_to_one_candidate_a_term` |
//! | votes without looking at the log | `vote_refuses_an_older_log` |
//! | compares term and length instead of term, then length | `candidate_with_a_shorter_log_of_a_later_term_is_elected` |
//! | counts messages instead of voters | `late_and_doubled_votes_count_once` |
//! | votes while it leads | `leader_refuses_its_vote_in_its_own_term` |
//! | lets a pre-vote change something | `pre_vote_does_not_disturb` |
//! | ignores the later term of a refusal | `pre_vote_denial_of_a_newer_term_is_adopted` |
//! | refuses its own leader | `a_leaders_own_candidacy_is_not_blocked_by_its_heartbeat` |
//! | campaigns as leader on a late pre-vote | `late_pre_votes_do_not_unseat_a_leader` |
//! | changes leaders for ever where links are partial | `bridge_between_two_halves_keeps_its_leader`, `leader_beyond_the_bridge_is_replaced_by_it`, `leader_that_hears_nobody_steps_down`, `node_that_cannot_hear_the_leader_does_not_disturb` |
//! | ignores the later term in a heartbeat's answer | `stale_leader_learns_of_the_newer_term` |
//! | leads on while its disk hangs | `leader_with_a_stalled_disk_steps_down` |
//! | never ends a transfer | `transfer_that_takes_too_long_is_given_up`, `transfer_to_a_node_that_leaves_is_given_up` |
//! | sends off a target that lacks entries | `transfer_waits_until_the_target_has_caught_up` |
//! | commits entries of older terms by counting | `figure_8`, `leader_commits_only_its_own_term_by_count` |
//! | takes the wrong place of the acknowledged indexes | `leader_commits_what_any_majority_holds`, `even_cluster_needs_more_than_half` |
//! | acknowledges its own longer log | `acknowledgement_names_the_tail_of_its_message` |
//! | truncates for an old append | `stale_append_does_not_truncate` |
//! | commits beyond what a message vouches for | `append_commits_up_to_its_own_tail`, `heartbeat_commit_is_clamped` |
//! | glues entries to a probe that is out | `unreachable_peer_is_probed` |
//! | lets the commit index go back | `commit_index_never_goes_back` |
//! | lets a match index go back, or a rejection undo progress | `late_answers_do_not_take_a_follower_back` |
//! | reports what was durable before a truncation | `acknowledgement_of_replaced_entries_is_withdrawn` |
//! | matches completions by index | `old_completion_does_not_vouch_for_a_rewritten_entry` |
//! | acknowledges before, or for a repeated append sooner than, the disk | `acknowledgement_waits_for_the_disk`, `doubled_append_is_acknowledged_no_sooner` |
//! | counts a leader's entries that are not on its disk | `leader_counts_itself_after_its_own_store` |
//! | loses room of the window with what is lost | `window_is_freed_when_what_is_in_it_is_lost` |
//! | cannot serve from a log without entries | `fully_forgotten_log_still_serves_followers` |
//! | fails on an append from before its log | `append_before_the_log_is_answered_with_its_base` |
//! | writes new entries before old ones are gone | `crash_while_a_conflict_is_replaced_leaves_no_mix` |
//! | installs an older snapshot | `stale_snapshot_does_not_take_the_log_back`, `snapshot_of_what_the_log_holds_replaces_nothing` |
//! | ignores the members in a snapshot | `joining_node_learns_the_members_from_a_snapshot` |
//! | mixes pieces, or goes on at the wrong place | `later_snapshot_supersedes_one_in_pieces`, `pieces_of_a_snapshot_out_of_order_are_not_taken`, `follower_that_restarts_within_a_snapshot_begins_anew` |
//! | sends pieces again for each answer out of its turn | `late_answer_to_a_piece_of_a_snapshot_sends_nothing_again` |
//! | forgets entries before the snapshot is durable | `snapshot_lets_the_log_be_forgotten`, `crash_before_a_snapshot_is_durable_loses_no_entry` |
//! | waits for ever for a snapshot that was lost | `lost_piece_of_a_snapshot_is_sent_again` |
//! | changes members before it has committed in its term | `change_is_refused_before_the_term_has_committed` |
//! | has two changes under way | `change_is_refused_while_another_is_pending` |
//! | campaigns with a committed change unapplied | `nobody_campaigns_with_a_committed_change_unapplied` |
//! | asks only one half of a joint state | `joint_state_needs_both_majorities`, `read_round_needs_both_majorities_of_a_joint_state` |
//! | counts learners, or those who have left | `learner_gets_the_log_and_does_not_count`, `removed_voter_does_not_count` |
//! | stays in the joint state for ever | `joint_state_is_left_by_the_leader` |
//! | goes by a change that was cut from the log | `change_that_is_cut_from_the_log_never_was` |
//! | retires a removed leader too early | `removed_leader_steps_down` |
//! | cannot be elected for want of one who has left | `voter_that_left_says_what_is_committed` |
//! | reads without a round, or before it has committed in its term | `read_is_refused_by_a_deposed_leader`, `read_waits_until_the_term_has_committed`, `new_leader_has_no_lease_before_its_term_has_committed` |
//! | confirms a later round by a doubled answer | `doubled_heartbeat_answer_confirms_nothing_new` |
//! | begins a lease with the answers | `lease_begins_with_its_round_and_not_with_the_answers` |
//! | keeps its lease while it hands over | `lease_is_void_during_and_after_a_transfer` |
//! | breaks its promise to a lease after a restart, on request, or at a later term | `a_promise_to_a_lease_outlives_a_later_term`, `restarted_follower_keeps_its_promise_to_a_lease`, `asked_to_campaign_a_node_keeps_its_promise_to_a_lease` |

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
    a_promise_to_a_lease_outlives_a_later_term
    acknowledgement_names_the_tail_of_its_message
    acknowledgement_of_replaced_entries_is_withdrawn
    acknowledgement_waits_for_the_disk
    append_adds_what_is_missing
    append_before_the_log_is_answered_with_its_base
    append_commits_up_to_its_own_tail
    append_cuts_a_conflict
    append_refuses_a_gap
    append_refuses_an_older_term
    append_while_a_snapshot_is_being_stored_waits_for_the_next_store
    apply_waits_for_the_local_disk
    asked_to_campaign_a_node_keeps_its_promise_to_a_lease
    bridge_between_two_halves_keeps_its_leader
    bytes_bound_what_is_in_flight
    candidate_with_a_shorter_log_of_a_later_term_is_elected
    candidate_yields_to_a_leader
    change_is_refused_before_the_term_has_committed
    change_is_refused_while_another_is_pending
    change_that_is_cut_from_the_log_never_was
    check_quorum_makes_a_cut_off_leader_step_down
    commit_index_never_goes_back
    committed_entries_are_applied_in_order
    conflict_hint_skips_terms
    conflict_with_a_later_stamp_is_rejected
    crash_before_a_snapshot_is_durable_loses_no_entry
    crash_between_a_snapshot_and_its_compaction_is_harmless
    crash_in_the_middle_of_a_store_keeps_a_prefix
    crash_while_a_conflict_is_replaced_leaves_no_mix
    doubled_append_is_acknowledged_no_sooner
    doubled_heartbeat_answer_confirms_nothing_new
    doubled_piece_of_a_snapshot_is_taken_once
    entry_of_the_own_term_on_a_majority_protects_what_is_before_it
    even_cluster_needs_more_than_half
    explicit_joint_state_lasts_until_it_is_left
    figure_8
    follower_asks_for_election_when_it_hears_nothing
    follower_behind_the_log_is_sent_a_snapshot_in_pieces
    follower_read_asks_the_leader_for_an_index
    follower_read_is_refused_when_the_leader_changes
    follower_that_restarts_within_a_snapshot_begins_anew
    follower_with_a_read_does_not_agree_to_silence
    follower_without_a_leader_refuses_reads
    followers_redirect_proposals_and_reads
    fully_forgotten_log_still_serves_followers
    heartbeat_commit_is_clamped
    higher_term_makes_anyone_follow
    idle_group_falls_silent
    impossible_changes_are_refused
    joining_node_learns_the_members_from_a_snapshot
    joint_state_is_left_by_the_leader
    joint_state_needs_both_majorities
    late_and_doubled_votes_count_once
    late_answer_to_a_piece_of_a_snapshot_sends_nothing_again
    late_answers_do_not_take_a_follower_back
    late_pre_votes_do_not_unseat_a_leader
    later_snapshot_supersedes_one_in_pieces
    leader_beyond_the_bridge_is_replaced_by_it
    leader_commits_only_its_own_term_by_count
    leader_commits_what_any_majority_holds
    leader_counts_itself_after_its_own_store
    leader_hint_skips_its_own_terms
    leader_refuses_its_vote_in_its_own_term
    leader_replicates_a_command
    leader_sends_heartbeats
    leader_that_died_in_silence_is_replaced_once_somebody_wants_something
    leader_that_hears_nobody_steps_down
    leader_with_a_stalled_disk_steps_down
    leadership_goes_to_the_higher_priority
    leadership_is_transferred_to_a_given_node
    leadership_is_transferred_to_the_furthest
    learner_gets_the_log_and_does_not_count
    learner_is_promoted_when_it_has_caught_up
    lease_begins_with_its_round_and_not_with_the_answers
    lease_is_void_during_and_after_a_transfer
    log_that_contradicts_a_snapshot_is_replaced
    lost_answer_to_a_piece_of_a_snapshot_is_made_up_for
    lost_append_is_sent_again
    lost_election_makes_a_follower
    lost_piece_of_a_snapshot_is_sent_again
    lost_probe_is_sent_again
    lost_question_of_a_follower_read_is_asked_again
    lost_read_round_is_made_up_for_by_the_next_heartbeat
    malformed_messages_are_ignored
    members_are_known_again_after_a_restart
    new_leader_has_no_lease_before_its_term_has_committed
    next_index_goes_back_until_logs_agree
    next_leader_goes_on_with_a_snapshot
    nobody_campaigns_with_a_committed_change_unapplied
    node_that_cannot_be_heard_follows
    node_that_cannot_hear_the_leader_does_not_disturb
    node_that_hears_nothing_rejoins_without_a_new_term
    node_that_knows_no_members_votes
    old_completion_does_not_vouch_for_a_rewritten_entry
    one_voter_is_added_without_a_joint_state
    only_the_latest_snapshot_is_left_to_send
    overload_is_refused
    pieces_of_a_snapshot_out_of_order_are_not_taken
    pre_vote_denial_of_a_newer_term_is_adopted
    pre_vote_does_not_disturb
    read_by_lease_is_answered_at_once
    read_is_refused_by_a_deposed_leader
    read_round_needs_both_majorities_of_a_joint_state
    read_waits_until_the_term_has_committed
    reads_share_a_round
    received_snapshot_is_lost_with_a_crash_before_it_is_durable
    received_snapshot_survives_a_crash_once_it_is_durable
    removed_leader_steps_down
    removed_node_that_campaigns_does_no_harm
    removed_voter_does_not_count
    reordered_appends_are_put_right
    restart_forgets_the_commit_index
    restarted_follower_keeps_its_promise_to_a_lease
    restarted_member_does_not_unseat_the_leader_of_a_silent_group
    silent_group_wakes_on_a_followers_wish
    silent_group_wakes_on_a_proposal
    single_node_needs_nobody
    snapshot_beyond_the_bound_is_ignored
    snapshot_is_acknowledged_when_it_is_durable
    snapshot_lets_the_log_be_forgotten
    snapshot_of_what_is_covered_already_is_of_no_use
    snapshot_of_what_the_log_holds_replaces_nothing
    snapshot_takes_the_place_of_a_store_that_is_out
    snapshot_under_way_keeps_what_follows_it_from_being_forgotten
    split_vote_leads_to_a_new_election
    stale_append_does_not_truncate
    stale_leader_learns_of_the_newer_term
    stale_order_to_campaign_is_ignored
    stale_snapshot_does_not_take_the_log_back
    stores_gather_while_one_is_out
    tail_before_a_snapshot_is_bounded_in_bytes
    transfer_that_takes_too_long_is_given_up
    transfer_to_a_node_that_leaves_is_given_up
    transfer_to_what_is_no_other_voter_is_refused
    transfer_waits_until_the_target_has_caught_up
    unreachable_peer_is_probed
    unstored_vote_is_never_announced
    version_is_raised_when_every_member_speaks_it
    vote_goes_to_one_candidate_a_term
    vote_is_kept_when_a_candidate_yields_in_its_term
    vote_refuses_an_older_log
    vote_refuses_an_older_term
    vote_request_by_transfer_passes_the_promise_to_a_lease
    vote_request_is_ignored_while_the_leader_lives
    vote_survives_a_restart
    vote_waits_for_the_disk
    voter_made_a_learner_votes_until_the_joint_state_is_left
    voter_that_left_says_what_is_committed
    window_bounds_what_is_in_flight
    window_is_freed_when_what_is_in_it_is_lost
}
