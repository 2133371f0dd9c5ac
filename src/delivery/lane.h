/*
 * lane.h
 *	  The numbers of the lanes that a subscription is delivered through.
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

#include "ground/extension.h"

#define EE_LANES_PER_EPOCH	1024
#define EE_MAX_CONCURRENCY	64

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

#endif							/* EE_LANE_H */
