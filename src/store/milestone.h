/*
 * milestone.h
 *	  Positions of the log by time.
 */
#ifndef EE_MILESTONE_H
#define EE_MILESTONE_H

#include "postgres.h"

/* Write down the position of the active snapshot. */
extern void ee_milestone_store(void);

/* Have any of these transactions published? */
extern bool ee_milestone_published(uint64 *xids, int n);

#endif							/* EE_MILESTONE_H */
