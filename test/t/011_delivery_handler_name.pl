# An executor remembers which function a handler's name means, and notices when
# it comes to mean another one.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use Test::More;

my $node = new_server('main');
my $n = 0;

new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
CREATE TABLE seen (n int, by text);
SELECT event_engine.register_event_definition('shop.sold', '{}');
SQL

# A function with the given name that says which one it is.
sub handler
{
	my ($name, $says) = @_;
	return "CREATE OR REPLACE FUNCTION public.$name(e event_engine.event) RETURNS void"
	  . " LANGUAGE sql AS \$\$ INSERT INTO public.seen VALUES ((e.payload ->> 'n')::int, '$says') \$\$;";
}

sub sold_to
{
	my ($who, $what) = @_;
	$n++;
	$node->safe_psql('shop',
		"SELECT event_engine.publish_event('shop.sold', '{\"n\": $n}')");
	return wait_until($node, 'shop',
		"SELECT count(*) = 1 AND min(by) = '$who' FROM seen WHERE n = $n", $what);
}

$node->safe_psql('shop', handler('h', 'first')
	  . "SELECT event_engine.subscribe('till', '{shop.sold}', handler => 'public.h');");
sold_to('first', 'a handler is called');
my $executor = $node->safe_psql('shop',
	"SELECT pid FROM pg_stat_activity WHERE backend_type = 'event_engine executor'");

$node->safe_psql('shop', handler('h', 'replaced'));
sold_to('replaced', 'another body');

$node->safe_psql('shop', 'BEGIN; DROP FUNCTION public.h(event_engine.event);'
	  . handler('h', 'made anew') . 'COMMIT');
sold_to('made anew', 'dropped and created');

$node->safe_psql('shop', 'BEGIN; ALTER FUNCTION public.h(event_engine.event) RENAME TO g;'
	  . handler('h', 'in its place') . 'COMMIT');
sold_to('in its place', 'renamed, and another one in its place');

$node->safe_psql('shop', 'BEGIN; DROP FUNCTION public.h(event_engine.event);'
	  . 'ALTER FUNCTION public.g(event_engine.event) RENAME TO h; COMMIT');
sold_to('made anew', 'and back');

is( $node->safe_psql('shop',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'event_engine executor'"),
	$executor, 'all of it by the same executor');

$node->safe_psql('shop', 'DROP FUNCTION public.h(event_engine.event)');
$node->safe_psql('shop', "SELECT event_engine.publish_event('shop.sold', '{\"n\": 0}')");
wait_until($node, 'shop',
	"SELECT status = 'broken' FROM event_engine.subscriptions WHERE subscriber = 'till'",
	'dropped: the subscription is broken');

$node->stop;
done_testing();
