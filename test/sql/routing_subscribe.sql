-- Who wants which events: definitions, what they are checked for, and by
-- whom they are changed.
\set SHOW_CONTEXT never
SELECT event_engine.register_event_definition('invoice.created');
SELECT event_engine.register_event_definition('invoice.paid');
CREATE SCHEMA billing;
CREATE FUNCTION billing.one(e event_engine.event) RETURNS void LANGUAGE sql AS 'SELECT';
CREATE FUNCTION billing.many(e event_engine.event[]) RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION billing.envelope(e jsonb) RETURNS void LANGUAGE sql AS 'SELECT';
CREATE FUNCTION billing.both(e jsonb) RETURNS void LANGUAGE sql AS 'SELECT';
CREATE FUNCTION billing.both(e event_engine.event) RETURNS void LANGUAGE sql AS 'SELECT';
CREATE FUNCTION billing.both(e text) RETURNS void LANGUAGE sql AS 'SELECT';

-- Every way to say it.
SELECT event_engine.subscribe('by name', '{invoice.created}', 'billing.one') IS NOT NULL AS ok;
SELECT event_engine.subscribe('by signature', '{invoice.created}', 'billing.both(jsonb)') IS NOT NULL AS ok;
SELECT event_engine.subscribe('by regprocedure', '{invoice.*}',
	'billing.many(event_engine.event[])'::regprocedure) IS NOT NULL AS ok;
SET search_path = billing, public;
SELECT event_engine.subscribe('by search path', ARRAY['invoice.#', 'invoice.paid'],
	handler => 'envelope') IS NOT NULL AS ok;
RESET search_path;
SELECT event_engine.subscribe('puller', '{#}') IS NOT NULL AS ok;
SELECT event_engine.subscribe('bell', '{invoice.paid}', channel => 'paid') IS NOT NULL AS ok;
SELECT event_engine.subscribe('path', '{#}', filter => '$.payload.amount > 1000') IS NOT NULL AS ok;
SELECT event_engine.subscribe('list as text', '{#}',
	filter => ' [{"field": "$.payload.amount", "operator": "gt", "value": 1000}]') IS NOT NULL AS ok;
SELECT event_engine.subscribe('list', '{#}', filter => '$.payload.x == 1',
	filters => '[{"field": "$.payload.amount", "operator": "gt", "value": 1000}]') IS NOT NULL AS ok;
SELECT event_engine.subscribe('object', match =>
	'{"type": "prefix", "value": "invoice.", "filters": [{"field": "payload.x", "operator": "exists"}]}') IS NOT NULL AS ok;
SELECT event_engine.subscribe('objects', '{order.*}', match =>
	'[{"type": "exact", "value": "invoice.paid"}, {"type": "regex", "value": "^ship"}]') IS NOT NULL AS ok;
SELECT event_engine.subscribe('camel', '{#}', options => '{"deliveryGuarantee": "exactly-once",
	"batchSize": 20, "retryPolicy": {"maxAttempts": 3, "backoffMs": 250,
	"exponentialBackoff": false, "jitter": false}, "timeout": 1500,
	"filter": "$.payload.x == 1", "idempotencyKey": "$.payload.k", "start": "beginning"}') IS NOT NULL AS ok;
SELECT subscriber, kind, match, filter_path, filters, handler, channel, status
	FROM event_engine.subscription_list ORDER BY number;
SELECT subscriber, jsonb_pretty(options) FROM event_engine.subscription_list
	WHERE subscriber IN ('by name', 'camel') ORDER BY number;
SELECT count(*), count(DISTINCT owner), min(owner::text) = current_user AS mine
	FROM event_engine.subscription_list;

-- The same again is the same; anything else under the name is refused.
SELECT event_engine.subscribe('by name', '{invoice.created}', 'billing.one(event_engine.event)')
	= id AS same FROM event_engine.subscriptions WHERE subscriber = 'by name';
SELECT event_engine.subscribe('by name', '{invoice.paid}', 'billing.one');
SELECT event_engine.subscribe('by name', '{invoice.created}', 'billing.one', options => '{"batch_size": 7}');
SELECT count(*) FROM event_engine.subscriptions;

-- What is refused.
SELECT event_engine.subscribe('bad', '{invoice.gone}');
SELECT event_engine.subscribe('bad');
SELECT event_engine.subscribe('bad', '{invoice.created, NULL}');
SELECT event_engine.subscribe('bad', '{invoice.cre*}');
SELECT event_engine.subscribe('', '{#}');
SELECT event_engine.subscribe(NULL, '{#}');
SELECT event_engine.subscribe(repeat('x', 256), '{#}');
SELECT event_engine.subscribe('bad', '{#}', filter => '$.payload.amount');
SELECT event_engine.subscribe('bad', '{#}', filter => '[{"field": "payload.x"}]');
SELECT event_engine.subscribe('bad', '{#}', filter => '[]', filters => '[]');
SELECT event_engine.subscribe('bad', '{#}', filter => 'true', options => '{"filter": "$.payload.x == 1"}');
SELECT event_engine.subscribe('bad', '{#}', kind => 'push');
SELECT event_engine.subscribe('bad', '{#}', kind => 'handler');
SELECT event_engine.subscribe('bad', '{#}', 'billing.one', kind => 'pull');
SELECT event_engine.subscribe('bad', '{#}', 'billing.one', channel => 'c');
SELECT event_engine.subscribe('bad', '{#}', channel => repeat('c', 64));
SELECT event_engine.subscribe('bad', '{#}', channel => 'c', options => '{"delivery_guarantee": "exactly_once"}');
SELECT event_engine.subscribe('bad', '{#}', options => '[]');
SELECT event_engine.subscribe('bad', '{#}', options => '{"batchsize": 3}');
SELECT event_engine.subscribe('bad', '{#}', options => '{"batch_size": 0}');
SELECT event_engine.subscribe('bad', '{#}', options => '{"batchSize": "many"}');
SELECT event_engine.subscribe('bad', '{#}', options => '{"max_attempts": 1.5}');
SELECT event_engine.subscribe('bad', '{#}', options => '{"jitter": 2}');
SELECT event_engine.subscribe('bad', '{#}', options => '{"retryPolicy": {"attempts": 2}}');
SELECT event_engine.subscribe('bad', '{#}', options => '{"start": "yesterdayish"}');
SELECT event_engine.subscribe('bad', '{#}', options => '{"deliveryGuarantee": "maybe"}');

-- Not even by hand: nobody could be matched any more.
INSERT INTO event_engine.subscriptions (subscriber, owner, kind, match, options)
	VALUES ('bad', current_user::regrole, 'pull', '[{"type": "wildcard", "value": "*x"}]', '{}');

-- Handlers.
CREATE FUNCTION billing.two(e jsonb, n integer) RETURNS void LANGUAGE sql AS 'SELECT';
CREATE FUNCTION billing.text(e text) RETURNS void LANGUAGE sql AS 'SELECT';
CREATE FUNCTION billing.rows(e jsonb) RETURNS SETOF integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION pg_temp.mine(e jsonb) RETURNS void LANGUAGE sql AS 'SELECT';
CREATE PROCEDURE billing.proc(e jsonb) LANGUAGE sql AS 'SELECT';
CREATE AGGREGATE billing.agg(jsonb) (sfunc = jsonb_concat, stype = jsonb);
SELECT event_engine.subscribe('bad', '{#}', 'billing.none');
SELECT event_engine.subscribe('bad', '{#}', 'billing.both');
SELECT event_engine.subscribe('bad', '{#}', 'billing.two');
SELECT event_engine.subscribe('bad', '{#}', 'billing.two(jsonb, integer)');
SELECT event_engine.subscribe('bad', '{#}', 'billing.text(text)');
SELECT event_engine.subscribe('bad', '{#}', 'billing.rows');
\set VERBOSITY sqlstate
SELECT event_engine.subscribe('bad', '{#}', 'pg_temp.mine');
\set VERBOSITY default
SELECT event_engine.subscribe('bad', '{#}', 'billing.proc');
SELECT event_engine.subscribe('bad', '{#}', 'billing.agg(jsonb)');
\echo :LAST_ERROR_SQLSTATE

-- Change what is matched and how; null keeps, patterns and match go together.
SELECT event_engine.update_subscription('path', '{invoice.*}');
SELECT event_engine.update_subscription('list', filter => '');
SELECT event_engine.update_subscription('bell', channel => 'paid2', options => '{"batch_size": 5}');
SELECT event_engine.update_subscription('by name', handler => 'billing.envelope');
SELECT subscriber, patterns, match, filter_path, filters, handler, channel, options -> 'batch_size' AS batch_size
	FROM event_engine.subscriptions WHERE subscriber IN ('path', 'list', 'bell', 'by name') ORDER BY number;
SELECT event_engine.update_subscription('path', '{invoice.gone}');
SELECT event_engine.update_subscription('path', channel => 'c');
SELECT event_engine.update_subscription('path', options => '{"start": "now"}');
SELECT event_engine.update_subscription('nobody', '{#}');

-- Pause and resume.
SELECT event_engine.pause_subscription('bell', 'too loud');
SELECT event_engine.pause_subscription('puller');
SELECT subscriber, status, status_reason FROM event_engine.subscription_list
	WHERE status <> 'active' ORDER BY number;
SELECT event_engine.resume_subscription('bell');
SELECT event_engine.resume_subscription('puller');
DROP FUNCTION billing.envelope(jsonb);
SELECT event_engine.pause_subscription('by name');
SELECT event_engine.resume_subscription('by name');
SELECT subscriber, status, status_reason FROM event_engine.subscription_list
	WHERE status <> 'active' ORDER BY number;
SELECT event_engine.pause_subscription('nobody');

-- Only the owner, members of that role, and superusers change it.
CREATE ROLE regress_ee_alice LOGIN;
CREATE ROLE regress_ee_bob LOGIN;
CREATE ROLE regress_ee_team NOLOGIN;
GRANT regress_ee_team TO regress_ee_alice;
GRANT USAGE ON SCHEMA event_engine TO regress_ee_alice, regress_ee_bob, regress_ee_team;
GRANT USAGE ON SCHEMA billing TO regress_ee_alice, regress_ee_bob, regress_ee_team;
GRANT EXECUTE ON FUNCTION
	event_engine.find_handler(text),
	event_engine.subscribe(text, text[], text, text, jsonb, jsonb, text, text, jsonb),
	event_engine.subscribe(text, text[], regprocedure, text, jsonb, jsonb, text, text, jsonb),
	event_engine.update_subscription(text, text[], text, text, jsonb, jsonb, text, jsonb),
	event_engine.update_subscription(text, text[], regprocedure, text, jsonb, jsonb, text, jsonb),
	event_engine.pause_subscription(text, text),
	event_engine.resume_subscription(text),
	event_engine.unsubscribe(text)
TO regress_ee_alice, regress_ee_bob, regress_ee_team;
REVOKE EXECUTE ON FUNCTION billing.one(event_engine.event) FROM PUBLIC;
SET ROLE regress_ee_alice;
SELECT event_engine.subscribe('alices', '{#}') IS NOT NULL AS ok;
SELECT event_engine.subscribe('bad', '{#}', 'billing.one');
\set VERBOSITY terse
SELECT event_engine.pause_subscription('puller');
SELECT event_engine.unsubscribe('puller');
SELECT event_engine.unsubscribe_as(10, 'puller');
SELECT event_engine.subscribe_as(10, 'mine', '{#}', NULL, NULL, NULL, NULL, NULL, NULL, NULL);
\set VERBOSITY default
SET ROLE regress_ee_team;
SELECT event_engine.subscribe('teams', '{#}') IS NOT NULL AS ok;
-- No worker can act for it before PostgreSQL 17, so it may only pull.
DO $$
BEGIN
	PERFORM event_engine.subscribe('bell of the team', '{#}', channel => 'c');
	RAISE INFO 'as it should be: %', current_setting('server_version_num')::integer >= 170000;
	PERFORM event_engine.unsubscribe('bell of the team');
EXCEPTION WHEN SQLSTATE 'VE304' THEN
	RAISE INFO 'as it should be: %', current_setting('server_version_num')::integer < 170000;
END
$$;
SET ROLE regress_ee_bob;
SELECT event_engine.pause_subscription('alices');
SELECT event_engine.update_subscription('teams', '{invoice.*}');
SELECT event_engine.unsubscribe('teams');
SET ROLE regress_ee_alice;
SELECT event_engine.pause_subscription('teams');
SELECT event_engine.unsubscribe('teams');
RESET ROLE;
SELECT subscriber, owner FROM event_engine.subscription_list
	WHERE owner::text <> current_user ORDER BY number;

-- A definer function subscribes in its owner's name.
CREATE FUNCTION billing.by_definer() RETURNS uuid LANGUAGE sql
	SECURITY DEFINER AS $$ SELECT event_engine.subscribe('definers', '{#}') $$;
ALTER FUNCTION billing.by_definer() OWNER TO regress_ee_bob;
GRANT EXECUTE ON FUNCTION billing.by_definer() TO regress_ee_alice;
SET ROLE regress_ee_alice;
SELECT billing.by_definer() IS NOT NULL AS ok;
RESET ROLE;
SELECT owner FROM event_engine.subscription_list WHERE subscriber = 'definers';

-- Unsubscribe takes everything along but dead letters.
INSERT INTO event_engine.event_leases (receipt, subscription_number, seqs, first_at, last_at, attempts, leased_by, leased_at, expires_at)
	SELECT gen_random_uuid(), number, '{1}', now(), now(), 1, 'me', now(), now() FROM event_engine.subscriptions WHERE subscriber = 'puller';
INSERT INTO event_engine.deliveries (subscription_number, seq, id, status, next_attempt_at, event)
	SELECT number, 1, gen_random_uuid(), 'retry', now(), ROW(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
		NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::event_engine.event
	FROM event_engine.subscriptions WHERE subscriber = 'puller';
INSERT INTO event_engine.event_dead_letters (subscriber, event_id, event_type,
		envelope, seq, error_message, retry_count, original_created_at)
	VALUES ('puller', 'e', 'invoice.paid', '{}', 1, 'no', 5, now());
CREATE TEMP VIEW remaining AS SELECT
	(SELECT count(*) FROM event_engine.subscriptions) AS subscriptions,
	(SELECT count(*) FROM event_engine.subscription_cursors) AS cursors,
	(SELECT count(*) FROM event_engine.subscription_cursor_moves) AS moves,
	(SELECT count(*) FROM event_engine.event_leases) AS leases,
	(SELECT count(*) FROM event_engine.deliveries) AS deliveries,
	(SELECT count(*) FROM event_engine.event_dead_letters) AS dead_letters;
SELECT subscriptions > 0 AS subscriptions, cursors + moves > 0 AS cursors, leases, deliveries, dead_letters
	FROM remaining;
DO $$
DECLARE
	s text;
BEGIN
	FOR s IN SELECT subscriber FROM event_engine.subscriptions ORDER BY number LOOP
		PERFORM event_engine.unsubscribe(s);
	END LOOP;
END
$$;
SELECT * FROM remaining;
SELECT event_engine.unsubscribe('puller');
\echo :LAST_ERROR_SQLSTATE

DELETE FROM event_engine.event_dead_letters;
DELETE FROM event_engine.event_definitions;
SET client_min_messages = warning;
DROP SCHEMA billing CASCADE;
RESET client_min_messages;
DROP OWNED BY regress_ee_alice, regress_ee_bob, regress_ee_team;
DROP ROLE regress_ee_alice, regress_ee_bob, regress_ee_team;
