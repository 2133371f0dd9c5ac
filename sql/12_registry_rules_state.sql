/* ---- Business rules ---- */

CREATE FUNCTION event_engine.check_rule_path(path text) RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_check_rule_path';
COMMENT ON FUNCTION event_engine.check_rule_path(text) IS
	'Internal: raises what is wrong with the path of a rule, or is true.';

/*
 * event_rules: what the schema of a definition cannot say.
 *
 *	definition_id	whose events must keep it, in all versions
 *	name			unique in the definition
 *	sort_order		lower ones are run first
 *	path			SQL/JSON path predicate over the envelope; or
 *	function		signature of a function (event_engine.event) that returns
 *					boolean or text
 *	owner			the function runs as this role
 *	message			what is said when it does not hold
 *	enabled			is it run?
 */
CREATE TABLE event_engine.event_rules (
	definition_id uuid NOT NULL,
	name text NOT NULL CHECK (name ~ '^[A-Za-z0-9_.:-]{1,100}$'),
	sort_order integer NOT NULL DEFAULT 0,
	path text CHECK (event_engine.check_rule_path(path)),
	function text,
	owner regrole NOT NULL,
	message text,
	enabled boolean NOT NULL DEFAULT true,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (definition_id, name),
	CHECK ((path IS NULL) <> (function IS NULL))
);
COMMENT ON TABLE event_engine.event_rules IS
	'Business rules that events must keep beside the schema of their definition.';

CREATE FUNCTION event_engine.forget_rules() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	DELETE FROM event_engine.event_rules
	WHERE definition_id = OLD.id;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION event_engine.forget_rules() IS
	'Trigger on event_definitions: rules go with their definition.';
CREATE TRIGGER forget_rules AFTER DELETE ON event_engine.event_definitions
	FOR EACH ROW EXECUTE FUNCTION event_engine.forget_rules();

CREATE TRIGGER announce_change AFTER INSERT OR UPDATE OR DELETE
	ON event_engine.event_rules FOR EACH ROW
	EXECUTE FUNCTION event_engine.announce_change();
CREATE TRIGGER announce_truncate AFTER TRUNCATE
	ON event_engine.event_rules FOR EACH STATEMENT
	EXECUTE FUNCTION event_engine.announce_change();
ALTER TABLE event_engine.event_rules
	ENABLE ALWAYS TRIGGER announce_change,
	ENABLE ALWAYS TRIGGER announce_truncate;
