/*
 * extension.c
 *	  Is the extension there, and where are its objects?
 *
 * Promises that an OID is remembered for as long as it is right: DROP
 * EXTENSION and CREATE EXTENSION, in this session or another, committed or
 * rolled back, are noticed through invalidate.c.  That something is missing
 * is never remembered.
 *
 * A schema named event_engine that is not the extension's is not ours, and
 * nothing in it is ever touched.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "ground/errors.h"
#include "ground/extension.h"
#include "ground/invalidate.h"
#include "ground/library_version.h"

#define EXTENSION_NAME	"event_engine"
#define SCHEMA_NAME		"event_engine"
#define MAX_VERSION		32

typedef struct KnownRelation
{
	Oid			relid;
	uint64		generation;		/* of the relation, when looked up */
} KnownRelation;

static void refresh(void);
static void require_extension(void);
static int	version_number(void);
static Oid	lookup_type(const char *name);

static const char *const relation_names[EE_N_RELATIONS] = {
	[EE_REL_EVENTS] = "events",
	[EE_REL_EVENT_SEQ] = "event_seq",
	[EE_REL_EVENT_PARTITIONS] = "event_partitions",
	[EE_REL_EVENT_KEYS] = "event_keys",
	[EE_REL_EVENT_LOG_STATE] = "event_log_state",
	[EE_REL_EVENT_MILESTONES] = "event_milestones",
	[EE_REL_EVENT_DEFINITIONS] = "event_definitions",
	[EE_REL_EVENT_DEFINITION_VERSIONS] = "event_definition_versions",
	[EE_REL_EVENT_SCHEMAS] = "event_schemas",
	[EE_REL_EVENT_RULES] = "event_rules",
	[EE_REL_SUBSCRIPTIONS] = "subscriptions",
	[EE_REL_SUBSCRIPTION_CURSORS] = "subscription_cursors",
	[EE_REL_SUBSCRIPTION_CURSOR_MOVES] = "subscription_cursor_moves",
	[EE_REL_DELIVERIES] = "deliveries",
	[EE_REL_EVENT_LEASES] = "event_leases",
	[EE_REL_DELIVERY_COUNTS] = "delivery_counts",
	[EE_REL_EVENT_REPLAYS] = "event_replays",
	[EE_REL_EVENT_DEAD_LETTERS] = "event_dead_letters",
	[EE_REL_EVENT_PROCESSING_LOG] = "event_processing_log",
	[EE_REL_WORKFLOW_DEFINITIONS] = "workflow_definitions",
	[EE_REL_WORKFLOW_INSTANCES] = "workflow_instances",
	[EE_REL_WORKFLOW_WAITS] = "workflow_waits",
	[EE_REL_WORKFLOW_WAITS_KEY_IDX] = "workflow_waits_key_idx",
	[EE_REL_WORKFLOW_WAITS_XID_IDX] = "workflow_waits_xid_idx",
	[EE_REL_WORKFLOW_WAIT_KEYS] = "workflow_wait_keys",
	[EE_REL_WORKFLOW_STEPS] = "workflow_steps",
	[EE_REL_WORKFLOW_EVENT_TRIGGERS] = "workflow_event_triggers",
	[EE_REL_WORKFLOW_LATE] = "workflow_late",
	[EE_REL_WORKFLOW_POSTPONED_TRIGGERS] = "workflow_postponed_triggers",
	[EE_REL_WORKFLOW_INSTANCES_PKEY] = "workflow_instances_pkey",
	[EE_REL_WORKFLOW_WAITS_INSTANCE_IDX] = "workflow_waits_instance_id_idx",
	[EE_REL_EVENT_RETENTION] = "event_retention",
	[EE_REL_EVENT_GRANTS] = "event_grants",
	[EE_REL_EVENT_SUBJECT_KEYS] = "event_subject_keys",
};

static const char *const priority_labels[EE_N_PRIORITIES] = {
	[EE_PRIORITY_CRITICAL] = "critical",
	[EE_PRIORITY_HIGH] = "high",
	[EE_PRIORITY_NORMAL] = "normal",
	[EE_PRIORITY_LOW] = "low",
};

/*
 * What is remembered, under this value of ee_invalidate_objects_generation();
 * 0 when nothing is.  A relation's OID survives a change of the extension
 * here, so that changes of that relation are still noticed; its generation
 * is what tells whether it is right.
 */
static uint64 known_generation = 0;
static Oid	known_extension = InvalidOid;
static Oid	known_schema = InvalidOid;
static char known_version[MAX_VERSION] = "";
static int	known_version_number = 0;	/* 0: not looked up */
static Oid	known_event = InvalidOid;
static Oid	known_event_array = InvalidOid;
static Oid	known_workflow_instance = InvalidOid;
static Oid	known_workflow_resumption = InvalidOid;
static Oid	known_priorities[EE_N_PRIORITIES];
static KnownRelation known_relations[EE_N_RELATIONS];

Oid
ee_extension_oid(void)
{
	refresh();
	return known_extension;
}

Oid
ee_extension_schema(void)
{
	require_extension();
	return known_schema;
}

const char *
ee_extension_version(void)
{
	(void) version_number();
	return known_version;
}

bool
ee_extension_is_at_least(int number)
{
	return version_number() >= number;
}

Oid
ee_extension_relid(EeRelation relation)
{
	KnownRelation *known = &known_relations[relation];
	uint64		generation;
	Oid			relid;

	Assert(relation >= 0 && relation < EE_N_RELATIONS);

	if (likely(known->generation == ee_invalidate_generation(relation) &&
			   known_generation == ee_invalidate_objects_generation()))
		return known->relid;

	require_extension();

	/*
	 * The generation is taken first: a change that arrives during the lookup
	 * makes the next call look again.
	 */
	generation = ee_invalidate_generation(relation);
	relid = get_relname_relid(relation_names[relation], known_schema);
	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(EE_ERRCODE_VERSION_MISMATCH),
				 errmsg("relation \"%s.%s\" does not exist",
						SCHEMA_NAME, relation_names[relation]),
				 errdetail("The library is version %s, the extension in this database %s.",
						   ee_library_version, ee_extension_version()),
				 errhint("Run ALTER EXTENSION %s UPDATE.", EXTENSION_NAME)));
	known->relid = relid;
	known->generation = generation;

	return relid;
}

bool
ee_extension_has(EeRelation relation)
{
	const KnownRelation *known = &known_relations[relation];

	if (likely(known->generation == ee_invalidate_generation(relation) &&
			   known_generation == ee_invalidate_objects_generation()))
		return true;
	require_extension();
	return OidIsValid(get_relname_relid(relation_names[relation],
										known_schema));
}

Oid
ee_extension_event_type(void)
{
	require_extension();
	if (!OidIsValid(known_event))
		known_event = lookup_type("event");
	return known_event;
}

Oid
ee_extension_event_array_type(void)
{
	Oid			event = ee_extension_event_type();

	if (!OidIsValid(known_event_array))
	{
		known_event_array = get_array_type(event);
		if (!OidIsValid(known_event_array))
			elog(ERROR, "type %s.event has no array type", SCHEMA_NAME);
	}
	return known_event_array;
}

Oid
ee_extension_workflow_instance_type(void)
{
	require_extension();
	if (!OidIsValid(known_workflow_instance))
		known_workflow_instance = lookup_type("workflow_instance");
	return known_workflow_instance;
}

Oid
ee_extension_workflow_resumption_type(void)
{
	require_extension();
	if (!OidIsValid(known_workflow_resumption))
		known_workflow_resumption = lookup_type("workflow_resumption");
	return known_workflow_resumption;
}

Oid
ee_extension_priority(const char *label)
{
	for (int i = 0; i < EE_N_PRIORITIES; i++)
		if (strcmp(priority_labels[i], label) == 0)
			return ee_extension_priority_oid(i);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown priority \"%s\"", label),
			 errhint("A priority is one of critical, high, normal, low.")));
}

Oid
ee_extension_priority_oid(EePriority priority)
{
	Oid			type;

	require_extension();
	if (likely(OidIsValid(known_priorities[priority])))
		return known_priorities[priority];
	type = lookup_type("event_priority");
	for (int i = 0; i < EE_N_PRIORITIES; i++)
	{
		known_priorities[i] =
			GetSysCacheOid2(ENUMTYPOIDNAME, Anum_pg_enum_oid,
							ObjectIdGetDatum(type),
							CStringGetDatum(priority_labels[i]));
		if (!OidIsValid(known_priorities[i]))
			elog(ERROR, "type %s.event_priority has no label \"%s\"",
				 SCHEMA_NAME, priority_labels[i]);
	}
	return known_priorities[priority];
}

EePriority
ee_extension_priority_of(Oid oid)
{
	/* nearly all are */
	if (likely(oid == ee_extension_priority_oid(EE_PRIORITY_NORMAL)))
		return EE_PRIORITY_NORMAL;
	for (int i = 0; i < EE_N_PRIORITIES; i++)
		if (known_priorities[i] == oid)
			return i;
	elog(ERROR, "%u is no priority", oid);
}

const char *
ee_extension_priority_label(EePriority priority)
{
	return priority_labels[priority];
}

/* Called by callbacks: looks at what is remembered and nowhere else. */
bool
ee_extension_is_relation(Oid relid, EeRelation relation)
{
	return OidIsValid(relid) && known_relations[relation].relid == relid;
}

/*
 * Make what is remembered right: look for the extension and its schema if
 * they may have changed since.  Leaves known_extension invalid when there is
 * none.
 */
static void
refresh(void)
{
	uint64		generation;
	Oid			extension;
	Oid			schema;

	Assert(IsTransactionState());

	ee_invalidate_init();
	generation = ee_invalidate_objects_generation();
	if (known_generation == generation && OidIsValid(known_extension))
		return;

	known_generation = 0;
	known_extension = InvalidOid;
	known_schema = InvalidOid;
	known_version_number = 0;
	known_event = InvalidOid;
	known_event_array = InvalidOid;
	known_workflow_instance = InvalidOid;
	known_workflow_resumption = InvalidOid;
	memset(known_priorities, 0, sizeof(known_priorities));

	extension = get_extension_oid(EXTENSION_NAME, true);
	if (!OidIsValid(extension))
		return;
	schema = get_namespace_oid(SCHEMA_NAME, true);
	if (!OidIsValid(schema) ||
		getExtensionOfObject(NamespaceRelationId, schema) != extension)
		return;

	ee_invalidate_watch_schema(GetSysCacheHashValue1(NAMESPACEOID,
													 ObjectIdGetDatum(schema)));
	known_extension = extension;
	known_schema = schema;
	known_generation = generation;
}

static void
require_extension(void)
{
	refresh();
	if (!OidIsValid(known_extension))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"%s\" is not installed in this database",
						EXTENSION_NAME),
				 errhint("Run CREATE EXTENSION %s.", EXTENSION_NAME)));
}

/*
 * From pg_extension.  While an update runs it says what is not yet so, and what
 * a rollback takes back.
 */
static int
version_number(void)
{
	Relation	relation;
	ScanKeyData key[1];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		isnull;
	int			major = 0;
	int			minor = 0;
	int			patch = 0;

	require_extension();
	if (likely(known_version_number != 0))
		return known_version_number;

	relation = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyInit(&key[0], Anum_pg_extension_oid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(known_extension));
	scan = systable_beginscan(relation, ExtensionOidIndexId, true, NULL, 1,
							  key);
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "extension is not in pg_extension");
	strlcpy(known_version,
			TextDatumGetCString(heap_getattr(tuple,
											 Anum_pg_extension_extversion,
											 RelationGetDescr(relation),
											 &isnull)),
			MAX_VERSION);
	systable_endscan(scan);
	table_close(relation, AccessShareLock);

	(void) sscanf(known_version, "%d.%d.%d", &major, &minor, &patch);
	if (!creating_extension)
		known_version_number = EE_VERSION_NUMBER(major, minor, patch);
	return EE_VERSION_NUMBER(major, minor, patch);
}

static Oid
lookup_type(const char *name)
{
	Oid			oid = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
									  CStringGetDatum(name),
									  ObjectIdGetDatum(known_schema));

	if (!OidIsValid(oid))
		ereport(ERROR,
				(errcode(EE_ERRCODE_VERSION_MISMATCH),
				 errmsg("type \"%s.%s\" does not exist", SCHEMA_NAME, name),
				 errhint("Run ALTER EXTENSION %s UPDATE.", EXTENSION_NAME)));
	return oid;
}
