/*
 * library_version.h
 *	  Which version this library is of.
 */
#ifndef EE_LIBRARY_VERSION_H
#define EE_LIBRARY_VERSION_H

extern const char ee_library_version[];

#endif							/* EE_LIBRARY_VERSION_H */
