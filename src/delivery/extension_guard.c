/*
 * extension_guard.c
 *	  A handler keeps the extension that calls it.
 *
 * What comes of a handler is written down when it has returned.  One that
 * drops the extension, or updates it, would leave nothing to write that into,
 * be rolled back, and be called again as if it had never been.
 */
#include "postgres.h"

#include "catalog/objectaccess.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"

#include "delivery/extension_guard.h"
#include "delivery/handler.h"

static object_access_hook_type next_hook = NULL;

static void object_access(ObjectAccessType access, Oid class_id,
						  Oid object_id, int sub_id, void *arg);
static bool is_ours(Oid extension);

void
ee_extension_guard_init(void)
{
	next_hook = object_access_hook;
	object_access_hook = object_access;
}

static void
object_access(ObjectAccessType access, Oid class_id, Oid object_id,
			  int sub_id, void *arg)
{
	if (next_hook != NULL)
		next_hook(access, class_id, object_id, sub_id, arg);
	if (class_id == ExtensionRelationId &&
		(access == OAT_DROP || access == OAT_POST_ALTER) &&
		ee_handler_running() && is_ours(object_id))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("extension \"event_engine\" cannot be dropped or updated by a handler")));
}

/* By name: what belongs to it may be gone already. */
static bool
is_ours(Oid extension)
{
	char	   *name = get_extension_name(extension);

	return name != NULL && strcmp(name, "event_engine") == 0;
}
