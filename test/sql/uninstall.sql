-- The extension goes without CASCADE and leaves nothing behind.
DROP EXTENSION event_engine;
SELECT count(*) FROM pg_namespace WHERE nspname = 'event_engine';
SELECT count(*) FROM pg_proc WHERE probin = 'event_engine';
SELECT count(*) FROM pg_event_trigger;
