/*
 * causation.c
 *	  Because of which event is this backend publishing?
 */
#include "postgres.h"

#include "ground/causation.h"

Datum		ee_causation_event = (Datum) 0;
