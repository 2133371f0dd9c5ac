/* event_engine: install script, assembled from sql/[0-9][0-9]_*.sql */
\echo Use "CREATE EXTENSION event_engine" to load this file. \quit
SET LOCAL search_path = pg_catalog, pg_temp;

/* The schema is made here, so that an install into a schema that somebody
 * has prepared fails instead of adopting what lies in it. */
CREATE SCHEMA event_engine;
COMMENT ON SCHEMA event_engine IS 'Event processing: registry, log, subscriptions, delivery, workflows.';
