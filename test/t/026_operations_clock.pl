# A clock that somebody sets, back and ahead: what is delivered, what is due,
# and what tells.  The server gets its time from test/lib/clock.c.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = PostgreSQL::Test::Utils::tempdir();
my $clock = "$folder/offset";
plan skip_all => 'there is no C compiler'
  if system("cc -shared -fPIC -o $folder/clock.so $FindBin::Bin/../lib/clock.c 2>/dev/null") != 0;
set_clock(0);
my $node = PostgreSQL::Test::Cluster->new('clock');
$node->init(extra => [ '--locale=C.UTF-8', '-E', 'UTF8' ]);
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'event_engine'
event_engine.delivery_poll_interval = 200
event_engine.worker_launch_interval = 500
CONF
{
	local $ENV{LD_PRELOAD} = "$folder/clock.so";
	local $ENV{CLOCK_OFFSET} = $clock;
	$node->start;
}
new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition('clock.test');
CREATE TABLE seen (i int);
CREATE FUNCTION take(e event_engine.event) RETURNS void LANGUAGE sql AS $$ INSERT INTO seen VALUES ((e.payload ->> 'i')::int) $$;
SELECT event_engine.subscribe('taking', '{clock.test}', 'take');
SQL

# Seconds from the real time, for all processes at once.
sub set_clock
{
	my ($offset) = @_;

	open my $file, -e $clock ? '+<' : '>', $clock or die $!;
	binmode $file;
	print $file pack('q', $offset);
	close $file;
	return;
}

sub publish
{
	my ($i, $options) = (@_, '');

	return $node->safe_psql('shop', "SELECT event_engine.publish_event('clock.test', '{\"i\": $i}'$options)");
}

sub delivered
{
	my ($i, $what) = @_;

	return wait_until($node, 'shop', "SELECT count(*) = 1 FROM seen WHERE i = $i", $what);
}

sub doctor_says
{
	my ($code) = @_;

	return wait_until($node, 'shop', "SELECT count(*) > 0 FROM event_engine.doctor('0') WHERE code = '$code'", "doctor() says $code");
}

publish(1);
delivered(1, 'before');

# Two hours back.
set_clock(-2 * 3600);
publish(2);
delivered(2, 'with the clock set back an event is delivered');
my $router = $node->safe_psql('shop', q(SELECT pid FROM event_engine.stat_workers WHERE kind = 'router' AND database = 'shop'));
$node->safe_psql('shop', "SELECT pg_terminate_backend($router)");
wait_until($node, 'shop', "SELECT count(*) = 1 FROM event_engine.stat_workers WHERE kind = 'router' AND database = 'shop' AND state <> 'starting' AND pid <> $router", 'a router that ends is started again');
publish(3, ", deliver_at => now() + interval '1 s'");
delivered(3, 'what is due in a second comes in a second');
doctor_says('clock_back');
is($node->safe_psql('shop', 'SELECT array_agg((payload ->> $$i$$)::int ORDER BY seq) FROM event_engine.events'), '{1,2,3}', 'the order of the log does not ask the clock');

# Three years ahead.
$node->safe_psql('shop', q(SELECT event_engine.publish_event('clock.test', '{"i": 4}', deliver_at => now() + interval '1 year')));
set_clock(1095 * 86400);
delivered(4, 'with the clock set ahead what was due within a year is delivered');
publish(5);
delivered(5, 'as is what is published');
doctor_says('clock_jumped');
wait_until($node, 'shop', q(SELECT count(*) > 0 FROM event_engine.event_partitions WHERE lower > now()), 'there are partitions of the time ahead');

# And right again.
set_clock(0);
publish(6);
delivered(6, 'with the clock right again an event is delivered');
publish(7, ", deliver_at => now() + interval '1 s'");
delivered(7, 'and what is delayed');
doctor_says('clock_back');
doctor_says('partitions_far_ahead');
$node->safe_psql('shop', 'SELECT event_engine.run_maintenance()');
is($node->safe_psql('shop', 'SELECT count(*) FROM seen'), '7', 'everything once');
$node->stop('immediate');
done_testing();
