"""The words PostgreSQL gives a meaning of its own: keywords, views, settings.

Taken once from a PostgreSQL 18.6 server.
"""

from __future__ import annotations

from typing import Final

from globaldb.core.words import names

# SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'C'): reserved, or not to be
# used as the name of a function. In front of a parenthesis they call nothing that a
# user could have written.
NEVER_FUNCTIONS: Final = names(
    """
    all analyse analyze and any array as asc asymmetric between bigint bit boolean
    both case cast char character check coalesce collate column constraint create
    current_catalog current_date current_role current_time current_timestamp
    current_user dec decimal default deferrable desc distinct do else end except
    exists extract false fetch float for foreign from grant greatest group grouping
    having in initially inout int integer intersect interval into json json_array
    json_arrayagg json_exists json_object json_objectagg json_query json_scalar
    json_serialize json_table json_value lateral leading least limit localtime
    localtimestamp merge_action national nchar none normalize not null nullif
    numeric offset on only or order out overlay placing position precision primary
    real references returning row select session_user setof smallint some substring
    symmetric system_user table then time timestamp to trailing treat trim true
    union unique user using values varchar variadic when where window with
    xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse
    xmlpi xmlroot xmlserialize xmltable
    """
)

# The other keywords (catcode 'U', 'T'). After one of them an expression may begin, so
# a name and a parenthesis behind it may be a call; behind any other name it is not.
OTHER_KEYWORDS: Final = names(
    """
    abort absent absolute access action add admin after aggregate also alter always
    asensitive assertion assignment at atomic attach attribute authorization
    backward before begin binary breadth by cache call called cascade cascaded
    catalog chain characteristics checkpoint class close cluster collation columns
    comment comments commit committed compression concurrently conditional
    configuration conflict connection constraints content continue conversion copy
    cost cross csv cube current current_schema cursor cycle data database day
    deallocate declare defaults deferred definer delete delimiter delimiters depends
    depth detach dictionary disable discard document domain double drop each empty
    enable encoding encrypted enforced enum error escape event exclude excluding
    exclusive execute explain expression extension external family filter finalize
    first following force format forward freeze full function functions generated
    global granted groups handler header hold hour identity if ilike immediate
    immutable implicit import include including increment indent index indexes
    inherit inherits inline inner input insensitive insert instead invoker is isnull
    isolation join keep key keys label language large last leakproof left level like
    listen load local location lock locked logged mapping match matched materialized
    maxvalue merge method minute minvalue mode month move name names natural nested
    new next nfc nfd nfkc nfkd no normalized nothing notify notnull nowait nulls
    object objects of off oids old omit operator option options ordinality others
    outer over overlaps overriding owned owner parallel parameter parser partial
    partition passing password path period plan plans policy preceding prepare
    prepared preserve prior privileges procedural procedure procedures program
    publication quote quotes range read reassign recursive ref referencing refresh
    reindex relative release rename repeatable replace replica reset restart
    restrict return returns revoke right role rollback rollup routine routines rows
    rule savepoint scalar schema schemas scroll search second security sequence
    sequences serializable server session set sets share show similar simple skip
    snapshot source sql stable standalone start statement statistics stdin stdout
    storage stored strict string strip subscription support sysid system tables
    tablesample tablespace target temp template temporary text ties transaction
    transform trigger truncate trusted type types uescape unbounded uncommitted
    unconditional unencrypted unknown unlisten unlogged until update vacuum valid
    validate validator value varying verbose version view views virtual volatile
    whitespace within without work wrapper write xml year yes zone
    """
)

# The views of pg_catalog that describe the node that answers.
NODE_VIEWS: Final = names(
    """
    pg_aios pg_available_extension_versions pg_available_extensions
    pg_backend_memory_contexts pg_config pg_file_settings pg_hba_file_rules
    pg_ident_file_mappings pg_locks pg_replication_origin_status
    pg_replication_slots pg_shmem_allocations pg_shmem_allocations_numa
    pg_stat_activity pg_stat_all_indexes pg_stat_all_tables pg_stat_archiver
    pg_stat_bgwriter pg_stat_checkpointer pg_stat_database
    pg_stat_database_conflicts pg_stat_gssapi pg_stat_io pg_stat_progress_analyze
    pg_stat_progress_basebackup pg_stat_progress_cluster pg_stat_progress_copy
    pg_stat_progress_create_index pg_stat_progress_vacuum pg_stat_recovery_prefetch
    pg_stat_replication pg_stat_replication_slots pg_stat_slru pg_stat_ssl
    pg_stat_statements pg_stat_statements_info pg_stat_subscription
    pg_stat_subscription_stats pg_stat_sys_indexes pg_stat_sys_tables
    pg_stat_user_functions pg_stat_user_indexes pg_stat_user_tables pg_stat_wal
    pg_stat_wal_receiver pg_stat_xact_all_tables pg_stat_xact_sys_tables
    pg_stat_xact_user_functions pg_stat_xact_user_tables pg_statio_all_indexes
    pg_statio_all_sequences pg_statio_all_tables pg_statio_sys_indexes
    pg_statio_sys_sequences pg_statio_sys_tables pg_statio_user_indexes
    pg_statio_user_sequences pg_statio_user_tables pg_wait_events
    """
)

#: The views of pg_catalog that describe the connection that answers.
CONNECTION_VIEWS: Final = frozenset(
    ("pg_cursors", "pg_prepared_statements", "pg_settings")
)

# SELECT lower(name) FROM pg_settings WHERE context IN ('internal', 'postmaster',
# 'sighup'): no session can change them, so they describe the node.
NODE_SETTINGS: Final = names(
    """
    allow_alter_system archive_cleanup_command archive_command archive_library
    archive_mode archive_timeout authentication_timeout autovacuum
    autovacuum_analyze_scale_factor autovacuum_analyze_threshold
    autovacuum_freeze_max_age autovacuum_max_workers
    autovacuum_multixact_freeze_max_age autovacuum_naptime
    autovacuum_vacuum_cost_delay autovacuum_vacuum_cost_limit
    autovacuum_vacuum_insert_scale_factor autovacuum_vacuum_insert_threshold
    autovacuum_vacuum_max_threshold autovacuum_vacuum_scale_factor
    autovacuum_vacuum_threshold autovacuum_work_mem autovacuum_worker_slots
    bgwriter_delay bgwriter_flush_after bgwriter_lru_maxpages
    bgwriter_lru_multiplier block_size bonjour bonjour_name
    checkpoint_completion_target checkpoint_flush_after checkpoint_timeout
    checkpoint_warning cluster_name commit_timestamp_buffers config_file
    data_checksums data_directory data_directory_mode data_sync_retry
    debug_assertions debug_io_direct dynamic_shared_memory_type event_source
    external_pid_file file_extend_method fsync full_page_writes
    gss_accept_delegation hba_file hot_standby hot_standby_feedback huge_page_size
    huge_pages huge_pages_status ident_file idle_replication_slot_timeout
    ignore_invalid_pages in_hot_standby integer_datetimes io_max_combine_limit
    io_max_concurrency io_method io_workers jit_provider krb_caseins_users
    krb_server_keyfile listen_addresses log_autovacuum_min_duration log_checkpoints
    log_destination log_directory log_file_mode log_filename log_hostname
    log_line_prefix log_recovery_conflict_waits log_rotation_age log_rotation_size
    log_startup_progress_interval log_timezone log_truncate_on_rotation
    logging_collector max_active_replication_origins max_connections
    max_files_per_process max_function_args max_identifier_length max_index_keys
    max_locks_per_transaction max_logical_replication_workers max_notify_queue_pages
    max_parallel_apply_workers_per_subscription max_pred_locks_per_page
    max_pred_locks_per_relation max_pred_locks_per_transaction
    max_prepared_transactions max_replication_slots max_slot_wal_keep_size
    max_standby_archive_delay max_standby_streaming_delay
    max_sync_workers_per_subscription max_wal_senders max_wal_size
    max_worker_processes min_dynamic_shared_memory min_wal_size
    multixact_member_buffers multixact_offset_buffers notify_buffers
    num_os_semaphores oauth_validator_libraries port pre_auth_delay primary_conninfo
    primary_slot_name recovery_end_command recovery_init_sync_method
    recovery_min_apply_delay recovery_prefetch recovery_target
    recovery_target_action recovery_target_inclusive recovery_target_lsn
    recovery_target_name recovery_target_time recovery_target_timeline
    recovery_target_xid remove_temp_files_after_crash reserved_connections
    restart_after_crash restore_command segment_size send_abort_for_crash
    send_abort_for_kill serializable_buffers server_encoding server_version
    server_version_num shared_buffers shared_memory_size
    shared_memory_size_in_huge_pages shared_memory_type shared_preload_libraries ssl
    ssl_ca_file ssl_cert_file ssl_ciphers ssl_crl_dir ssl_crl_file
    ssl_dh_params_file ssl_groups ssl_key_file ssl_library ssl_max_protocol_version
    ssl_min_protocol_version ssl_passphrase_command
    ssl_passphrase_command_supports_reload ssl_prefer_server_ciphers
    ssl_tls13_ciphers subtransaction_buffers summarize_wal
    superuser_reserved_connections sync_replication_slots synchronized_standby_slots
    synchronous_standby_names syslog_facility syslog_ident syslog_sequence_numbers
    syslog_split_messages trace_connection_negotiation track_activity_query_size
    track_commit_timestamp transaction_buffers unix_socket_directories
    unix_socket_group unix_socket_permissions wal_block_size wal_buffers
    wal_decode_buffer_size wal_keep_size wal_level wal_log_hints
    wal_receiver_create_temp_slot wal_receiver_status_interval wal_receiver_timeout
    wal_retrieve_retry_interval wal_segment_size wal_summary_keep_time
    wal_sync_method wal_writer_delay wal_writer_flush_after
    """
)
