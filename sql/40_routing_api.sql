/* ------------------------------------------------------------------------
 * Routing: subscribe.
 *
 * The public functions that change subscriptions are faces in C: they call
 * the definer function of the same name with _as, which does the work, and
 * tell it the caller's role.  Those are open to nobody (see the end).
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.event_envelope(event event_engine.event)
	RETURNS jsonb
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_event_envelope';
COMMENT ON FUNCTION event_engine.event_envelope(event_engine.event) IS
	'The event as the JSON envelope that handlers of jsonb and pulling clients see.';

/* ---- What a definition may say ---- */

CREATE FUNCTION event_engine.event_matches(event event_engine.event,
		match jsonb, filter_path text DEFAULT NULL, filters jsonb DEFAULT NULL)
	RETURNS boolean
	LANGUAGE c STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_event_matches';
COMMENT ON FUNCTION event_engine.event_matches(event_engine.event, jsonb, text, jsonb) IS
	'Whether an event has one of the patterns and passes the filters.';

CREATE FUNCTION event_engine.find_handler(handler text)
	RETURNS regprocedure
	LANGUAGE c STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'ee_sql_find_handler';
COMMENT ON FUNCTION event_engine.find_handler(text) IS
	'The function meant by a handler''s name or signature, as the caller sees it.';

/*
 * The canonical form of what is matched.  patterns are exact names, or AMQP
 * wildcards where they hold * or #; match is an object or an array of them.
 */
CREATE FUNCTION event_engine.subscription_match(patterns text[], match jsonb)
	RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp
RETURN COALESCE((SELECT jsonb_agg(jsonb_build_object(
			'type', CASE WHEN p.pattern ~ '[*#]' THEN 'wildcard'
				ELSE 'exact' END,
			'value', p.pattern) ORDER BY p.position)
		FROM unnest(patterns) WITH ORDINALITY AS p (pattern, position)), '[]')
	|| CASE WHEN match IS NULL THEN '[]'
		WHEN jsonb_typeof(match) = 'array' THEN match
		ELSE jsonb_build_array(match) END;
COMMENT ON FUNCTION event_engine.subscription_match(text[], jsonb) IS
	'Patterns and match objects of a subscription in one list.';

/* One option: its canonical name and value, checked. */
CREATE FUNCTION event_engine.subscription_option(name text, value jsonb)
	RETURNS jsonb
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	canonical CONSTANT text := CASE name
		WHEN 'batchSize' THEN 'batch_size'
		WHEN 'maxAttempts' THEN 'max_attempts'
		WHEN 'backoffMs' THEN 'backoff_ms'
		WHEN 'backoffFactor' THEN 'backoff_factor'
		WHEN 'backoffMaxMs' THEN 'backoff_max_ms'
		WHEN 'maxBackoffMs' THEN 'backoff_max_ms'
		WHEN 'exponentialBackoff' THEN 'exponential_backoff'
		WHEN 'timeout' THEN 'timeout_ms'
		WHEN 'timeoutMs' THEN 'timeout_ms'
		WHEN 'processingLog' THEN 'processing_log'
		WHEN 'deliveryGuarantee' THEN 'delivery_guarantee'
		WHEN 'idempotencyKey' THEN 'idempotency_key'
		WHEN 'idempotencyWindowMs' THEN 'idempotency_window_ms'
		WHEN 'rateLimit' THEN 'rate_limit'
		WHEN 'rateBurst' THEN 'rate_burst'
		WHEN 'maxInFlight' THEN 'max_in_flight'
		WHEN 'breakerThreshold' THEN 'breaker_threshold'
		WHEN 'breakerWindowMs' THEN 'breaker_window_ms'
		WHEN 'breakerRecoveryMs' THEN 'breaker_recovery_ms'
		WHEN 'onDeadLetter' THEN 'on_dead_letter'
		ELSE name END;
	type CONSTANT text := jsonb_typeof(value);
	whole boolean := true;
	lower numeric;
	upper numeric;
	expected text;
BEGIN
	CASE canonical
		WHEN 'batch_size' THEN lower := 1; upper := 100000;
		WHEN 'max_attempts' THEN lower := 1; upper := 1000;
		WHEN 'backoff_ms' THEN lower := 0; upper := 86400000;
		WHEN 'backoff_max_ms' THEN lower := 0; upper := 2592000000;
		WHEN 'timeout_ms' THEN lower := 0; upper := 86400000;
		WHEN 'idempotency_window_ms' THEN lower := 1; upper := 31536000000;
		WHEN 'concurrency' THEN lower := 1; upper := 64;
		WHEN 'rate_limit' THEN lower := 0; upper := 1000000; whole := false;
		WHEN 'rate_burst' THEN lower := 1; upper := 1000000; whole := false;
		WHEN 'max_in_flight' THEN lower := 0; upper := 1000000;
		WHEN 'breaker_threshold' THEN lower := 0; upper := 64;
		WHEN 'breaker_window_ms' THEN lower := 1; upper := 86400000;
		WHEN 'breaker_recovery_ms' THEN lower := 1; upper := 86400000;
		WHEN 'backoff_factor' THEN lower := 1; upper := 100; whole := false;
		WHEN 'jitter' THEN
			IF type = 'boolean' THEN
				RETURN jsonb_build_object('jitter',
					CASE WHEN value::boolean THEN 0.2 ELSE 0 END);
			END IF;
			lower := 0; upper := 1; whole := false;
		WHEN 'exponential_backoff' THEN
			IF type = 'boolean' THEN
				RETURN jsonb_build_object('backoff_factor',
					CASE WHEN value::boolean THEN 2 ELSE 1 END);
			END IF;
			expected := 'true or false';
		WHEN 'processing_log', 'ordered', 'immediate',
				'backpressure' THEN
			IF type <> 'boolean' THEN
				expected := 'true or false';
			END IF;
		WHEN 'start' THEN
			IF type <> 'string' THEN
				expected := '"now", "beginning" or a timestamp';
			ELSIF value #>> '{}' NOT IN ('now', 'beginning') THEN
				-- an error of its own where it is no timestamp
				PERFORM (value #>> '{}')::timestamptz;
			END IF;
		WHEN 'delivery_guarantee' THEN
			value := to_jsonb(replace(value #>> '{}', '-', '_'));
			IF value #>> '{}' NOT IN ('at_most_once', 'at_least_once',
					'exactly_once') THEN
				expected := '"at_most_once", "at_least_once" or "exactly_once"';
			END IF;
		WHEN 'on_dead_letter' THEN
			IF type <> 'string' OR value #>> '{}' NOT IN ('continue', 'halt') THEN
				expected := '"continue" or "halt"';
			END IF;
		WHEN 'idempotency_key' THEN
			IF type <> 'string' THEN
				expected := 'an SQL/JSON path';
			ELSE
				-- an error of its own where it is none
				PERFORM (value #>> '{}')::jsonpath;
			END IF;
		ELSE
			RAISE EXCEPTION USING ERRCODE = 'VE304',
				MESSAGE = format('unknown option "%s"', name),
				HINT = 'Options are batch_size, concurrency, max_attempts, backoff_ms, backoff_factor, backoff_max_ms, jitter, timeout_ms, processing_log, ordered, on_dead_letter, immediate, rate_limit, rate_burst, max_in_flight, backpressure, breaker_threshold, breaker_window_ms, breaker_recovery_ms, start, delivery_guarantee, idempotency_key, idempotency_window_ms, filter, circuitBreaker {threshold, windowMs, recoveryMs}, retryPolicy {maxAttempts, backoffMs, exponentialBackoff, jitter}.';
	END CASE;

	IF lower IS NOT NULL THEN
		IF type <> 'number' OR value::numeric NOT BETWEEN lower AND upper
			OR (whole AND value::numeric <> trunc(value::numeric)) THEN
			expected := format('a%s number from %s to %s',
				CASE WHEN whole THEN ' whole' ELSE '' END, lower, upper);
		ELSE
			value := to_jsonb(trim_scale(value::numeric));
		END IF;
	END IF;
	IF expected IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'VE304',
			MESSAGE = format('invalid value of option "%s"', name),
			DETAIL = format('It must be %s and is %s.', expected, value);
	END IF;
	RETURN jsonb_build_object(canonical, value);
END
$$;
COMMENT ON FUNCTION event_engine.subscription_option(text, jsonb) IS
	'An option of a subscription under its canonical name, checked.';

/*
 * Options in snake_case or in the specification's camelCase, laid over base;
 * without a base, over the defaults.
 */
CREATE FUNCTION event_engine.subscription_options(options jsonb,
		base jsonb DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	result jsonb := COALESCE(base, jsonb_build_object('batch_size', 5000,
		'max_attempts', 5, 'backoff_ms', 1000, 'backoff_factor', 2,
		'backoff_max_ms', 3600000, 'jitter', 0.2, 'timeout_ms', 30000,
		'processing_log', false, 'start', 'now'));
	policy jsonb := '{}';
	breaker jsonb := '{}';
	option record;
BEGIN
	IF jsonb_typeof(options) IS DISTINCT FROM 'object' THEN
		RAISE EXCEPTION USING ERRCODE = 'VE304',
			MESSAGE = 'options must be a JSON object';
	END IF;

	policy := COALESCE(options -> 'retryPolicy', options -> 'retry_policy', '{}');
	IF jsonb_typeof(policy) <> 'object' OR EXISTS (
			SELECT FROM jsonb_object_keys(policy) AS k (name)
			WHERE k.name NOT IN ('maxAttempts', 'max_attempts', 'backoffMs',
				'backoff_ms', 'backoffFactor', 'backoff_factor',
				'backoffMaxMs', 'maxBackoffMs', 'backoff_max_ms',
				'exponentialBackoff', 'exponential_backoff', 'jitter')) THEN
		RAISE EXCEPTION USING ERRCODE = 'VE304',
			MESSAGE = 'invalid value of option "retryPolicy"',
			DETAIL = 'It must be an object with maxAttempts, backoffMs, exponentialBackoff, backoffFactor, maxBackoffMs, jitter.';
	END IF;

	breaker := COALESCE(options -> 'circuitBreaker',
		options -> 'circuit_breaker', '{}');
	IF jsonb_typeof(breaker) <> 'object' OR EXISTS (
			SELECT FROM jsonb_object_keys(breaker) AS k (name)
			WHERE k.name NOT IN ('threshold', 'windowMs', 'window_ms',
				'recoveryMs', 'recovery_ms')) THEN
		RAISE EXCEPTION USING ERRCODE = 'VE304',
			MESSAGE = 'invalid value of option "circuitBreaker"',
			DETAIL = 'It must be an object with threshold, windowMs, recoveryMs.';
	END IF;

	FOR option IN
		SELECT o.key, o.value FROM jsonb_each(policy) AS o
		UNION ALL
		SELECT 'breaker_' || CASE o.key WHEN 'windowMs' THEN 'window_ms'
			WHEN 'recoveryMs' THEN 'recovery_ms' ELSE o.key END, o.value
		FROM jsonb_each(breaker) AS o
		UNION ALL
		SELECT o.key, o.value FROM jsonb_each(options) AS o
		WHERE o.key NOT IN ('retryPolicy', 'retry_policy', 'circuitBreaker',
			'circuit_breaker', 'filter')
	LOOP
		result := result
			|| event_engine.subscription_option(option.key, option.value);
	END LOOP;
	RETURN result;
END
$$;
COMMENT ON FUNCTION event_engine.subscription_options(jsonb, jsonb) IS
	'Options of a subscription in canonical form, defaults filled in.';

/* Raises what forbids a function as handler of a role's subscription. */
CREATE FUNCTION event_engine.check_handler(owner oid, handler regprocedure)
	RETURNS void
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	function record;
	problem text;
BEGIN
	SELECT p.prokind, p.pronargs, p.proargtypes[0] AS argument, p.proretset,
			n.nspname
		INTO function
		FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
		WHERE p.oid = handler;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE401',
			MESSAGE = format('handler %s does not exist', handler);
	END IF;

	IF function.prokind <> 'f' THEN
		problem := CASE function.prokind WHEN 'p' THEN 'It is a procedure.'
			WHEN 'a' THEN 'It is an aggregate.'
			ELSE 'It is a window function.' END;
	ELSIF function.proretset THEN
		problem := 'It returns a set.';
	ELSIF function.pronargs <> 1 OR function.argument NOT IN
		('event_engine.event'::regtype, 'event_engine.event[]'::regtype,
		 'jsonb'::regtype) THEN
		problem := 'A handler takes one argument, of type event_engine.event, event_engine.event[] or jsonb.';
	ELSIF function.nspname LIKE 'pg\_temp\_%' THEN
		problem := 'It is temporary: no other session can call it.';
	END IF;
	IF problem IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'VE401',
			MESSAGE = format('function %s cannot be a handler', handler),
			DETAIL = problem;
	END IF;

	IF NOT has_function_privilege(owner, handler, 'EXECUTE') THEN
		RAISE EXCEPTION USING ERRCODE = '42501',
			MESSAGE = format('permission denied for function %s', handler),
			DETAIL = format('Role %s owns the subscription and would run it.',
				owner::regrole);
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.check_handler(oid, regprocedure) IS
	'Raises what forbids a function as handler of a role''s subscription.';

/*
 * The epochs of a subscription, with another one at the end where its options
 * assign events to lanes otherwise than before.
 */
CREATE FUNCTION event_engine.draft_epochs(draft event_engine.subscriptions)
	RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
	SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN draft.epochs IS NULL THEN jsonb_build_array(e.epoch)
		WHEN draft.epochs -> -1 = e.epoch THEN draft.epochs
		ELSE draft.epochs || e.epoch END
	FROM (SELECT jsonb_build_object(
		'concurrency', COALESCE(draft.options -> 'concurrency', '1'),
		'ordered', COALESCE(draft.options -> 'ordered', 'false')) AS epoch) AS e
$$;
COMMENT ON FUNCTION event_engine.draft_epochs(event_engine.subscriptions) IS
	'Internal: by which rules the events of a subscription are assigned to lanes.';

/*
 * A subscription as it would be stored: old with what is given laid over it.
 * Null keeps what old has.  patterns and match are replaced together, filter
 * and filters as well; an empty filter is none.
 */
CREATE FUNCTION event_engine.subscription_draft(old event_engine.subscriptions,
		patterns text[], handler regprocedure, filter text, filters jsonb,
		match jsonb, channel text, kind text, options jsonb)
	RETURNS event_engine.subscriptions
	LANGUAGE plpgsql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	draft event_engine.subscriptions := old;
	problem text;
	unknown text;
BEGIN
	IF old.kind = 'workflow' AND (patterns IS NOT NULL OR match IS NOT NULL
		OR filter IS NOT NULL OR filters IS NOT NULL OR options ? 'filter') THEN
		RAISE EXCEPTION USING ERRCODE = 'VE304',
			MESSAGE = format('what dispatcher "%s" matches cannot be changed',
				old.subscriber),
			DETAIL = 'It follows from the waits and triggers of its workflows.';
	END IF;
	IF patterns IS NOT NULL OR match IS NOT NULL OR draft.match IS NULL THEN
		draft.patterns := COALESCE(patterns, '{}');
		IF array_position(draft.patterns, NULL) IS NOT NULL THEN
			RAISE EXCEPTION USING ERRCODE = 'VE301',
				MESSAGE = 'a pattern must not be null';
		END IF;
		draft.match := event_engine.subscription_match(draft.patterns, match);
	END IF;

	-- the specification has the filter among the options
	IF options ? 'filter' THEN
		IF filter IS NOT NULL OR filters IS NOT NULL THEN
			RAISE EXCEPTION USING ERRCODE = 'VE302',
				MESSAGE = 'filter is given twice',
				DETAIL = 'It is both a parameter and an option.';
		END IF;
		IF jsonb_typeof(options -> 'filter') = 'string' THEN
			filter := options ->> 'filter';
		ELSE
			filters := options -> 'filter';
		END IF;
	END IF;
	-- a list may be given as text
	IF ltrim(filter, E' \t\n') LIKE '[%' THEN
		IF filters IS NOT NULL THEN
			RAISE EXCEPTION USING ERRCODE = 'VE302',
				MESSAGE = 'filter is given twice',
				DETAIL = 'Both filter and filters are lists.';
		END IF;
		filters := filter::jsonb;
		filter := '';
	END IF;
	IF filter IS NOT NULL OR filters IS NOT NULL THEN
		draft.filter_path := NULLIF(btrim(filter), '');
		draft.filters := NULLIF(filters, '[]');
	END IF;

	draft.kind := COALESCE(kind, draft.kind,
		CASE WHEN handler IS NOT NULL THEN 'handler'
			WHEN channel IS NOT NULL THEN 'notify' ELSE 'pull' END);
	draft.handler := COALESCE(handler::text, draft.handler);
	draft.channel := COALESCE(channel, draft.channel);
	draft.options := event_engine.subscription_options(
		COALESCE(options, '{}'), draft.options);

	problem := CASE
		WHEN draft.kind NOT IN ('handler', 'pull', 'notify')
			AND old.kind IS DISTINCT FROM 'workflow'
			THEN format('There is no kind "%s".', draft.kind)
		WHEN draft.kind = 'handler' AND draft.handler IS NULL
			THEN 'Kind handler needs a handler.'
		WHEN draft.kind <> 'handler' AND draft.handler IS NOT NULL
			THEN format('Kind %s has no handler.', draft.kind)
		WHEN draft.kind = 'notify' AND draft.channel IS NULL
			THEN 'Kind notify needs a channel.'
		WHEN draft.kind <> 'notify' AND draft.channel IS NOT NULL
			THEN format('Kind %s has no channel.', draft.kind)
		WHEN draft.channel = '' OR octet_length(draft.channel) > 63
			THEN 'A channel has 1 to 63 bytes.'
		WHEN draft.kind <> 'handler' AND (draft.options -> 'ordered')::boolean
			THEN format('Kind %s cannot be ordered: only a handler tells when an event is done with.', draft.kind)
		WHEN draft.kind NOT IN ('handler', 'workflow')
			AND (draft.options ->> 'concurrency')::integer > 1
			THEN format('Kind %s has no concurrency.', draft.kind)
		WHEN draft.kind = 'notify' AND draft.options ->> 'delivery_guarantee'
			IN ('at_least_once', 'exactly_once')
			THEN 'Kind notify delivers at most once.'
		WHEN (draft.options -> 'immediate')::boolean AND draft.kind <> 'handler'
			THEN 'Only a handler can be called immediately.'
		WHEN (draft.options -> 'immediate')::boolean
			AND draft.options ->> 'start' <> 'now'
			THEN 'Immediate delivery begins now.'
		WHEN draft.kind <> 'handler' AND draft.options ?| ARRAY[
			'breaker_threshold', 'breaker_window_ms', 'breaker_recovery_ms']
			THEN format(CASE draft.kind
				WHEN 'workflow' THEN 'Kind %s has no circuit breaker: a step that fails harms no other workflow.'
				ELSE 'Kind %s has no circuit breaker, as it makes no attempts.' END,
				draft.kind)
		WHEN draft.kind = 'notify' AND draft.options ? 'max_in_flight'
			THEN 'Kind notify has nothing in flight.'
		END;
	IF problem IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'VE304',
			MESSAGE = format('invalid subscription "%s"', draft.subscriber),
			DETAIL = problem,
			HINT = 'A subscription is of kind handler (a function is called), notify (a channel is notified) or pull (clients call receive_events).';
	END IF;

	IF draft.kind <> 'workflow' THEN
		PERFORM event_engine.check_match(draft.match, draft.filter_path,
			draft.filters);
	END IF;
	SELECT m.entry ->> 'value' INTO unknown
		FROM jsonb_array_elements(draft.match) AS m (entry)
		WHERE m.entry ->> 'type' = 'exact' AND draft.kind <> 'workflow'
			AND NOT EXISTS (SELECT FROM event_engine.event_definitions AS d
				WHERE d.pattern = m.entry ->> 'value')
		LIMIT 1;
	IF unknown IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'VE001',
			MESSAGE = format('unknown event pattern "%s"', unknown),
			DETAIL = 'An exact pattern must be registered before it is subscribed to.',
			HINT = 'Register it with event_engine.register_event_definition(), or subscribe to a wildcard.';
	END IF;

	-- what a wildcard stands for is asked for each pattern, when it is matched
	SELECT m.entry ->> 'value' INTO unknown
		FROM jsonb_array_elements(draft.match) AS m (entry)
		WHERE m.entry ->> 'type' = 'exact' AND draft.kind <> 'workflow'
			AND NOT event_engine.may_subscribe(draft.owner::oid,
				m.entry ->> 'value', NULL)
		LIMIT 1;
	IF unknown IS NOT NULL THEN
		RAISE EXCEPTION USING ERRCODE = '42501',
			MESSAGE = format('role "%s" may not subscribe to event "%s"',
				(SELECT r.rolname FROM pg_roles AS r
					WHERE r.oid = draft.owner), unknown),
			HINT = format('The right is granted with CALL event_engine.grant_subscribe(%L, %L).',
				unknown, draft.owner);
	END IF;

	IF draft.kind <> 'workflow' AND (patterns IS NOT NULL OR match IS NOT NULL
		OR filter IS NOT NULL OR filters IS NOT NULL) THEN
		PERFORM event_engine.check_sensitive_filter(draft.match,
			draft.filter_path, draft.filters, 'filter');
	END IF;

	draft.epochs := event_engine.draft_epochs(draft);

	IF draft.kind = 'handler' THEN
		PERFORM event_engine.check_handler(draft.owner,
			draft.handler::regprocedure);
	END IF;
	IF draft.kind <> 'pull'
		AND current_setting('server_version_num')::integer < 170000
		AND NOT (SELECT r.rolcanlogin FROM pg_roles AS r
			WHERE r.oid = draft.owner) THEN
		RAISE EXCEPTION USING ERRCODE = 'VE304',
			MESSAGE = format('role %s may not log in and cannot have a worker',
				draft.owner),
			DETAIL = format('Subscriptions of kind %s are run by a worker as their owner; before PostgreSQL 17 that role must be allowed to log in.', draft.kind),
			HINT = 'ALTER ROLE ... LOGIN, subscribe as another role, or subscribe without handler and channel and pull.';
	END IF;
	RETURN draft;
END
$$;
COMMENT ON FUNCTION event_engine.subscription_draft(event_engine.subscriptions, text[], regprocedure, text, jsonb, jsonb, text, text, jsonb) IS
	'A subscription as it would be stored, checked.';

/*
 * The subscription of that name, locked, if the caller may change it: its
 * owner, members of that role, and superusers.
 */
CREATE FUNCTION event_engine.own_subscription(caller oid, subscriber text)
	RETURNS event_engine.subscriptions
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	stored event_engine.subscriptions;
BEGIN
	SELECT s.* INTO stored FROM event_engine.subscriptions AS s
		WHERE s.subscriber = own_subscription.subscriber
		FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE303',
			MESSAGE = format('unknown subscription "%s"', subscriber);
	END IF;
	PERFORM event_engine.check_owner(caller, stored.owner,
		'subscription', subscriber);
	RETURN stored;
END
$$;
COMMENT ON FUNCTION event_engine.own_subscription(oid, text) IS
	'Locks a subscription that the caller may change.';

/* ---- Subscribe ---- */

CREATE FUNCTION event_engine.subscribe_as(caller oid, subscriber text,
		patterns text[], handler regprocedure, filter text, filters jsonb,
		match jsonb, channel text, kind text, options jsonb)
	RETURNS uuid
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	draft event_engine.subscriptions;
	stored event_engine.subscriptions;
BEGIN
	IF subscriber IS NULL OR subscriber = '' OR length(subscriber) > 255 THEN
		RAISE EXCEPTION USING ERRCODE = 'VE304',
			MESSAGE = 'invalid name of a subscriber',
			DETAIL = 'A name has 1 to 255 characters.';
	END IF;
	draft.subscriber := subscriber;
	draft.owner := caller::regrole;
	draft := event_engine.subscription_draft(draft, patterns, handler, filter,
		filters, match, channel, kind, options);

	-- again if what stood in the way is gone when looked at
	LOOP
		INSERT INTO event_engine.subscriptions AS s (subscriber, owner, kind,
				patterns, match, filter_path, filters, handler, channel,
				options, epochs)
			VALUES (draft.subscriber, draft.owner, draft.kind, draft.patterns,
				draft.match, draft.filter_path, draft.filters, draft.handler,
				draft.channel, draft.options, draft.epochs)
			ON CONFLICT ON CONSTRAINT subscriptions_subscriber_key DO NOTHING
			RETURNING s.* INTO stored;
		IF FOUND THEN
			PERFORM event_engine.start_cursor(stored.number,
				stored.options ->> 'start');
			RETURN stored.id;
		END IF;

		SELECT s.* INTO stored FROM event_engine.subscriptions AS s
			WHERE s.subscriber = draft.subscriber;
		EXIT WHEN FOUND;
	END LOOP;

	IF (stored.owner, stored.kind, stored.patterns, stored.match,
			stored.filter_path, stored.filters, stored.handler,
			stored.channel, stored.options)
		IS DISTINCT FROM
		(draft.owner, draft.kind, draft.patterns, draft.match,
			draft.filter_path, draft.filters, draft.handler,
			draft.channel, draft.options) THEN
		RAISE EXCEPTION USING ERRCODE = 'VE304',
			MESSAGE = format('subscription "%s" exists and is defined otherwise',
				draft.subscriber),
			HINT = 'Change it with event_engine.update_subscription(), which keeps its place in the log, or remove it with event_engine.unsubscribe().';
	END IF;
	RETURN stored.id;
END
$$;
COMMENT ON FUNCTION event_engine.subscribe_as(oid, text, text[], regprocedure, text, jsonb, jsonb, text, text, jsonb) IS
	'Does the work of subscribe() for the given role.';

CREATE FUNCTION event_engine.subscribe(subscriber text, patterns text[],
		handler regprocedure, filter text DEFAULT NULL,
		filters jsonb DEFAULT NULL, match jsonb DEFAULT NULL,
		channel text DEFAULT NULL, kind text DEFAULT NULL,
		options jsonb DEFAULT '{}')
	RETURNS uuid
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.subscribe(text, text[], regprocedure, text, jsonb, jsonb, text, text, jsonb) IS
	'Subscribes to events; the same with the handler as text.';

/*
 * subscribe
 *
 *	subscriber	unique name
 *	patterns	exact names, AMQP wildcards (* one segment, # any number)
 *	handler		function called with each event, batch or envelope, as a name
 *				or a signature; resolved by the caller's search path, which is
 *				why that is not pinned here: all else was bound when the
 *				extension was created
 *	filter		SQL/JSON path predicate over the envelope, or a filter list
 *				as text
 *	filters		list of {"field", "operator", "value"}
 *	match		{"type": "exact|wildcard|prefix|regex", "value", "filters"}, or
 *				an array of them, beside patterns
 *	channel		of NOTIFY
 *	kind		handler | notify | pull; told from handler and channel
 *	options		see subscription_options()
 *
 * Result: the id; the same definition again gives the same id.
 * Writes: subscriptions, and the cursor.
 */
CREATE FUNCTION event_engine.subscribe(subscriber text,
		patterns text[] DEFAULT '{}', handler text DEFAULT NULL,
		filter text DEFAULT NULL, filters jsonb DEFAULT NULL,
		match jsonb DEFAULT NULL, channel text DEFAULT NULL,
		kind text DEFAULT NULL, options jsonb DEFAULT '{}')
	RETURNS uuid
	LANGUAGE sql
RETURN event_engine.subscribe(subscriber, patterns,
	event_engine.find_handler(handler), filter, filters, match, channel,
	kind, options);
COMMENT ON FUNCTION event_engine.subscribe(text, text[], text, text, jsonb, jsonb, text, text, jsonb) IS
	'Subscribes to events: a function is called, a channel notified, or clients pull.';

/*
 * The same for whoever changes what is delivered, and to whom: waits for a
 * batch that is running, so that nothing of the old kind happens after the
 * change is committed.  Pulling clients are not waited for.  The lock is taken
 * before the row: a batch that runs holds the lock, and may want the row.
 */
CREATE FUNCTION event_engine.own_idle_subscription(caller oid,
		subscriber text)
	RETURNS event_engine.subscriptions
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	wanted integer;
BEGIN
	SELECT s.number INTO wanted FROM event_engine.subscriptions AS s
		WHERE s.subscriber = own_idle_subscription.subscriber
			AND s.kind <> 'pull' AND pg_has_role(caller, s.owner::oid, 'USAGE');
	IF FOUND THEN
		PERFORM event_engine.lock_subscription(wanted);
	END IF;
	RETURN event_engine.own_subscription(caller, subscriber);
END
$$;
COMMENT ON FUNCTION event_engine.own_idle_subscription(oid, text) IS
	'Internal: locks a subscription that the caller may change, and keeps delivery to it out.';

/* ---- Update: what is matched and how; the place in the log stays ---- */

CREATE FUNCTION event_engine.update_subscription_as(caller oid,
		subscriber text, patterns text[], handler regprocedure, filter text,
		filters jsonb, match jsonb, channel text, options jsonb)
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	old event_engine.subscriptions;
	draft event_engine.subscriptions;
BEGIN
	old := event_engine.own_idle_subscription(caller, subscriber);
	IF options ? 'start' THEN
		RAISE EXCEPTION USING ERRCODE = 'VE304',
			MESSAGE = 'option "start" cannot be changed',
			HINT = 'Move the cursor with event_engine.seek_subscription().';
	END IF;
	draft := event_engine.subscription_draft(old, patterns, handler, filter,
		filters, match, channel, NULL, options);
	-- it has no place in the log to go on from
	IF (draft.options -> 'immediate') IS DISTINCT FROM
		(old.options -> 'immediate') THEN
		RAISE EXCEPTION USING ERRCODE = 'VE304',
			MESSAGE = 'option "immediate" cannot be changed',
			HINT = 'Unsubscribe, and subscribe again.';
	END IF;

	UPDATE event_engine.subscriptions AS s
		SET patterns = draft.patterns, match = draft.match,
			filter_path = draft.filter_path, filters = draft.filters,
			handler = draft.handler, channel = draft.channel,
			options = draft.options, epochs = draft.epochs,
			updated_at = clock_timestamp()
		WHERE s.number = old.number;
	PERFORM event_engine.reorder_deliveries(old, draft);
	-- all lanes are locked: what was published until now is theirs
	IF draft.epochs <> old.epochs THEN
		PERFORM event_engine.begin_epoch(old.number,
			old.epoch + jsonb_array_length(old.epochs));
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.update_subscription_as(oid, text, text[], regprocedure, text, jsonb, jsonb, text, jsonb) IS
	'Does the work of update_subscription() for the given role.';

CREATE FUNCTION event_engine.update_subscription(subscriber text,
		patterns text[], handler regprocedure, filter text DEFAULT NULL,
		filters jsonb DEFAULT NULL, match jsonb DEFAULT NULL,
		channel text DEFAULT NULL, options jsonb DEFAULT NULL)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.update_subscription(text, text[], regprocedure, text, jsonb, jsonb, text, jsonb) IS
	'Changes a subscription; the same with the handler as text.';

/*
 * Parameters as of subscribe(); null leaves things as they are.  patterns
 * and match replace both, filter and filters likewise; filter '' removes the
 * filter; options are laid over those that are set.
 */
CREATE FUNCTION event_engine.update_subscription(subscriber text,
		patterns text[] DEFAULT NULL, handler text DEFAULT NULL,
		filter text DEFAULT NULL, filters jsonb DEFAULT NULL,
		match jsonb DEFAULT NULL, channel text DEFAULT NULL,
		options jsonb DEFAULT NULL)
	RETURNS void
	LANGUAGE sql
RETURN event_engine.update_subscription(subscriber, patterns,
	event_engine.find_handler(handler), filter, filters, match, channel,
	options);
COMMENT ON FUNCTION event_engine.update_subscription(text, text[], text, text, jsonb, jsonb, text, jsonb) IS
	'Changes what a subscription matches and how it is delivered, keeping its place in the log.';

CREATE VIEW event_engine.subscription_list AS
	SELECT s.subscriber, s.kind, s.status, s.status_reason, s.owner, s.match,
		s.filter_path, s.filters, s.handler, s.channel, s.options, s.id,
		s.number, s.created_at, s.updated_at
	FROM event_engine.subscriptions AS s;
COMMENT ON VIEW event_engine.subscription_list IS
	'The subscriptions: who, what, how.';
