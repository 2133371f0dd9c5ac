-- Each payload is published in a transaction of its own: a refused one does
-- not stop the rest.
CREATE TABLE demo.outcome (event text, n int, id uuid, error text);

CREATE PROCEDURE demo.publish_all() LANGUAGE plpgsql AS $$
DECLARE
	p demo.payloads;
	id uuid;
	refused text;
BEGIN
	FOR p IN SELECT * FROM demo.payloads LOOP
		refused := NULL;
		BEGIN
			id := event_engine.publish_event('github.' || p.event, p.payload,
				source => '{"type": "integration", "id": "github", "name": "GitHub webhooks"}',
				event_id => format('%s/%s', p.event, p.n));
		EXCEPTION WHEN OTHERS THEN
			id := NULL;
			refused := SQLSTATE;
		END;
		INSERT INTO demo.outcome VALUES (p.event, p.n, id, refused);
		COMMIT;
	END LOOP;
END $$;

SELECT clock_timestamp() AS begun \gset
CALL demo.publish_all();
SELECT round(extract(epoch FROM clock_timestamp() - :'begun') * 1000) AS ms \gset

SELECT format(
		'   %s payloads published in %s ms (%s a second): %s stored, %s refused with SQLSTATE %s',
		count(*), :ms, round(1000.0 * count(*) / :ms), count(id), count(error), string_agg(DISTINCT error, ', ')) AS published,
	format('   ajv, another validator, finds %s valid and %s not; the two agree on %s of %s',
		count(*) FILTER (WHERE valid), count(*) FILTER (WHERE NOT valid),
		count(*) FILTER (WHERE (id IS NOT NULL) = valid), count(*)) AS compared
FROM demo.outcome JOIN demo.payloads USING (event, n) \gset
\echo :published
\echo :compared
\echo
\echo '   Refused, and why:'
\echo
-- What is wrong in the branch that came closest says more than "no branch matched".
SELECT o.event || ' ' || o.n AS payload, left(COALESCE(NULLIF(e.instance_path, ''), '/'), 40) AS at,
	left(e.message, 60) AS first_violation, e.violations AS "of"
FROM demo.outcome AS o
JOIN demo.payloads AS p USING (event, n)
CROSS JOIN LATERAL (
	SELECT v.*, count(*) OVER () AS violations
	FROM event_engine.validate_event('github.' || p.event, p.payload) WITH ORDINALITY AS v
	ORDER BY v.keyword IN ('oneOf', 'anyOf'), v.ordinality LIMIT 1) AS e
WHERE o.error IS NOT NULL
ORDER BY o.event, o.n;
