# Where nothing may be preloaded everything works through the public functions;
# handlers are called by process_batch(), or by a worker of start_event_worker().
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('managed', preload => 0, conf => <<'CONF');
max_prepared_transactions = 2
max_worker_processes = 4
restart_after_crash = on
CONF
new_database($node, 'shop');

sub sql
{
	my ($query) = @_;

	return $node->safe_psql('shop', $query);
}

# Somebody calls process_batch() again and again.
sub batches_until
{
	my ($query, $what) = @_;

	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		sql('SELECT event_engine.process_batch()');
		return pass($what) if sql($query) eq 't';
		select undef, undef, undef, 0.1;
	}
	return fail($what);
}

# One function after the other, without a worker.
sql(<<'SQL');
SELECT event_engine.register_event_definition('order.placed', '{"required": ["number"]}');
SELECT event_engine.register_event_definition('order.paid');
SELECT event_engine.register_event_definition('order.shipped');
CREATE TABLE seen (who text, number int);
CREATE FUNCTION take(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF e.payload ? 'bad' THEN RAISE 'bad'; END IF;
	INSERT INTO seen VALUES (e.pattern, (e.payload ->> 'number')::int);
	IF e.pattern = 'order.placed' THEN
		PERFORM event_engine.publish_event('order.shipped', e.payload);
	END IF;
END $$;
SELECT event_engine.subscribe('taking', '{order.placed,order.shipped}', 'take', options => '{"max_attempts": 1}');
SELECT event_engine.subscribe('pulling', '{order.placed}');
SELECT event_engine.subscribe('ringing', '{order.placed}', channel => 'bell');
CREATE FUNCTION collect(i event_engine.workflow_instance,
		r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF i.step = 'start' THEN
		RETURN event_engine.wait_for('order.paid', '$.payload.number == $workflow.input.number',
			timeout => (i.input ->> 'patience')::interval, next_step => 'over');
	END IF;
	RETURN event_engine.complete(jsonb_build_object('by', r.kind));
END $$;
SELECT event_engine.register_workflow('collect', 'collect');
SQL
my ($rc, $out, $err) = $node->psql('shop', q(SELECT event_engine.publish_event('order.placed', '{}')));
like($err, qr/event "order.placed" is not valid/, 'what is not valid is refused');
sql(q(SELECT event_engine.publish_event('order.placed', '{"number": 1}')));
is(sql('SELECT event_engine.process_batch()'), '2', 'a batch: a handler and a bell');
is(sql('SELECT event_engine.process_batch()'), '1', 'the next: what the handler has published');
is(sql('SELECT string_agg(who, $$ $$ ORDER BY who) FROM seen'), 'order.placed order.shipped', 'the handler was called for both');
is(sql(q(SELECT count(event_engine.ack_events(receipt)) FROM event_engine.receive_events('pulling'))), '1', 'pulling');
like(sql("LISTEN bell; SELECT event_engine.publish_event('order.placed', '{\"number\": 3}'); SELECT event_engine.process_batch()"), qr/Asynchronous notification "bell"|3/, 'a bell is rung');
is(sql(<<'SQL'), 't', 'waiting for an event');
CALL event_engine.await_events('pulling', '10 s', NULL);
SQL
sql(q(SELECT event_engine.publish_event('order.placed', '{"number": 4, "bad": true}')));
sql('SELECT event_engine.process_batch()');
is(sql(q(SELECT error_message FROM event_engine.event_dead_letters)), 'bad', 'a dead letter');
is(sql(q(SELECT count(event_engine.discard_dead_letters(subscriber => 'taking')))), '1', 'is discarded');

# workflows: an event, a time-out
sql(q(SELECT event_engine.start_workflow('collect', '{"number": 7, "patience": "1 hour"}', correlation_key => 'event')));
sql(q(SELECT event_engine.start_workflow('collect', '{"number": 8, "patience": "100 ms"}', correlation_key => 'time')));
sql('SELECT event_engine.process_batch()');
sql(q(SELECT event_engine.publish_event('order.paid', '{"number": 7}')));
batches_until(<<'SQL', 'a workflow is resumed by its event, another by its time-out');
SELECT string_agg(w.correlation_key || ' ' || (w.output ->> 'by'), ', ' ORDER BY 1) = 'event event, time timeout'
FROM event_engine.workflow_instances AS w WHERE w.status = 'completed'
SQL

# prepared transactions need no hook
sql(q(BEGIN; SELECT event_engine.publish_event('order.placed', '{"number": 9}'); PREPARE TRANSACTION 'p'));
sql('SELECT event_engine.process_batch()');
sql(q(COMMIT PREPARED 'p'));
batches_until('SELECT count(*) = 2 FROM seen WHERE number = 9', 'what was prepared is delivered once it is committed');

# upkeep, and what can be seen
sql('SELECT event_engine.run_maintenance()');
cmp_ok(sql('SELECT count(*) FROM event_engine.event_partitions WHERE lower > now()'), '>=', 3, 'partitions ahead of time');
like(sql('SELECT event_engine.health()'), qr/"unhealthy".*|No workers for \w+: the library is not preloaded/, 'health says what is missing');
is(sql('SELECT severity FROM event_engine.doctor() WHERE code = $$not_preloaded$$'), 'critical', 'so does doctor');
like(sql('SELECT event_engine.metrics()'), qr/event_engine_/, 'metrics');
is(sql('SELECT count(*) FROM event_engine.stat_workers'), '0', 'no workers');
is(sql(q(SELECT delivered > 0 FROM event_engine.stat_subscriptions WHERE subscriber = 'taking')), 't', 'totals are exact, as they are in tables');

# very many subscriptions with nothing to deliver need no locks
sql(<<'SQL');
SELECT event_engine.register_event_definition('order.rare');
SELECT count(event_engine.subscribe('rare ' || i, '{order.rare}', 'take')) FROM generate_series(1, 3000) AS i;
SQL
is(sql('SELECT event_engine.process_batch()'), '0', 'a batch of 3,000 subscriptions with nothing to do');
like(sql(q(BEGIN; SELECT event_engine.process_batch(); SELECT count(*) FROM pg_locks WHERE locktype = 'object' AND classid = 'event_engine.subscriptions'::regclass)), qr/^0\n[0-2]$/, 'which holds no lock of theirs, but for that of the workflows');
sql(q(SELECT count(event_engine.unsubscribe('rare ' || i)) FROM generate_series(1, 3000) AS i));

# A worker without preloading.
my $worker = sql('SELECT event_engine.start_event_worker()');
like($worker, qr/^\d+$/, 'a worker is started');
is(sql('SELECT event_engine.start_event_worker()'), $worker, 'one is enough');
is(sql(q(SELECT kind, pid FROM event_engine.stat_workers)), "worker|$worker", 'it is listed');
is(sql(q(SELECT backend_type FROM pg_stat_activity WHERE pid = ) . $worker), 'event_engine worker', 'by its type');
is(sql(q(SELECT event_engine.health() ->> 'status')), 'healthy', 'health is content');
is(sql(q(SELECT count(*) FROM event_engine.doctor() WHERE code = 'not_preloaded' AND severity = 'critical')), '0', 'and so is doctor');
sql(q(SELECT event_engine.publish_event('order.placed', '{"number": 20}')));
wait_until($node, 'shop', q(SELECT count(*) = 2 FROM seen WHERE number = 20), 'it delivers, and what the handler publishes');
sql(q(BEGIN; SELECT event_engine.publish_event('order.placed', '{"number": 21}'); PREPARE TRANSACTION 'p'));
sql(q(COMMIT PREPARED 'p'));
wait_until($node, 'shop', q(SELECT count(*) = 2 FROM seen WHERE number = 21), 'also what was prepared');
sql(q(SELECT event_engine.start_workflow('collect', '{"number": 22, "patience": "50 ms"}', correlation_key => 'worker')));
wait_until($node, 'shop', q(SELECT status = 'completed' FROM event_engine.workflow_instances WHERE correlation_key = 'worker'), 'and keeps time for workflows');
sql(q(SELECT event_engine.subscribe('later', '{order.paid}', 'take', options => '{"concurrency": 3}')));
sql(q(SELECT event_engine.publish_event('order.paid', format('{"number": %s}', 1000 + i)::jsonb, partition_key => i::text) FROM generate_series(1, 30) AS i));
wait_until($node, 'shop', q(SELECT count(*) = 30 FROM seen WHERE number > 1000), 'a subscription that is new, with several lanes');
sql(q(SELECT event_engine.publish_event('order.paid', '{"number": 23}', deliver_at => now() + interval '300 ms')));
wait_until($node, 'shop', q(SELECT count(*) = 1 FROM seen WHERE number = 23), 'what is delayed');

# An error of its own, a crash of the server, a restart.
sql(q(SELECT pg_terminate_backend(pid) FROM event_engine.stat_workers));
wait_until($node, 'shop', 'SELECT count(*) = 0 FROM event_engine.stat_workers', 'who is ended by a person stays away');
$worker = sql('SELECT event_engine.start_event_worker()');
kill 'KILL', $worker;
wait_until($node, 'shop', "SELECT count(*) = 1 FROM event_engine.stat_workers WHERE pid <> $worker", 'after a crash the server starts it again');
sql(q(SELECT event_engine.publish_event('order.paid', '{"number": 24}')));
wait_until($node, 'shop', q(SELECT count(*) = 1 FROM seen WHERE number = 24), 'and it delivers');
is(sql('SELECT event_engine.stop_event_worker()'), 't', 'it is stopped');
wait_until($node, 'shop', 'SELECT count(*) = 0 FROM event_engine.stat_workers', 'and gone');
is(sql('SELECT event_engine.stop_event_worker()'), 'f', 'there is none any more');
sql('SELECT event_engine.start_event_worker()');
$node->restart;
is(sql('SELECT count(*) FROM event_engine.stat_workers'), '0', 'a restart of the server ends it for good');
like(sql('SELECT event_engine.health() -> $$problems$$'), qr/No workers for/, 'as health says');

# Roles: one worker each, and only for whose rights one has.
sql(<<'SQL');
CREATE ROLE app LOGIN; CREATE ROLE other LOGIN;
CALL event_engine.grant_duty('subscriber', 'app');
CALL event_engine.grant_duty('publisher', 'app');
CALL event_engine.grant_duty('subscriber', 'other');
CREATE SCHEMA app AUTHORIZATION app;
SET ROLE app;
CREATE TABLE app.mine (number int);
CREATE FUNCTION app.take(e event_engine.event) RETURNS void LANGUAGE sql AS $$ INSERT INTO mine VALUES ((e.payload ->> 'number')::int) $$;
SELECT event_engine.subscribe('of app', '{order.paid}', 'app.take');
SELECT event_engine.start_event_worker();
SELECT event_engine.publish_event('order.paid', '{"number": 30}');
SQL
wait_until($node, 'shop', 'SELECT count(*) = 1 FROM app.mine', 'another role has a worker of its own, which is its own session');
($rc, $out, $err) = $node->psql('shop', q(SET ROLE other; SELECT event_engine.start_event_worker(10::oid::regrole)));
like($err, qr/must have the privileges of role/, 'a role starts none for another');
($rc, $out, $err) = $node->psql('shop', q(SET ROLE other; SELECT event_engine.stop_event_worker('app')));
like($err, qr/permission denied|must be a member|privileges of the role/i, 'nor ends one');
($rc, $out, $err) = $node->psql('shop', q(SELECT event_engine.start_event_worker(poll_interval => '1 ms')));
like($err, qr/poll_interval must be from 10 ms to 1 hour/, 'the interval has limits');
is(sql(q(SELECT count(event_engine.start_event_worker(owner)) FROM (SELECT DISTINCT owner FROM event_engine.subscriptions WHERE kind <> 'pull') AS o)), '2', 'one for each role that needs one');

# No slot is free.
$node->safe_psql('postgres', 'CREATE DATABASE full0; CREATE DATABASE full1');
my $failed = '';
foreach my $i (0, 1)
{
	$node->safe_psql("full$i", 'CREATE EXTENSION event_engine');
	$node->psql("full$i", q(SELECT event_engine.start_event_worker()), stderr => \$err);
	$failed .= $err;
}
like($failed, qr/no background worker slot is free for event_engine\nHINT:  Increase max_worker_processes/, 'without a slot it is said why');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|not owned|don't own a lock/, 'nothing strange in the log');

# Preloaded there is nothing to start.
$node = new_server('preloaded');
new_database($node, 'shop');
($rc, $out, $err) = $node->psql('shop', 'SELECT event_engine.start_event_worker() IS NULL');
is($out, 't', 'preloaded, it starts nothing');
like($err, qr/NOTICE:  event_engine is preloaded/, 'and says so');
$node->stop;
done_testing();
