# How it behaves under trouble: what is lost (nothing), what goes on, and how it
# recovers.  docs/trouble.md tells of the same, in the same order.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('trouble', conf => <<'CONF');
max_connections = 6
superuser_reserved_connections = 1
max_prepared_transactions = 2
wal_level = replica
max_wal_senders = 1
max_worker_processes = 3
max_logical_replication_workers = 0
max_parallel_workers = 0
event_engine.delivery_poll_interval = 200
event_engine.worker_idle_timeout = 500
CONF
new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
CREATE ROLE app LOGIN SUPERUSER;
SELECT event_engine.register_event_definition(p) FROM unnest('{trouble.test,trouble.app}'::text[]) AS p;
CREATE TABLE seen (i int);
CREATE FUNCTION take(e event_engine.event) RETURNS void LANGUAGE sql AS $$ INSERT INTO seen VALUES ((e.payload ->> 'i')::int) $$;
SELECT event_engine.subscribe('taking', '{trouble.test}', 'take');
SQL

sub publish
{
	my ($from, $to, $pattern) = (@_, 'trouble.test');

	return $node->safe_psql('shop', "SELECT count(event_engine.publish_event('$pattern', jsonb_build_object('i', i))) FROM generate_series($from, $to) AS i");
}

sub delivered
{
	my ($n, $what) = @_;

	return wait_until($node, 'shop', "SELECT count(*) = $n AND count(DISTINCT i) = $n FROM seen", $what);
}

# Out of connections: workers need none.
my @clients = map { $node->background_psql('shop') } 1 .. 5;
$clients[0]->query_safe(q(SELECT event_engine.publish_event('trouble.test', '{"i": 1}')));
$node->psql('shop', 'SELECT 1', extra_params => [ '-U', 'app' ]);
$clients[1]->query_safe(<<'SQL');
DO $$ BEGIN
	FOR i IN 1 .. 300 LOOP
		EXIT WHEN (SELECT count(*) FROM seen) = 1;
		PERFORM pg_sleep(0.1);
		COMMIT;
	END LOOP;
END $$
SQL
is($clients[1]->query_safe('SELECT count(*) FROM seen'), '1', 'with all connections taken events are delivered');
$_->quit foreach @clients;

# Out of worker slots: three are for launcher, router and one executor.
$node->safe_psql('shop', q(SET SESSION AUTHORIZATION app; SELECT event_engine.subscribe('of app', '{trouble.app}', 'take')));
publish(2, 100);
publish(101, 200, 'trouble.app');
publish(201, 300);
delivered(300, 'with one slot for two roles they take turns');

# The router stands still.
my $router = $node->safe_psql('shop', q(SELECT pid FROM event_engine.stat_workers WHERE kind = 'router' AND database = 'shop'));
publish(301, 301);
kill 'STOP', $router;
publish(302, 310);
is($node->safe_psql('shop', 'SELECT max(seq) > 0 FROM event_engine.events'), 't', 'with the router stopped publishers do not wait');
kill 'CONT', $router;
delivered(310, 'and once it goes on everything is delivered');

# Nobody ends what was prepared: others go on, it comes when it is committed.
$node->safe_psql('shop', q(BEGIN; SELECT event_engine.publish_event('trouble.test', '{"i": 311}'); PREPARE TRANSACTION 'forgotten'));
publish(312, 320);
delivered(319, 'past a prepared transaction');
$node->stop('immediate');
$node->start;
publish(321, 330);
delivered(329, 'after a crash as well');
$node->safe_psql('shop', q(COMMIT PREPARED 'forgotten'));
delivered(330, 'and what was prepared, when it is committed');

# The synchronous standby is lost: commits wait, what waits is not there yet.
$node->safe_psql('postgres', q(ALTER SYSTEM SET synchronous_standby_names = 'lost'));
$node->reload;
my $publisher = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('shop'), '-c',
	q(SELECT event_engine.publish_event('trouble.test', '{"i": 0}')) ], '>', \my $id, '2>', \my $error);
wait_until($node, 'shop', q(SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE '%"i": 0%')),
	'without its standby a publisher waits');
is($node->safe_psql('shop', q(SELECT count(*) FROM event_engine.events WHERE payload ->> 'i' = '0')), '0', 'for what nobody sees yet');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET synchronous_standby_names');
$node->reload;
ok($publisher->finish, 'and goes on once nobody asks for it any more');
delivered(331, 'as do the executors');
$node->safe_psql('shop', 'DELETE FROM seen WHERE i = 0');

# Upkeep and doctor() do not lock all partitions of the log.
is($node->safe_psql('shop', <<'SQL'), "t\nt", 'upkeep and doctor() lock the present partitions alone');
BEGIN;
DO $$ BEGIN PERFORM event_engine.run_maintenance(); END $$;
ROLLBACK;
BEGIN;
SELECT count(*) >= 0 FROM event_engine.doctor();
SELECT count(*) < 2 FROM pg_locks AS l JOIN pg_inherits AS i ON i.inhrelid = l.relation
WHERE l.pid = pg_backend_pid() AND i.inhparent = 'event_engine.events'::regclass AND l.relation <> 'event_engine.events_default'::regclass;
ROLLBACK;
SQL

# Transaction identifiers wrap around while events wait, and one is in progress.
$node->safe_psql('shop', q(SELECT event_engine.pause_subscription('taking')));
publish(331, 340);
$node->safe_psql('postgres', 'ALTER DATABASE template0 ALLOW_CONNECTIONS true');
# no step may be so long that what is not frozen lies in the future
foreach my $xid (1500000000, 2900000000, 4294967296 - 64)
{
	$node->safe_psql($_, 'VACUUM FREEZE') foreach qw(shop postgres template1 template0);
	$node->stop;
	system_or_bail('pg_resetwal', '--next-transaction-id', $xid, $node->data_dir);
	my $segment = sprintf('%s/pg_xact/%04X', $node->data_dir, $xid / 1048576);
	open my $file, '>', $segment or die "$segment: $!";
	binmode $file;
	print $file "\0" x 262144;
	close $file;
	$node->start;
}
is($node->safe_psql('shop', 'SELECT pg_current_xact_id()::text::numeric < 4294967296'), 't', 'shortly before the wraparound');
publish(341, 341);
my $session = $node->background_psql('shop');
$session->query_safe('BEGIN');
$session->query_safe(q(SELECT event_engine.publish_event('trouble.test', '{"i": 342}')));
$node->safe_psql('shop', join(';', map { "SELECT event_engine.publish_event('trouble.test', '{\"i\": $_}')" } 343 .. 460));
is($node->safe_psql('shop', 'SELECT pg_current_xact_id()::text::numeric > 4294967296'), 't', 'and behind it');
$node->safe_psql('shop', q(SELECT event_engine.resume_subscription('taking')));
delivered(459, 'the wraparound passes by unnoticed');
$session->query_safe('COMMIT');
$session->quit;
delivered(460, 'also what had begun before it');
is($node->safe_psql('shop', q(SELECT min(i) || ' ' || max(i) FROM seen)), '1 460', 'nothing is missing');

$node->stop;
done_testing();
