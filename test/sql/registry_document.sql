-- Documents that schemas refer to.
\set VERBOSITY default
\set SHOW_CONTEXT never

SELECT event_engine.register_event_definition('order.created',
	'{"$ref": "https://example.com/shop#/definitions/order"}');
SELECT event_engine.register_schema('https://example.com/shop', '{
	"definitions": {
		"order": {"type": "object", "required": ["items"],
			"properties": {"items": {"type": "array", "items": {"$ref": "#/definitions/item"}}}},
		"item": {"type": "object", "required": ["sku"]},
		"address": {"$ref": "https://example.com/geo#/definitions/address"}}}');
SELECT event_engine.register_event_definition('order.created',
	'{"$ref": "https://example.com/shop#/definitions/order"}',
	examples => '[{"items": [{"sku": 1}]}]');
SELECT instance_path, message FROM event_engine.validate_event('order.created', '{"items": [{}]}');
SELECT * FROM event_engine.validate_event('order.created', '{"items": [{"sku": 1}]}');

-- A document may come before what it refers to; a definition may not.
SELECT event_engine.register_event_definition('order.sent',
	'{"$ref": "https://example.com/shop#/definitions/address"}');
SELECT event_engine.register_schema('https://example.com/geo',
	'{"definitions": {"address": {"type": "string"}}}');
SELECT event_engine.register_event_definition('order.sent',
	'{"$ref": "https://example.com/shop#/definitions/address"}');
SELECT pattern, schema_uris FROM event_engine.list_event_definitions();

-- The same document again writes nothing.
SELECT xmin AS before FROM event_engine.event_schemas
WHERE uri = 'https://example.com/geo' \gset
SELECT event_engine.register_schema('https://example.com/geo#',
	'{"definitions": {"address": {"type": "string"}}}');
SELECT xmin = :before AS untouched FROM event_engine.event_schemas
WHERE uri = 'https://example.com/geo';

-- A new one counts at once, for those that reach it.
SELECT message FROM event_engine.validate_event('order.sent', '{"city": "Ulm"}');
SELECT event_engine.register_schema('https://example.com/geo', '{"definitions": {
	"address": {"type": "object", "properties": {"city": {"$ref": "https://example.com/city"}}}}}');
\echo :LAST_ERROR_SQLSTATE
SELECT event_engine.register_schema('https://example.com/city', '{"type": "string"}');
SELECT event_engine.register_schema('https://example.com/geo', '{"definitions": {
	"address": {"type": "object", "properties": {"city": {"$ref": "https://example.com/city"}}}}}');
SELECT message FROM event_engine.validate_event('order.sent', '{"city": "Ulm"}');
SELECT message FROM event_engine.validate_event('order.sent', '{"city": 89073}');
-- which now include one document more, and are the same revision
SELECT pattern, schema_uris, revision FROM event_engine.list_event_definitions();

-- A document that would leave a definition without its target is refused,
SELECT event_engine.register_schema('https://example.com/shop', '{"definitions": {}}');
-- and so is one that its examples do not fit.
SELECT event_engine.register_schema('https://example.com/shop', '{
	"definitions": {"order": {"type": "object", "required": ["total"]},
		"address": true}}');
SELECT instance_path, message FROM event_engine.validate_event('order.created', '{"items": [{}]}');

-- What is no URI, and no schema.
SELECT event_engine.register_schema('shop.json', 'true');
SELECT event_engine.register_schema('https://example.com/a#b', 'true');
SELECT event_engine.register_schema('https://example.com/a', '[]');
SELECT event_engine.register_schema('https://example.com/a', NULL);
SELECT event_engine.register_schema('https://example.com/a', '{"type": "objct"}');
-- any document may hold schemas
SELECT event_engine.register_schema('https://example.com/api',
	'{"openapi": "3.1.0", "components": {"schemas": {"pet": {"type": "string"}}}}');
SELECT event_engine.register_event_definition('pet',
	'{"$ref": "https://example.com/api#/components/schemas/pet"}');
SELECT message FROM event_engine.validate_event('pet', '1');

DELETE FROM event_engine.event_definitions;
DELETE FROM event_engine.event_schemas;
