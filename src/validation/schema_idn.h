/*
 * schema_idn.h
 *	  Names of hosts, internationalised ones by IDNA 2008.
 */
#ifndef EE_SCHEMA_IDN_H
#define EE_SCHEMA_IDN_H

#include "postgres.h"

typedef enum EeHostnameKind
{
	EE_HOSTNAME_OLD,			/* letters, digits, hyphens, nothing reserved */
	EE_HOSTNAME_ASCII,			/* xn-- begins an A-label */
	EE_HOSTNAME_INTERNATIONAL,	/* U-labels too */
	EE_HOSTNAME_OF_MAIL			/* likewise, not normalised [RFC 6531, 3.3] */
} EeHostnameKind;

extern bool ee_schema_idn_hostname(const char *s, uint32 len,
								   EeHostnameKind kind);

#endif							/* EE_SCHEMA_IDN_H */
