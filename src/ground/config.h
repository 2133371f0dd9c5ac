/*
 * config.h
 *	  Settings (GUCs event_engine.*).
 */
#ifndef EE_CONFIG_H
#define EE_CONFIG_H

#include "postgres.h"

#include <math.h>

/* registry */
extern bool ee_config_registry_allow_draft;
extern bool ee_config_registry_strict_schemas;

/* validation */
extern bool ee_config_validation_enabled;
extern bool ee_config_validation_assert_formats;
extern bool ee_config_validation_assert_content;
extern int	ee_config_validation_schema_cache;	/* kilobytes */

/* store */
extern int	ee_config_store_max_payload;	/* kilobytes */
extern int	ee_config_store_partition_period;	/* enum EePartitionPeriod */
extern int	ee_config_store_partitions_ahead;
extern int	ee_config_store_deduplication_window;	/* seconds */
/* workflow_events */
typedef enum EeWorkflowEvents
{
	EE_WORKFLOW_EVENTS_NONE,
	EE_WORKFLOW_EVENTS_SUBSCRIBED,
	EE_WORKFLOW_EVENTS_ALL
} EeWorkflowEvents;

extern int	ee_config_workflow_events;

extern int	ee_config_store_gin_indexes;	/* enum EeGinIndexes */
extern int	ee_config_store_hop_limit;
extern double ee_config_store_publish_rate_limit;	/* events a second; 0: any */
extern double ee_config_store_publish_rate_burst;	/* 0: of 100 ms */
extern int	ee_config_store_publish_rate_action;	/* enum EeRateAction */
extern int	ee_config_store_max_queue_depth;	/* 0: none */
extern int	ee_config_store_high_watermark; /* 0: 80 % of that */
extern int	ee_config_store_backpressure;	/* enum EeBackpressure */
extern char *ee_config_store_key_file;	/* "": keys are not wrapped */

/* delivery */
extern bool ee_config_delivery_enabled;
extern int	ee_config_delivery_poll_interval;	/* milliseconds */
extern int	ee_config_delivery_batch_time;	/* milliseconds */
extern int	ee_config_delivery_receive_wait;	/* milliseconds */
extern int	ee_config_delivery_position_interval;	/* milliseconds */
extern bool ee_config_delivery_immediate;
extern int	ee_config_delivery_shared_subscriptions;

/* operations */
extern int	ee_config_operations_counted_patterns;
extern int	ee_config_operations_retention; /* seconds; 0: for ever */
extern int	ee_config_operations_retention_limit;	/* seconds; 0: none */
extern int	ee_config_operations_dead_letter_retention; /* seconds; 0: for
														 * ever */
extern int	ee_config_operations_log_retention; /* seconds; 0: for ever */
extern int	ee_config_workflow_retention;	/* seconds; 0: for ever */
extern char *ee_config_operations_archive_directory;

/* worker */
extern int	ee_config_worker_slots;
extern int	ee_config_worker_launch_interval;	/* milliseconds */
extern int	ee_config_worker_executors_per_role;
extern int	ee_config_worker_idle_timeout;	/* milliseconds */
extern int	ee_config_worker_help_after;	/* milliseconds */
extern int	ee_config_worker_helpers_per_role;

typedef enum EePartitionPeriod
{
	EE_PERIOD_HOUR,
	EE_PERIOD_DAY,
	EE_PERIOD_WEEK,
	EE_PERIOD_MONTH
} EePartitionPeriod;

typedef enum EeGinIndexes
{
	EE_GIN_OFF,					/* never */
	EE_GIN_SEALED,				/* once a partition takes no more rows */
	EE_GIN_IMMEDIATE			/* from its first row on */
} EeGinIndexes;

typedef enum EeRateAction
{
	EE_RATE_REFUSE,
	EE_RATE_DELAY
} EeRateAction;

/* what publishers meet when the queue gets too long */
typedef enum EeBackpressure
{
	EE_BACKPRESSURE_OFF,
	EE_BACKPRESSURE_DELAY,
	EE_BACKPRESSURE_REFUSE
} EeBackpressure;

extern void ee_config_init(void);

/* The depth above which the queue is long; 0: none. */
static inline int
ee_config_high_watermark(void)
{
	return ee_config_store_high_watermark > 0 ? ee_config_store_high_watermark :
		(int) ceil(ee_config_store_max_queue_depth * 0.8);
}

#endif							/* EE_CONFIG_H */
