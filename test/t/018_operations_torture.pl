# One short round of the crash campaign: clients of all kinds, accidents, and
# every check, before and after dead letters are redriven.  make torture runs
# it for as long as one likes, at debug points too.
use strict;
use warnings;

use File::Basename;
use FindBin;
use PostgreSQL::Test::Utils;
use Test::More;

my $python = '/usr/bin/python3';
plan skip_all => 'python3-psycopg2 is not installed'
  if system("$python -c 'import psycopg2' 2>/dev/null") != 0;

my ($postgres) = grep { -x } map { "$_/postgres" } split /:/, $ENV{PATH};
my $seed = int rand 1_000_000;
my @options = ('--bin', dirname($postgres), '--place', PostgreSQL::Test::Utils::tempdir_short(),
	'--seed', $seed, '--rounds', 1, '--round-seconds', 6, '--variant', 'plain', '--no-points');
my $output = `$python $FindBin::Bin/../torture/torture.py @options 2>&1`;

is($?, 0, "no violation with seed $seed") or diag($output);
like($output, qr/ [1-9]\d* accidents, [1-9]\d* events .* no violation$/m, 'and something has happened');
done_testing();
