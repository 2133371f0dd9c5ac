/*
 * shared_incident.c
 *	  What a process has met and cannot publish itself.
 *
 * A transaction that is refused something rolls back, and what an executor
 * learns between two transactions belongs to none; so the router publishes
 * it, a moment later.  What it has not taken when the server ends is lost;
 * the server's log has it all.
 */
#include "postgres.h"

#include <netdb.h>

#include "common/ip.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/proc.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "ground/identity.h"
#include "ground/shared_incident.h"
#include "ground/shared_internal.h"

/* All under the lock, but for the atomic. */
typedef struct Incidents
{
	LWLock	   *lock;			/* written once, at start */
	pg_atomic_uint32 missed;
	EeIncident	ring[EE_INCIDENTS];
} Incidents;

static Incidents *incidents = NULL;

static void client_address(char *to, Size size);
static void clip(char *to, Size size, const char *from);

Size
ee_shared_incident_size(void)
{
	return sizeof(Incidents);
}

void
ee_shared_incident_startup(void *memory, bool found, LWLock *lock)
{
	incidents = memory;
	if (found)
		return;
	memset(incidents, 0, sizeof(Incidents));
	incidents->lock = lock;
	pg_atomic_init_u32(&incidents->missed, 0);
}

void
ee_shared_incident_note(EeIncidentKind kind, const char *text, int64 number)
{
	EeDatabaseSlot *slot;
	EeIncident *room = NULL;
	EeIncident	incident = {0};

	/* without a router nobody would take it */
	if (incidents == NULL || !OidIsValid(MyDatabaseId))
		return;
	incident.dbid = MyDatabaseId;
	incident.kind = kind;
	incident.count = 1;
	incident.at = GetCurrentTimestamp();
	incident.number = number;
	incident.session = GetSessionUserId();
	incident.role = ee_identity_caller();
	incident.pid = MyProcPid;
	clip(incident.application, NAMEDATALEN, application_name);
	client_address(incident.client, NAMEDATALEN);
	clip(incident.text, EE_INCIDENT_TEXT, text);

	if (!LWLockConditionalAcquire(incidents->lock, LW_EXCLUSIVE))
	{
		/* the error may have been raised under it, or on the way out */
		if (MyProc == NULL || LWLockHeldByMe(incidents->lock))
		{
			pg_atomic_fetch_add_u32(&incidents->missed, 1);
			return;
		}
		/* for a moment: whoever holds it waits for nothing */
		LWLockAcquire(incidents->lock, LW_EXCLUSIVE);
	}
	for (int i = 0; i < EE_INCIDENTS; i++)
	{
		EeIncident *other = &incidents->ring[i];

		if (!OidIsValid(other->dbid))
			room = room == NULL ? other : room;
		else if (other->dbid == incident.dbid && other->kind == kind &&
				 other->session == incident.session &&
				 other->role == incident.role &&
				 kind != EE_INCIDENT_CIRCUIT_OPENED &&
				 kind != EE_INCIDENT_CIRCUIT_CLOSED &&
				 strcmp(other->text, incident.text) == 0)
		{
			other->count++;
			LWLockRelease(incidents->lock);
			return;
		}
	}
	if (room != NULL)
		*room = incident;
	else
		pg_atomic_fetch_add_u32(&incidents->missed, 1);
	LWLockRelease(incidents->lock);
	slot = ee_shared_my_database();
	if (slot != NULL)
		ee_shared_set_latch(pg_atomic_read_u32(&slot->procno));
}

/* Empty for who is no client, or comes by a socket of this machine. */
static void
client_address(char *to, Size size)
{
	SockAddr   *address = MyBEEntry != NULL ? &MyBEEntry->st_clientaddr : NULL;

	if (address == NULL || (address->addr.ss_family != AF_INET &&
							address->addr.ss_family != AF_INET6) ||
		pg_getnameinfo_all(&address->addr, address->salen, to, size, NULL, 0,
						   NI_NUMERICHOST) != 0)
		to[0] = '\0';
}

static void
clip(char *to, Size size, const char *from)
{
	int			len;

	if (from == NULL)
		return;
	len = pg_mbcliplen(from, strlen(from), size - 1);
	memcpy(to, from, len);
	to[len] = '\0';
}

bool
ee_shared_incident_take(EeIncident *incident)
{
	EeIncident *oldest = NULL;

	if (incidents == NULL)
		return false;
	LWLockAcquire(incidents->lock, LW_EXCLUSIVE);
	for (int i = 0; i < EE_INCIDENTS; i++)
	{
		EeIncident *one = &incidents->ring[i];

		if (one->dbid == MyDatabaseId &&
			(oldest == NULL || one->at < oldest->at))
			oldest = one;
	}
	if (oldest != NULL)
	{
		*incident = *oldest;
		oldest->dbid = InvalidOid;
	}
	LWLockRelease(incidents->lock);
	return oldest != NULL;
}

uint32
ee_shared_incident_missed(void)
{
	return incidents == NULL ? 0 :
		pg_atomic_exchange_u32(&incidents->missed, 0);
}
