# A standby has no workers and delivers nothing.  When it is promoted they
# start, and what had not been delivered is, and only that; workflows go on from
# where they wait.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_server('primary', init => [ allows_streaming => 1 ], conf => <<'CONF');
event_engine.delivery_poll_interval = 200ms
max_prepared_transactions = 10
log_statement = none
CONF

new_database($primary, 'shop');
$primary->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition('standby.event');
CREATE TABLE seen (i int PRIMARY KEY);
CREATE FUNCTION see(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO public.seen VALUES ((e.payload ->> 'i')::int) $$;
SELECT event_engine.subscribe('standby', '{standby.event}', 'see');
SELECT event_engine.subscribe('pulled', '{standby.event}');
SELECT event_engine.register_event_definition('standby.go');
CREATE TABLE taken (key text, step text, by text, PRIMARY KEY (key, step));
CREATE FUNCTION flow(i event_engine.workflow_instance, r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.taken VALUES (i.correlation_key, i.step, r.kind);
	RETURN CASE
		WHEN i.step = 'end' THEN event_engine.complete()
		WHEN i.correlation_key = 'sleeps' THEN event_engine.sleep_for('1 s', 'end')
		ELSE event_engine.wait_for('standby.go', '$.payload.key == $workflow.correlationKey', next_step => 'end',
			timeout => CASE i.correlation_key WHEN 'overdue' THEN interval '1 s' END)
	END;
END $$;
SELECT event_engine.register_workflow('flow', 'flow');
CREATE FUNCTION start(key text) RETURNS uuid LANGUAGE sql AS $$ SELECT event_engine.start_workflow('flow', '{}', key) $$;
CREATE FUNCTION go(key text) RETURNS uuid LANGUAGE sql AS
	$$ SELECT event_engine.publish_event('standby.go', jsonb_build_object('key', key)) $$;
SELECT start('resumed'), start('later');
SQL
publish($primary, 1, 100);
wait_until($primary, 'shop', 'SELECT count(*) = 100 FROM seen', 'delivered on the primary');
wait_until($primary, 'shop', 'SELECT count(*) = 2 FROM event_engine.workflow_waits', 'workflows wait');

$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
publish($primary, 101, 200);
wait_until($primary, 'shop', 'SELECT count(*) = 200 FROM seen', 'delivered while it is followed');

my $receipt = $primary->safe_psql('shop', <<'SQL');
SELECT DISTINCT receipt FROM event_engine.receive_events('pulled', 3, '1 day')
SQL

# what the primary has not delivered: a backlog, a late transaction, a prepared one
$primary->append_conf('postgresql.conf', 'event_engine.delivery_enabled = off');
$primary->reload;
wait_until($primary, 'postgres', "SELECT current_setting('event_engine.delivery_enabled') = 'off'", 'delivery is off');
$primary->safe_psql('shop', <<'SQL');
BEGIN;
SELECT count(event_engine.publish_event('standby.event', jsonb_build_object('i', i))) FROM generate_series(201, 210) i;
PREPARE TRANSACTION 'both';
BEGIN;
SELECT count(event_engine.publish_event('standby.event', jsonb_build_object('i', i))) FROM generate_series(211, 220) i;
PREPARE TRANSACTION 'never';
SQL
publish($primary, 301, 1300);
# by hand: first steps are taken, and nothing that comes then
$primary->safe_psql('shop', q(SELECT start('overdue'), start('sleeps'); SELECT event_engine.process_batch(subscriber => 'workflow:postgres')));
$primary->safe_psql('shop', q(SELECT go('resumed'), start('new')));
my $lost = $primary->background_psql('shop');
$lost->query_safe('BEGIN');
$lost->query_safe("SELECT event_engine.publish_event('standby.event', '{\"i\": 5000}')");
$primary->wait_for_catchup($standby);

is($standby->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'event_engine %'"),
	'0', 'no workers on a standby');
my (undef, undef, $error) = $standby->psql('shop', "SELECT event_engine.publish_event('standby.event', '{}')");
like($error, qr/cannot execute publish_event\(\) in a read-only transaction|recovery/, 'nothing is published there');
(undef, undef, $error) = $standby->psql('shop', 'SELECT event_engine.process_batch()');
like($error, qr/read-only|recovery/, 'nor delivered');

for my $call ("SELECT event_engine.receive_events('pulled')", "CALL event_engine.await_events('pulled')",
	"SELECT event_engine.ack_events('$receipt')", "SELECT event_engine.nack_events('$receipt')",
	"SELECT event_engine.extend_events('$receipt', '1 s')")
{
	(undef, undef, $error) = $standby->psql('shop', $call);
	like($error, qr/cannot execute \w+\(\) in a read-only transaction/, "nor pulled: $call");
}

my $seen_before = $primary->safe_psql('shop', 'SELECT count(*) FROM seen');
$primary->stop('immediate');
$standby->append_conf('postgresql.conf', 'event_engine.delivery_enabled = on');
$standby->reload;
$standby->promote;
wait_until($standby, 'shop', "SELECT count(*) = $seen_before + 1000 FROM seen", 'after the promotion the backlog is delivered');
wait_until($standby, 'shop', "SELECT count(*) = 3 FROM taken WHERE step = 'end'", 'workflows go on there');
$standby->safe_psql('shop', q(SELECT go('later'), go('new'), go('overdue'), go('resumed')));
wait_until($standby, 'shop', "SELECT count(*) = 5 FROM event_engine.workflow_instances WHERE status = 'completed'", 'to their end');
is($standby->safe_psql('shop', q(SELECT string_agg(key || ' by ' || by, ', ' ORDER BY key) FROM taken WHERE step = 'end')),
	'later by event, new by event, overdue by timeout, resumed by event, sleeps by sleep', 'by what was first, each once');
publish($standby, 1301, 1400);
wait_until($standby, 'shop', 'SELECT count(*) = 100 FROM seen WHERE i BETWEEN 1301 AND 1400', 'and what is published now');
is($standby->safe_psql('shop', "SELECT event_engine.ack_events('$receipt')"), '3', 'a receipt of the primary is good on what was its standby');
$standby->safe_psql('shop', "COMMIT PREPARED 'both'");
$standby->safe_psql('shop', "ROLLBACK PREPARED 'never'");
wait_until($standby, 'shop', 'SELECT count(*) = 10 FROM seen WHERE i BETWEEN 201 AND 210', 'and what was prepared before');
is($standby->safe_psql('shop', 'SELECT count(*) FROM seen'), $seen_before + 1110, 'nothing is lost, nothing repeated');
is($standby->safe_psql('shop', "SELECT count(*) FROM (SELECT (payload ->> 'i')::int FROM event_engine.events WHERE pattern = 'standby.event' EXCEPT SELECT i FROM seen) x"),
	'0', 'the log and what was seen agree');
$standby->stop;
done_testing();

sub publish
{
	my ($node, $from, $to) = @_;

	return $node->safe_psql('shop',
		"SELECT count(event_engine.publish_event('standby.event', jsonb_build_object('i', i))) FROM generate_series($from, $to) i");
}
