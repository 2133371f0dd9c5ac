# The library loads when it is first needed and when it is preloaded, and
# neither way says anything that somebody would have to look up.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use PostgreSQL::Test::Utils;
use Test::More;

foreach my $preload (0, 1)
{
	my $with = $preload ? 'preloaded' : 'on demand';
	my $node = new_server("load$preload", preload => $preload);

	new_database($node, 'shop');
	is( $node->safe_psql('shop',
			"SELECT extversion FROM pg_extension WHERE extname = 'event_engine'"),
		$node->safe_psql('postgres',
			"SELECT default_version FROM pg_available_extensions WHERE name = 'event_engine'"),
		"$with: the version that the control file names");
	$node->safe_psql('shop', 'DROP EXTENSION event_engine');
	$node->safe_psql('postgres', 'DROP DATABASE shop');
	$node->restart;
	$node->stop;
	unlike(slurp_file($node->logfile), qr/WARNING|ERROR|FATAL|PANIC/,
		"$with: nothing to complain of in the log");
}

done_testing();
