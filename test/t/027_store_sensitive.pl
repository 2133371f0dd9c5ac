# The keys of sensitive data: left out of a dump and brought back beside it,
# encrypted by a key in a file, overwritten where they lay once they are
# erased; an executor gives a handler what its owner has been granted.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $node = new_server('keys', conf => "log_statement = none\n");
new_database($node, 'shop');
my $plain = 'SELECT (event_engine.unseal(e)).payload FROM event_engine.list_events(after_seq => 0) AS e';

sub sql { return $node->safe_psql(@_); }

sub in_file
{
	my ($key) = @_;
	sql('shop', 'CHECKPOINT');
	my $file = sql('shop', q{SELECT pg_relation_filepath('event_engine.event_subject_keys')});
	return index(slurp_file($node->data_dir . "/$file"), pack('H*', $key)) >= 0 ? 1 : 0;
}

sql('postgres', 'CREATE ROLE care LOGIN');
sql('shop', <<'SQL');
SELECT event_engine.register_event_definition('v.a', options =>
	'{"sensitive": ["$.payload.v"], "sensitive_subject": "$.payload.s"}');
CALL event_engine.grant_duty('subscriber', 'care');
CREATE TABLE given (v text);
GRANT INSERT ON given TO care;
CREATE FUNCTION take(e event_engine.event) RETURNS void LANGUAGE sql AS
	$$ INSERT INTO public.given VALUES (left(e.payload ->> 'v', 7)) $$;
SET ROLE care;
SELECT event_engine.subscribe('care', '{v.a}', 'public.take');
RESET ROLE;
SELECT event_engine.publish_event('v.a', '{"s": 1, "v": "first"}');
SQL
ok($node->poll_query_until('shop', q{SELECT count(*) = 1 FROM given WHERE v = 'sealed:'}),
	'a handler is given what is stored');
sql('shop', q{CALL event_engine.grant_unseal('v.#', 'care')});
sql('shop', q{SELECT event_engine.publish_event('v.a', '{"s": 2, "v": "second"}')});
ok($node->poll_query_until('shop', q{SELECT count(*) = 1 FROM given WHERE v = 'second'}),
	'and the value once its owner may see it');

my $key = sql('shop', q{SELECT encode(substring(key FROM 2), 'hex') FROM event_engine.event_subject_keys WHERE subject = '1'});
is(in_file($key), 1, 'the key is in the file of its table');
sql('shop', q{SELECT event_engine.erase_subject('1')});
sql('shop', 'SELECT event_engine.run_maintenance()');
is(in_file($key), 0, 'and nothing is left of it after the next maintenance');
is(sql('shop', $plain), qq({"s": 1, "v": null}\n{"s": 2, "v": "second"}), 'what was erased is null');

$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/dump", 'shop' ], 'dumped');
sql('shop', "COPY (SELECT * FROM event_engine.export_subject_keys()) TO '$dir/keys'");
sql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '-d', 'restored', "$dir/dump" ], 'restored');
unlike(sql('restored', $plain), qr/second/, 'the dump alone tells nothing');
sql('restored', <<"SQL");
CREATE TABLE keys AS SELECT * FROM event_engine.event_subject_keys WITH NO DATA;
COPY keys FROM '$dir/keys';
SELECT event_engine.import_subject_keys(array_agg(ROW(k.*)::event_engine.event_subject_keys)) FROM keys AS k;
SQL
is(sql('restored', $plain), qq({"s": 1, "v": null}\n{"s": 2, "v": "second"}), 'with the keys it does');

append_to_file("$dir/key", ('0123456789abcdef' x 4) . "\n");
chmod 0600, "$dir/key";
$node->append_conf('postgresql.conf', "event_engine.store_key_file = '$dir/key'");
$node->restart;
is(sql('shop', 'SELECT event_engine.wrap_subject_keys()'), '1', 'keys are encrypted');
like(sql('shop', $plain), qr/second/, 'and of use with the file');
chmod 0644, "$dir/key";
my (undef, undef, $err) = $node->psql('shop', $plain);
like($err, qr/must be a file that others cannot read/, 'which nobody else may read');
done_testing();
