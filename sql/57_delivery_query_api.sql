/* ------------------------------------------------------------------------
 * Request and reply.
 *
 * The first reply to a request is published under the event_id "reply:" and
 * the request's id.  Of several repliers at the same time the unique key of
 * publishers' identifiers lets one be first: the others wait for its end, and
 * what they say is stored as a late reply.
 * ------------------------------------------------------------------------ */

/*
 * query_event: publish a request, commit it, and wait for the reply to it.
 * While it waits the session has no snapshot, lock or transaction id.
 *
 *	pattern, payload, metadata, source, event_id, partition_key, priority
 *					as of publish_event; asked again under the same event_id
 *					it waits for the reply to the first
 *	timeout			how long to wait; repliers find when that is over in
 *					metadata.tags.replyBy
 *	reply_pattern	of the reply; default: pattern and '.reply'
 *	raise_timeout	an error when the time is up; else reply is null
 *
 *	reply			payload of the reply
 *	reply_id		the event that it is
 *	request_id		the event that was published
 *
 * Errors: VE421 no reply in time, VE422 nobody has subscribed to it (nothing
 * is published then), and those of publish_event.
 */
CREATE PROCEDURE event_engine.query_event(
	pattern text,
	payload jsonb,
	timeout interval DEFAULT '10 s',
	metadata jsonb DEFAULT '{}',
	source jsonb DEFAULT NULL,
	event_id text DEFAULT NULL,
	partition_key text DEFAULT NULL,
	priority event_engine.event_priority DEFAULT NULL,
	reply_pattern text DEFAULT NULL,
	raise_timeout boolean DEFAULT true,
	INOUT reply jsonb DEFAULT NULL,
	INOUT reply_id uuid DEFAULT NULL,
	INOUT request_id uuid DEFAULT NULL)
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_query_event';
COMMENT ON PROCEDURE event_engine.query_event(text, jsonb, interval, jsonb, jsonb, text, text, event_engine.event_priority, text, boolean, jsonb, uuid, uuid) IS
	'Publishes a request, commits it, and waits for the reply.';

/*
 * await_reply: wait for the reply to a request that is published, by
 * query_event or otherwise.  For the role that published it, and for readers
 * of the log.
 */
CREATE PROCEDURE event_engine.await_reply(
	request_id uuid,
	timeout interval DEFAULT '10 s',
	raise_timeout boolean DEFAULT true,
	INOUT reply jsonb DEFAULT NULL,
	INOUT reply_id uuid DEFAULT NULL)
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_await_reply';
COMMENT ON PROCEDURE event_engine.await_reply(uuid, interval, boolean, jsonb, uuid) IS
	'Waits for the reply to a request that was published before.';

/*
 * reply_event: reply to a request, in the caller's transaction.
 *
 *	request_id	the request's id: of what a handler is given, its id
 *	payload, metadata, source, version	of the reply, as of publish_event
 *
 * The reply has the request's correlation and partition_key, and the request
 * as its cause.  metadata.tags.reply tells whether it is the first or a late
 * one.
 *
 * Result: the id of the reply.
 */
CREATE FUNCTION event_engine.reply_event(
	request_id uuid,
	payload jsonb,
	metadata jsonb DEFAULT '{}',
	source jsonb DEFAULT NULL,
	version text DEFAULT NULL)
	RETURNS uuid
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_reply_event';
COMMENT ON FUNCTION event_engine.reply_event(uuid, jsonb, jsonb, jsonb, text) IS
	'Replies to a request in the caller''s transaction; returns the id of the reply.';

/*
 * list_replies: all that replied to a request, in their order.
 *
 *	reply	first (the one that was waited for), or late
 *	in_time	did it come before the one who asked gave up?
 */
CREATE FUNCTION event_engine.list_replies(request_id uuid)
	RETURNS TABLE (reply text, in_time boolean, elapsed interval, id uuid,
		pattern text, payload jsonb, created_by text, created_at timestamptz)
	LANGUAGE sql STABLE STRICT ROWS 2
	SET search_path = pg_catalog, pg_temp AS $$
SELECT e.metadata #>> '{tags,reply}',
	e.created_at <= (r.metadata #>> '{tags,replyBy}')::timestamptz,
	e.created_at - r.created_at, e.id, e.pattern::text, e.payload,
	e.created_by, e.created_at
FROM event_engine.get_event(request_id) AS r
JOIN event_engine.events AS e
	ON e.metadata ->> 'correlationId' = r.metadata ->> 'correlationId'
		AND e.metadata ->> 'causationId' = r.id::text
		AND e.metadata #>> '{tags,reply}' IS NOT NULL
ORDER BY e.seq
$$;
COMMENT ON FUNCTION event_engine.list_replies(uuid) IS
	'The replies to a request: the first, and the late ones.';

/* ---- Answered at once, by a function ---- */

CREATE FUNCTION event_engine.own_responder(caller oid, pattern text)
	RETURNS event_engine.event_responders
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	stored event_engine.event_responders;
BEGIN
	SELECT r.* INTO stored FROM event_engine.event_responders AS r
		WHERE r.pattern = own_responder.pattern FOR UPDATE;
	IF FOUND THEN
		PERFORM event_engine.check_owner(caller, stored.owner,
			'the responder of', pattern);
	END IF;
	RETURN stored;
END
$$;
COMMENT ON FUNCTION event_engine.own_responder(oid, text) IS
	'Internal: locks the responder of a pattern; raises unless it is the caller''s.';

CREATE FUNCTION event_engine.register_query_responder_as(caller oid,
		pattern text, responder regprocedure)
	RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	names CONSTANT text[] := ARRAY[pattern, pattern || '.reply'];
	missing text;
BEGIN
	SELECT n INTO missing FROM unnest(names) WITH ORDINALITY AS u (n, i)
		WHERE n IS NULL OR NOT EXISTS (
			SELECT FROM event_engine.event_definitions AS d
			WHERE d.pattern = n)
		ORDER BY u.i LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'VE001',
			MESSAGE = format('unknown event pattern %s',
				COALESCE('"' || missing || '"', 'null')),
			DETAIL = 'A request is an event, and so is its reply.',
			HINT = 'Register it with event_engine.register_event_definition().';
	END IF;
	PERFORM event_engine.check_handler(caller, responder);
	IF (SELECT p.prorettype <> 'jsonb'::regtype
				OR p.proargtypes[0] = 'event_engine.event[]'::regtype
			FROM pg_proc AS p WHERE p.oid = responder) THEN
		RAISE EXCEPTION USING ERRCODE = 'VE401',
			MESSAGE = format('function %s cannot be a responder', responder),
			DETAIL = 'A responder takes one argument, of type event_engine.event or jsonb, and returns jsonb.';
	END IF;
	PERFORM event_engine.own_responder(caller, pattern);
	INSERT INTO event_engine.event_responders AS r (pattern, function, owner)
		VALUES (pattern, responder::text, caller::regrole)
		ON CONFLICT ON CONSTRAINT event_responders_pkey DO UPDATE
			SET function = excluded.function, owner = excluded.owner,
				updated_at = clock_timestamp()
			WHERE pg_has_role(caller, r.owner::oid, 'USAGE');
	IF NOT FOUND THEN
		PERFORM event_engine.own_responder(caller, pattern);
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.register_query_responder_as(oid, text, regprocedure) IS
	'Does the work of register_query_responder() for the given role.';

CREATE FUNCTION event_engine.register_query_responder(pattern text,
		responder regprocedure)
	RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.register_query_responder(text, regprocedure) IS
	'Registers the function that answers requests of a pattern; the same with the function itself.';

/*
 * register_query_responder: a function that answers requests of a pattern in
 * the transaction of whoever asks, by query_responder().
 *
 *	pattern		of the request; the reply's is that and '.reply'
 *	responder	function, as a name or a signature: takes event_engine.event or
 *				jsonb (the envelope), returns jsonb.  Runs as the role that
 *				registers it, under the restrictions of a handler.
 *
 * A pattern has one; registered again it is replaced.
 */
CREATE FUNCTION event_engine.register_query_responder(pattern text,
		responder text)
	RETURNS void
	LANGUAGE sql
RETURN event_engine.register_query_responder(pattern,
	event_engine.find_handler(responder));
COMMENT ON FUNCTION event_engine.register_query_responder(text, text) IS
	'Registers the function that answers requests of a pattern in the transaction of whoever asks.';

CREATE FUNCTION event_engine.remove_query_responder_as(caller oid,
		pattern text)
	RETURNS boolean
	LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM event_engine.own_responder(caller, pattern);
	DELETE FROM event_engine.event_responders AS r
		WHERE r.pattern = remove_query_responder_as.pattern;
	RETURN FOUND;
END
$$;
COMMENT ON FUNCTION event_engine.remove_query_responder_as(oid, text) IS
	'Does the work of remove_query_responder() for the given role.';

CREATE FUNCTION event_engine.remove_query_responder(pattern text)
	RETURNS boolean
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_subscription_call';
COMMENT ON FUNCTION event_engine.remove_query_responder(text) IS
	'Removes the responder of a pattern; false when there is none.';

/*
 * query_responder: ask the registered responder, in the caller's transaction.
 * Request and reply are events of this transaction.
 *
 * Result: the payload of the reply; null where the responder gave none, and
 * none is published then.
 * Errors: VE422 no responder, those of publish_event for request and reply,
 * and what the responder raises.
 */
CREATE FUNCTION event_engine.query_responder(
	pattern text,
	payload jsonb,
	metadata jsonb DEFAULT '{}',
	source jsonb DEFAULT NULL,
	partition_key text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_query_responder';
COMMENT ON FUNCTION event_engine.query_responder(text, jsonb, jsonb, jsonb, text) IS
	'Asks the responder of a pattern in the caller''s transaction; returns its reply.';
