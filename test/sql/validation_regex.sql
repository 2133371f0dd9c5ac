-- Patterns are those of ECMA-262, whatever PostgreSQL's own dialect says.
SET search_path = event_engine, public;

CREATE FUNCTION pg_temp.matches(pattern text, subject text) RETURNS boolean LANGUAGE sql
AS $$ SELECT event_engine.jsonschema_is_valid(jsonb_build_object('pattern', pattern), to_jsonb(subject)) $$;

-- unaligned, as psql's idea of a character's width changes between versions
\pset format unaligned
SELECT pattern, left(to_json(subject)::text, 30) AS subject, pg_temp.matches(pattern, subject) FROM (VALUES
	('es', 'expression'), ('^es', 'expression'), ('on$', 'expression'), ('', ''), ('^$', ''), ('^$', 'x'),
	('^(a|bc)*d?$', 'abcabcd'), ('^(a|bc)*d?$', 'abcabd'), ('a{2,3}', 'xaax'), ('^a{2,3}$', 'aaaa'), ('^x{300}$', repeat('x', 300)),
	('^[0-9a-f]{40}$', repeat('0f', 20)), ('^[0-9a-f]{40}$', repeat('0g', 20)), ('^.{1,120}$', repeat('ü', 120)), ('^.{1,120}$', repeat('ü', 121)),
	('^[^a-c]$', 'ü'), ('^[à-ü]+$', 'éèü'), ('^[à-ü]+$', 'e'), ('^🐲*$', '🐲🐲'), ('^🐲{2}$', '🐲🐲'), ('^\u{1F432}$', '🐲'), ('^\uD83D\uDC32$', '🐲'),
	('^.$', E'\n'), ('^.$', U&'\2028'), ('^.$', U&'\0085'), ('^\s$', U&'\FEFF'), ('^\s$', U&'\00A0'), ('^\S$', U&'\2028'),
	('^\w$', 'é'), ('^\W$', 'é'), ('^\d$', U&'\07C0'), ('^[\d\-x]+$', '4-x'), ('^[\D]$', 'a'), ('^\cC$', E'\x03'), ('^[\b]$', E'\b'),
	('\bfoo\b', 'a foo b'), ('\bfoo\b', 'afoob'), ('^(?=a)[a-c]+$', 'abc'), ('^(?!a)[a-c]+$', 'abc'), ('(?<=\$)\d', '$5'), ('(?<!\$)5', '$5'),
	('^(a+)\1$', 'aaaa'), ('^(a+)\1$', 'aaa'), ('^(?<y>\d\d)-\k<y>$', '24-24'), ('^(?<y>\d\d)-\k<y>$', '24-25'),
	('^\?\&\%$', '?&%'), ('[]', 'x'), ('^[^]$', E'\n'), ('^a{,2}$', 'a{,2}'), ('^(?:a*)*$', 'aaa'), ('x*', 'y'), ('$^', ''), ('$^', 'x'), ('(|$)^', 'x'), ('a$b', 'ab'),
	('^[^a]{3}$', 'ü中🐲'), ('^\D\D\D$', 'ࠀ�က'), ('^[\u0800-\uFFFF]$', '中'), ('^[\u{10000}-\u{10FFFF}]$', '🐲'), ('^[中-丯]$', '丢'), ('^[中-丯]$', '乀'),
	('^\p{L}+$', 'aÄж中'), ('^\p{L}+$', 'a1'), ('^\P{Lu}$', 'a'), ('^\p{Lu}\p{Lowercase_Letter}$', 'Āā'), ('^[\p{Nd}\p{Sc}]+$', '৪2€'), ('^\p{gc=Cn}$', U&'\0378'),
	('^\/$', '/'), ('[[:alpha:]]', ':]')
) v (pattern, subject);
\pset format aligned

-- no pattern makes a backend hang: 100,000 characters, and what is exponential elsewhere
SELECT pg_temp.matches('^(a|aa)+$', repeat('a', 100000) || 'b') AS a, pg_temp.matches('^(([a-z])+.)+[A-Z]([a-z])+$', repeat('a', 100000)) AS b,
	pg_temp.matches('(x+x+)+y', repeat('x', 100000)) AS c, pg_temp.matches('(.*a){20}', repeat('a', 19)) AS d;

-- what is no regular expression
CREATE FUNCTION pg_temp.wrong(pattern text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM event_engine.jsonschema_is_valid(jsonb_build_object('pattern', pattern), '""');
	RETURN 'accepted';
EXCEPTION WHEN SQLSTATE 'VE102' THEN RETURN SQLERRM;
END $$;
SELECT p AS pattern, pg_temp.wrong(p) FROM unnest(ARRAY['(', ')', '[a', '*a', 'a**', '[b-a]', 'a{2,1}', '\', '\a', '\Z', '\1', '(?<n>x)\k<m>', '(?i)a', '(?<1>x)', '\u{110000}', 'x{999999}', '^*', '***:x', '\p{Thing}', '\p{L', '\pL']) p;

-- properties of characters: what is known, and what is refused
SELECT p AS pattern, jsonschema_is_valid(jsonb_build_object('pattern', p), '"a"') AS a, jsonschema_is_valid(jsonb_build_object('pattern', p), '"é"') AS "é"
FROM unnest(ARRAY['^\p{ASCII}$', '^\P{ASCII}$', '^[\p{ASCII}\p{gc=Ll}]$']) p;
SELECT jsonschema_is_valid('{"pattern": "\\p{Script=Greek}"}', '"a"');
