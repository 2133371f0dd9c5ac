-- Sensitive data: sealed on every way in, shown to who may see it, erased for ever.
\set SHOW_CONTEXT never
SET timezone = 'UTC';
-- What is stored, without what is different each time.
CREATE FUNCTION masked(payload jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS
	$$ SELECT regexp_replace(payload::text, 'sealed:1:[A-Za-z0-9+/]{75,}', 'SEALED', 'g') $$;
CREATE FUNCTION stored(pattern text) RETURNS TABLE (stored text, shown jsonb) LANGUAGE sql AS
	$$ SELECT masked(e.payload), (event_engine.unseal(e)).payload
	FROM event_engine.list_events(pattern, after_seq => 0) AS e $$;

-- What can be marked, and what cannot be told beforehand.
SELECT event_engine.register_event_definition('person.moved', '{
	"type": "object", "required": ["id"],
	"properties": {
		"id": {"type": ["integer", "string"]},
		"email": {"type": "string", "format": "email", "maxLength": 20, "x-sensitive": true},
		"a/b~c": {"x-sensitive": true},
		"address": {"$ref": "#/$defs/address"},
		"old": {"type": "array", "items": {"$ref": "#/$defs/address"}},
		"pair": {"prefixItems": [true, {"x-sensitive": true}]},
		"names": {"additionalProperties": {"x-sensitive": true}},
		"note": {"anyOf": [{"type": "string", "x-sensitive": true}, {"type": "number"}]}},
	"allOf": [{"if": {"required": ["vip"]}, "then": {"properties": {"vip": {"x-sensitive": true}}}}],
	"$defs": {"address": {"properties": {
		"street": {"type": "string", "x-sensitive": true},
		"city": {"type": "string", "x-sensitive": false}}}}}',
	options => '{"sensitive": ["$.payload.extra", "$.payload.bag.*.pin", "$.payload.\"odd name\"[0]"],
		"sensitive_subject": "$.payload.id", "assert_formats": true}');
SELECT * FROM event_engine.sensitive_fields('person.moved') ORDER BY path COLLATE "C";
CREATE FUNCTION refused(schema jsonb, options jsonb DEFAULT '{"sensitive_subject": "$.metadata.userId"}')
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	PERFORM event_engine.check_payload_schema(schema, options);
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(': ', SQLSTATE, SQLERRM, NULLIF(detail, ''));
END
$$;
SELECT refused(s::jsonb) FROM unnest(ARRAY[
	'{"properties": {"a": {"x-sensitive": true}}}',
	'{"x-sensitive": true}',
	'{"properties": {"a": {"x-sensitive": "yes"}}}',
	'{"not": {"properties": {"a": {"x-sensitive": true}}}}',
	'{"patternProperties": {"^a": {"x-sensitive": true}}}',
	'{"properties": {"a": true}, "additionalProperties": {"x-sensitive": true}}',
	'{"properties": {"a": {"prefixItems": [true], "items": {"x-sensitive": true}}}}',
	'{"properties": {"a": {"contains": {"x-sensitive": true}}}}',
	'{"properties": {"a": {"unevaluatedProperties": {"x-sensitive": true}}}}',
	'{"properties": {"a": {"x-sensitive": true}, "again": {"$ref": "#"}}}',
	'{"properties": {"plain": true, "again": {"$ref": "#"}}, "$defs": {"unused": {"x-sensitive": true}}}',
	'{"properties": {"a": {"x-sensitive": true}, "b": {"$dynamicRef": "#b"}}, "$defs": {"b": {"$dynamicAnchor": "b"}}}'
	]) WITH ORDINALITY AS x (s, n) ORDER BY n;
SELECT refused(NULL, o::jsonb) FROM unnest(ARRAY[
	'{"sensitive": ["$.payload.a"]}',
	'{"sensitive": ["$.payload.a"], "sensitive_subject": "$.payload.a"}',
	'{"sensitive": ["$.payload.a.b"], "sensitive_subject": "$.payload.a"}',
	'{"sensitive": ["$.payload.a.b"], "sensitive_subject": "$.payload.a[*].c"}',
	'{"sensitive": ["$.payload.a"], "sensitive_subject": "$.partitionKey"}',
	'{"sensitive": ["$.payload.a"], "sensitive_subject": "$.nothing"}',
	'{"sensitive": ["$.payload"], "sensitive_subject": "$.partitionKey"}',
	'{"sensitive": ["$.metadata.userId"], "sensitive_subject": "$.partitionKey"}',
	'{"sensitive": ["$.payload.a ? (@ > 1)"], "sensitive_subject": "$.partitionKey"}',
	'{"sensitive": ["$.payload.a[1 to 2]"], "sensitive_subject": "$.partitionKey"}',
	'{"sensitive": ["payload.a"], "sensitive_subject": "$.partitionKey"}',
	'{"sensitive": "$.payload.a", "sensitive_subject": "$.partitionKey"}',
	'{"sensitive": [1], "sensitive_subject": "$.partitionKey"}',
	'{"sensitive_subject": 1}',
	'{"sensitive": [], "sensitive_subject": "$.partitionKey"}'
	]) WITH ORDINALITY AS x (o, n) ORDER BY n;

-- A shared document may have marks.
SELECT event_engine.register_schema('https://example.org/person', '{"properties": {"phone": {"x-sensitive": true}}}');
SELECT event_engine.register_event_definition('person.called',
	'{"properties": {"caller": {"$ref": "https://example.org/person"}}}',
	options => '{"sensitive_subject": "$.partitionKey"}');
SELECT * FROM event_engine.sensitive_fields('person.called');
SELECT event_engine.register_schema('https://example.org/person', '{"properties": {"name": true, "phone": {"$ref": "#/$defs/p"}}, "$defs": {"p": {"x-sensitive": true}}}');
SELECT * FROM event_engine.sensitive_fields('person.called');

-- Every way in.
SELECT event_engine.publish_event('person.moved', '{"id": 1, "email": "ada@example.org",
	"address": {"street": "Long Lane", "city": "York"}, "old": [{"street": "A"}, {"city": "B"}, {"street": "C"}],
	"pair": ["kept", "sealed"], "names": {"x": 1, "y": {"z": []}}, "note": 1, "a/b~c": true, "vip": 1,
	"extra": {"deep": ["er"]}, "bag": {"one": {"pin": 1, "n": 1}, "two": 2}, "odd name": [1, 2]}') IS NOT NULL;
SELECT count(*) FROM event_engine.publish_events('[{"pattern": "person.moved", "payload": {"id": "1", "email": "b@c.de"}},
	{"pattern": "person.called", "payload": {"caller": {"phone": "112"}}, "partitionKey": "2"}]');
INSERT INTO event_engine.events (pattern, payload) VALUES ('person.moved', '{"id": 3, "extra": null}')
	RETURNING masked(payload);
COPY event_engine.events (pattern, payload) FROM stdin;
person.moved	{"id": 4, "extra": "copied"}
\.
CREATE TABLE patients (id integer PRIMARY KEY, name text, ward text);
SELECT event_engine.register_event_definition('ward.patients.' || o,
	options => '{"sensitive": ["$.payload.new.name", "$.payload.old.name"], "sensitive_subject": "$.payload.key.id"}')
	FROM unnest('{inserted,updated}'::text[]) AS o;
SELECT event_engine.capture_changes('patients', 'ward.patients', operations => '{insert,update}');
INSERT INTO patients VALUES (1, 'Ada', 'A');
UPDATE patients SET name = 'Ada L.', ward = 'B';
SELECT * FROM stored('person.moved');
SELECT * FROM stored('person.called');
SELECT * FROM stored('ward.patients.#');
SELECT subject, octet_length(key) AS bytes, erased_at FROM event_engine.event_subject_keys
	ORDER BY subject COLLATE "C";

-- Any value comes back as it was.
SELECT event_engine.register_event_definition('value.any',
	options => '{"sensitive": ["$.payload.v"], "sensitive_subject": "$.payload.s"}');
CREATE TEMP TABLE given (n integer, v jsonb, id uuid);
INSERT INTO given SELECT n, v::jsonb FROM unnest(ARRAY['null', 'true', '0.10', '-1e-300', '1e400',
	'12345678901234567890123456789.50', '""', '"sealed:1:abc"', '"\u0001\t\"\\ äöü 😀"', '[]', '{}',
	'[[[1, {"a": null}]], "x"]', '{"a": {"b": "c"}, "d": 1.0}']) WITH ORDINALITY AS x (v, n);
INSERT INTO given SELECT 100, to_jsonb(repeat('0123456789abcdef', 65000));
UPDATE given SET id = event_engine.publish_event('value.any', jsonb_build_object('s', 'any', 'v', v));
SELECT g.n, length(g.v::text) AS length, jsonb_typeof(e.payload -> 'v') AS stored_as,
	(event_engine.unseal(e)).payload ->> 'v' IS NOT DISTINCT FROM g.v #>> '{}' AS same
	FROM given AS g, event_engine.get_event(g.id) AS e ORDER BY g.n;
-- The same value is never stored in the same way.
SELECT event_engine.publish_event('value.any', '{"s": 1, "v": "twice"}') IS NOT NULL FROM generate_series(1, 2);
SELECT count(DISTINCT payload ->> 'v') FROM event_engine.events WHERE payload ->> 's' = '1' AND pattern = 'value.any';

-- Whom is it about?
SELECT event_engine.publish_event('value.any', '{"v": 1}');
\set VERBOSITY terse
SELECT event_engine.publish_event('value.any', '{"s": null, "v": 1}');
SELECT event_engine.publish_event('value.any', '{"s": true, "v": 1}');
SELECT event_engine.publish_event('value.any', '{"s": {"x": 1}, "v": 1}');
SELECT event_engine.publish_event('value.any', '{"s": "", "v": 1}');
SELECT event_engine.publish_event('value.any', jsonb_build_object('s', repeat('ä', 256), 'v', 1));
SELECT event_engine.publish_event('value.any', jsonb_build_object('s', repeat('ä', 255), 'v', 1)) IS NOT NULL;
SELECT event_engine.publish_event('person.called', '{"caller": {"phone": "1"}}');
\set VERBOSITY default

-- What is wrong is told without what it is.
SELECT event_engine.publish_event('person.moved', '{"id": 1, "email": "hidden-and-much-too-long",
	"address": {"street": {"secret name": 1}}, "old": [{"street": 12345}, {"city": 1}], "note": [99]}');

-- Nobody has moved it: another event, pattern or place does not open it.
SELECT event_engine.publish_event('value.any', jsonb_build_object('s', 1, 'w', e.payload -> 'v', 'v', e.payload -> 'v')) AS moved
	FROM event_engine.events AS e WHERE e.pattern = 'value.any' AND e.payload ->> 's' = '1' LIMIT 1 \gset
SELECT payload ->> 'w' ^@ 'sealed:' AS w_stays, (event_engine.unseal(e)).payload ->> 'w' = payload ->> 'w' AS w_shown,
	(event_engine.unseal(e)).payload ->> 'v' = payload ->> 'w' AS v_is_what_was_given
	FROM event_engine.get_event(:'moved') AS e;
SELECT masked(event_engine.unseal(v || jsonb_build_object('id', gen_random_uuid())) -> 'payload') AS other_id,
	masked(event_engine.unseal(v || '{"pattern": "value.other"}') -> 'payload') AS other_pattern,
	masked(event_engine.unseal(v || '{"metadata": {"tags": {"tenant": "other"}}}') -> 'payload') AS other_tenant,
	masked(event_engine.unseal(v || jsonb_build_object('payload', jsonb_build_object('u', v #> '{payload,v}'))) -> 'payload') AS other_place,
	masked(event_engine.unseal(jsonb_set(v, '{payload,v}', to_jsonb(overlay(v #>> '{payload,v}' PLACING 'AAA' FROM 95)))) -> 'payload') AS changed,
	event_engine.unseal(v) -> 'payload' AS own
	FROM event_engine.events AS e, event_engine.event_envelope(e::text::event_engine.event) AS v
	WHERE e.pattern = 'value.any' AND e.payload ->> 's' = '1' ORDER BY seq LIMIT 1;
SELECT event_engine.unseal(p::jsonb) FROM unnest(ARRAY['"sealed:1:AAAA"', '[]', '1', '{}',
	'{"id": "00000000-0000-0000-0000-000000000000", "pattern": "x", "payload":
	{"a": "sealed:1:", "b": "sealed:1:!!!!", "c": "sealed:2:AAAA", "sealed:1:": ["sealed:1:AAAA"]}}']) AS p;
SELECT event_engine.unseal(NULL::event_engine.event) IS NULL AS nothing,
	(event_engine.unseal(ROW(NULL, NULL, NULL, NULL, NULL, NULL, '{"a": "sealed:1:"}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::event_engine.event)).payload;

-- A key that was rolled back is made again.
BEGIN;
SAVEPOINT s;
SELECT event_engine.publish_event('value.any', '{"s": "again", "v": 1}') IS NOT NULL;
ROLLBACK TO s;
SELECT event_engine.publish_event('value.any', '{"s": "again", "v": 2}') IS NOT NULL;
SAVEPOINT t;
SELECT event_engine.publish_event('value.any', '{"s": "released", "v": 3}') IS NOT NULL;
RELEASE t;
COMMIT;
BEGIN;
SELECT event_engine.publish_event('value.any', '{"s": "rolled back", "v": 4}') IS NOT NULL;
ROLLBACK;
SELECT event_engine.publish_event('value.any', '{"s": "rolled back", "v": 5}') IS NOT NULL;
SELECT (event_engine.unseal(e)).payload FROM event_engine.list_events('value.any', after_seq => 0) AS e
	WHERE e.payload ->> 's' IN ('again', 'released', 'rolled back');

-- Roles: publishing needs no right to keys, reading shows what is stored.
CREATE ROLE test_secret_publisher;
CREATE ROLE test_secret_reader;
CREATE ROLE test_secret_seer;
CALL event_engine.grant_duty('publisher', 'test_secret_publisher');
CALL event_engine.grant_duty('reader', 'test_secret_reader');
CALL event_engine.grant_duty('reader', 'test_secret_seer');
CALL event_engine.grant_duty('unsealer', 'test_secret_seer');
SELECT event_engine.duties_of('test_secret_seer');
SET ROLE test_secret_publisher;
SELECT event_engine.publish_event('value.any', '{"s": "by role", "v": "!"}') IS NOT NULL;
SELECT count(*) FROM event_engine.event_subject_keys;
SELECT event_engine.erase_subject('by role');
SET ROLE test_secret_reader;
SELECT masked(payload) FROM event_engine.list_events('value.any', max_events => 1);
SELECT event_engine.unseal(e) FROM event_engine.list_events('value.any', max_events => 1) AS e;
SELECT event_engine.unseal(event_engine.event_envelope(e)) FROM event_engine.list_events('value.any', max_events => 1) AS e;
SELECT event_engine.export_subject_keys();
SET ROLE test_secret_seer;
SELECT u.payload FROM event_engine.list_events('value.any', max_events => 1) AS e, event_engine.unseal(e) AS u;
SELECT event_engine.export_subject_keys();
RESET ROLE;

-- By pattern and tenant.
CREATE ROLE test_secret_tenant;
CALL event_engine.grant_duty('reader', 'test_secret_tenant');
CALL event_engine.grant_unseal('value.*', 'test_secret_tenant', tenant => 'acme');
SELECT count(event_engine.publish_event('value.any', '{"s": "t", "v": 1}', jsonb_build_object('tags', jsonb_build_object('tenant', t))))
	FROM unnest('{acme,globex}'::text[]) AS t;
SELECT event_engine.publish_event('person.moved', '{"id": "t", "email": "t@t.de"}', '{"tags": {"tenant": "acme"}}') IS NOT NULL;
SET ROLE test_secret_tenant;
SELECT privilege, pattern, tenant FROM event_engine.list_grants() WHERE privilege = 'unseal';
SELECT e.pattern, e.metadata #>> '{tags,tenant}' AS tenant, masked((event_engine.unseal(e)).payload) AS payload,
	masked(event_engine.unseal(event_engine.event_envelope(e) || '{"metadata": {"tags": {"tenant": "acme"}}}') -> 'payload') AS as_if_it_were_acme
	FROM event_engine.list_events(max_events => 3) AS e;
RESET ROLE;
CALL event_engine.revoke_unseal('value.*', 'test_secret_tenant', tenant => 'acme');
SET ROLE test_secret_tenant;
SELECT event_engine.unseal(e) FROM event_engine.list_events(max_events => 1) AS e;
RESET ROLE;

-- Handlers and clients see what their role may see; a dead letter is as stored.
CREATE ROLE test_secret_handler LOGIN;
GRANT CREATE ON SCHEMA public TO test_secret_handler;
CALL event_engine.grant_duty('subscriber', 'test_secret_handler');
CREATE TABLE given_to (how text, payload jsonb);
GRANT ALL ON given_to TO test_secret_handler;
SET ROLE test_secret_handler;
CREATE FUNCTION secret_one(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO public.given_to VALUES ('event', e.payload) $$;
CREATE FUNCTION secret_many(e event_engine.event[]) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO public.given_to SELECT 'array', u.payload FROM unnest(e) AS u $$;
CREATE FUNCTION secret_envelope(e jsonb) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO public.given_to VALUES ('envelope', e -> 'payload') $$;
CREATE FUNCTION secret_fail(e event_engine.event) RETURNS void LANGUAGE plpgsql AS
	$$ BEGIN RAISE 'not today'; END $$;
SELECT event_engine.subscribe('secret_' || f, '{value.any}', handler => 'public.secret_' || f, options => '{"max_attempts": 1}') IS NOT NULL
	FROM unnest('{one,many,envelope,fail}'::text[]) AS f;
SELECT event_engine.subscribe('secret_pull', '{value.any}') IS NOT NULL;
RESET ROLE;
SELECT event_engine.publish_event('value.any', '{"s": "h", "v": "first", "open": 1}') IS NOT NULL;
SELECT event_engine.process_batch() > 0;
CALL event_engine.grant_duty('unsealer', 'test_secret_handler');
SELECT event_engine.publish_event('value.any', '{"s": "h", "v": "second"}') IS NOT NULL;
SELECT event_engine.process_batch() > 0;
SELECT how, masked(payload) FROM given_to ORDER BY how, payload ? 'open' DESC;
SET ROLE test_secret_handler;
SELECT masked(payload) FROM event_engine.receive_events('secret_pull', 10, '1 minute');
RESET ROLE;
SELECT event_type, masked(payload), masked(envelope -> 'payload') AS envelope,
	event_engine.unseal(envelope) -> 'payload' AS shown FROM event_engine.event_dead_letters
	WHERE subscriber = 'secret_fail' ORDER BY seq;

-- Erased: for ever, for this subject alone, and as often as one likes.
SELECT erased, erased_in_all, erased_at IS NOT NULL AS at FROM event_engine.erase_subject('h');
SELECT erased, erased_in_all, erased_at IS NOT NULL AS at FROM event_engine.erase_subject('h');
SELECT * FROM event_engine.erase_subject('nobody');
SELECT event_engine.erase_subject(NULL);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT event_engine.erase_subject('1');
ROLLBACK;
SELECT (event_engine.unseal(e)).payload FROM event_engine.list_events('value.any', after_seq => 0) AS e
	WHERE e.payload ->> 's' IN ('h', 'again');
SELECT event_engine.unseal(envelope) -> 'payload' AS shown FROM event_engine.event_dead_letters
	WHERE subscriber = 'secret_fail' AND payload ->> 's' = 'h' ORDER BY seq;
-- What is published afterwards is about somebody who is new.
SELECT event_engine.publish_event('value.any', '{"s": "h", "v": "back"}') IS NOT NULL;
SELECT (event_engine.unseal(e)).payload FROM event_engine.list_events('value.any', after_seq => 0) AS e
	WHERE e.payload ->> 's' = 'h';
-- An erasure that was rolled back is none.
BEGIN;
SELECT erased FROM event_engine.erase_subject('h');
SELECT (event_engine.unseal(e)).payload FROM event_engine.list_events('value.any', max_events => 1) AS e;
ROLLBACK;
SELECT (event_engine.unseal(e)).payload FROM event_engine.list_events('value.any', max_events => 1) AS e;
-- Nothing of a key is left in the pages: of two, one was erased.
SELECT event_engine.scrub_subject_keys() > 0 AS some, event_engine.scrub_subject_keys() AS none_left;

-- Keys apart: kept, lost and found.
CREATE TABLE kept AS SELECT * FROM event_engine.export_subject_keys();
SELECT event_engine.import_subject_keys(array_agg(k::text::event_engine.event_subject_keys)) AS nothing_new FROM kept AS k;
SELECT erased FROM event_engine.erase_subject('any');
SELECT event_engine.import_subject_keys(array_agg(k::text::event_engine.event_subject_keys)) AS stays_erased FROM kept AS k;
SELECT count(*) FROM event_engine.event_subject_keys WHERE subject = 'any' AND key IS NOT NULL;
DELETE FROM event_engine.event_subject_keys;
SELECT masked((event_engine.unseal(e)).payload) FROM event_engine.list_events('value.any', max_events => 1) AS e;
SELECT event_engine.publish_event('value.any', '{"s": "later", "v": 1}') IS NOT NULL;
TRUNCATE event_engine.event_subject_keys;
SELECT event_engine.process_batch() >= 0;
SELECT masked(payload), error_message ~ '^the key of /v of event [-0-9a-f]{36} is not here$' AS why, error_details ->> 'sqlstate' AS state
	FROM event_engine.event_dead_letters WHERE subscriber = 'secret_one' AND payload ->> 's' = 'later';
SELECT event_engine.import_subject_keys(array_agg(k::text::event_engine.event_subject_keys)) = count(*) AS all_new FROM kept AS k;
SELECT (event_engine.unseal(e)).payload FROM event_engine.list_events('value.any', after_seq => 0) AS e
	WHERE e.payload ->> 's' = 'h' ORDER BY e.seq DESC LIMIT 1;
DELETE FROM kept;
INSERT INTO kept SELECT id, subject, NULL, created_at, clock_timestamp() FROM event_engine.event_subject_keys WHERE subject = 'h' AND key IS NOT NULL;
SELECT event_engine.import_subject_keys(array_agg(k::text::event_engine.event_subject_keys)) AS erased_there FROM kept AS k;

-- A new version does not forget what is sensitive, and giving it up is a break.
SELECT event_engine.register_event_definition('value.any', '{"type": "object"}', '2.0.0');
SELECT path FROM event_engine.sensitive_fields('value.any');
SELECT event_engine.register_event_definition('value.any', '{"type": "object"}', '3.0.0',
	options => '{"sensitive": [], "compatibility": "backward"}');
SELECT keyword, old, direction, why FROM event_engine.schema_compatibility(
	'{"properties": {"a": {"x-sensitive": true}, "b": {"items": {"properties": {"c": {"x-sensitive": true}}}}}}',
	'{"properties": {"a": true, "b": {"x-sensitive": true}}}');

DROP OWNED BY test_secret_publisher, test_secret_reader, test_secret_seer, test_secret_tenant;
SELECT event_engine.unsubscribe(s.subscriber) FROM event_engine.subscriptions AS s WHERE s.subscriber ^@ 'secret_';
DROP OWNED BY test_secret_handler;
DELETE FROM event_engine.event_grants WHERE grantee::text ^@ 'test_secret_';
DROP ROLE test_secret_publisher, test_secret_reader, test_secret_seer, test_secret_tenant, test_secret_handler;
-- Others count what there is.
DELETE FROM event_engine.event_dead_letters WHERE event_type = 'value.any';
DROP FUNCTION refused, stored, masked;
DROP TABLE given_to, kept, patients;
