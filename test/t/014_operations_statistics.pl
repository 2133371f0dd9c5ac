# Figures by pattern and source are those of what was committed.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', conf => 'event_engine.operations_counted_patterns = 100');

new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition(p, '{"required": ["n"]}')
FROM unnest('{order.placed,order.paid}'::text[]) AS p;
CREATE FUNCTION digest(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF e.payload ->> 'n' = '3' THEN
		RAISE 'three is too many';
	END IF;
END $$;
CREATE FUNCTION digest_all(e event_engine.event[]) RETURNS void LANGUAGE sql AS '';
SELECT event_engine.subscribe('one', '{order.placed}', 'digest',
	options => '{"max_attempts": 2, "backoff_ms": 1}');
SELECT event_engine.subscribe('all', '{order.*}', 'digest_all');
SQL

# Savepoints that are rolled back, or released, at several depths.
$node->safe_psql('shop', <<'SQL');
BEGIN;
SELECT event_engine.publish_event('order.placed', '{"n": 1}');
SAVEPOINT a;
SELECT event_engine.publish_event('order.placed', '{"n": 2}');
SAVEPOINT b;
SELECT event_engine.publish_event('order.placed', '{"n": 9}');
ROLLBACK TO b;
RELEASE a;
SAVEPOINT c;
SELECT event_engine.publish_event('order.paid', '{"n": 9}');
ROLLBACK TO c;
SELECT event_engine.publish_event('order.placed', '{"n": 3}',
	source => '{"type": "workflow", "id": "w"}');
COMMIT;
BEGIN;
SELECT event_engine.publish_event('order.placed', '{"n": 9}');
ROLLBACK;
SQL
$node->psql('shop', q{SELECT event_engine.publish_event('order.paid', '{}')});
wait_until($node, 'shop', <<'SQL', 'all is delivered, or dead');
SELECT sum(delivered) = 5 AND sum(dead) = 1 FROM event_engine.stat_subscriptions
SQL

# What a process has counted is there once its transaction has committed.
wait_until($node, 'shop', <<'SQL', 'counted by kind of source');
SELECT array_agg((pattern, source_type, published, refused, delivered, failed, dead)::text
	ORDER BY pattern, source_type) = '{"(order.paid,external,0,1,0,0,0)",
	"(order.placed,external,2,0,4,0,0)","(order.placed,workflow,1,0,1,2,1)"}'
FROM event_engine.stat_sources
SQL
is( $node->safe_psql('shop', <<'SQL'), <<'EXPECTED' =~ s/\n\z//r, 'and by pattern');
SELECT pattern, status, subscriptions, published, refused, delivered, failed, dead,
	last_published_at <= clock_timestamp()
FROM event_engine.stat_definitions ORDER BY pattern
SQL
order.paid|active|1|0|1|0|0|0|
order.placed|active|2|3|0|5|2|1|t
EXPECTED
wait_until($node, 'shop', <<'SQL', 'rates follow');
SELECT published_rate > 0 AND delivered_rate > 0 AND error_rate > 0 AND error_rate < 1
FROM event_engine.stat_definitions WHERE pattern = 'order.placed'
SQL

# Percentiles of how long deliveries took, and a histogram of the same.
is( $node->safe_psql('shop', <<'SQL'), 't|t|t', 'latencies are ordered');
SELECT bool_and(latency_p50 > 0), bool_and(latency_p50 <= latency_p95),
	bool_and(latency_p95 <= latency_p99 AND latency_p99 < 1000 * 3600)
FROM event_engine.stat_subscriptions
SQL

# All of it, as Prometheus wants it.
SKIP:
{
	my ($promtool) = grep { -x } $ENV{PROMTOOL} // (), map { "$_/promtool" } split /:/, $ENV{PATH};
	my $rejected;

	$node->safe_psql('shop', <<'SQL');
SELECT event_engine.subscribe('"odd"\' || chr(10) || 'name', '{order.paid}');
SQL
	my $metrics = $node->safe_psql('shop', 'SELECT event_engine.metrics()') . "\n";
	like($metrics, qr/^event_engine_events_published_total\{pattern="order\.placed",source_type="workflow"\} 1$/m,
		'metrics count what the views count');
	like($metrics, qr/\{subscriber="\\"odd\\"\\\\\\nname"\}/, 'values of labels are escaped');
	skip 'no promtool: install Debian\'s package prometheus', 2
	  unless defined $promtool;
	ok(run_log([ $promtool, 'check', 'metrics' ], '<', \$metrics, '&>', \$rejected),
		'promtool accepts them');
	is($rejected, '', 'without a remark');
}

# More patterns and more distinct sources than are noted without merging.
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition('many.p' || n)
FROM generate_series(1, 70) AS n;
SELECT event_engine.publish_event('many.p' || n % 70 + 1, '{}',
	source => jsonb_build_object('type', CASE WHEN n % 2 = 0 THEN 'task' ELSE 'workflow' END, 'id', 'x'))
FROM generate_series(1, 7000) AS n;
SQL
is( $node->safe_psql('shop', <<'SQL'), '70|7000|100|100', 'each of many patterns is counted');
SELECT count(*), sum(published), min(published), max(published)
FROM event_engine.stat_definitions WHERE pattern LIKE 'many.%'
SQL

# Where there is no room they are not counted, and nothing else changes.
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition('more.p' || n)
FROM generate_series(1, 2000) AS n;
SELECT event_engine.publish_event('more.p' || n, '{}') FROM generate_series(1, 2000) AS n;
SQL
is( $node->safe_psql('shop', <<'SQL'), 't|t', 'a full table takes no more');
SELECT sum(published) > 0, sum(published) < 2000
FROM event_engine.stat_definitions WHERE pattern LIKE 'more.%'
SQL

# A database that is dropped makes room again.
$node->safe_psql('postgres', "ALTER SYSTEM SET event_engine.worker_launch_interval = '100ms'");
$node->reload;
new_database($node, 'other');
$node->safe_psql('postgres', 'DROP DATABASE shop WITH (FORCE)');
$node->safe_psql('other', <<'SQL');
CREATE FUNCTION is_counted() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	PERFORM event_engine.register_event_definition('other.p' || count(*))
	FROM event_engine.event_definitions;
	PERFORM event_engine.publish_event(pattern, '{}') FROM event_engine.event_definitions;
	RETURN (SELECT sum(published) > 0 FROM event_engine.stat_definitions);
END $$;
SQL
wait_until($node, 'other', 'SELECT is_counted()', 'room for another database');

done_testing();
