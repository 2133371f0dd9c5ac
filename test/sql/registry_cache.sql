-- What a session remembers of definitions is never older than its commands.
\set VERBOSITY default
\set SHOW_CONTEXT never
CREATE FUNCTION is_valid(pattern text, payload jsonb, version text DEFAULT NULL)
RETURNS boolean LANGUAGE sql AS $$
	SELECT NOT EXISTS (SELECT FROM event_engine.validate_event($1, $2, $3)) $$;

-- That a pattern is unknown is not remembered.
SELECT is_valid('cached', '1');
SELECT event_engine.register_event_definition('cached', '{"type": "integer"}');
SELECT is_valid('cached', '1'), is_valid('cached', '"1"');
SELECT is_valid('cahced', '1');
SELECT is_valid('cached', '1', '1.1.0');

-- Updates count from the next command on, until they are rolled back.
BEGIN;
SELECT event_engine.update_event_definition('cached', payload_schema => '{"type": "string"}');
SELECT is_valid('cached', '1'), is_valid('cached', '"1"');
SAVEPOINT a;
SELECT event_engine.register_event_definition('cached', '{"type": "boolean"}', '1.1.0');
SELECT event_engine.register_event_definition('uncommitted');
SELECT is_valid('cached', '1'), is_valid('cached', '"1"'), is_valid('cached', 'true');
SELECT is_valid('cached', '"1"', '1.0.0'), is_valid('cached', 'true', '1.1.0');
SELECT is_valid('uncommitted', '1');
ROLLBACK TO a;
SELECT is_valid('cached', '1'), is_valid('cached', '"1"'), is_valid('cached', 'true');
SAVEPOINT b;
SELECT is_valid('uncommitted', '1');
ROLLBACK TO b;
SELECT is_valid('cached', 'true', '1.1.0');
ROLLBACK;
SELECT is_valid('cached', '1'), is_valid('cached', '"1"');
SELECT is_valid('uncommitted', '1');

-- Two aborted changes that would have had the same revision are told apart.
BEGIN;
SELECT event_engine.update_event_definition('cached', payload_schema => 'false');
SELECT is_valid('cached', '1');
ROLLBACK;
SELECT event_engine.update_event_definition('cached', payload_schema => 'true');
SELECT is_valid('cached', '1');

-- Whoever changes the tables by hand is heard as well.
UPDATE event_engine.event_definitions SET payload_schema = 'false' WHERE pattern = 'cached';
SELECT is_valid('cached', '1');
UPDATE event_engine.event_definition_versions SET payload_schema = 'true';
SELECT is_valid('cached', '1'), is_valid('cached', '1', '1.0.0');
INSERT INTO event_engine.event_schemas VALUES ('urn:doc', '{"type": "integer"}');
UPDATE event_engine.event_definitions SET payload_schema = '{"$ref": "urn:doc"}'
WHERE pattern = 'cached';
SELECT is_valid('cached', '1');
UPDATE event_engine.event_schemas SET document = '{"type": "string"}';
SELECT is_valid('cached', '1');
DELETE FROM event_engine.event_schemas;
SELECT is_valid('cached', '1');
TRUNCATE event_engine.event_definitions CASCADE;
SELECT is_valid('cached', '1');

-- Old versions, current and not, in one session.
SELECT event_engine.register_event_definition('cached', '{"type": "integer"}');
SELECT event_engine.register_event_definition('cached', '{"type": "string"}', '2.0.0');
SELECT is_valid('cached', '1', '1.0.0'), is_valid('cached', '1', '2.0.0'), is_valid('cached', '"1"');

-- The setting for formats counts where the definition says nothing.
SELECT event_engine.register_event_definition('formatted', '{"format": "uuid"}');
SELECT event_engine.register_event_definition('formatted.never', '{"format": "uuid"}',
	options => '{"assert_formats": false}');
SELECT is_valid('formatted', '"no"'), is_valid('formatted.never', '"no"');
SET event_engine.validation_assert_formats = off;
SELECT is_valid('formatted', '"no"'), is_valid('formatted.never', '"no"');
RESET event_engine.validation_assert_formats;
SELECT is_valid('formatted', '"no"'), is_valid('formatted.never', '"no"');

-- Extension and session: none of it outlives the other.
SELECT is_valid('cached', '1', '1.0.0');
BEGIN;
DROP EXTENSION event_engine;
ROLLBACK;
SELECT is_valid('cached', '1', '1.0.0');
BEGIN;
DROP EXTENSION event_engine;
CREATE EXTENSION event_engine;
SAVEPOINT a;
SELECT is_valid('cached', '1', '1.0.0');
ROLLBACK TO a;
SELECT event_engine.register_event_definition('cached', 'false');
SELECT is_valid('cached', '1', '1.0.0');
ROLLBACK;
SELECT is_valid('cached', '1', '1.0.0');

DELETE FROM event_engine.event_definitions;
DROP FUNCTION is_valid;
