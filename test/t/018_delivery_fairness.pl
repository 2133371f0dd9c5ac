# One subscription that is slow and one with a long backlog keep no other of
# their role waiting.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EventEngine;
use Test::More;

my $node = new_server('main');
new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition(p) FROM unnest('{fair.slow,fair.busy,fair.fresh}'::text[]) AS p;
CREATE TABLE seen (n integer, at timestamptz DEFAULT clock_timestamp());
CREATE TABLE worked (pattern text, at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION slow(e event_engine.event) RETURNS void LANGUAGE plpgsql AS
	$$ BEGIN PERFORM pg_sleep(0.05); INSERT INTO worked VALUES ('slow'); END $$;
CREATE FUNCTION busy(e event_engine.event) RETURNS void LANGUAGE plpgsql AS
	$$ BEGIN PERFORM pg_sleep(0.001); INSERT INTO worked VALUES ('busy'); END $$;
CREATE FUNCTION fresh(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO seen VALUES ((e.payload ->> 'n')::integer) $$;
SELECT event_engine.subscribe('slow', '{fair.slow}', 'slow'),
	event_engine.subscribe('busy', '{fair.busy}', 'busy'),
	event_engine.subscribe('fresh', '{fair.fresh}', 'fresh');
SELECT count(event_engine.publish_event('fair.slow', '{}')) FROM generate_series(1, 2000);
SELECT count(event_engine.publish_event('fair.busy', '{}')) FROM generate_series(1, 50000);
SQL

sub query { return $node->safe_psql('shop', $_[0]); }

wait_until($node, 'shop', 'SELECT count(DISTINCT pattern) = 2 FROM worked',
	'both are being worked off');
for my $n (1 .. 10)
{
	query("SELECT event_engine.publish_event('fair.fresh', '{\"n\": $n}')");
	$node->poll_query_until('shop', "SELECT count(*) = $n FROM seen");
}
is(query('SELECT count(*) FROM seen'), '10', 'fresh events are delivered');
is( query(<<'SQL'), 't', 'each within a turn of the others');
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY w.n) < 10
FROM seen AS s JOIN event_engine.events AS e ON (e.payload ->> 'n')::integer = s.n AND e.pattern = 'fair.fresh',
	LATERAL (SELECT count(*) AS n FROM worked AS w WHERE w.pattern = 'slow' AND w.at BETWEEN e.created_at AND s.at) AS w
SQL
is(query(<<'SQL'), 't', 'while the others are still behind');
SELECT bool_and(lag > 0) FROM event_engine.stat_subscriptions WHERE subscriber IN ('slow', 'busy')
SQL
$node->stop('immediate');
done_testing();
