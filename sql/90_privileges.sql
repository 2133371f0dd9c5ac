/* ------------------------------------------------------------------------
 * Privileges: PUBLIC has what is said here, and nothing else.  What a duty
 * consists of is said by the view duties, and given by grant_duty().
 *
 * An update runs this too, and leaves alone what was there before: not only
 * are its privileges the user's by now; whatever a script of an extension
 * grants or revokes makes all privileges of the object initial ones, which a
 * dump leaves out.
 * ------------------------------------------------------------------------ */

DO $$
DECLARE
	object record;
	/* for PUBLIC */
	open_functions CONSTANT regprocedure[] := ARRAY[
		-- pure functions of their arguments
		'event_engine.jsonschema_is_valid(jsonb, jsonb, text)',
		'event_engine.jsonschema_errors(jsonb, jsonb, text)',
		'event_engine.jsonschema_is_valid_with(jsonb, jsonb, jsonb, text)',
		'event_engine.jsonschema_errors_with(jsonb, jsonb, jsonb, text)',
		'event_engine.jsonschema_check(jsonb, text, boolean)',
		'event_engine.jsonschema_output(jsonb, jsonb, text, text)',
		'event_engine.check_event_pattern(text)',
		'event_engine.compare_versions(text, text)',
		'event_engine.event_time(uuid)',
		'event_engine.jsonb_to_json(jsonb)',
		-- what the handlers of workflows answer
		'event_engine.wait_for(text, text, interval, text, timestamptz, text, jsonb, jsonb, timestamptz)',
		'event_engine.wait_for_n(integer, jsonb[], text, jsonb)',
		'event_engine.wait_for_any(jsonb[], text, jsonb)',
		'event_engine.wait_for_all(jsonb[], text, jsonb)',
		'event_engine.wait_for_children(uuid[], integer, interval, text, jsonb)',
		'event_engine.sleep_until(timestamptz, text, jsonb, text)',
		'event_engine.sleep_for(interval, text, jsonb, text)',
		'event_engine.continue_with(text, jsonb)',
		'event_engine.complete(jsonb, jsonb)',
		'event_engine.fail(text, jsonb, jsonb)',
		-- the condition of a trigger, asked in the name of whoever inserts
		'event_engine.delivers_immediately()'];
	/* so that functions may be written that take an event */
	open_types CONSTANT regtype[] := ARRAY[
		'event_engine.event',
		'event_engine.event_priority',
		'event_engine.finding',
		'event_engine.received_event',
		'event_engine.schema_break',
		'event_engine.validation_error',
		'event_engine.workflow_instance',
		'event_engine.workflow_resumption'];
BEGIN
	FOR object IN
		SELECT d.classid, d.objid, p.oid::regprocedure AS routine,
			c.oid::regclass AS relation, c.relkind, t.oid::regtype AS type,
			n.oid::regnamespace AS schema
		FROM pg_depend AS d
		LEFT JOIN pg_proc AS p
			ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
		LEFT JOIN pg_class AS c
			ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
			AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
		LEFT JOIN pg_type AS t
			ON d.classid = 'pg_type'::regclass AND t.oid = d.objid
		LEFT JOIN pg_namespace AS n
			ON d.classid = 'pg_namespace'::regclass AND n.oid = d.objid
		WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
			AND d.refobjid = (SELECT e.oid FROM pg_extension AS e
				WHERE e.extname = 'event_engine')
			AND NOT EXISTS (SELECT FROM pg_init_privs AS i
				WHERE i.classoid = d.classid AND i.objoid = d.objid
					AND i.objsubid = 0)
		ORDER BY d.classid, d.objid
	LOOP
		IF object.routine IS NOT NULL THEN
			EXECUTE format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', object.routine);
			IF object.routine = ANY (open_functions) THEN
				EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO PUBLIC', object.routine);
			END IF;
		ELSIF object.relation IS NOT NULL THEN
			EXECUTE format('REVOKE ALL ON %s %s FROM PUBLIC',
				CASE object.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
				object.relation);
		ELSIF object.type = ANY (open_types) THEN
			EXECUTE format('GRANT USAGE ON TYPE %s TO PUBLIC', object.type);
		ELSIF object.schema IS NOT NULL THEN
			EXECUTE format('GRANT USAGE ON SCHEMA %s TO PUBLIC', object.schema);
		END IF;
	END LOOP;
END
$$;
