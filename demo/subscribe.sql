-- A function that is called with one event.
CREATE TABLE demo.pull_request_activity (
	event text, action text, times int NOT NULL, fastest interval NOT NULL, PRIMARY KEY (event, action));

CREATE FUNCTION demo.on_pull_request(event event_engine.event) RETURNS void LANGUAGE sql AS $$
	INSERT INTO demo.pull_request_activity AS a
	VALUES (event.pattern, event.payload ->> 'action', 1, clock_timestamp() - event.created_at)
	ON CONFLICT ON CONSTRAINT pull_request_activity_pkey
		DO UPDATE SET times = a.times + 1, fastest = least(a.fastest, excluded.fastest)
$$;

-- One that is called with a batch.
CREATE TABLE demo.tally (pattern text PRIMARY KEY, events bigint);

CREATE FUNCTION demo.on_batch(events event_engine.event[]) RETURNS void LANGUAGE sql AS $$
	INSERT INTO demo.tally AS t
	SELECT pattern, count(*) FROM unnest(events) GROUP BY pattern
	ON CONFLICT (pattern) DO UPDATE SET events = t.events + excluded.events
$$;

-- One that is called with the envelope.
CREATE TABLE demo.failures (repository text, event text, name text, failed_at timestamptz);

CREATE FUNCTION demo.on_failure(envelope jsonb) RETURNS void LANGUAGE sql AS $$
	INSERT INTO demo.failures
	SELECT envelope #>> '{payload,repository,full_name}', envelope ->> 'pattern', job ->> 'name',
		(job ->> 'completed_at')::timestamptz
	FROM jsonb_path_query(envelope, '$.payload.* ? (@.conclusion == "failure")') AS job
$$;

-- And one that fails for some events, namely when a star is taken away.
CREATE TABLE demo.stars (repository text, starred_at timestamptz NOT NULL);

CREATE FUNCTION demo.on_star(event event_engine.event) RETURNS void LANGUAGE sql AS $$
	INSERT INTO demo.stars
	SELECT event.payload #>> '{repository,full_name}', (event.payload ->> 'starred_at')::timestamptz
$$;

\o /dev/null
SELECT event_engine.subscribe('pull-requests',
	'{github.pull_request, github.pull_request_review, github.pull_request_review_comment}',
	handler => 'demo.on_pull_request');
SELECT event_engine.subscribe('tally', '{github.#}', handler => 'demo.on_batch');
SELECT event_engine.subscribe('failures', '{github.check_run, github.workflow_job, github.workflow_run}',
	handler => 'demo.on_failure', filter => '$.payload.*.conclusion == "failure"');
SELECT event_engine.subscribe('stars', '{github.star}', handler => 'demo.on_star',
	options => '{"max_attempts": 2, "backoff_ms": 50}');
SELECT event_engine.subscribe('ci-dashboard',
	match => '{"type": "prefix", "value": "github.workflow_",
		"filters": [{"field": "$.payload.action", "operator": "equals", "value": "completed"}]}');
SELECT event_engine.subscribe('security-desk',
	match => '{"type": "regex", "value": "^github\\.(security|dependabot|code_)"}');
SELECT event_engine.subscribe('release-bell', '{*.release}', channel => 'releases',
	filter => '$.payload.action == "published"');
\o
SELECT subscriber,
	(SELECT string_agg(concat(m ->> 'type', ' ', m ->> 'value'), E'\n') FROM jsonb_array_elements(match) AS m) AS wants,
	COALESCE(filter_path, (SELECT string_agg(concat_ws(' ', f ->> 'field', f ->> 'operator', f ->> 'value'), E'\n')
		FROM jsonb_array_elements(match) AS m, jsonb_array_elements(m -> 'filters') AS f)) AS filter,
	COALESCE(replace(handler, 'event_engine.', ''), 'NOTIFY ' || channel, 'receive_events()') AS delivered_to
FROM event_engine.subscriptions ORDER BY number;
