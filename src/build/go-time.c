#include "build/go-time.h"

#include <ctype.h>
#include <string.h>
#include <time.h>

struct moment {
	struct tm tm;
	const struct go_time *time;
};

static const char *const months[] = {"January", "February", "March",	 "April",   "May",	"June",
				     "July",	"August",   "September", "October", "November", "December"};
static const char *const days[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};

static int hour12(const struct moment *m)
{
	return m->tm.tm_hour % 12 ? m->tm.tm_hour % 12 : 12;
}

// clang-format off
enum element {
	LONG_MONTH, MONTH, NUM_MONTH, ZERO_MONTH, LONG_WEEKDAY, WEEKDAY, DAY, UNDER_DAY, ZERO_DAY, UNDER_YEAR_DAY, ZERO_YEAR_DAY, HOUR,
	HOUR12, ZERO_HOUR12, MINUTE, ZERO_MINUTE, SECOND, ZERO_SECOND, LONG_YEAR, YEAR, PM, pm, ZONE, ISO_ZONE, ISO_COLON_ZONE,
	ISO_SHORT_ZONE, NUM_ZONE, NUM_COLON_ZONE, NUM_SHORT_ZONE,
};

/* Longer ones before their prefixes: the first that fits counts. */
static const struct {
	const char *text;
	enum element element;
} elements[] = {
	{"January", LONG_MONTH}, {"Jan", MONTH}, {"Monday", LONG_WEEKDAY}, {"Mon", WEEKDAY}, {"MST", ZONE}, {"002", ZERO_YEAR_DAY},
	{"01", ZERO_MONTH}, {"02", ZERO_DAY}, {"03", ZERO_HOUR12}, {"04", ZERO_MINUTE}, {"05", ZERO_SECOND}, {"06", YEAR},
	{"15", HOUR}, {"1", NUM_MONTH}, {"2006", LONG_YEAR}, {"2", DAY}, {"__2", UNDER_YEAR_DAY}, {"_2", UNDER_DAY}, {"3", HOUR12},
	{"4", MINUTE}, {"5", SECOND}, {"PM", PM}, {"pm", pm}, {"-07:00", NUM_COLON_ZONE}, {"-0700", NUM_ZONE}, {"-07", NUM_SHORT_ZONE},
	{"Z07:00", ISO_COLON_ZONE}, {"Z0700", ISO_ZONE}, {"Z07", ISO_SHORT_ZONE},
};
// clang-format on

static void add_zone(struct str *out, const struct moment *m, const char *separator, bool minutes, bool iso)
{
	int offset = m->time->offset;
	if (iso && offset == 0) {
		str_add_char(out, 'Z');
		return;
	}
	int absolute = offset < 0 ? -offset : offset;
	str_addf(out, "%c%02d", offset < 0 ? '-' : '+', absolute / 3600);
	if (minutes)
		str_addf(out, "%s%02d", separator, absolute / 60 % 60);
}

static void add_element(struct str *out, const struct moment *m, enum element element)
{
	const struct tm *tm = &m->tm;
	switch (element) {
	// clang-format off
	case LONG_MONTH: str_add(out, months[tm->tm_mon]); break;
	case MONTH: str_addf(out, "%.3s", months[tm->tm_mon]); break;
	case NUM_MONTH: str_addf(out, "%d", tm->tm_mon + 1); break;
	case ZERO_MONTH: str_addf(out, "%02d", tm->tm_mon + 1); break;
	case LONG_WEEKDAY: str_add(out, days[tm->tm_wday]); break;
	case WEEKDAY: str_addf(out, "%.3s", days[tm->tm_wday]); break;
	case DAY: str_addf(out, "%d", tm->tm_mday); break;
	case UNDER_DAY: str_addf(out, "%2d", tm->tm_mday); break;
	case ZERO_DAY: str_addf(out, "%02d", tm->tm_mday); break;
	case UNDER_YEAR_DAY: str_addf(out, "%3d", tm->tm_yday + 1); break;
	case ZERO_YEAR_DAY: str_addf(out, "%03d", tm->tm_yday + 1); break;
	case HOUR: str_addf(out, "%02d", tm->tm_hour); break;
	case HOUR12: str_addf(out, "%d", hour12(m)); break;
	case ZERO_HOUR12: str_addf(out, "%02d", hour12(m)); break;
	case MINUTE: str_addf(out, "%d", tm->tm_min); break;
	case ZERO_MINUTE: str_addf(out, "%02d", tm->tm_min); break;
	case SECOND: str_addf(out, "%d", tm->tm_sec); break;
	case ZERO_SECOND: str_addf(out, "%02d", tm->tm_sec); break;
	case LONG_YEAR: str_addf(out, "%04d", tm->tm_year + 1900); break;
	case YEAR: str_addf(out, "%02d", tm->tm_year % 100); break;
	case PM: str_add(out, tm->tm_hour >= 12 ? "PM" : "AM"); break;
	case pm: str_add(out, tm->tm_hour >= 12 ? "pm" : "am"); break;
	case ZONE: str_add(out, m->time->zone); break;
	case ISO_ZONE: add_zone(out, m, "", true, true); break;
	case ISO_COLON_ZONE: add_zone(out, m, ":", true, true); break;
	case ISO_SHORT_ZONE: add_zone(out, m, "", false, true); break;
	case NUM_ZONE: add_zone(out, m, "", true, false); break;
	case NUM_COLON_ZONE: add_zone(out, m, ":", true, false); break;
	case NUM_SHORT_ZONE: add_zone(out, m, "", false, false); break;
		// clang-format on
	}
}

/* ".000" and ",000": that many digits; ".999": the same without zeros at the end. Returns the bytes of the layout used, 0 if it is no fraction. */
static size_t add_fraction(struct str *out, const struct moment *m, const char *layout)
{
	if ((layout[0] != '.' && layout[0] != ',') || (layout[1] != '0' && layout[1] != '9'))
		return 0;
	size_t digits = strspn(layout + 1, layout[1] == '0' ? "0" : "9");
	if (isdigit((unsigned char)layout[1 + digits]))
		return 0;
	char text[16];
	snprintf(text, sizeof(text), "%09u", m->time->nanoseconds % 1000000000u);
	size_t shown = digits < 9 ? digits : 9;
	while (layout[1] == '9' && shown > 0 && text[shown - 1] == '0')
		shown--;
	if (shown > 0)
		str_addf(out, "%c%.*s", layout[0], (int)shown, text);
	return 1 + digits;
}

static size_t add_next(struct str *out, const struct moment *m, const char *layout)
{
	size_t used = add_fraction(out, m, layout);
	if (used)
		return used;
	bool plain = str_starts_with(layout, "_2006"); /* an underscore, then the year; not a padded day */
	for (size_t i = 0; i < ARRAY_LEN(elements) && !plain; i++) {
		size_t len = strlen(elements[i].text);
		if (!str_starts_with(layout, elements[i].text))
			continue;
		if (isalpha((unsigned char)layout[0]) && len == 3 && islower((unsigned char)layout[len]))
			continue; /* "Month" is a word, not "Mon" */
		add_element(out, m, elements[i].element);
		return len;
	}
	str_add_char(out, layout[0]);
	return 1;
}

void go_time_format(const struct go_time *time, const char *layout, struct str *out)
{
	struct moment m = {.time = time};
	time_t shifted = (time_t)(time->seconds + time->offset);
	gmtime_r(&shifted, &m.tm);
	while (*layout)
		layout += add_next(out, &m, layout);
}
