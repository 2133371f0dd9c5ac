-- contentEncoding and contentMediaType: asserted in draft 7 by the general
-- functions, for events by setting or by the definition.
CREATE TEMP TABLE contents (n int, schema jsonb, instance jsonb);
INSERT INTO contents VALUES
	(1, '{"contentMediaType": "application/json"}', '"{\"a\": 1}"'),
	(2, '{"contentMediaType": "application/json"}', '"{:}"'),
	(3, '{"contentEncoding": "base64"}', '"eyJmb28iOiAiYmFyIn0K"'),
	(4, '{"contentEncoding": "base64"}', '"eyJmb28iOi%iYmFyIn0K"'),
	(5, '{"contentEncoding": "base64", "contentMediaType": "application/json"}', '"eyJmb28iOiAiYmFyIn0K"'),
	(6, '{"contentEncoding": "base64", "contentMediaType": "application/json"}', '"ezp9Cg=="'),
	(7, '{"contentEncoding": "base64", "contentMediaType": "application/json"}', '"{}"'),
	(8, '{"contentEncoding": "base64", "contentMediaType": "application/json"}', '17'),
	(9, '{"contentEncoding": "base64"}', '""'),
	(10, '{"contentEncoding": "BASE64"}', '"YQ"'),
	(11, '{"contentEncoding": "base32"}', '"%"'),
	(12, '{"contentMediaType": "text/plain"}', '"{"'),
	(13, '{"contentMediaType": "application/json", "contentSchema": {"type": "array"}}', '"{}"');
SELECT n, event_engine.jsonschema_is_valid(schema, instance, 'draft7') AS draft7,
	event_engine.jsonschema_is_valid(schema, instance, 'draft6') AS draft6,
	event_engine.jsonschema_is_valid(schema, instance, '2019-09') AS "2019-09",
	event_engine.jsonschema_is_valid(schema, instance, '2020-12') AS "2020-12"
FROM contents ORDER BY n;

-- events: annotations, unless
SELECT event_engine.register_event_definition('content.plain', '{"properties": {"doc": {"contentMediaType": "application/json"}}}', options => '{"dialect": "draft7"}');
SELECT event_engine.register_event_definition('content.asserted', '{"properties": {"doc": {"contentEncoding": "base64"}}}', options => '{"assert_content": true}');
SELECT event_engine.register_event_definition('content.never', '{"properties": {"doc": {"contentEncoding": "base64"}}}', options => '{"assert_content": false}');
SELECT event_engine.publish_event('content.plain', '{"doc": "{"}') IS NOT NULL AS published;
SELECT event_engine.publish_event('content.asserted', '{"doc": "%"}');
SET event_engine.validation_assert_content = on;
SELECT event_engine.publish_event('content.plain', '{"doc": "{"}');
SELECT event_engine.publish_event('content.plain', '{"doc": "{}"}') IS NOT NULL AS published;
SELECT event_engine.publish_event('content.never', '{"doc": "%"}') IS NOT NULL AS published;
RESET event_engine.validation_assert_content;
SELECT event_engine.publish_event('content.plain', '{"doc": "{"}') IS NOT NULL AS published;

-- asserting what was not is a break of compatibility
SELECT path, keyword, why FROM event_engine.schema_breaks('{"type": "string", "contentEncoding": "base64"}', '{}',
	'{"type": "string", "contentEncoding": "base64"}', '{"assert_content": true}', 'backward');
