-- Limits of a subscription: what they may be, and that they hold.
\set VERBOSITY terse
SET client_min_messages = warning;
SELECT event_engine.register_event_definition('flow.test');
CREATE TABLE done (n integer, at timestamptz DEFAULT clock_timestamp());
CREATE TABLE weather (bad boolean);
INSERT INTO weather VALUES (false);
CREATE FUNCTION work(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF (SELECT w.bad FROM weather AS w) OR e.payload ? 'poison' THEN RAISE 'no way'; END IF;
	INSERT INTO done VALUES ((e.payload ->> 'n')::integer);
END $$;
CREATE FUNCTION publish(lower integer, upper integer, more jsonb DEFAULT '{}') RETURNS bigint LANGUAGE sql AS $$
	SELECT count(event_engine.publish_event('flow.test', jsonb_build_object('n', i) || more)) FROM generate_series($1, $2) AS i
$$;
CREATE VIEW state AS
	SELECT s.subscriber, s.delivered, s.failed, s.dead, s.pending, s.breaker, s.breaker_retry_at > now() AS later
	FROM event_engine.stat_subscriptions AS s ORDER BY s.subscriber;
CREATE FUNCTION attempt(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	EXECUTE statement;
	RETURN 'fine';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(': ', SQLSTATE, SQLERRM, NULLIF(detail, ''));
END $$;

-- Options, in either spelling
SELECT event_engine.subscription_options('{"rateLimit": 12.50, "rateBurst": 3, "maxInFlight": 7,
	"circuitBreaker": {"threshold": 9, "windowMs": 1000, "recoveryMs": 500}}', '{}');
SELECT event_engine.subscription_options('{"rate_limit": 1, "rate_burst": 1, "max_in_flight": 0,
	"circuit_breaker": {"window_ms": 2, "recovery_ms": 3}, "breaker_threshold": 0}', '{}');
SELECT o, attempt(format('SELECT event_engine.subscription_options(%L)', o)) FROM unnest(ARRAY[
	'{"rate_limit": -1}', '{"rate_limit": "fast"}', '{"rate_burst": 0}', '{"max_in_flight": 1.5}',
	'{"breaker_threshold": 65}', '{"breaker_window_ms": 0}', '{"breaker_recovery_ms": null}',
	'{"circuitBreaker": true}', '{"circuitBreaker": {"limit": 1}}']) AS o;
-- some have none
SELECT attempt($$SELECT event_engine.subscribe('pulled', '{flow.test}', options => '{"circuitBreaker": {"threshold": 1}}')$$);
SELECT attempt($$SELECT event_engine.subscribe('bell', '{flow.test}', channel => 'c', options => '{"max_in_flight": 1}')$$);

-- A rate: what is in the bucket at once, the rest later
SELECT event_engine.subscribe('slow', '{flow.test}', 'work', options => '{"rate_limit": 0.01, "rate_burst": 3}') IS NOT NULL;
SELECT publish(1, 10);
SELECT event_engine.process_batch();
SELECT event_engine.process_batch();
SELECT n FROM done ORDER BY n;
-- as soon as it is lifted
SELECT event_engine.update_subscription('slow', options => '{"rate_limit": 0}');
SELECT event_engine.process_batch();
SELECT count(*), count(DISTINCT n) FROM done;
SELECT event_engine.unsubscribe('slow');
TRUNCATE done;

-- In flight: a batch has no more events than that
CREATE TABLE batches (events integer);
CREATE FUNCTION several(e event_engine.event[]) RETURNS void LANGUAGE sql AS
	'INSERT INTO batches VALUES (cardinality(e))';
SELECT event_engine.subscribe('narrow', '{flow.test}', 'several', options => '{"max_in_flight": 4}') IS NOT NULL;
SELECT publish(1, 10);
SELECT event_engine.process_batch();
TABLE batches;
-- nothing is left in flight, whatever became of the call
CREATE FUNCTION cancelled(e event_engine.event[]) RETURNS void LANGUAGE plpgsql AS
	$$ BEGIN PERFORM pg_cancel_backend(pg_backend_pid()); PERFORM pg_sleep(3600); END $$;
SELECT event_engine.update_subscription('narrow', handler => 'cancelled');
SELECT publish(11, 12);
SELECT event_engine.process_batch();
SELECT c.in_flight FROM event_engine.subscriptions AS s, event_engine.subscription_counters(s.number, s.id) AS c;
SELECT event_engine.update_subscription('narrow', handler => 'several');
SELECT event_engine.process_batch();
TABLE batches;
SELECT event_engine.unsubscribe('narrow');

-- The breaker: where nothing goes right nothing more is tried
SELECT event_engine.subscribe('careful', '{flow.test}', 'work', options => '{"backoff_ms": 3600000, "max_attempts": 2,
	"circuitBreaker": {"threshold": 4, "recoveryMs": 3600000}}') IS NOT NULL;
UPDATE weather SET bad = true;
SELECT publish(1, 100);
SELECT event_engine.process_batch();
SELECT failed BETWEEN 4 AND 10 AS few, dead, breaker, later FROM state;
SELECT event_engine.process_batch();
SELECT failed BETWEEN 4 AND 10 AS few FROM state;
SELECT event_engine.health() ->> 'status' AS status, event_engine.health() -> 'problems' @> '["The circuit breaker of 1 subscription(s) is open: their handlers fail."]' AS told;
-- a trial: open again where it fails, closed where it succeeds
SELECT event_engine.update_subscription('careful', options => '{"breaker_recovery_ms": 1}');
SELECT pg_sleep(0.01);
SELECT event_engine.process_batch(), event_engine.update_subscription('careful', options => '{"breaker_recovery_ms": 3600000}');
SELECT failed > 10 OR pending > 4 AS tried, failed < 100 AS one_by_one, breaker FROM state;
UPDATE weather SET bad = false;
SELECT event_engine.update_subscription('careful', options => '{"breaker_recovery_ms": 1}');
SELECT pg_sleep(0.01);
SELECT event_engine.process_batch() > 0 AS delivered;
SELECT delivered + pending AS all, failed = pending AS once, dead, breaker FROM state;
-- a person who knows better
UPDATE weather SET bad = true;
SELECT event_engine.update_subscription('careful', options => '{"breaker_recovery_ms": 3600000}');
SELECT publish(101, 150);
SELECT event_engine.process_batch();
SELECT breaker FROM state;
UPDATE weather SET bad = false;
SELECT event_engine.process_batch();
SELECT event_engine.resume_subscription('careful');
SELECT event_engine.process_batch() > 0;
SELECT breaker, later FROM state;
SELECT event_engine.health() -> 'problems' @> '["The circuit breaker of 1 subscription(s) is open: their handlers fail."]' AS told;
-- and one who turns it off
UPDATE weather SET bad = true;
SELECT publish(151, 200);
SELECT event_engine.process_batch();
SELECT breaker FROM state;
SELECT event_engine.update_subscription('careful', options => '{"breaker_threshold": 0}');
SELECT event_engine.process_batch();
SELECT breaker, delivered + pending AS all FROM state;
UPDATE weather SET bad = false;
SELECT event_engine.unsubscribe('careful');
TRUNCATE done;

-- One event that fails for ever is no reason, nor are some among many
SELECT event_engine.subscribe('healthy', '{flow.test}', 'work', options => '{"backoff_ms": 0, "jitter": 0, "max_attempts": 12,
	"breaker_recovery_ms": 3600000}') IS NOT NULL;
SELECT publish(0, 0, '{"poison": true}');
DO $$ BEGIN FOR i IN 1..20 LOOP PERFORM event_engine.process_batch(); END LOOP; END $$;
TABLE state;
SELECT event_engine.update_subscription('healthy', options => '{"backoff_ms": 3600000}');
SELECT publish(1, 100);
SELECT publish(101, 110, '{"poison": true}');
SELECT publish(111, 200);
SELECT event_engine.process_batch();
SELECT breaker FROM state;
SELECT count(DISTINCT n) FROM done;
SELECT event_engine.unsubscribe('healthy');
TRUNCATE event_engine.event_dead_letters;

-- Clients: what is in flight is what they hold, whoever they are
SELECT event_engine.subscribe('clients', '{flow.test}', options => '{"max_in_flight": 5, "backoff_ms": 0}') IS NOT NULL;
SELECT publish(1, 20);
CREATE TABLE received AS SELECT * FROM event_engine.receive_events('clients', 3);
INSERT INTO received SELECT * FROM event_engine.receive_events('clients', 3);
INSERT INTO received SELECT * FROM event_engine.receive_events('clients', 3);
SELECT count(*), count(DISTINCT receipt) FROM received;
-- acknowledged, rejected and given back are no more in flight
SELECT event_engine.ack_events(receipt, array_agg(id)) FROM (SELECT * FROM received ORDER BY seq LIMIT 1) AS r GROUP BY receipt;
SELECT payload -> 'n' AS n FROM event_engine.receive_events('clients', 3);
SELECT event_engine.nack_events(receipt) FROM (SELECT receipt FROM received ORDER BY seq DESC LIMIT 1) AS r;
SELECT payload -> 'n' AS n, attempts FROM event_engine.receive_events('clients', 9) ORDER BY seq;
SELECT event_engine.extend_events(receipt, '0') IS NOT NULL FROM (SELECT receipt FROM received ORDER BY seq LIMIT 1) AS r;
SELECT payload -> 'n' AS n, attempts FROM event_engine.receive_events('clients', 9) ORDER BY seq;
SELECT leased FROM event_engine.stat_subscriptions;
-- a rate counts what was given, not what was asked for
SELECT event_engine.update_subscription('clients', options => '{"max_in_flight": 0, "rate_limit": 0.01, "rate_burst": 30}');
SELECT count(*) FROM event_engine.receive_events('clients', 4);
SELECT count(*) FROM event_engine.receive_events('clients', 100);
SELECT publish(21, 40);
SELECT count(*) FROM event_engine.receive_events('clients', 100);
SELECT count(*) FROM event_engine.receive_events('clients', 100);
SELECT event_engine.update_subscription('clients', options => '{"rate_limit": 0}');
SELECT count(*) FROM event_engine.receive_events('clients', 100);
SELECT event_engine.unsubscribe('clients');
DROP TABLE received;
DROP VIEW state;
DROP FUNCTION work, several, cancelled, publish, attempt;
DROP TABLE done, weather, batches;
