-- Who may subscribe to what: asked where patterns are matched.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_ellen LOGIN;
CREATE ROLE regress_frank LOGIN;
SELECT event_engine.register_event_definition(p) FROM unnest('{invoice.created,invoice.paid,order.created}'::text[]) AS p;
CREATE SCHEMA granted AUTHORIZATION regress_ellen;

-- By name it is refused at once, a wildcard stands for what is granted.
CALL event_engine.grant_subscribe('invoice.*', 'regress_ellen');
SET ROLE regress_ellen;
CREATE TABLE granted.got (subscriber text, pattern text, n integer, tenant text);
CREATE FUNCTION granted.take(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO granted.got VALUES ('handler', e.pattern, (e.payload ->> 'n')::integer, e.metadata #>> '{tags,tenant}') $$;
CREATE FUNCTION granted.fails(e event_engine.event) RETURNS void LANGUAGE plpgsql AS
	$$ BEGIN RAISE EXCEPTION 'got % %', e.pattern, e.payload; END $$;
SELECT event_engine.subscribe('named', '{order.created}');
SELECT event_engine.subscribe('named', match => '[{"type": "exact", "value": "invoice.paid"}, {"type": "exact", "value": "order.created"}]');
SELECT event_engine.subscribe('named', '{invoice.paid}') IS NOT NULL AS subscribed;
SELECT event_engine.update_subscription('named', '{order.created}');
SELECT event_engine.subscribe('handler', '{#}', 'granted.take', options => '{"concurrency": 2}') IS NOT NULL AS subscribed;
SELECT event_engine.subscribe('pulled', match => '{"type": "regex", "value": "created|paid"}') IS NOT NULL AS subscribed;
SELECT event_engine.subscribe('failing', '{#}', 'granted.fails', options => '{"max_attempts": 2, "backoff_ms": 3600000, "jitter": 0, "breaker_threshold": 0}') IS NOT NULL AS subscribed;
RESET ROLE;
SELECT event_engine.publish_event('invoice.created', '{"n": 1}', '{"tags": {"tenant": "acme"}}') IS NOT NULL AS a,
	event_engine.publish_event('order.created', '{"n": 2}', '{"tags": {"tenant": "acme"}}') IS NOT NULL AS b,
	event_engine.publish_event('invoice.paid', '{"n": 3}') IS NOT NULL AS c;
SELECT subscriber, matches, reason FROM event_engine.match_event('order.created', '{}') ORDER BY 1;
SELECT event_engine.process_batch(subscriber => 'handler');
SELECT * FROM granted.got ORDER BY n;
SELECT pattern, payload FROM event_engine.receive_events('pulled', 10, '1 us');

-- What one has already is not given again without the right.
SELECT count(*) FROM event_engine.receive_events('named', 10, '1 us');
SELECT event_engine.process_batch(subscriber => 'failing');
SELECT d.status, (d.event).pattern, d.attempts, d.last_error FROM event_engine.deliveries AS d ORDER BY seq;
CALL event_engine.revoke_subscribe('invoice.*', 'regress_ellen');
CALL event_engine.grant_subscribe('invoice.created', 'regress_ellen', tenant => 'acme');
SELECT count(*) FROM event_engine.receive_events('named', 10, '1 hour');
SELECT pattern, payload FROM event_engine.receive_events('pulled', 10, '1 hour');
SELECT event_engine.make_due('failing');
SELECT event_engine.process_batch(subscriber => 'failing');
SELECT subscriber, event_type, payload, error_message FROM event_engine.event_dead_letters ORDER BY subscriber, seq;

-- From now on of one tenant alone.
SELECT event_engine.publish_event('invoice.created', '{"n": 4}', '{"tags": {"tenant": "acme"}}') IS NOT NULL AS a,
	event_engine.publish_event('invoice.created', '{"n": 5}', '{"tags": {"tenant": "globex"}}') IS NOT NULL AS b,
	event_engine.publish_event('invoice.created', '{"n": 6}') IS NOT NULL AS c,
	event_engine.publish_event('invoice.created', '{"n": 7}', '{"tags": {"tenant": 1}}') IS NOT NULL AS d,
	event_engine.publish_event('invoice.paid', '{"n": 8}', '{"tags": {"tenant": "acme"}}') IS NOT NULL AS e;
SELECT event_engine.process_batch(subscriber => 'handler');
SELECT * FROM granted.got WHERE n > 3 ORDER BY n;
SELECT payload FROM event_engine.receive_events('pulled', 10, '1 hour');
SELECT subscriber, matches, reason FROM event_engine.match_event('invoice.created', '{}', '{"tags": {"tenant": "globex"}}') WHERE subscriber <> 'named' ORDER BY 1;

-- Neither do replay, process_event and an earlier place in the log lead to it.
SET ROLE regress_ellen;
TRUNCATE granted.got;
SELECT event_engine.seek_subscription('handler', '2000-01-01');
SELECT event_engine.process_batch(subscriber => 'handler') > 0 AS delivered;
SELECT DISTINCT pattern, n, tenant FROM granted.got ORDER BY n;
TRUNCATE granted.got;
SELECT event_engine.replay_events('handler') IS NOT NULL AS replays;
SELECT event_engine.process_batch(subscriber => 'handler') > 0 AS delivered;
SELECT DISTINCT pattern, n, tenant FROM granted.got ORDER BY n;
TRUNCATE granted.got;
RESET ROLE;
SELECT id AS secret FROM event_engine.events WHERE payload = '{"n": 5}' ORDER BY seq DESC LIMIT 1 \gset
SELECT id AS own FROM event_engine.events WHERE payload = '{"n": 4}' ORDER BY seq DESC LIMIT 1 \gset
SET ROLE regress_ellen;
SELECT subscription, outcome FROM event_engine.process_event(:'secret');
SELECT subscription, outcome FROM event_engine.process_event(:'own', 'handler');
TABLE granted.got;
RESET ROLE;

-- Who belongs to whom counts as well, and takes effect at once.
CREATE ROLE regress_readers;
CALL event_engine.grant_subscribe('order.*', 'regress_readers');
GRANT regress_readers TO regress_ellen;
SELECT event_engine.publish_event('order.created', '{"n": 10}') IS NOT NULL AS published;
SELECT event_engine.process_batch(subscriber => 'handler');
REVOKE regress_readers FROM regress_ellen;
SELECT event_engine.publish_event('order.created', '{"n": 11}') IS NOT NULL AS published;
SELECT event_engine.process_batch(subscriber => 'handler');
BEGIN;
GRANT regress_readers TO regress_ellen;
SELECT event_engine.publish_event('order.created', '{"n": 12}') IS NOT NULL AS published;
ROLLBACK;
SELECT event_engine.publish_event('order.created', '{"n": 13}') IS NOT NULL AS published;
SELECT event_engine.process_batch(subscriber => 'handler');
SELECT pattern, n FROM granted.got WHERE n > 8 ORDER BY n;

-- A responder, and immediate delivery, give no more.
CALL event_engine.grant_subscribe('invoice.paid', 'regress_ellen');
SELECT event_engine.register_event_definition('invoice.paid.reply');
SET ROLE regress_ellen;
CREATE FUNCTION granted.answer(jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT $1 -> 'payload' $$;
SELECT event_engine.register_query_responder('invoice.paid', 'granted.answer(jsonb)');
RESET ROLE;
SELECT event_engine.query_responder('invoice.paid', '{"q": 1}');
CALL event_engine.revoke_subscribe('invoice.paid', 'regress_ellen');
SELECT event_engine.query_responder('invoice.paid', '{"q": 2}');

-- Replies: who was asked, and who may publish them anyway.
CALL event_engine.grant_publish('order.created', 'regress_frank');
SELECT id AS request FROM event_engine.events WHERE payload = '{"q": 1}' AND pattern = 'invoice.paid' \gset
SET ROLE regress_frank;
SELECT event_engine.reply_event(:'request', '{}');
RESET ROLE;

-- What a role had not been given when it was dropped is neither handed out nor
-- passed over: it waits for whoever inherits the subscription.
CREATE ROLE regress_leaver;
CREATE ROLE regress_heir;
CALL event_engine.grant_subscribe('order.*', 'regress_leaver');
CALL event_engine.grant_subscribe('#', 'regress_heir');
SET ROLE regress_leaver;
SELECT event_engine.subscribe('left', '{#}') IS NOT NULL AS subscribed;
RESET ROLE;
SELECT count(event_engine.publish_event(p, '{"left": 1}')) FROM unnest('{order.created,invoice.paid}'::text[]) AS p;
SELECT pattern, payload FROM event_engine.receive_events('left');
SELECT count(event_engine.publish_event('order.created', jsonb_build_object('left', i))) FROM generate_series(2, 3) AS i;
SELECT owner::oid AS leaver FROM event_engine.subscriptions WHERE subscriber = 'left' \gset
DROP OWNED BY regress_leaver;
DROP ROLE regress_leaver;
DO $$ BEGIN
	PERFORM event_engine.receive_events('left');
EXCEPTION WHEN undefined_object THEN
	RAISE WARNING '%', regexp_replace(SQLERRM, '\d+', 'N');
END $$;
SELECT status, lag > 0 AS behind FROM event_engine.stat_subscriptions WHERE subscriber = 'left';
CALL event_engine.reassign_owned(:'leaver', 'regress_heir');
SELECT pattern, payload FROM event_engine.receive_events('left');

\set VERBOSITY terse
SET client_min_messages = error;
DROP SCHEMA granted CASCADE;
SELECT event_engine.unsubscribe(subscriber) FROM event_engine.subscription_list;
DROP OWNED BY regress_ellen, regress_frank, regress_readers, regress_heir;
DROP ROLE regress_ellen, regress_frank, regress_readers, regress_heir;
DROP EXTENSION event_engine;
CREATE EXTENSION event_engine;
