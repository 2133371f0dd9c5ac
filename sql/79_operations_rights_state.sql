/* ------------------------------------------------------------------------
 * Operations: row-level security of what is kept of deliveries.
 *
 * Whoever may read an event sees what has become of it, and so does the owner
 * of the subscription for as long as that may have the event.  The engine
 * works as the owner of the tables, who is exempt.
 *
 * The log itself has none: COPY into a table with row-level security is
 * refused to everybody else.  Others than readers of everything have the view
 * readable_events.
 * ------------------------------------------------------------------------ */

ALTER TABLE event_engine.event_dead_letters ENABLE ROW LEVEL SECURITY;
CREATE POLICY readable ON event_engine.event_dead_letters FOR SELECT
	USING (event_engine.may_read(event_type, envelope -> 'metadata')
		OR event_engine.has_subscribed(subscriber, NULL, event_type,
			envelope -> 'metadata'));

ALTER TABLE event_engine.deliveries ENABLE ROW LEVEL SECURITY;
CREATE POLICY readable ON event_engine.deliveries FOR SELECT
	USING (event_engine.may_read((event).pattern, (event).metadata)
		OR event_engine.has_subscribed(NULL, subscription_number,
			(event).pattern, (event).metadata));

/* Of an entry the tenant is not known. */
ALTER TABLE event_engine.event_processing_log ENABLE ROW LEVEL SECURITY;
CREATE POLICY readable ON event_engine.event_processing_log FOR SELECT
	USING (event_engine.may_read(pattern, NULL)
		OR event_engine.has_subscribed(subscriber, NULL, pattern, NULL));
