# A database in all the states that one can be in when it is moved elsewhere, and
# the proof that everything goes on there: nothing lost, nothing twice.
#
#	fill_backlog($node, 'shop');		# delivery is off afterwards
#	my $was = backlog_rows($node, 'shop');
#	...									# dump, upgrade, copy
#	is(backlog_rows($other, 'shop'), $was, 'every row came along');
#	backlog_goes_on($other, 'shop', 'restored');
#
# Servers are made with the settings of backlog_conf().
package Backlog;

use strict;
use warnings;

use Exporter 'import';
use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

my $ahead = 2;

our @EXPORT = qw(backlog_conf backlog_roles fill_backlog backlog_rows
  backlog_goes_on delivery_on delivery_off);

sub backlog_conf
{
	return <<'CONF';
event_engine.delivery_poll_interval = 200ms
event_engine.store_partitions_ahead = 2
log_statement = none
max_worker_processes = 40
max_prepared_transactions = 10
timezone = 'UTC'
CONF
}

sub delivery_on
{
	my ($node) = @_;

	$node->append_conf('postgresql.conf', 'event_engine.delivery_enabled = on');
	$node->reload;
	return;
}

# When this returns nobody is at work any more.
sub delivery_off
{
	my ($node) = @_;

	$node->append_conf('postgresql.conf', 'event_engine.delivery_enabled = off');
	$node->restart;
	return;
}

# Roles do not come with the dump of a database.
sub backlog_roles
{
	my ($node) = @_;

	$node->safe_psql('postgres', 'CREATE ROLE backlog_owner LOGIN');
	return;
}

sub fill_backlog
{
	my ($node, $database) = @_;

	$node->safe_psql($database, <<'SQL');
SELECT event_engine.register_schema('https://example.com/number.json', '{"type": "number", "minimum": 0}');
SELECT event_engine.register_event_definition('backlog.event',
	'{"properties": {"i": {"$ref": "https://example.com/number.json"}}}', examples => '[{"i": 1}]');
SELECT count(event_engine.register_event_definition(p))
	FROM unnest('{backlog.start,backlog.bad,backlog.go,past.event}'::text[]) AS p;
CREATE TABLE seen (subscriber text, seq bigint, i integer, replayed boolean, nr bigint GENERATED ALWAYS AS IDENTITY);
CREATE TABLE steps (key text, step text, by text);
CREATE TABLE mended (yes boolean);
GRANT INSERT ON seen TO backlog_owner;
GRANT SELECT ON mended TO backlog_owner;
DO $$ DECLARE name text; BEGIN
	FOREACH name IN ARRAY '{plain,owned,spread,keyed,failing,dying,row}'::text[] LOOP
		EXECUTE format($f$CREATE FUNCTION see_%1$s(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $b$ BEGIN
			INSERT INTO public.seen VALUES (%1$L, e.seq, (e.payload ->> 'i')::int, e.metadata ? 'replayed');
			IF e.payload ? 'fails' AND %1$L IN ('failing', 'dying', 'row') AND NOT EXISTS (SELECT FROM public.mended) THEN
				RAISE 'as it should';
			END IF;
		END $b$ $f$, name);
	END LOOP;
END $$;
CREATE FUNCTION see_batch(e event_engine.event[]) RETURNS void LANGUAGE sql AS $$
	INSERT INTO public.seen SELECT 'batch', u.seq, (u.payload ->> 'i')::int, u.metadata ? 'replayed' FROM unnest(e) AS u $$;
SELECT event_engine.subscribe('plain', '{backlog.event}', 'see_plain');
SELECT event_engine.subscribe('batch', '{backlog.*}', 'see_batch');
SELECT event_engine.subscribe('spread', '{backlog.event}', 'see_spread', options => '{"concurrency": 4}');
SELECT event_engine.subscribe('keyed', '{backlog.event}', 'see_keyed',
	options => '{"idempotency_key": "$.payload.i", "idempotency_window_ms": 86400000}');
SELECT event_engine.subscribe('failing', '{backlog.event}', 'see_failing',
	options => '{"max_attempts": 9, "backoff_ms": 3600000, "jitter": 0, "breaker_threshold": 0}');
SELECT event_engine.subscribe('dying', '{backlog.event}', 'see_dying', options => '{"max_attempts": 1, "breaker_threshold": 0}');
SELECT event_engine.subscribe('row', '{backlog.event}', 'see_row',
	options => '{"ordered": true, "max_attempts": 9, "backoff_ms": 3600000, "jitter": 0, "breaker_threshold": 0}');
SELECT event_engine.subscribe('pulled', '{backlog.event}');
SELECT event_engine.subscribe('paused', '{backlog.event}');
SELECT event_engine.pause_subscription('paused');
GRANT USAGE ON SCHEMA event_engine TO backlog_owner;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA event_engine TO backlog_owner;
CALL event_engine.grant_subscribe('#', 'backlog_owner');
SET ROLE backlog_owner;
SELECT event_engine.subscribe('owned', '{backlog.event}', 'see_owned', filter => '$.payload.i >= 0');
RESET ROLE;

CREATE FUNCTION publish(first int, last int, more jsonb DEFAULT '{}', due timestamptz DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(event_engine.publish_event('backlog.event', jsonb_build_object('i', i) || more, event_id => 'event-' || i,
		partition_key => 'key ' || i % 5, deliver_at => due)) FROM generate_series(first, last) i $$;

-- a workflow in several states, and what starts it
CREATE FUNCTION flow(i event_engine.workflow_instance, r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.steps VALUES (i.correlation_key, i.step, r.kind);
	IF i.step = 'end' THEN
		IF i.correlation_key = 'fails' AND NOT EXISTS (SELECT FROM public.mended) THEN RAISE 'not yet'; END IF;
		RETURN event_engine.complete('{}');
	END IF;
	IF i.correlation_key = 'sleeps' THEN RETURN event_engine.sleep_for('1 day', 'end'); END IF;
	RETURN event_engine.wait_for('backlog.go', '$.payload.key == $workflow.correlationKey', next_step => 'end');
END $$;
SELECT event_engine.register_workflow('flow', 'flow', options => '{"backoff_ms": 3600000}');
SELECT event_engine.create_workflow_trigger('flow', 'backlog.start', correlation_key => '$.payload.key');
SELECT event_engine.create_workflow_trigger('flow', 'backlog.bad', input_mapping => '{"x": "strict $.payload.none"}');
SELECT event_engine.start_workflow('flow', '{}', key, key) FROM unnest('{before,after,sleeps,fails,over}'::text[]) AS key;

-- a partition of long ago, another of some days ago, and rules for how long
CREATE FUNCTION past(day date, n integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	name text := 'events_' || to_char(day, 'YYYYMMDD');
BEGIN
	EXECUTE format('CREATE TABLE event_engine.%I (LIKE event_engine.events_default INCLUDING ALL)', name);
	EXECUTE format('INSERT INTO event_engine.%I (id, pattern, source, "timestamp", payload, metadata, created_at, priority, created_by, seq, xid)
		SELECT gen_random_uuid(), ''past.event'', ''{}'', $1, jsonb_build_object(''n'', i), ''{}'', $1, ''normal'', ''test'',
			nextval(''event_engine.event_seq''), pg_current_xact_id() FROM generate_series(1, $2) AS i', name) USING day::timestamptz, n;
	EXECUTE format('ALTER TABLE event_engine.events ATTACH PARTITION event_engine.%I FOR VALUES FROM (%L) TO (%L)', name, day, day + 1);
	EXECUTE format('INSERT INTO event_engine.event_partitions (relid, lower, upper) VALUES (%L, %L, %L)', 'event_engine.' || name, day, day + 1);
END $$;
SELECT past('2001-01-01', 10), past(current_date - 9, 10);
CREATE TABLE archive (LIKE event_engine.events);
SELECT event_engine.set_retention('past.#', '1000 years', archive_table => 'archive');
SQL
	# what finds no partition
	$node->safe_psql($database, <<'SQL');
INSERT INTO event_engine.events (id, pattern, source, "timestamp", payload, metadata, created_at, priority, created_by, seq, xid)
SELECT gen_random_uuid(), 'backlog.event', '{}', now(), jsonb_build_object('i', i), '{}', '2000-01-01', 'normal', 'test',
	nextval('event_engine.event_seq'), pg_current_xact_id() FROM generate_series(91, 95) AS i;
SQL
	is($node->safe_psql($database, 'SELECT count(*) > 0 FROM event_engine.events_default'), 't', 'some events are in the default partition');

	# a transaction that commits when others have been delivered
	$node->safe_psql($database, q(BEGIN; SELECT publish(101, 110); PREPARE TRANSACTION 'late'));
	$node->safe_psql($database, <<'SQL');
SELECT publish(1, 50), publish(51, 53, '{"fails": true}');
SELECT publish(54, 59);
SELECT publish(60, 62, due => now() + interval '1 hour');
SELECT event_engine.publish_event('backlog.event', '{"i": 11}');
SELECT event_engine.publish_event('backlog.bad', '{}');
SQL
	wait_until($node, $database, <<'SQL', 'events are delivered, have failed, are late');
SELECT (SELECT count(DISTINCT subscriber) FROM seen WHERE i = 59) = 8
	AND (SELECT count(*) FROM event_engine.deliveries WHERE status = 'delayed') = 3 * 8
	AND (SELECT count(*) FROM event_engine.deliveries WHERE status = 'retry') >= 4
	AND (SELECT count(*) FROM event_engine.deliveries WHERE status = 'parked') > 0
	AND (SELECT count(*) FROM event_engine.event_dead_letters) = 3
	AND (SELECT count(*) FROM event_engine.workflow_trigger_failures) = 1
	AND (SELECT count(*) FROM event_engine.workflow_instances WHERE status = 'waiting') = 5
SQL
	$node->safe_psql($database, <<'SQL');
SELECT event_engine.publish_event('backlog.go', jsonb_build_object('key', key)) FROM unnest('{fails,over}'::text[]) AS key;
SQL
	wait_until($node, $database, <<'SQL', 'workflows are over, have failed, wait');
SELECT count(*) FILTER (WHERE status = 'completed') = 1 AND count(*) FILTER (WHERE last_error = 'not yet') = 1
FROM event_engine.workflow_instances
SQL
	$node->safe_psql($database, <<'SQL');
CREATE TABLE held AS SELECT receipt, seq FROM event_engine.receive_events('pulled', 3, '1 day');
SELECT event_engine.ack_events(receipt) FROM (SELECT DISTINCT receipt FROM event_engine.receive_events('pulled', 5)) AS r;
SQL

	delivery_off($node);
	$node->safe_psql($database, q(COMMIT PREPARED 'late'));
	$node->safe_psql($database, <<'SQL');
CREATE TABLE old AS SELECT seq FROM seen WHERE subscriber = 'plain';
SELECT event_engine.replay_events('plain');
SELECT publish(201, 300);
SELECT event_engine.publish_event('backlog.start', '{"key": "triggered"}');
SELECT event_engine.publish_event('backlog.go', '{"key": "before"}');
SELECT event_engine.start_workflow('flow', '{}', 'due', 'due');
SQL
	return;
}

# Every row of every table of ours that belongs to the user, one line a table.
# Which cluster it is, and what its server has done, is the server's.
sub backlog_rows
{
	my ($node, $database) = @_;
	my $query = $node->safe_psql($database, <<'SQL');
SELECT string_agg(format('SELECT %L AS name, count(*), md5(string_agg(t::text, E''\n'' ORDER BY t::text COLLATE "C")) FROM ONLY event_engine.%I AS t',
	relname, relname), ' UNION ALL ') || ' ORDER BY name'
FROM pg_class WHERE relnamespace = 'event_engine'::regnamespace AND relkind = 'r'
	AND relname NOT IN ('event_log_state', 'executor_starts', 'event_maintenance')
SQL
	return $node->safe_psql($database, $query);
}

# Time passes, causes are mended, delivery is turned on, and all comes to its end
# as it would have where it was.
sub backlog_goes_on
{
	my ($node, $database, $what) = @_;
	my $before = $node->safe_psql($database, 'SELECT count(*) FROM seen');
	my $query = sub { $node->safe_psql($database, @_) };

	cmp_ok($query->('SELECT max(seq) FROM event_engine.events'), '<=',
		$query->('SELECT last_value FROM event_engine.event_seq'), "$what: no position will be handed out again");
	$query->(<<'SQL');
INSERT INTO mended VALUES (true);
UPDATE event_engine.deliveries SET next_attempt_at = now() WHERE status IN ('retry', 'delayed');
UPDATE event_engine.workflow_waits SET timeout_at = timeout_at - interval '1 day' WHERE pattern IS NULL;
SQL
	delivery_on($node);
	# new ones, among the old
	is($query->('SELECT publish(301, 400)'), '100', "$what: new events are published");
	wait_until($node, $database, <<'SQL', "$what: what was due is done");
SELECT count(*) = 2 FROM event_engine.workflow_instances WHERE status = 'waiting' AND correlation_key IN ('due', 'triggered')
SQL
	$query->(q(SELECT event_engine.publish_event('backlog.go', jsonb_build_object('key', key)) FROM unnest('{after,due,triggered}'::text[]) AS key));
	$query->(q(SELECT event_engine.resume_workflow(id) FROM event_engine.workflow_instances WHERE correlation_key = 'fails'));
	is($query->(q(SELECT event_engine.redrive_dead_letters(subscriber => 'dying'))), '3', "$what: dead letters are redriven");

	wait_until($node, $database, <<'SQL', "$what: nothing is lost");
SELECT NOT EXISTS (
	SELECT s.name, e.seq FROM event_engine.events AS e, unnest('{plain,owned,spread,failing,dying,row,batch}'::text[]) AS s(name)
	WHERE e.pattern = 'backlog.event' OR (s.name = 'batch' AND e.pattern LIKE 'backlog.%')
	EXCEPT SELECT subscriber, seq FROM seen WHERE NOT replayed)
	AND NOT EXISTS (SELECT (payload ->> 'i')::int FROM event_engine.events WHERE pattern = 'backlog.event'
		EXCEPT SELECT i FROM seen WHERE subscriber = 'keyed')
SQL
	wait_until($node, $database, 'SELECT NOT EXISTS (SELECT seq FROM old EXCEPT SELECT seq FROM seen WHERE replayed)',
		"$what: the replay comes to its end");
	wait_until($node, $database, q(SELECT count(*) = 7 AND bool_and(status = 'completed') FROM event_engine.workflow_instances),
		"$what: so do the workflows, and one that an event has started");
	wait_until($node, $database, 'SELECT count(*) = 0 FROM event_engine.deliveries', "$what: nothing is left over");
	is($query->('SELECT subscriber, seq, replayed, count(*) FROM seen GROUP BY 1, 2, 3 HAVING count(*) > 1'), '',
		"$what: nothing is repeated");
	# what was delayed then may have been delivered before the replay came to it
	is($query->(<<'SQL'), $query->('SELECT count(*) FROM old'), "$what: replayed is what was asked for");
SELECT count(*) FROM seen WHERE replayed AND i NOT BETWEEN 60 AND 62
SQL
	is($query->(q(SELECT i, count(*) FROM seen WHERE subscriber = 'keyed' GROUP BY i HAVING count(*) > 1)), '',
		"$what: what was known by its key still is");
	is($query->(<<'SQL'), '', "$what: keys keep their order");
WITH row AS (
	SELECT s.nr, e.seq, e.partition_key FROM seen AS s JOIN event_engine.events AS e USING (seq)
	-- the order is that of publishing; these were due, and committed, later
	WHERE s.subscriber = 'row' AND s.i NOT BETWEEN 60 AND 62 AND s.i NOT BETWEEN 101 AND 110)
SELECT a.seq, b.seq FROM row AS a JOIN row AS b USING (partition_key) WHERE b.seq > a.seq AND b.nr < a.nr
SQL
	is($query->(q(SELECT key, count(*) FROM steps WHERE step = 'end' GROUP BY key ORDER BY key COLLATE "C")), <<'ENDS' =~ s/\n\z//r, "$what: each took its last step once");
after|1
before|1
due|1
fails|1
over|1
sleeps|1
triggered|1
ENDS

	is($query->('SELECT event_engine.ack_events(receipt) FROM (SELECT DISTINCT receipt FROM held) AS r'), '3', "$what: a client's receipt is still good");
	is($query->(<<'SQL'), '0', "$what: and nothing of it is handed out again");
WITH r AS MATERIALIZED (SELECT receipt, seq FROM event_engine.receive_events('pulled', 1000)),
	done AS MATERIALIZED (SELECT event_engine.ack_events(receipt) FROM (SELECT DISTINCT receipt FROM r) AS d)
SELECT count(*) FROM r JOIN held USING (seq), (SELECT count(*) FROM done) AS d
SQL
	$query->(q(SELECT event_engine.resume_subscription('paused')));
	is($query->(<<'SQL'),
WITH r AS MATERIALIZED (SELECT receipt, seq FROM event_engine.receive_events('paused', 1000))
SELECT sum(event_engine.ack_events(receipt)) FROM (SELECT DISTINCT receipt FROM r) AS d
SQL
		$query->(q(SELECT count(*) FROM event_engine.events WHERE pattern = 'backlog.event' AND deliver_at IS NULL)),
		"$what: what was paused has all that is due");
	$query->('SELECT publish(1, 1)');
	is($query->(q(SELECT count(*) FROM event_engine.events WHERE event_id = 'event-1')), '1', "$what: identifiers are known");
	is($query->(q(SELECT count(*) FROM event_engine.events WHERE event_id = 'event-301' AND seq > (SELECT max(seq) FROM old))), '1', "$what: positions go on");
	is($query->('SELECT count(*) - count(DISTINCT seq) FROM event_engine.events'), '0', "$what: each event has its own");
	my (undef, undef, $error) = $node->psql($database, q(SELECT event_engine.publish_event('backlog.event', '{"i": -1}')));
	like($error, qr/must be at least 0/, "$what: events are validated");
	(undef, undef, $error) = $node->psql($database, 'DELETE FROM event_engine.events');
	like($error, qr/immutable/, "$what: and immutable");

	# partitions: more are made, and old ones go
	my $last = $query->('SELECT max(upper) FROM event_engine.event_partitions');
	$ahead += 3;
	$node->append_conf('postgresql.conf', "event_engine.store_partitions_ahead = $ahead");
	$node->reload;
	wait_until($node, $database, "SELECT event_engine.run_maintenance() IS NOT NULL AND (SELECT max(upper) > '$last' FROM event_engine.event_partitions)",
		"$what: partitions are made");
	$query->(q(SELECT event_engine.set_retention('past.#', '1 day', archive_table => 'archive')));
	wait_until($node, $database, <<'SQL', "$what: and go, into the archive");
SELECT event_engine.run_maintenance() IS NOT NULL AND to_regclass('event_engine.events_20010101') IS NULL
	AND (SELECT count(*) FROM archive) = 20
SQL
	is($query->("SELECT event_engine.subscribe('later', '{#}') IS NOT NULL"), 't', "$what: one more subscription");
	is($query->(q(SELECT string_agg(code || ' ' || what, ', ') FROM event_engine.doctor() WHERE severity = 'critical')), '',
		"$what: the doctor finds nothing grave");
	return;
}

1;
