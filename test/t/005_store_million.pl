# One transaction publishes a million events.  Neither it nor the executor that
# delivers them needs memory that grows with their number.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

my $EVENTS = 1_000_000;
my $LIMIT_KB = 64 * 1024;

my $node = new_server('million', conf => <<'CONF');
event_engine.worker_idle_timeout = 1h
log_statement = none
max_wal_size = 4GB
autovacuum = off
CONF

new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition('million.event');
CREATE TABLE batches (n serial, events int, first int, last int, ordered boolean);
CREATE FUNCTION take(e event_engine.event[]) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO public.batches (events, first, last, ordered)
	SELECT count(*), min(i), max(i), bool_and(i = nth + (e[1].payload ->> 'i')::int - 1)
	FROM (SELECT (u.payload ->> 'i')::int AS i, nth FROM unnest(e) WITH ORDINALITY
		AS u (id, event_id, pattern, version, source, "timestamp", payload, metadata, created_at, partition_key,
			aggregate_type, aggregate_version, priority, created_by, deliver_at, seq, xid, nth)) u;
END $$;
SELECT event_engine.subscribe('million', '{million.event}', 'take', options => '{"batch_size": 10000}');
SELECT event_engine.publish_event('million.event', '{"i": 0}');
SQL
wait_until($node, 'shop', 'SELECT count(*) = 1 FROM batches', 'an executor is there');
my $executor = $node->safe_psql('postgres',
	"SELECT pid FROM pg_stat_activity WHERE backend_type = 'event_engine executor'");
my $before = private_kb($executor);

my $publisher = $node->background_psql('shop');
my $backend = $publisher->query_safe('SELECT pg_backend_pid()');
$publisher->query_safe("SELECT event_engine.publish_event('million.event', '{\"i\": 0}')");
my $publisher_before = private_kb($backend);
my $began = time;
$publisher->query_safe('BEGIN');
$publisher->query_safe("INSERT INTO event_engine.events (pattern, payload)"
	  . " SELECT 'million.event', jsonb_build_object('i', i) FROM generate_series(1, $EVENTS / 2) i");
note('half of them published by INSERT in ' . (time - $began) . ' s');
$publisher->query_safe(<<"SQL");
DO \$\$ BEGIN
	FOR c IN $EVENTS / 2000 .. $EVENTS / 1000 - 1 LOOP
		PERFORM event_engine.publish_events((SELECT jsonb_agg(jsonb_build_object('pattern', 'million.event',
			'payload', jsonb_build_object('i', i)) ORDER BY i) FROM generate_series(c * 1000 + 1, c * 1000 + 1000) i));
	END LOOP;
END \$\$
SQL
note('all of them in ' . (time - $began) . ' s');
cmp_ok(private_kb($backend) - $publisher_before, '<', $LIMIT_KB, 'the publisher has kept its size');
$publisher->query_safe('COMMIT');
$began = time;
$publisher->quit;
wait_until($node, 'shop', "SELECT sum(events) = $EVENTS + 2 FROM batches", 'a million are delivered');
note('delivered ' . (time - $began) . ' s after the commit');
is($node->safe_psql('shop', 'SELECT bool_and(ordered) FROM batches'), 't', 'in order');
is($node->safe_psql('shop', 'SELECT count(*) FROM (SELECT first, lag(last) OVER (ORDER BY n) AS previous FROM batches WHERE last > 0) b WHERE first <> previous + 1'),
	'0', 'without a gap');
is($node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'event_engine executor'"),
	$executor, 'by one and the same executor');
my $after = private_kb($executor);
note("executor: $before kB before, $after kB after");
cmp_ok($after - $before, '<', $LIMIT_KB, 'which has kept its size');
$node->stop;
done_testing();

# The highest size of what is a process's own, not shared with others.
sub private_kb
{
	my ($pid) = @_;
	my $status = slurp_file("/proc/$pid/status");
	my ($peak) = $status =~ /^VmHWM:\s+(\d+) kB/m;
	my ($shared) = $status =~ /^RssShmem:\s+(\d+) kB/m;
	my ($file) = $status =~ /^RssFile:\s+(\d+) kB/m;

	return $peak - $shared - $file;
}
