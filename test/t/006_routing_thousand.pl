# A thousand subscriptions of several owners, exact, wildcards, prefixes and
# filters: each gets what it should, once, and nothing else.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use EventEngine;
use Test::More;

my $node = new_server('thousand', conf => <<'CONF');
log_statement = none
max_worker_processes = 20
CONF

new_database($node, 'shop');
$node->safe_psql('shop', <<'SQL');
CREATE ROLE owner0 LOGIN;
CREATE ROLE owner1 LOGIN;
CREATE ROLE owner2 LOGIN;
CREATE ROLE owner3 LOGIN;
CALL event_engine.grant_duty('subscriber', 'owner0');
CALL event_engine.grant_duty('subscriber', 'owner1');
CALL event_engine.grant_duty('subscriber', 'owner2');
CALL event_engine.grant_duty('subscriber', 'owner3');
SELECT count(event_engine.register_event_definition(format('area%s.thing%s.%s', a, t, w)))
	FROM generate_series(0, 4) a, generate_series(0, 9) t, unnest('{made,gone}'::text[]) w;
CREATE TABLE wanted (subscriber text PRIMARY KEY, regex text, above int);
CREATE TABLE got (subscriber text, i int, by_role name DEFAULT current_user, PRIMARY KEY (subscriber, i));
GRANT INSERT ON got TO PUBLIC;
-- a handler for each, as it has to know for whom it is called
DO $$
DECLARE
	s text;
	pattern text;
	above int;
BEGIN
	FOR n IN 0 .. 999 LOOP
		s := 's' || n;
		pattern := CASE n % 5
			WHEN 0 THEN format('area%s.thing%s.made', n / 5 % 5, n / 25 % 10)
			WHEN 1 THEN format('*.thing%s.*', n / 5 % 10)
			WHEN 2 THEN format('area%s.#', n / 5 % 5)
			WHEN 3 THEN format('#.gone')
			ELSE format('area%s.*.gone', n / 5 % 5) END;
		above := CASE WHEN n % 3 = 0 THEN n / 5 % 100 ELSE -1 END;
		EXECUTE format('CREATE FUNCTION %s(e event_engine.event[]) RETURNS void LANGUAGE sql AS
			$f$ INSERT INTO public.got (subscriber, i) SELECT %L, (u.payload ->> ''i'')::int FROM unnest(e) u $f$', s, s);
		EXECUTE format('SET ROLE owner%s', n % 4);
		PERFORM event_engine.subscribe(s, ARRAY[pattern], s,
			filter => CASE WHEN above >= 0 THEN format('$.payload.x > %s', above) END);
		RESET ROLE;
		INSERT INTO wanted VALUES (s, '^' || replace(replace(replace(pattern, '.', '\.'), '*', '[^.]+'), '#', '.*') || '$', above);
	END LOOP;
END $$;
SQL
is($node->safe_psql('shop', 'SELECT count(*) FROM event_engine.subscriptions'), '1000', 'a thousand subscriptions');
my $began = time;
$node->safe_psql('shop', <<'SQL');
CREATE TABLE published (i int PRIMARY KEY, pattern text, x int);
INSERT INTO published SELECT i, format('area%s.thing%s.%s', i % 5, i / 5 % 10, CASE WHEN i % 3 = 0 THEN 'gone' ELSE 'made' END), i * 7 % 100
	FROM generate_series(1, 1000) i;
DO $$
DECLARE
	p record;
BEGIN
	FOR p IN SELECT * FROM published ORDER BY i LOOP
		PERFORM event_engine.publish_event(p.pattern, jsonb_build_object('i', p.i, 'x', p.x));
		IF p.i % 10 = 0 THEN
			COMMIT;
		END IF;
	END LOOP;
END $$;
SQL
my $expected = 'SELECT subscriber, i FROM published JOIN wanted ON pattern ~ regex AND x > above';
wait_until($node, 'shop', "SELECT (SELECT count(*) FROM got) >= (SELECT count(*) FROM ($expected) e)",
	'as many deliveries as there should be');
note($node->safe_psql('shop', 'SELECT count(*) FROM got') . ' deliveries in ' . (time - $began) . ' s');
is($node->safe_psql('shop', "SELECT count(*) FROM ($expected EXCEPT SELECT subscriber, i FROM got) x"), '0', 'nothing is missing');
is($node->safe_psql('shop', "SELECT count(*) FROM (SELECT subscriber, i FROM got EXCEPT $expected) x"), '0', 'nobody got what is not theirs');
is($node->safe_psql('shop', "SELECT count(*) FROM got WHERE by_role <> 'owner' || substr(subscriber, 2)::int % 4"),
	'0', 'handlers ran as their owners');
is($node->safe_psql('shop', "SELECT count(DISTINCT subscriber) > 900 FROM got"), 't', 'hardly anybody got nothing');
$node->stop;
done_testing();
