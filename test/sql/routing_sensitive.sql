-- Conditions that look at sensitive values, which are stored encrypted, are
-- refused, or warned of where it is so in some of the events only.
\set SHOW_CONTEXT never
SELECT event_engine.register_event_definition('blind.moved', '{"type": "object", "properties": {
	"customer": {"type": "integer"}, "email": {"type": "string", "x-sensitive": true},
	"amounts": {"type": "array", "items": {"type": "number", "x-sensitive": true}},
	"addresses": {"type": "array", "items": {"type": "object", "properties": {
		"street": {"x-sensitive": true}, "city": {"type": "string"}}}}}}',
	options => '{"sensitive": ["$.payload.bank", "$.payload.cards[0]"], "sensitive_subject": "$.payload.customer"}');
SELECT event_engine.register_event_definition('blind.plain');

-- What counts as looking at it.
SELECT t.path, event_engine.sensitive_terms('blind.moved', t.path, NULL) AS terms
FROM (VALUES ('$.payload.email == "a"'), ('$.payload.email != "a"'), ('!($.payload.email == "a")'),
	('"a" == $.payload.email'), ('$.payload.email starts with "a"'), ('$.payload.email like_regex "a"'),
	('$.payload.city == "a" || $.payload.email == "a"'), ('($.payload.email == "a") is unknown'),
	('strict $.payload.email == "a"'), ('exists($.payload ? (@.email == "a"))'),
	('exists($.payload.addresses[*] ? (@.street == "a" && @.city == "b"))'), ('$.payload.addresses.street == "a"'),
	('$.payload.addresses[0].street == "a"'), ('$.payload.amounts[*] > 10'), ('$.payload.amounts + 1 > 10'), ('-$.payload.amounts[1] < 10'),
	('$.payload.bank.iban == "a"'), ('$.payload.bank.*.x == 1'), ('$.payload.email.size() == 1'), ('$.payload.email == $.payload.customer'),
	('$.payload.email == $workflow.input.email'), ('$.payload.cards[0] == 1'),
	-- and what does not
	('exists($.payload.email)'), ('$.payload.addresses[*].city == "a"'), ('$.payload.customer == 1'),
	('$.metadata.email == "a"'), ('$.payload.emails == "a"'), ('$.payload == "a"'), ('$.payload.* == "a"'),
	('$.payload.** == "a"'), ('exists($.payload.addresses[*] ? (exists(@.street)))'), ('$.email == "a"')) AS t (path);
SELECT event_engine.sensitive_terms('blind.moved', NULL, '[{"field": "$.payload.email", "operator": "in", "value": ["a"]},
	{"field": "payload.addresses[0].street", "operator": "not_equals", "value": "a"}, {"field": "payload.bank", "operator": "exists", "value": true},
	{"field": "payload.customer", "operator": "gt", "value": 1}]') AS terms;
SELECT event_engine.sensitive_terms('blind.unknown', '$.payload.email == "a"', NULL) AS terms;

-- Subscriptions.
SELECT event_engine.subscribe('blind', '{blind.moved}', filter => '$.payload.email == "a"');
SELECT event_engine.subscribe('blind', '{blind.moved}', filters => '[{"field": "payload.email", "operator": "prefix", "value": "a"}]');
SELECT event_engine.subscribe('blind', '{}', match => '[{"type": "exact", "value": "blind.moved",
	"filters": [{"field": "payload.email", "operator": "equals", "value": "a"}]}]');
SELECT event_engine.subscribe('blind', '{blind.moved}', options => '{"filter": "$.payload.bank.iban == \"a\""}');
SELECT event_engine.subscribe('some', '{blind.*}', filter => '$.payload.email == "a"') IS NOT NULL AS ok;
SELECT event_engine.subscribe('some', '{}', match => '[{"type": "prefix", "value": "blind.mo"}]', filter => '$.payload.email == "a"');
SELECT event_engine.subscribe('clear', '{blind.moved}', filter => 'exists($.payload.email) && $.payload.customer > 1') IS NOT NULL AS ok;
SELECT event_engine.update_subscription('clear', filter => '$.payload.email == "a"');
SELECT event_engine.update_subscription('clear', options => '{"max_attempts": 3}');
SELECT event_engine.subscribe('later', '{blind.plain}', filter => '$.payload.name == "a"') IS NOT NULL AS ok;

-- Triggers and waits.
CREATE FUNCTION blind_step(event_engine.workflow_instance, event_engine.workflow_resumption) RETURNS jsonb
	LANGUAGE sql AS $$ SELECT event_engine.complete() $$;
SELECT event_engine.register_workflow('blind', 'blind_step') IS NOT NULL AS ok;
SELECT event_engine.create_workflow_trigger('blind', 'blind.moved', event_condition => '$.payload.email == "a"');
SELECT event_engine.create_workflow_trigger('blind', 'blind.moved', correlation_key => '$.payload.email');
SELECT event_engine.create_workflow_trigger('blind', 'blind.moved', 'CANCEL', event_condition => '$.payload.email == $workflow.input.email');
SELECT event_engine.create_workflow_trigger('blind', 'blind.plain', correlation_key => '$.payload.name') AS trigger \gset
SELECT event_engine.register_workflow('blind outside') IS NOT NULL AS ok;
SELECT event_engine.start_workflow('blind outside') AS instance \gset
-- as if the orchestrator had been told
UPDATE event_engine.workflow_instances SET next_attempt_at = NULL;
SELECT event_engine.register_workflow_wait(:'instance', 'blind.moved', '$.payload.email == $workflow.input.email');
SELECT event_engine.register_workflow_wait(:'instance', 'blind.moved', '$.payload.customer == $workflow.input.customer') IS NOT NULL AS ok;
SELECT event_engine.register_workflow_wait(:'instance', 'blind.unknown', '$.payload.email == "a"') IS NOT NULL AS ok;

-- What becomes sensitive later is told by doctor().
SELECT code, who, what FROM event_engine.doctor_rights() ORDER BY who;
SELECT event_engine.update_event_definition('blind.plain', version => '1.1.0',
	options => '{"sensitive": ["$.payload.name"], "sensitive_subject": "$.payload.customer"}');
SELECT severity, replace(who, :'trigger', '...') AS who, what, replace(cure, :'trigger', '...') AS cure
	FROM event_engine.doctor() WHERE code = 'filter_sensitive' ORDER BY who;
SELECT event_engine.update_workflow_trigger(:'trigger', enabled => false);
SELECT count(*) FROM event_engine.doctor() WHERE code = 'filter_sensitive';

SELECT event_engine.unsubscribe(s) FROM unnest('{some,clear,later}'::text[]) AS s;
SELECT event_engine.drop_workflow_trigger(:'trigger');
\set VERBOSITY terse
SET client_min_messages = error;
DROP EXTENSION event_engine CASCADE;
CREATE EXTENSION event_engine;
DROP FUNCTION IF EXISTS blind_step;
