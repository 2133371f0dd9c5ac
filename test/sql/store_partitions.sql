-- Partitions: one is made when an event needs it, others ahead of time, and
-- nothing is left to the default partition.
SELECT event_engine.register_event_definition('part.a');
CREATE VIEW part AS
	SELECT p.relid, p.lower, p.upper, p.sealed_at, p.min_seq, p.max_seq
	FROM event_engine.event_partitions p JOIN pg_inherits i ON i.inhrelid = p.relid
	WHERE p.lower IS NOT NULL AND i.inhparent = 'event_engine.events'::regclass;
SELECT event_engine.publish_event('part.a', '{}') IS NOT NULL AS ok;
SELECT count(*) AS made, bool_and(upper - lower = '1 day' AND lower AT TIME ZONE 'UTC' = date_trunc('day', lower AT TIME ZONE 'UTC')) AS of_a_day
	FROM part WHERE clock_timestamp() BETWEEN lower AND upper;
SELECT bool_and(tableoid = (SELECT relid FROM part WHERE created_at >= lower AND created_at < upper)) AS where_it_belongs
	FROM event_engine.events;

-- Ahead of time, once, without a gap.
SELECT event_engine.run_maintenance();
SELECT count(*) AS ahead FROM part WHERE lower > clock_timestamp() \gset
SELECT event_engine.run_maintenance();
SELECT count(*) AS ahead, count(*) = :ahead AS no_more FROM part WHERE lower > clock_timestamp();
SELECT count(*) AS gaps FROM (SELECT upper, lead(lower) OVER (ORDER BY lower) AS next FROM part) p WHERE next <> upper;
SELECT count(*) AS in_default FROM event_engine.events_default;
-- those of the future are open, and each has what readers need
SELECT count(*) AS sealed FROM part WHERE sealed_at IS NOT NULL;
SELECT count(*) AS lacking FROM part WHERE (SELECT count(*) FROM pg_index WHERE indrelid = relid AND indisvalid)
	< (SELECT count(*) FROM pg_index WHERE indrelid = 'event_engine.events_default'::regclass);

SELECT bool_and(relid::regclass::text = 'event_engine.events_' || to_char(lower AT TIME ZONE 'UTC', 'YYYYMMDD')) AS named_for_it
	FROM part;

-- A partition made in a transaction that rolls back leaves nothing behind.
SELECT relid AS last FROM part ORDER BY lower DESC LIMIT 1 \gset
DROP TABLE :last;
BEGIN;
SELECT event_engine.run_maintenance();
SELECT to_regclass(:'last') IS NOT NULL AS made_again;
ROLLBACK;
SELECT to_regclass(:'last') IS NULL AS gone;
SELECT event_engine.publish_event('part.a', '{}') IS NOT NULL AS ok;
SELECT event_engine.run_maintenance();
SELECT to_regclass(:'last') IS NOT NULL AS made_again;

-- One that is missing is made by the publisher, in a query over the log too;
-- but not within a transaction block, where others would have to wait for its
-- end.  Upkeep makes one that begins behind what is in the default partition.
CREATE TABLE part_seen (n integer);
CREATE FUNCTION part_see(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO public.part_seen VALUES ((e.payload ->> 'n')::integer) $$;
SELECT event_engine.subscribe('part', '{part.a}', 'part_see') IS NOT NULL AS ok;
SELECT relid AS today FROM part WHERE clock_timestamp() >= lower AND clock_timestamp() < upper \gset
DROP TABLE :today;
SELECT count(event_engine.publish_event('part.a', '{"n": 1}')) FROM
	(SELECT count(*) FROM event_engine.events) e;
SELECT to_regclass(:'today') IS NOT NULL AS made_again, count(*) AS in_default FROM event_engine.events_default;
SELECT event_engine.process_batch(subscriber => 'part');
DROP TABLE :today;
BEGIN;
SELECT event_engine.publish_event('part.a', '{"n": 2}') IS NOT NULL AS ok;
COMMIT;
SELECT to_regclass(:'today') IS NOT NULL AS made_again, count(*) AS in_default FROM event_engine.events_default;
SELECT event_engine.process_batch(subscriber => 'part');
SELECT event_engine.run_maintenance();
SELECT event_engine.publish_event('part.a', '{"n": 3}') IS NOT NULL AS ok;
SELECT event_engine.process_batch(subscriber => 'part');
SELECT payload, created_at < lower AS before_it, date_trunc('day', upper AT TIME ZONE 'UTC') = upper AT TIME ZONE 'UTC' AS to_midnight
	FROM event_engine.events_default, part WHERE now() >= lower AND now() < upper;
SELECT n FROM part_seen;

-- One that was taken out, and kept, stands in nobody's way.
SELECT relid AS today FROM part WHERE clock_timestamp() >= lower AND clock_timestamp() < upper \gset
ALTER TABLE event_engine.events DETACH PARTITION :today;
SELECT event_engine.publish_event('part.a', '{"n": 4}') IS NOT NULL AS ok;
SELECT count(*) AS in_default FROM event_engine.events_default;
DROP TABLE :today;

-- A partition whose time is over is sealed, with what readers want to know,
-- and gets its GIN indexes.
CREATE TABLE event_engine.events_past (LIKE event_engine.events_default INCLUDING ALL);
INSERT INTO event_engine.events_past (id, pattern, source, "timestamp", payload, metadata, created_at, priority, created_by, seq, xid)
	SELECT id, pattern, source, "timestamp", payload, metadata, '2001-01-01 12:00+00', priority, created_by, -seq, xid
	FROM event_engine.events WHERE pattern = 'part.a';
ALTER TABLE event_engine.events ATTACH PARTITION event_engine.events_past
	FOR VALUES FROM ('2001-01-01 00:00+00') TO ('2001-01-02 00:00+00');
CREATE TABLE event_engine.events_empty (LIKE event_engine.events_default INCLUDING ALL);
ALTER TABLE event_engine.events ATTACH PARTITION event_engine.events_empty
	FOR VALUES FROM ('2001-01-02 00:00+00') TO ('2001-01-03 00:00+00');
SELECT event_engine.run_maintenance();
SELECT relid, sealed_at <= clock_timestamp() AS sealed, min_seq = (SELECT min(seq) FROM event_engine.events) AS min_seq,
	max_seq < 0 AS max_seq,
	(SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
		WHERE i.indrelid = relid AND a.amname = 'gin') AS gin
	FROM event_engine.event_partitions WHERE sealed_at IS NOT NULL ORDER BY relid::text;
DROP TABLE event_engine.events_past, event_engine.events_empty;
DELETE FROM event_engine.event_partitions WHERE sealed_at IS NOT NULL;

SELECT event_engine.unsubscribe('part');
DROP FUNCTION part_see;
DROP TABLE part_seen;
DROP VIEW part;
