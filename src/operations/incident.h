/*
 * incident.h
 *	  Publish what processes have met: denied access, failed workers, ...
 */
#ifndef EE_INCIDENT_H
#define EE_INCIDENT_H

#include "postgres.h"

#include "delivery/unit.h"

/* When the library is preloaded: notice what is denied. */
extern void ee_incident_init(void);

/* The router: publish what has been written down; has started. */
extern void ee_incident_publish(const EeUnit *unit);
extern void ee_incident_started(const EeUnit *unit);
extern void ee_incident_stopped(const EeUnit *unit);

#endif							/* EE_INCIDENT_H */
