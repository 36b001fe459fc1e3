"""What SQLAlchemy's tests may expect of the servers of the lab, as its own dialects do."""

from __future__ import annotations

import os

import sqlalchemy
from sqlalchemy.testing import exclusions
from sqlalchemy.testing.requirements import SuiteRequirements

BOTH = """
    aggregate_order_by autocommit boolean_col_expressions check_constraint_reflection
    comment_reflection computed_columns computed_columns_reflect_persisted
    computed_columns_stored create_or_replace_view create_table_as create_temp_table_as
    cross_schema_fk_reflection ctes date_historic datetime datetime_historic delete_from
    except_ expression_server_defaults float_cast foreign_key_constraint_name_reflection
    foreign_key_constraint_option_reflection_ondelete
    foreign_key_constraint_option_reflection_onupdate foreign_key_constraint_reflection
    foreign_keys generic_classes has_temp_table implicit_default_schema index_reflection
    intersect isolation_level json_type nullable_booleans on_update_cascade
    precision_numerics_enotation_small precision_numerics_general
    precision_numerics_many_significant_digits primary_key_constraint_reflection
    savepoints schema_create_delete schema_reflection schemas selectone server_defaults
    server_side_cursors skip_autocommit_rollback standalone_null_binds_whereclause
    supports_bitwise_and supports_bitwise_or supports_bitwise_shift supports_bitwise_xor
    table_ddl_if_exists table_reflection temp_table_reflect_indexes
    temp_table_reflection temporary_tables tuple_in two_phase_transactions unicode_ddl
    unique_constraint_reflection update_from views window_functions window_range
    window_range_numeric
"""
POSTGRESQL = """
    array_type comment_reflection_full_unicode
    constraint_comment_reflection ctes_on_dml ctes_with_update_delete ctes_with_values
    datetime_interval datetime_literals datetime_microseconds datetime_timezone
    datetime_timezone_historic default_schema_name_switch deferrable_fks
    fetch_expression fetch_first fetch_no_order_by fetch_offset_with_options fetch_ties
    fk_constraint_option_reflection_ondelete_noaction
    fk_constraint_option_reflection_ondelete_restrict
    fk_constraint_option_reflection_onupdate_restrict identity_columns
    identity_columns_standard index_ddl_if_exists index_reflects_included_columns
    indexes_with_expressions infinity_floats inline_check_constraint_reflection
    json_deserializer_binary materialized_views nullsordering
    reflect_indexes_with_expressions reflect_tables_no_columns reflects_pk_names
    regexp_match regexp_replace supports_bitwise_not supports_distinct_on
    symbol_names_w_double_quote table_value_constructor temp_table_names temporary_views
    time_timezone timestamp_microseconds unbounded_varchar
    unique_constraints_reflect_as_index uuid_data_type window_range_non_numeric
"""
#: What a line of SQLAlchemy expects of PostgreSQL and the other does not.
POSTGRESQL_ON = {
    "2.0": "computed_columns_default_persisted",
    "2.1": "computed_columns_virtual reflect_table_options",
}
MYSQL = """
    computed_columns_virtual dbapi_lastrowid foreign_keys_reflect_as_index
    reflect_table_options regexp_match regexp_replace
    unique_constraints_reflect_as_index unique_index_reflect_as_unique_constraints
"""
#: What MySQL and MariaDB cannot do, though SQLAlchemy's list begins with it.
NOT_MYSQL = """
    date_implicit_bound datetime_implicit_bound datetime_microseconds
    precision_generic_float_type sql_expression_limit_offset time_implicit_bound
    time_microseconds timestamp_microseconds timestamp_microseconds_implicit_bound
    unbounded_varchar
"""


class Requirements(SuiteRequirements):
    """Those of SQLAlchemy's own list, opened and closed as here."""


if os.environ["SUITE_ENGINE"] == "postgresql":
    OPEN, CLOSED = POSTGRESQL + POSTGRESQL_ON[sqlalchemy.__version__[:3]], ""
else:
    OPEN, CLOSED = MYSQL, NOT_MYSQL
for _name in (BOTH + OPEN).split():
    setattr(Requirements, _name, property(lambda _: exclusions.open()))
for _name in CLOSED.split():
    setattr(Requirements, _name, property(lambda _: exclusions.closed()))
