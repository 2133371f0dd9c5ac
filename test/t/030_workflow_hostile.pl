# What one workflow does, and what clients have locked, is no trouble for the
# others of its owner: their dispatcher goes on, and does not fill the log.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('hostile', conf => "event_engine.worker_idle_timeout = 1h\n");

new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition('host.' || n) FROM unnest('{go,stop,never}'::text[]) AS n;
CREATE FUNCTION loud(i event_engine.workflow_instance, r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE plpgsql AS
	$$ BEGIN RAISE EXCEPTION '%', repeat('x', 3000000); END $$;
CREATE FUNCTION picky(i event_engine.workflow_instance, r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE sql AS
	$$ SELECT event_engine.wait_for('host.go', '$.payload.at.datetime() > "2020-01-01".datetime()') $$;
CREATE FUNCTION plain(i event_engine.workflow_instance, r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE sql AS
	$$ SELECT CASE i.step WHEN 'start' THEN event_engine.wait_for('host.go', '$.payload.n == $workflow.input.n', next_step => 'end')
		ELSE event_engine.complete() END $$;
CREATE FUNCTION child(i event_engine.workflow_instance, r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE sql AS
	$$ SELECT event_engine.wait_for('host.never') $$;
CREATE FUNCTION parent(i event_engine.workflow_instance, r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF i.step = 'end' THEN RETURN event_engine.fail('no more'); END IF;
	PERFORM event_engine.start_child_workflow(i.id, 'child');
	RETURN event_engine.wait_for('host.stop', next_step => 'end');
END $$;
SELECT event_engine.register_workflow(n, n, options => '{"max_attempts": 2, "backoff_ms": 0}') FROM unnest('{loud,picky,plain,child,parent}'::text[]) AS n;
SELECT event_engine.subscribe('monitor', '{workflow.failed,workflow.step_failed}', channel => 'monitor');
SQL

my $n = 0;

# One that has done no harm comes to its end.
sub others_go_on
{
	my ($what) = @_;

	$n++;
	$node->safe_psql('shop', qq(SELECT event_engine.start_workflow('plain', '{"n": $n}', '$n')));
	wait_until($node, 'shop', "SELECT status = 'waiting' FROM event_engine.workflow_instances WHERE correlation_key = '$n'", "$what: one begins");
	$node->safe_psql('shop', qq(SELECT event_engine.publish_event('host.go', '{"n": $n}')));
	wait_until($node, 'shop', "SELECT status = 'completed' FROM event_engine.workflow_instances WHERE correlation_key = '$n'", "$what: and ends");
	return;
}

sub executor
{
	return $node->safe_psql('shop', "SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE backend_type = 'event_engine executor' AND query LIKE 'workflow:%'");
}

others_go_on('at first');
my $pid = executor();
$node->safe_psql('shop', "SELECT event_engine.start_workflow('loud')");
wait_until($node, 'shop', "SELECT status = 'failed' FROM event_engine.workflow_instances WHERE workflow = 'loud'", 'an error of three megabytes is written down');
others_go_on('after it');
is(executor(), $pid, 'by the same process');

$node->safe_psql('shop', "SELECT event_engine.start_workflow('picky') FROM generate_series(1, 300)");
wait_until($node, 'shop', "SELECT count(*) = 300 FROM event_engine.workflow_instances WHERE workflow = 'picky' AND status = 'waiting'", 'many wait with a condition that raises errors');
my $start = -s $node->logfile;
$node->safe_psql('shop', q(SELECT event_engine.publish_event('host.go', '{"at": "2021-01-01T00:00:00+01"}') FROM generate_series(1, 30)));
others_go_on('beside them');
my $log = slurp_file($node->logfile, $start);
my $lines = () = $log =~ /the condition of wait \S+ raised an error/g;
cmp_ok($lines, '>', 0, 'the log tells of the errors');
cmp_ok($lines, '<', 1000, 'not of all 9000');

$node->safe_psql('shop', "SELECT event_engine.start_workflow('parent')");
wait_until($node, 'shop', "SELECT count(*) = 1 FROM event_engine.workflow_instances WHERE workflow = 'child' AND status = 'waiting'", 'a child waits');
my $client = $node->background_psql('shop');
$client->query_safe("BEGIN; SELECT event_engine.set_workflow_state(id, '{}') FROM event_engine.workflow_instances WHERE workflow = 'child'");
$node->safe_psql('shop', "SELECT event_engine.publish_event('host.stop', '{}')");
wait_until($node, 'shop', "SELECT status = 'failed' FROM event_engine.workflow_instances WHERE workflow = 'parent'", 'a parent ends while a client has its child locked');
others_go_on('meanwhile');
$client->query_safe('COMMIT');
wait_until($node, 'shop', "SELECT status = 'cancelled' FROM event_engine.workflow_instances WHERE workflow = 'child'", 'then the child ends');
$client->quit;
$node->stop;
done_testing();
