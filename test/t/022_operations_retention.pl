# Retention by the worker: what the settings say, archives in files, partitions
# that go while clients publish, and what is left after a crash.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

my $archive = PostgreSQL::Test::Utils::tempdir;
my $node = new_server('main', conf => <<"CONF");
event_engine.operations_archive_directory = '$archive'
event_engine.delivery_poll_interval = 100
CONF

new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
SELECT count(event_engine.register_event_definition(p)) FROM unnest('{order.placed,debug.trace}'::text[]) AS p;
-- as if so many of each had arrived on that day
CREATE FUNCTION past(day date, n integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	name text := 'events_' || to_char(day, 'YYYYMMDD');
BEGIN
	EXECUTE format('CREATE TABLE event_engine.%I (LIKE event_engine.events_default INCLUDING ALL)', name);
	EXECUTE format('INSERT INTO event_engine.%I (id, pattern, source, "timestamp", payload, metadata, created_at, priority, created_by, seq, xid)
		SELECT gen_random_uuid(), p, ''{}'', $1, jsonb_build_object(''n'', i, ''text'', E''a "b",\nc''), ''{}'', $1, ''normal'', ''test'',
			nextval(''event_engine.event_seq''), pg_current_xact_id()
		FROM unnest(''{order.placed,debug.trace}''::text[]) AS p, generate_series(1, $2) AS i', name) USING day::timestamptz, n;
	EXECUTE format('ALTER TABLE event_engine.events ATTACH PARTITION event_engine.%I FOR VALUES FROM (%L) TO (%L)', name, day, day + 1);
	EXECUTE format('INSERT INTO event_engine.event_partitions (relid, lower, upper) VALUES (%L, %L, %L)', 'event_engine.' || name, day, day + 1);
END $$;
SELECT past('2001-01-01', 100);
SQL

# The router does it, and a setting is enough.
sub set_and_restart
{
	my (@settings) = @_;

	$node->append_conf('postgresql.conf', join("\n", @settings) . "\n");
	$node->restart;
	return;
}
set_and_restart("event_engine.operations_retention = '90d'",
	"event_engine.operations_dead_letter_retention = '30d'",
	"event_engine.operations_log_retention = '5d'");
wait_until($node, 'shop', q(SELECT to_regclass('event_engine.events_20010101') IS NULL), 'the router lets a partition go');
is($node->safe_psql('shop', 'SELECT count(*) FROM event_engine.events'), '0', 'with its events');
like($node->safe_psql('shop', q(SELECT string_agg(task || ' ' || outcome || ' ' || coalesce(events::text, detail), ', ' ORDER BY at)
	FROM event_engine.event_maintenance WHERE task <> 'analyze')),
	qr/^expire done 200, drop done 1 empty partition\(s\)$/, 'and tells of it');
like(slurp_file($node->logfile), qr/200 expired events have left partition "events_20010101"/, 'in the log too');

# A file holds what it held, and can be read again.
$node->safe_psql('shop', q(SELECT past('2001-01-02', 10)));
$node->safe_psql('shop', q(CREATE TABLE before AS SELECT * FROM event_engine.events WHERE pattern = 'order.placed'));
$node->safe_psql('shop', q(SELECT event_engine.set_retention('order.#', '1 day', archive_file => true)));
$node->safe_psql('shop', q(SELECT event_engine.set_retention('debug.#', NULL)));
$node->safe_psql('shop', 'SELECT event_engine.run_maintenance()');
my ($file, @more) = glob "$archive/*";
like($file, qr{/shop\.events_20010102\.\d+-\d+\.csv$}, 'an archive is written');
is(scalar @more, 0, 'and nothing beside it');
is($node->safe_psql('shop', <<"SQL"), '0|10|10', 'it can be loaded again');
CREATE TABLE again (LIKE event_engine.events);
COPY again FROM '$file' WITH (FORMAT csv, HEADER);
SELECT (SELECT count(*) FROM (TABLE again EXCEPT TABLE before) AS d), (SELECT count(*) FROM again),
	(SELECT count(*) FROM event_engine.events);
SQL
$node->safe_psql('shop', q(SELECT event_engine.set_retention('order.#', '1 day'), event_engine.set_retention('debug.#', '1 day')));

# Rows that are settled.
$node->safe_psql('shop', <<'SQL');
INSERT INTO event_engine.event_dead_letters (subscriber, event_id, event_type, envelope, seq, error_message, retry_count, original_created_at, status, status_changed_at)
SELECT 'x', s || age, 'order.placed', '{}', 1, 'no', 1, now(), s, now() - age * interval '1 day' FROM unnest('{dead,redriven,discarded}'::text[]) AS s, unnest('{1,100}'::integer[]) AS age;
INSERT INTO event_engine.event_processing_log SELECT 'x', gen_random_uuid(), 'order.placed', 'delivered', 1, NULL, now() - i * interval '1 day', now() - i * interval '1 day'
FROM generate_series(0, 25000) AS j, LATERAL (SELECT j % 10 AS i) AS i;
SELECT event_engine.run_maintenance();
SQL
is($node->safe_psql('shop', q(SELECT string_agg(event_id, ' ' ORDER BY event_id) FROM event_engine.event_dead_letters)),
	'dead1 dead100 discarded1 redriven1', 'settled dead letters go, the others stay');
is($node->safe_psql('shop', q(SELECT max(now() - finished_at) < interval '5 days', count(*) > 10000 FROM event_engine.event_processing_log)), 't|t',
	'old rows of the processing log go, however many');

# Subscriptions that never read hold them up, for so long.
$node->safe_psql('shop', <<'SQL');
CREATE FUNCTION take(e event_engine.event) RETURNS void LANGUAGE sql AS '';
SELECT event_engine.subscribe('stuck', '{debug.trace}', 'take');
SELECT event_engine.pause_subscription('stuck', 'for ever');
SELECT past('2001-01-03', 5);
SELECT event_engine.run_maintenance();
SQL
is($node->safe_psql('shop', q(SELECT state, needed_by FROM event_engine.stat_retention WHERE partition = 'event_engine.events_20010103'::regclass)),
	'held|subscription "stuck", which is paused', 'a paused subscription holds up a partition');
my $offset = -s $node->logfile;
set_and_restart("event_engine.operations_retention_limit = '3650d'");
wait_until($node, 'shop', q(SELECT to_regclass('event_engine.events_20010103') IS NULL), 'up to the limit');
wait_for_log_line($node, qr/have left partition "events_20010103" though they had yet to be read.*\n.*subscription "stuck"/, $offset, 'which the log tells');
$node->safe_psql('shop', q(SELECT event_engine.unsubscribe('stuck')));

# While clients publish: nobody fails, the partitions go, and so do their tables.
$node->safe_psql('shop', qq(SELECT past('2001-02-01'::date + i, 2000) FROM generate_series(0, 9) AS i));
my $script = $node->basedir . '/publish.sql';
append_to_file($script, "SELECT event_engine.publish_event('order.placed', '{}');\n");
my $clients = IPC::Run::start([ 'pgbench', '-h', $node->host, '-p', $node->port, '-n', '-c', '4', '-T', '8', '-f', $script, 'shop' ],
	'>', \my $out, '2>', \my $err);
# the moment for dropping comes when nobody publishes, if not before
$node->safe_psql('shop', 'SELECT event_engine.run_maintenance()');
is($node->safe_psql('shop', q(SELECT count(*) FROM event_engine.events WHERE created_at < '2002-01-01')), '0', 'events leave while clients publish');
$clients->finish;
like($out, qr/number of failed transactions: 0 /, 'and none of the clients fails');
my ($published) = $out =~ /number of transactions actually processed: (\d+)/;
is($node->safe_psql('shop', 'SELECT count(*) FROM event_engine.events'), $published, 'what they published is there');
wait_until($node, 'shop', q(SELECT event_engine.run_maintenance() IS NOT NULL
	AND (SELECT count(*) = 0 FROM event_engine.event_partitions WHERE upper < '2002-01-01')), 'the tables go');

# A crash in between loses nothing and repeats the rest.
$node->safe_psql('shop', q(SELECT past('2001-03-01', 1000)));
$node->safe_psql('shop', q(SELECT event_engine.set_retention('order.#', NULL)));
my $session = $node->background_psql('shop', on_error_stop => 0);
$session->query_safe('BEGIN');
$session->query_safe('SELECT event_engine.run_maintenance()');
$node->stop('immediate');
eval { $session->quit };
$node->start;
wait_until($node, 'shop', q(SELECT (SELECT array_agg(pattern || ' ' || n) FROM (SELECT pattern, count(*) AS n FROM event_engine.events
	WHERE created_at < '2002-01-01' GROUP BY 1) AS e) = '{order.placed 1000}'), 'after a crash the round is made again');
is($node->safe_psql('shop', q(SET enable_seqscan = off; SELECT count(*) FROM event_engine.events WHERE pattern = 'order.placed' AND created_at < '2002-01-01')),
	'1000', 'and what is kept is found by its indexes');
$node->restart;
is($node->safe_psql('shop', q(SELECT count(*) FROM event_engine.events WHERE created_at < '2002-01-01')), '1000', 'and stays');

# The parent has statistics.
is($node->safe_psql('shop', q(SELECT count(*) > 0 FROM pg_stats WHERE schemaname = 'event_engine' AND tablename = 'events' AND inherited)), 't',
	'the log as a whole is analysed');

done_testing();
