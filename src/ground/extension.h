/*
 * extension.h
 *	  Is the extension there, and where are its objects?
 */
#ifndef EE_EXTENSION_H
#define EE_EXTENSION_H

#include "postgres.h"

/* Relations of schema event_engine whose OIDs are remembered. */
typedef enum EeRelation
{
	EE_REL_EVENTS,
	EE_REL_EVENT_SEQ,
	EE_REL_EVENT_PARTITIONS,
	EE_REL_EVENT_KEYS,
	EE_REL_EVENT_LOG_STATE,
	EE_REL_EVENT_MILESTONES,
	EE_REL_EVENT_DEFINITIONS,
	EE_REL_EVENT_DEFINITION_VERSIONS,
	EE_REL_EVENT_SCHEMAS,
	EE_REL_EVENT_RULES,
	EE_REL_SUBSCRIPTIONS,
	EE_REL_SUBSCRIPTION_CURSORS,
	EE_REL_SUBSCRIPTION_CURSOR_MOVES,
	EE_REL_DELIVERIES,
	EE_REL_EVENT_LEASES,
	EE_REL_DELIVERY_COUNTS,
	EE_REL_EVENT_REPLAYS,
	EE_REL_EVENT_DEAD_LETTERS,
	EE_REL_EVENT_PROCESSING_LOG,
	EE_REL_WORKFLOW_DEFINITIONS,
	EE_REL_WORKFLOW_INSTANCES,
	EE_REL_WORKFLOW_WAITS,
	EE_REL_WORKFLOW_WAITS_KEY_IDX,
	EE_REL_WORKFLOW_WAITS_XID_IDX,
	EE_REL_WORKFLOW_WAIT_KEYS,
	EE_REL_WORKFLOW_STEPS,
	EE_REL_WORKFLOW_EVENT_TRIGGERS,
	EE_REL_WORKFLOW_LATE,
	EE_REL_WORKFLOW_POSTPONED_TRIGGERS,
	EE_REL_WORKFLOW_INSTANCES_PKEY,
	EE_REL_WORKFLOW_WAITS_INSTANCE_IDX,
	EE_REL_EVENT_RETENTION,
	EE_REL_EVENT_GRANTS,
	EE_REL_EVENT_SUBJECT_KEYS,
	EE_N_RELATIONS
} EeRelation;

/* How urgent an event is, in the order of the labels of event_priority. */
typedef enum EePriority
{
	EE_PRIORITY_CRITICAL,
	EE_PRIORITY_HIGH,
	EE_PRIORITY_NORMAL,
	EE_PRIORITY_LOW
} EePriority;

#define EE_N_PRIORITIES (EE_PRIORITY_LOW + 1)

/* OID of the extension in this database, or InvalidOid; needs a transaction. */
extern Oid	ee_extension_oid(void);

/* OID of its schema; raises an error when it is missing. */
extern Oid	ee_extension_schema(void);

#define EE_VERSION_NUMBER(major, minor, patch) \
	(((major) * 100 + (minor)) * 100 + (patch))

/*
 * Version of the extension in this database, "1.2.3".  A newer library works
 * with an older catalog, between its installation and ALTER EXTENSION UPDATE:
 * what a version has brought must not be touched in a database that does not
 * have it yet.  Ask for the relation where there is one, with
 * ee_extension_has(), and for the version (EE_VERSION_NUMBER) where it is a
 * column, a function or a type.  Both are remembered.
 */
extern const char *ee_extension_version(void);
extern bool ee_extension_is_at_least(int number);

/* OID of a relation; raises an error with a hint when it is missing. */
extern Oid	ee_extension_relid(EeRelation relation);

/* Is it there?  Not where the extension is of an older version. */
extern bool ee_extension_has(EeRelation relation);

/* OID of type event_engine.event, and of its array. */
extern Oid	ee_extension_event_type(void);
extern Oid	ee_extension_event_array_type(void);

/* OIDs of types event_engine.workflow_instance and workflow_resumption. */
extern Oid	ee_extension_workflow_instance_type(void);
extern Oid	ee_extension_workflow_resumption_type(void);

/* Labels of enum event_engine.event_priority, and their OIDs. */
extern Oid	ee_extension_priority(const char *label);
extern Oid	ee_extension_priority_oid(EePriority priority);
extern EePriority ee_extension_priority_of(Oid oid);
extern const char *ee_extension_priority_label(EePriority priority);

/* Is this one of our relations that a reader of configuration must watch? */
extern bool ee_extension_is_relation(Oid relid, EeRelation relation);

#endif							/* EE_EXTENSION_H */
