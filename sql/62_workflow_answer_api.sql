/* ------------------------------------------------------------------------
 * Workflows: what the handler of a step answers.
 *
 *	RETURN event_engine.wait_for('invoice.paid', timeout => '3 days',
 *		condition => '$.payload.invoice == $workflow.input.invoice',
 *		next_step => 'paid');
 *
 * Pure functions of their arguments and the clock; src/workflow/answer.c reads
 * what they make.
 * ------------------------------------------------------------------------ */

/*
 * wait_for
 *
 *	pattern			of the event, registered or a wildcard
 *	condition		SQL/JSON path predicate over the envelope, which sees the
 *					instance as $workflow {id, workflow, version,
 *					correlationKey, input, state}
 *	timeout			then the step is taken without an event, or timeout_at
 *	name			of the wait; by default the pattern
 *	since			events of the past from then on match as well
 *	next_step		name of the next step
 *	state			the new one; null: as before
 *	filters			further condition, a filter list
 */
CREATE FUNCTION event_engine.wait_for(pattern text,
		condition text DEFAULT NULL, timeout interval DEFAULT NULL,
		name text DEFAULT NULL, since timestamptz DEFAULT NULL,
		next_step text DEFAULT NULL, state jsonb DEFAULT NULL,
		filters jsonb DEFAULT NULL, timeout_at timestamptz DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE sql VOLATILE PARALLEL SAFE
RETURN jsonb_build_object('do', 'wait', 'step', next_step, 'state', state,
	'waits', jsonb_build_array(jsonb_build_object('pattern', pattern,
		'condition', condition, 'name', name, 'since', since,
		'filters', filters,
		'timeoutAt', COALESCE(timeout_at, clock_timestamp() + timeout))));
COMMENT ON FUNCTION event_engine.wait_for(text, text, interval, text, timestamptz, text, jsonb, jsonb, timestamptz) IS
	'Answer of a step: wait for an event.';

CREATE FUNCTION event_engine.sleep_until(until timestamptz,
		next_step text DEFAULT NULL, state jsonb DEFAULT NULL,
		name text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE sql STABLE PARALLEL SAFE
RETURN jsonb_build_object('do', 'wait', 'step', next_step, 'state', state,
	'waits', jsonb_build_array(jsonb_build_object('name', name,
		'timeoutAt', until)));
COMMENT ON FUNCTION event_engine.sleep_until(timestamptz, text, jsonb, text) IS
	'Answer of a step: sleep until a time.';

CREATE FUNCTION event_engine.sleep_for(duration interval,
		next_step text DEFAULT NULL, state jsonb DEFAULT NULL,
		name text DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE sql VOLATILE PARALLEL SAFE
RETURN event_engine.sleep_until(clock_timestamp() + duration, next_step, state,
	name);
COMMENT ON FUNCTION event_engine.sleep_for(interval, text, jsonb, text) IS
	'Answer of a step: sleep for a while.';

/*
 * Several answers of wait_for() and sleep_for() as one; so many must match.
 * Where all of none are needed, as of the children of an order with no items,
 * it goes on at once.
 */
CREATE FUNCTION event_engine.wait_for_n(needed integer, waits jsonb[],
		next_step text DEFAULT NULL, state jsonb DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN needed = 0 AND COALESCE(cardinality(waits), 0) = 0
	THEN jsonb_build_object('do', 'continue', 'step', next_step, 'state', state)
	ELSE jsonb_build_object('do', 'wait', 'step', next_step, 'state', state,
		'needed', needed,
		'waits', (SELECT COALESCE(jsonb_agg(e.wait ORDER BY w.position,
				e.position), '[]')
			FROM unnest(waits) WITH ORDINALITY AS w (answer, position),
				jsonb_array_elements(w.answer -> 'waits')
					WITH ORDINALITY AS e (wait, position))) END;
COMMENT ON FUNCTION event_engine.wait_for_n(integer, jsonb[], text, jsonb) IS
	'Answer of a step: wait until so many of several waits have matched.';

CREATE FUNCTION event_engine.wait_for_any(waits jsonb[],
		next_step text DEFAULT NULL, state jsonb DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN event_engine.wait_for_n(1, waits, next_step, state);
COMMENT ON FUNCTION event_engine.wait_for_any(jsonb[], text, jsonb) IS
	'Answer of a step: wait for whichever of several comes first.';

CREATE FUNCTION event_engine.wait_for_all(waits jsonb[],
		next_step text DEFAULT NULL, state jsonb DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN event_engine.wait_for_n(
	(SELECT count(*)::integer FROM unnest(waits) AS w (answer),
			jsonb_array_elements(w.answer -> 'waits') AS e (wait)
		WHERE e.wait ->> 'pattern' IS NOT NULL), waits, next_step, state);
COMMENT ON FUNCTION event_engine.wait_for_all(jsonb[], text, jsonb) IS
	'Answer of a step: wait for all of several events; a time that is among them ends it.';

CREATE FUNCTION event_engine.continue_with(next_step text,
		state jsonb DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_build_object('do', 'continue', 'step', next_step, 'state', state);
COMMENT ON FUNCTION event_engine.continue_with(text, jsonb) IS
	'Answer of a step: commit, and go on with another at once.';

CREATE FUNCTION event_engine.complete(output jsonb DEFAULT NULL,
		state jsonb DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_build_object('do', 'complete', 'output', output, 'state', state);
COMMENT ON FUNCTION event_engine.complete(jsonb, jsonb) IS
	'Answer of a step: the workflow has done its work.';

CREATE FUNCTION event_engine.fail(message text, details jsonb DEFAULT NULL,
		state jsonb DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_build_object('do', 'fail', 'message', message,
	'details', details, 'state', state);
COMMENT ON FUNCTION event_engine.fail(text, jsonb, jsonb) IS
	'Answer of a step: the workflow has failed; the step is not tried again.';
