"""What the functions of MySQL and MariaDB do to the place a statement may run.

Taken once from servers of MySQL 9.7 and MariaDB 10.11. A function that a server has
and this file does not is unknown, and keeps its statement on the writer.
"""

from __future__ import annotations

from typing import Final

from globaldb.core.statement import Verdict
from globaldb.core.words import names

# Every name in the servers' programs and manuals of which SELECT name(), name(1) or
# name(1,1) did not say that there is no such function (error 1305), less those in
# SPECIAL below and those that set up replication; and functions of later MariaDB.
HARMLESS: Final = names(
    """
    abs acos add_months adddate addtime aes_decrypt aes_encrypt analyse any_value
    asbinary ascii asin astext aswkb aswkt atan atan2 avg benchmark bin bin_to_uuid
    bit_and bit_count bit_length bit_or bit_xor can_access_column
    can_access_database can_access_event can_access_resource_group
    can_access_routine can_access_table can_access_trigger can_access_user
    can_access_view cast ceil ceiling centroid char char_length character
    character_length charset chr coalesce coercibility collation column_check
    column_exists column_json column_list compress concat concat_operator_oracle
    concat_ws conv convert_cpu_id_mask convert_interval_to_user_interval convert_tz
    convexhull cos cot count crc32 crc32c cume_dist curdate current_date
    current_role current_role_in current_time current_timestamp current_user
    current_user_in curtime database date date_add date_format date_sub datediff day
    dayname dayofmonth dayofweek dayofyear decode decode_histogram decode_oracle
    degrees dense_rank des_decrypt des_encrypt elt encode encrypt endpoint envelope
    exp export_set exteriorring extract extractvalue field find_in_set first_value
    floor format format_bytes format_pico_time from_base64 from_days from_unixtime
    from_vector geomcollection geomcollfromtext geomcollfromwkb geometrycollection
    geometrycollectionfromtext geometrycollectionfromwkb geometryfromtext
    geometryfromwkb geometryn geometrytype geomfromtext geomfromwkb
    get_dd_column_privileges get_dd_create_options get_dd_index_private_data
    get_dd_index_sub_part_length get_dd_property_key_value get_dd_schema_options
    get_dd_tablespace_private_data get_jdv_property_key_value glength greatest
    group_concat grouping gtid_subset gtid_subtract hex hour ifnull inet6_aton
    inet6_ntoa inet_aton inet_ntoa instr interiorringn internal_auto_increment
    internal_avg_row_length internal_check_time internal_checksum internal_data_free
    internal_data_length internal_dd_char_length internal_get_comment_or_error
    internal_get_dd_column_extra internal_get_enabled_role_json
    internal_get_mandatory_roles_json internal_get_partition_nodegroup
    internal_get_username internal_get_view_warning_or_error
    internal_index_column_cardinality internal_index_length internal_is_enabled_role
    internal_is_mandatory_role internal_keys_disabled internal_max_data_length
    internal_table_rows internal_tablespace_autoextend_size
    internal_tablespace_data_free internal_tablespace_extent_size
    internal_tablespace_extra internal_tablespace_free_extents
    internal_tablespace_id internal_tablespace_initial_size
    internal_tablespace_logfile_group_name internal_tablespace_logfile_group_number
    internal_tablespace_maximum_size internal_tablespace_row_format
    internal_tablespace_status internal_tablespace_total_extents
    internal_tablespace_type internal_tablespace_version internal_update_time
    internal_use_terminology_previous is_ipv4 is_ipv4_compat is_ipv4_mapped is_ipv6
    is_uuid is_visible_dd_object isclosed isempty isnull isring issimple json_array
    json_array_append json_array_insert json_array_intersect json_arrayagg
    json_compact json_contains json_contains_path json_depth json_detailed
    json_duality_object json_equals json_exists json_extract json_insert
    json_key_value json_keys json_length json_loose json_merge json_merge_patch
    json_merge_preserve json_normalize json_object json_object_filter_keys
    json_object_to_array json_objectagg json_overlaps json_pretty json_query
    json_quote json_remove json_replace json_schema_valid
    json_schema_validation_report json_search json_set json_storage_free
    json_storage_size json_table json_type json_unquote json_valid json_value lag
    last_day last_value lcase lead least length lengthb linefromtext linefromwkb
    linestring linestringfromtext linestringfromwkb ln localtime localtimestamp
    locate log log10 log2 lower lpad lpad_oracle ltrim ltrim_oracle make_set
    makedate maketime max mbrcontains mbrcoveredby mbrcovers mbrdisjoint mbrequal
    mbrequals mbrintersects mbroverlaps mbrtouches mbrwithin md5 median microsecond
    mid min minute mlinefromtext mlinefromwkb month monthname mpointfromtext
    mpointfromwkb mpolyfromtext mpolyfromwkb multilinestring multilinestringfromtext
    multilinestringfromwkb multipoint multipointfromtext multipointfromwkb
    multipolygon multipolygonfromtext multipolygonfromwkb name_const
    natural_sort_key now nth_value ntile nullif numgeometries numinteriorrings
    numpoints nvl nvl2 oct octet_length old_password ord overlaps password
    percent_rank percentile_cont percentile_disc period_add period_diff pi point
    pointfromtext pointfromwkb pointn pointonsurface polyfromtext polyfromwkb
    polygon polygonfromtext polygonfromwkb position pow power quarter quote radians
    rand random_bytes rank regexp_instr regexp_like regexp_replace regexp_substr
    replace_oracle reverse roles_graphml round row_number rownum rpad rpad_oracle
    rtrim rtrim_oracle schema sec_to_time second session_user sformat sha sha1 sha2
    sign sin sleep soundex space sqrt srid st_area st_asbinary st_asgeojson
    st_astext st_aswkb st_aswkt st_boundary st_buffer st_buffer_strategy st_centroid
    st_collect st_contains st_convexhull st_crosses st_difference st_dimension
    st_disjoint st_distance st_distance_sphere st_endpoint st_envelope st_equals
    st_exteriorring st_frechetdistance st_geohash st_geomcollfromtext
    st_geomcollfromtxt st_geomcollfromwkb st_geometrycollectionfromtext
    st_geometrycollectionfromwkb st_geometryfromtext st_geometryfromwkb st_geometryn
    st_geometrytype st_geomfromgeojson st_geomfromtext st_geomfromwkb
    st_hausdorffdistance st_interiorringn st_intersection st_intersects st_isclosed
    st_isempty st_isring st_issimple st_isvalid st_latfromgeohash st_latitude
    st_length st_linefromtext st_linefromwkb st_lineinterpolatepoint
    st_lineinterpolatepoints st_linestringfromtext st_linestringfromwkb
    st_longfromgeohash st_longitude st_makeenvelope st_mlinefromtext st_mlinefromwkb
    st_mpointfromtext st_mpointfromwkb st_mpolyfromtext st_mpolyfromwkb
    st_multilinestringfromtext st_multilinestringfromwkb st_multipointfromtext
    st_multipointfromwkb st_multipolygonfromtext st_multipolygonfromwkb
    st_numgeometries st_numinteriorring st_numinteriorrings st_numpoints st_overlaps
    st_pointatdistance st_pointfromgeohash st_pointfromtext st_pointfromwkb
    st_pointn st_pointonsurface st_polyfromtext st_polyfromwkb st_polygonfromtext
    st_polygonfromwkb st_relate st_simplify st_srid st_startpoint st_swapxy
    st_symdifference st_touches st_transform st_union st_validate st_within st_x
    st_y startpoint statement_digest statement_digest_text std stddev stddev_pop
    stddev_samp str_to_date strcmp string_to_vector subdate substr substr_oracle
    substring substring_index subtime sum sys_guid sysdate system_user tan time
    time_format time_to_sec timediff timestamp to_base64 to_char to_days to_seconds
    to_vector trim ucase uncompress uncompressed_length unhex unix_timestamp
    updatexml upper user utc_date utc_time utc_timestamp uuid uuid_short uuid_to_bin
    uuid_v4 uuid_v7 validate_password_strength var_pop var_samp variance
    vec_distance vec_distance_cosine vec_distance_euclidean vec_fromtext vec_totext
    vector_dim vector_distance vector_to_string week weekday weekofyear
    weight_string year yearweek
    """
)

# MariaDB's own, and MySQL's before version 8, in which a user may have taken the names:
# the catalog's word goes before this.
OLD_GEOMETRY: Final = names(
    """
    area boundary buffer centroid contains crosses dimension disjoint envelope equals
    intersects touches within x y
    """
)

_SPECIAL: Final = (
    (
        Verdict.PIN,
        "user_lock",
        """
        get_lock is_free_lock is_used_lock release_all_locks release_lock
        service_get_read_locks service_get_write_locks service_release_locks
        version_tokens_lock_exclusive version_tokens_lock_shared version_tokens_unlock
        """,
    ),
    (Verdict.WRITE, "server_file", "load_file"),
    # A replica's own cache of a sequence would give the same values again.
    (Verdict.WRITE, "sequence", "nextval setval"),
    (Verdict.SAME_CONNECTION, "sequence", "lastval"),
    (Verdict.SAME_CONNECTION, "last_insert_id", "last_insert_id"),
    (Verdict.SAME_CONNECTION, "row_count", "row_count"),
    (Verdict.SAME_CONNECTION, "found_rows", "found_rows"),
    (
        Verdict.NODE_LOCAL,
        "node_function",
        """
        aurora_version binlog_gtid_pos connection_id icu_version
        internal_get_hostname master_gtid_wait master_pos_wait ps_current_thread_id
        ps_thread_id source_pos_wait version version_with_update
        wait_for_executed_gtid_set wait_until_sql_thread_after_gtids
        wsrep_last_seen_gtid wsrep_last_written_gtid wsrep_sync_wait_upto_gtid
        """,
    ),
)

#: Verdict and reason of each function that is more than a read of shared data.
SPECIAL: Final[dict[str, tuple[Verdict, str]]] = {
    name: (verdict, reason)
    for verdict, reason, listed in _SPECIAL
    for name in listed.split()
}

#: The functions of the schema sys that change nothing.
SYS_FUNCTIONS: Final = names(
    """
    extract_schema_from_file_name extract_table_from_file_name format_bytes
    format_path format_statement format_time list_add list_drop
    ps_is_account_enabled ps_is_consumer_enabled ps_is_instrument_default_enabled
    ps_is_instrument_default_timed ps_is_thread_instrumented ps_thread_account
    ps_thread_id ps_thread_stack ps_thread_trx_info quote_identifier sys_get_config
    version_major version_minor version_patch
    """
)
