-- Deliveries given up: kept whole, put back or set aside by who may.
\set VERBOSITY terse
SELECT event_engine.register_event_definition('letter.test'), event_engine.register_event_definition('letter.other');
CREATE TABLE handled (n integer, event_id text, attempts bigint GENERATED ALWAYS AS IDENTITY);
CREATE FUNCTION handle(event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF current_setting('test.refuse', true) = 'on' THEN
		RAISE EXCEPTION 'cannot digest %', $1.payload
			USING DETAIL = 'It is too spicy.', HINT = 'Drink milk.', ERRCODE = 'ZZ001';
	END IF;
	INSERT INTO handled VALUES (($1.payload ->> 'n')::integer, $1.event_id);
END
$$;
SELECT event_engine.subscribe('eater', ARRAY['letter.*'], 'handle', options => '{"max_attempts": 1}') IS NOT NULL;
SELECT event_engine.subscribe('puller', ARRAY['letter.test'], options => '{"max_attempts": 1}') IS NOT NULL;
SELECT count(event_engine.publish_event('letter.test', jsonb_build_object('n', i), '{"tags": {"a": "b"}, "traceId": "4bf92f3577b34da6a3ce929d0e0e4736"}',
	'{"type": "external", "id": "letters"}', 'letter-' || i, '2020-02-02 02:02:02.020202+00', partition_key => 'k',
	aggregate_type => 'order', aggregate_version => i, priority => 'high')) FROM generate_series(1, 4) AS i;
SELECT event_engine.publish_event('letter.other', '{"n": 5}') IS NOT NULL;

-- given up at the first attempt
SET test.refuse = on;
SELECT event_engine.process_batch();
SELECT subscriber, event_id = COALESCE(envelope ->> 'eventId', envelope ->> 'id') AS by_id, event_type, payload,
	error_message, error_details - 'context' - 'durationMs' AS details,
	(error_details ->> 'durationMs')::integer >= 0 AS timed, retry_count, status
	FROM event_engine.event_dead_letters ORDER BY seq;
SELECT count(*) FROM handled;
SELECT event_engine.process_batch();

-- something must be named
SELECT event_engine.redrive_dead_letters();
SELECT event_engine.discard_dead_letters(max_letters => 1);
SELECT event_engine.redrive_dead_letters(subscriber => 'nobody');
SELECT event_engine.redrive_dead_letters(event_type => 'letter.test', max_letters => -1);
SELECT event_engine.redrive_dead_letters(event_type => 'nothing');
SELECT event_engine.redrive_dead_letters(subscriber => 'puller');
SELECT event_engine.redrive_dead_letters(subscriber => 'eater', max_letters => 0);

-- put back: from the first attempt on, and the same letter not twice
RESET test.refuse;
SELECT event_engine.redrive_dead_letters(subscriber => 'eater', max_letters => 2);
SELECT status, attempts, last_error, next_attempt_at <= clock_timestamp() AS due,
	(event).event_id, (event).xid IS NOT NULL AS from_log FROM event_engine.deliveries ORDER BY seq;
SELECT event_engine.process_batch();
SELECT n, event_id FROM handled ORDER BY n;
SELECT payload, status, status_changed_at >= created_at AS changed FROM event_engine.event_dead_letters ORDER BY seq;
SELECT event_engine.redrive_dead_letters(ids => array_agg(id)) FROM event_engine.event_dead_letters
	WHERE status = 'redriven';

-- what fails again becomes another letter
SET test.refuse = on;
SELECT event_engine.redrive_dead_letters(subscriber => 'eater', event_type => 'letter.other');
SELECT event_engine.process_batch();
RESET test.refuse;
SELECT l.payload, l.status, l.retry_count, p.status AS previous FROM event_engine.event_dead_letters AS l
	LEFT JOIN event_engine.event_dead_letters AS p ON p.id = l.previous_id
	WHERE l.event_type = 'letter.other' ORDER BY l.created_at;

-- set aside
SELECT event_engine.discard_dead_letters(event_type => 'letter.other');
SELECT event_engine.redrive_dead_letters(event_type => 'letter.other');
SELECT payload, status FROM event_engine.event_dead_letters WHERE event_type = 'letter.other' ORDER BY created_at;

-- the event rebuilt from its letter is the event
CREATE FUNCTION forgotten(letter event_engine.event_dead_letters) RETURNS event_engine.event LANGUAGE plpgsql AS $$
BEGIN
	letter.original_created_at := '2000-01-01';
	RETURN event_engine.dead_letter_event(letter);
END
$$;
SELECT payload, e.key, e.value, f.value
	FROM event_engine.event_dead_letters AS l, to_jsonb(event_engine.dead_letter_event(l)) AS e_all,
		jsonb_each(e_all) AS e LEFT JOIN LATERAL (SELECT to_jsonb(forgotten(l)) -> e.key AS value) AS f ON true
	WHERE e.key <> 'xid' AND e.value IS DISTINCT FROM f.value;
SELECT count(*) > 0 AS some, bool_and(event_engine.event_envelope(forgotten(l)) = l.envelope) AS same
	FROM event_engine.event_dead_letters AS l;
DROP FUNCTION forgotten;
-- also when the log has forgotten it
UPDATE event_engine.event_dead_letters SET original_created_at = '2000-01-01' WHERE payload = '{"n": 3}';
SELECT event_engine.redrive_dead_letters(subscriber => 'eater', max_letters => 1);
SELECT (event).xid IS NULL AS from_letter, (event).aggregate_version, (event).priority, (event)."timestamp" = '2020-02-02 02:02:02.020202+00' AS at
	FROM event_engine.deliveries;
SELECT event_engine.process_batch();
SELECT n, event_id FROM handled ORDER BY n;

-- of a pulling client
CREATE TEMP TABLE got AS SELECT * FROM event_engine.receive_events('puller');
SELECT DISTINCT event_engine.nack_events(receipt, error => 'no') FROM (SELECT DISTINCT receipt FROM got) AS g;
SELECT subscriber, payload, error_message, retry_count FROM event_engine.event_dead_letters
	WHERE status = 'dead' ORDER BY subscriber, seq;
SELECT event_engine.redrive_dead_letters(subscriber => 'puller', max_letters => 1);
SELECT attempts, payload FROM event_engine.receive_events('puller');

-- whose they are
CREATE ROLE regress_letter_owner;
CREATE ROLE regress_letter_other;
CALL event_engine.grant_duty('subscriber', 'regress_letter_owner');
CALL event_engine.grant_duty('subscriber', 'regress_letter_other');
UPDATE event_engine.subscriptions SET owner = 'regress_letter_owner' WHERE subscriber = 'puller';
SET ROLE regress_letter_other;
SELECT event_engine.redrive_dead_letters(subscriber => 'puller');
SELECT event_engine.discard_dead_letters(event_type => 'letter.test');
SELECT event_engine.discard_dead_letters_as(0, NULL, 'puller', NULL, NULL, NULL);
SET ROLE regress_letter_owner;
SELECT event_engine.discard_dead_letters(event_type => 'letter.test', max_letters => 1);
SELECT event_engine.redrive_dead_letters(event_type => 'letter.test', max_letters => 1);
SELECT event_engine.redrive_dead_letters(subscriber => 'eater');
RESET ROLE;
SELECT subscriber, status, count(*) FROM event_engine.event_dead_letters GROUP BY 1, 2 ORDER BY 1, 2;

-- those of a subscription that is gone: not to be redriven, and a superuser's
SELECT event_engine.unsubscribe('puller');
SELECT event_engine.redrive_dead_letters(subscriber => 'puller');
SET ROLE regress_letter_owner;
SELECT event_engine.discard_dead_letters(subscriber => 'puller');
SELECT event_engine.discard_dead_letters(event_type => 'letter.test');
RESET ROLE;
SELECT event_engine.discard_dead_letters(subscriber => 'puller');
SELECT count(*) FROM event_engine.deliveries;

-- by a filter over the envelope and the error, and so many a second
SELECT event_engine.update_subscription('eater', options => '{"breaker_threshold": 0}');
SET test.refuse = on;
SELECT count(event_engine.publish_event('letter.test', jsonb_build_object('n', i), partition_key => 'k')) FROM generate_series(10, 19) AS i;
SELECT event_engine.process_batch();
RESET test.refuse;
SELECT event_engine.discard_dead_letters(filter => '$.payload.n == 10 && $.error.sqlstate == "ZZ001"');
SELECT event_engine.redrive_dead_letters(subscriber => 'eater', filter => '$.error.sqlstate == "ZZ002"');
SELECT event_engine.redrive_dead_letters(filter => 'nonsense(');
SELECT event_engine.redrive_dead_letters(subscriber => 'eater', rate => 0);
SELECT event_engine.redrive_dead_letters(filter => '$.payload.n > 11', rate => 3);
SELECT extract(epoch FROM next_attempt_at - min(next_attempt_at) OVER ()) AS after_seconds, count(*)
	FROM event_engine.deliveries GROUP BY next_attempt_at ORDER BY 1;
DELETE FROM event_engine.deliveries;
-- in order, those of a key one behind the other, and behind what waits already
SELECT event_engine.update_subscription('eater', options => '{"ordered": true, "max_attempts": 2, "backoff_ms": 3600000}');
SET test.refuse = on;
SELECT event_engine.publish_event('letter.test', '{"n": 20}', partition_key => 'k') IS NOT NULL;
SELECT event_engine.process_batch();
UPDATE event_engine.event_dead_letters SET status = 'dead' WHERE payload IN ('{"n": 12}', '{"n": 13}');
SELECT event_engine.redrive_dead_letters(subscriber => 'eater', filter => '$.payload.n > 11');
SELECT (event).payload, status FROM event_engine.deliveries ORDER BY seq;
TRUNCATE handled;
RESET test.refuse;
UPDATE event_engine.deliveries SET next_attempt_at = now() WHERE status = 'retry';
SELECT event_engine.process_batch();
SELECT string_agg(n::text, ' ' ORDER BY n) AS n FROM handled;

SELECT event_engine.unsubscribe('eater');
DROP FUNCTION handle;
DROP TABLE handled;
REVOKE USAGE ON SCHEMA event_engine FROM regress_letter_owner, regress_letter_other;
DROP OWNED BY regress_letter_owner, regress_letter_other;
DROP ROLE regress_letter_owner, regress_letter_other;
TRUNCATE event_engine.event_dead_letters;
DELETE FROM event_engine.event_definitions;
