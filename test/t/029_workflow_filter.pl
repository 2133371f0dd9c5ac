# Beside many waits an event that ends none is not looked up in their index,
# and each that ends one ends it: a wait of before the keys were read, one that
# came later, and one that came when there was no more room for keys.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use Test::More;

my $OTHERS = 20000;
my $EVENTS = 4000;
my $node = new_server('filter', conf => <<'CONF');
event_engine.worker_idle_timeout = 1h
autovacuum = off
CONF
my $last = 0;

new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition('order.paid');
CREATE FUNCTION pay(i event_engine.workflow_instance, r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE sql AS $$
	SELECT CASE WHEN i.step = 'start' THEN event_engine.wait_for('order.paid', '$.payload.order == $workflow.input.order', next_step => 'paid')
		ELSE event_engine.complete() END $$;
SELECT event_engine.register_workflow('pay', 'pay');
-- waits of nobody, made of the first one
CREATE PROCEDURE others(first integer, n integer) LANGUAGE sql AS $$
	INSERT INTO event_engine.workflow_waits (id, instance_id, number, name, pattern, filter_path, key, snapshot, seq, base_seq, xid)
	SELECT gen_random_uuid(), gen_random_uuid(), w.number, w.name, w.pattern, c.condition, event_engine.equality_key(w.pattern, c.condition),
		pg_current_snapshot(), w.seq, w.base_seq, pg_current_xact_id()
	FROM (SELECT '$.payload.order == ' || 1000000 + i FROM generate_series(first, first + n - 1) AS i) AS c (condition),
		(SELECT * FROM event_engine.workflow_waits WHERE pattern IS NOT NULL LIMIT 1) AS w $$;
CREATE PROCEDURE pay(first integer, n integer) LANGUAGE sql AS $$
	SELECT count(event_engine.publish_event('order.paid', jsonb_build_object('order', i))) FROM generate_series(first, first + n - 1) AS i $$;
SQL

# An instance waits for its order.
sub begin
{
	my ($order) = @_;

	$node->safe_psql('shop', qq(SELECT event_engine.start_workflow('pay', '{"order": $order}')));
	wait_until($node, 'shop', "SELECT status = 'waiting' FROM event_engine.workflow_instances WHERE input ->> 'order' = '$order'", "$order waits");
	return;
}

sub pay
{
	my ($order, $what) = @_;

	$node->safe_psql('shop', "CALL pay($order, 1)");
	wait_until($node, 'shop', "SELECT status = 'completed' FROM event_engine.workflow_instances WHERE input ->> 'order' = '$order'", $what);
	return;
}

# Events that end no wait; the last one shows that all have been read.
sub nothing
{
	$last += $EVENTS;
	begin($last);
	$node->safe_psql('shop', 'CALL pay(' . ($last - $EVENTS + 1) . ", $EVENTS)");
	wait_until($node, 'shop', "SELECT status = 'completed' FROM event_engine.workflow_instances WHERE input ->> 'order' = '$last'", 'all are read');
	return;
}

begin(-1);
begin(-2);
$node->safe_psql('shop', "CALL others(1, $OTHERS)");
nothing() for 1 .. 3;
pay(-1, 'a wait of before ends');
begin(-3);
pay(-3, 'one that came later ends');

nothing() for 1 .. 3;
begin(-4);
pay(-4, 'and one after many events');

# what an executor has done is counted at the latest when it ends
$node->safe_psql('shop', "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE backend_type = 'event_engine executor'");
my $looked_up = $node->safe_psql('shop', "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'workflow_waits_key_idx'");
cmp_ok($looked_up, '>', $EVENTS / 2, 'events are looked up at first');
cmp_ok($looked_up, '<', 4 * $EVENTS, 'and those that end no wait not any more');

for my $round (1 .. 3)
{
	$node->safe_psql('shop', 'CALL others(' . (1 + $round * $OTHERS) . ", $OTHERS)");
	begin(-10 - $round);
	nothing();
	pay(-10 - $round, 'a wait ends when others have come');
}
pay(-2, 'and the oldest one');
$node->stop;
done_testing();
