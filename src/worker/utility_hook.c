/*
 * utility_hook.c
 *	  Step aside for statements on whole databases.
 *
 * DROP DATABASE, ALTER DATABASE ... RENAME or SET TABLESPACE, and CREATE
 * DATABASE ... TEMPLATE refuse to work on a database that somebody is
 * connected to.  Our workers are ended first, and kept out until the
 * statement is over.
 *
 * DROP EXTENSION takes first what publishers take first, so that the two do
 * not run into a deadlock.
 *
 * DROP OWNED and DROP ROLE take what the roles have been granted on events.
 *
 * And tell of what a prepared transaction published, as nobody else does.
 */
#include "postgres.h"

#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/acl.h"

#include "ground/compat.h"
#include "ground/extension.h"
#include "ground/shared.h"
#include "operations/role_grants.h"
#include "worker/utility_hook.h"

static ProcessUtility_hook_type next_hook = NULL;

static void process_utility(PlannedStmt *pstmt, const char *query,
							bool read_only_tree, ProcessUtilityContext context,
							ParamListInfo params, QueryEnvironment *env,
							DestReceiver *dest, QueryCompletion *completion);
static void lock_for_drop(Node *statement);
static List *roles_of(Node *statement);
static const char *database_of(Node *statement);
static const char *option(List *options, const char *name);

void
ee_utility_hook_init(void)
{
	next_hook = ProcessUtility_hook ? ProcessUtility_hook :
		standard_ProcessUtility;
	ProcessUtility_hook = process_utility;
}

static void
process_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *env, DestReceiver *dest,
				QueryCompletion *completion)
{
	const char *name = ee_shared_available() ?
		database_of(pstmt->utilityStmt) : NULL;
	Oid			dbid = name ? get_database_oid(name, true) : InvalidOid;

	/* who may not do it will be told so, and does not end our workers */
	if (!OidIsValid(dbid) || !ee_owns_database(dbid, GetUserId()))
	{
		bool		commits = IsA(pstmt->utilityStmt, TransactionStmt) &&
			((TransactionStmt *) pstmt->utilityStmt)->kind ==
			TRANS_STMT_COMMIT_PREPARED;

		List	   *roles = roles_of(pstmt->utilityStmt);

		lock_for_drop(pstmt->utilityStmt);
		next_hook(pstmt, query, read_only_tree, context, params, env, dest,
				  completion);
		if (roles != NIL)
			ee_role_grants_drop(roles);
		if (commits)
			ee_shared_note_prepared();
		return;
	}
	PG_TRY();
	{
		ee_shared_hold_database(dbid);
		next_hook(pstmt, query, read_only_tree, context, params, env, dest,
				  completion);
	}
	PG_FINALLY();
	{
		ee_shared_release_database(dbid);
	}
	PG_END_TRY();
}

/*
 * Workers lock the extension before anything else, publishers event_keys and
 * then the log.
 */
static void
lock_for_drop(Node *statement)
{
	DropStmt   *drop = (DropStmt *) statement;
	ListCell   *lc;

	if (!IsA(statement, DropStmt) || drop->removeType != OBJECT_EXTENSION)
		return;
	foreach(lc, drop->objects)
	{
		Oid			oid;

		if (strcmp(strVal(lfirst(lc)), "event_engine") != 0)
			continue;
		oid = ee_extension_oid();
		if (!OidIsValid(oid) || !ee_owns_extension(oid, GetUserId()))
			continue;
		LockDatabaseObject(ExtensionRelationId, oid, 0, AccessExclusiveLock);
		if (ee_extension_oid() != oid)
			continue;
		LockRelationOid(ee_extension_relid(EE_REL_EVENT_KEYS),
						AccessExclusiveLock);
		LockRelationOid(ee_extension_relid(EE_REL_EVENTS),
						AccessExclusiveLock);
	}
}

/* The roles whose grants go with the statement, as they are before it. */
static List *
roles_of(Node *statement)
{
	List	   *named = NIL;
	List	   *roles = NIL;
	ListCell   *lc;

	if (IsA(statement, DropOwnedStmt))
		named = ((DropOwnedStmt *) statement)->roles;
	else if (IsA(statement, DropRoleStmt))
		named = ((DropRoleStmt *) statement)->roles;
	foreach(lc, named)
	{
		Oid			role = get_rolespec_oid(lfirst(lc), true);

		if (OidIsValid(role))
			roles = lappend_oid(roles, role);
	}
	return roles;
}

/* The database that the statement wants for itself, or NULL. */
static const char *
database_of(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_DropdbStmt:
			return ((DropdbStmt *) statement)->dbname;
		case T_RenameStmt:
			if (((RenameStmt *) statement)->renameType == OBJECT_DATABASE)
				return ((RenameStmt *) statement)->subname;
			return NULL;
		case T_AlterDatabaseStmt:
			if (option(((AlterDatabaseStmt *) statement)->options,
					   "tablespace") != NULL)
				return ((AlterDatabaseStmt *) statement)->dbname;
			return NULL;
		case T_CreatedbStmt:
			return option(((CreatedbStmt *) statement)->options, "template");
		default:
			return NULL;
	}
}

static const char *
option(List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *element = lfirst(lc);

		if (strcmp(element->defname, name) == 0 && element->arg != NULL)
			return defGetString(element);
	}
	return NULL;
}
