/*
 * schema_number.h
 *	  Numbers by value: exact through numeric, and quick for those that an
 *	  int64 can hold.
 */
#ifndef EE_SCHEMA_NUMBER_H
#define EE_SCHEMA_NUMBER_H

#include "postgres.h"

#include "utils/numeric.h"

extern bool ee_schema_number_is_integer(Numeric num);
extern int	ee_schema_number_scale(Numeric num);
extern bool ee_schema_number_floor(Numeric num, int64 *floor, bool *whole);
extern int	ee_schema_number_compare(Numeric a, Numeric b);
extern bool ee_schema_number_is_multiple(Numeric num, Numeric divisor);
extern uint32 ee_schema_number_hash(Numeric num);

#endif							/* EE_SCHEMA_NUMBER_H */
