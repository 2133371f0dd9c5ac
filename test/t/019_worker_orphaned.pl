# An executor that has work without end leaves when the postmaster is gone, and
# does not keep the server from being started again.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = new_server('orphaned');
my $tries = 150;

new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
SELECT event_engine.register_event_definition('long.event');
CREATE TABLE seen (n integer);
CREATE FUNCTION see(e event_engine.event) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	-- pg_sleep() would notice
	until CONSTANT timestamptz := clock_timestamp() + interval '20 ms';
BEGIN
	INSERT INTO public.seen VALUES ((e.payload ->> 'n')::int);
	WHILE clock_timestamp() < until LOOP NULL; END LOOP;
END $$;
SELECT event_engine.subscribe('see', '{long.event}', 'see', options => '{"batch_size": 1}');
SELECT count(event_engine.publish_event('long.event', jsonb_build_object('n', n))) FROM generate_series(1, 3000) n;
SQL
wait_until($node, 'shop', 'SELECT count(*) > 0 FROM seen', 'at work');
my $executor = $node->safe_psql('shop', q(SELECT pid FROM event_engine.stat_workers WHERE kind = 'executor'));

$node->kill9;
usleep(200_000) while kill(0, $executor) && $tries-- > 0;
cmp_ok($tries, '>', 0, 'the executor is gone, with most of its work left');
$node->start;
cmp_ok($node->safe_psql('shop', 'SELECT count(*) FROM seen'), '<', 3000, 'that another one goes on with');
is($node->safe_psql('shop', 'SELECT count(*) - count(DISTINCT n) FROM seen'), '0', 'nothing twice');
$node->stop('immediate');
done_testing();
