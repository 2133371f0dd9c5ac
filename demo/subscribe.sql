-- A function that is called with one event.
CREATE TABLE demo.pull_requests (
	repository text, number int, title text, actions text[] NOT NULL DEFAULT '{}',
	reviews int NOT NULL DEFAULT 0, comments int NOT NULL DEFAULT 0,
	PRIMARY KEY (repository, number));

CREATE FUNCTION demo.on_pull_request(event event_engine.event) RETURNS void LANGUAGE sql AS $$
	INSERT INTO demo.pull_requests AS p (repository, number, title, actions, reviews, comments)
	VALUES (
		event.payload #>> '{repository,full_name}',
		(event.payload #>> '{pull_request,number}')::int,
		event.payload #>> '{pull_request,title}',
		ARRAY[event.payload ->> 'action'],
		(event.pattern = 'github.pull_request_review')::int,
		(event.pattern = 'github.pull_request_review_comment')::int)
	ON CONFLICT (repository, number) DO UPDATE
		SET actions = p.actions || excluded.actions,
			reviews = p.reviews + excluded.reviews,
			comments = p.comments + excluded.comments
$$;

-- One that is called with a batch.
CREATE TABLE demo.tally (pattern text PRIMARY KEY, events bigint);

CREATE FUNCTION demo.on_batch(events event_engine.event[]) RETURNS void LANGUAGE sql AS $$
	INSERT INTO demo.tally AS t
	SELECT pattern, count(*) FROM unnest(events) GROUP BY pattern
	ON CONFLICT (pattern) DO UPDATE SET events = t.events + excluded.events
$$;

-- One that is called with the envelope, and one that fails for some events.
CREATE TABLE demo.triage (number int, title text, opened_by text);

CREATE FUNCTION demo.on_issue(envelope jsonb) RETURNS void LANGUAGE sql AS $$
	INSERT INTO demo.triage
	SELECT i.number, i.title, i.user ->> 'login'
	FROM jsonb_to_record(envelope #> '{payload,issue}') AS i (number int, title text, "user" jsonb)
$$;

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
SELECT event_engine.subscribe('triage', '{github.issues}', handler => 'demo.on_issue',
	filter => '$.payload.action == "opened" && $.payload.issue.state == "open"');
SELECT event_engine.subscribe('stars', '{github.star}', handler => 'demo.on_star',
	options => '{"max_attempts": 2, "backoff_ms": 50}');
SELECT event_engine.subscribe('ci-dashboard',
	match => '{"type": "prefix", "value": "github.workflow_",
		"filters": [{"field": "$.payload.action", "operator": "equals", "value": "completed"}]}');
SELECT event_engine.subscribe('security-desk',
	match => '{"type": "regex", "value": "^github\\.(security|dependabot|code_scanning|repository_vuln).*"}');
SELECT event_engine.subscribe('release-bell', '{*.release}', channel => 'releases',
	filter => '$.payload.action == "published"');
\o
SELECT subscriber, kind,
	COALESCE(handler, 'NOTIFY ' || channel, 'receive_events()') AS delivered_to,
	(SELECT string_agg(concat(m ->> 'type', ' ', m ->> 'value'), E'\n') FROM jsonb_array_elements(match) AS m) AS wants,
	COALESCE(filter_path, (SELECT string_agg(concat_ws(' ', f ->> 'field', f ->> 'operator', f ->> 'value'), E'\n')
		FROM jsonb_array_elements(match) AS m, jsonb_array_elements(m -> 'filters') AS f)) AS filter
FROM event_engine.subscriptions ORDER BY number;
