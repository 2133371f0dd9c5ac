-- Who may publish what, by every way in.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE ROLE regress_gina;
CREATE ROLE regress_group;
CREATE ROLE regress_member;
CREATE ROLE regress_noinherit NOINHERIT;
CREATE ROLE regress_by_hand;
CREATE ROLE regress_admin;
GRANT regress_group TO regress_member, regress_noinherit;
SELECT event_engine.register_event_definition(p) FROM unnest('{invoice.created,invoice.paid,order.created}'::text[]) AS p;

CALL event_engine.grant_publish('invoice.#', 'regress_gina');
SET ROLE regress_gina;
SELECT event_engine.publish_event('invoice.created', '{}') IS NOT NULL AS published;
SELECT event_engine.publish_event('order.created', '{}');
SELECT count(*) FROM event_engine.publish_events('[{"pattern": "invoice.paid", "payload": {}}, {"pattern": "invoice.paid", "payload": {}}]');
SELECT count(*) FROM event_engine.publish_events('[{"pattern": "invoice.paid", "payload": {}}, {"pattern": "order.created", "payload": {}}]');
INSERT INTO event_engine.events (pattern, payload) VALUES ('invoice.paid', '{}');
INSERT INTO event_engine.events (pattern, payload) VALUES ('invoice.paid', '{}'), ('order.created', '{}');
COPY event_engine.events (pattern, payload) FROM stdin;
invoice.paid	{}
invoice.created	{}
\.
COPY event_engine.events (pattern, payload) FROM stdin;
invoice.paid	{}
order.created	{}
\.
SELECT privilege, pattern, kind, tenant, grantee FROM event_engine.list_grants();
SELECT * FROM event_engine.list_grants('regress_group');
CALL event_engine.grant_publish('#', 'regress_gina');
RESET ROLE;
SELECT pattern, count(*) FROM event_engine.events WHERE created_by = 'regress_gina' GROUP BY 1 ORDER BY 1;

-- Patterns of every kind.
CALL event_engine.grant_publish('order.created', 'regress_group');
CALL event_engine.grant_publish('invoice', 'regress_group', kind => 'prefix');
CALL event_engine.grant_publish('invoice', 'regress_group', kind => 'prefix');
CALL event_engine.grant_publish('(order|refund)\.created$', 'regress_gina', kind => 'regex');
CALL event_engine.grant_publish('(', 'regress_gina', kind => 'regex');
CALL event_engine.grant_publish('a b', 'regress_gina');
CALL event_engine.grant_publish(NULL, 'regress_gina');
CALL event_engine.grant_publish('x', 'regress_gina', kind => 'glob');
CALL event_engine.grant_publish('x', 'regress_gina', tenant => '');
CALL event_engine.grant_publish('x', NULL);
SELECT grantee, privilege, pattern, match ->> 'type' AS kind, tenant FROM event_engine.event_grants ORDER BY grantee::text, pattern;
SET ROLE regress_gina;
SELECT event_engine.publish_event('order.created', '{}') IS NOT NULL AS published;

-- Through membership, as privileges are inherited.
SET ROLE regress_member;
SELECT event_engine.publish_event('order.created', '{}') IS NOT NULL AS published;
SELECT event_engine.publish_event('invoice.paid', '{}') IS NOT NULL AS published;
SET ROLE regress_noinherit;
SELECT event_engine.publish_event('order.created', '{}');
RESET ROLE;
GRANT EXECUTE ON FUNCTION event_engine.publish_events(jsonb) TO regress_noinherit;
SET ROLE regress_noinherit;
SELECT event_engine.publish_events('[{"pattern": "order.created", "payload": {}}]');
SET ROLE regress_group;
SELECT count(*) FROM event_engine.publish_events('[{"pattern": "order.created", "payload": {}}]');
RESET ROLE;
REVOKE regress_group FROM regress_member;
GRANT INSERT ON event_engine.events TO regress_member;
SET ROLE regress_member;
INSERT INTO event_engine.events (pattern, payload) VALUES ('order.created', '{}');
RESET ROLE;
GRANT regress_group TO regress_member;
SET ROLE regress_member;
INSERT INTO event_engine.events (pattern, payload) VALUES ('order.created', '{}');
RESET ROLE;

-- A definer function publishes as whom it runs.
CREATE FUNCTION public.regress_pay() RETURNS boolean LANGUAGE sql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $$ SELECT event_engine.publish_event('invoice.paid', '{}') IS NOT NULL $$;
ALTER FUNCTION public.regress_pay() OWNER TO regress_gina;
SET ROLE regress_noinherit;
SELECT public.regress_pay();
RESET ROLE;
DROP FUNCTION public.regress_pay();

-- A GRANT by hand lets nobody publish, nor grant.
GRANT EXECUTE ON FUNCTION event_engine.publish_events(jsonb) TO PUBLIC;
GRANT EXECUTE ON PROCEDURE event_engine.grant_publish(text, regrole, text, text) TO regress_by_hand;
GRANT EXECUTE ON FUNCTION event_engine.change_grant(boolean, text, text, regrole, text, text) TO regress_by_hand;
SET ROLE regress_by_hand;
SELECT event_engine.publish_events('[{"pattern": "invoice.paid", "payload": {}}]');
CALL event_engine.grant_publish('#', 'regress_by_hand');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION event_engine.publish_events(jsonb) FROM PUBLIC;

-- Taken back: of what is left the rest works, after the last nothing does.
CALL event_engine.revoke_publish('order.created', 'regress_gina');
CALL event_engine.revoke_publish('invoice.#', 'regress_gina', tenant => 'acme');
CALL event_engine.revoke_publish('invoice.#', 'regress_gina');
SELECT event_engine.duties_of('regress_gina');
SET ROLE regress_gina;
SELECT event_engine.publish_event('order.created', '{}') IS NOT NULL AS published;
SELECT event_engine.publish_event('invoice.paid', '{}');
RESET ROLE;
CALL event_engine.revoke_publish('(order|refund)\.created$', 'regress_gina', kind => 'regex');
SELECT event_engine.duties_of('regress_gina');
SET ROLE regress_gina;
SELECT event_engine.publish_event('order.created', '{}');
RESET ROLE;
SELECT event_engine.duties_of('regress_group');
CALL event_engine.revoke_duty('publisher', 'regress_group');
SELECT event_engine.duties_of('regress_group');
SELECT count(*) FROM event_engine.event_grants;

-- Only for a tenant: filled in where there is one, refused where it is another.
CALL event_engine.grant_publish('invoice.#', 'regress_gina', tenant => 'acme');
SET ROLE regress_gina;
SELECT event_engine.publish_event('invoice.paid', '{"n": 1}') IS NOT NULL AS published;
SELECT event_engine.publish_event('invoice.paid', '{"n": 2}', metadata => '{"traceId": "t", "tags": {"colour": "red"}}') IS NOT NULL AS published;
SELECT event_engine.publish_event('invoice.paid', '{"n": 3}', metadata => '{"tags": {"tenant": "acme"}}') IS NOT NULL AS published;
SELECT event_engine.publish_event('invoice.paid', '{}', metadata => '{"tags": {"tenant": "globex"}}');
SELECT event_engine.publish_event('invoice.paid', '{}', metadata => '{"tags": ["tenant"]}');
SELECT event_engine.publish_event('invoice.paid', '{}', metadata => '"tags"');
SELECT event_engine.publish_event('invoice.paid', '{"n": 4}', metadata => '{"tags": {"tenant": 4}}') IS NOT NULL AS published;
SELECT event_engine.publish_event('order.created', '{}', metadata => '{"tags": {"tenant": "acme"}}');
COPY event_engine.events (pattern, payload) FROM stdin;
invoice.paid	{"n": 5}
\.
COPY event_engine.events (pattern, payload, metadata) FROM stdin;
invoice.paid	{"n": 6}	{}
invoice.paid	{"n": 7}	{"tags": {"tenant": "globex"}}
\.
RESET ROLE;
SELECT payload -> 'n' AS n, event_engine.event_tenant(metadata) AS tenant, metadata -> 'tags' AS tags
FROM event_engine.events WHERE event_engine.event_tenant(metadata) IS NOT NULL ORDER BY seq;
CALL event_engine.grant_publish('invoice.paid', 'regress_gina', tenant => 'globex');
SET ROLE regress_gina;
SELECT event_engine.publish_event('invoice.paid', '{}');
SELECT event_engine.publish_event('invoice.paid', '{}', metadata => '{"tags": {"tenant": "initech"}}');
SELECT event_engine.publish_event('invoice.paid', '{}', metadata => '{"tags": {"tenant": "globex"}}') IS NOT NULL AS published;
SELECT event_engine.publish_event('invoice.created', '{}', metadata => '{"tags": {"tenant": "globex"}}');
RESET ROLE;
CALL event_engine.grant_duty('publisher', 'regress_gina');
SET ROLE regress_gina;
SELECT event_engine.publish_event('order.created', '{}', metadata => '{"tags": {"tenant": "initech"}}') IS NOT NULL AS published;
RESET ROLE;

-- An admin grants, and is no more than that.
CALL event_engine.grant_duty('admin', 'regress_admin');
SELECT event_engine.duties_of('regress_admin');
SET ROLE regress_admin;
SELECT event_engine.publish_event('order.created', '{}');
CALL event_engine.grant_duty('admin', 'regress_by_hand');
CALL event_engine.revoke_duty('admin', 'regress_by_hand');
CALL event_engine.grant_duty('operator', 'regress_by_hand');
CALL event_engine.revoke_duty('operator', 'regress_by_hand');
CALL event_engine.grant_publish('order.*', 'regress_by_hand');
INSERT INTO event_engine.event_grants (grantee, privilege, pattern, match, granted_by)
	VALUES ('regress_by_hand', 'publish', '#', '{"type": "wildcard", "value": "#"}', 'postgres');
SELECT pattern, granted_by FROM event_engine.list_grants('regress_by_hand');
SELECT event_engine.register_event_definition('order.shipped');
SET ROLE regress_by_hand;
SELECT event_engine.publish_event('order.shipped', '{}') IS NOT NULL AS published;
RESET ROLE;
SELECT privilege, pattern, kind, tenant FROM event_engine.list_grants('postgres');

-- What DROP OWNED leaves where the library is not preloaded is told, and lets
-- nobody publish; of a role that is no more it goes, and nobody inherits it.
CREATE ROLE regress_gone;
CALL event_engine.grant_publish('order.*', 'regress_gone');
CALL event_engine.grant_publish('invoice.*', 'regress_gone');
CALL event_engine.grant_unseal('invoice.*', 'regress_gone');
CALL event_engine.grant_duty('admin', 'regress_gone');
SET ROLE regress_gone;
CALL event_engine.grant_read('order.shipped', 'regress_by_hand');
RESET ROLE;
SELECT code, who FROM event_engine.doctor_rights();
\set VERBOSITY terse
DROP ROLE regress_gone;
\set VERBOSITY default
DROP OWNED BY regress_gone;
SELECT severity, code, what, who, cure FROM event_engine.doctor_rights() ORDER BY cure;
CALL event_engine.revoke_duty('unsealer', 'regress_gone');
DROP ROLE regress_gone;
CREATE ROLE regress_gone;
SELECT severity, code, what FROM event_engine.doctor() WHERE code LIKE 'grants%';
SELECT count(*) FROM event_engine.list_grants('regress_gone');
GRANT EXECUTE ON FUNCTION event_engine.publish_events(jsonb) TO regress_gone;
SET ROLE regress_gone;
SELECT event_engine.publish_events('[{"pattern": "order.created", "payload": {}}]');
RESET ROLE;
SELECT event_engine.run_maintenance();
SELECT code FROM event_engine.doctor() WHERE code LIKE 'grants%';
SELECT count(*) FROM event_engine.event_grants AS g WHERE NOT EXISTS (SELECT FROM pg_roles WHERE oid = g.grantee);
SELECT grantee, pattern, granted_by = current_user::regrole AS of_owner FROM event_engine.event_grants WHERE pattern = 'order.shipped';
SELECT task, object, outcome, events FROM event_engine.event_maintenance WHERE object = 'event_grants';

\set VERBOSITY terse
SET client_min_messages = error;
DROP OWNED BY regress_gone;
DROP ROLE regress_gone;
DROP OWNED BY regress_gina, regress_group, regress_member, regress_noinherit, regress_by_hand, regress_admin;
DROP ROLE regress_gina, regress_group, regress_member, regress_noinherit, regress_by_hand, regress_admin;
DROP EXTENSION event_engine;
CREATE EXTENSION event_engine;
