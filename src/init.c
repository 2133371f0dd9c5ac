/*
 * init.c
 *	  What happens when the library is loaded: settings, shared memory,
 *	  hooks, launcher, in that order.
 *
 * Loading never fails for want of shared_preload_libraries; what needs the
 * workers says so when it is called.
 */
#include "postgres.h"

#include "ground/compat.h"
#include "ground/config.h"

EE_MODULE_MAGIC("event_engine", EE_VERSION);

void
_PG_init(void)
{
	ee_config_init();
}
