# The settings of an executor: those of a session of its role, but queries are
# not compiled unless the role or the database says so.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EventEngine;
use Test::More;

my $node = new_server('main', conf => "jit = on\nwork_mem = '5MB'");
new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
CREATE ROLE app LOGIN;
ALTER ROLE app SET work_mem = '6MB';
GRANT CREATE ON SCHEMA public TO app;
CALL event_engine.grant_duty('subscriber', 'app');
SELECT event_engine.register_event_definition('look');
SET ROLE app;
CREATE TABLE seen (jit text, work_mem text);
CREATE FUNCTION look(e event_engine.event) RETURNS void LANGUAGE sql AS $$
	INSERT INTO seen VALUES (current_setting('jit'), current_setting('work_mem'))
$$;
SELECT event_engine.subscribe('look', '{look}', 'look');
SQL

sub look
{
	my ($expected, $what) = @_;

	$node->safe_psql('shop', q(TRUNCATE seen; SELECT event_engine.publish_event('look', '{}')));
	wait_until($node, 'shop', 'SELECT EXISTS (SELECT FROM seen)', "$what: delivered");
	return is($node->safe_psql('shop', 'SELECT * FROM seen'), $expected, $what);
}

look('off|6MB', 'whatever the server does, queries are not compiled');
$node->safe_psql('shop', <<'SQL');
ALTER ROLE app SET jit = on;
SELECT pg_terminate_backend(a.pid, 60000) FROM pg_stat_activity AS a WHERE a.backend_type = 'event_engine executor';
SQL
look('on|6MB', 'but where the role says so');
$node->stop;
done_testing();
