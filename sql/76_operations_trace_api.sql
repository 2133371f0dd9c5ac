/* ------------------------------------------------------------------------
 * Operations: what happened because of what.
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.event_subscriptions(event event_engine.event)
	RETURNS SETOF integer
	LANGUAGE c VOLATILE STRICT ROWS 5
	AS 'MODULE_PATHNAME', 'ee_sql_event_subscriptions';
COMMENT ON FUNCTION event_engine.event_subscriptions(event_engine.event) IS
	'The numbers of the subscriptions that want an event; those whose filter raises an error are among them.';

/*
 * What has become of an event for the subscriptions that it concerns, as
 * event_deliveries() tells, made for many events at a time.
 */
CREATE FUNCTION event_engine.trace_deliveries(given event_engine.event)
	RETURNS TABLE (subscriber text, state text, detail text, at timestamptz)
	LANGUAGE sql VOLATILE ROWS 5
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = on
	SET enable_seqscan = off AS $$
SELECT s.subscriber::text,
	CASE WHEN d.status = 'retry' THEN 'retrying'
		WHEN d.status IS NOT NULL THEN d.status
		WHEN l.attempts IS NOT NULL THEN 'leased'
		WHEN x.status IS NOT NULL THEN x.status
		WHEN p.finished_at IS NOT NULL
			OR (s.options -> 'immediate')::boolean THEN 'delivered'
		-- before all that was looked at here
		WHEN event_engine.had_passed_event(s.number, given) THEN
			CASE WHEN s.options ->> 'start' = 'now'
				AND given.created_at < s.created_at THEN 'before'
				ELSE 'delivered' END
		WHEN NOT event_engine.passed_event(s.number, given) THEN 'pending'
		-- meanwhile, and perhaps it has failed
		ELSE (SELECT CASE t.state WHEN 'retry' THEN 'retrying'
				WHEN 'done' THEN 'delivered' ELSE t.state END
			FROM event_engine.delivery_state(s, given) AS t) END,
	concat_ws(', ',
		CASE COALESCE(d.attempts, l.attempts, x.retry_count, p.attempt)
			WHEN 0 THEN NULL WHEN 1 THEN '1 attempt'
			ELSE COALESCE(d.attempts, l.attempts, x.retry_count, p.attempt)
				|| ' attempts' END,
		CASE WHEN isfinite(d.next_attempt_at)
				AND d.status IN ('retry', 'delayed')
			THEN 'due at ' || date_trunc('second', d.next_attempt_at) END,
		COALESCE(d.last_error, x.error_message)),
	COALESCE(p.finished_at, d.updated_at, x.created_at)
FROM event_engine.subscriptions AS s
LEFT JOIN event_engine.deliveries AS d
	ON d.subscription_number = s.number AND d.seq = given.seq
LEFT JOIN LATERAL (SELECT l.attempts FROM event_engine.event_leases AS l
	WHERE l.subscription_number = s.number AND given.seq = ANY (l.seqs)
	LIMIT 1) AS l ON true
LEFT JOIN LATERAL (SELECT x.status, x.retry_count, x.error_message, x.created_at
	FROM event_engine.event_dead_letters AS x
	WHERE x.subscriber = s.subscriber AND x.seq = given.seq
	ORDER BY x.created_at DESC LIMIT 1) AS x ON true
LEFT JOIN LATERAL (SELECT p.finished_at, p.attempt
	FROM event_engine.event_processing_log AS p
	WHERE p.id = given.id AND p.subscriber = s.subscriber
		AND p.outcome = 'delivered'
	ORDER BY p.finished_at DESC LIMIT 1) AS p ON true
WHERE s.kind <> 'workflow'
	AND (s.number IN (SELECT w FROM event_engine.event_subscriptions(given) AS w)
		OR d.seq IS NOT NULL OR x.status IS NOT NULL)
ORDER BY s.subscriber
$$;
COMMENT ON FUNCTION event_engine.trace_deliveries(event_engine.event) IS
	'What has become of an event, for each subscription that it concerns, in words.';

/*
 * trace_nodes: what belongs to a correlation, as nodes of a tree.
 *
 *	key, parent		of the node, and of the one that caused it; null: none
 *	the rest		as of trace_events()
 *
 * In the order in which those with the same parent are shown.  The planner
 * cannot know how many there are: nested loops could be loops of thousands
 * within thousands.
 */
CREATE FUNCTION event_engine.trace_nodes(correlation_id text,
		max_events integer, deliveries boolean)
	RETURNS TABLE (key text, parent text, kind text, name text, state text,
		at timestamptz, detail text, id uuid, event_id text, payload jsonb,
		created_by text, seq bigint)
	LANGUAGE sql VOLATILE ROWS 1000
	SET search_path = pg_catalog, pg_temp
	SET enable_nestloop = off
	SET jit = off AS $$
WITH found AS MATERIALIZED (
	-- by the index on the correlation, not by that on seq
	SELECT f.* FROM (SELECT e.* FROM event_engine.events AS e
		WHERE e.metadata ->> 'correlationId' = correlation_id OFFSET 0) AS f
	ORDER BY f.seq LIMIT max_events
), names AS MATERIALIZED (
	-- all that can be named as a cause
	SELECT DISTINCT ON (n.name) n.name, n.id
	FROM (SELECT f.id::text AS name, f.id FROM found AS f
		UNION ALL
		SELECT f.event_id::text, f.id FROM found AS f
		WHERE f.event_id IS NOT NULL) AS n
	ORDER BY n.name, n.id
), instances AS MATERIALIZED (
	SELECT i.* FROM event_engine.workflow_instances AS i
	WHERE i.metadata ->> 'correlationId' = correlation_id
), steps AS MATERIALIZED (
	SELECT s.* FROM instances AS i
	CROSS JOIN LATERAL (SELECT o.* FROM event_engine.workflow_steps AS o
		WHERE o.instance_id = i.id OFFSET 0) AS s
), published AS MATERIALIZED (
	-- by which step an event was published
	SELECT DISTINCT ON (f.id) f.id,
		format('%s %s %s', s.instance_id, s.step_number, s.attempt) AS step
	FROM found AS f
	JOIN steps AS s ON s.instance_id::text = f.source ->> 'id'
		AND f.created_at BETWEEN s.started_at AND s.finished_at
	WHERE f.source ->> 'type' = 'workflow'
	ORDER BY f.id, s.started_at DESC
), nodes AS (
	-- events, under the step or the workflow that published them, or the
	-- event that caused them
	SELECT f.id::text AS key,
		COALESCE(p.step, w.id::text, c.id::text) AS parent,
		'event' AS kind, f.pattern::text AS name, NULL AS state,
		f.created_at AS at, NULL AS detail, f.id, f.event_id::text, f.payload,
		f.created_by, f.seq, 1 AS place
	FROM found AS f
	LEFT JOIN names AS c ON c.name = f.metadata ->> 'causationId'
	LEFT JOIN published AS p ON p.id = f.id
	LEFT JOIN instances AS w ON w.id::text = f.source ->> 'id'
		AND f.source ->> 'type' = 'workflow'
	UNION ALL
	-- deliveries, under their event
	SELECT NULL, f.id::text, 'delivery', d.subscriber, d.state, d.at,
		NULLIF(d.detail, ''), NULL, NULL, NULL, NULL, f.seq, 0
	FROM found AS f
	CROSS JOIN LATERAL event_engine.trace_deliveries(ROW(f.*)::event_engine.event) AS d
	WHERE deliveries
	UNION ALL
	-- workflows, under the one that started them, or the event
	SELECT i.id::text, COALESCE(o.id::text, c.id::text), 'workflow',
		i.workflow::text, i.status, i.created_at,
		concat_ws(', ', 'key ' || i.correlation_key, i.last_error), i.id, NULL,
		i.input, NULL, NULL, 1
	FROM instances AS i
	LEFT JOIN instances AS o ON o.id = i.parent_id
	LEFT JOIN names AS c ON c.name = i.metadata ->> 'causationId'
	UNION ALL
	-- steps, under their workflow
	SELECT format('%s %s %s', s.instance_id, s.step_number, s.attempt),
		s.instance_id::text, 'step', s.step, s.result, s.started_at,
		concat_ws(', ', 'by ' || COALESCE(f.pattern::text,
				CASE s.resumed_by WHEN 'timeout'
					THEN 'timeout of ' || s.wait_name
					ELSE s.wait_name END, s.resumed_by),
			CASE WHEN s.attempt > 1 THEN 'attempt ' || s.attempt END,
			s.error_message),
		s.event_id, NULL, NULL, NULL, s.event_seq, 0
	FROM steps AS s
	LEFT JOIN found AS f ON f.id = s.event_id
)
SELECT n.key, n.parent, n.kind, n.name, n.state, n.at, n.detail, n.id,
	n.event_id, n.payload, n.created_by, n.seq
FROM nodes AS n
ORDER BY n.place, n.at, n.seq, n.name
$$;
COMMENT ON FUNCTION event_engine.trace_nodes(text, integer, boolean) IS
	'The events, deliveries, workflows and steps of a correlation, each with what caused it.';

/*
 * trace_events: what belongs together, as a tree: what happened because of
 * what.
 *
 *	correlation_id	as in metadata.correlationId
 *	max_events		the first so many
 *	deliveries		show what has become of each event, too
 *
 *	tree			the name, indented; a delivery's with an arrow
 *	state			of a delivery as in event_deliveries(), of a workflow its
 *					status, of a step its result
 *	elapsed			since the first event
 *	detail			attempts and errors, what a step was resumed by
 *	kind			event | delivery | workflow | step
 *	depth			0 for what nothing in the trace has caused
 *	name			pattern, subscriber, workflow, or step
 *	caused_by		id of the event or workflow above it.  An event's cause is the
 *					one that metadata.causationId names by its id or event_id
 *
 * Where events claim to be their own cause, over however many steps, the
 * first of them stands at depth 0.
 */
CREATE FUNCTION event_engine.trace_events(correlation_id text,
		max_events integer DEFAULT 10000, deliveries boolean DEFAULT true)
	RETURNS TABLE (tree text, state text, elapsed interval, detail text,
		kind text, depth integer, name text, at timestamptz, id uuid,
		caused_by uuid, event_id text, payload jsonb, created_by text,
		seq bigint)
	LANGUAGE c VOLATILE STRICT ROWS 100
	AS 'MODULE_PATHNAME', 'ee_sql_trace_events';
COMMENT ON FUNCTION event_engine.trace_events(text, integer, boolean) IS
	'The events of a correlation as a tree of causes, with their deliveries and the workflows that they moved.';
