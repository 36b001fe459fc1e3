-- Tables that others write and read along with them. Search path: s.
CREATE SCHEMA s; CREATE SCHEMA s2; SET search_path = s;
CREATE TABLE s.a(id int PRIMARY KEY, v int);
CREATE TABLE s.b(id int PRIMARY KEY, v int);
CREATE TABLE s.c(id int PRIMARY KEY, status text DEFAULT 'new', year date DEFAULT '2026-01-01');
CREATE TABLE s."Mixed Case"(id int PRIMARY KEY, "from" int);
CREATE TABLE s2.a(id int PRIMARY KEY, v int);
INSERT INTO s.a SELECT g, g FROM generate_series(1, 20) g;
INSERT INTO s.b SELECT g, g FROM generate_series(1, 20) g;
INSERT INTO s.c SELECT g FROM generate_series(1, 20) g;
INSERT INTO s."Mixed Case" SELECT g, g FROM generate_series(1, 20) g;
INSERT INTO s2.a SELECT g, g FROM generate_series(1, 20) g;
-- Foreign keys.
CREATE TABLE s.owner(id int PRIMARY KEY, v int);
CREATE TABLE s.deleted(id int PRIMARY KEY, o int REFERENCES s.owner ON DELETE CASCADE);
CREATE TABLE s.nulled(id int PRIMARY KEY, o int REFERENCES s.owner ON DELETE SET NULL ON UPDATE CASCADE);
CREATE TABLE s.defaulted(id int PRIMARY KEY, o int DEFAULT 99 REFERENCES s.owner ON DELETE SET DEFAULT);
CREATE TABLE s.grandchild(id int PRIMARY KEY, d int REFERENCES s.deleted ON DELETE CASCADE);
CREATE TABLE s.kept(id int PRIMARY KEY, o int REFERENCES s.owner);
INSERT INTO s.owner VALUES (1, 1), (2, 2), (3, 3), (99, 0);
INSERT INTO s.deleted VALUES (1, 1); INSERT INTO s.nulled VALUES (1, 1);
INSERT INTO s.defaulted VALUES (1, 1); INSERT INTO s.grandchild VALUES (1, 1);
-- Triggers.
CREATE TABLE s.audit(at timestamptz DEFAULT now(), what text);
CREATE TABLE s.audited(id int PRIMARY KEY, v int); INSERT INTO s.audited VALUES (1, 1);
CREATE FUNCTION s.log_it() RETURNS trigger LANGUAGE plpgsql AS $$begin
  if (tg_op = 'INSERT' or old.v is distinct from new.v) then
    insert into s.audit(what) values (tg_op || coalesce(new.v::text, ''));
  end if;
  return null; end$$;
CREATE TRIGGER t AFTER INSERT OR UPDATE ON s.audited FOR EACH ROW EXECUTE FUNCTION s.log_it();
CREATE TABLE s.stamped(id int PRIMARY KEY, v int, at timestamptz); INSERT INTO s.stamped VALUES (1, 1);
CREATE FUNCTION s.stamp() RETURNS trigger LANGUAGE plpgsql AS $$begin new.at := now(); return new; end$$;
CREATE TRIGGER t BEFORE INSERT OR UPDATE ON s.stamped FOR EACH ROW EXECUTE FUNCTION s.stamp();
CREATE TABLE s.dynamic(id int PRIMARY KEY); INSERT INTO s.dynamic VALUES (1);
CREATE FUNCTION s.run_it() RETURNS trigger LANGUAGE plpgsql AS $$begin
  execute 'insert into s.au' || 'dit(what) values (1)'; return null; end$$;
CREATE TRIGGER t AFTER INSERT ON s.dynamic FOR EACH STATEMENT EXECUTE FUNCTION s.run_it();
CREATE FUNCTION s.count_up(n int) RETURNS int LANGUAGE plpgsql AS $$begin
  update s.counter set n = s.counter.n + 1; return n; end$$;
CREATE TABLE s.counter(n int); INSERT INTO s.counter VALUES (0);
CREATE TABLE s.calling(id int PRIMARY KEY); INSERT INTO s.calling VALUES (1);
CREATE FUNCTION s.call_it() RETURNS trigger LANGUAGE plpgsql AS $$begin perform s.count_up(1); return null; end$$;
CREATE TRIGGER t AFTER INSERT ON s.calling FOR EACH STATEMENT EXECUTE FUNCTION s.call_it();
CREATE TABLE s.defaults(id int DEFAULT s.count_up(1));
CREATE TABLE s.chain1(id int); CREATE TABLE s.chain2(id int); CREATE TABLE s.chain3(id int);
CREATE FUNCTION s.chain12() RETURNS trigger LANGUAGE plpgsql AS $$begin insert into chain2 values (new.id); return null; end$$;
ALTER FUNCTION s.chain12() SET search_path = s;
CREATE FUNCTION s.chain23() RETURNS trigger LANGUAGE plpgsql AS $$declare x int; begin
  for x in select id from s.b limit 1 loop insert into s.chain3 select x; end loop; return null; end$$;
CREATE TRIGGER t AFTER INSERT ON s.chain1 FOR EACH ROW EXECUTE FUNCTION s.chain12();
CREATE TRIGGER t AFTER INSERT ON s.chain2 FOR EACH ROW EXECUTE FUNCTION s.chain23();
-- Rules and views.
CREATE TABLE s.ruled(id int); CREATE RULE r AS ON INSERT TO s.ruled DO ALSO INSERT INTO s.audit(what) VALUES ('r');
CREATE VIEW s.va AS SELECT * FROM s.a;
CREATE VIEW s.vva AS SELECT id, v FROM s.va WHERE id > 0;
CREATE VIEW s.vj AS SELECT a.id, b.v FROM s.a JOIN s.b USING (id);
CREATE VIEW s.instead AS SELECT 1 AS id;
CREATE FUNCTION s.instead_of() RETURNS trigger LANGUAGE plpgsql AS $$begin delete from s.b where b.id = new.id; return new; end$$;
CREATE TRIGGER t INSTEAD OF INSERT ON s.instead FOR EACH ROW EXECUTE FUNCTION s.instead_of();
CREATE MATERIALIZED VIEW s.mv AS SELECT count(*) AS n FROM s.a;
-- Partitions and inheritance.
CREATE TABLE s.part(id int, k int, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
CREATE TABLE s.part1 PARTITION OF s.part FOR VALUES IN (1);
CREATE TABLE s.part2 PARTITION OF s.part FOR VALUES IN (2) PARTITION BY LIST (k);
CREATE TABLE s.part2a PARTITION OF s.part2 FOR VALUES IN (2);
INSERT INTO s.part VALUES (1, 1), (2, 2);
CREATE TABLE s.of_part(id int, k int, FOREIGN KEY (id, k) REFERENCES s.part ON DELETE CASCADE ON UPDATE CASCADE);
INSERT INTO s.of_part VALUES (1, 1);
CREATE TABLE s.base(id int); CREATE TABLE s.heir(extra int) INHERITS (s.base);
INSERT INTO s.base VALUES (1); INSERT INTO s.heir VALUES (2, 2);
-- What reads more than it names.
CREATE TABLE s.secret(id int); INSERT INTO s.secret VALUES (1);
CREATE TABLE s.guarded(id int); INSERT INTO s.guarded VALUES (1);
CREATE POLICY p ON s.guarded USING (id IN (SELECT id FROM s.secret));
ALTER TABLE s.guarded ENABLE ROW LEVEL SECURITY; ALTER TABLE s.guarded FORCE ROW LEVEL SECURITY;
CREATE FUNCTION s.sums() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT sum(v) FROM s.b';
CREATE FUNCTION s.of_a(s.a) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT sum(v) FROM s.b';
CREATE VIEW s.v_sums AS SELECT id, s.sums() FROM s.c;
CREATE VIEW s.v_size AS SELECT pg_relation_size('s.b') AS size;
CREATE FUNCTION s.op_reads(int, int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT sum(v) FROM s.b';
CREATE OPERATOR s.### (LEFTARG = int, RIGHTARG = int, FUNCTION = s.op_reads);
CREATE DOMAIN s.checked AS int CHECK (value < s.sums());
CREATE FUNCTION s.writes(int) RETURNS boolean LANGUAGE plpgsql AS $$begin insert into s.audit(what) values ('d'); return true; end$$;
CREATE DOMAIN s.writing AS int CHECK (s.writes(value));
CREATE TABLE s.of_domain(id s.writing);
ANALYZE;
