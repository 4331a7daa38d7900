/* The address space of a process. Format of a line of /proc/PID/maps, proc(5) and
 * fs/proc/task_mmu.c:
 *
 *     START-END rwxp OFFSET MAJOR:MINOR INODE [blanks PATH]
 *
 * numbers in hex but for the inode. In PATH the kernel writes a newline as \012 and nothing else
 * specially. Invariants afterwards: sorted by start, disjoint, start < end. */
#include "target/target_internal.h"

#include "base/cleanup.h"
#include "base/vector.h"
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

static const char target_mappings_deleted[] = " (deleted)";

void target_mappings_deinit(struct target_mapping_list *list)
{
    free(list->items);
    free(list->text);
    memset(list, 0, sizeof *list);
}

/* Parses a number of BASE at *POSITION that AFTER follows; moves behind AFTER. */
static bool target_mappings_number(char **position, unsigned base, char after, uint64_t *ret)
{
    uint64_t value = 0;
    char *digit = *position;
    for (;; digit++) {
        unsigned number;
        if (*digit >= '0' && *digit <= '9') {
            number = (unsigned)(*digit - '0');
        } else if (base == 16 && *digit >= 'a' && *digit <= 'f') {
            number = (unsigned)(*digit - 'a') + 10;
        } else {
            break;
        }
        if (value > (UINT64_MAX - number) / base) {
            return false;
        }
        value = value * base + number;
    }
    if (digit == *position || *digit != after) {
        return false;
    }
    *position = digit + 1;
    *ret = value;
    return true;
}

/* Parses the four permission letters and the blank behind them. */
static bool target_mappings_permissions(char **position, uint32_t *ret)
{
    char *text = *position;
    if (strnlen(text, 5) < 5 || text[4] != ' ') {
        return false;
    }
    *ret = (text[0] == 'r' ? TARGET_PERMISSION_READ : 0u) |
           (text[1] == 'w' ? TARGET_PERMISSION_WRITE : 0u) |
           (text[2] == 'x' ? TARGET_PERMISSION_EXECUTE : 0u);
    *position = text + 5;
    return true;
}

/* Undoes the kernel's \012 in PATH, in place. */
static void target_mappings_unescape(char *path)
{
    char *to = strstr(path, "\\012");
    if (to == NULL) {
        return;
    }
    for (const char *from = to; *from != '\0';) {
        if (strncmp(from, "\\012", 4) == 0) {
            *to++ = '\n';
            from += 4;
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
}

/* Sets the path of MAPPING from the rest of its line, and deleted. */
static void target_mappings_path(char *text, struct target_mapping *mapping)
{
    text += strspn(text, " ");
    size_t size = strlen(text);
    size_t suffix = sizeof target_mappings_deleted - 1;
    if (mapping->inode != 0 && size > suffix &&
        memcmp(text + size - suffix, target_mappings_deleted, suffix) == 0) {
        text[size - suffix] = '\0';
        mapping->deleted = true;
    }
    target_mappings_unescape(text);
    mapping->path = text;
}

/* Parses LINE, which is NUL-terminated and changed in place. */
static bool target_mappings_line(char *line, struct target_mapping *ret)
{
    char *position = line;
    uint64_t major_number;
    uint64_t minor_number;
    memset(ret, 0, sizeof *ret);
    if (!target_mappings_number(&position, 16, '-', &ret->start) ||
        !target_mappings_number(&position, 16, ' ', &ret->end) ||
        !target_mappings_permissions(&position, &ret->permissions) ||
        !target_mappings_number(&position, 16, ' ', &ret->file_offset) ||
        !target_mappings_number(&position, 16, ':', &major_number) ||
        !target_mappings_number(&position, 16, ' ', &minor_number)) {
        return false;
    }
    char after = strchr(position, ' ') == NULL ? '\0' : ' ';
    if (!target_mappings_number(&position, 10, after, &ret->inode)) {
        return false;
    }
    if (after == '\0') {
        position--;
    }
    if (ret->start >= ret->end || major_number > UINT32_MAX || minor_number > UINT32_MAX) {
        return false;
    }
    ret->device = makedev((unsigned)major_number, (unsigned)minor_number);
    target_mappings_path(position, ret);
    return true;
}

struct error *target_mappings_parse(char *text, size_t size, struct target_mapping_list *ret)
{
    VECTOR(struct target_mapping) list = {0};
    memset(ret, 0, sizeof *ret);
    ret->text = text;
    struct error *error = NULL;
    char *end = text + size;
    uint64_t floor = 0;
    for (char *line = text; line < end && error == NULL;) {
        char *stop = memchr(line, '\n', (size_t)(end - line));
        stop = stop == NULL ? end : stop;
        *stop = '\0';
        struct target_mapping mapping;
        if (!target_mappings_line(line, &mapping)) {
            error = error_create(ERROR_CORRUPT, "line %zu of the mappings is not as expected",
                                 list.count + 1);
            break;
        }
        if (mapping.start < floor) {
            mapping.file_offset += floor - mapping.start;
            mapping.start = floor;
        }
        if (mapping.start < mapping.end) {
            floor = mapping.end;
            error = vector_append(&list, mapping);
        }
        line = stop + 1;
    }
    ret->items = list.items;
    ret->count = list.count;
    if (error != NULL) {
        target_mappings_deinit(ret);
    }
    return error;
}

size_t target_mappings_first(const struct target_mapping_list *list, uint64_t address)
{
    size_t low = 0;
    size_t high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->items[middle].end <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const struct target_mapping *target_mappings_find(const struct target_mapping_list *list,
                                                  uint64_t address)
{
    size_t index = target_mappings_first(list, address);
    if (index == list->count || list->items[index].start > address) {
        return NULL;
    }
    return &list->items[index];
}
