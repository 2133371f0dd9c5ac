-- What a database under torture holds beside the extension: who publishes and
-- subscribes, and the tables in which the truth is kept.
--
--	published	what a transaction has published, written by that transaction
--	effect		what a handler or a pulling client has done with an event, in
--				the transaction of the delivery; no constraint on it, so that a
--				second effect is found by the checker and not hidden by a retry
--	wants		which of the published a subscriber is to get
--	totals		effects and letters of the rounds before, for the statistics
--	mended		while there is no row, poisoned events fail
--
-- Everything that has to be ordered takes a number from the sequence tick.
CREATE ROLE clerk LOGIN;
CREATE ROLE smith LOGIN;
CREATE ROLE puller LOGIN;
CREATE SCHEMA torture;
CREATE SEQUENCE torture.tick;
CREATE TABLE torture.published (round int, session int, n int, pattern text,
	amount int, poison bool, late bool, key text, sequential bool,
	tick bigint NOT NULL DEFAULT nextval('torture.tick'));
CREATE INDEX ON torture.published (round, session, n);
CREATE TABLE torture.effect (subscriber text, round int, session int, n int,
	id uuid, seq bigint, attempts int,
	tick bigint NOT NULL DEFAULT nextval('torture.tick'));
CREATE INDEX ON torture.effect (subscriber, round, session, n);
CREATE TABLE torture.wants (subscriber text PRIMARY KEY, matching text, above int,
	kind text, once bool, fifo bool, max_attempts int, since bigint, until bigint,
	ordered bool, by_key bool);
CREATE TABLE torture.totals (subscriber text PRIMARY KEY, delivered bigint,
	failed bigint);
CREATE TABLE torture.mended (since timestamptz);
CREATE TABLE torture.at_commit (subscriber text, session int, n int, poison bool);

-- what each handler does; attempts are null for an event that comes straight
-- from the log, and those made before for one that waited in deliveries
CREATE FUNCTION torture.note(subscriber text, e event_engine.event) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS $$
	INSERT INTO torture.effect (subscriber, round, session, n, id, seq, attempts)
	SELECT note.subscriber, (e.payload ->> 'r')::int, (e.payload ->> 's')::int,
		(e.payload ->> 'n')::int, e.id, e.seq, (SELECT d.attempts
			FROM event_engine.deliveries d JOIN event_engine.subscriptions s
				ON s.number = d.subscription_number
			WHERE s.subscriber = note.subscriber AND d.seq = e.seq)
$$;

CREATE FUNCTION torture.is_poison(e event_engine.event) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
	SELECT e.payload ? 'poison' AND NOT EXISTS (SELECT FROM torture.mended)
$$;

CREATE FUNCTION torture.moody(subscriber text, e event_engine.event, mood text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM torture.note(subscriber, e);
	IF mood = 'flaky' AND random() < 0.03 THEN
		RAISE EXCEPTION 'not in the mood';
	ELSIF mood = 'poison' AND torture.is_poison(e) THEN
		RAISE EXCEPTION 'poisoned %', e.payload ->> 'n' USING DETAIL = 'as published';
	ELSIF mood = 'sleepy' AND torture.is_poison(e) THEN
		PERFORM pg_sleep(5);
	ELSIF mood = 'slow' AND random() < 0.05 THEN
		PERFORM pg_sleep(0.02);
	ELSIF mood = 'deferred' THEN
		INSERT INTO torture.at_commit VALUES (subscriber, (e.payload ->> 's')::int,
			(e.payload ->> 'n')::int, torture.is_poison(e));
	ELSIF mood = 'chain' THEN
		PERFORM event_engine.publish_event('torture.follow',
			jsonb_build_object('r', e.payload -> 'r', 's', (e.payload ->> 's')::int + 1000000,
				'n', e.payload -> 'n', 'amount', e.payload -> 'amount'));
		INSERT INTO torture.published (round, session, n, pattern, amount, poison, late, sequential)
			VALUES ((e.payload ->> 'r')::int, (e.payload ->> 's')::int + 1000000,
				(e.payload ->> 'n')::int, 'torture.follow', (e.payload ->> 'amount')::int,
				false, false, false);
	END IF;
END $$;

CREATE FUNCTION torture.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF new.poison THEN
		RAISE EXCEPTION 'poisoned %, found at commit', new.n;
	ELSIF random() < 0.01 THEN
		RAISE EXCEPTION 'not in the mood to commit';
	END IF;
	DELETE FROM torture.at_commit WHERE session = new.session AND n = new.n;
	RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON torture.at_commit
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION torture.refuse();

-- a subscription with a handler function of its own
CREATE FUNCTION torture.attend(subscriber text, takes text, mood text,
	matching text, above int, once bool, fifo bool, options jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	patterns text[] := CASE WHEN matching = '.' THEN '{torture.#}'
		ELSE ARRAY[replace(matching, '\', '')] END;
	e text := CASE takes WHEN 'jsonb' THEN
		'(SELECT ROW(x.*)::event_engine.event FROM event_engine.get_event((e ->> ''id'')::uuid) x)'
		ELSE 'e' END;
BEGIN
	IF takes = 'event_engine.event[]' THEN
		EXECUTE format('CREATE FUNCTION torture.take_%1$s(e event_engine.event[]) RETURNS void LANGUAGE plpgsql AS '
			'$b$ DECLARE one event_engine.event; BEGIN FOREACH one IN ARRAY e LOOP PERFORM torture.moody(%1$L, one, %2$L); END LOOP; END $b$',
			subscriber, mood);
	ELSE
		EXECUTE format('CREATE FUNCTION torture.take_%1$s(e %3$s) RETURNS void LANGUAGE plpgsql AS '
			'$b$ BEGIN PERFORM torture.moody(%1$L, %4$s, %2$L); END $b$',
			subscriber, mood, takes, e);
	END IF;
	PERFORM event_engine.subscribe(subscriber, patterns, 'torture.take_' || subscriber,
		filter => CASE WHEN above >= 0 THEN '$.payload.amount > ' || above END,
		options => '{"backoff_ms": 20, "backoff_factor": 1.5, "backoff_max_ms": 500, "processing_log": true}' || options);
	INSERT INTO torture.wants VALUES (subscriber, matching, above,
		CASE WHEN (options -> 'immediate')::boolean THEN 'immediate' ELSE 'handler' END, once, fifo,
		(options ->> 'max_attempts')::int, 0, NULL, coalesce((options ->> 'ordered')::bool, false),
		options ? 'concurrency');
END $$;

CREATE FUNCTION torture.attend_by_pull(subscriber text, once bool, attempts int, options jsonb DEFAULT '{}') RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM event_engine.subscribe(subscriber, '{torture.#}',
		options => jsonb_build_object('max_attempts', attempts, 'backoff_ms', 20, 'backoff_max_ms', 500) || options);
	INSERT INTO torture.wants VALUES (subscriber, '.', -1, 'pull', once, false, attempts, 0, NULL, false, false);
END $$;

SELECT event_engine.register_event_definition('torture.' || w,
	'{"type": "object", "required": ["n"], "properties": {"amount": {"type": "number", "minimum": 0}}}',
	event_id => 'def-' || w)
FROM unnest('{a,b,c,rare,follow}'::text[]) w;
SELECT event_engine.register_event_definition('bell.ring');
SELECT event_engine.run_maintenance();

GRANT USAGE ON SCHEMA torture TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA torture TO PUBLIC;
GRANT ALL ON ALL SEQUENCES IN SCHEMA torture TO PUBLIC;
GRANT CREATE ON SCHEMA torture TO clerk, smith, puller;
DO $$
DECLARE
	r text;
BEGIN
	FOREACH r IN ARRAY '{clerk,smith,puller}'::text[] LOOP
		CALL event_engine.grant_duty('subscriber', r::regrole);
		CALL event_engine.grant_duty('publisher', r::regrole);
		CALL event_engine.grant_duty('reader', r::regrole);
	END LOOP;
END $$;

--	subscriber, takes, mood, matching, above, once, fifo, options
SELECT torture.attend('all_one', 'event_engine.event', 'plain', '.', -1, true, true, '{"max_attempts": 50}');
SELECT torture.attend('all_array', 'event_engine.event[]', 'plain', '.', -1, true, true, '{"max_attempts": 50, "batch_size": 50}');
SELECT torture.attend('rare', 'event_engine.event[]', 'plain', 'torture\.rare', -1, true, true, '{"max_attempts": 50}');
SELECT torture.attend('filtered', 'event_engine.event', 'plain', '.', 90, true, true, '{"max_attempts": 50}');
SELECT torture.attend('chain', 'event_engine.event', 'chain', 'torture\.a', -1, true, false, '{"max_attempts": 50}');
SELECT torture.attend('at_once', 'event_engine.event', 'plain', 'torture\.a', 50, true, false, '{"max_attempts": 50, "immediate": true}');
SELECT torture.attend('limited', 'event_engine.event', 'plain', 'torture\.c', -1, true, true, '{"max_attempts": 50, "rate_limit": 500, "rate_burst": 20}');
SET ROLE clerk;
SELECT torture.attend('flaky', 'event_engine.event', 'flaky', '.', -1, true, false, '{"max_attempts": 1000}');
SELECT torture.attend('flaky_array', 'event_engine.event[]', 'flaky', 'torture\.b', -1, true, false, '{"max_attempts": 1000, "batch_size": 20}');
SELECT torture.attend('deferred', 'event_engine.event', 'deferred', 'torture\.c', -1, true, false, '{"max_attempts": 4}');
SELECT torture.attend('slow', 'event_engine.event', 'slow', 'torture\.b', -1, true, true, '{"max_attempts": 50}');
SELECT torture.attend('fanned', 'event_engine.event', 'slow', '.', 30, true, true, '{"max_attempts": 50, "concurrency": 4}');
SELECT torture.attend('switched', 'event_engine.event', 'plain', '.', 50, true, true, '{"max_attempts": 50, "concurrency": 3}');
SELECT torture.attend('replayed', 'event_engine.event', 'plain', '.', 70, false, false, '{"max_attempts": 50}');
SELECT torture.attend('sought', 'event_engine.event[]', 'plain', '.', 70, false, false, '{"max_attempts": 50}');
SET ROLE smith;
SELECT torture.attend('in_order', 'event_engine.event', 'poison', '.', -1, true, false, '{"max_attempts": 3, "ordered": true}');
SELECT torture.attend('in_order_array', 'event_engine.event[]', 'flaky', 'torture\.a', -1, true, false, '{"max_attempts": 1000, "ordered": true, "concurrency": 2}');
SELECT torture.attend('poisoned', 'event_engine.event', 'poison', '.', -1, true, false, '{"max_attempts": 3}');
SELECT torture.attend('poisoned_json', 'jsonb', 'poison', '.', 50, true, false, '{"max_attempts": 1}');
SELECT torture.attend('poisoned_array', 'event_engine.event[]', 'poison', '.', -1, true, false, '{"max_attempts": 2, "batch_size": 100}');
SELECT torture.attend('breaking', 'event_engine.event', 'poison', 'torture\.b', -1, true, false, '{"max_attempts": 3, "breaker_threshold": 2, "breaker_window_ms": 2000, "breaker_recovery_ms": 100}');
SELECT torture.attend('sleepy', 'event_engine.event', 'sleepy', 'torture\.rare', -1, true, false, '{"max_attempts": 2, "timeout_ms": 200}');
SET ROLE puller;
SELECT torture.attend_by_pull('pull_exact', true, 1000);
SELECT torture.attend_by_pull('pull_fenced', true, 1000);
SELECT torture.attend_by_pull('pull_mortal', true, 3, '{"max_in_flight": 60}');
SELECT torture.attend_by_pull('pull_sloppy', false, 1000);
RESET ROLE;
SELECT event_engine.subscribe('bell', '{bell.ring}', channel => 'torture_bell');
GRANT ALL ON ALL TABLES IN SCHEMA torture TO PUBLIC;
