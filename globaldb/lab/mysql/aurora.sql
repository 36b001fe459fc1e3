-- What Aurora MySQL's servers answer, in a database of a lab's servers.
--
-- Who is the writer is noted in a table, at the writer alone: readers learn of a new one
-- as late as the note reaches them. A server that writes knows it of itself.
CREATE DATABASE information_aurora CHARACTER SET utf8mb4;

-- late: how many milliseconds an instance was behind the writer at seen_at.
-- claims: it is noted as a writer though it is none.
CREATE TABLE information_aurora.instances (
    server_id varchar(100) PRIMARY KEY,
    aws_region varchar(100) NOT NULL,
    session_id varchar(100) NOT NULL,
    writes boolean NOT NULL,
    claims boolean NOT NULL DEFAULT false,
    late double NOT NULL DEFAULT 0,
    seen_at datetime(6) NOT NULL
);

-- No view has a variable in it; what it calls may.
CREATE FUNCTION information_aurora.me() RETURNS varchar(100) READS SQL DATA
RETURN @@report_host;

CREATE FUNCTION information_aurora.writing() RETURNS boolean READS SQL DATA
RETURN CAST(@@read_only AS char) IN ('0', 'OFF');

CREATE FUNCTION information_aurora.beaten_at() RETURNS datetime(6) READS SQL DATA
RETURN (SELECT MIN(seen_at) FROM information_aurora.instances WHERE writes);

-- The instances as the server that is asked knows them. A reader has what it was sent,
-- and knows of itself how old that is: so much it is behind, at the most.
CREATE VIEW information_aurora.live AS
SELECT i.server_id, i.aws_region, i.session_id, i.claims, i.seen_at,
  i.server_id = information_aurora.me() AS own,
  IF(information_aurora.writing(),
     i.server_id = information_aurora.me(), i.writes) AS writes,
  IF(i.server_id = information_aurora.me() AND NOT information_aurora.writing(),
     TIMESTAMPDIFF(MICROSECOND, information_aurora.beaten_at(), UTC_TIMESTAMP(6)),
     1000 * i.late
       + TIMESTAMPDIFF(MICROSECOND, i.seen_at, information_aurora.beaten_at())
  ) / 1000 AS late,
  TIMESTAMPDIFF(MICROSECOND, '1970-01-01', i.seen_at) AS lsn
FROM information_aurora.instances AS i;

-- What it tells of a reader in another region than the writer's leaves out the way from
-- the writer.
CREATE VIEW information_aurora.aurora_global_db_instance_status AS
SELECT i.server_id AS SERVER_ID,
  IF(i.writes OR i.claims, 'MASTER_SESSION_ID', i.session_id) AS SESSION_ID,
  i.aws_region AS AWS_REGION,
  i.lsn AS DURABLE_LSN,
  IF(i.writes OR i.claims, 0, i.lsn) AS HIGHEST_LSN_RCVD,
  0 AS OLDEST_READ_VIEW_TRX_ID,
  IF(i.writes OR i.claims, 0, i.lsn) AS OLDEST_READ_VIEW_LSN,
  CASE WHEN i.writes OR i.claims THEN 0
       WHEN p.aws_region = i.aws_region THEN ROUND(i.late)
       ELSE 15 END AS VISIBILITY_LAG_IN_MSEC
FROM information_aurora.live AS i
LEFT JOIN information_aurora.live AS p ON p.writes;

CREATE VIEW information_aurora.aurora_global_db_status AS
SELECT i.aws_region AS AWS_REGION,
  MAX(i.lsn) AS HIGHEST_LSN_WRITTEN,
  IF(MAX(i.writes), 0, ROUND(MIN(i.late))) AS DURABILITY_LAG_IN_MILLISECONDS,
  IF(MAX(i.writes), 0, ROUND(MIN(i.late))) AS RPO_LAG_IN_MILLISECONDS,
  IF(MAX(i.writes), CAST('1970-01-01' AS datetime), MAX(i.seen_at))
    AS LAST_LAG_CALCULATION_TIMESTAMP,
  0 AS OLDEST_READ_VIEW_TRX_ID
FROM information_aurora.live AS i GROUP BY i.aws_region;

-- The instances in the region of the one that is asked.
CREATE VIEW information_aurora.replica_host_status AS
SELECT i.server_id AS SERVER_ID,
  IF(i.writes OR i.claims, 'MASTER_SESSION_ID', i.session_id) AS SESSION_ID,
  CASE WHEN i.writes OR i.claims THEN 0
       WHEN p.aws_region = i.aws_region THEN i.late
       ELSE 15 END AS REPLICA_LAG_IN_MILLISECONDS,
  i.seen_at AS LAST_UPDATE_TIMESTAMP,
  1.0E0 AS CPU,
  1 AS IS_CURRENT
FROM information_aurora.live AS i
JOIN information_aurora.live AS here ON here.own AND here.aws_region = i.aws_region
LEFT JOIN information_aurora.live AS p ON p.writes;

-- It passes no read_only: a note that a reader makes would part it from the writer.
CREATE USER 'heartbeat'@'localhost';

GRANT SELECT, UPDATE ON information_aurora.* TO 'heartbeat'@'localhost';

GRANT SELECT ON information_aurora.* TO app;
