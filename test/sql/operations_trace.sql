-- A trace shows events, what became of them, and the workflows that they
-- moved; however many there are, and whatever they claim to be caused by.
SET client_min_messages = warning;
SELECT count(event_engine.register_event_definition(p))
FROM unnest('{order.placed,order.paid,mail.sent}'::text[]) AS p;
CREATE FUNCTION trace_broken(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'mail server is down'; END $$;
CREATE FUNCTION trace_pay(e event_engine.event) RETURNS void LANGUAGE sql AS $$
	SELECT event_engine.publish_event('order.paid', '{}') $$;
SELECT count(event_engine.subscribe(s, p, handler => h, filter => f, options => '{"max_attempts": 2, "backoff_ms": 0, "start": "now"}'))
FROM (VALUES ('trace-billing', '{order.placed}'::text[], 'trace_pay', NULL), ('trace-mailer', '{order.#}', 'trace_broken', NULL),
	('trace-puller', '{order.placed}', NULL, NULL), ('trace-other', '{order.placed}', NULL, '$.payload.total > 100'),
	('trace-raising', '{order.placed}', NULL, '$.payload.at.datetime() < "2026-01-01T00:00:00+00:00".datetime()')) AS v (s, p, h, f);
SELECT event_engine.publish_event('order.placed', '{"total": 7, "at": "2025-01-01"}', '{"correlationId": "traced"}') AS placed \gset
SELECT tree, state, detail FROM event_engine.trace_events('traced');
CALL event_engine.run_pending();
SELECT tree, state, detail, kind, depth, name FROM event_engine.trace_events('traced');
SELECT count(*) FROM event_engine.receive_events('trace-puller');
SELECT event_engine.discard_dead_letters(subscriber => 'trace-mailer');
SELECT tree, state, detail FROM event_engine.trace_events('traced') WHERE kind = 'delivery';
SELECT tree, caused_by = :'placed' AS caused FROM event_engine.trace_events('traced', deliveries => false);

-- workflows, their steps, and what these have published
BEGIN;
INSERT INTO event_engine.workflow_instances (id, number, definition_id, workflow, version, status, correlation_key,
	input, state, step, metadata, last_error)
SELECT w.id, 0, gen_random_uuid(), w.name, '1.0.0', w.status, 'order-17', '{"total": 7}', '{}', 'next',
	jsonb_build_object('correlationId', 'traced', 'causationId', :'placed'), w.error
FROM (VALUES ('00000000-0000-7000-8000-000000000001'::uuid, 'order-payment', 'waiting', NULL),
	('00000000-0000-7000-8000-000000000002', 'shipping', 'failed', 'no truck')) AS w (id, name, status, error);
UPDATE event_engine.workflow_instances SET parent_id = '00000000-0000-7000-8000-000000000001' WHERE workflow = 'shipping';
INSERT INTO event_engine.workflow_steps (instance_id, step_number, attempt, step, resumed_by, event_id, result, error_message, started_at, finished_at)
SELECT '00000000-0000-7000-8000-000000000001', s.n, s.attempt, s.step, s.resumed_by, s.event, s.result, s.error, now() - (4 - s.n) * interval '1 h', now() - (4 - s.n) * interval '1 h'
FROM (VALUES (1, 1, 'start', 'start', NULL, 'wait', NULL), (2, 1, 'paid', 'event', :'placed'::uuid, 'retry', 'bank is closed'),
	(2, 2, 'paid', 'event', :'placed', 'wait', NULL)) AS s (n, attempt, step, resumed_by, event, result, error);
SET LOCAL session_replication_role = replica;
SELECT event_engine.publish_event('mail.sent', '{}', '{"correlationId": "traced"}',
	source => '{"type": "workflow", "id": "00000000-0000-7000-8000-000000000001"}') AS mail \gset
UPDATE event_engine.workflow_steps SET started_at = e.created_at, finished_at = e.created_at
FROM event_engine.get_event(:'mail') AS e WHERE step = 'paid' AND attempt = 2;
SELECT tree, state, detail FROM event_engine.trace_events('traced', deliveries => false);
SELECT caused_by FROM event_engine.trace_events('traced', deliveries => false) WHERE id = :'mail';
ROLLBACK;

-- rings, and what hangs on them: all is shown, once
SELECT count(event_engine.publish_event('mail.sent', to_jsonb(i), jsonb_build_object('correlationId', 'ring', 'causationId',
	CASE WHEN i > 4 THEN 'ring-2' ELSE 'ring-' || i % 4 + 1 END), event_id => 'ring-' || i))
FROM generate_series(1, 6) AS i;
SELECT count(event_engine.publish_event('mail.sent', '"self"', '{"correlationId": "ring", "causationId": "self"}', event_id => 'self'));
SELECT repeat('  ', depth) || payload AS tree FROM event_engine.trace_events('ring', deliveries => false);

-- a chain of thousands
DO $$
DECLARE
	cause text := 'none';
BEGIN
	FOR i IN 1 .. 3000 LOOP
		cause := event_engine.publish_event('mail.sent', '{}', jsonb_build_object('correlationId', 'chain', 'causationId', cause));
	END LOOP;
END $$;
SELECT count(*), max(depth), max(length(tree)) FROM event_engine.trace_events('chain');
SELECT count(*) FROM event_engine.trace_events('chain', 10);
SELECT event_engine.trace_events('chain', 0);
SELECT count(*) FROM event_engine.trace_events('nothing');

-- A statement that began before an event failed, and sees the cursor behind it.
CREATE FUNCTION trace_failing(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
SELECT event_engine.subscribe('trace-failing', '{mail.sent}', 'trace_failing', options => '{"backoff_ms": 3600000}') IS NOT NULL AS ok;
SELECT event_engine.publish_event('mail.sent', '"failing"') AS failing \gset
SELECT event_engine.had_passed_event(s.number, e) AS before,
	event_engine.process_batch(10, 'trace-failing') AS delivered,
	event_engine.had_passed_event(s.number, e) AS had_passed,
	event_engine.passed_event(s.number, e) AS passed,
	(event_engine.delivery_state(s, e)).state
FROM event_engine.subscriptions AS s, event_engine.get_event(:'failing') AS e
WHERE s.subscriber = 'trace-failing';

SELECT count(event_engine.unsubscribe(s)) FROM unnest('{trace-billing,trace-mailer,trace-puller,trace-other,trace-raising,trace-failing}'::text[]) AS s;
DROP FUNCTION trace_broken, trace_pay, trace_failing;
DELETE FROM event_engine.event_keys;
DELETE FROM event_engine.event_dead_letters;
DELETE FROM event_engine.event_definitions WHERE pattern IN ('order.placed', 'order.paid', 'mail.sent');
