/* ------------------------------------------------------------------------
 * Delivery in order: what is held up.
 * ------------------------------------------------------------------------ */

/*
 * What waits in deliveries, after the options ordered and on_dead_letter of
 * its subscription have changed.  The caller keeps delivery to it out.
 */
CREATE FUNCTION event_engine.reorder_deliveries(
		old event_engine.subscriptions, new event_engine.subscriptions)
	RETURNS void
	LANGUAGE plpgsql
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	was_ordered CONSTANT boolean :=
		COALESCE((old.options -> 'ordered')::boolean, false);
	is_ordered CONSTANT boolean :=
		COALESCE((new.options -> 'ordered')::boolean, false);
	at CONSTANT timestamptz := clock_timestamp();
BEGIN
	IF is_ordered AND NOT was_ordered THEN
		-- what has failed before holds up its key, the first of each
		UPDATE event_engine.deliveries AS d
			SET partition_key = (d.event).partition_key
			WHERE d.subscription_number = old.number AND d.status = 'retry';
		UPDATE event_engine.deliveries AS d
			SET status = 'parked', next_attempt_at = 'infinity'
			WHERE d.subscription_number = old.number
				AND d.partition_key IS NOT NULL
				AND EXISTS (SELECT FROM event_engine.deliveries AS b
					WHERE b.subscription_number = old.number
						AND b.partition_key = d.partition_key
						AND b.seq < d.seq);
	ELSIF was_ordered AND NOT is_ordered THEN
		DELETE FROM event_engine.deliveries AS d
			WHERE d.subscription_number = old.number
				AND d.status IN ('halted', 'released');
		UPDATE event_engine.deliveries AS d
			SET partition_key = NULL,
				status = CASE d.status WHEN 'parked' THEN 'retry'
					ELSE d.status END,
				next_attempt_at = LEAST(d.next_attempt_at, at)
			WHERE d.subscription_number = old.number
				AND d.partition_key IS NOT NULL;
	END IF;
	IF is_ordered AND new.options ->> 'on_dead_letter' IS DISTINCT FROM 'halt'
	THEN
		UPDATE event_engine.deliveries AS d
			SET status = 'released', next_attempt_at = at
			WHERE d.subscription_number = old.number AND d.status = 'halted';
	END IF;
END
$$;
COMMENT ON FUNCTION event_engine.reorder_deliveries(event_engine.subscriptions, event_engine.subscriptions) IS
	'Internal: what becomes of deliveries when a subscription gets an order or loses it.';

/*
 * held_up_keys: keys of ordered subscriptions whose events wait.
 *
 *	status		retry: the first is tried again at next_attempt_at
 *				halted: it has been given up, and a person is to decide on
 *				its dead letter
 *	seq, id		of the first; attempts made at it, and the latest error
 *	parked		how many wait behind it
 *	since		when the first failed first
 */
CREATE VIEW event_engine.held_up_keys AS
	SELECT s.subscriber, h.partition_key, h.status, h.seq, h.id, h.attempts,
		h.next_attempt_at, h.last_error, h.first_failed_at AS since,
		h.parked
	FROM (SELECT DISTINCT ON (d.subscription_number, d.partition_key)
			d.subscription_number, d.partition_key, d.status, d.seq, d.id,
			d.attempts, NULLIF(d.next_attempt_at, 'infinity')
				AS next_attempt_at, d.last_error, d.first_failed_at,
			count(*) OVER (PARTITION BY d.subscription_number,
				d.partition_key) - 1 AS parked
		FROM event_engine.deliveries AS d
		WHERE d.partition_key IS NOT NULL
		ORDER BY d.subscription_number, d.partition_key, d.seq) AS h
	JOIN event_engine.subscriptions AS s ON s.number = h.subscription_number;
COMMENT ON VIEW event_engine.held_up_keys IS
	'Keys of ordered subscriptions whose events wait behind one that failed.';
