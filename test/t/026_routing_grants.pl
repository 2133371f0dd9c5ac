# Grants taken back and given count at once for workers that are running, and
# are in a dump.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EventEngine;
use Test::More;

my $node = new_server('main');
new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
CREATE ROLE clerk LOGIN;
CREATE ROLE office;
CREATE ROLE shop;
SELECT event_engine.register_event_definition(p) FROM unnest('{paid,sent,other}'::text[]) AS p;
CREATE TABLE got (subscriber text, pattern text, n integer);
GRANT INSERT ON got TO clerk;
CREATE FUNCTION take(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO public.got VALUES (current_user, e.pattern, (e.payload ->> 'n')::integer) $$;
CREATE FUNCTION publish(pattern text, lower integer, upper integer) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(event_engine.publish_event($1, jsonb_build_object('n', i), jsonb_build_object('tags', jsonb_build_object('tenant', 't' || i % 2))))
	FROM generate_series($2, $3) AS i
$$;
CALL event_engine.grant_subscribe('paid', 'clerk');
CALL event_engine.grant_publish('paid', 'shop', tenant => 't1');
SET ROLE clerk;
SELECT event_engine.subscribe('clerk', '{#}', 'take');
SQL

sub query { return $node->safe_psql('shop', $_[0]); }

# All that was published until now is behind it.
sub settle
{
	query("CALL event_engine.drain_subscription('clerk'); SELECT event_engine.resume_subscription('clerk')");
}
sub got { return query('SELECT pattern, count(DISTINCT n), count(*) FROM got GROUP BY 1 ORDER BY 1'); }

query("SELECT publish('paid', 1, 10), publish('sent', 1, 10)");
settle();
is(got(), 'paid|10|10', 'a wildcard stands for what is granted');

# While events flow.
query("CALL event_engine.revoke_subscribe('paid', 'clerk')");
query("SELECT publish('paid', 11, 500)");
settle();
is(got(), 'paid|10|10', 'nothing comes without the right');
query("CALL event_engine.grant_subscribe('sent', 'clerk')");
query("SELECT publish('sent', 11, 20)");
settle();
is(got(), "paid|10|10\nsent|10|10", 'what is granted comes from then on');

# By tenant, and through a role.
query("CALL event_engine.grant_subscribe('paid', 'office', tenant => 't0')");
query('GRANT office TO clerk');
query("SELECT publish('paid', 501, 510)");
settle();
is(got(), "paid|15|15\nsent|10|10", 'a membership counts at once, for the tenant that it is for');
query('REVOKE office FROM clerk');
query("SELECT publish('paid', 511, 520)");
settle();
is(got(), "paid|15|15\nsent|10|10", 'and so does its end');

# A grant that is committed together with events.
query("BEGIN; CALL event_engine.grant_subscribe('other', 'clerk'); SELECT publish('other', 1, 1000); COMMIT");
settle();
is(got(), "other|1000|1000\npaid|15|15\nsent|10|10", 'a grant and its first events');

# DROP OWNED takes them with what the server itself has granted.
sub grants_of { return query("SELECT count(*) FROM event_engine.event_grants WHERE grantee::oid = $_[0]"); }
query('CREATE ROLE gone');
my $gone = query("SELECT 'gone'::regrole::oid");
query("CALL event_engine.grant_publish('paid', 'gone'); CALL event_engine.grant_read('paid', 'gone')");
my ($refused) = $node->psql('shop', 'DROP ROLE gone');
isnt($refused, 0, 'a role with grants is not dropped');
query('BEGIN; DROP OWNED BY gone; ROLLBACK');
is(grants_of($gone), 2, 'DROP OWNED that is rolled back leaves its grants');
query('DROP OWNED BY gone');
is(grants_of($gone), 0, 'DROP OWNED takes them');
query('DROP ROLE gone');
# one that has lost what goes with its grants
query('CREATE ROLE gone');
$gone = query("SELECT 'gone'::regrole::oid");
query(q{INSERT INTO event_engine.event_grants (grantee, privilege, pattern, match, granted_by)
	VALUES ('gone', 'publish', '#', '{"type": "wildcard", "value": "#"}', current_user::regrole)});
query('DROP ROLE gone');
is(grants_of($gone), 0, 'and so does DROP ROLE');

# A dump has them, by the names of the roles, and none of a role that is no more:
# its number might be that of another elsewhere.
my $later = query("SELECT max(oid::int8) + 1000 FROM pg_roles");
query(qq{INSERT INTO event_engine.event_grants (grantee, privilege, pattern, match, granted_by)
	VALUES ('$later', 'publish', '#', '{"type": "wildcard", "value": "#"}', current_user::regrole)});
my $dump = $node->basedir . '/shop.dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $node->connstr('shop') ], 'dump');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok([ 'pg_restore', '-d', $node->connstr('copy'), $dump ], 'restore');
my $grants = "SELECT grantee, privilege, pattern, tenant FROM event_engine.event_grants WHERE grantee::oid <> $later ORDER BY 1, 2, 3";
is($node->safe_psql('copy', $grants), query($grants), 'the grants are there again');
is($node->safe_psql('copy', "SELECT count(*) FROM event_engine.event_grants WHERE grantee::oid = $later"), 0, 'but for what is nobody\'s');
is($node->safe_psql('copy', <<'SQL'), 't1', 'and count');
SET ROLE shop;
INSERT INTO event_engine.events (pattern, payload) VALUES ('paid', '{"n": 0}');
RESET ROLE;
SELECT event_engine.event_tenant(metadata) FROM event_engine.events WHERE payload = '{"n": 0}';
SQL
my ($rc, $out, $err) = $node->psql('copy', <<'SQL');
SET ROLE shop;
INSERT INTO event_engine.events (pattern, payload) VALUES ('sent', '{}');
SQL
like($err, qr/role "shop" may not publish event "sent"/, 'no more than was granted');

$node->stop;
done_testing();
