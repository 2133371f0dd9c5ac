# Workflows are dumped in whatever they stand, and restored in a new cluster,
# whose transaction ids are lower: each goes on from there, by events that were
# published before the dump and after it, and no step is taken twice.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

my $CONF = <<'CONF';
event_engine.delivery_poll_interval = 200ms
log_statement = none
CONF
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
my $source = new_server('source', conf => $CONF);

new_database($source, 'shop');
# what the new cluster has not reached
$source->safe_psql('postgres', 'DO $$ BEGIN FOR i IN 1..5000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$');
$source->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition('flow.go');
CREATE TABLE taken (key text, step text, by text, n int, PRIMARY KEY (key, step));
CREATE TABLE mended (yes boolean);
CREATE FUNCTION flow(i event_engine.workflow_instance, r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	wait jsonb := event_engine.wait_for('flow.go', '$.payload.n == $workflow.input.n', next_step => 'end');
BEGIN
	INSERT INTO public.taken VALUES (i.correlation_key, i.step, r.kind, ((r.event).payload ->> 'n')::int);
	IF i.step = 'end' THEN
		IF i.correlation_key = 'fails' AND NOT EXISTS (SELECT FROM public.mended) THEN RAISE 'not yet'; END IF;
		RETURN event_engine.complete(r.events);
	END IF;
	RETURN CASE i.correlation_key
		WHEN 'sleeps' THEN event_engine.sleep_for('1 day', 'end')
		WHEN 'both' THEN event_engine.wait_for_all(ARRAY[event_engine.wait_for('flow.go', '$.payload.n == 3', name => 'three'),
			event_engine.wait_for('flow.*', '$.payload.n == 4', name => 'four')], 'end')
		ELSE wait END;
END $$;
SELECT event_engine.register_workflow('flow', 'flow', options => '{"backoff_ms": 3600000}');
CREATE FUNCTION start(key text, n int) RETURNS void LANGUAGE sql AS
	$$ SELECT event_engine.start_workflow('flow', jsonb_build_object('n', n), key, key) $$;
CREATE FUNCTION go(n int) RETURNS void LANGUAGE sql AS
	$$ SELECT event_engine.publish_event('flow.go', jsonb_build_object('n', n)) $$;
SELECT start('before', 1), start('after', 2), start('both', 3), start('sleeps', 0), start('fails', 5), start('over', 6);
SQL
wait_until($source, 'shop', "SELECT count(*) = 6 FROM event_engine.workflow_instances WHERE status = 'waiting'", 'all wait');
$source->safe_psql('shop', 'SELECT go(3), go(5), go(6)');
wait_until($source, 'shop', "SELECT count(*) = 1 FROM event_engine.workflow_instances WHERE last_error = 'not yet'", 'one has failed');
wait_until($source, 'shop', "SELECT count(*) = 1 FROM event_engine.workflow_instances WHERE correlation_key = 'both' AND wait_needed = 1", 'one is resumed partly');
wait_until($source, 'shop', "SELECT count(*) = 1 FROM event_engine.workflow_instances WHERE status = 'completed'", 'one is over');

$source->append_conf('postgresql.conf', 'event_engine.delivery_enabled = off');
$source->reload;
wait_until($source, 'postgres', "SELECT current_setting('event_engine.delivery_enabled') = 'off'", 'nothing is delivered any more');
$source->safe_psql('shop', q(SELECT go(1), start('due', 7)));
$source->command_ok([ 'pg_dump', '-d', $source->connstr('shop'), '-Fc', '-f', $dump ], 'dumped');

my $target = new_server('target', conf => $CONF . "event_engine.delivery_enabled = off\n");
cmp_ok($target->safe_psql('postgres', 'SELECT pg_current_xact_id()'), '<',
	$source->safe_psql('postgres', 'SELECT pg_current_xact_id()'), 'transaction ids of the new cluster are lower');
$target->safe_psql('postgres', 'CREATE DATABASE shop');
$target->command_ok([ 'pg_restore', '--exit-on-error', '-d', $target->connstr('shop'), $dump ], 'restored without an error');
my $all = 'SELECT id, workflow, status, step, steps, input, state, wait_needed, matched, resumption, resumption_event, attempts'
  . ' FROM event_engine.workflow_instances ORDER BY id';
is($target->safe_psql('shop', $all), $source->safe_psql('shop', $all), 'all stand where they stood');

# as if a day had passed
$target->safe_psql('shop', "UPDATE event_engine.workflow_waits SET timeout_at = timeout_at - interval '1 day' WHERE pattern IS NULL");
$target->append_conf('postgresql.conf', 'event_engine.delivery_enabled = on');
$target->reload;
wait_until($target, 'shop', "SELECT count(*) = 1 FROM taken WHERE key = 'before' AND step = 'end' AND n = 1", 'what had been published resumes');
wait_until($target, 'shop', "SELECT count(*) = 1 FROM taken WHERE key = 'sleeps' AND step = 'end' AND by = 'sleep'", 'time has passed');
wait_until($target, 'shop', "SELECT count(*) = 1 FROM event_engine.workflow_instances WHERE correlation_key = 'due' AND status = 'waiting'", 'what was due is done');
$target->safe_psql('shop', 'SELECT go(2), go(4), go(7)');
$target->safe_psql('shop', "INSERT INTO mended VALUES (true)");
$target->safe_psql('shop', "SELECT event_engine.resume_workflow(id) FROM event_engine.workflow_instances WHERE correlation_key = 'fails'");
wait_until($target, 'shop', "SELECT bool_and(status = 'completed') FROM event_engine.workflow_instances", 'all come to their end');
is($target->safe_psql('shop', "SELECT key, by, n FROM taken WHERE step = 'end' ORDER BY key"), <<'ENDS' =~ s/\n\z//r, 'by what they waited for');
after|event|2
before|event|1
both|event|4
due|event|7
fails|event|5
over|event|6
sleeps|sleep|
ENDS
is($target->safe_psql('shop', "SELECT jsonb_path_query_array(output, '\$.*.payload.n') FROM event_engine.workflow_instances WHERE correlation_key = 'both'"),
	'[4, 3]', 'both events are there');
# keys used before the dump are used
is($target->safe_psql('shop', "SELECT count(*) FROM event_engine.workflow_instances WHERE id = event_engine.start_workflow('flow', idempotency_key => 'over')"),
	'1', 'an instance is not started again');

$_->stop foreach $source, $target;
done_testing();
