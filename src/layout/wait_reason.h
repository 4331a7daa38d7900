/* Why a goroutine waits, in one numbering for all releases. */
#ifndef UNPARK_LAYOUT_WAIT_REASON_H
#define UNPARK_LAYOUT_WAIT_REASON_H

#include <stddef.h>

enum wait_reason {
#define WAIT_REASON(name, text) WAIT_REASON_##name,
#include "layout/wait_reasons.def"
#undef WAIT_REASON
    WAIT_REASON_COUNT
};

/* The runtime's text of REASON ("chan receive"); "" for WAIT_REASON_NONE. Static. */
const char *wait_reason_text(enum wait_reason reason);

/* The reason whose text equals the SIZE bytes at TEXT, or WAIT_REASON_COUNT. */
enum wait_reason wait_reason_parse(const char *text, size_t size);

#endif
