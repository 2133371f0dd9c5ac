# A handler that does not come to an end keeps no other subscription of its
# role waiting; what steps in for its executor delivers once, and in order.
use strict;
use warnings;

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', conf => <<'CONF');
event_engine.worker_help_after = 300ms
event_engine.worker_helpers_per_role = 2
event_engine.worker_idle_timeout = 600s
max_worker_processes = 20
CONF
new_database($node, 'shop');
sub query { return $node->safe_psql('shop', $_[0]); }
query(<<'SQL');
SELECT event_engine.register_event_definition(p) FROM unnest('{stuck.a,stuck.b,quick,mixed}'::text[]) AS p;
CREATE TABLE seen (at bigint GENERATED ALWAYS AS IDENTITY, subscriber text, seq bigint, key text, n integer, pid integer);
CREATE FUNCTION note(subscriber text, e event_engine.event) RETURNS void LANGUAGE sql AS $$
	INSERT INTO seen (subscriber, seq, key, n, pid) VALUES (subscriber, e.seq, e.partition_key,
		(e.payload ->> 'n')::integer, pg_backend_pid()) $$;
CREATE FUNCTION sleep(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ SELECT pg_sleep((e.payload ->> 'sleep')::float8) $$;
CREATE FUNCTION quick(e event_engine.event) RETURNS void LANGUAGE sql AS $$ SELECT note('quick', e) $$;
CREATE FUNCTION mixed(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM note('mixed', e);
	PERFORM pg_sleep((e.payload ->> 'sleep')::float8) WHERE e.payload ? 'sleep';
	IF e.payload ? 'fail' AND random() < 0.7 THEN RAISE 'failed'; END IF;
END $$;
SELECT event_engine.subscribe('a', '{stuck.a}', 'sleep', options => '{"timeout_ms": 0, "max_attempts": 1}'),
	event_engine.subscribe('b', '{stuck.b}', 'sleep', options => '{"timeout_ms": 0, "max_attempts": 1}'),
	event_engine.subscribe('quick', '{quick}', 'quick'),
	event_engine.subscribe('mixed', '{mixed}', 'mixed',
		options => '{"ordered": true, "backoff_ms": 20, "backoff_max_ms": 50, "max_attempts": 100}');
SQL
my $sleeping = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'event_engine executor' AND wait_event = 'PgSleep'};
my $executors = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'event_engine executor'};

# One is stuck, then what stepped in for it as well.
query(q{SELECT event_engine.publish_event('stuck.a', '{"sleep": 600}')});
wait_until($node, 'shop', "SELECT ($sleeping) = 1", 'a handler sleeps');
query(q{SELECT event_engine.publish_event('quick', '{"n": 1}')});
wait_until($node, 'shop', 'SELECT count(*) = 1 FROM seen', 'others of its role are delivered');
wait_until($node, 'shop', q{SELECT event_engine.health() -> 'problems' @> '["The handler of subscription \"a\" has been running for more than 5 s."]'},
	'and health() says why there is a helper');
query(q{SELECT event_engine.publish_event('stuck.b', '{"sleep": 600}')});
wait_until($node, 'shop', "SELECT ($sleeping) = 2", 'another sleeps too');
query(q{SELECT count(event_engine.publish_event('quick', jsonb_build_object('n', n))) FROM generate_series(2, 100) AS n});
wait_until($node, 'shop', 'SELECT count(*) = 100 FROM seen', 'others are delivered still');
is(query("SELECT ($executors)"), '3', 'by as many helpers as are allowed');
is(query('SELECT count(*) FROM (SELECT lag(n) OVER (ORDER BY at) >= n AS late FROM seen) AS s WHERE late'), '0', 'in order');
# The stuck ones come to an end, and so do the helpers.
query(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'event_engine executor' AND wait_event = 'PgSleep'});
wait_until($node, 'shop', 'SELECT count(*) = 2 FROM event_engine.event_dead_letters', 'both end when they are cancelled');
wait_until($node, 'shop', "SELECT ($executors) = 1", 'one executor is left');

# Stuck for a while, again and again, under load and with failures.
query('TRUNCATE seen');
my $publisher = $node->background_psql('shop');
$publisher->query_until(qr/begun/, <<'SQL');
\echo begun
DO $$ BEGIN
	FOR i IN 1 .. 3000 LOOP
		PERFORM event_engine.publish_event('mixed', jsonb_build_object('n', i)
			|| CASE WHEN i % 100 = 0 THEN '{"fail": true}' ELSE '{}' END::jsonb
			|| CASE WHEN i % 1200 = 0 THEN '{"sleep": 1.2}' ELSE '{}' END::jsonb, partition_key => 'k' || i % 7);
		IF i % 500 = 0 THEN
			PERFORM event_engine.publish_event('stuck.a', '{"sleep": 1}');
		END IF;
		PERFORM event_engine.publish_event('quick', jsonb_build_object('n', i));
		COMMIT;
		PERFORM pg_sleep(0.001);
	END LOOP;
END $$;
SQL
my $most = 0;
while ($node->safe_psql('shop', q{SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'DO %BEGIN%'}) > 0)
{
	my $n = query("SELECT ($executors)");
	$most = $n if $n > $most;
}
$publisher->quit;
wait_until($node, 'shop', q{SELECT count(*) FILTER (WHERE subscriber = 'mixed') = 3000 AND count(*) FILTER (WHERE subscriber = 'quick') = 3000 FROM seen},
	'all is delivered') or diag(query('SELECT subscriber, count(*) FROM seen GROUP BY 1'));
cmp_ok($most, '>', 1, 'with help');
is(query('SELECT count(*) FROM (SELECT count(*) OVER (PARTITION BY subscriber, seq) > 1 AS again FROM seen) AS s WHERE again'), '0', 'once');
is(query(q{SELECT count(*) FROM (SELECT lag(n) OVER (PARTITION BY key ORDER BY at) >= n AS late FROM seen WHERE subscriber = 'mixed') AS s WHERE late}),
	'0', 'and in the order of the keys');
cmp_ok(query('SELECT count(DISTINCT pid) FROM seen'), '>', 1, 'helpers did some of it');
is(query(q{SELECT sum(delivered) FROM event_engine.stat_subscriptions WHERE subscriber IN ('mixed', 'quick')}), '6100', 'all is counted');
unlike(slurp_file($node->logfile), qr/duplicate key|ended with|exited with exit code 1/, 'and nobody was in the way of another');
$node->stop;
done_testing();
