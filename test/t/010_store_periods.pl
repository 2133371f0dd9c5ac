# Partitions of an hour, a day, a week and a month, one after the other in the
# same log: what exists keeps its bounds, nothing overlaps, there is no gap.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use Test::More;

my $node = new_server('periods', preload => 0, conf => <<'CONF');
event_engine.store_partition_period = hour
event_engine.store_partitions_ahead = 5
log_statement = none
CONF

new_database($node, 'shop');
$node->safe_psql('shop', q(SELECT event_engine.register_event_definition('period.event')));
my $part = q{(SELECT p.*, lower AT TIME ZONE 'UTC' AS l, upper AT TIME ZONE 'UTC' AS u FROM event_engine.event_partitions p) p};

foreach my $period ('hour', 'day', 'week', 'month')
{
	$node->append_conf('postgresql.conf', "event_engine.store_partition_period = $period");
	$node->reload;
	$node->poll_query_until('shop', "SELECT event_engine.process_batch(1) = 0 AND current_setting('event_engine.store_partition_period') = '$period'");
	my $last = $node->safe_psql('shop', "SELECT coalesce(max(upper), '-infinity') FROM $part");

	$node->safe_psql('shop', q(SELECT event_engine.publish_event('period.event', '{}')));
	$node->safe_psql('shop', 'SELECT event_engine.run_maintenance()');
	is($node->safe_psql('shop', <<"SQL"), 't', "$period: made ahead, each from one beginning of a period to the next");
SELECT count(*) > 0 AND bool_and(u = date_trunc('$period', u) AND (l = date_trunc('$period', l) OR lower = '$last')
	AND u = date_trunc('$period', l) + interval '1 $period') FROM $part WHERE lower >= '$last'
SQL
	is($node->safe_psql('shop', "SELECT count(*) FROM (SELECT upper, lead(lower) OVER (ORDER BY lower) AS next FROM $part) p WHERE next <> upper"),
		'0', "$period: no gap and no overlap");
	is($node->safe_psql('shop', "SELECT max(upper) > now() + 4 * interval '1 $period' FROM $part"), 't', "$period: far enough ahead");
}
is($node->safe_psql('shop', 'SELECT count(*) FROM event_engine.events_default'), '0', 'nothing is in the default partition');
is($node->safe_psql('shop', 'SELECT count(*) FROM event_engine.events e JOIN event_engine.event_partitions p'
	  . ' ON p.relid = e.tableoid AND e.created_at >= p.lower AND e.created_at < p.upper'), '4', 'each event is where it belongs');
$node->stop;
done_testing();
