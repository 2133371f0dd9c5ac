-- What the figures are measured on.  Run once, in an empty database.
CREATE EXTENSION event_engine;
CREATE SCHEMA bench;

CREATE FUNCTION bench.uuid7() RETURNS uuid LANGUAGE c AS 'bench_uuid7', 'uuid7';

SELECT event_engine.register_event_definition('invoice.created', '{
	"type": "object",
	"required": ["invoice_id", "customer_id", "amount", "currency", "status", "lines"],
	"properties": {
		"n": {"type": "integer"},
		"invoice_id": {"type": "string", "pattern": "^inv_[0-9a-f]{16}$"},
		"customer_id": {"type": "string", "pattern": "^cus_[0-9a-f]{16}$"},
		"amount": {"type": "integer", "minimum": 0},
		"currency": {"enum": ["EUR", "USD", "GBP", "CHF"]},
		"status": {"enum": ["draft", "open", "paid", "void"]},
		"due_date": {"type": "string", "format": "date"},
		"lines": {"type": "array", "minItems": 1, "items": {
			"type": "object",
			"required": ["sku", "qty", "unit"],
			"properties": {
				"sku": {"type": "string", "minLength": 1, "maxLength": 64},
				"qty": {"type": "integer", "minimum": 1},
				"unit": {"type": "integer", "minimum": 0}}}},
		"created_by": {"type": "string"},
		"note": {"type": "string", "maxLength": 1000}
	},
	"additionalProperties": false}');

-- The twin: the same columns and indexes, partitioned alike, nothing else.
CREATE SEQUENCE bench.twin_seq;
CREATE TABLE bench.twin (
	LIKE event_engine.events_default INCLUDING INDEXES INCLUDING STORAGE
) PARTITION BY RANGE (created_at);
ALTER TABLE bench.twin
	ALTER id SET DEFAULT bench.uuid7(),
	ALTER seq SET DEFAULT nextval('bench.twin_seq'),
	ALTER xid SET DEFAULT pg_current_xact_id(),
	ALTER "timestamp" SET DEFAULT clock_timestamp(),
	ALTER created_at SET DEFAULT clock_timestamp(),
	ALTER created_by SET DEFAULT current_user;
CREATE TABLE bench.twin_default PARTITION OF bench.twin DEFAULT;
DO $$
DECLARE
	part record;
BEGIN
	FOR part IN SELECT lower, upper, row_number() OVER () AS n
		FROM event_engine.event_partitions WHERE lower IS NOT NULL
	LOOP
		EXECUTE format('CREATE TABLE bench.twin_%s PARTITION OF bench.twin FOR VALUES FROM (%L) TO (%L)',
			part.n, part.lower, part.upper);
	END LOOP;
END $$;

-- Handlers.
CREATE FUNCTION bench.noop(event event_engine.event) RETURNS void
	LANGUAGE plpgsql AS $$ BEGIN END $$;

CREATE TABLE bench.effect (seq bigint, amount numeric);
CREATE FUNCTION bench.effect(event event_engine.event) RETURNS void
	LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO bench.effect VALUES (event.seq, (event.payload ->> 'amount')::numeric);
END $$;

CREATE TABLE bench.started (n int, at timestamptz);
CREATE FUNCTION bench.started(event event_engine.event) RETURNS void
	LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO bench.started VALUES ((event.payload ->> 'n')::int, clock_timestamp());
END $$;

CREATE FUNCTION bench.urgent(event event_engine.event) RETURNS void
	LANGUAGE plpgsql AS $$
BEGIN
	IF event.priority = 'critical' THEN
		INSERT INTO bench.started VALUES ((event.payload ->> 'n')::int, clock_timestamp());
	END IF;
END $$;

-- Where a subscription stands: the latest move of each lane, gathered or not.
CREATE FUNCTION bench.stand(subscriber text, OUT delivered bigint, OUT moved_at timestamptz,
	OUT dead bigint)
	LANGUAGE sql STABLE AS $$
	SELECT sum(m.delivered)::bigint, max(m.moved_at), sum(m.dead)::bigint FROM (
		SELECT DISTINCT ON (m.lane) m.delivered, m.moved_at, m.dead FROM (
			SELECT m.lane, m.move, m.delivered, m.moved_at, m.dead FROM event_engine.subscription_cursor_moves m
				JOIN event_engine.subscriptions s ON s.number = m.subscription_number
				WHERE s.subscriber = $1
			UNION ALL
			SELECT c.lane, c.move, c.delivered, c.moved_at, c.dead FROM event_engine.subscription_cursors c
				JOIN event_engine.subscriptions s ON s.number = c.subscription_number
				WHERE s.subscriber = $1) m
		ORDER BY m.lane, m.move DESC) m $$;
