/* ------------------------------------------------------------------------
 * Delivery: replay to a subscription of what it has had before.
 * ------------------------------------------------------------------------ */

/*
 * event_replays: a row each; at most one of a subscription is running.
 *
 *	subscriber, created_by, created_at	whose, and who asked
 *	since, until, from_seq, to_seq	bounds as given; upper bounds in time are
 *						not included, those in seq are
 *	match, filter_path, filters		what is wanted of what it matches
 *	status				running | done (all handed over) | cancelled | failed
 *	error				of a filter, where it failed
 *	low_..., high_...	the range of the log: from a position not after the
 *						beginning to what was visible when it was made
 *	seq					where it stands in that range
 *	replayed			events handed over to delivery so far
 *	epoch, concurrency, ordered		which lane of the subscription an event
 *						belonged to then
 */
CREATE TABLE event_engine.event_replays (
	id uuid NOT NULL PRIMARY KEY DEFAULT gen_random_uuid(),
	subscription_number integer NOT NULL,
	subscriber varchar(255) NOT NULL,
	created_by regrole NOT NULL,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	since timestamptz,
	until timestamptz,
	from_seq bigint,
	to_seq bigint,
	match jsonb NOT NULL,
	filter_path text,
	filters jsonb,
	status text NOT NULL DEFAULT 'running'
		CHECK (status IN ('running', 'done', 'cancelled', 'failed')),
	error text,
	low_snapshot pg_snapshot NOT NULL,
	low_seq bigint NOT NULL,
	low_base_seq bigint NOT NULL,
	high_snapshot pg_snapshot NOT NULL,
	high_seq bigint NOT NULL,
	high_base_seq bigint NOT NULL,
	seq bigint NOT NULL DEFAULT 0,
	replayed bigint NOT NULL DEFAULT 0,
	epoch integer NOT NULL,
	concurrency integer NOT NULL,
	ordered boolean NOT NULL,
	finished_at timestamptz,
	CHECK (event_engine.check_match(match, filter_path, filters))
);
COMMENT ON TABLE event_engine.event_replays IS
	'Replays of past events to subscriptions, running and over.';
CREATE UNIQUE INDEX event_replays_running_idx
	ON event_engine.event_replays (subscription_number)
	WHERE status = 'running';

/* Whoever delivers hears of replays that begin and end, not of their steps. */
CREATE TRIGGER announce_change AFTER INSERT OR DELETE OR UPDATE OF status
	ON event_engine.event_replays FOR EACH STATEMENT
	EXECUTE FUNCTION event_engine.announce_change();
ALTER TABLE event_engine.event_replays
	ENABLE ALWAYS TRIGGER announce_change;

/*
 * event_replay_cursors: where the lanes of the subscription stood when the
 * replay was made.  What they had not come to then they deliver themselves.
 * Columns as of subscription_cursors.
 */
CREATE TABLE event_engine.event_replay_cursors (
	replay_id uuid NOT NULL,
	lane integer NOT NULL,
	low_snapshot pg_snapshot NOT NULL,
	low_seq bigint NOT NULL,
	low_base_seq bigint NOT NULL,
	high_snapshot pg_snapshot,
	high_seq bigint,
	high_base_seq bigint,
	seq bigint NOT NULL,
	PRIMARY KEY (replay_id, lane)
);
COMMENT ON TABLE event_engine.event_replay_cursors IS
	'Where the lanes of a subscription stood when its replay was made.';

CREATE FUNCTION event_engine.forget_replay() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	AS $$
BEGIN
	DELETE FROM event_engine.event_replay_cursors
	WHERE replay_id = OLD.id;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION event_engine.forget_replay() IS
	'Trigger on event_replays: what was noted for a replay goes with it.';
CREATE TRIGGER forget_replay AFTER DELETE ON event_engine.event_replays
	FOR EACH ROW EXECUTE FUNCTION event_engine.forget_replay();
