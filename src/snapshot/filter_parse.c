/* Values of filter terms: durations as time.ParseDuration reads them, id ranges, states. */
#include "snapshot/filter_internal.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Units of Go durations; those that begin like a shorter one come first. */
static const struct {
    const char *name;
    int64_t ns;
} filter_units[] = {
    {"ns", 1},       {"us", 1000},      {"\xc2\xb5s", 1000},      {"\xce\xbcs", 1000},
    {"ms", 1000000}, {"s", 1000000000}, {"m", 60 * 1000000000LL}, {"h", 3600 * 1000000000LL},
};

/* The error for a duration that is none. */
static struct error *filter_duration_error(const char *text)
{
    return error_create(ERROR_USAGE, "\"%s\" is not a duration such as 90s, 1m30s or 250ms", text);
}

/* Skips the unit at *TEXT and returns its nanoseconds, 0 when there is none. */
static int64_t filter_duration_unit(const char **text)
{
    for (size_t i = 0; i < sizeof filter_units / sizeof *filter_units; i++) {
        size_t size = strlen(filter_units[i].name);
        if (strncmp(*text, filter_units[i].name, size) == 0) {
            *text += size;
            return filter_units[i].ns;
        }
    }
    return 0;
}

/* Parses one "12.5ms" at *TEXT and adds it to *SUM; false when malformed or too large. */
static bool filter_duration_part(const char **text, int64_t *sum)
{
    const char *p = *text;
    int64_t whole = 0;
    size_t digits = 0;
    for (; isdigit((unsigned char)*p); p++, digits++) {
        if (__builtin_mul_overflow(whole, 10, &whole) ||
            __builtin_add_overflow(whole, *p - '0', &whole)) {
            return false;
        }
    }
    double fraction = 0;
    double scale = 1;
    if (*p == '.') {
        for (p++; isdigit((unsigned char)*p); p++, digits++) {
            scale /= 10;
            fraction += scale * (*p - '0');
        }
    }
    int64_t unit = digits == 0 ? 0 : filter_duration_unit(&p);
    if (unit == 0 || __builtin_mul_overflow(whole, unit, &whole) ||
        __builtin_add_overflow(*sum, whole, sum) ||
        __builtin_add_overflow(*sum, (int64_t)(fraction * (double)unit + 0.5), sum)) {
        return false;
    }
    *text = p;
    return true;
}

/* Parses a duration. */
struct error *filter_parse_duration(const char *text, int64_t *ret)
{
    int64_t sum = 0;
    const char *p = text;
    if (strcmp(text, "0") == 0) {
        *ret = 0;
        return NULL;
    }
    do {
        if (!filter_duration_part(&p, &sum)) {
            return filter_duration_error(text);
        }
    } while (*p != '\0');
    *ret = sum;
    return NULL;
}

/* Parses a decimal id at *TEXT; false when there is none or it does not fit. */
static bool filter_id(const char **text, uint64_t *ret)
{
    const char *p = *text;
    uint64_t value = 0;
    for (; isdigit((unsigned char)*p); p++) {
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value)) {
            return false;
        }
    }
    bool any = p != *text;
    *text = p;
    *ret = value;
    return any;
}

/* Parses "20-30" or "17" at *TEXT. */
static bool filter_id_range(const char **text, struct filter_range *ret)
{
    if (!filter_id(text, &ret->first)) {
        return false;
    }
    ret->last = ret->first;
    if (**text == '-') {
        (*text)++;
        return filter_id(text, &ret->last) && ret->last >= ret->first;
    }
    return true;
}

/* Orders ranges by their first id. */
static int filter_range_compare(const void *a, const void *b)
{
    const struct filter_range *left = a;
    const struct filter_range *right = b;
    return (left->first > right->first) - (left->first < right->first);
}

/* Sorts ranges and joins those that meet; returns how many are left. */
static size_t filter_ranges_join(struct filter_range *ranges, size_t count)
{
    qsort(ranges, count, sizeof *ranges, filter_range_compare);
    size_t kept = 0;
    for (size_t i = 1; i < count; i++) {
        if (ranges[i].first <= ranges[kept].last) {
            if (ranges[i].last > ranges[kept].last) {
                ranges[kept].last = ranges[i].last;
            }
        } else {
            ranges[++kept] = ranges[i];
        }
    }
    return kept + 1;
}

/* Parses a list of ids. */
struct error *filter_parse_ids(const char *text, struct filter_range **ret, size_t *count_ret)
{
    VECTOR(struct filter_range) ranges = {0};
    const char *p = text;
    struct error *error = NULL;
    for (;;) {
        struct filter_range range;
        if (!filter_id_range(&p, &range) || (*p != ',' && *p != '\0')) {
            error = error_create(ERROR_USAGE, "\"%s\" is not a list of ids such as 17 or 17,20-30",
                                 text);
            break;
        }
        error = vector_append(&ranges, range);
        if (error != NULL || *p++ == '\0') {
            break;
        }
    }
    if (error != NULL) {
        vector_deinit(&ranges);
        return error;
    }
    *ret = ranges.items;
    *count_ret = filter_ranges_join(ranges.items, ranges.count);
    return NULL;
}

/* The status of the SIZE bytes at TEXT, or GOROUTINE_STATUS_COUNT. */
static unsigned filter_state(const char *text, size_t size)
{
    unsigned status = 0;
    for (; status < GOROUTINE_STATUS_COUNT; status++) {
        const char *name = goroutine_status_text((enum goroutine_status)status);
        if (strlen(name) == size && strncasecmp(name, text, size) == 0) {
            break;
        }
    }
    return status;
}

/* Parses a list of states. */
struct error *filter_parse_states(const char *text, uint32_t *ret)
{
    uint32_t states = 0;
    for (const char *p = text;; p++) {
        size_t size = strcspn(p, ",");
        unsigned status = filter_state(p, size);
        if (status == GOROUTINE_STATUS_COUNT) {
            return error_create(ERROR_USAGE,
                                "\"%.*s\" is not a state: idle, runnable, running, syscall, "
                                "waiting, copystack, preempted, leaked or unknown",
                                (int)(size > 64 ? 64 : size), p);
        }
        states |= 1u << status;
        p += size;
        if (*p == '\0') {
            *ret = states;
            return NULL;
        }
    }
}
