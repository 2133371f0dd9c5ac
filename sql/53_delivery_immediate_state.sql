/* ------------------------------------------------------------------------
 * Delivery in the publisher's transaction.
 *
 * What is published by function is handed over in C.  Rows that come by
 * INSERT and COPY are handed over once their statement is done; as long as
 * nobody wants that, a row costs one call of a function that compares.
 * ------------------------------------------------------------------------ */

CREATE FUNCTION event_engine.delivers_immediately() RETURNS boolean
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'ee_sql_delivers_immediately';
COMMENT ON FUNCTION event_engine.delivers_immediately() IS
	'Whether handlers are called where events are published.';

CREATE FUNCTION event_engine.deliver_row() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME', 'ee_sql_deliver_row';
COMMENT ON FUNCTION event_engine.deliver_row() IS
	'Trigger on events: calls handlers with what INSERT and COPY have brought.';

CREATE TRIGGER event_engine_deliver AFTER INSERT ON event_engine.events
	FOR EACH ROW WHEN (event_engine.delivers_immediately())
	EXECUTE FUNCTION event_engine.deliver_row();

/* Publishers ask for it after every change of the subscriptions. */
CREATE INDEX subscriptions_immediate_idx ON event_engine.subscriptions (number)
	WHERE options @> '{"immediate": true}';
