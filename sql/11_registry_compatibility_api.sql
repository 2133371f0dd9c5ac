/* ---- Compatibility of versions ---- */

/*
 * schema_compatibility: what a change from one schema to another breaks, one
 * row for each break; no row is a proof that there is none.
 *
 *	mode		none | backward (unless given) | forward | full
 *				backward: whatever the old schema accepts, the new one does
 *				forward: whatever the new schema accepts, the old one does
 *	dialect		where a schema names none
 *
 * References lead to the documents that are registered.  A null schema
 * accepts everything.  A row whose why begins with "cannot prove" need not be
 * a break.
 */
CREATE FUNCTION event_engine.schema_compatibility(
	old jsonb,
	new jsonb,
	mode text DEFAULT 'backward',
	dialect text DEFAULT NULL)
	RETURNS SETOF event_engine.schema_break
	LANGUAGE c VOLATILE ROWS 5
	AS 'MODULE_PATHNAME', 'ee_sql_schema_compatibility';
COMMENT ON FUNCTION event_engine.schema_compatibility(jsonb, jsonb, text, text) IS
	'What a change from one JSON Schema to another breaks; no row when it is compatible. mode is backward, forward or full.';

CREATE FUNCTION event_engine.schema_breaks(
	old jsonb, old_options jsonb, new jsonb, new_options jsonb, mode text)
	RETURNS SETOF event_engine.schema_break
	LANGUAGE c VOLATILE ROWS 5
	AS 'MODULE_PATHNAME', 'ee_sql_schema_breaks';
COMMENT ON FUNCTION event_engine.schema_breaks(jsonb, jsonb, jsonb, jsonb, text) IS
	'Internal: schema_compatibility of two versions, each with the options of its definition.';

/*
 * check_compatibility: raises what a version that is about to be stored
 * breaks, if its options ask.  It is compared with what is stored under the
 * same version and with the highest version below it, or all below where
 * compatibility is transitive; never with drafts, since nothing was promised
 * by them, and not while it is a draft itself.
 */
CREATE FUNCTION event_engine.check_compatibility(
	d event_engine.event_definitions,
	v event_engine.event_definition_versions)
	RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
	AS $$
DECLARE
	mode text := v.options ->> 'compatibility';
	earlier record;
	lines text;
	detail text;
	versions text;
BEGIN
	IF coalesce(mode, 'none') = 'none' OR v.status = 'draft' THEN
		RETURN;
	END IF;
	FOR earlier IN
		WITH stored AS (
			SELECT o.version, o.payload_schema, o.options
			FROM event_engine.event_definition_versions AS o
			WHERE o.definition_id = d.id AND o.status <> 'draft'
				AND event_engine.compare_versions(o.version, v.version) <= 0)
		SELECT s.version::text, s.payload_schema, s.options
		FROM stored AS s
		WHERE mode LIKE '%\_transitive' OR s.version = v.version
			OR NOT EXISTS (SELECT FROM stored AS o
				WHERE o.version <> v.version
					AND event_engine.compare_versions(o.version, s.version) > 0)
		ORDER BY s.version = v.version DESC, (SELECT count(*)
			FROM stored AS o
			WHERE event_engine.compare_versions(o.version, s.version) > 0)
	LOOP
		CONTINUE WHEN (earlier.payload_schema, earlier.options - 'compatibility')
			IS NOT DISTINCT FROM (v.payload_schema, v.options - 'compatibility');
		SELECT string_agg(format('Version %s, %s, at %s: %s: %s%s%s.',
				earlier.version, b.direction,
				CASE b.path WHEN '' THEN 'the root' ELSE b.path END,
				b.keyword, b.why,
				', old ' || b.old, ', new ' || b.new), E'\n')
			INTO lines
		FROM event_engine.schema_breaks(earlier.payload_schema,
			earlier.options, v.payload_schema, v.options, mode) AS b;
		IF lines IS NOT NULL THEN
			detail := concat_ws(E'\n', detail, lines);
			versions := concat_ws(', ', versions, earlier.version);
		END IF;
	END LOOP;
	IF detail IS NOT NULL THEN
		RAISE EXCEPTION 'version % of event definition "%" is not % compatible with version %',
				v.version, d.event_id,
				replace(regexp_replace(mode, '_transitive$', ''), 'full', 'fully'),
				versions
			USING ERRCODE = 'VE007', DETAIL = detail,
			HINT = 'Change the schema, or give this version the option {"compatibility": "none"}; the next one may ask for it again.';
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.check_compatibility(
	event_engine.event_definitions, event_engine.event_definition_versions) IS
	'Internal: raises what a version breaks of those before it, if its options ask for compatibility.';
