# A database is copied while it has a backlog, in both ways, renamed and moved to
# another tablespace; roles lose what they own, and go.  Each copy goes on by
# itself, and what runs has an owner again.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Backlog;
use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('main', conf => backlog_conf());
backlog_roles($node);
new_database($node, 'shop');
fill_backlog($node, 'shop');
my $rows = backlog_rows($node, 'shop');

my $place = PostgreSQL::Test::Utils::tempdir();
$node->safe_psql('postgres', "CREATE TABLESPACE elsewhere LOCATION '$place'");
# (with workers that are connected: see 001_worker_lifecycle)
$node->safe_psql('postgres', 'CREATE DATABASE logged TEMPLATE shop STRATEGY wal_log');
$node->safe_psql('postgres', 'CREATE DATABASE copied TEMPLATE shop STRATEGY file_copy');
foreach my $copy ('logged', 'copied')
{
	is(backlog_rows($node, $copy), $rows, "$copy: every row is there");
	is($node->safe_psql($copy, q(SELECT system_identifier > 0 OR system_identifier < 0 FROM event_engine.event_log_state)), 't', "$copy: of this cluster");
}
$node->safe_psql('postgres', 'ALTER DATABASE copied RENAME TO renamed');
$node->safe_psql('postgres', 'ALTER DATABASE renamed SET TABLESPACE elsewhere');
$node->safe_psql('postgres', 'ALTER DATABASE logged ALLOW_CONNECTIONS false');
$node->safe_psql('postgres', 'ALTER DATABASE shop ALLOW_CONNECTIONS false');
backlog_goes_on($node, 'renamed', 'copied, renamed, moved');
delivery_off($node);
$node->safe_psql('postgres', 'ALTER DATABASE shop ALLOW_CONNECTIONS true');
is(backlog_rows($node, 'shop'), $rows, 'the original has not noticed');
$node->safe_psql('postgres', 'DROP DATABASE renamed');

# ---- the owner of a subscription goes, with a backlog

$node->safe_psql('shop', <<'SQL');
ALTER FUNCTION see_owned OWNER TO backlog_owner;
DROP OWNED BY backlog_owner;
SQL
$node->safe_psql('shop', <<'SQL');
CREATE ROLE heir LOGIN;
GRANT INSERT ON seen TO heir;
CALL event_engine.grant_subscribe('#', 'heir');
SQL
is($node->safe_psql('shop', q(SELECT string_agg(privilege, ' ') FROM event_engine.event_grants WHERE grantee = 'backlog_owner'::regrole)),
	'subscribe', 'who has subscriptions keeps the right to');
my ($number) = $node->safe_psql('shop', q(SELECT owner::oid FROM event_engine.subscriptions WHERE subscriber = 'owned'));
delivery_on($node);
wait_until($node, 'shop', q(SELECT status = 'broken' FROM event_engine.subscriptions WHERE subscriber = 'owned'), 'without its function it is broken');
delivery_off($node);
$node->safe_psql('postgres', 'DROP DATABASE logged');
$node->safe_psql('postgres', 'DROP ROLE backlog_owner');
my (undef, undef, $error) = $node->psql('shop', "SET ROLE heir; CALL event_engine.reassign_owned('$number', 'heir')");
like($error, qr/permission denied|must be superuser/, 'not everybody hands over what belongs to others');
(undef, undef, $error) = $node->psql('shop', "CALL event_engine.reassign_owned('postgres', '4294967290')");
like($error, qr/role 4294967290 does not exist/, 'nor to nobody');
$node->safe_psql('shop', <<"SQL");
CREATE FUNCTION see_owned(e event_engine.event) RETURNS void LANGUAGE plpgsql AS \$\$ BEGIN
	IF current_user <> 'heir' THEN RAISE 'not as the heir'; END IF;
	INSERT INTO public.seen VALUES ('owned', e.seq, (e.payload ->> 'i')::int, e.metadata ? 'replayed'); END \$\$;
CALL event_engine.reassign_owned('$number', 'heir');
SELECT event_engine.resume_subscription('owned');
SQL
is($node->safe_psql('shop', q(SELECT owner FROM event_engine.subscriptions WHERE subscriber = 'owned')), 'heir', 'it belongs to another');

# workflows go along, with the place in the log that they share
$node->safe_psql('shop', <<'SQL');
CREATE ROLE director SUPERUSER LOGIN;
CALL event_engine.reassign_owned('postgres', 'director');
SQL
is($node->safe_psql('shop', q(SELECT string_agg(DISTINCT owner::text, ' ') FROM event_engine.workflow_definitions)), 'director', 'so do workflows');
(undef, undef, $error) = $node->psql('shop', "SELECT event_engine.register_workflow('mine', 'flow'); CALL event_engine.reassign_owned('postgres', 'director')");
like($error, qr/roles postgres and director both have workflows/, 'two places in the log do not become one');
is($node->safe_psql('shop', <<'SQL'), 'f', 'nobody who is gone owns anything');
SELECT EXISTS (SELECT FROM event_engine.subscriptions AS s WHERE NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = s.owner::oid))
SQL
backlog_goes_on($node, 'shop', 'inherited');
$node->stop;
done_testing();
