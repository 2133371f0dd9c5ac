/*
 * schema_format.c
 *	  The values of the keyword format, and a check for each.
 *
 * Each check reads the text once, keeps nothing, and follows the standard
 * that the specification names [Validation 2020-12, 7.3].  Times and addresses
 * are here; names of hosts are in schema_idn.c, URIs and what belongs to them
 * in schema_format_uri.c.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "validation/schema_format.h"
#include "validation/schema_format_uri.h"
#include "validation/schema_idn.h"
#include "validation/schema_regex.h"
#include "validation/schema_vocabulary.h"

#define IS_DIGIT(c)	((unsigned) (c) - '0' < 10)

static bool check_date(const char *s, uint32 len);
static bool check_time(const char *s, uint32 len);
static bool check_date_time(const char *s, uint32 len);
static bool check_duration(const char *s, uint32 len);
static bool check_email(const char *s, uint32 len);
static bool check_idn_email(const char *s, uint32 len);
static bool check_hostname(const char *s, uint32 len);
static bool check_old_hostname(const char *s, uint32 len);
static bool check_idn_hostname(const char *s, uint32 len);
static bool check_ipv4(const char *s, uint32 len);
static bool check_ipv6(const char *s, uint32 len);
static bool check_uuid(const char *s, uint32 len);
static bool check_json_pointer(const char *s, uint32 len);
static bool check_relative_json_pointer(const char *s, uint32 len);
static bool check_regex(const char *s, uint32 len);
static int	two_digits(const char *s);
static bool mailbox(const char *s, uint32 len, bool international);
static bool local_part(const char *s, uint32 len, bool international);
static const char *duration_run(const char *p, const char *end,
								const char *units, bool *any);

static const struct
{
	const char *name;
	EeFormatCheck check;
	int			since;			/* first dialect that has it */
}			formats[] =
{
	{"date-time", check_date_time, EE_DIALECT_DRAFT4},
	{"email", check_email, EE_DIALECT_DRAFT4},
	{"hostname", check_hostname, EE_DIALECT_DRAFT7},
	{"hostname", check_old_hostname, EE_DIALECT_DRAFT4},
	{"ipv4", check_ipv4, EE_DIALECT_DRAFT4},
	{"ipv6", check_ipv6, EE_DIALECT_DRAFT4},
	{"uri", ee_format_uri, EE_DIALECT_DRAFT4},
	{"uri-reference", ee_format_uri_reference, EE_DIALECT_DRAFT6},
	{"uri-template", ee_format_uri_template, EE_DIALECT_DRAFT6},
	{"json-pointer", check_json_pointer, EE_DIALECT_DRAFT6},
	{"date", check_date, EE_DIALECT_DRAFT4},
	{"time", check_time, EE_DIALECT_DRAFT4},
	{"regex", check_regex, EE_DIALECT_DRAFT4},
	{"uuid", check_uuid, EE_DIALECT_DRAFT4},
	{"idn-email", check_idn_email, EE_DIALECT_DRAFT7},
	{"idn-hostname", check_idn_hostname, EE_DIALECT_DRAFT7},
	{"iri", ee_format_iri, EE_DIALECT_DRAFT7},
	{"iri-reference", ee_format_iri_reference, EE_DIALECT_DRAFT7},
	{"relative-json-pointer", check_relative_json_pointer, EE_DIALECT_DRAFT7},
	{"duration", check_duration, EE_DIALECT_2019_09},
};

/* The check for a format, or NULL if the dialect does not know it. */
EeFormatCheck
ee_schema_format(const char *name, uint32 len, int dialect)
{
	int			i;

	for (i = 0; i < lengthof(formats); i++)
	{
		if (strlen(formats[i].name) == len &&
			memcmp(formats[i].name, name, len) == 0)
		{
			if (dialect >= formats[i].since)
				return formats[i].check;
		}
	}
	return NULL;
}

/* The name of a dialect's n-th format, NULL where there are no more. */
const char *
ee_schema_format_name(int dialect, int n)
{
	int			i;

	for (i = 0; i < lengthof(formats); i++)
	{
		if (dialect >= formats[i].since && n-- == 0)
			return formats[i].name;
	}
	return NULL;
}

/* 0 to 99, or -1 */
static int
two_digits(const char *s)
{
	if (!IS_DIGIT(s[0]) || !IS_DIGIT(s[1]))
		return -1;
	return (s[0] - '0') * 10 + (s[1] - '0');
}

/* full-date  [RFC 3339, 5.6, 5.7] */
static bool
check_date(const char *s, uint32 len)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int			century,
				year,
				month,
				day;

	if (len != 10 || s[4] != '-' || s[7] != '-')
		return false;
	century = two_digits(s);
	year = two_digits(s + 2);
	month = two_digits(s + 5);
	day = two_digits(s + 8);
	if (century < 0 || year < 0 || month < 1 || month > 12 || day < 1)
		return false;
	year += century * 100;
	if (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
		return day <= 29;
	return day <= days[month - 1];
}

/* full-time  [RFC 3339, 5.6]; second 60 only where UTC has it */
static bool
check_time(const char *s, uint32 len)
{
	const char *end = s + len;
	int			hour,
				minute,
				second,
				offset = 0;

	if (len < 9 || s[2] != ':' || s[5] != ':')
		return false;
	hour = two_digits(s);
	minute = two_digits(s + 3);
	second = two_digits(s + 6);
	if (hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
		second < 0 || second > 60)
		return false;
	s += 8;
	if (*s == '.')
	{
		const char *digits = ++s;

		while (s < end && IS_DIGIT(*s))
			s++;
		if (s == digits || s == end)
			return false;
	}
	if (*s == 'Z' || *s == 'z')
		s++;
	else if ((*s == '+' || *s == '-') && end - s == 6 && s[3] == ':')
	{
		int			h = two_digits(s + 1);
		int			m = two_digits(s + 4);

		if (h < 0 || h > 23 || m < 0 || m > 59)
			return false;
		offset = (*s == '+' ? -1 : 1) * (h * 60 + m);
		s += 6;
	}
	if (s != end || s[-1] == '.')
		return false;
	return second < 60 || (hour * 60 + minute + offset + 2880) % 1440 == 1439;
}

/* date-time  [RFC 3339, 5.6] */
static bool
check_date_time(const char *s, uint32 len)
{
	return len > 11 && (s[10] == 'T' || s[10] == 't') &&
		check_date(s, 10) && check_time(s + 11, len - 11);
}

/* duration  [RFC 3339, appendix A] */
static bool
check_duration(const char *s, uint32 len)
{
	const char *p = s + 1;
	const char *end = s + len;
	bool		any = false;
	bool		time = false;

	if (len < 3 || *s != 'P')
		return false;
	if (end[-1] == 'W')
	{
		while (p < end - 1 && IS_DIGIT(*p))
			p++;
		return p == end - 1;
	}
	p = duration_run(p, end, "YMD", &any);
	if (p != NULL && p < end && *p == 'T')
	{
		p = duration_run(p + 1, end, "HMS", &time);
		if (!time)
			return false;
	}
	return p == end && (any || time);
}

/* numbers with units, which come in order and leave none out between */
static const char *
duration_run(const char *p, const char *end, const char *units, bool *any)
{
	const char *unit = NULL;

	while (p < end && IS_DIGIT(*p))
	{
		const char *found;

		while (p < end && IS_DIGIT(*p))
			p++;
		found = p < end ? strchr(units, *p) : NULL;
		if (found == NULL || *p == '\0' ||
			(unit != NULL && found != unit + 1))
			return NULL;
		unit = found;
		*any = true;
		p++;
	}
	return p;
}

/* email  [RFC 5321, 4.1.2] */
static bool
check_email(const char *s, uint32 len)
{
	return mailbox(s, len, false);
}

/* idn-email  [RFC 6531, 3.3] */
static bool
check_idn_email(const char *s, uint32 len)
{
	return mailbox(s, len, true);
}

static bool
mailbox(const char *s, uint32 len, bool international)
{
	uint32		at = len;
	const char *domain;
	uint32		n;

	while (at > 0 && s[at - 1] != '@')
		at--;
	if (at <= 1 || at == len)
		return false;
	if (!local_part(s, at - 1, international))
		return false;
	domain = s + at;
	n = len - at;
	if (domain[0] == '[')
	{
		if (n < 3 || domain[n - 1] != ']')
			return false;
		if (n > 7 && pg_strncasecmp(domain + 1, "IPv6:", 5) == 0)
			return check_ipv6(domain + 6, n - 7);
		return check_ipv4(domain + 1, n - 2);
	}
	return ee_schema_idn_hostname(domain, n, international ?
								  EE_HOSTNAME_OF_MAIL : EE_HOSTNAME_ASCII);
}

/* dot-string or quoted-string; at most 64 octets  [RFC 5321, 4.5.3.1.1] */
static bool
local_part(const char *s, uint32 len, bool international)
{
	uint32		i;

	if (len == 0 || (len > 64 && !international))
		return false;
	if (s[0] == '"')
	{
		if (len < 2 || s[len - 1] != '"')
			return false;
		for (i = 1; i < len - 1; i++)
		{
			unsigned char c = s[i];

			if (c == '\\')
			{
				if (++i >= len - 1)
					return false;
				c = s[i];
			}
			else if (c == '"')
				return false;
			if (c < 32 || c == 127 || (c > 127 && !international))
				return false;
		}
		return true;
	}
	for (i = 0; i < len; i++)
	{
		unsigned char c = s[i];

		if (c == '.')
		{
			if (i == 0 || i == len - 1 || s[i + 1] == '.')
				return false;
		}
		else if (c > 127)
		{
			if (!international)
				return false;
		}
		else if (c <= 32 || c == 127 || strchr("()<>[]:;@\\,\"", c) != NULL)
			return false;
	}
	return true;
}

/* hostname up to draft 6  [RFC 1034, 3.1; RFC 1123, 2.1] */
static bool
check_old_hostname(const char *s, uint32 len)
{
	return ee_schema_idn_hostname(s, len, EE_HOSTNAME_OLD);
}

/* hostname  [RFC 1123, 2.1; RFC 5890, 2.3.2.1] */
static bool
check_hostname(const char *s, uint32 len)
{
	return ee_schema_idn_hostname(s, len, EE_HOSTNAME_ASCII);
}

/* idn-hostname  [RFC 5890, 2.3.2.3] */
static bool
check_idn_hostname(const char *s, uint32 len)
{
	return ee_schema_idn_hostname(s, len, EE_HOSTNAME_INTERNATIONAL);
}

/* ipv4  [RFC 2673, 3.2]: four numbers without leading zeroes */
static bool
check_ipv4(const char *s, uint32 len)
{
	const char *end = s + len;
	int			parts;

	for (parts = 0; parts < 4; parts++)
	{
		int			value = 0;
		const char *begin;

		if (parts > 0 && (s >= end || *s++ != '.'))
			return false;
		begin = s;
		while (s < end && IS_DIGIT(*s) && s - begin < 3)
			value = value * 10 + (*s++ - '0');
		if (s == begin || value > 255 || (*begin == '0' && s - begin > 1))
			return false;
	}
	return s == end;
}

/* ipv6  [RFC 4291, 2.2] */
static bool
check_ipv6(const char *s, uint32 len)
{
	const char *p = s;
	const char *end = s + len;
	int			groups = 0;
	bool		gap = false;

	if (len < 2)
		return false;
	if (p[0] == ':')
	{
		if (p[1] != ':')
			return false;
		p += 2;
		gap = true;
	}
	while (p < end)
	{
		const char *begin = p;

		while (p < end && p - begin < 5 &&
			   (IS_DIGIT(*p) || (*p | 32) - 'a' < 6U))
			p++;
		if (p < end && *p == '.')
		{
			groups += 2;
			if (!check_ipv4(begin, end - begin))
				return false;
			p = end;
			break;
		}
		if (p == begin || p - begin > 4)
			return false;
		groups++;
		if (p == end)
			break;
		if (*p++ != ':' || p == end)
			return false;
		if (*p == ':')
		{
			if (gap)
				return false;
			gap = true;
			p++;
		}
	}
	return gap ? groups < 8 : groups == 8;
}

/* IPv6 addresses in URIs are the same. */
bool
ee_format_ipv6(const char *s, uint32 len)
{
	return check_ipv6(s, len);
}

/* uuid  [RFC 4122, 3] */
static bool
check_uuid(const char *s, uint32 len)
{
	uint32		i;

	if (len != 36)
		return false;
	for (i = 0; i < 36; i++)
	{
		if (i == 8 || i == 13 || i == 18 || i == 23)
		{
			if (s[i] != '-')
				return false;
		}
		else if (!IS_DIGIT(s[i]) && (s[i] | 32) - 'a' >= 6U)
			return false;
	}
	return true;
}

/* json-pointer  [RFC 6901, 5] */
static bool
check_json_pointer(const char *s, uint32 len)
{
	uint32		i;

	if (len == 0)
		return true;
	if (s[0] != '/')
		return false;
	for (i = 0; i < len; i++)
	{
		if (s[i] == '~' &&
			(i + 1 >= len || (s[i + 1] != '0' && s[i + 1] != '1')))
			return false;
	}
	return true;
}

/* relative-json-pointer  [draft-bhutton-relative-json-pointer, 3] */
static bool
check_relative_json_pointer(const char *s, uint32 len)
{
	uint32		i = 0;

	while (i < len && IS_DIGIT(s[i]))
		i++;
	if (i == 0 || (s[0] == '0' && i > 1))
		return false;
	if (i < len && s[i] == '#')
		return i + 1 == len;
	return check_json_pointer(s + i, len - i);
}

/* regex  [Core 2020-12, 6.4] */
static bool
check_regex(const char *s, uint32 len)
{
	return ee_schema_regex_is_valid(s, len);
}
