# Workers come and go with the extension and with its database: created,
# dropped, rolled back, renamed, copied, while handlers and publishers run.
# Whatever process ends, another takes its place.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('lifecycle', conf => <<'CONF');
event_engine.delivery_poll_interval = 200ms
event_engine.worker_launch_interval = 500ms
event_engine.worker_idle_timeout = 600s
max_worker_processes = 20
log_statement = none
CONF

# ---- CREATE and DROP EXTENSION, rolled back and for good

wait_until($node, 'postgres', workers('launcher') . ' = 1', 'the launcher is there');
$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', 'BEGIN; CREATE EXTENSION event_engine; ROLLBACK');
$node->safe_psql('shop', 'CREATE EXTENSION event_engine');
wait_until($node, 'postgres', workers('router', 'shop') . ' = 1', 'CREATE EXTENSION brings a router');
set_up('shop');
delivers('shop', 'an executor');
wait_until($node, 'postgres', workers('executor', 'shop') . ' = 1', 'there is one executor');

my $before = pids('shop');
$node->safe_psql('shop', 'BEGIN; DROP EXTENSION event_engine CASCADE; ROLLBACK');
delivers('shop', 'after a DROP EXTENSION that was rolled back');
is(pids('shop'), $before, 'by the same processes');

$node->safe_psql('shop', 'DROP EXTENSION event_engine CASCADE');
wait_until($node, 'postgres', workers('%', 'shop') . ' = 0', 'DROP EXTENSION ends them');
$node->safe_psql('shop', 'CREATE EXTENSION event_engine');
set_up('shop');
delivers('shop', 'after the extension was created again');
$node->safe_psql('shop', 'BEGIN; DROP EXTENSION event_engine CASCADE; CREATE EXTENSION event_engine; COMMIT');
set_up('shop');
delivers('shop', 'after it was exchanged in one transaction');

# ---- each kind of process is replaced, again and again

foreach my $kind ('executor', 'executor', 'executor', 'router', 'launcher')
{
	my $pid = $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'event_engine $kind'");

	is($node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)"), 't', "the $kind is terminated");
	$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid");
	delivers('shop', "without the $kind, or with the next one");
	wait_until($node, 'postgres', workers($kind) . ' = 1', "there is one $kind again");
	is( $node->safe_psql('postgres',
			'SELECT count(*) FROM pg_locks l WHERE NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = l.pid)'),
		'0', "the $kind has left no lock behind");
}

# ---- who is terminated on purpose has not failed: the next does not wait longer and longer

$node->safe_psql('shop', 'CREATE TABLE ended (pid integer PRIMARY KEY)');
wait_until($node, 'shop', <<'SQL', 'twenty executors come, one after the other');
WITH own AS (
	INSERT INTO ended SELECT w.pid FROM event_engine.stat_workers AS w
	WHERE w.kind = 'executor' AND w.database = current_database()
		AND w.state <> 'starting' AND pg_terminate_backend(w.pid)
	ON CONFLICT DO NOTHING RETURNING pid)
SELECT (SELECT count(*) FROM ended) + (SELECT count(*) FROM own) >= 20
SQL
delivers('shop', 'after all of them');

# ---- DROP EXTENSION while a handler runs: waits for it, and no deadlock

my $gate = $node->background_psql('shop');
$gate->query_safe('SELECT pg_advisory_lock(1)');
publish('shop', 'wait');
wait_until($node, 'postgres',
	"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'event_engine executor' AND wait_event = 'advisory'",
	'a handler is running');
my $drop = $node->background_psql('shop', on_error_stop => 0);
$drop->query_until(qr/dropping/, "\\echo dropping\nDROP EXTENSION event_engine CASCADE;\n");
wait_until($node, 'postgres',
	"SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'DROP EXTENSION%' AND wait_event_type = 'Lock'",
	'DROP EXTENSION waits for it');
$gate->query_safe('SELECT pg_advisory_unlock(1)');
wait_until($node, 'shop', "SELECT count(*) = 0 FROM pg_extension WHERE extname = 'event_engine'",
	'and goes on when it is done');
$drop->quit;
$gate->quit;
is($node->safe_psql('shop', "SELECT count(*) FROM seen WHERE what = 'wait'"), '1', 'what the handler did stays');
wait_until($node, 'postgres', workers('%', 'shop') . ' = 0', 'no process is left');

# ---- and while publishers run: they get an error and nothing hangs

$node->safe_psql('shop', 'CREATE EXTENSION event_engine');
set_up('shop');
my @publishers = map { $node->background_psql('shop', on_error_stop => 0) } 1 .. 3;
$_->query_until(qr/publishing/, <<'SQL') foreach @publishers;
\echo publishing
DO $$ BEGIN
	LOOP
		PERFORM event_engine.publish_event('shop.seen', '"many"'::jsonb);
		COMMIT;
	END LOOP;
END $$;
SQL
wait_until($node, 'shop', "SELECT count(*) > 100 FROM seen WHERE what = 'many'", 'publishers are at it');
$node->safe_psql('shop', 'DROP EXTENSION event_engine CASCADE');
is($node->safe_psql('shop', "SELECT count(*) FROM pg_extension WHERE extname = 'event_engine'"),
	'0', 'the extension is dropped under them');
unlike(slurp_file($node->logfile), qr/deadlock/, 'without a deadlock');
$_->quit foreach @publishers;
wait_until($node, 'postgres', workers('%', 'shop') . ' = 0', 'no process is left behind');

# ---- databases: rename, copy, drop, while processes are connected and busy

$node->safe_psql('shop', 'CREATE EXTENSION event_engine');
set_up('shop');
delivers('shop', 'once more');
publish('shop', 'sleep');
wait_until($node, 'postgres',
	"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'event_engine executor' AND wait_event = 'PgSleep'",
	'a handler is in the middle of something long');
$node->safe_psql('shop', 'UPDATE sleep_time SET seconds = 0');
$node->safe_psql('postgres', 'ALTER DATABASE shop RENAME TO store');
wait_until($node, 'store', "SELECT count(*) = 1 FROM seen WHERE what = 'sleep'",
	'renamed: what was interrupted is delivered, once');
delivers('store', 'the renamed database');
$node->safe_psql('postgres', 'CREATE DATABASE branch TEMPLATE store');
delivers('branch', 'a copy of a database');
delivers('store', 'the database that was copied');
is($node->safe_psql('store', 'SELECT count(*) = count(DISTINCT id) FROM seen'), 't', 'each event once there');
is($node->safe_psql('branch', 'SELECT count(*) = count(DISTINCT id) FROM seen'), 't', 'and here');
wait_until($node, 'postgres', workers('router') . ' = 2', 'a router for each');

$node->safe_psql('branch', 'UPDATE sleep_time SET seconds = 600');
publish('branch', 'sleep');
wait_until($node, 'postgres',
	"SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = 'branch' AND wait_event = 'PgSleep'",
	'a handler is busy in the copy');
$node->safe_psql('postgres', 'DROP DATABASE branch');
pass('DROP DATABASE does not wait for it');
delivers('store', 'the other database');

# a database that is held for a statement which fails is served again
my $session = $node->background_psql('store');
$session->query_safe('SELECT 1');
isnt($node->psql('postgres', 'DROP DATABASE store'), 0, 'a session of somebody forbids DROP DATABASE');
$session->quit;
delivers('store', 'after a DROP DATABASE that failed');

# a template that has the extension
$node->safe_psql('template1', 'CREATE EXTENSION event_engine');
$node->safe_psql('postgres', 'CREATE DATABASE fresh');
set_up('fresh');
delivers('fresh', 'a database made from a template that has the extension');
is($node->safe_psql('postgres', workers('%', 'template1')), '0', 'nobody is connected to the template');

$node->safe_psql('postgres', 'DROP DATABASE fresh');
$node->safe_psql('postgres', 'DROP DATABASE store');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal|stuck|already held/, 'nothing crashed');
done_testing();

# SELECT count(*) of processes of a kind
sub workers
{
	my ($kind, $database) = @_;
	my $where = defined $database ? " AND datname = '$database'" : '';

	return "SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'event_engine $kind'$where)";
}

sub pids
{
	return $node->safe_psql('postgres',
		"SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM pg_stat_activity"
		  . " WHERE backend_type LIKE 'event_engine %' AND datname = '$_[0]'");
}

# A pattern, and a handler that writes down what it sees; the payload tells it
# what else to do.
sub set_up
{
	$node->safe_psql($_[0], <<'SQL');
CREATE TABLE IF NOT EXISTS seen (id uuid PRIMARY KEY, what text);
CREATE TABLE IF NOT EXISTS sleep_time AS SELECT 600 AS seconds;
CREATE OR REPLACE FUNCTION see(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO public.seen VALUES (e.id, e.payload #>> '{}');
	IF e.payload = '"wait"' THEN PERFORM pg_advisory_lock_shared(1); END IF;
	IF e.payload = '"sleep"' THEN PERFORM pg_sleep(seconds) FROM public.sleep_time; END IF;
END $$;
SELECT event_engine.register_event_definition('shop.seen');
SELECT event_engine.subscribe('shop', '{shop.seen}', 'see', options => '{"timeout_ms": 0}');
SQL
	return;
}

sub publish
{
	my ($database, $what) = @_;

	return $node->safe_psql($database,
		"SELECT event_engine.publish_event('shop.seen', to_jsonb('$what'::text))");
}

# What is published is delivered, soon.
sub delivers
{
	my ($database, $what) = @_;
	my $id = publish($database, 'deliver');

	return wait_until($node, $database, "SELECT count(*) = 1 FROM seen WHERE id = '$id'", "delivers: $what");
}
