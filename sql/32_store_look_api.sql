/* ------------------------------------------------------------------------
 * The store: ways to look.  They run as the caller, and show what the caller
 * may read.
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.event_tenant(metadata jsonb) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_event_tenant';
COMMENT ON FUNCTION event_engine.event_tenant(jsonb) IS
	'The tenant that an event belongs to, by its metadata: the text tags.tenant, or null.';

CREATE FUNCTION event_engine.may_read(pattern text, metadata jsonb)
	RETURNS boolean
	LANGUAGE c STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_may_read';
COMMENT ON FUNCTION event_engine.may_read(text, jsonb) IS
	'Whether the current user may read events of this pattern and of the tenant that the metadata name.';

CREATE FUNCTION event_engine.may_subscribe(role oid, pattern text,
		metadata jsonb)
	RETURNS boolean
	LANGUAGE c STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_may_subscribe';
COMMENT ON FUNCTION event_engine.may_subscribe(oid, text, jsonb) IS
	'Internal: whether a role may have events of this pattern and of the tenant that the metadata name, or (null) of any.';

/*
 * readable_events: the log, as far as the caller may read it.  The table
 * itself has no row-level security, under which nobody could COPY into it;
 * only who may read everything may read the table.
 */
CREATE VIEW event_engine.readable_events WITH (security_barrier) AS
	SELECT e.id, e.event_id, e.pattern, e.version, e.source, e."timestamp",
		e.payload, e.metadata, e.created_at, e.partition_key, e.aggregate_type,
		e.aggregate_version, e.priority, e.created_by, e.deliver_at, e.seq,
		e.xid
	FROM event_engine.events AS e
	WHERE event_engine.may_read(e.pattern, e.metadata);
COMMENT ON VIEW event_engine.readable_events IS
	'The events that the current user may read.';

CREATE FUNCTION event_engine.event_time(id uuid) RETURNS timestamptz
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_event_time';
COMMENT ON FUNCTION event_engine.event_time(uuid) IS
	'The time inside an event''s id; null when it is no UUID of version 7.';

/*
 * get_event: one event by its id; no row when there is none.
 *
 * The time inside the id leads to the partition.  It is ahead of created_at
 * or behind it where the clock was set back, so that all partitions are
 * looked into before it is said that there is no such event.
 */
CREATE FUNCTION event_engine.get_event(id uuid)
	RETURNS SETOF event_engine.event
	LANGUAGE plpgsql STABLE STRICT ROWS 1
	SET search_path = pg_catalog, pg_temp
	SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_variable
DECLARE
	at timestamptz := event_engine.event_time(id);
BEGIN
	RETURN QUERY SELECT e.* FROM event_engine.readable_events AS e
		WHERE e.id = id AND e.created_at >= at - '2 s'::interval
			AND e.created_at <= at + '2 s'::interval;
	IF NOT FOUND THEN
		RETURN QUERY SELECT e.* FROM event_engine.readable_events AS e
			WHERE e.id = id;
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.get_event(uuid) IS
	'The event of that id; no row when there is none.';

/*
 * list_events: events that fit, newest first, or in the order of the log.
 *
 *	pattern			exact, or with the wildcards * (a segment) and # (any number)
 *	source_type		workflow, task, integration or external
 *	since, until	bounds of created_at; the upper one is not included
 *	correlation_id, partition_key, event_id		exactly
 *	source, metadata	contain this
 *	before_seq		newest first from there: pass the last seq of a page to get
 *					the next page
 *	after_seq		instead: in the order of the log from there
 *	max_events		how many
 *
 * A statement is put together from what is given, so that each combination
 * has a plan of its own; values are parameters.
 */
CREATE FUNCTION event_engine.list_events(
		pattern text DEFAULT NULL,
		source_type text DEFAULT NULL,
		since timestamptz DEFAULT NULL,
		until timestamptz DEFAULT NULL,
		correlation_id text DEFAULT NULL,
		partition_key text DEFAULT NULL,
		event_id text DEFAULT NULL,
		source jsonb DEFAULT NULL,
		metadata jsonb DEFAULT NULL,
		before_seq bigint DEFAULT NULL,
		after_seq bigint DEFAULT NULL,
		max_events integer DEFAULT 100)
	RETURNS SETOF event_engine.event
	LANGUAGE plpgsql STABLE ROWS 100
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	patterns text[];
	conditions text;
BEGIN
	IF before_seq IS NOT NULL AND after_seq IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'only one of before_seq and after_seq can be given';
	END IF;
	IF max_events IS NULL OR max_events < 1 THEN
		RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
			MESSAGE = 'max_events must be at least 1';
	END IF;
	IF pattern ~ '[*#]' THEN
		patterns := event_engine.expand_pattern(pattern);
	END IF;
	source := CASE WHEN source_type IS NULL THEN source
		ELSE COALESCE(source, '{}') || jsonb_build_object('type', source_type)
		END;

	conditions := concat_ws(' AND ', 'true',
		CASE WHEN patterns IS NOT NULL THEN 'e.pattern = ANY ($2)'
			WHEN pattern IS NOT NULL THEN 'e.pattern = $1' END,
		CASE WHEN since IS NOT NULL THEN 'e.created_at >= $3' END,
		CASE WHEN until IS NOT NULL THEN 'e.created_at < $4' END,
		CASE WHEN correlation_id IS NOT NULL
			THEN 'e.metadata ->> ''correlationId'' = $5' END,
		CASE WHEN partition_key IS NOT NULL THEN 'e.partition_key = $6' END,
		CASE WHEN event_id IS NOT NULL THEN 'e.event_id = $7' END,
		CASE WHEN source IS NOT NULL THEN 'e.source @> $8' END,
		CASE WHEN metadata IS NOT NULL THEN 'e.metadata @> $9' END,
		CASE WHEN before_seq IS NOT NULL THEN 'e.seq < $10' END,
		CASE WHEN after_seq IS NOT NULL THEN 'e.seq > $11' END);
	-- under a barrier not every condition can use its index
	RETURN QUERY EXECUTE format(
		'SELECT e.* FROM event_engine.%s AS e WHERE %s ORDER BY e.seq %s LIMIT $12',
		CASE WHEN has_table_privilege('event_engine.events', 'SELECT')
			THEN 'events' ELSE 'readable_events' END,
		conditions, CASE WHEN after_seq IS NULL THEN 'DESC' ELSE 'ASC' END)
		USING pattern, patterns, since, until, correlation_id, partition_key,
			event_id, source, metadata, before_seq, after_seq, max_events;
END
$$;
COMMENT ON FUNCTION event_engine.list_events(text, text, timestamptz, timestamptz, text, text, text, jsonb, jsonb, bigint, bigint, integer) IS
	'Events that fit, newest first, or from after_seq on in the order of the log; a page at a time.';

/* Registered patterns that a wildcard stands for.  What is in the log has
 * been registered, so an index can be asked for each of them. */
CREATE FUNCTION event_engine.expand_pattern(wildcard text) RETURNS text[]
	LANGUAGE plpgsql STABLE STRICT
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN COALESCE((SELECT array_agg(d.pattern::text)
		FROM event_engine.event_definitions AS d
		WHERE event_engine.event_matches(
			jsonb_populate_record(NULL::event_engine.event,
				jsonb_build_object('pattern', d.pattern)),
			jsonb_build_array(jsonb_build_object('type', 'wildcard',
				'value', wildcard)), NULL, NULL)), '{}');
END
$$;
COMMENT ON FUNCTION event_engine.expand_pattern(text) IS
	'The registered patterns that a wildcard stands for.';

/*
 * event_counts: how many events of each pattern arrived in a time; reads
 * them all, so it takes as long as there are events.
 */
CREATE FUNCTION event_engine.event_counts(
		since timestamptz DEFAULT clock_timestamp() - '1 day'::interval,
		until timestamptz DEFAULT NULL)
	RETURNS TABLE (pattern text, events bigint, first_at timestamptz,
		last_at timestamptz)
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
SELECT e.pattern::text, count(*), min(e.created_at), max(e.created_at)
FROM event_engine.readable_events AS e
WHERE e.created_at >= COALESCE(since, '-infinity')
	AND e.created_at < COALESCE(until, 'infinity')
GROUP BY e.pattern
ORDER BY 2 DESC, 1
$$;
COMMENT ON FUNCTION event_engine.event_counts(timestamptz, timestamptz) IS
	'How many events of each pattern arrived, of the last day unless said otherwise.';
