/* ------------------------------------------------------------------------
 * Sensitive data: seeing it, erasing it, and keeping its keys.
 * ------------------------------------------------------------------------ */

/* ---- Seeing ---- */

/*
 * unseal: an event with its sensitive values as they were published, as far
 * as the caller has been granted to see them (grant_unseal); handlers and
 * clients are given them in the same way.  A value whose key was erased is
 * null; one whose key is not here, or that is not of this event, stays as it
 * is.
 */
CREATE FUNCTION event_engine.unseal(event event_engine.event)
	RETURNS event_engine.event
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'ee_sql_unseal_event';
COMMENT ON FUNCTION event_engine.unseal(event_engine.event) IS
	'An event with its sensitive values readable, as far as they have been granted to the caller.';

/* unseal: the same for the envelope of an event, as dead letters have it. */
CREATE FUNCTION event_engine.unseal(envelope jsonb)
	RETURNS jsonb
	LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'ee_sql_unseal_envelope';
COMMENT ON FUNCTION event_engine.unseal(jsonb) IS
	'The envelope of an event, of a dead letter for example, with its sensitive values readable, as far as they have been granted to the caller.';

/*
 * sensitive_fields: what of the events of a pattern is sensitive, in the
 * current version or the one given; and where those say whom it is about.
 */
CREATE FUNCTION event_engine.sensitive_fields(
		pattern text, version text DEFAULT NULL)
	RETURNS TABLE (path text, subject text)
	LANGUAGE c STABLE ROWS 5
	AS 'MODULE_PATHNAME', 'ee_sql_sensitive_fields';
COMMENT ON FUNCTION event_engine.sensitive_fields(text, text) IS
	'Paths of what is sensitive in events of a pattern, and of their subject.';

/* ---- Erasing ---- */

CREATE FUNCTION event_engine.lock_subject(subject text) RETURNS void
	LANGUAGE c VOLATILE STRICT
	AS 'MODULE_PATHNAME', 'ee_sql_lock_subject';
COMMENT ON FUNCTION event_engine.lock_subject(text) IS
	'Internal: waits for transactions that make a key for a subject, and keeps others from it until the transaction ends.';

/*
 * erase_subject: forget the keys of a subject, so that nobody can read what
 * was published about it, wherever it has been copied to.
 *
 * Result: how many keys were erased now, how many in all, and when the latest
 * was.  May be repeated.  What is published afterwards has a new key.
 * Writes event_subject_keys.
 */
CREATE FUNCTION event_engine.erase_subject(subject text)
	RETURNS TABLE (erased bigint, erased_in_all bigint, erased_at timestamptz)
	LANGUAGE plpgsql SECURITY DEFINER ROWS 1
	SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
	IF erase_subject.subject IS NULL THEN
		RAISE EXCEPTION USING ERRCODE = 'null_value_not_allowed',
			MESSAGE = 'subject must not be null';
	END IF;
	IF current_setting('transaction_isolation')
			NOT IN ('read committed', 'read uncommitted') THEN
		RAISE EXCEPTION USING ERRCODE = 'active_sql_transaction',
			MESSAGE = 'erase_subject needs a transaction of isolation level READ COMMITTED',
			DETAIL = 'By an older snapshot it could miss keys.';
	END IF;
	PERFORM event_engine.lock_subject(erase_subject.subject);
	WITH gone AS (
		UPDATE event_engine.event_subject_keys AS k
		SET key = NULL, erased_at = clock_timestamp()
		WHERE k.subject = erase_subject.subject AND k.key IS NOT NULL
		RETURNING k.erased_at)
	SELECT g.n, g.n + e.n, greatest(g.at, e.at)
	INTO erased, erased_in_all, erased_at
	FROM (SELECT count(*) AS n, max(o.erased_at) AS at FROM gone AS o) AS g,
		(SELECT count(*) AS n, max(o.erased_at) AS at
		FROM event_engine.event_subject_keys AS o
		WHERE o.subject = erase_subject.subject AND o.key IS NULL) AS e;
	IF erased > 0 THEN
		PERFORM event_engine.audit_action('erased', 'subject',
			erase_subject.subject, jsonb_build_object('keys', erased));
	END IF;
	RETURN NEXT;
END
$$;
COMMENT ON FUNCTION event_engine.erase_subject(text) IS
	'Makes what was published about a subject unreadable for ever, by erasing its keys. May be repeated.';

CREATE FUNCTION event_engine.scrub_subject_keys() RETURNS bigint
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS 'MODULE_PATHNAME', 'ee_sql_scrub_subject_keys';
COMMENT ON FUNCTION event_engine.scrub_subject_keys() IS
	'Overwrites what erased keys have left in the pages of their table; the maintenance does it, too. Returns how many there were.';

/* ---- Keeping: for the extension's owner alone ---- */

/*
 * export_subject_keys: the keys as they are stored, for a backup of their
 * own.  Whoever has them and a dump can read it all, unless they are
 * encrypted (event_engine.store_key_file).
 */
CREATE FUNCTION event_engine.export_subject_keys()
	RETURNS SETOF event_engine.event_subject_keys
	LANGUAGE sql STABLE
	SET search_path = pg_catalog, pg_temp AS $$
SELECT k.* FROM event_engine.event_subject_keys AS k ORDER BY k.created_at, k.id
$$;
COMMENT ON FUNCTION event_engine.export_subject_keys() IS
	'The keys of all subjects as they are stored, and what was erased, for a backup of their own. Does the work of COPY, for the extension''s owner.';

/*
 * import_subject_keys: what export_subject_keys() gave.  A key that was
 * erased, there or here, is and stays erased.  Returns how many rows are new
 * or were erased.  Writes event_subject_keys.
 */
CREATE FUNCTION event_engine.import_subject_keys(
		keys event_engine.event_subject_keys[])
	RETURNS bigint
	LANGUAGE plpgsql VOLATILE
	SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	n bigint;
BEGIN
	WITH changed AS (
		INSERT INTO event_engine.event_subject_keys AS k
			(id, subject, key, created_at, erased_at)
		SELECT g.id, g.subject, g.key, g.created_at, g.erased_at
		FROM unnest(keys) AS g
		ON CONFLICT (id) DO UPDATE
			SET key = NULL, erased_at = excluded.erased_at
			WHERE excluded.erased_at IS NOT NULL AND k.erased_at IS NULL
		RETURNING 1)
	SELECT count(*) INTO n FROM changed;
	IF n > 0 THEN
		PERFORM event_engine.audit_action('imported', 'subject_keys', '*',
			jsonb_build_object('count', n));
	END IF;
	RETURN n;
END
$$;
COMMENT ON FUNCTION event_engine.import_subject_keys(event_engine.event_subject_keys[]) IS
	'Adds keys that export_subject_keys() gave; what was erased stays so. Does the work of COPY, for the extension''s owner.';

CREATE FUNCTION event_engine.wrap_subject_key(id uuid, key bytea)
	RETURNS bytea
	LANGUAGE c VOLATILE STRICT
	AS 'MODULE_PATHNAME', 'ee_sql_wrap_subject_key';
COMMENT ON FUNCTION event_engine.wrap_subject_key(uuid, bytea) IS
	'Internal: a stored key as it would be stored now.';

/*
 * wrap_subject_keys: encrypt all keys with the first one of the file that
 * event_engine.store_key_file names, after that has changed; plain where it
 * names none.  Returns how many there are.  Writes event_subject_keys.
 */
CREATE FUNCTION event_engine.wrap_subject_keys() RETURNS bigint
	LANGUAGE sql VOLATILE
	SET search_path = pg_catalog, pg_temp AS $$
WITH changed AS (
	UPDATE event_engine.event_subject_keys AS k
	SET key = event_engine.wrap_subject_key(k.id, k.key)
	WHERE k.key IS NOT NULL
	RETURNING 1)
SELECT count(*) FROM changed
$$;
COMMENT ON FUNCTION event_engine.wrap_subject_keys() IS
	'Encrypts all keys of subjects anew, after event_engine.store_key_file has changed. Does the work of an UPDATE, for the extension''s owner.';
