# Sensitive data on a hot standby: whoever may see it does there, an erasure
# and a right that is taken back reach sessions there that are open, and once
# it is promoted it goes on with the keys that there are.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_server('primary', init => [ allows_streaming => 1 ], conf => "log_statement = none\n");
new_database($primary, 'shop');
my $plain = q{SELECT string_agg(left((event_engine.unseal(e)).payload ->> 'v', 7), ' ' ORDER BY seq)
	FROM event_engine.list_events('v.a') AS e};

sub sql { return $primary->safe_psql('shop', @_); }

sub publish
{
	my ($node, $subject, $value) = @_;
	$node->safe_psql('shop', qq{SELECT event_engine.publish_event('v.a', '{"s": $subject, "v": "$value"}')});
	return;
}

sql(<<'SQL');
CREATE ROLE care;
CREATE ROLE clerk;
SELECT event_engine.register_event_definition('v.a', options =>
	'{"sensitive": ["$.payload.v"], "sensitive_subject": "$.payload.s"}');
CALL event_engine.grant_read('v.#', 'care');
CALL event_engine.grant_unseal('v.#', 'care');
CALL event_engine.grant_unseal('other.#', 'care');
CALL event_engine.grant_read('v.#', 'clerk');
CALL event_engine.grant_unseal('other.#', 'clerk');
SQL
publish($primary, 1, 'ada');
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
publish($primary, 2, 'grace');
$primary->wait_for_catchup($standby);

# Reading.
my $care = $standby->background_psql('shop');
$care->query_safe('SET ROLE care');
is($care->query_safe($plain), 'ada grace', 'who may see it sees it on the standby, with keys made before and after');
is($standby->safe_psql('shop', "SET ROLE clerk; $plain"), 'sealed: sealed:', 'others see what is stored');
my (undef, undef, $err) = $standby->psql('shop', "SELECT event_engine.erase_subject('1')", on_error_stop => 0);
like($err, qr/read-only transaction|during recovery/, 'nobody is erased there');

# Erasing reaches transactions that are open, whatever their snapshot.
$care->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
is($care->query_safe($plain), 'ada grace', 'a transaction sees both');
sql("SELECT event_engine.erase_subject('1')");
$primary->wait_for_catchup($standby);
is($care->query_safe($plain), 'grace', 'and one of them no more, once it is erased on the primary');
sql("CALL event_engine.revoke_unseal('v.#', 'care')");
$primary->wait_for_catchup($standby);
is($care->query_safe($plain), 'sealed: sealed:', 'and none once the right is taken back');
$care->query_safe('COMMIT');
sql("CALL event_engine.grant_unseal('v.#', 'care')");
$primary->wait_for_catchup($standby);
is($care->query_safe($plain), 'grace', 'with the right again what is left');

# The key is overwritten in the standby's pages as on the primary.
my $gone = sql(q{SELECT pg_relation_filepath('event_engine.event_subject_keys')});
publish($primary, 3, 'joan');
my $key = sql(q{SELECT encode(substring(key FROM 2), 'hex') FROM event_engine.event_subject_keys WHERE subject = '3'});
sub on_standby
{
	$primary->wait_for_catchup($standby);
	sql('CHECKPOINT');
	$primary->wait_for_catchup($standby);
	$standby->safe_psql('postgres', 'CHECKPOINT');
	return index(slurp_file($standby->data_dir . "/$gone"), pack('H*', $key)) >= 0 ? 1 : 0;
}
is(on_standby(), 1, 'a key is in the file of the standby');
sql(q{SELECT event_engine.erase_subject('3')});
sql('SELECT event_engine.run_maintenance()');
is(on_standby(), 0, 'and is overwritten there after it was erased');

# Promoted.
$primary->stop('immediate');
$standby->promote;
is($care->query_safe($plain), 'grace', 'after the promotion what could be seen before');
publish($standby, 2, 'hopper');
publish($standby, 1, 'byron');
is($care->query_safe($plain), 'grace hopper byron', 'and what is new');
is($standby->safe_psql('shop', q{SELECT subject, count(*), count(key) FROM event_engine.event_subject_keys GROUP BY 1 ORDER BY 1}),
	"1|2|1\n2|1|1\n3|1|0", 'a known subject keeps its key, an erased one has a new one');
$standby->safe_psql('shop', "SELECT event_engine.erase_subject('2')");
is($care->query_safe($plain), 'byron', 'erasing goes on');
$care->quit;
$standby->stop;
done_testing();
