# A captured table comes through a dump: the trigger, under the names that its
# columns have by then, and the duties of roles; restoring publishes nothing.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('capture');
my $dump = $node->backup_dir . '.sql';

new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
CREATE ROLE clerk;
CALL event_engine.grant_duty('publisher', 'clerk');
CREATE TABLE orders (gone integer, "Id" integer PRIMARY KEY, customer text, total numeric);
SELECT event_engine.capture_changes('orders', columns => '{total,customer}');
CREATE TABLE visits (region text, n integer) PARTITION BY LIST (region);
CREATE TABLE visits_eu PARTITION OF visits FOR VALUES IN ('eu');
SELECT event_engine.capture_changes('visits', key => '{region}');
ALTER TABLE orders DROP gone;
INSERT INTO orders VALUES (1, 'Ada', 5);
INSERT INTO visits VALUES ('eu', 1);
SQL

# The log and what else the extension keeps is not this test's matter.
command_ok([ 'pg_dump', '-N', 'event_engine', '-f', $dump, '-d', $node->connstr('shop') ], 'dumped');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
command_ok(
	[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, '-d', $node->connstr('copy') ],
	'restored');

is( $node->safe_psql('copy', 'SELECT count(*) FROM orders, visits'), '1', 'with its rows');
is( $node->safe_psql('copy', <<'SQL'), "orders|orders|[\"total\", \"customer\"]\nvisits|visits|",
SELECT relation, pattern_prefix, columns FROM event_engine.captured_tables ORDER BY relation::text
SQL
	'both tables are captured');

$node->safe_psql('copy', <<'SQL');
SELECT event_engine.register_event_definition(p)
FROM unnest('{orders.inserted,orders.updated,visits.inserted}'::text[]) AS p
WHERE NOT EXISTS (SELECT FROM event_engine.event_definitions AS d WHERE d.pattern = p);
SQL
my $before = $node->safe_psql('copy', 'SELECT coalesce(max(seq), 0) FROM event_engine.events');
$node->safe_psql('copy', <<'SQL');
INSERT INTO orders VALUES (2, 'Eve', 7);
UPDATE orders SET customer = 'Eva' WHERE "Id" = 2;
INSERT INTO visits_eu VALUES ('eu', 2);
SQL
is( $node->safe_psql('copy', <<"SQL"), <<'ROWS' =~ s/\n\z//r, 'and changes are published');
SELECT pattern, partition_key, payload - 'old' FROM event_engine.events
WHERE seq > $before ORDER BY seq
SQL
orders.inserted|2|{"key": {"Id": 2}, "new": {"total": 7, "customer": "Eve"}}
orders.updated|2|{"key": {"Id": 2}, "new": {"total": 7, "customer": "Eva"}, "changed": ["customer"]}
visits.inserted|eu|{"key": {"region": "eu"}, "new": {"n": 2, "region": "eu"}}
ROWS
is( $node->safe_psql('copy', "SELECT event_engine.duties_of('clerk')"), '{publisher}',
	'duties are kept');

# Without the extension there is nothing to capture with.
my ($rc, $out, $err) = $node->psql('copy', 'DROP EXTENSION event_engine');
like($err, qr/00_event_engine_capture/, 'the extension is not dropped from under the trigger');
$node->safe_psql('copy', 'DROP EXTENSION event_engine CASCADE; INSERT INTO orders VALUES (3)');

done_testing();
