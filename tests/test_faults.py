"""Rows 1-25 of the table of faults (real inputs), rows 38-47 and 50 (stored runs, studies and reports), and the tests that hold each to its outcome."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROWS = {
    1: "io_tables::test_a_missing_an_empty_and_a_headed_file_say_what_was_expected travel_streets::test_a_missing_empty_or_garbled_file_is_refused_by_name io_layers::test_a_broken_file_is_refused",
    2: "io_tables::test_all_missing_columns_are_told_at_once_with_the_nearest_header travel_streets::test_what_is_wrong_with_a_table_of_nodes_or_edges_is_told_as_of_any_table",
    3: "io_tables::test_four_hundred_bad_cells_in_three_thousand_rows_are_all_in_one_refusal",
    4: "io_tables::test_ids_equal_after_trimming_case_and_width_are_refused_with_both_rows travel_streets::test_what_is_wrong_with_a_table_of_nodes_or_edges_is_told_as_of_any_table",
    5: "io_tables::test_codes_stay_text io_workbook::test_a_number_in_a_column_of_codes_is_refused_with_the_remedy io_yaml::test_plain_words_mean_what_yaml_1_2_says_and_nothing_else",
    6: "io_tables::test_what_is_no_number_is_refused_with_its_own_remedy io_tables::test_a_blank_required_cell_is_refused io_tables::test_thousands_separators_are_read_where_declared travel_streets::test_no_road_is_closed_moved_or_turned_in_silence",
    7: "io_tables::test_a_negative_count_is_refused travel_streets::test_what_is_wrong_with_a_table_of_nodes_or_edges_is_told_as_of_any_table io_population_files::test_what_is_wrong_with_people_is_a_finding",
    8: "io_tables::test_utf8_with_and_without_a_mark_and_either_line_end_are_read_alike io_tables::test_other_encodings_are_refused_by_name io_tables::test_semicolons_are_refused io_layers::test_a_shapefile_in_gbk_is_refused_until_declared travel_streets::test_words_of_a_road_layer_in_gbk_are_refused_until_declared",
    9: "io_case::test_swapped_axes_are_recognised io_case::test_what_tables_disagree_on_is_refused_by_row io_tables::test_metres_given_as_degrees_are_refused_with_a_hint",
    10: "io_layers::test_another_system_than_declared_is_refused_and_none_is_told travel_streets::test_no_road_is_closed_moved_or_turned_in_silence io_datums::test_a_case_with_a_vendors_villages_says_so_and_goes_on io_coordinates::test_a_known_offset_is_hundreds_of_metres_and_is_undone",
    11: "io_tables::test_another_unit_in_the_header_is_refused io_case::test_distances_shorter_than_the_straight_line_and_of_unlikely_size_are_told",
    12: "io_case::test_totals_apart_by_over_one_percent_are_told_and_over_ten_refused",
    13: "travel_checks::test_a_place_without_a_site_in_reach_is_told_with_the_nearest_site_and_its_time",
    14: "travel_checks::test_a_facility_off_the_map_is_refused_when_it_exists_and_told_when_it_is_a_candidate travel_surface::test_points_on_barriers_outside_the_map_and_on_zero_speed_are_named_and_reach_nothing",
    15: "travel_checks::test_missing_pairs_are_counted_and_are_not_zero_minutes travel::test_a_road_table_is_directed_and_a_missing_pair_is_out_of_reach",
    16: "travel::test_an_asymmetric_matrix_is_accepted_and_a_missing_arc_is_never_zero_minutes travel_checks::test_a_journey_shorter_than_the_straight_line_is_told_with_its_pair",
    18: "io_catalogue::test_versions_that_overlap_are_refused_with_their_dates",
    19: "io_yaml::test_an_unknown_key_is_refused_with_the_nearest_key_and_its_line io_yaml::test_every_duplicate_key_is_refused_with_both_lines",
    20: "io_yaml::test_what_could_run_or_swell_is_refused_at_once",
    21: "io_yaml::test_plain_words_mean_what_yaml_1_2_says_and_nothing_else io_yaml::test_a_number_where_text_is_wanted_is_taken_as_written",
    22: "io_workbook::test_bombs_claims_macros_links_and_entities_are_refused_quickly io_workbook::test_a_sheet_that_claims_seventeen_billion_cells_is_read_for_what_it_holds",
    23: "io_workbook::test_formulas_without_a_stored_value_errors_and_dates_are_refused_by_cell io_workbook::test_merged_cells_are_refused_and_a_hidden_sheet_is_told",
    24: "io_layers::test_empty_and_self_crossing_shapes_are_refused_with_their_id io_layers::test_heights_are_dropped_with_a_finding io_layers::test_too_many_vertices_are_refused_before_parsing",
    25: "io_paths::test_names_that_lead_away_are_refused io_case::test_a_catalogue_outside_the_folder_is_refused io_case::test_a_link_that_leads_out_of_the_folder_is_refused io_scenarios::test_names_that_are_no_file_names_are_refused",
    38: "whole_run::test_sums_over_many_places_do_not_hang_on_the_number_of_cores whole_run::test_row_order_locale_time_zone_cores_and_hash_seed_do_not_change_a_run io_runs::test_equal_runs_give_equal_bytes study::test_a_frontier_ends_alike_in_one_process_and_in_two",
    39: "io_runs::test_killed_at_any_write_a_run_is_whole_or_absent io_runs::test_a_folder_without_a_manifest_reads_as_absent study::test_a_run_half_written_or_edited_is_done_again_and_others_are_kept study::test_what_a_killed_runner_left_half_written_is_cleared",
    40: "study_killed::test_killed_worker_scheduler_and_runner_lose_and_double_nothing",
    41: "study::test_two_runners_on_one_folder_share_the_runs_and_end_with_one_set study::test_a_claim_is_one_runners_while_it_lives study::test_a_dead_runners_claim_is_taken_over_at_once study::test_a_claim_from_another_machine_counts_until_it_is_stale",
    42: "io_paths::test_whatever_step_of_a_write_fails_the_old_file_stays_and_nothing_is_left io_runs::test_a_full_disk_leaves_the_old_run_and_nothing_else study::test_a_full_disk_stops_with_a_message_and_what_was_stored_stays study::test_a_file_held_by_another_program_stops_with_its_path study::test_a_folder_that_cannot_be_written_is_refused_before_any_run cli::test_a_table_is_written_whole_with_marked_text_or_the_path_is_told",
    43: "io_runs::test_every_file_changed_cut_or_removed_is_caught io_runs::test_a_newer_format_is_named cli::test_verify_fails_loudly_on_a_run_that_was_edited_or_cut cli::test_verify_of_a_newer_run_names_both_formats study::test_a_part_that_was_edited_is_refused_by_name study::test_a_cut_or_newer_record_of_a_study_is_refused",
    44: "study::test_an_input_changed_after_a_run_is_named_and_the_run_done_again study::test_a_finished_study_is_not_done_again",
    45: "io_tables::test_formula_like_text_is_neutralised_and_comes_back study::test_a_study_is_exported_with_text_that_no_spreadsheet_runs cli::test_a_table_is_written_whole_with_marked_text_or_the_path_is_told report::test_hostile_names_are_shown_as_text_and_never_as_formulas report_documents::test_hostile_and_very_long_names_are_text_in_every_format report_documents::test_control_characters_are_refused_in_every_format",
    46: "report::test_hostile_names_are_shown_as_text_and_never_as_formulas report::test_the_page_fetches_nothing_and_runs_no_script report::test_a_browser_requests_nothing_and_logs_no_error report_documents::test_hostile_and_very_long_names_are_text_in_every_format",
    47: "report_documents::test_no_words_of_a_pdf_lie_upon_one_another report_documents::test_every_column_on_paper_is_as_wide_as_its_longest_word report_documents::test_hostile_and_very_long_names_are_text_in_every_format report_documents::test_control_characters_are_refused_in_every_format report::test_very_long_names_are_cut_on_maps_and_whole_in_tables",
    50: "whole_run::test_row_order_locale_time_zone_cores_and_hash_seed_do_not_change_a_run io_runs::test_the_manifest_tells_versions_and_digests_and_nothing_of_the_machine io_runs::test_a_path_of_the_machine_is_never_stored study::test_nothing_stored_names_the_machine_or_the_user study::test_what_a_failing_run_says_names_no_folder_of_the_machine",
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
def test_the_tests_that_hold_a_fault_exist(row):
    for name in ROWS[row].split():
        file, test = name.split("::")
        tree = ast.parse((TESTS / f"test_{file}.py").read_text(encoding="utf-8"))
        assert test in {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}, name
