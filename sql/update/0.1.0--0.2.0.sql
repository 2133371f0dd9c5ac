/* ------------------------------------------------------------------------
 * From 0.1.0 to 0.2.0: what was there and is different, and which pieces are
 * new.  Functions, procedures and views follow by themselves, see ../README.md.
 * ------------------------------------------------------------------------ */

-- who had a duty is granted all events: see there
\new 13_registry_grants_state.sql

-- it tells of everything besides
DROP VIEW event_engine.duties;

\new 61_workflow_late_state.sql

/* Audit.  The triggers lock the tables of the configuration, for a moment. */
\new 79_operations_audit_state.sql
