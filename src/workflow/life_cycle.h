/*
 * life_cycle.h
 *	  Events about workflows: workflow.started, workflow.completed, ..., and
 *	  about the runs of their steps: task.started, task.completed, ...
 */
#ifndef EE_LIFE_CYCLE_H
#define EE_LIFE_CYCLE_H

#include "postgres.h"

#include "utils/jsonb.h"

#include "workflow/instance.h"
#include "workflow/step_log.h"

/* An instance has been started. */
extern void ee_life_cycle_started(const EeInstance *instance);

/* A step was taken, or something else was written into its history. */
extern void ee_life_cycle_step(const EeInstance *instance,
							   const EeStepRecord *record);

/* How far the step has come that is being taken. */
extern void ee_life_cycle_progress(const EeInstance *instance,
								   Jsonb *progress);

/* The source of what a workflow publishes: {"type": "workflow", ...}. */
extern Jsonb *ee_life_cycle_source(const EeInstance *instance);

#endif							/* EE_LIFE_CYCLE_H */
