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
$node->stop;
done_testing();
