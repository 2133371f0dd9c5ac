-- A definition says what events of a pattern look like.
\set VERBOSITY default
\set SHOW_CONTEXT never

SELECT event_engine.register_event_definition(
	'booking.created',
	'{"type": "object", "required": ["guests"],
	  "properties": {"guests": {"type": "integer", "minimum": 1}}}',
	event_id => 'BookingEvents.created',
	name => 'Booking created',
	description => 'Somebody has booked.',
	source_types => ARRAY['integration', 'external'],
	examples => '[{"guests": 2}, {"guests": 1, "note": "late"}]',
	ui_metadata => '{"icon": "calendar", "color": "#0a0", "category": "booking", "priority": "high"}',
	options => '{"assert_formats": true, "dialect": "draft7"}');
-- the pattern alone will do
SELECT event_engine.register_event_definition('ping');

SELECT event_id, name, description, pattern, version, source_types, examples,
	ui_metadata, status, options, revision
FROM event_engine.event_definitions ORDER BY pattern;

-- found by id, by event_id and by pattern
SELECT g.event_id
FROM event_engine.event_definitions d,
	LATERAL (VALUES (d.id::text), (d.event_id), (d.pattern)) AS key (key),
	LATERAL event_engine.get_event_definition(key.key) g
WHERE d.pattern = 'booking.created';
SELECT count(*) FROM event_engine.get_event_definition('booking.deleted');

-- The same again changes nothing, and writes nothing.
SELECT xmin AS before FROM event_engine.event_definitions WHERE pattern = 'ping' \gset
SELECT event_engine.register_event_definition('ping');
SELECT event_engine.register_event_definition('ping', version => '1.0.0', status => 'active');
SELECT xmin = :before AS untouched, revision
FROM event_engine.event_definitions WHERE pattern = 'ping';

-- Other content under the same version is refused, and says what is other.
SELECT event_engine.register_event_definition('ping', 'false', name => 'Pong');
SELECT event_engine.register_event_definition('ping', event_id => 'Pong');

-- A name leads to one definition.
SELECT event_engine.register_event_definition('pong', event_id => 'ping');
SELECT event_engine.register_event_definition('BookingEvents.created');

-- Patterns.
SELECT event_engine.register_event_definition('a:b.c-d_E9', status => 'draft');
SELECT event_engine.register_event_definition(NULL);
SELECT event_engine.register_event_definition('');
SELECT event_engine.register_event_definition('order created');
SELECT event_engine.register_event_definition('order.größe');
SELECT event_engine.register_event_definition('order.*');
SELECT event_engine.register_event_definition('order..created');
SELECT event_engine.register_event_definition('.order');
SELECT event_engine.register_event_definition('order.');
SELECT length(event_engine.register_event_definition(repeat('x', 255)));
SELECT event_engine.register_event_definition(repeat('x', 256));

-- Everything else that can be wrong.
SELECT event_engine.register_event_definition('x', version => '1.0');
SELECT event_engine.register_event_definition('x', version => '01.0.0');
SELECT event_engine.register_event_definition('x', version => '1.0.0-');
SELECT event_engine.register_event_definition('x', version => 'v1.0.0');
SELECT event_engine.register_event_definition('x', status => 'retired');
SELECT event_engine.register_event_definition('x', source_types => ARRAY['human']);
SELECT event_engine.register_event_definition('x', source_types => ARRAY[NULL]);
SELECT event_engine.register_event_definition('x', ui_metadata => '[]');
SELECT event_engine.register_event_definition('x', ui_metadata => '{"priority": "urgent"}');
SELECT event_engine.register_event_definition('x', ui_metadata => '{"category": ""}');
SELECT event_engine.register_event_definition('x', ui_metadata => '{"color": 7}');
SELECT event_engine.register_event_definition('x', examples => '{}');
SELECT event_engine.register_event_definition('x', options => '{"asert_formats": true}');
SELECT event_engine.register_event_definition('x', options => '{"assert_formats": "yes"}');
SELECT event_engine.register_event_definition('x', options => '{"dialect": "draft3"}');
SELECT event_engine.register_event_definition('x', event_id => '');

-- Every example that does not fit is told.
SELECT event_engine.register_event_definition('x', '{"type": "integer", "maximum": 5}',
	examples => '[1, 7, "x", 3]');

-- A schema that does not compile is told with the place.
SELECT event_engine.register_event_definition('x',
	'{"properties": {"a": {"type": "objct"}}}');

SELECT count(*) FROM event_engine.event_definitions WHERE pattern = 'x';

-- Lists.
SELECT event_engine.register_event_definition('booking.cancelled', status => 'deprecated',
	description => 'Gone 100%', ui_metadata => '{"category": "booking"}');
SELECT pattern FROM event_engine.list_event_definitions('{"pattern_prefix": "booking."}');
SELECT pattern FROM event_engine.list_event_definitions('{"pattern_prefix": "booking_"}');
SELECT pattern FROM event_engine.list_event_definitions('{"status": "deprecated"}');
SELECT pattern FROM event_engine.list_event_definitions('{"status": ["deprecated", "draft"]}');
SELECT pattern FROM event_engine.list_event_definitions(
	'{"category": "booking", "status": "active"}');
SELECT pattern FROM event_engine.list_event_definitions(
	'{"source_type": "task", "pattern_prefix": "booking"}');
SELECT pattern FROM event_engine.list_event_definitions('{"text": "BOOKED"}');
SELECT pattern FROM event_engine.list_event_definitions('{"text": "100%"}');
SELECT left(pattern, 20) FROM event_engine.list_event_definitions('{"limit": 2, "offset": 1}');
SELECT count(*) FROM event_engine.list_event_definitions();
SELECT event_engine.list_event_definitions('{"state": "active"}');
SELECT event_engine.list_event_definitions('{"limit": "2"}');
SELECT event_engine.list_event_definitions('[]');

DELETE FROM event_engine.event_definitions;
SELECT count(*) FROM event_engine.event_definition_versions;
