/* ------------------------------------------------------------------------
 * Sensitive data: the keys that it is encrypted with.
 * ------------------------------------------------------------------------ */

/*
 * event_subject_keys: some keys for each subject, usually one.  Not dumped: a
 * dump without them cannot be read, and so neither can what was erased since.
 *
 *	id			what a sealed value names its key by
 *	subject		whom the data is about, as its events say
 *	key			plain, or encrypted with that of event_engine.store_key_file;
 *				null once it is erased
 *	erased_at	when that was
 */
CREATE TABLE event_engine.event_subject_keys (
	id uuid NOT NULL PRIMARY KEY,
	subject text COLLATE "C" NOT NULL
		CHECK (char_length(subject) BETWEEN 1 AND 255),
	key bytea,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	erased_at timestamptz,
	CHECK ((key IS NULL) = (erased_at IS NOT NULL))
);
/* in the row and as it is, where it can be overwritten */
ALTER TABLE event_engine.event_subject_keys
	ALTER COLUMN subject SET STORAGE PLAIN,
	ALTER COLUMN key SET STORAGE PLAIN;
COMMENT ON TABLE event_engine.event_subject_keys IS
	'Keys that sensitive data is encrypted with, by whom it is about. No part of a dump.';
CREATE INDEX event_subject_keys_subject_idx
	ON event_engine.event_subject_keys (subject) WHERE key IS NOT NULL;
CREATE INDEX event_subject_keys_erased_idx
	ON event_engine.event_subject_keys (subject) WHERE key IS NULL;

/* Not on INSERT: what sessions know is not wrong for there being another key. */
CREATE TRIGGER announce_change AFTER UPDATE OR DELETE
	ON event_engine.event_subject_keys FOR EACH ROW
	EXECUTE FUNCTION event_engine.announce_change();
CREATE TRIGGER announce_truncate AFTER TRUNCATE
	ON event_engine.event_subject_keys FOR EACH STATEMENT
	EXECUTE FUNCTION event_engine.announce_change();
ALTER TABLE event_engine.event_subject_keys
	ENABLE ALWAYS TRIGGER announce_change,
	ENABLE ALWAYS TRIGGER announce_truncate;
