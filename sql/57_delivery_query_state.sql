/* ------------------------------------------------------------------------
 * Request and reply.  A request is an event, and so is each reply to it: all
 * that is known of them is in the log.
 * ------------------------------------------------------------------------ */

/*
 * event_responders: functions that answer at once, in the transaction of
 * whoever asks.
 *
 *	pattern		of the request
 *	function	signature; takes the request, returns the reply's payload
 *	owner		it runs as this role
 */
CREATE TABLE event_engine.event_responders (
	pattern varchar(255) COLLATE "C" NOT NULL PRIMARY KEY,
	function text NOT NULL,
	owner regrole NOT NULL,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE event_engine.event_responders IS
	'Functions that answer requests in the transaction of whoever asks.';
