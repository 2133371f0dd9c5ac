/*
 * extension_guard.h
 *	  A handler keeps the extension that calls it.
 */
#ifndef EE_EXTENSION_GUARD_H
#define EE_EXTENSION_GUARD_H

extern void ee_extension_guard_init(void);

#endif							/* EE_EXTENSION_GUARD_H */
