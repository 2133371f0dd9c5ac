-- Clients that pull: receive, acknowledge, reject, extend.
\set VERBOSITY terse
CREATE TEMP TABLE got (call text, LIKE event_engine.received_event);
CREATE FUNCTION pg_temp.receive(call text, max integer DEFAULT 100,
		subscriber text DEFAULT 'client') RETURNS text
LANGUAGE sql AS $$
	WITH r AS (INSERT INTO got SELECT call, r.*
		FROM event_engine.receive_events(subscriber, max) AS r
		RETURNING payload ->> 'n' AS n, attempts, receipt)
	SELECT count(DISTINCT receipt) || ' receipt: '
		|| COALESCE(string_agg(n || '/' || attempts, ' ' ORDER BY n::integer), '') FROM r
$$;
CREATE FUNCTION pg_temp.receipt(call text) RETURNS uuid
LANGUAGE sql STABLE AS 'SELECT min(g.receipt::text)::uuid FROM got AS g WHERE g.call = $1';
CREATE FUNCTION pg_temp.ids(call text, VARIADIC n integer[]) RETURNS uuid[]
LANGUAGE sql STABLE AS 'SELECT array_agg(g.id) FROM got AS g WHERE g.call = $1 AND (g.payload ->> ''n'')::integer = ANY ($2)';
CREATE FUNCTION pg_temp.publish(lower integer, upper integer) RETURNS bigint
LANGUAGE sql AS $$
	SELECT count(event_engine.publish_event('pull.test', jsonb_build_object('n', i)))
	FROM generate_series($1, $2) AS i
$$;
CREATE VIEW pg_temp.state AS
	SELECT 'leased', (SELECT sum(cardinality(l.seqs)) FROM event_engine.event_leases AS l) AS n
	UNION ALL SELECT d.status, count(*) FROM event_engine.deliveries AS d GROUP BY 1;

SELECT event_engine.register_event_definition('pull.test');
SELECT event_engine.subscribe('client', ARRAY['pull.test'],
	options => '{"max_attempts": 3, "backoff_ms": 3600000}') IS NOT NULL AS subscribed;

-- nothing yet
SELECT pg_temp.receive('none');
SELECT pg_temp.publish(1, 10);

-- no event twice while its lease lasts, in order, never more than asked for
SELECT pg_temp.receive('a', 3);
SELECT pg_temp.receive('b', 3);
SELECT pg_temp.receive('c');
SELECT pg_temp.receive('d');
SELECT pattern, version, payload, event_id, priority, created_by = current_user AS by_me,
	deliver_at, partition_key FROM got WHERE call = 'a' ORDER BY seq;

-- acknowledged: gone, and the receipt is of no use any more
SELECT event_engine.ack_events(pg_temp.receipt('a'));
SELECT event_engine.ack_events(pg_temp.receipt('a'));
SELECT event_engine.nack_events(pg_temp.receipt('a'));
SELECT event_engine.extend_events(pg_temp.receipt('a'), '1 min');
SELECT event_engine.ack_events(NULL);
\set VERBOSITY default
SELECT event_engine.ack_events('00000000-0000-0000-0000-000000000000');
\set VERBOSITY terse

-- some of them only; ids that are not under the receipt do not count
SELECT event_engine.ack_events(pg_temp.receipt('b'), pg_temp.ids('b', 5));
SELECT event_engine.ack_events(pg_temp.receipt('b'), pg_temp.ids('b', 5));
SELECT event_engine.ack_events(pg_temp.receipt('b'), pg_temp.ids('c', 7));
SELECT event_engine.ack_events(pg_temp.receipt('b'), pg_temp.ids('b', 4, 6));
SELECT event_engine.ack_events(pg_temp.receipt('b'), pg_temp.ids('b', 4));

-- rejected: again after the delay, with one more attempt
SELECT event_engine.nack_events(pg_temp.receipt('c'), '-1 s');
SELECT event_engine.nack_events(pg_temp.receipt('c'), '0', 'not today', pg_temp.ids('c', 8, 9));
SELECT status, attempts, last_error, (event).payload FROM event_engine.deliveries ORDER BY seq;
SELECT pg_temp.receive('e');
SELECT status, attempts, last_error, receipt = pg_temp.receipt('e') AS ours
	FROM event_engine.deliveries ORDER BY seq;
-- without a delay: the subscription's backoff, an hour less jitter
SELECT event_engine.nack_events(pg_temp.receipt('e'), ids => pg_temp.ids('e', 8));
SELECT status, attempts, next_attempt_at BETWEEN now() + '45 min' AND now() + '2 h' AS due, last_error
	FROM event_engine.deliveries ORDER BY seq;
SELECT pg_temp.receive('f');
SELECT event_engine.ack_events(pg_temp.receipt('e'));

-- time runs out: again under another receipt; the late owner is refused
SELECT event_engine.extend_events(pg_temp.receipt('c'), '0') <= clock_timestamp();
SELECT pg_temp.receive('g', 1);
SELECT event_engine.ack_events(pg_temp.receipt('c'));
SELECT event_engine.ack_events(pg_temp.receipt('g'));
SELECT pg_temp.receive('h');
SELECT event_engine.extend_events(pg_temp.receipt('h'), '1 h') > now() + '59 min';
SELECT pg_temp.receive('i');
-- as long as nobody else has them it is not too late
SELECT event_engine.extend_events(pg_temp.receipt('h'), '0') IS NOT NULL;
SELECT event_engine.ack_events(pg_temp.receipt('h'));
SELECT * FROM pg_temp.state;

-- taken over in part: nothing is left of the old receipt
SELECT pg_temp.publish(91, 93);
SELECT pg_temp.receive('one by one');
SELECT event_engine.nack_events(pg_temp.receipt('one by one'), '0');
SELECT pg_temp.receive('late');
SELECT event_engine.extend_events(pg_temp.receipt('late'), '0') IS NOT NULL;
SELECT pg_temp.receive('part', 1);
SELECT event_engine.ack_events(pg_temp.receipt('late'));
SELECT event_engine.ack_events(pg_temp.receipt('late'), pg_temp.ids('late', 92, 93));
SELECT event_engine.nack_events(pg_temp.receipt('late'));
SELECT event_engine.extend_events(pg_temp.receipt('late'), '1 h');
SELECT event_engine.ack_events(pg_temp.receipt('part'));
SELECT pg_temp.receive('rest');
SELECT event_engine.ack_events(pg_temp.receipt('rest'));
-- also where it had events of several leases
SELECT pg_temp.publish(94, 97);
SELECT pg_temp.receive('old', 2);
SELECT event_engine.extend_events(pg_temp.receipt('old'), '0') IS NOT NULL;
SELECT pg_temp.receive('late2');
SELECT event_engine.extend_events(pg_temp.receipt('late2'), '0') IS NOT NULL;
SELECT pg_temp.receive('part2', 2);
SELECT event_engine.ack_events(pg_temp.receipt('late2'));
SELECT event_engine.ack_events(pg_temp.receipt('part2'));
SELECT pg_temp.receive('rest2');
SELECT event_engine.ack_events(pg_temp.receipt('rest2'));

-- given up after max_attempts, whoever was to blame
UPDATE event_engine.deliveries SET next_attempt_at = now();
SELECT pg_temp.publish(11, 12);
SELECT pg_temp.receive('j');
SELECT event_engine.nack_events(pg_temp.receipt('j'), '0', 'poison');
SELECT pg_temp.receive('k');
SELECT event_engine.extend_events(pg_temp.receipt('k'), '0') IS NOT NULL;
SELECT pg_temp.receive('l', 1);
SELECT event_engine.nack_events(pg_temp.receipt('l'), '0', 'poison');
SELECT pg_temp.receive('m');
SELECT event_engine.extend_events(pg_temp.receipt('m'), '0') IS NOT NULL;
SELECT pg_temp.receive('n');
SELECT subscriber, event_type, payload, retry_count, status, error_message, error_details,
	envelope ->> 'pattern' AS pattern, event_id = envelope ->> 'id' AS by_id
	FROM event_engine.event_dead_letters ORDER BY seq;
SELECT * FROM pg_temp.state;
-- and from a lease, which has no row in deliveries
SELECT pg_temp.publish(13, 15);
SELECT event_engine.update_subscription('client', options => '{"max_attempts": 2}');
SELECT pg_temp.receive('o');
SELECT event_engine.extend_events(pg_temp.receipt('o'), '0') IS NOT NULL;
SELECT pg_temp.receive('p', 2);
SELECT event_engine.extend_events(pg_temp.receipt('p'), '0') IS NOT NULL;
SELECT pg_temp.receive('q');
SELECT event_engine.nack_events(pg_temp.receipt('q'), error => 'no');
SELECT payload, retry_count, error_message FROM event_engine.event_dead_letters
	WHERE payload @> '{}' AND (payload ->> 'n')::integer > 12 ORDER BY seq;
SELECT * FROM pg_temp.state;

-- what became of the events, once the log has been read again
SELECT pg_temp.receive('r');
SELECT m.delivered, m.failed, m.dead FROM event_engine.subscription_cursor_moves AS m
	JOIN event_engine.subscriptions AS s ON s.number = m.subscription_number AND s.subscriber = 'client'
	ORDER BY m.move DESC LIMIT 1;
SELECT count(*) FROM event_engine.delivery_counts;

-- rolled back: as if it had not been
SELECT pg_temp.publish(20, 21);
BEGIN;
SELECT pg_temp.receive('rolled back');
ROLLBACK;
SELECT pg_temp.receive('s');
BEGIN;
SELECT event_engine.ack_events(pg_temp.receipt('s'));
ROLLBACK;
SELECT event_engine.ack_events(pg_temp.receipt('s'));

-- not before its time
SELECT event_engine.publish_event('pull.test', '{"n": 30}', deliver_at => now() + '1 h') IS NOT NULL;
SELECT pg_temp.publish(31, 31);
SELECT pg_temp.receive('t', 1);
SELECT status, attempts, (event).payload FROM event_engine.deliveries;
UPDATE event_engine.deliveries SET next_attempt_at = now();
SELECT pg_temp.receive('u');
SELECT event_engine.ack_events(pg_temp.receipt('t')), event_engine.ack_events(pg_temp.receipt('u'));
-- not due only: the next one is found although it comes first
SELECT count(event_engine.publish_event('pull.test', '{"n": 32}', deliver_at => now() + '1 h'))
	FROM generate_series(1, 5);
SELECT pg_temp.publish(33, 33);
SELECT pg_temp.receive('v', 2);
SELECT event_engine.ack_events(pg_temp.receipt('v'));
DELETE FROM event_engine.deliveries;

-- what comes after a batch that just fits is not overlooked
SELECT pg_temp.publish(40, 41);
SELECT pg_temp.receive('w', 2);
SELECT pg_temp.publish(42, 42);
SELECT pg_temp.receive('x', 2);
SELECT event_engine.ack_events(pg_temp.receipt('w')), event_engine.ack_events(pg_temp.receipt('x'));

-- a log of what was done, for whoever asks for it
SELECT event_engine.update_subscription('client', options => '{"processing_log": true, "max_attempts": 2}');
SELECT pg_temp.publish(50, 52);
SELECT pg_temp.receive('y');
SELECT event_engine.ack_events(pg_temp.receipt('y'), pg_temp.ids('y', 50));
SELECT event_engine.nack_events(pg_temp.receipt('y'), '0', 'once', pg_temp.ids('y', 51));
SELECT event_engine.ack_events(pg_temp.receipt('y'));
SELECT pg_temp.receive('z');
SELECT event_engine.nack_events(pg_temp.receipt('z'), '0', 'twice');
SELECT g.payload, p.outcome, p.attempt, p.error_message, p.finished_at >= p.started_at AS timed
	FROM event_engine.event_processing_log AS p
	JOIN (SELECT DISTINCT id, payload FROM got) AS g ON g.id = p.id
	WHERE p.subscriber = 'client' ORDER BY g.payload, p.attempt;

-- paused: nothing, but what is leased can be settled
SELECT pg_temp.publish(60, 61);
SELECT pg_temp.receive('paused', 1);
SELECT event_engine.pause_subscription('client');
SELECT pg_temp.receive('paused too');
SELECT event_engine.ack_events(pg_temp.receipt('paused'));
SELECT event_engine.resume_subscription('client');
SELECT pg_temp.receive('resumed');
SELECT event_engine.ack_events(pg_temp.receipt('resumed'));

-- what is settled leaves nothing behind, even while somebody holds a snapshot
SELECT pg_temp.publish(80, 81);
SELECT pg_temp.receive('kept', 1);
DO $$
DECLARE
	receipt uuid;
BEGIN
	SELECT r.receipt INTO receipt FROM event_engine.receive_events('client', 1) AS r;
	FOR i IN 1 .. 3000 LOOP
		PERFORM event_engine.extend_events(receipt, '1 h');
	END LOOP;
	PERFORM event_engine.ack_events(receipt);
END
$$;
SELECT pg_relation_size('event_engine.event_leases') > 16 * 8192 AS long;
SELECT event_engine.run_maintenance();
SELECT pg_relation_size('event_engine.event_leases') <= 8192 AS short;
SELECT event_engine.ack_events(pg_temp.receipt('kept'));

-- several receipts at once: all of them, or none
SELECT pg_temp.publish(90, 93);
SELECT pg_temp.receive('many', 2);
SELECT pg_temp.receive('more', 2);
SELECT sum(event_engine.ack_events(r))
	FROM unnest(ARRAY[pg_temp.receipt('many'), pg_temp.receipt('kept')]) AS r;
SELECT sum(event_engine.ack_events(r))
	FROM unnest(ARRAY[pg_temp.receipt('many'), pg_temp.receipt('more')]) AS r;
SELECT * FROM pg_temp.state;

-- is there something?
CALL event_engine.await_events('client', '0');
CALL event_engine.await_events('client', '10 ms');
SELECT pg_temp.publish(100, 100);
CALL event_engine.await_events('client');
SELECT pg_temp.receive('awaited');
CALL event_engine.await_events('client', '0');
-- what is handed back, and what runs out of time while we wait
SELECT event_engine.extend_events(pg_temp.receipt('awaited'), '50 ms') IS NOT NULL;
CALL event_engine.await_events('client', '1 min');
SELECT pg_temp.receive('awaited again');
SELECT event_engine.ack_events(pg_temp.receipt('awaited again'));
-- not while it is paused
SELECT pg_temp.publish(101, 101);
SELECT event_engine.pause_subscription('client');
CALL event_engine.await_events('client', '10 ms');
SELECT event_engine.resume_subscription('client');
-- in a procedure too, if that is not in a transaction itself
DO $$
DECLARE
	available boolean;
BEGIN
	CALL event_engine.await_events('client', '1 min', available);
	RAISE INFO 'available: %', available;
END
$$;
SELECT pg_temp.receive('in a procedure');
SELECT event_engine.ack_events(pg_temp.receipt('in a procedure'));
BEGIN;
CALL event_engine.await_events('client', '0');
ROLLBACK;
CALL event_engine.await_events('nobody');
CALL event_engine.await_events(NULL);
CALL event_engine.await_events('client', '-1 s');
CALL event_engine.await_events('client', '25 h');
CALL event_engine.await_events('client', NULL);
BEGIN READ ONLY;
SELECT * FROM event_engine.receive_events('client');
ROLLBACK;
BEGIN READ ONLY;
SELECT event_engine.extend_events(pg_temp.receipt('s'), '1 s');
ROLLBACK;

-- an event that the filter cannot be applied to, behind a batch that just fits
SELECT event_engine.subscribe('dated', ARRAY['pull.test'],
	filter => '$.payload.at.datetime() < "2026-01-01T00:00:00+00:00".datetime()') IS NOT NULL;
SELECT count(event_engine.publish_event('pull.test', '{"n": 110, "at": "2025-01-01T00:00:00+00:00"}'))
	FROM generate_series(1, 2);
SELECT pg_temp.receive('dated 1', 1, 'dated');
SELECT pg_temp.receive('dated 2', 1, 'dated');
SELECT event_engine.publish_event('pull.test', '{"n": 111, "at": "2025-01-01"}') IS NOT NULL;
SELECT event_engine.publish_event('pull.test', '{"n": 112, "at": "2025-01-01T00:00:00+00:00"}') IS NOT NULL;
SET statement_timeout = '1 min';
SELECT pg_temp.receive('dated 3', 1, 'dated');
RESET statement_timeout;
SELECT payload FROM event_engine.event_dead_letters WHERE subscriber = 'dated';
SELECT event_engine.unsubscribe('dated');

-- what cannot be
SELECT * FROM event_engine.receive_events('nobody');
SELECT * FROM event_engine.receive_events(NULL);
SELECT * FROM event_engine.receive_events('client', 0);
SELECT * FROM event_engine.receive_events('client', NULL);
SELECT * FROM event_engine.receive_events('client', 1, '0');
SELECT * FROM event_engine.receive_events('client', 1, '8 days');
SELECT * FROM event_engine.receive_events('client', 1, NULL);
SELECT event_engine.subscribe('bell', ARRAY['pull.test'], channel => 'bell') IS NOT NULL;
SELECT * FROM event_engine.receive_events('bell');
CALL event_engine.await_events('bell');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM event_engine.receive_events('client');
ROLLBACK;

-- whose it is
CREATE ROLE regress_pull_owner;
CREATE ROLE regress_pull_member;
CREATE ROLE regress_pull_other;
GRANT regress_pull_owner TO regress_pull_member;
CALL event_engine.grant_duty('subscriber', 'regress_pull_owner');
CALL event_engine.grant_duty('subscriber', 'regress_pull_member');
CALL event_engine.grant_duty('subscriber', 'regress_pull_other');
SET ROLE regress_pull_owner;
SELECT event_engine.subscribe('owned', ARRAY['pull.test']) IS NOT NULL;
RESET ROLE;
SELECT pg_temp.publish(70, 73);
GRANT ALL ON got TO PUBLIC;
GRANT EXECUTE ON FUNCTION pg_temp.receive(text, integer, text) TO PUBLIC;
SET ROLE regress_pull_owner;
SELECT pg_temp.receive('owner', 2, 'owned');
SET ROLE regress_pull_other;
SELECT pg_temp.receive('other', 2, 'owned');
SELECT event_engine.ack_events(pg_temp.receipt('owner'));
SELECT event_engine.nack_events(pg_temp.receipt('owner'));
SELECT event_engine.extend_events(pg_temp.receipt('owner'), '1 min');
SELECT * FROM event_engine.receive_events('owned', 1, '1 min');
CALL event_engine.await_events('owned', '0');
SELECT event_engine.ack_events_as(0, pg_temp.receipt('owner'), NULL);
SET ROLE regress_pull_member;
SELECT event_engine.ack_events(pg_temp.receipt('owner'));
SELECT pg_temp.receive('member', 1, 'owned');
RESET ROLE;
SELECT leased_by FROM event_engine.event_leases;
SELECT pg_temp.receive('superuser', 1, 'owned');

-- gone with the subscription
SELECT event_engine.unsubscribe('owned');
SELECT event_engine.ack_events(pg_temp.receipt('member'));
SELECT event_engine.unsubscribe('bell');
SELECT event_engine.unsubscribe('client');
SELECT * FROM pg_temp.state;
SELECT count(*) FROM event_engine.delivery_counts;

DROP OWNED BY regress_pull_owner, regress_pull_member, regress_pull_other;
DROP OWNED BY regress_pull_owner, regress_pull_member, regress_pull_other;
DROP ROLE regress_pull_owner, regress_pull_member, regress_pull_other;
TRUNCATE event_engine.event_dead_letters, event_engine.event_processing_log;
DELETE FROM event_engine.event_definitions;
