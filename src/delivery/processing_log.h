/*
 * processing_log.h
 *	  One row per finished delivery, for subscriptions that ask for it.
 */
#ifndef EE_PROCESSING_LOG_H
#define EE_PROCESSING_LOG_H

#include "postgres.h"

#include "datatype/timestamp.h"

extern void ee_processing_log_delivered(const char *subscriber, Datum event,
										int attempt, TimestampTz began);
extern void ee_processing_log_failed(const char *subscriber, Datum event,
									 int attempt, const char *message);

#endif							/* EE_PROCESSING_LOG_H */
