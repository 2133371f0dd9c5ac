# A test that waits holds nobody up: no snapshot, no lock; workers that deliver
# meanwhile are waited for, and do not deliver what publishers delivered.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('testing');
new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition(p) FROM unnest('{order.placed, order.paid, order.now}'::text[]) AS p;
CREATE TABLE seen (who text, n integer);
CREATE FUNCTION place(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_sleep(0.05);
	INSERT INTO seen VALUES ('place', (e.payload ->> 'n')::integer);
	PERFORM event_engine.publish_event('order.paid', e.payload);
END $$;
CREATE FUNCTION pay(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO seen VALUES ('pay', (e.payload ->> 'n')::integer) $$;
CREATE FUNCTION now(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO seen VALUES ('now', (e.payload ->> 'n')::integer) $$;
SELECT event_engine.subscribe('place', '{order.placed}', 'place');
SELECT event_engine.subscribe('pay', '{order.paid}', 'pay');
SELECT event_engine.subscribe('now', '{order.now}', 'public.now(event_engine.event)', options => '{"immediate": true}');
SQL

# Somebody waits for what is not published yet, and holds no snapshot.
my $out = '';
my $waiter = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('shop'), '-c',
	q{CALL event_engine.wait_for_event('order.paid', timeout => '60 s', filter => '$.payload.n == 7')} ],
	'<', \undef, '>', \$out, '2>&1');
wait_until($node, 'shop', <<'SQL', 'it waits');
SELECT count(*) = 1 FROM pg_stat_activity
WHERE query LIKE 'CALL event_engine.wait_for_event%' AND wait_event_type = 'Extension'
SQL
wait_until($node, 'shop', <<'SQL', 'without a snapshot');
SELECT bool_and(backend_xmin IS NULL AND backend_xid IS NULL) FROM pg_stat_activity
WHERE query LIKE 'CALL event_engine.wait_for_event%' AND wait_event_type = 'Extension'
SQL
my $id = $node->safe_psql('shop', q{SELECT event_engine.publish_event('order.placed', '{"n": 7}')});
$node->safe_psql('shop', "CALL event_engine.wait_for_delivery('$id', timeout => '180 s')");
is($node->safe_psql('shop', q{SELECT count(*) FROM seen WHERE who = 'place'}),
	1, 'delivered when the wait is over');
$waiter->finish;
like($out, qr/^[0-9a-f-]{36}$/m, 'the event was waited for');

# What the workers have in hand is over when everything pending has been run.
$node->safe_psql('shop', <<'SQL');
TRUNCATE seen;
SELECT event_engine.publish_event('order.placed', jsonb_build_object('n', n)) FROM generate_series(1, 20) AS n;
SQL
$node->safe_psql('shop', 'CALL event_engine.run_pending()');
is($node->safe_psql('shop', 'SELECT who, count(*), count(DISTINCT n) FROM seen GROUP BY who ORDER BY who'),
	"pay|20|20\nplace|20|20", 'everything has run once, by whomever');

# Nobody delivers again what a publisher delivered.
$node->safe_psql('shop', <<'SQL');
TRUNCATE seen;
SELECT event_engine.publish_event('order.now', '{"n": 1}');
SELECT event_engine.publish_event('order.paid', '{"n": 2}');
CALL event_engine.run_pending();
SQL
is($node->safe_psql('shop', 'SELECT who, n FROM seen ORDER BY n'),
	"now|1\npay|2", 'delivered once, by the publisher');

# Delayed, it is for the workers.
$id = $node->safe_psql('shop',
	q{SELECT event_engine.publish_event('order.now', '{"n": 3}', deliver_at => clock_timestamp() + interval '0.3 s')});
$node->safe_psql('shop', "CALL event_engine.wait_for_delivery('$id', timeout => '60 s')");
is($node->safe_psql('shop', 'SELECT who FROM seen WHERE n = 3'), 'now', 'a delayed event comes when it is due');

# Where transactions keep their snapshot the wait, which has many, is no other.
$id = $node->safe_psql('shop', q{SELECT event_engine.publish_event('order.paid', '{"n": 4}')});
$node->safe_psql('shop', "SET default_transaction_isolation = 'repeatable read'; CALL event_engine.wait_for_delivery('$id', timeout => '180 s')");
is($node->safe_psql('shop', 'SELECT who FROM seen WHERE n = 4'), 'pay', 'it can be waited for at another isolation level');

# What fails while somebody looks is not taken for delivered: here the look at
# the letters waits, after that at what is to be retried.
$node->safe_psql('shop', <<'SQL');
CREATE FUNCTION refuse(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_advisory_xact_lock_shared(1);
	RAISE 'not now';
END $$;
SELECT event_engine.register_event_definition('order.refused');
SELECT event_engine.subscribe('refuse', '{order.refused}', 'refuse', options => '{"backoff_ms": 3600000}');
SQL
my $gate = $node->background_psql('shop');
$gate->query_safe('SELECT pg_advisory_lock(1)');
$id = $node->safe_psql('shop', q{SELECT event_engine.publish_event('order.refused', '{}')});
wait_until($node, 'shop', q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}, 'a handler is about to fail');
my $letters = $node->background_psql('shop');
$letters->query_safe('BEGIN');
$letters->query_safe('LOCK TABLE event_engine.event_dead_letters');
$out = '';
$waiter = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('shop'), '-c',
	"CALL event_engine.wait_for_delivery('$id', timeout => '1 s')" ],
	'<', \undef, '>', \$out, '2>&1');
wait_until($node, 'shop', <<'SQL', 'somebody looks');
SELECT count(*) = 1 FROM pg_locks
WHERE relation = 'event_engine.event_dead_letters'::regclass AND NOT granted
SQL
$gate->quit;
wait_until($node, 'shop', 'SELECT count(*) = 1 FROM event_engine.deliveries', 'the failure is committed');
$letters->quit;
$waiter->finish;
like($out, qr/the event was not delivered in time\nDETAIL: +subscription "refuse": retry, not now/, 'what fails meanwhile is not delivered');

$node->stop;
done_testing();
