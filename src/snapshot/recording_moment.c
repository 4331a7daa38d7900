/* Moments by name. */
#include "snapshot/filter.h"
#include "snapshot/recording.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

#define RECORDING_SECOND INT64_C(1000000000)
#define RECORDING_DAY (86400 * RECORDING_SECOND)

/* How far outside a recording a time may be. */
#define RECORDING_SLACK (60 * RECORDING_SECOND)

/* A recording's snapshots. */
struct recording_range {
    const struct recording_moment *moments;
    size_t count;
};

/* How far apart A and B are. */
static uint64_t recording_distance(int64_t a, int64_t b)
{
    return a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a;
}

/* The snapshot nearest to TIME, the earlier one of two. */
static size_t recording_nearest(const struct recording_range *range, int64_t time)
{
    size_t best = 0;
    for (size_t i = 1; i < range->count; i++) {
        if (recording_distance(range->moments[i].taken_at_ns, time) <
            recording_distance(range->moments[best].taken_at_ns, time)) {
            best = i;
        }
    }
    return best;
}

/* Takes the snapshot nearest to TIME unless it is too far away; TEXT is how TIME was given. */
static struct error *recording_find_time(const struct recording_range *range, const char *text,
                                         int64_t time, size_t *ret)
{
    char first[RECORDING_TIME_SIZE], last[RECORDING_TIME_SIZE];
    *ret = recording_nearest(range, time);
    if (recording_distance(range->moments[*ret].taken_at_ns, time) <= RECORDING_SLACK ||
        (*ret > 0 && *ret < range->count - 1)) {
        return NULL;
    }
    recording_format_time(range->moments[0].taken_at_ns, first, sizeof first);
    recording_format_time(range->moments[range->count - 1].taken_at_ns, last, sizeof last);
    return error_create(ERROR_NOT_FOUND, "@%s is outside the recording, which goes from %s to %s",
                        text, first, last);
}

/* Reads ".25" at *TEXT as nanoseconds; nothing there is 0. */
static bool recording_parse_fraction(const char **text, int64_t *ret)
{
    int64_t unit = RECORDING_SECOND;
    *ret = 0;
    if (**text != '.') {
        return true;
    }
    const char *digit = *text + 1;
    for (; *digit >= '0' && *digit <= '9'; digit++) {
        unit /= 10;
        *ret += (*digit - '0') * unit;
    }
    bool some = digit > *text + 1;
    *text = digit;
    return some;
}

/* Reads COUNT digits at *TEXT and the character END behind them (0: none). */
static bool recording_parse_digits(const char **text, unsigned count, char end, int *ret)
{
    *ret = 0;
    for (unsigned i = 0; i < count; i++) {
        if (**text < '0' || **text > '9') {
            return false;
        }
        *ret = *ret * 10 + *(*text)++ - '0';
    }
    return end == '\0' || *(*text)++ == end;
}

/* Reads "10:00", "10:00:05" or "10:00:05.25" at *TEXT. */
static bool recording_parse_clock(const char **text, struct tm *tm, int64_t *fraction)
{
    *fraction = 0;
    if (!recording_parse_digits(text, 2, ':', &tm->tm_hour) ||
        !recording_parse_digits(text, 2, '\0', &tm->tm_min) || tm->tm_hour > 23 ||
        tm->tm_min > 59) {
        return false;
    }
    if (**text != ':') {
        return true;
    }
    ++*text;
    return recording_parse_digits(text, 2, '\0', &tm->tm_sec) && tm->tm_sec <= 60 &&
           recording_parse_fraction(text, fraction);
}

/* Reads an offset "Z" or "+02:00" at *TEXT in seconds. */
static bool recording_parse_zone(const char **text, long *ret)
{
    int hours, minutes;
    char sign = *(*text)++;
    *ret = 0;
    if (sign == 'Z' || sign == 'z') {
        return true;
    }
    if ((sign != '+' && sign != '-') || !recording_parse_digits(text, 2, ':', &hours) ||
        !recording_parse_digits(text, 2, '\0', &minutes) || hours > 23 || minutes > 59) {
        return false;
    }
    *ret = (sign == '-' ? -1 : 1) * (hours * 3600L + minutes * 60L);
    return true;
}

/* Reads a date and time: RFC 3339, or without an offset, which is then local time. */
static bool recording_parse_date(const char *text, int64_t *ret)
{
    struct tm tm = {.tm_isdst = -1};
    int64_t fraction;
    long zone = 0;
    if (!recording_parse_digits(&text, 4, '-', &tm.tm_year) ||
        !recording_parse_digits(&text, 2, '-', &tm.tm_mon) ||
        !recording_parse_digits(&text, 2, '\0', &tm.tm_mday) ||
        (*text != 'T' && *text != 't' && *text != ' ') || tm.tm_year < 1970 || tm.tm_year > 2261 ||
        tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31) {
        return false;
    }
    text++;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    if (!recording_parse_clock(&text, &tm, &fraction)) {
        return false;
    }
    bool local = *text == '\0';
    if (!local && (!recording_parse_zone(&text, &zone) || *text != '\0')) {
        return false;
    }
    time_t seconds = local ? mktime(&tm) : timegm(&tm) - zone;
    *ret = (int64_t)seconds * RECORDING_SECOND + fraction;
    return seconds != (time_t)-1;
}

/* TM's time of day on the local day of NS. */
static int64_t recording_on_day(int64_t ns, const struct tm *clock, int64_t fraction)
{
    time_t seconds = (time_t)(ns / RECORDING_SECOND);
    struct tm day;
    if (localtime_r(&seconds, &day) == NULL) {
        return ns;
    }
    day.tm_hour = clock->tm_hour;
    day.tm_min = clock->tm_min;
    day.tm_sec = clock->tm_sec;
    day.tm_isdst = -1;
    return (int64_t)mktime(&day) * RECORDING_SECOND + fraction;
}

/* Finds a time of day: of the days that the recording touches the one that comes nearest to a
 * snapshot, the latest of several. */
static struct error *recording_find_clock(const struct recording_range *range, const char *text,
                                          const struct tm *clock, int64_t fraction, size_t *ret)
{
    enum { DAYS_MAX = 3660 };
    int64_t first = range->moments[0].taken_at_ns;
    int64_t last = range->moments[range->count - 1].taken_at_ns;
    int64_t best = recording_on_day(last, clock, fraction);
    int64_t noon = recording_on_day(last, &(struct tm){.tm_hour = 12}, 0);
    uint64_t distance = UINT64_MAX;
    noon = noon > INT64_MAX - RECORDING_DAY ? noon : noon + RECORDING_DAY;
    for (unsigned i = 0; i < DAYS_MAX && noon >= first - 2 * RECORDING_DAY; i++) {
        int64_t time = recording_on_day(noon, clock, fraction);
        size_t nearest = recording_nearest(range, time);
        uint64_t here = recording_distance(range->moments[nearest].taken_at_ns, time);
        if (here < distance) {
            distance = here;
            best = time;
        }
        if (here < RECORDING_SLACK) {
            break;
        }
        noon -= RECORDING_DAY;
    }
    return recording_find_time(range, text, best, ret);
}

/* The complaint about TEXT. */
static struct error *recording_not_a_moment(const char *text)
{
    return error_advise(error_create(ERROR_USAGE, "@%s names no moment of a recording", text),
                        "one of @first, @last, @3 (the third), @+30s, @-30s, @10:00, @10:00:05, "
                        "@2026-11-24T10:00:05Z");
}

/* Finds a number of a list, from 1. */
static struct error *recording_find_number(const struct recording_range *range, const char *text,
                                           size_t *ret)
{
    size_t number = 0;
    for (const char *digit = text; *digit != '\0' && number <= range->count; digit++) {
        number = number * 10 + (size_t)(*digit - '0');
    }
    if (number == 0 || number > range->count) {
        return error_create(ERROR_NOT_FOUND, "@%s: the recording has the snapshots 1 to %zu", text,
                            range->count);
    }
    *ret = number - 1;
    return NULL;
}

/* Finds a time relative to the first or last snapshot. */
static struct error *recording_find_offset(const struct recording_range *range, const char *text,
                                           size_t *ret)
{
    int64_t offset, time;
    struct error *error = filter_parse_duration(text + 1, &offset);
    if (error != NULL) {
        error_destroy(error);
        return recording_not_a_moment(text);
    }
    bool over =
        text[0] == '+'
            ? __builtin_add_overflow(range->moments[0].taken_at_ns, offset, &time)
            : __builtin_sub_overflow(range->moments[range->count - 1].taken_at_ns, offset, &time);
    return over ? recording_not_a_moment(text) : recording_find_time(range, text, time, ret);
}

/* Finds a moment. */
struct error *recording_find(const struct recording *recording, const char *text, size_t *ret)
{
    struct recording_range range;
    struct tm clock = {.tm_isdst = -1};
    int64_t time;
    const char *end = text;
    range.moments = recording_moments(recording, &range.count);
    if (strcmp(text, "first") == 0 || strcmp(text, "last") == 0) {
        *ret = text[0] == 'f' ? 0 : range.count - 1;
        return NULL;
    }
    if (text[0] == '+' || text[0] == '-') {
        return recording_find_offset(&range, text, ret);
    }
    if (text[0] != '\0' && strspn(text, "0123456789") == strlen(text)) {
        return recording_find_number(&range, text, ret);
    }
    if (recording_parse_clock(&end, &clock, &time) && *end == '\0') {
        return recording_find_clock(&range, text, &clock, time, ret);
    }
    if (recording_parse_date(text, &time)) {
        return recording_find_time(&range, text, time, ret);
    }
    return recording_not_a_moment(text);
}
