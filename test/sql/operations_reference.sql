-- docs/reference.md says what the catalogs say.  Where it does not, run `make
-- reference` and look at what has changed.
\getenv srcdir PG_ABS_SRCDIR
\set file :srcdir '/../docs/reference.md'
\set written `cat :'file'`
\set file :srcdir '/../docs/errors.md'
\set errors_md `cat :'file'`
\set file :srcdir '/../src/ground/errors.h'
\set errors_h `cat :'file'`
\set file :srcdir '/lib/reference.sql'
\set ECHO none
\i :file
\set ECHO all
CREATE TEMP TABLE written AS
	SELECT line FROM string_to_table(:'written', E'\n') AS line;

-- (The settings of workers are there when the library is preloaded.)
SELECT line AS not_written FROM reference WHERE line NOT LIKE '% | restart | %'
EXCEPT ALL SELECT line FROM written;
SELECT line AS written_but_not_so FROM written WHERE line NOT LIKE '% | restart | %'
EXCEPT ALL SELECT line FROM reference;
SELECT count(*) > 1000 AS whole FROM reference;
