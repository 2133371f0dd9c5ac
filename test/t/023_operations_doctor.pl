# doctor() where a server of its own is needed: who holds things up, processes,
# settings.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', init => [ allows_streaming => 1 ], conf => <<'CONF');
max_prepared_transactions = 5
max_replication_slots = 2
wal_level = replica
event_engine.delivery_poll_interval = 100
event_engine.worker_slots = 1
CONF
new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition('doctor.test');
CREATE FUNCTION linger(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF e.payload ? 'linger' THEN PERFORM pg_sleep(3600); END IF;
END $$;
SELECT event_engine.run_maintenance();
SQL

# A finding as severity|what|who|cure, with an answer to match.
sub found
{
	my ($code, $expected, $what) = @_;

	my $query = "SELECT severity, what, who, cure FROM event_engine.doctor('0') WHERE code = '$code'";
	$node->poll_query_until('shop', "SELECT EXISTS ($query)");
	return like($node->safe_psql('shop', $query), $expected, $what);
}

sub not_found
{
	my ($code, $what) = @_;

	return wait_until($node, 'shop', "SELECT NOT EXISTS (SELECT FROM event_engine.doctor('0') WHERE code = '$code')", $what);
}

wait_until($node, 'shop', q(SELECT NOT EXISTS (SELECT FROM event_engine.doctor() WHERE code NOT IN ('fsync_off', 'settings_contradict', 'default_partition'))),
	'nothing else is wrong with a new database');
found('fsync_off', qr/^warning\|.*\|fsync = off\|/, 'what the test does to its server is');

# Who holds things up.
my $session = $node->background_psql('shop');
my $pid = $session->query_safe('SELECT pg_backend_pid()');
$session->query_safe('BEGIN');
$session->query_safe(q(SELECT event_engine.publish_event('doctor.test', '{}')));
found('idle_in_transaction', qr/^warning\|A transaction has been open for .* and uses the log.*\|process $pid, role .*\|SELECT pg_terminate_backend\($pid\)/, 'a session that is idle in transaction');
is($node->safe_psql('shop', q(SELECT count(*) FROM event_engine.doctor() WHERE code = 'idle_in_transaction')), '0', 'not before its time');
# a partition that it keeps others from sealing
$node->safe_psql('shop', <<'SQL');
CREATE TABLE bounds AS SELECT relid, upper FROM event_engine.event_partitions WHERE lower <= now() AND upper > now();
UPDATE event_engine.event_partitions SET upper = now() - interval '1 hour' WHERE relid = (SELECT relid FROM bounds);
SQL
found('partition_unsealed', qr/^warning\|.*\|table event_engine.events_\d+, process $pid\|/, 'a partition that cannot be sealed');
$node->safe_psql('shop', 'UPDATE event_engine.event_partitions AS p SET upper = b.upper FROM bounds AS b WHERE b.relid = p.relid');
$session->query_safe('COMMIT');
not_found('idle_in_transaction', 'and it is over');
$session->query_until(qr/./, "\\echo x\nBEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1; SELECT pg_sleep(3600);\n");
found('long_transaction', qr/^warning\|A transaction has been open for .* vacuum keeps all rows.*\|process $pid/, 'a long query');
$node->safe_psql('shop', "SELECT pg_terminate_backend($pid)");
eval { $session->quit };
not_found('long_transaction', 'it has ended');

$node->safe_psql('shop', q(BEGIN; CREATE TABLE forgotten (); PREPARE TRANSACTION 'it''s forgotten'));
found('prepared_transaction', qr/^warning\|.*\|prepared transaction 'it''s forgotten', role .*\|COMMIT PREPARED 'it''s forgotten'; or ROLLBACK PREPARED 'it''s forgotten'/, 'a prepared transaction');
$node->safe_psql('shop', q(ROLLBACK PREPARED 'it''s forgotten'));
$node->safe_psql('shop', q(BEGIN; SELECT event_engine.publish_event('doctor.test', '{}'); PREPARE TRANSACTION 'published'));
found('prepared_transaction', qr/^critical\|.*what it has published is not delivered/, 'one that has published');
$node->safe_psql('shop', q(COMMIT PREPARED 'published'));
not_found('prepared_transaction', 'both are gone');


$node->safe_psql('shop', q(SELECT pg_create_physical_replication_slot('nobody', true)));
found('replication_slot', qr/^warning\|Nobody reads from a physical replication slot, which keeps .* of WAL.*\|slot nobody\|.*pg_drop_replication_slot\('nobody'\)/, 'a replication slot');
$node->safe_psql('shop', q(SELECT pg_drop_replication_slot('nobody')));
not_found('replication_slot', 'it is gone');

# A query on a standby holds up vacuum here, with a slot or without.
$node->backup('for_standby');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'for_standby', has_streaming => 1);
$standby->append_conf('postgresql.conf', "hot_standby_feedback = on\nwal_receiver_status_interval = 1\nshared_preload_libraries = ''");
$standby->start;
foreach my $with ('', 'slot')
{
	if ($with)
	{
		$node->safe_psql('shop', q(SELECT pg_create_physical_replication_slot('standby')));
		$standby->append_conf('postgresql.conf', "primary_slot_name = 'standby'");
		$standby->restart;
	}
	my $reader = $standby->background_psql('shop');
	$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
	$node->safe_psql('shop', q(SELECT event_engine.publish_event('doctor.test', '{}')));
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;
	while (time < $end && $node->safe_psql('shop', q(SELECT count(*) FROM event_engine.doctor('0') WHERE code = 'standby_snapshot')) eq '0')
	{
		$node->safe_psql('shop', q(SELECT event_engine.publish_event('doctor.test', '{}')));
		select undef, undef, undef, 0.2;
	}
	found('standby_snapshot', $with ? qr/^warning\|.*\|standby standby, slot standby\|/ : qr/^warning\|A query on a standby keeps a snapshot.*\|standby standby\|End that query/, "a query on a standby $with");
	is($node->safe_psql('shop', q(SELECT count(*) FROM event_engine.doctor() WHERE code = 'standby_snapshot')), '0', 'not before its time');
	$reader->query_safe('COMMIT');
	$reader->quit;
	not_found('standby_snapshot', 'it has ended');
}
$standby->stop;
$node->safe_psql('shop', q(SELECT pg_drop_replication_slot('standby')));
# the clock, as upkeep would have written it down
$node->safe_psql('shop', q(INSERT INTO event_engine.event_maintenance (task, object, outcome, detail) VALUES ('clock', 'system clock', 'done', 'it went ahead by 3600 s')));
found('clock_jumped', qr/^warning\|The clock of the server was set: it went ahead by 3600 s\.\|system clock\|/, 'a clock that was set');
$node->safe_psql('shop', q(DELETE FROM event_engine.event_maintenance WHERE task = 'clock'));

# Somebody reads what has expired.
$node->safe_psql('shop', <<'SQL');
CREATE TABLE event_engine.events_20010101 (LIKE event_engine.events_default INCLUDING ALL);
INSERT INTO event_engine.events_20010101 (id, pattern, source, "timestamp", payload, metadata, created_at, priority, created_by, seq, xid)
SELECT gen_random_uuid(), 'doctor.test', '{}', '2001-01-01', '{}', '{}', '2001-01-01', 'normal', 'test', nextval('event_engine.event_seq'), pg_current_xact_id();
ALTER TABLE event_engine.events ATTACH PARTITION event_engine.events_20010101 FOR VALUES FROM ('2001-01-01') TO ('2001-01-02');
INSERT INTO event_engine.event_partitions (relid, lower, upper) VALUES ('event_engine.events_20010101', '2001-01-01', '2001-01-02');
SELECT event_engine.set_retention('#', '1 day');
SQL
$session = $node->background_psql('shop');
$pid = $session->query_safe('SELECT pg_backend_pid()');
$session->query_safe('BEGIN; SELECT count(*) FROM event_engine.events_20010101');
$node->safe_psql('shop', 'SELECT event_engine.run_maintenance()');
found('retention_locked', qr/^warning\|.*process $pid \(client backend\) uses it.*\|table event_engine.events_20010101\|/, 'expired events that are being read');
$session->query_safe('COMMIT');
$session->quit;
$node->safe_psql('shop', 'SELECT event_engine.run_maintenance()');
not_found('retention_locked', 'they go afterwards');

# Processes.
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.subscribe('slow', '{doctor.test}', 'linger');
SELECT event_engine.publish_event('doctor.test', '{"linger": true}');
SQL
found('executor_busy', qr/^warning\|An executor has been at work.*\|process \d+, role .*\|.*pg_cancel_backend/, 'a handler that hangs');
found('worker_slots_taken', qr/^warning\|All 1 slots/, 'slots that are all taken');
found('subscription_behind', qr/^warning\|.*\|subscription 'slow'/, 'a subscription that does not get on');
# from now on it does, lest what changes the subscription wait for its time-out
$node->safe_psql('shop', q(CREATE OR REPLACE FUNCTION linger(e event_engine.event) RETURNS void LANGUAGE sql AS ''));
sub settings
{
	my (@settings) = @_;

	$node->append_conf('postgresql.conf', join("\n", @settings) . "\n");
	$node->reload;
	return;
}

$node->stop('immediate');
$node->start;
settings('event_engine.delivery_enabled = off');
found('delivery_disabled', qr/^critical\|.*\|event_engine.delivery_enabled = off\|ALTER SYSTEM RESET/, 'delivery is off');
settings("event_engine.operations_retention = '10d'", "event_engine.operations_retention_limit = '5d'");
found('settings_contradict', qr/limit is over before they expire.*operations_retention_limit/, 'a limit shorter than retention');
settings("event_engine.operations_retention = '90d'", "event_engine.operations_retention_limit = 0", 'event_engine.store_partition_period = hour');
found('settings_contradict', qr/thousand partitions/, 'a thousand partitions');
settings("event_engine.operations_retention = 0", 'event_engine.store_partition_period = day',
	'event_engine.store_max_queue_depth = 1', 'event_engine.store_high_watermark = 2');
found('settings_contradict', qr/full before it is long/, 'watermarks the wrong way round');
settings('event_engine.store_high_watermark = 0', 'event_engine.delivery_enabled = on');
$node->safe_psql('shop', q(SELECT event_engine.subscribe('nobody', '{doctor.test}')));
$node->safe_psql('shop', q(SELECT event_engine.publish_event('doctor.test', '{}') FROM generate_series(1, 5)));
found('queue_full', qr/^critical\|\d+ events or more wait/, 'a queue that is full');
$node->safe_psql('shop', q(SELECT event_engine.unsubscribe('nobody')));

settings('autovacuum = off');
found('autovacuum_off', qr/\|autovacuum = off\|/, 'autovacuum is off');
$node->safe_psql('shop', q(SELECT event_engine.update_subscription('slow', options => '{"concurrency": 8}')));
$node->append_conf('postgresql.conf', "max_worker_processes = 2\nautovacuum = on\nmax_logical_replication_workers = 0");
$node->stop('immediate');
$node->start;
found('few_worker_processes', qr/^warning\|The server has room for 2 background workers; event_engine needs 10/, 'too few background workers');
found('settings_contradict', qr/more executors than there are slots/, 'more executors than slots');
$node->append_conf('postgresql.conf', "max_worker_processes = 1");
$node->stop('immediate');
$node->start;
found('no_router', qr/^critical\|.*\|database shop\|/, 'no room for a router');
$node->append_conf('postgresql.conf', "max_worker_processes = 0");
$node->stop('immediate');
$node->start;
found('no_launcher', qr/^critical\|.*max_worker_processes = 0/, 'no room for a launcher');
$node->stop('immediate');
done_testing();
