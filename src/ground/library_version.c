/*
 * library_version.c
 *	  Which version this library is of.
 *
 * By itself, so that it stands in the library once.
 */
#include "postgres.h"

#include "ground/library_version.h"

const char ee_library_version[] = EE_VERSION;
