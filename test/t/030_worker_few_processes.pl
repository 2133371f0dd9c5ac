# More databases than the server has room for: routers leave room for
# executors, and who has no router is told so and gets one when there is room.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EventEngine;
use Test::More;

# The launcher and the server's own for logical replication take two.
my $node = new_server('few', conf => <<'CONF');
max_worker_processes = 6
event_engine.worker_launch_interval = 200ms
event_engine.worker_idle_timeout = 200ms
CONF
my $served = q{SELECT datname FROM pg_stat_activity WHERE backend_type = 'event_engine router' ORDER BY datname};

new_database($node, 'shop_1');
$node->safe_psql('shop_1', <<'SQL');
SELECT event_engine.register_event_definition('order.placed');
CREATE TABLE got (n integer);
CREATE FUNCTION take(e event_engine.event) RETURNS void LANGUAGE sql AS
	'INSERT INTO public.got VALUES ((e.payload ->> ''n'')::integer)';
SELECT event_engine.subscribe('take', '{order.placed}', 'take');
SQL
$node->safe_psql('postgres', "CREATE DATABASE shop_$_ TEMPLATE shop_1") foreach 2 .. 5;
wait_until($node, 'postgres', "SELECT count(*) = 3 FROM ($served) AS s", 'some databases have a router');
$node->safe_psql("shop_$_", q{SELECT event_engine.publish_event('order.placed', '{"n": 1}')}) foreach 1 .. 5;
my @with = split /\n/, $node->safe_psql('postgres', $served);
my @without = grep { my $name = $_; !grep { $_ eq $name } @with } map { "shop_$_" } 1 .. 5;
wait_until($node, $_, 'SELECT count(*) = 1 FROM got', "an executor delivers in one of those") foreach @with;
is($node->safe_psql('postgres', $served), join("\n", @with), 'and no other has come');
wait_for_log_line($node, qr/WARNING:  event_engine has workers for 3 databases, and no room for another/, 0,
	'the log says that there is no room');

foreach my $database (@without)
{
	is($node->safe_psql($database, q{SELECT event_engine.health() ->> 'status'}), 'unhealthy', 'another database is not healthy');
	like($node->safe_psql($database, q{SELECT cure FROM event_engine.doctor() WHERE code = 'no_router'}),
		qr/^3 other databases have one.*max_worker_processes = 12/, 'and the doctor says why');
}
is($node->safe_psql($without[0], 'SELECT event_engine.process_batch(10)'), '1', 'a session delivers there');

$node->safe_psql('postgres', "DROP DATABASE $with[0] WITH (FORCE)");
wait_until($node, 'postgres', "SELECT count(*) = 3 FROM ($served) AS s", 'the next gets a router when one has gone');
my ($next) = grep { my $name = $_; grep { $_ eq $name } @without } split /\n/, $node->safe_psql('postgres', $served);
wait_until($node, $next, 'SELECT count(*) = 1 FROM got', 'which delivers what was published');
$node->stop;
done_testing();
