-- Changes of ordinary tables become events, in the transaction that makes them.
\set SHOW_CONTEXT never
SET timezone = 'UTC';
CREATE SCHEMA shop;
CREATE TABLE shop.orders (
	id integer PRIMARY KEY,
	customer text NOT NULL,
	total numeric,
	note text,
	twice numeric GENERATED ALWAYS AS (total * 2) STORED,
	tags text[],
	extra jsonb,
	paid boolean,
	ordered_at timestamptz
);
-- What happened since it was last asked.
CREATE TABLE seen (seq bigint);
INSERT INTO seen SELECT coalesce(max(seq), 0) FROM event_engine.events;
CREATE FUNCTION news() RETURNS TABLE (pattern text, key text, payload jsonb)
LANGUAGE sql AS $$
	WITH new AS (
		SELECT e.seq, e.pattern::text, e.partition_key::text, e.payload
		FROM event_engine.events AS e, seen AS s WHERE e.seq > s.seq
	), moved AS (
		UPDATE seen SET seq = greatest(seq, (SELECT max(n.seq) FROM new AS n))
	)
	SELECT n.pattern, n.partition_key, n.payload FROM new AS n ORDER BY n.seq
$$;

SELECT event_engine.capture_changes('shop.orders');
SELECT pattern, name, version, source_types, payload_schema -> 'required' AS required
FROM event_engine.event_definitions WHERE pattern ^@ 'shop.' ORDER BY pattern;
SELECT jsonb_pretty(payload_schema #> '{properties,new,properties}')
FROM event_engine.event_definitions WHERE pattern = 'shop.orders.inserted';
SELECT relation, pattern_prefix, operations, columns, key, enabled
FROM event_engine.captured_tables;

-- Each kind of change, each kind of value.
INSERT INTO shop.orders (id, customer, total, tags, extra, paid, ordered_at) VALUES
	(1, 'Ada', 12.50, '{a,"b c"}', '{"x": [1, null]}', false, '2026-01-02 03:04:05.678901'),
	(2, 'Böhm', 'NaN', NULL, '"scalar"', NULL, 'infinity');
UPDATE shop.orders SET total = total + 1, paid = true WHERE id = 1;
UPDATE shop.orders SET total = total, note = note;		-- no change
UPDATE shop.orders SET id = 3 WHERE id = 2;
DELETE FROM shop.orders WHERE id = 3;
SELECT * FROM news();
SELECT DISTINCT source, aggregate_type, created_by = current_user AS by_me
FROM event_engine.events WHERE source ->> 'id' ^@ 'shop.';

-- It is rolled back with its change.
BEGIN;
INSERT INTO shop.orders (id, customer) VALUES (10, 'nobody');
ROLLBACK;
INSERT INTO shop.orders (id, customer) VALUES (11, 'somebody');
SELECT key FROM news();

-- Every way of writing.
COPY shop.orders (id, customer) FROM stdin;
20	copied
21	copied too
\.
INSERT INTO shop.orders (id, customer) VALUES (20, 'again')
	ON CONFLICT (id) DO UPDATE SET customer = excluded.customer;
MERGE INTO shop.orders AS o USING (VALUES (21), (22)) AS v (id) ON o.id = v.id
	WHEN MATCHED THEN DELETE
	WHEN NOT MATCHED THEN INSERT (id, customer) VALUES (v.id, 'merged');
SELECT pattern, key, payload -> 'changed' AS changed FROM news();

-- A toasted value that stays is not fetched, one that changes is.
ALTER TABLE shop.orders ALTER note SET STORAGE EXTERNAL;
UPDATE shop.orders SET note = repeat('long ', 2000) WHERE id = 1;
UPDATE shop.orders SET paid = false WHERE id = 1;
UPDATE shop.orders SET note = repeat('long ', 2000) || '!' WHERE id = 1;
SELECT payload -> 'changed' AS changed, length(payload #>> '{old,note}') AS old,
	length(payload #>> '{new,note}') AS new
FROM news();
UPDATE shop.orders SET note = NULL WHERE id = 1;
SELECT count(*) FROM news();

-- A column that comes, changes its name or goes does not stand in the way.
ALTER TABLE shop.orders ADD COLUMN weight real;
ALTER TABLE shop.orders RENAME COLUMN customer TO buyer;
ALTER TABLE shop.orders DROP COLUMN extra;
UPDATE shop.orders SET weight = 1.5, buyer = 'Ada L.' WHERE id = 1;
SELECT payload FROM news();
-- Captured again, definitions follow the table as a higher version.
SELECT event_engine.capture_changes('shop.orders');
SELECT pattern, version, payload_schema #> '{properties,new,properties,weight}' AS weight
FROM event_engine.event_definitions WHERE pattern = 'shop.orders.inserted';
SELECT event_engine.capture_changes('shop.orders');
SELECT pattern, version, revision FROM event_engine.event_definitions WHERE pattern ^@ 'shop.' ORDER BY pattern;

-- What does not fit its definition is refused, with all that is wrong.
ALTER TABLE shop.orders ALTER paid TYPE text, ALTER tags TYPE text;
INSERT INTO shop.orders (id, buyer, paid, tags) VALUES (30, 'Eve', 'in part', 'a');
SELECT event_engine.capture_changes('shop.orders');
INSERT INTO shop.orders (id, buyer, paid, tags) VALUES (30, 'Eve', 'in part', 'a');
SELECT pattern, payload #> '{new,paid}' AS paid FROM news();
-- A definition that somebody has written stays as it is.
SELECT event_engine.update_event_definition('shop.orders.deleted', version => '7.0.0',
	payload_schema => '{"properties": {"old": {"properties": {"paid": {"const": "no"}}}}}');
SELECT event_engine.capture_changes('shop.orders');
DELETE FROM shop.orders WHERE id = 30;
SELECT count(*) FROM news();

-- Some columns, a key of one's own, some operations; a quoted name.
SELECT event_engine.stop_capturing('shop.orders');
SELECT event_engine.stop_capturing('shop.orders');
INSERT INTO shop.orders (id, buyer) VALUES (40, 'unseen');
CREATE TABLE shop."Line's ""items""" ("Order" integer, "pos'n" integer, sku text, price numeric);
SELECT event_engine.capture_changes('shop."Line''s ""items"""',
	operations => '{insert,update,truncate}', columns => '{sku,"pos''n"}',
	key => '{Order,"pos''n"}');
INSERT INTO shop."Line's ""items""" VALUES (1, 7, 'A-1', 3);
UPDATE shop."Line's ""items""" SET price = 4;			-- not captured
UPDATE shop."Line's ""items""" SET sku = 'A-2';
DELETE FROM shop."Line's ""items""";
TRUNCATE shop."Line's ""items""";
SELECT * FROM news();
SELECT relation, pattern_prefix, operations, columns, key FROM event_engine.captured_tables;
-- The trigger knows its columns by another name, and when one is gone.
ALTER TABLE shop."Line's ""items""" RENAME sku TO article;
ALTER TABLE shop."Line's ""items""" RENAME "Order" TO ord;
INSERT INTO shop."Line's ""items""" VALUES (2, 8, 'B-1', 3);
ALTER TABLE shop."Line's ""items""" DROP "pos'n";
INSERT INTO shop."Line's ""items""" VALUES (2, 'B-2', 3);
ALTER TABLE shop."Line's ""items""" RENAME TO items;
INSERT INTO shop.items VALUES (2, 'B-3', 3);
SELECT n.*, e.aggregate_type FROM news() AS n
	JOIN event_engine.events AS e ON e.payload = n.payload AND e.partition_key = n.key;
-- A dump brings it back, whatever numbers the columns have then.
SELECT replace(pg_get_triggerdef(oid), ' ON shop.items', ' ON shop.restored') AS definition
FROM pg_trigger WHERE tgname = '00_event_engine_capture' AND tgrelid = 'shop.items'::regclass \gset
CREATE TABLE shop.restored (price numeric, sku text, "Order" integer);
SELECT regexp_replace(:'definition', '"table": \d+', '"table": 1') AS definition \gset
:definition;
INSERT INTO shop.restored VALUES (3, 'C-1', 4);
SELECT * FROM news();

-- Partitions: written through the parent or straight.
CREATE TABLE shop.visits (region text, id integer, n integer, PRIMARY KEY (region, id))
	PARTITION BY LIST (region);
CREATE TABLE shop.visits_eu PARTITION OF shop.visits FOR VALUES IN ('eu');
CREATE TABLE shop.visits_us (gone text, n integer, id integer NOT NULL, region text NOT NULL);
ALTER TABLE shop.visits_us DROP gone;
ALTER TABLE shop.visits ATTACH PARTITION shop.visits_us FOR VALUES IN ('us');
SELECT event_engine.capture_changes('shop.visits', 'visit', columns => '{n}');
INSERT INTO shop.visits VALUES ('eu', 1, 10), ('us', 2, 20);
INSERT INTO shop.visits_us VALUES (30, 3, 'us');
ALTER TABLE shop.visits RENAME n TO number;
UPDATE shop.visits SET number = number + 1 WHERE id = 3;
UPDATE shop.visits SET region = 'eu', number = 21 WHERE id = 2;		-- moves
CREATE TABLE shop.visits_as PARTITION OF shop.visits FOR VALUES IN ('as');
INSERT INTO shop.visits_as VALUES ('as', 4, 40);
SELECT * FROM news();
SELECT DISTINCT source ->> 'id' AS source FROM event_engine.events WHERE pattern ^@ 'visit.';
SELECT event_engine.capture_changes('shop.visits_eu');
SELECT event_engine.stop_capturing('shop.visits_eu');
SELECT event_engine.stop_capturing('shop.visits');
DROP TABLE shop.visits;

-- Inheritance: each table for itself.
CREATE TABLE shop.base (id integer);
CREATE TABLE shop.child () INHERITS (shop.base);
SELECT event_engine.capture_changes('shop.child');
INSERT INTO shop.base VALUES (1);
INSERT INTO shop.child VALUES (2);
UPDATE shop.base SET id = id + 10;
SELECT * FROM news();

-- A cascade is a change like any other, and a long key is digested.
CREATE TABLE shop.parent (name text PRIMARY KEY);
CREATE TABLE shop.dependent (name text REFERENCES shop.parent ON UPDATE CASCADE ON DELETE CASCADE);
SELECT event_engine.capture_changes('shop.dependent', key => '{name}');
INSERT INTO shop.parent VALUES ('a');
INSERT INTO shop.dependent VALUES ('a');
UPDATE shop.parent SET name = repeat('x', 300);
SELECT pattern, key, payload -> 'changed' AS changed FROM news();
DELETE FROM shop.parent;
SELECT pattern, key FROM news();

-- A trigger that writes to a captured table because of a change: cause first.
CREATE FUNCTION shop.echo() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO shop.orders (id, buyer) VALUES (100 + NEW.id, 'echo');
	RETURN NULL;
END $$;
SELECT event_engine.capture_changes('shop.orders', operations => '{insert}', columns => '{buyer}');
CREATE TRIGGER echo AFTER INSERT ON shop.orders FOR EACH ROW WHEN (NEW.id < 100)
	EXECUTE FUNCTION shop.echo();
INSERT INTO shop.orders (id, buyer) VALUES (50, 'call');
SELECT * FROM news();
DROP TRIGGER echo ON shop.orders;

-- Whatever cannot be.
CREATE VIEW shop.a_view AS SELECT 1 AS one;
SELECT event_engine.capture_changes('shop.a_view');
SELECT event_engine.capture_changes('event_engine.events');
SELECT event_engine.capture_changes('shop.orders', operations => '{insert,select}');
SELECT event_engine.capture_changes('shop.orders', operations => '{}');
SELECT event_engine.capture_changes('shop.orders', columns => '{id,nothing}');
SELECT event_engine.capture_changes('shop.orders', columns => '{}');
SELECT event_engine.capture_changes('shop.orders', 'not a pattern');
SELECT event_engine.capture_changes('shop.orders', 'unregistered', register => false);
SELECT event_engine.capture_changes(NULL);
SELECT event_engine.stop_capturing(NULL);
CREATE TABLE shop.wrong (id integer);
CREATE TRIGGER wrong BEFORE INSERT ON shop.wrong FOR EACH ROW
	EXECUTE FUNCTION event_engine.capture_row('{"prefix": "x"}');
INSERT INTO shop.wrong VALUES (1);
DROP TRIGGER wrong ON shop.wrong;
CREATE TRIGGER wrong AFTER INSERT ON shop.wrong FOR EACH ROW
	EXECUTE FUNCTION event_engine.capture_row('{"columns": [1]}');
INSERT INTO shop.wrong VALUES (1);
INSERT INTO shop.wrong VALUES (1);

-- Only the owner decides, and it is the owner's right to publish that counts.
CREATE ROLE regress_owner;
CREATE ROLE regress_writer;
GRANT USAGE ON SCHEMA shop TO regress_owner, regress_writer;
GRANT USAGE ON SCHEMA event_engine TO regress_owner, regress_writer;
GRANT EXECUTE ON FUNCTION event_engine.capture_changes(regclass, text, text[], text[], text[], boolean),
	event_engine.stop_capturing(regclass) TO regress_owner, regress_writer;
REVOKE EXECUTE ON FUNCTION event_engine.register_event_definition(text, jsonb, text, text, text, text, text[], jsonb, jsonb, text, jsonb) FROM PUBLIC;
CREATE TABLE shop.private (id integer PRIMARY KEY);
ALTER TABLE shop.private OWNER TO regress_owner;
GRANT INSERT ON shop.private TO regress_writer;
SET ROLE regress_writer;
SELECT event_engine.capture_changes('shop.private');
SELECT event_engine.stop_capturing('shop.private');
SET ROLE regress_owner;
SELECT event_engine.capture_changes('shop.private');
RESET ROLE;
SELECT event_engine.register_event_definition('shop.private.inserted');
SET ROLE regress_owner;
SELECT event_engine.capture_changes('shop.private', operations => '{insert}');
SET ROLE regress_writer;
INSERT INTO shop.private VALUES (1);
RESET ROLE;
CALL event_engine.grant_publish('shop.private.*', 'regress_owner');
SET ROLE regress_writer;
INSERT INTO shop.private VALUES (1);
RESET ROLE;
SELECT e.pattern, e.created_by FROM event_engine.events AS e WHERE e.pattern = 'shop.private.inserted';

-- Nothing is left when the extension goes.
SELECT count(*) > 0 AS needs_cascade FROM pg_depend AS d JOIN pg_trigger AS t
	ON d.classid = 'pg_trigger'::regclass AND d.objid = t.oid
WHERE d.refobjid = 'event_engine.capture_row()'::regprocedure AND t.tgname = '00_event_engine_capture';

\set VERBOSITY terse
SET client_min_messages = error;
DROP SCHEMA shop CASCADE;
DROP TABLE seen CASCADE;
DROP FUNCTION news();
DROP OWNED BY regress_owner, regress_writer;
DROP ROLE regress_owner, regress_writer;
DROP EXTENSION event_engine;
CREATE EXTENSION event_engine;
