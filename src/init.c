/*
 * init.c
 *	  What happens when the library is loaded: settings, shared memory,
 *	  hooks, launcher, in that order.
 *
 * Loading never fails for want of shared_preload_libraries; what needs the
 * workers says so when it is called.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "delivery/extension_guard.h"
#include "delivery/immediate.h"
#include "ground/compat.h"
#include "ground/config.h"
#include "ground/debug_point.h"
#include "ground/handler_guard.h"
#include "ground/shared.h"
#include "operations/incident.h"
#include "worker/utility_hook.h"
#include "worker/worker_main.h"
#include "workflow/dispatch.h"

EE_MODULE_MAGIC("event_engine", EE_VERSION);

void
_PG_init(void)
{
	ee_debug_point_init();
	ee_config_init();
	ee_shared_init();
	ee_handler_guard_init();
	ee_extension_guard_init();
	ee_immediate_init();
	ee_dispatch_init();
	if (!process_shared_preload_libraries_in_progress)
		return;
	ee_utility_hook_init();
	ee_incident_init();
	/* pg_upgrade must find nobody at work */
	if (!IsBinaryUpgrade)
		ee_worker_register_launcher();
}
