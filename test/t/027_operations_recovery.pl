# Point-in-time recovery to a moment before some events were consumed, and others
# published: what had not been consumed then is, once; what came later never was.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Backlog;
use EventEngine;
use Test::More;

my $primary = new_server('primary', conf => backlog_conf(), init => [ has_archiving => 1, allows_streaming => 1 ]);
backlog_roles($primary);
new_database($primary, 'shop');
$primary->backup('base');
fill_backlog($primary, 'shop');
my $rows = backlog_rows($primary, 'shop');
$primary->safe_psql('postgres', q(SELECT pg_create_restore_point('before')));

# what will not have been
delivery_on($primary);
$primary->safe_psql('shop', 'SELECT publish(501, 600)');
wait_until($primary, 'shop', q(SELECT count(*) = 200 FROM seen WHERE subscriber = 'owned' AND (i BETWEEN 201 AND 300 OR i BETWEEN 501 AND 600)),
	'events are consumed, others published and consumed');
my $receipt = $primary->safe_psql('shop', q(SELECT DISTINCT receipt FROM event_engine.receive_events('pulled', 10, '1 day')));
my $xid = $primary->safe_psql('shop', 'SELECT pg_current_xact_id()');
$primary->safe_psql('postgres', 'SELECT pg_switch_wal()');
$primary->stop;

my $recovered = PostgreSQL::Test::Cluster->new('recovered');
$recovered->init_from_backup($primary, 'base', has_restoring => 1, standby => 0);
$recovered->append_conf('postgresql.conf', <<'CONF');
recovery_target_name = 'before'
recovery_target_action = promote
event_engine.delivery_enabled = off
CONF
$recovered->start;
wait_until($recovered, 'postgres', 'SELECT NOT pg_is_in_recovery()', 'recovered');
is($recovered->safe_psql('postgres', 'SELECT timeline_id FROM pg_control_checkpoint()'), '2', 'a time of its own');
is(backlog_rows($recovered, 'shop'), $rows, 'everything is as it was');
cmp_ok($recovered->safe_psql('shop', 'SELECT pg_current_xact_id()'), '<', $xid, 'transaction ids are handed out again');
my (undef, undef, $error) = $recovered->psql('shop', "SELECT event_engine.ack_events('$receipt')");
like($error, qr/receipt is not current/, 'a receipt of later is refused');
backlog_goes_on($recovered, 'shop', 'recovered');
is($recovered->safe_psql('shop', 'SELECT count(*) FROM seen WHERE i BETWEEN 501 AND 600'), '0', 'nothing is there of what came later');
$recovered->stop;
done_testing();
