/*
 * config.c
 *	  Settings (GUCs event_engine.*), in the order of the rooms.
 *
 * Each has a paragraph in docs/settings.md; a check compares the two.
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/guc.h"

#include "ground/config.h"

bool		ee_config_registry_allow_draft = false;
bool		ee_config_registry_strict_schemas = false;
bool		ee_config_validation_enabled = true;
bool		ee_config_validation_assert_formats = true;
bool		ee_config_validation_assert_content = false;
int			ee_config_validation_schema_cache = 16 * 1024;
int			ee_config_store_max_payload = 1024;
int			ee_config_store_partition_period = EE_PERIOD_DAY;
int			ee_config_store_partitions_ahead = 3;
int			ee_config_store_deduplication_window = 7 * 24 * 60 * 60;
int			ee_config_store_gin_indexes = EE_GIN_SEALED;
int			ee_config_workflow_events = EE_WORKFLOW_EVENTS_SUBSCRIBED;
int			ee_config_store_hop_limit = 32;
double		ee_config_store_publish_rate_limit = 0;
double		ee_config_store_publish_rate_burst = 0;
int			ee_config_store_publish_rate_action = EE_RATE_REFUSE;
int			ee_config_store_max_queue_depth = 0;
int			ee_config_store_high_watermark = 0;
int			ee_config_store_backpressure = EE_BACKPRESSURE_OFF;
char	   *ee_config_store_key_file = NULL;
bool		ee_config_delivery_enabled = true;
int			ee_config_delivery_poll_interval = 5000;
int			ee_config_delivery_batch_time = 200;
int			ee_config_delivery_receive_wait = 20;
int			ee_config_delivery_position_interval = 600000;
bool		ee_config_delivery_immediate = false;
int			ee_config_delivery_shared_subscriptions = 4096;
int			ee_config_operations_counted_patterns = 2000;
int			ee_config_operations_retention = 0;
int			ee_config_operations_retention_limit = 0;
int			ee_config_operations_dead_letter_retention = 0;
int			ee_config_operations_log_retention = 0;
int			ee_config_workflow_retention = 0;
char	   *ee_config_operations_archive_directory = NULL;
int			ee_config_worker_slots = 32;
int			ee_config_worker_launch_interval = 10000;
int			ee_config_worker_executors_per_role = 4;
int			ee_config_worker_idle_timeout = 60000;
int			ee_config_worker_help_after = 1000;
int			ee_config_worker_helpers_per_role = 2;

static const struct config_enum_entry partition_periods[] = {
	{"hour", EE_PERIOD_HOUR, false},
	{"day", EE_PERIOD_DAY, false},
	{"week", EE_PERIOD_WEEK, false},
	{"month", EE_PERIOD_MONTH, false},
	{NULL, 0, false}
};

static const struct config_enum_entry workflow_events[] = {
	{"none", EE_WORKFLOW_EVENTS_NONE, false},
	{"subscribed", EE_WORKFLOW_EVENTS_SUBSCRIBED, false},
	{"all", EE_WORKFLOW_EVENTS_ALL, false},
	{NULL, 0, false}
};

static const struct config_enum_entry gin_indexes[] = {
	{"off", EE_GIN_OFF, false},
	{"sealed", EE_GIN_SEALED, false},
	{"immediate", EE_GIN_IMMEDIATE, false},
	{NULL, 0, false}
};

static const struct config_enum_entry rate_actions[] = {
	{"refuse", EE_RATE_REFUSE, false},
	{"delay", EE_RATE_DELAY, false},
	{NULL, 0, false}
};

static const struct config_enum_entry backpressures[] = {
	{"off", EE_BACKPRESSURE_OFF, false},
	{"delay", EE_BACKPRESSURE_DELAY, false},
	{"refuse", EE_BACKPRESSURE_REFUSE, false},
	{NULL, 0, false}
};

static void define_registry(void);
static void define_validation(void);
static void define_store(void);
static void define_admission(void);
static void define_delivery(void);
static void define_operations(void);
static void define_worker(void);

void
ee_config_init(void)
{
	define_registry();
	define_validation();
	define_store();
	define_admission();
	define_delivery();
	define_operations();
	define_worker();
	MarkGUCPrefixReserved("event_engine");
}

static void
define_registry(void)
{
	DefineCustomBoolVariable("event_engine.registry_allow_draft",
							 "Allows publishing under a definition that is a draft.",
							 NULL,
							 &ee_config_registry_allow_draft,
							 false,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("event_engine.registry_strict_schemas",
							 "Refuses payload schemas with keywords or formats that are not known.",
							 "Looked at when a definition is registered or updated.",
							 &ee_config_registry_strict_schemas,
							 false,
							 PGC_USERSET, 0, NULL, NULL, NULL);
}

static void
define_validation(void)
{
	DefineCustomBoolVariable("event_engine.validation_enabled",
							 "Validates payloads when they are published.",
							 "Turn off only to load events that were validated elsewhere.",
							 &ee_config_validation_enabled,
							 true,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("event_engine.validation_assert_formats",
							 "Treats \"format\" as an assertion for registered events.",
							 NULL,
							 &ee_config_validation_assert_formats,
							 true,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("event_engine.validation_assert_content",
							 "Treats \"contentEncoding\" and \"contentMediaType\" as assertions for registered events.",
							 NULL,
							 &ee_config_validation_assert_content,
							 false,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("event_engine.validation_schema_cache",
							"Memory of a session for the schemas that jsonschema_is_valid and its like have compiled.",
							"What was used longest ago goes first; the latest always stays.",
							&ee_config_validation_schema_cache,
							16 * 1024, 0, 1024 * 1024,
							PGC_USERSET, GUC_UNIT_KB, NULL, NULL, NULL);
}

static void
define_store(void)
{
	DefineCustomIntVariable("event_engine.store_max_payload",
							"Largest payload accepted, as stored in jsonb.",
							NULL,
							&ee_config_store_max_payload,
							1024, 1, 1024 * 1024,
							PGC_SUSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomEnumVariable("event_engine.store_partition_period",
							 "Length of a partition of the log.",
							 "Partitions that exist keep their bounds.",
							 &ee_config_store_partition_period,
							 EE_PERIOD_DAY, partition_periods,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("event_engine.store_partitions_ahead",
							"Number of partitions made before they are needed.",
							NULL,
							&ee_config_store_partitions_ahead,
							3, 1, 100,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("event_engine.store_deduplication_window",
							"How long an event_id counts as seen.",
							NULL,
							&ee_config_store_deduplication_window,
							7 * 24 * 60 * 60, 1, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomEnumVariable("event_engine.workflow_events",
							 "Which events about workflows are published.",
							 "\"subscribed\" publishes those that a subscription may want.",
							 &ee_config_workflow_events,
							 EE_WORKFLOW_EVENTS_SUBSCRIBED, workflow_events,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("event_engine.store_gin_indexes",
							 "When a partition gets GIN indexes on source and metadata.",
							 "\"sealed\" makes them once no event can be added, which costs publishers nothing.",
							 &ee_config_store_gin_indexes,
							 EE_GIN_SEALED, gin_indexes,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("event_engine.store_hop_limit",
							"How many handlers in a row may publish because of one another.",
							"Breaks loops of handlers that publish what they subscribe to.",
							&ee_config_store_hop_limit,
							32, 1, 10000,
							PGC_SUSET, 0, NULL, NULL, NULL);
}

static void
define_admission(void)
{
	DefineCustomRealVariable("event_engine.store_publish_rate_limit",
							 "Events a second that a role may publish; 0: any number.",
							 "Counted over all sessions that the role has logged in to.",
							 &ee_config_store_publish_rate_limit,
							 0, 0, 1000000,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomRealVariable("event_engine.store_publish_rate_burst",
							 "Events that a role may publish at once; 0: those of 100 ms.",
							 NULL,
							 &ee_config_store_publish_rate_burst,
							 0, 0, 1000000,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("event_engine.store_publish_rate_action",
							 "What becomes of events above the rate of their publisher.",
							 NULL,
							 &ee_config_store_publish_rate_action,
							 EE_RATE_REFUSE, rate_actions,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("event_engine.store_max_queue_depth",
							"Events that may wait for the slowest subscription; 0: any number.",
							NULL,
							&ee_config_store_max_queue_depth,
							0, 0, INT_MAX,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("event_engine.store_high_watermark",
							"Events waiting above which the queue counts as long; 0: 80 % of the limit.",
							NULL,
							&ee_config_store_high_watermark,
							0, 0, INT_MAX,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("event_engine.store_backpressure",
							 "What publishers meet when the queue is long or full.",
							 "Critical events are exempt, and what handlers publish.",
							 &ee_config_store_backpressure,
							 EE_BACKPRESSURE_OFF, backpressures,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("event_engine.store_key_file",
							   "File outside of the data directory with the key that keys of subjects are encrypted with.",
							   "A line of 64 hexadecimal digits for each key; the first one is used for new keys.",
							   &ee_config_store_key_file,
							   "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY,
							   NULL, NULL, NULL);
}

static void
define_delivery(void)
{
	DefineCustomBoolVariable("event_engine.delivery_enabled",
							 "Lets background workers deliver events.",
							 NULL,
							 &ee_config_delivery_enabled,
							 true,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("event_engine.delivery_position_interval",
							"How often positions in the log are stored of subscriptions to which nothing is delivered.",
							NULL,
							&ee_config_delivery_position_interval,
							600000, 100, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("event_engine.delivery_poll_interval",
							"How often workers look for events that nobody told them of.",
							"Covers COMMIT PREPARED and sessions without the preloaded library.",
							&ee_config_delivery_poll_interval,
							5000, 10, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("event_engine.delivery_batch_time",
							"A batch takes no further event once it has run so long.",
							NULL,
							&ee_config_delivery_batch_time,
							200, 1, 3600000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("event_engine.delivery_receive_wait",
							"How long receive_events() waits for another client that is receiving; 0: not at all.",
							NULL,
							&ee_config_delivery_receive_wait,
							20, 0, 60000,
							PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomBoolVariable("event_engine.delivery_immediate",
							 "Calls handlers when an event is published, in a transaction that cannot commit.",
							 "For tests that are rolled back.",
							 &ee_config_delivery_immediate,
							 false,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	/* needed for shared memory only, and refused once the server is up */
	if (process_shared_preload_libraries_in_progress)
		DefineCustomIntVariable("event_engine.delivery_shared_subscriptions",
								"Number of subscriptions, in all databases together, that have a place in shared memory.",
								"Limits of further ones are kept by each process for itself.",
								&ee_config_delivery_shared_subscriptions,
								4096, 1, 1000000,
								PGC_POSTMASTER, 0, NULL, NULL, NULL);
}

static void
define_operations(void)
{
	DefineCustomIntVariable("event_engine.operations_retention",
							"How long events are kept that no rule is for; 0: for ever.",
							"Rules are made by event_engine.set_retention().",
							&ee_config_operations_retention,
							0, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("event_engine.operations_retention_limit",
							"How long expired events wait for subscriptions that have yet to read them; 0: for ever.",
							"Counted from their arrival.",
							&ee_config_operations_retention_limit,
							0, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("event_engine.operations_dead_letter_retention",
							"How long dead letters are kept that were redriven or discarded; 0: for ever.",
							NULL,
							&ee_config_operations_dead_letter_retention,
							0, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("event_engine.operations_log_retention",
							"How long rows of the processing log are kept; 0: for ever.",
							NULL,
							&ee_config_operations_log_retention,
							0, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("event_engine.workflow_retention",
							"How long workflows are kept that are over; 0: for ever.",
							"Those that failed stay.  Option keep_for of a workflow goes before it.",
							&ee_config_workflow_retention,
							0, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomStringVariable("event_engine.operations_archive_directory",
							   "Directory of the server where expired events are written to.",
							   "For rules of retention with archive_file.",
							   &ee_config_operations_archive_directory,
							   "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY,
							   NULL, NULL, NULL);
	/* needed for shared memory only, and refused once the server is up */
	if (process_shared_preload_libraries_in_progress)
		DefineCustomIntVariable("event_engine.operations_counted_patterns",
								"Number of patterns, in all databases together, whose events are counted.",
								"Each takes about half a kilobyte of shared memory.",
								&ee_config_operations_counted_patterns,
								2000, 100, 1000000,
								PGC_POSTMASTER, 0, NULL, NULL, NULL);
}

static void
define_worker(void)
{
	/* needed by workers only, and refused once the server is up */
	if (process_shared_preload_libraries_in_progress)
	{
		DefineCustomIntVariable("event_engine.worker_slots",
								"Number of executors in all databases together.",
								"Each is a background worker and counts in max_worker_processes, as does one router a database.",
								&ee_config_worker_slots,
								32, 1, 1024,
								PGC_POSTMASTER, 0, NULL, NULL, NULL);
		DefineCustomIntVariable("event_engine.worker_executors_per_role",
								"Number of executors that a role may have at once.",
								"A role has as many as the greatest concurrency of its subscriptions asks for.",
								&ee_config_worker_executors_per_role,
								4, 1, 64,
								PGC_POSTMASTER, 0, NULL, NULL, NULL);
	}
	DefineCustomIntVariable("event_engine.worker_launch_interval",
							"How often the launcher looks for new databases.",
							NULL,
							&ee_config_worker_launch_interval,
							10000, 100, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("event_engine.worker_idle_timeout",
							"An executor without work ends after this time.",
							NULL,
							&ee_config_worker_idle_timeout,
							60000, 100, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("event_engine.worker_help_after",
							"An executor whose handler takes so much longer than a batch is stood in for.",
							"Another executor delivers the other subscriptions of its role meanwhile.",
							&ee_config_worker_help_after,
							1000, 10, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("event_engine.worker_helpers_per_role",
							"Number of executors that may stand in for those of a role.",
							"Zero: a handler that is stuck keeps all that its executor delivers waiting.",
							&ee_config_worker_helpers_per_role,
							2, 0, 16,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
}
