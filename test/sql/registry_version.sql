-- Versions of a definition, and changing one.
\set VERBOSITY default
\set SHOW_CONTEXT never

-- Semantic versions have an order (semver.org, section 11).
WITH v AS (
	SELECT o, v FROM unnest(ARRAY['0.9.9', '1.0.0-alpha', '1.0.0-alpha.1',
		'1.0.0-alpha.beta', '1.0.0-beta', '1.0.0-beta.2', '1.0.0-beta.11',
		'1.0.0-rc.1', '1.0.0', '1.0.1', '1.2.0', '1.10.0', '2.0.0',
		'99999999999999999999.0.0', '100000000000000000000.0.0'])
		WITH ORDINALITY AS v (v, o))
SELECT count(*) AS pairs, count(*) FILTER (WHERE
	event_engine.compare_versions(a.v, b.v) <> sign(a.o - b.o)) AS wrong
FROM v AS a, v AS b;
SELECT event_engine.compare_versions('1.0.0+a', '1.0.0+b');

CREATE VIEW versions AS
	SELECT d.pattern, v.version, v.status, v.version = d.version AS current,
		v.payload_schema, d.revision
	FROM event_engine.event_definitions d
	JOIN event_engine.event_definition_versions v ON v.definition_id = d.id
	ORDER BY d.pattern COLLATE "C", v.created_at;

SELECT event_engine.register_event_definition('a', '{"type": "integer"}',
	name => 'A', description => 'one', source_types => ARRAY['task']);

-- A higher version is current from now on, the old one stays.
SELECT event_engine.register_event_definition('a', '{"type": "string"}', '1.1.0');
SELECT * FROM versions;
SELECT version, name, description, source_types
FROM event_engine.get_event_definition('a');
SELECT version, payload_schema, source_types
FROM event_engine.get_event_definition('a', '1.0.0');
SELECT count(*) FROM event_engine.get_event_definition('a', '1.0.5');

-- A lower one is added, and is not.
SELECT event_engine.register_event_definition('a', '{"type": "number"}', '1.0.5');
-- A draft is not either, until it is activated.
SELECT event_engine.register_event_definition('a', '{"type": "array"}', '2.0.0',
	status => 'draft');
SELECT * FROM versions;
-- a draft may change
SELECT event_engine.update_event_definition('a', version => '2.0.0',
	payload_schema => '{"type": "object"}');
SELECT event_engine.update_event_definition('a', version => '2.0.0', status => 'active');
SELECT * FROM versions;

-- of others only the status
SELECT event_engine.update_event_definition('a', version => '1.0.0', payload_schema => 'true');
SELECT event_engine.update_event_definition('a', version => '1.0.0', status => 'deprecated');
SELECT * FROM versions;

-- Registering any of them again is no conflict, with other content it is.
SELECT event_engine.register_event_definition('a', '{"type": "integer"}');
SELECT event_engine.register_event_definition('a', '{"type": "number"}');
SELECT * FROM versions WHERE version = '1.0.0';

-- Where a draft was first, what is active comes before it.
SELECT event_engine.register_event_definition('b', 'true', '2.0.0-rc.1', status => 'draft');
SELECT event_engine.register_event_definition('b', 'false', '1.0.0');
SELECT * FROM versions WHERE pattern = 'b';

-- An update: what is not given stays, the revision counts.
SELECT event_engine.register_event_definition('c', '{"type": "integer"}',
	description => 'one', examples => '[1]');
SELECT event_engine.update_event_definition('c', description => 'two');
SELECT description, payload_schema, examples, revision
FROM event_engine.get_event_definition('c');
-- nothing new, nothing counted
SELECT event_engine.update_event_definition('c', description => 'two');
SELECT event_engine.update_event_definition('c', expected_revision => 2, status => 'deprecated');
-- the same revision expected again
SELECT event_engine.update_event_definition('c', expected_revision => 2, status => 'active');
\echo :LAST_ERROR_SQLSTATE
SELECT event_engine.update_event_definition('nobody', status => 'active');
-- examples must fit the new schema as well
SELECT event_engine.update_event_definition('c', payload_schema => '{"type": "string"}');
SELECT event_engine.update_event_definition('c', payload_schema => '{"type": "string"}',
	examples => '["x"]');
-- a new version takes over what is not given
SELECT event_engine.update_event_definition('c', version => '1.1.0', source_types => ARRAY['task']);
SELECT version, status, source_types, payload_schema, examples, description, revision
FROM event_engine.get_event_definition('c');

-- By hand: versions follow, revisions count.
UPDATE event_engine.event_definitions
SET version = '3.0.0', payload_schema = '{"type": "null"}' WHERE pattern = 'c';
SELECT * FROM versions WHERE pattern = 'c';
-- A schema must compile, and a pattern be one, for those too.
UPDATE event_engine.event_definitions
SET payload_schema = '{"type": "nul"}' WHERE pattern = 'c';
\set VERBOSITY terse
UPDATE event_engine.event_definitions SET pattern = 'c.*' WHERE pattern = 'c';
\set VERBOSITY default
INSERT INTO event_engine.event_schemas VALUES ('urn:version', 'true');
UPDATE event_engine.event_definitions
SET payload_schema = '{"$ref": "urn:version"}' WHERE pattern = 'c' RETURNING schema_uris;
DELETE FROM event_engine.event_schemas;
INSERT INTO event_engine.event_definitions (event_id, name, pattern, version)
VALUES ('d', 'd', 'd', '1.0.0');
SELECT event_engine.register_event_definition('d');
SELECT event_engine.register_event_definition('d', 'true', '1.0.1');
SELECT * FROM versions WHERE pattern = 'd';

DROP VIEW versions;
DELETE FROM event_engine.event_definitions;
