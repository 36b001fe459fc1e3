-- What Aurora PostgreSQL's servers answer, in the database of a lab's application.
--
-- Who is the writer is noted in lab.instances, at the writer alone: readers learn of
-- a new one as late as the note reaches them. A server that writes knows it of itself.

CREATE SCHEMA lab;
GRANT USAGE ON SCHEMA lab TO PUBLIC;

-- lsn: how far the instance's storage is. lag: how many milliseconds it was behind the
-- writer at seen_at. claims: it is noted as a writer though it is none.
CREATE TABLE lab.instances (
    node text PRIMARY KEY,
    server_id text NOT NULL UNIQUE,
    aws_region text NOT NULL,
    session_id text NOT NULL DEFAULT gen_random_uuid(),
    writes boolean NOT NULL DEFAULT false,
    claims boolean NOT NULL DEFAULT false,
    lsn bigint,
    lag double precision,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
GRANT SELECT ON lab.instances TO PUBLIC;

-- The instances as the server that is asked knows them. A reader has what it was
-- sent, and knows of itself how old that is: so much it is behind, at the most.
CREATE FUNCTION lab.live() RETURNS SETOF lab.instances
LANGUAGE sql STABLE SECURITY DEFINER
BEGIN ATOMIC
SELECT i.node, i.server_id, i.aws_region,
  CASE WHEN role.writes OR i.claims THEN 'MASTER_SESSION_ID' ELSE i.session_id END,
  role.writes, i.claims,
  CASE WHEN i.node = here.node THEN here.lsn ELSE coalesce(sent.lsn, i.lsn) END,
  CASE WHEN role.writes THEN NULL
       WHEN here.recovering AND i.node = here.node THEN
         (SELECT 1000 * extract(epoch FROM here.now - min(w.seen_at))
          FROM lab.instances AS w WHERE w.writes)
       WHEN here.recovering THEN i.lag
       WHEN sent.lsn IS NULL THEN 1000 * extract(epoch FROM here.now - i.seen_at)
       ELSE 1000 * coalesce(extract(epoch FROM sent.lag), 0) END,
  CASE WHEN role.writes OR sent.lsn IS NOT NULL THEN here.now ELSE i.seen_at END
FROM (SELECT current_setting('cluster_name'), pg_is_in_recovery(), clock_timestamp(),
        CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn()
             ELSE pg_current_wal_flush_lsn() END - '0/0'::pg_lsn
     ) AS here (node, recovering, now, lsn)
CROSS JOIN lab.instances AS i
CROSS JOIN LATERAL (SELECT CASE WHEN here.recovering THEN i.writes
                                ELSE i.node = here.node END) AS role (writes)
LEFT JOIN LATERAL (
  SELECT flush_lsn - '0/0'::pg_lsn, replay_lag FROM pg_stat_replication
  WHERE application_name = i.node AND state = 'streaming'
  ORDER BY backend_start DESC LIMIT 1
) AS sent (lsn, lag) ON true;
END;

CREATE FUNCTION lab.heartbeat() RETURNS void LANGUAGE sql
BEGIN ATOMIC
UPDATE lab.instances AS i
SET writes = live.writes, lsn = live.lsn, lag = live.lag, seen_at = live.seen_at
FROM lab.live() AS live WHERE live.node = i.node;
END;

CREATE FUNCTION pg_catalog.aurora_version() RETURNS text
LANGUAGE sql STABLE AS $$ SELECT '17.5.0'::text $$;

CREATE FUNCTION pg_catalog.aurora_db_instance_identifier() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER
BEGIN ATOMIC
SELECT server_id FROM lab.instances WHERE node = current_setting('cluster_name');
END;

CREATE FUNCTION pg_catalog.aurora_global_db_instance_status(
  OUT server_id text, OUT session_id text, OUT aws_region text, OUT durable_lsn bigint,
  OUT highest_lsn_rcvd bigint, OUT feedback_epoch bigint, OUT feedback_xmin bigint,
  OUT oldest_read_view_lsn bigint, OUT visibility_lag_in_msec double precision)
RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER
BEGIN ATOMIC
SELECT i.server_id, i.session_id, i.aws_region, i.lsn,
  CASE WHEN reads THEN i.lsn END,
  CASE WHEN reads THEN 0 END,
  CASE WHEN reads THEN pg_snapshot_xmin(pg_current_snapshot())::text::bigint END,
  CASE WHEN reads THEN i.lsn END,
  CASE WHEN reads THEN round(i.lag) END
FROM lab.live() AS i
CROSS JOIN LATERAL (SELECT NOT (i.writes OR i.claims)) AS role (reads);
END;

CREATE FUNCTION pg_catalog.aurora_global_db_status(
  OUT aws_region text, OUT highest_lsn_written bigint,
  OUT durability_lag_in_msec double precision, OUT rpo_lag_in_msec double precision,
  OUT last_lag_calculation_time timestamptz, OUT feedback_epoch bigint,
  OUT feedback_xmin bigint)
RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER
BEGIN ATOMIC
SELECT i.aws_region, max(i.lsn),
  CASE WHEN bool_or(i.writes) THEN -1 ELSE round(min(i.lag)) END,
  CASE WHEN bool_or(i.writes) THEN -1 ELSE round(min(i.lag)) END,
  CASE WHEN bool_or(i.writes) THEN 'epoch'::timestamptz ELSE max(i.seen_at) END,
  0,
  CASE WHEN bool_or(i.writes) THEN 0
       ELSE pg_snapshot_xmin(pg_current_snapshot())::text::bigint END
FROM lab.live() AS i GROUP BY i.aws_region;
END;

-- Of an instance in another region than the writer's it tells the lag behind its own
-- region's storage.
CREATE FUNCTION pg_catalog.aurora_replica_status(
  OUT server_id text, OUT session_id text, OUT durable_lsn bigint,
  OUT highest_lsn_rcvd bigint, OUT current_read_lsn bigint,
  OUT cur_replay_latency_in_usec bigint, OUT active_txns integer,
  OUT is_current boolean, OUT last_transport_error integer,
  OUT last_error_timestamp timestamptz, OUT last_update_timestamp timestamptz,
  OUT feedback_xmin bigint, OUT feedback_epoch bigint,
  OUT replica_lag_in_msec double precision,
  OUT log_stream_speed_in_kib_per_second double precision,
  OUT log_buffer_sequence_number bigint, OUT oldest_read_view_trx_id bigint,
  OUT oldest_read_view_lsn bigint, OUT pending_read_ios integer,
  OUT read_ios integer, OUT iops integer, OUT cpu double precision)
RETURNS SETOF record LANGUAGE sql STABLE SECURITY DEFINER
BEGIN ATOMIC
SELECT i.server_id, i.session_id, i.lsn,
  CASE WHEN reads THEN i.lsn END,
  CASE WHEN reads THEN i.lsn END,
  CASE WHEN reads THEN 0 END,
  0, true, 0, NULL::timestamptz,
  CASE WHEN i.node <> here.node THEN i.seen_at END,
  CASE WHEN reads THEN pg_snapshot_xmin(pg_current_snapshot())::text::bigint END,
  CASE WHEN reads THEN 0 END,
  CASE WHEN reads AND here.primary THEN round(i.lag)
       WHEN reads THEN 15 END,
  0, NULL::bigint, NULL::bigint,
  CASE WHEN reads THEN i.lsn END,
  0, 0, NULL::integer, 1.0
FROM lab.live() AS i
CROSS JOIN LATERAL (SELECT NOT (i.writes OR i.claims)) AS role (reads)
JOIN (
  SELECT me.node, me.aws_region,
    (SELECT bool_or(w.writes) FROM lab.live() AS w
     WHERE w.aws_region = me.aws_region)
  FROM lab.instances AS me WHERE me.node = current_setting('cluster_name')
) AS here (node, aws_region, "primary") ON i.aws_region = here.aws_region;
END;

-- Settings of an extension that is not loaded are in no view.
DO $$ BEGIN
  SET LOCAL allow_system_table_mods = on;
  EXECUTE 'CREATE OR REPLACE VIEW pg_catalog.pg_settings AS '
    || rtrim(pg_get_viewdef('pg_catalog.pg_settings'::regclass), ';')
    || $view$ UNION ALL SELECT 'rds.extensions', current_setting('rds.extensions', true),
      NULL, 'Preset Options', 'Shows the extensions that Amazon RDS has.', NULL,
      'internal', 'string', 'default', NULL, NULL, NULL, '',
      current_setting('rds.extensions', true), NULL, NULL, false $view$;
END $$;
