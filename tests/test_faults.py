"""Rows 1-25 of the table of faults of the real inputs, and the tests that hold each to its outcome."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROWS = {
    1: "io_tables::test_a_missing_an_empty_and_a_headed_file_say_what_was_expected travel_streets::test_a_missing_empty_or_garbled_file_is_refused_by_name io_layers::test_a_broken_file_is_refused",
    2: "io_tables::test_all_missing_columns_are_told_at_once_with_the_nearest_header travel_streets::test_what_is_wrong_with_a_table_of_nodes_or_edges_is_told_as_of_any_table",
    3: "io_tables::test_four_hundred_bad_cells_in_three_thousand_rows_are_all_in_one_refusal cli::test_row_3_of_400_bad_cells_20_are_shown_and_all_stand_in_a_file",
    4: "io_tables::test_ids_equal_after_trimming_case_and_width_are_refused_with_both_rows travel_streets::test_what_is_wrong_with_a_table_of_nodes_or_edges_is_told_as_of_any_table",
    5: "io_tables::test_codes_stay_text io_layers::test_codes_of_twelve_digits_stay_whole_and_codes_stored_as_numbers_are_told io_workbook::test_a_number_in_a_column_of_codes_is_refused_with_the_remedy io_yaml::test_plain_words_mean_what_yaml_1_2_says_and_nothing_else",
    6: "io_tables::test_what_is_no_number_is_refused_with_its_own_remedy io_tables::test_a_blank_required_cell_is_refused io_tables::test_thousands_separators_are_read_where_declared travel_streets::test_no_road_is_closed_moved_or_turned_in_silence",
    7: "io_case::test_row_7_negative_people_capacity_cost_and_time_are_refused io_tables::test_a_negative_count_is_refused travel_streets::test_what_is_wrong_with_a_table_of_nodes_or_edges_is_told_as_of_any_table io_population_files::test_what_is_wrong_with_people_is_a_finding",
    8: "io_tables::test_utf8_with_and_without_a_mark_and_either_line_end_are_read_alike io_tables::test_other_encodings_are_refused_by_name io_tables::test_semicolons_are_refused io_layers::test_a_shapefile_in_gbk_is_refused_until_declared travel_streets::test_words_of_a_road_layer_in_gbk_are_refused_until_declared",
    9: "io_case::test_swapped_axes_are_recognised io_case::test_what_tables_disagree_on_is_refused_by_row io_tables::test_metres_given_as_degrees_are_refused_with_a_hint",
    10: "io_layers::test_another_system_than_declared_is_refused_and_none_is_told travel_streets::test_no_road_is_closed_moved_or_turned_in_silence io_datums::test_a_case_with_a_vendors_villages_says_so_and_goes_on io_coordinates::test_a_known_offset_is_hundreds_of_metres_and_is_undone",
    11: "io_tables::test_another_unit_in_the_header_is_refused io_case::test_distances_shorter_than_the_straight_line_and_of_unlikely_size_are_told io_case::test_row_11_another_unit_declared_in_the_header_is_refused io_case::test_row_11_thousand_yuan_in_a_column_of_yuan_are_told",
    12: "io_case::test_totals_apart_by_over_one_percent_are_told_and_over_ten_refused",
    13: "travel_checks::test_a_place_without_a_site_in_reach_is_told_with_the_nearest_site_and_its_time",
    14: "travel_checks::test_a_facility_off_the_map_is_refused_when_it_exists_and_told_when_it_is_a_candidate travel_surface::test_points_on_barriers_outside_the_map_and_on_zero_speed_are_named_and_reach_nothing",
    15: "travel_checks::test_missing_pairs_are_counted_and_are_not_zero_minutes travel::test_a_road_table_is_directed_and_a_missing_pair_is_out_of_reach",
    16: "travel::test_an_asymmetric_matrix_is_accepted_and_a_missing_arc_is_never_zero_minutes travel_checks::test_a_journey_shorter_than_the_straight_line_is_told_with_its_pair",
    17: "standards::test_row_17_a_local_norm_below_or_narrower_is_a_finding_that_does_not_stop adjustment::test_row_17_norms_below_the_national_ones_or_for_fewer_are_listed_in_the_report",
    18: "adjustment::test_row_18_a_run_that_relies_on_an_ended_norm_is_refused_before_any_solve io_catalogue::test_versions_that_overlap_are_refused_with_their_dates",
    19: "io_yaml::test_an_unknown_key_is_refused_with_the_nearest_key_and_its_line io_yaml::test_every_duplicate_key_is_refused_with_both_lines",
    20: "io_yaml::test_what_could_run_or_swell_is_refused_at_once",
    21: "io_yaml::test_plain_words_mean_what_yaml_1_2_says_and_nothing_else io_yaml::test_a_number_where_text_is_wanted_is_taken_as_written",
    22: "io_workbook::test_row_22_hostile_workbooks_are_refused_within_two_seconds_and_200_mebibytes io_workbook::test_xml_of_workbooks_is_read_by_the_parser_that_knows_no_entities io_workbook::test_a_sheet_that_claims_seventeen_billion_cells_is_read_for_what_it_holds",
    23: "io_workbook::test_formulas_without_a_stored_value_errors_and_dates_are_refused_by_cell io_workbook::test_merged_cells_are_refused_and_a_hidden_sheet_is_told",
    24: "io_layers::test_empty_and_self_crossing_shapes_are_refused_with_their_id io_layers::test_heights_are_dropped_with_a_finding io_layers::test_row_24_ten_million_vertices_are_refused_within_two_seconds_and_a_gibibyte",
    25: "io_paths::test_names_that_lead_away_are_refused io_case::test_a_catalogue_outside_the_folder_is_refused io_case::test_a_link_that_leads_out_of_the_folder_is_refused io_scenarios::test_names_that_are_no_file_names_are_refused",
}  # fmt: skip


def test_every_row_has_its_tests():
    assert list(ROWS) == list(range(1, 26))


@pytest.mark.parametrize("row", ROWS)
def test_the_tests_that_hold_a_fault_exist(row):
    for name in ROWS[row].split():
        file, test = name.split("::")
        tree = ast.parse((TESTS / f"test_{file}.py").read_text(encoding="utf-8"))
        assert test in {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}, name
