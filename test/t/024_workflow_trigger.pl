# Crashes while triggers fire, steps are taken and compensations are made:
# each event starts one workflow, each is undone once, none is forgotten.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

my $events = 150;
my $node = new_server('main');
new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition('order.placed');
CREATE TABLE done (n int, what text);
CREATE FUNCTION undo(argument jsonb) RETURNS void LANGUAGE sql AS $$ INSERT INTO done VALUES ((argument #>> '{}')::int, 'undone') $$;
CREATE FUNCTION order_step(i event_engine.workflow_instance, r event_engine.workflow_resumption) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF i.step = 'start' THEN
		INSERT INTO done VALUES ((i.input ->> 'n')::int, 'begun');
		PERFORM event_engine.compensate_with(i.id, 'undo', i.input -> 'n');
		RETURN event_engine.continue_with('end');
	END IF;
	RETURN CASE WHEN (i.input ->> 'n')::int % 3 = 0 THEN event_engine.fail('every third') ELSE event_engine.complete() END;
END $$;
SELECT event_engine.register_workflow('order', 'order_step');
SELECT event_engine.create_workflow_trigger('order', 'order.placed', correlation_key => '$.payload.n');
SELECT event_engine.create_workflow_trigger('order', 'order.placed', event_condition => '$.payload.never == true');
SQL

my $published = 0;
for my $round (1 .. 5)
{
	for (1 .. $events / 5)
	{
		$published++;
		$node->safe_psql('shop', "SELECT event_engine.publish_event('order.placed', '{\"n\": $published}')") if $round % 2;
	}
	$node->safe_psql('shop', <<"SQL") unless $round % 2;
SELECT event_engine.publish_event('order.placed', jsonb_build_object('n', n)) FROM generate_series($published - $events / 5 + 1, $published) AS n
SQL
	$node->stop('immediate');
	$node->start;
}
wait_until($node, 'shop', "SELECT count(*) = $events FROM event_engine.workflow_instances WHERE finished_at IS NOT NULL", 'all workflows come to their end');
is($node->safe_psql('shop', <<'SQL'), "150|150|150", 'each event has started one workflow');
SELECT count(*), count(DISTINCT correlation_key), count(DISTINCT metadata ->> 'causationId') FROM event_engine.workflow_instances
SQL
is($node->safe_psql('shop', <<'SQL'), "begun|150|150\nundone|50|50", 'each has begun once, and every third was undone once');
SELECT what, count(*), count(DISTINCT n) FROM done GROUP BY what ORDER BY what
SQL
is($node->safe_psql('shop', <<'SQL'), "completed|100\nfailed|50", 'with the ends that they are to have');
SELECT status, count(*) FROM event_engine.workflow_instances GROUP BY status ORDER BY status
SQL
is($node->safe_psql('shop', 'SELECT count(*) FROM event_engine.workflow_trigger_failures'), '0', 'no trigger has failed');
$node->stop;
done_testing();
