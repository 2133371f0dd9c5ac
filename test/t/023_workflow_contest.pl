# Events, time-outs and cancellations meet at random, over several lanes whose
# executors lag behind each other, are ended, and work guarded: one of them wins
# and the result says which; and an event that could be seen before the time was
# over has won over the time-out.
use strict;
use warnings;

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', conf => <<'CONF');
event_engine.worker_idle_timeout = 600s
event_engine.worker_executors_per_role = 3
max_worker_processes = 20
CONF
new_database($node, 'shop');

# Each waits for one event until a moment of its own, by a time-out of the wait
# or by a sleep beside it.  Somebody publishes around that moment, as visible
# from seen_at on at the latest, and somebody cancels.
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition('go');
CREATE TABLE contests (key integer PRIMARY KEY, instance uuid, over_at timestamptz);
CREATE TABLE published (key integer, seen_at timestamptz);
CREATE TABLE cancelled (key integer, won boolean);
CREATE TABLE took (instance uuid, kind text, wait text);
CREATE FUNCTION contest(i event_engine.workflow_instance, r event_engine.workflow_resumption)
	RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	over_at timestamptz;
BEGIN
	-- so that lanes lag behind
	PERFORM pg_sleep(random() * 0.01) WHERE random() < 0.3;
	IF r.kind = 'start' THEN
		over_at := clock_timestamp() + random() * interval '80 ms';
		INSERT INTO contests VALUES ((i.input ->> 'key')::integer, i.id, over_at);
		IF random() < 0.3 THEN
			RETURN event_engine.wait_for_any(ARRAY[
				event_engine.wait_for('go', '$.payload.key == $workflow.input.key', name => 'go'),
				event_engine.sleep_until(over_at, name => 'sleep')], next_step => 'over');
		END IF;
		RETURN event_engine.wait_for('go', '$.payload.key == $workflow.input.key', name => 'go',
			timeout_at => over_at, next_step => 'over');
	END IF;
	INSERT INTO took VALUES (i.id, r.kind, r.wait);
	-- now and then a step fails, and is taken again
	IF random() < 0.02 THEN
		RAISE 'one in fifty';
	END IF;
	RETURN event_engine.complete(to_jsonb(r.kind));
END $$;
SELECT event_engine.register_workflow('contest', 'contest', options => '{"backoff_ms": 1, "max_attempts": 50}');
SELECT event_engine.update_subscription(subscriber, options => '{"concurrency": 3}')
	FROM event_engine.subscriptions;

CREATE PROCEDURE begin_contests(n integer) LANGUAGE plpgsql AS $$
BEGIN
	FOR k IN 1 .. n LOOP
		PERFORM event_engine.start_workflow('contest', jsonb_build_object('key', k));
		COMMIT;
		PERFORM pg_sleep(random() * 0.008);
	END LOOP;
END $$;
-- when it has begun, and a little before its time is over, or after
CREATE PROCEDURE await(k integer, INOUT over_at timestamptz, before double precision) LANGUAGE plpgsql AS $$
BEGIN
	LOOP
		SELECT c.over_at INTO over_at FROM contests AS c WHERE c.key = k;
		EXIT WHEN FOUND;
		COMMIT;
		PERFORM pg_sleep(0.001);
	END LOOP;
	COMMIT;
	PERFORM pg_sleep(extract(epoch FROM over_at - clock_timestamp()) - before);
END $$;
-- what cannot be published any more before the time is over is not a contest
CREATE PROCEDURE publish(first integer, step integer, n integer) LANGUAGE plpgsql AS $$
DECLARE
	over_at timestamptz;
	undone boolean;
BEGIN
	FOR k IN first .. n BY step LOOP
		CONTINUE WHEN k % 7 = 0;
		CALL await(k, over_at, random() * 0.02 - 0.004);
		undone := random() < 0.1;
		BEGIN
			PERFORM event_engine.publish_event('go', jsonb_build_object('key', k),
				priority => (CASE WHEN random() < 0.2 THEN 'critical' WHEN random() < 0.2 THEN 'low'
					ELSE 'normal' END)::event_engine.event_priority,
				partition_key => CASE WHEN random() < 0.5 THEN k::text END);
			IF undone THEN
				RAISE 'a savepoint is rolled back' USING ERRCODE = 'P0099';
			END IF;
		EXCEPTION WHEN SQLSTATE 'P0099' THEN
			NULL;
		END;
		COMMIT;
		IF NOT undone THEN
			INSERT INTO published VALUES (k, clock_timestamp());
			COMMIT;
		END IF;
	END LOOP;
END $$;
CREATE PROCEDURE cancel(n integer) LANGUAGE plpgsql AS $$
DECLARE
	over_at timestamptz;
	won boolean;
BEGIN
	FOR k IN 5 .. n BY 5 LOOP
		CALL await(k, over_at, random() * 0.01 - 0.005);
		SELECT event_engine.cancel_workflow(instance) INTO won FROM contests WHERE key = k;
		-- it holds the instance, and may change its mind
		PERFORM pg_sleep(random() * 0.01);
		IF random() < 0.3 THEN
			ROLLBACK;
		ELSE
			INSERT INTO cancelled VALUES (k, won);
			COMMIT;
		END IF;
	END LOOP;
END $$;
SQL

my $n = $ENV{EE_STRESS_INSTANCES} // 600;
my @sessions = map
{
	my $session = $node->background_psql('shop');
	$session->query_until(qr/begun/, "\\echo begun\nCALL $_;\n");
	$session
} ("publish(1, 3, $n)", "publish(2, 3, $n)", "publish(3, 3, $n)", "cancel($n)", "begin_contests($n)");
my $busy = q{SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'CALL %'};
my $ended = 0;
while ($node->safe_psql('shop', $busy) > 0)
{
	# every other one finds that its predecessor did not survive
	my $share = $ended > 0 ? 0.2 : 1;
	$ended += $node->safe_psql('shop', qq{
		UPDATE event_engine.executor_starts SET starts = 1 WHERE random() < 0.5;
		SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE backend_type = 'event_engine executor' AND random() < $share});
	$node->safe_psql('shop', q{SELECT event_engine.process_batch(20)});
	$node->safe_psql('shop', q{SELECT pg_sleep(0.3)});
}
$_->quit foreach @sessions;
cmp_ok($ended, '>', 0, "executors were ended: $ended");
wait_until($node, 'shop', "SELECT count(*) = $n AND bool_and(status IN ('completed', 'cancelled'))
	FROM event_engine.workflow_instances", 'all contests have come to an end');

is($node->safe_psql('shop', q{SELECT count(*) FROM event_engine.workflow_instances AS i
	WHERE (SELECT count(*) FROM took WHERE instance = i.id) <> CASE status WHEN 'completed' THEN 1 ELSE 0 END}),
	'0', 'one of them has won, once');
is($node->safe_psql('shop', q{SELECT count(*) FROM event_engine.workflow_instances AS i
	JOIN took AS t ON t.instance = i.id WHERE i.output <> to_jsonb(t.kind)}), '0', 'the result says which');
is($node->safe_psql('shop', q{SELECT count(*) FROM cancelled JOIN contests USING (key)
	JOIN event_engine.workflow_instances AS i ON i.id = instance WHERE won <> (i.status = 'cancelled')}),
	'0', '... and so was who cancelled told');
is($node->safe_psql('shop', q{SELECT count(*) FROM contests AS c JOIN took AS t ON t.instance = c.instance
	WHERE t.kind = 'event' AND NOT EXISTS (SELECT FROM published AS p WHERE p.key = c.key)}),
	'0', 'no event has won that was rolled back');
is($node->safe_psql('shop', q{SELECT string_agg(format('%s: %s before, %s', c.key, c.over_at - p.seen_at, t.kind), '; ')
	FROM contests AS c JOIN took AS t ON t.instance = c.instance JOIN published AS p ON p.key = c.key
	WHERE t.kind <> 'event' AND p.seen_at < c.over_at}),
	'', 'no time-out has won over an event that could be seen before');
is($node->safe_psql('shop', q{SELECT count(*) FROM event_engine.workflow_steps AS s JOIN contests AS c ON c.instance = s.instance_id
	WHERE s.resumed_by IN ('timeout', 'sleep') AND s.started_at < c.over_at}), '0', 'nor too early');
is($node->safe_psql('shop', q{SELECT count(*) FROM (SELECT FROM event_engine.workflow_steps WHERE result <> 'retry'
	GROUP BY instance_id, step_number HAVING count(*) > 1) AS s}), '0', 'no step was taken twice');
wait_until($node, 'shop', q{SELECT NOT EXISTS (SELECT FROM event_engine.workflow_postponed)
	AND NOT EXISTS (SELECT FROM event_engine.workflow_waits)}, 'nothing is left over');
note($node->safe_psql('shop', q{SELECT string_agg(kind || ' ' || n, ', ' ORDER BY kind) FROM (
	SELECT COALESCE(t.kind, i.status::text) AS kind, count(*) AS n FROM event_engine.workflow_instances AS i
	LEFT JOIN took AS t ON t.instance = i.id GROUP BY 1) AS k}));
note($node->safe_psql('shop', q{SELECT count(*) || ' events could be seen in the last 5 ms' FROM contests AS c
	JOIN published AS p ON p.key = c.key WHERE p.seen_at BETWEEN c.over_at - interval '5 ms' AND c.over_at}));
$node->stop;
done_testing();
