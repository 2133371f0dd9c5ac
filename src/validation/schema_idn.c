/*
 * schema_idn.c
 *	  Names of hosts, internationalised ones by IDNA 2008.
 *
 * Labels of plain ASCII are judged here, without allocation.  Whether a
 * U-label or an A-label could be registered is libidn2's to say [RFC 5891,
 * 4.2], label by label; what concerns several labels, or what libidn2 lets
 * pass, is here again [RFC 5893, 2].  This is the only file that knows
 * libidn2.  The library neither throws nor is interrupted, so what it
 * allocates is freed at once; what it is given is bounded.
 */
#include "postgres.h"

#include <idn2.h>

#include "mb/pg_wchar.h"

#include "validation/schema_idn.h"

#define IS_DIGIT(c)	((unsigned) (c) - '0' < 10)

#define MAX_NAME	253			/* octets of ASCII [RFC 1034, 3.1] */
#define MAX_LABEL	63

/* what is known of a name after some of its labels */
typedef struct HostName
{
	uint32		length;			/* as A-labels, with dots */
	bool		right_to_left;	/* some label has letters written so */
	bool		digit_first;	/* some label begins with a European digit */
} HostName;

static bool international_name(const char *s, uint32 len,
							   EeHostnameKind kind);
static bool all_labels(const char *s, uint32 len, EeHostnameKind kind);
static uint32 separator(const char *s, const char *end, EeHostnameKind kind);
static bool one_label(const char *s, uint32 len, EeHostnameKind kind,
					  HostName *name);
static bool ascii_label(const char *s, uint32 len, EeHostnameKind kind);
static bool a_label(const char *s, uint32 len, HostName *name);
static bool u_label(const char *s, uint32 len, EeHostnameKind kind,
					HostName *name);
static bool direction(const char *s, HostName *name);

/* In the database's encoding. */
bool
ee_schema_idn_hostname(const char *s, uint32 len, EeHostnameKind kind)
{
	uint32		i;

	/* no code point of a label becomes less than an octet of its A-label */
	if (len > MAX_NAME * MAX_MULTIBYTE_CHAR_LEN)
		return false;
	if (kind >= EE_HOSTNAME_INTERNATIONAL)
	{
		for (i = 0; i < len; i++)
		{
			if (IS_HIGHBIT_SET(s[i]))
				return international_name(s, len, kind);
		}
	}
	return all_labels(s, len, kind);
}

/* As UTF-8, which libidn2 wants. */
static bool
international_name(const char *s, uint32 len, EeHostnameKind kind)
{
	char	   *utf8;
	bool		result;

	if (GetDatabaseEncoding() == PG_UTF8)
		return all_labels(s, len, kind);
	if (GetDatabaseEncoding() == PG_SQL_ASCII)
		return pg_encoding_verifymbstr(PG_UTF8, s, len) == len &&
			all_labels(s, len, kind);
	utf8 = pg_server_to_any(s, len, PG_UTF8);
	result = all_labels(utf8, strlen(utf8), kind);
	pfree(utf8);
	return result;
}

/*
 * A name with letters that are written from right to left must keep the rule
 * for them in all its labels: none begins with a digit  [RFC 5893, 2]
 */
static bool
all_labels(const char *s, uint32 len, EeHostnameKind kind)
{
	const char *end = s + len;
	const char *begin = s;
	HostName	name = {0};

	for (;;)
	{
		uint32		dot = separator(s, end, kind);

		if (s < end && dot == 0)
		{
			s++;
			continue;
		}
		if (!one_label(begin, s - begin, kind, &name))
			return false;
		if (s == end)
			break;
		s += dot;
		begin = s;
		name.length++;
	}
	return name.length <= MAX_NAME &&
		!(name.right_to_left && name.digit_first);
}

/* The length of a full stop; there are more of them in U-labels' scripts. */
static uint32
separator(const char *s, const char *end, EeHostnameKind kind)
{
	if (s < end && *s == '.')
		return 1;
	if (kind == EE_HOSTNAME_INTERNATIONAL && end - s >= 3 &&
		(memcmp(s, "\xE3\x80\x82", 3) == 0 ||	/* U+3002 */
		 memcmp(s, "\xEF\xBC\x8E", 3) == 0 ||	/* U+FF0E */
		 memcmp(s, "\xEF\xBD\xA1", 3) == 0))	/* U+FF61 */
		return 3;
	return 0;
}

static bool
one_label(const char *s, uint32 len, EeHostnameKind kind, HostName *name)
{
	uint32		i;

	if (len == 0)
		return false;
	for (i = 0; i < len; i++)
	{
		if (IS_HIGHBIT_SET(s[i]))
			return kind >= EE_HOSTNAME_INTERNATIONAL &&
				u_label(s, len, kind, name);
	}
	if (!ascii_label(s, len, kind))
		return false;
	if (kind != EE_HOSTNAME_OLD && len >= 4 &&
		pg_strncasecmp(s, "xn--", 4) == 0)
		return a_label(s, len, name);
	name->length += len;
	name->digit_first |= IS_DIGIT(s[0]);
	return true;
}

/*
 * Letters, digits and inner hyphens; two hyphens after two letters are left to
 * xn--.  [RFC 1034, 3.1; RFC 1123, 2.1; RFC 5891, 4.2.3.1]
 */
static bool
ascii_label(const char *s, uint32 len, EeHostnameKind kind)
{
	uint32		i;

	if (len > MAX_LABEL || s[0] == '-' || s[len - 1] == '-')
		return false;
	if (kind != EE_HOSTNAME_OLD && len >= 4 && s[2] == '-' && s[3] == '-' &&
		pg_strncasecmp(s, "xn", 2) != 0)
		return false;
	for (i = 0; i < len; i++)
	{
		unsigned char c = s[i];

		if (!(IS_DIGIT(c) || (c | 32) - 'a' < 26U || c == '-'))
			return false;
	}
	return true;
}

/* An A-label, in either case, must be that of a U-label  [RFC 5891, 5.4] */
static bool
a_label(const char *s, uint32 len, HostName *name)
{
	char		lower[MAX_LABEL + 1];
	char	   *decoded = NULL;
	uint8_t    *registered = NULL;
	bool		result;
	uint32		i;

	for (i = 0; i < len; i++)
		lower[i] = pg_ascii_tolower((unsigned char) s[i]);
	lower[len] = '\0';
	result = idn2_register_u8(NULL, (const uint8_t *) lower,
							  &registered, 0) == IDN2_OK &&
		idn2_to_unicode_8z8z(lower, &decoded, 0) == IDN2_OK &&
		direction(decoded, name);
	idn2_free(registered);
	idn2_free(decoded);
	name->length += len;
	return result;
}

/* In UTF-8.  [RFC 5891, 4.2] */
static bool
u_label(const char *s, uint32 len, EeHostnameKind kind, HostName *name)
{
	char		label[MAX_LABEL * MAX_MULTIBYTE_CHAR_LEN + 1];
	int			flags = kind == EE_HOSTNAME_OF_MAIL ? IDN2_NFC_INPUT : 0;
	uint8_t    *registered = NULL;
	bool		result;
	uint32		i;

	/* libidn2 leaves hyphens and what ASCII there may be to its caller */
	if (len >= sizeof(label) || s[0] == '-' || s[len - 1] == '-')
		return false;
	for (i = 0; i < len; i++)
	{
		unsigned char c = s[i];

		if (!IS_HIGHBIT_SET(c) &&
			!(IS_DIGIT(c) || c - 'a' < 26U || c == '-'))
			return false;
	}
	memcpy(label, s, len);
	label[len] = '\0';
	result = idn2_register_u8((const uint8_t *) label, NULL,
							  &registered, flags) == IDN2_OK &&
		direction(label, name);
	if (result)
		name->length += strlen((char *) registered);
	idn2_free(registered);
	return result;
}

/*
 * Notes how a U-label is written.  European and Arabic digits must not meet
 * [RFC 5893, 2, rule 4], which libidn2 does not look at.
 */
static bool
direction(const char *s, HostName *name)
{
	bool		first = true;
	bool		european = false;
	bool		arabic = false;

	for (; *s != '\0'; s += pg_utf_mblen((const unsigned char *) s))
	{
		pg_wchar	c = utf8_to_unicode((const unsigned char *) s);

		if ((c >= '0' && c <= '9') || (c >= 0x6F0 && c <= 0x6F9))
		{
			european = true;
			name->digit_first |= first;
		}
		else if ((c >= 0x590 && c <= 0x8FF) ||
				 (c >= 0xFB1D && c <= 0xFDFF) ||
				 (c >= 0xFE70 && c <= 0xFEFF) ||
				 (c >= 0x10800 && c <= 0x10FFF) ||
				 (c >= 0x1E800 && c <= 0x1EFFF))
		{
			name->right_to_left = true;
			arabic |= (c >= 0x660 && c <= 0x669) ||
				(c >= 0x10D30 && c <= 0x10D39);
		}
		first = false;
	}
	return !(european && arabic);
}
