/*
 * lane.h
 *	  The lanes that a subscription is delivered through.
 *
 * A lane is a cursor of its own over the same log; each event belongs to one
 * lane of a subscription.  Lanes are numbered by class (critical to low) and
 * index (the partition key's, below the subscription's concurrency); a change
 * of the rule that assigns events to lanes begins a new epoch with lanes of
 * its own.
 *
 *		lane = epoch * EE_LANES_PER_EPOCH + index * EE_N_PRIORITIES + class
 *
 * The last lane of an epoch is its origin: no event belongs to it, and it
 * says where lanes begin that have not moved yet.
 */
#ifndef EE_LANE_H
#define EE_LANE_H

#include "postgres.h"

#include "executor/tuptable.h"

#include "ground/envelope.h"
#include "ground/extension.h"
#include "routing/subscription.h"

#define EE_LANES_PER_EPOCH	1024
#define EE_MAX_CONCURRENCY	64

/* The first of the parts of a lock that are of executors, not of lanes. */
#define EE_LOCK_MEMBERS		(EE_LANES_PER_EPOCH + 1)

/* Lanes of a class get one turn in so many where more urgent ones have work. */
#define EE_LOW_SHARE	8

static inline int32
ee_lane_number(int32 epoch, int index, EePriority class)
{
	return epoch * EE_LANES_PER_EPOCH + index * EE_N_PRIORITIES + class;
}

static inline int32
ee_lane_epoch(int32 lane)
{
	return lane / EE_LANES_PER_EPOCH;
}

/* Its number within the epoch. */
static inline int
ee_lane_local(int32 lane)
{
	return lane % EE_LANES_PER_EPOCH;
}

static inline int32
ee_lane_origin(int32 epoch)
{
	return epoch * EE_LANES_PER_EPOCH + EE_LANES_PER_EPOCH - 1;
}

/* A lane, and what is needed to tell which events belong to it. */
typedef struct EeLane
{
	int32		number;
	int			index;
	EePriority	class;
	uint32		classes;		/* those it takes, a bit each */
	Oid			normal;			/* as which nearly all events come */
	int			concurrency;
	bool		ordered;		/* events with a key are of class normal */
} EeLane;

/* A lane of the subscription's running epoch. */
extern EeLane ee_lane_of(const EeSubscription *subscription, int index,
						 EePriority class);

/*
 * How many executors a role is to have, of the subscriptions given, and which
 * of them delivers a lane.
 */
extern int	ee_lane_members(List *subscriptions, Oid owner);
extern int	ee_lane_member(const EeSubscription *subscription, int index,
						   int members);

/* Are there lanes of this class? */
extern bool ee_lane_class_exists(const EeSubscription *subscription,
								 EePriority class);

/* Does the event in this slot of the log belong to the lane? */
extern bool ee_lane_takes(const EeLane *lane, TupleTableSlot *slot);

/* The lane of the running epoch that takes an event. */
extern int32 ee_lane_for(const EeSubscription *subscription,
						 const EeEvent *event);

#endif							/* EE_LANE_H */
