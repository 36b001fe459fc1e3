"""The words MySQL and MariaDB give a meaning of their own: keywords, tables, variables.

Taken once from servers of MySQL 9.7 and MariaDB 10.11.
"""

from __future__ import annotations

from typing import Final

from globaldb.core.words import names

# The keywords in information_schema.keywords of which a server says, in front of a
# parenthesis, something else than that no such function exists: nothing that a user
# could have written is called there.
NEVER_FUNCTIONS: Final = names(
    """
    accessible add against all alter analyze and any as asc asensitive backup before
    begin between bigint binary binlog bit blob bool boolean both by byte cache call
    cascade case change check checkpoint checksum clob close code collate column
    column_add column_create column_delete column_get comment commit compressed
    condition constraint continue convert create cross cursor databases datetime
    day_hour day_microsecond day_minute day_second deallocate dec decimal declare
    default delayed delete delete_domain_id desc describe deterministic distinct
    distinctrow div do do_domain_ids double drop dual each else elseif enclosed end
    enum escaped examined except exclude execute exists exit explain false fetch
    fixed float float4 float8 flush following follows for force foreign from
    fulltext function get get_format global grant group handler having help
    high_priority host hour_microsecond hour_minute hour_second id if ignore
    ignore_domain_ids ignored in index infile inner inout insensitive insert install
    int int1 int2 int3 int4 int8 integer intersect interval into is iterate join
    json key keys kill language lateral leading leave left like limit linear lines
    load local lock long longblob longtext loop low_priority
    master_demote_to_replica master_demote_to_slave master_ssl_verify_server_cert
    match maxvalue medium mediumblob mediumint mediumtext middleint
    minute_microsecond minute_second mod modifies names national natural nchar no
    no_write_to_binlog not null number numeric nvarchar offset on open optimize
    option optionally options or order others out outer outfile over owner
    page_checksum parse_vcol_expr parser partition period port portion precedes
    preceding precision prepare primary procedure purge range raw read read_write
    reads real recursive ref_system_id references regexp release remove rename
    repair repeat replace replica replicas require reset resignal restore restrict
    return returning revoke right rlike role rollback rollup row row_number rows
    savepoint schemas second_microsecond security select sensitive separator serial
    server session set show shutdown signal signed slave slaves smallint socket some
    soname sounds spatial specific sql sql_big_result sql_buffer_result sql_cache
    sql_calc_found_rows sql_no_cache sql_small_result sqlexception sqlstate
    sqlwarning ssl start starting stats_auto_recalc stats_persistent
    stats_sample_pages stop stored straight_join table terminated text then ties
    timestampadd timestampdiff tinyblob tinyint tinytext to trailing trigger true
    truncate unbounded undo unicode uninstall union unique unlock unsigned update
    upgrade usage use using value values varbinary varchar varchar2 varcharacter
    varying when where while window with wrapper write xa xor year_month zerofill
    """
)

#: The tables of information_schema that describe the node that answers.
NODE_TABLES: Final = names(
    """
    client_statistics engines files
    global_status global_variables index_statistics innodb_buffer_page
    innodb_buffer_page_lru innodb_buffer_pool_stats innodb_cached_indexes innodb_cmp
    innodb_cmp_per_index innodb_cmpmem innodb_ft_being_deleted innodb_ft_config innodb_ft_deleted
    innodb_ft_index_cache innodb_ft_index_table innodb_lock_waits innodb_locks
    innodb_metrics innodb_mutexes innodb_session_temp_tablespaces
    innodb_sys_semaphore_waits innodb_sys_tablespaces innodb_sys_tablestats
    innodb_tablespaces innodb_tablespaces_brief innodb_tablespaces_encryption
    innodb_tablestats innodb_temp_table_info innodb_trx metadata_lock_info plugins
    processlist query_cache_info query_response_time slave_status system_variables
    table_statistics thread_pool_groups thread_pool_queues thread_pool_stats
    thread_pool_waits tp_thread_group_state tp_thread_group_stats tp_thread_state
    user_statistics wsrep_membership wsrep_status
    """
)

#: The tables of information_schema that begin to count anew when they are read.
RESETTING_TABLES: Final = names(
    "innodb_cmp_reset innodb_cmpmem_reset innodb_cmp_per_index_reset"
)

#: The tables of information_schema that describe the connection that answers.
CONNECTION_TABLES: Final = names(
    "optimizer_trace profiling session_status session_variables user_variables"
)

#: The tables of the schema mysql that every node writes for itself.
NODE_LOGS: Final = names(
    """
    general_log gtid_executed gtid_slave_pos innodb_index_stats innodb_table_stats
    ndb_binlog_index replication_asynchronous_connection_failover
    replication_asynchronous_connection_failover_managed slave_master_info
    slave_relay_log_info slave_worker_info slow_log
    """
)

#: System variables that only the connection knows whose statements set them.
CONNECTION_VARIABLES: Final = names(
    """
    error_count gtid_seq_no identity in_transaction insert_id last_gtid last_insert_id pseudo_thread_id rand_seed1 rand_seed2
    statement_id warning_count
    """
)
