-- Business rules: what a schema cannot say.
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT event_engine.register_event_definition('rules.paid',
	'{"type": "object", "properties": {"total": {"type": "number"}, "paid": {"type": "number"}}}');
SELECT event_engine.add_event_rule('rules.paid', 'not-overpaid',
	'$.payload.total >= $.payload.paid', message => 'more was paid than was due');
SELECT event_engine.add_event_rule('rules.paid', 'not-overpaid',
	'$.payload.total >= $.payload.paid', message => 'more was paid than was due') AS again;
SELECT event_engine.add_event_rule('rules.paid', 'keyed', 'exists($.partitionKey)', sort_order => -1);

-- All that is wrong is said at once, the schema's first.
SELECT event_engine.publish_event('rules.paid', '{"total": 1, "paid": 2, "x": 1}');
\echo :LAST_ERROR_SQLSTATE
SELECT event_engine.publish_event('rules.paid', '{"total": "1", "paid": 2}');
SELECT event_engine.publish_event('rules.paid', '{"total": 2, "paid": 2}', partition_key => 'a') IS NOT NULL AS stored;
-- on every way in
INSERT INTO event_engine.events (pattern, payload, partition_key) VALUES ('rules.paid', '{"total": 1, "paid": 2}', 'a');
COPY event_engine.events (pattern, payload) FROM stdin;
rules.paid	{"total": 2, "paid": 1}
\.
SELECT event_engine.publish_events('[{"pattern": "rules.paid", "partitionKey": "a", "payload": {"total": 2, "paid": 1}},
	{"pattern": "rules.paid", "payload": {"total": 2, "paid": 3}}]');
CREATE TABLE payments (total numeric, paid numeric);
SELECT event_engine.capture_changes('payments', 'rules.captured');
SELECT event_engine.add_event_rule('rules.captured.inserted', 'never', '1 == 0') AS added;
INSERT INTO payments VALUES (1, 2);
-- a payload by itself: rules that look at nothing else
SELECT * FROM event_engine.validate_event('rules.paid', '{"total": 1, "paid": 2}');

-- Functions: reference data, as the role that added the rule.
CREATE ROLE regress_rules_owner;
CREATE ROLE regress_rules_publisher;
CREATE SCHEMA rules;
CREATE TABLE rules.currencies (code text PRIMARY KEY);
INSERT INTO rules.currencies VALUES ('EUR');
CREATE FUNCTION rules.known_currency(e event_engine.event) RETURNS text LANGUAGE sql STABLE AS $$
SELECT 'unknown currency ' || (e.payload ->> 'currency')
WHERE NOT EXISTS (SELECT FROM rules.currencies WHERE code = e.payload ->> 'currency') $$;
CREATE FUNCTION rules.who(e event_engine.event) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE 'as %, path %', current_user, current_setting('search_path');
	RETURN e.pattern = 'rules.order' AND e.seq IS NULL;
END $$;
CREATE FUNCTION rules.breaks(e event_engine.event) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN RETURN 1 / (e.payload ->> 'n')::int > 0; END $$;
CREATE FUNCTION rules.wrong(e event_engine.event) RETURNS int LANGUAGE sql RETURN 1;
GRANT USAGE ON SCHEMA rules TO regress_rules_owner;
GRANT SELECT ON rules.currencies TO regress_rules_owner;
SELECT event_engine.register_event_definition('rules.order');
CALL event_engine.grant_duty('operator', 'regress_rules_owner');
CALL event_engine.grant_duty('publisher', 'regress_rules_publisher');
SET ROLE regress_rules_owner;
SELECT event_engine.add_event_rule('rules.order', 'currency', function => 'rules.known_currency(event_engine.event)');
SELECT event_engine.add_event_rule('rules.order', 'who', function => 'rules.who(event_engine.event)', sort_order => 1);
SET ROLE regress_rules_publisher;
SET search_path = pg_temp, public;
SELECT event_engine.publish_event('rules.order', '{"currency": "XXX"}');
SELECT event_engine.publish_event('rules.order', '{"currency": "EUR"}') IS NOT NULL AS stored;
SELECT current_user, current_setting('search_path');
SELECT event_engine.add_event_rule('rules.order', 'mine', '1 == 1');
RESET ROLE;
RESET search_path;
-- an error flies, and says which rule it was and what was wrong before
SELECT event_engine.add_event_rule('rules.order', 'breaks', function => 'rules.breaks(event_engine.event)', sort_order => 9);
\set SHOW_CONTEXT errors
SELECT event_engine.publish_event('rules.order', '{"currency": "XXX", "n": 0}');
\set SHOW_CONTEXT never
\echo :LAST_ERROR_SQLSTATE
SELECT current_user = session_user AS same;
SELECT event_engine.add_event_rule('rules.order', 'breaks', function => 'rules.breaks(event_engine.event)', enabled => false);
SELECT event_engine.publish_event('rules.order', '{"currency": "EUR", "n": 0}') IS NOT NULL AS stored;

-- Only who may act as its owner may change a rule, or take it away.
CREATE ROLE regress_rules_other;
CALL event_engine.grant_duty('operator', 'regress_rules_other');
SET ROLE regress_rules_owner;
SELECT event_engine.add_event_rule('rules.order', 'spare', '1 == 1');
SET ROLE regress_rules_other;
SELECT event_engine.remove_event_rule('rules.order', 'who');
SELECT event_engine.add_event_rule('rules.order', 'who', '1 == 1');
SELECT event_engine.remove_event_rule('rules.order', 'none');
SELECT event_engine.add_event_rule('rules.order', 'own', '1 == 1');
SELECT event_engine.remove_event_rule('rules.order', 'own');
RESET ROLE;
GRANT regress_rules_owner TO regress_rules_other;
SET ROLE regress_rules_other;
SELECT event_engine.remove_event_rule('rules.order', 'spare');
RESET ROLE;
CALL event_engine.revoke_duty('operator', 'regress_rules_other');
DROP OWNED BY regress_rules_other;
DROP ROLE regress_rules_other;

-- Functions that went and came back.
DROP FUNCTION rules.known_currency;
SELECT event_engine.publish_event('rules.order', '{"currency": "EUR"}');
CREATE FUNCTION rules.known_currency(e event_engine.event) RETURNS boolean LANGUAGE sql RETURN false;
SELECT event_engine.publish_event('rules.order', '{"currency": "EUR"}');

SELECT * FROM event_engine.list_event_rules('rules.order');
SELECT event_engine.remove_event_rule('rules.order', 'currency');
SELECT event_engine.remove_event_rule('rules.order', 'currency');
SELECT event_engine.publish_event('rules.order', '{}') IS NOT NULL AS stored;

-- What cannot be a rule.
SELECT event_engine.add_event_rule('nobody', 'x', '1 == 1');
SELECT event_engine.add_event_rule('rules.order', 'a b', '1 == 1');
SELECT event_engine.add_event_rule('rules.order', 'x');
SELECT event_engine.add_event_rule('rules.order', 'x', '$.payload');
SELECT event_engine.add_event_rule('rules.order', 'x', '$.payload.a == $x');
SELECT event_engine.add_event_rule('rules.order', 'x', '$.payload ==');
SELECT event_engine.add_event_rule('rules.order', 'x', function => 'rules.wrong(event_engine.event)');
SELECT event_engine.add_event_rule('rules.order', 'x', function => 'pg_catalog.now()');

-- What is rolled back never was.
BEGIN;
SELECT event_engine.add_event_rule('rules.paid', 'never', '1 == 0');
ROLLBACK;
SELECT event_engine.publish_event('rules.paid', '{"total": 2, "paid": 2}', partition_key => 'a') IS NOT NULL AS stored;

SELECT event_engine.stop_capturing('payments');
DROP TABLE payments;
DELETE FROM event_engine.event_rules;
DROP SCHEMA rules CASCADE;
CALL event_engine.revoke_duty('operator', 'regress_rules_owner');
CALL event_engine.revoke_duty('publisher', 'regress_rules_publisher');
DROP OWNED BY regress_rules_owner, regress_rules_publisher;
DROP ROLE regress_rules_owner, regress_rules_publisher;
