/*
 * causation.c
 *	  Because of which event is this backend publishing?
 */
#include "postgres.h"

#include "ground/causation.h"

Datum		ee_causation_event = (Datum) 0;
Jsonb	   *ee_causation_context = NULL;
Jsonb	   *ee_causation_source = NULL;
