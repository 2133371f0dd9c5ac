# Workers are killed and terminated at random moments, and the server is
# stopped in every way, while events are published and delivered: what
# committed has its effects exactly once.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use History;
use Test::More;
use Time::HiRes qw(usleep);

my $node = new_server('crash', conf => <<'CONF');
restart_after_crash = on
event_engine.delivery_poll_interval = 200ms
event_engine.worker_launch_interval = 200ms
event_engine.delivery_batch_time = 20ms
event_engine.worker_idle_timeout = 2s
max_prepared_transactions = 20
log_statement = none
log_min_messages = error
CONF

new_database($node, 'shop');
my $history = History->new($node, 'shop', sessions => 4);
# crash in the middle of more than one event
$node->safe_psql('shop', <<'SQL');
CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN IF random() < 0.05 THEN PERFORM pg_sleep(0.005); END IF; RETURN new; END $$;
CREATE TRIGGER slowly BEFORE INSERT ON delivered FOR EACH ROW EXECUTE FUNCTION slowly();
SQL

my @ways = (
	[ 'executor killed', 'KILL', 'executor' ],
	[ 'executor terminated', 'TERM', 'executor' ],
	[ 'router killed', 'KILL', 'router' ],
	[ 'router terminated', 'TERM', 'router' ],
	[ 'launcher killed', 'KILL', 'launcher' ],
	[ 'launcher terminated', 'TERM', 'launcher' ],
	[ 'server stopped at once', 'immediate' ],
	[ 'server stopped', 'fast' ],
	[ 'executor killed again', 'KILL', 'executor' ],
	[ 'executor and router terminated', 'TERM', '%or' ],
	[ 'server stopped at once again', 'immediate' ],
	[ 'publishers killed', 'KILL', undef ]);
my $hit = 0;

foreach my $way (@ways)
{
	my ($what, $how, $kind) = @$way;

	$history->begin(60);
	usleep(rand(600_000));
	if ($how eq 'immediate' || $how eq 'fast')
	{
		$node->stop($how);
		$node->start;
	}
	else
	{
		my $victims = "FROM pg_stat_activity WHERE "
		  . (defined $kind ? "backend_type LIKE 'event_engine $kind'"
			: "datname = 'shop' AND backend_type = 'client backend'");

		poll($node, 'postgres', "SELECT count(*) > 0 $victims");
		my (undef, $pids) = $node->psql('postgres', "SELECT pid $victims");
		$hit++ if kill($how, split /\n/, $pids);
		# the server is back before the next round
		poll($node, 'postgres', 'SELECT true');
	}
	$history->finish;
	poll($node, 'postgres', 'SELECT true');
	# those that a publisher left behind
	foreach my $gid (split /\n/, $node->safe_psql('shop', 'SELECT gid FROM pg_prepared_xacts'))
	{
		$node->safe_psql('shop', (rand() < 0.5 ? 'COMMIT' : 'ROLLBACK') . " PREPARED '$gid'");
	}
}
cmp_ok($hit, '>=', 8, 'processes were hit');
$history->check('after ' . scalar(@ways) . ' accidents');
is($node->safe_psql('shop', 'SELECT count(DISTINCT subscriber) FROM delivered'), '4', 'to all subscribers');
$node->stop;
done_testing();
