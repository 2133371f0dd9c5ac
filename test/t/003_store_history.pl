# Concurrent publishers commit out of order, roll back to savepoints and
# entirely, prepare and commit late, while one transaction stays open all the
# time: what was acknowledged is what is delivered, once, in order.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use History;
use Test::More;

my $node = new_server('history', conf => <<'CONF');
event_engine.delivery_poll_interval = 200ms
event_engine.delivery_batch_time = 20ms
max_prepared_transactions = 20
max_connections = 40
log_statement = none
CONF

new_database($node, 'shop');
my $history = History->new($node, 'shop', sessions => 6);

# open from before the first to after the last, with events of its own
my $open = $node->background_psql('shop');
$open->query_safe('BEGIN');
$open->query_safe('SELECT publish_some(1001, 1)');
my $prepared = $node->background_psql('shop');
$prepared->query_safe("BEGIN; SELECT publish_some(1003, 1); PREPARE TRANSACTION 'late'");

$history->begin(300);
my $errors = $history->finish;
is($errors, '', 'all publishers went to their end');
$history->check('while a transaction is open');

$open->query_safe('SELECT publish_some(1001, 1000)');
$open->query_safe('COMMIT');
$open->quit;
$history->check('when it has committed');
$prepared->query_safe("COMMIT PREPARED 'late'");
$prepared->quit;
$history->check('when a prepared one has, of which nobody tells');

# Now handlers fail at random, sessions deliver beside the workers and roll
# some of that back, and upkeep gathers cursors all the time.
$node->safe_psql('shop', <<'SQL');
CREATE FUNCTION moody() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN IF random() < 0.1 THEN RAISE 'not today'; END IF; RETURN new; END $$;
CREATE TRIGGER moody BEFORE INSERT ON delivered FOR EACH ROW EXECUTE FUNCTION moody();
SQL
$history->begin(200);
my $beside = '';
foreach (1 .. 150)
{
	my $max = 1 + int rand 50;

	$beside .= rand() < 0.2 ? "SELECT event_engine.run_maintenance();\n"
	  : "BEGIN; SELECT event_engine.process_batch($max); " . (rand() < 0.4 ? "ROLLBACK;\n" : "COMMIT;\n");
}
my @sessions = map {
	my $session = $node->background_psql('shop', on_error_stop => 0);
	$session->query_until(qr/begun/, "\\echo begun\n$beside");
	$session
} 1, 2;
is($history->finish, '', 'publishers go to their end beside all that');
$_->quit foreach @sessions;
$history->check('with handlers that fail, and sessions that deliver', order => 0);
cmp_ok($node->safe_psql('shop', 'SELECT sum(failed) FROM (SELECT max(failed) AS failed FROM'
	  . ' (SELECT subscription_number, failed FROM event_engine.subscription_cursors UNION ALL'
	  . ' SELECT subscription_number, failed FROM event_engine.subscription_cursor_moves) m GROUP BY subscription_number) f'),
	'>', 20, 'many deliveries failed at first');
$node->stop;
done_testing();
