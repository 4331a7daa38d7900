/* What goroutines wait for, in words. */
#ifndef UNPARK_EMIT_DESCRIBE_H
#define UNPARK_EMIT_DESCRIBE_H

#include "base/string_builder.h"
#include "snapshot/snapshot.h"

/* Appends a duration of NS nanoseconds, at most three figures of it: "640us", "12.3ms", "45s",
 * "4m10s", "3h05m", "2d04h". Negative ones get a minus sign. */
void describe_duration(struct string_builder *builder, int64_t ns);

/* Appends an object with its address and state: "chan int 0xc000012345 (cap 0, 3 senders, 0
 * receivers)", "Mutex 0xc00001 locked, 12 waiters", "tcp 10.0.0.7:5 -> 10.0.0.9:5432 (fd 7), no
 * deadline". Names of the target's are escaped. */
NODISCARD struct error *describe_object(struct string_builder *builder, struct snapshot *snapshot,
                                        uint32_t index);

/* "channels", "mutexes": the plural of KIND. */
const char *describe_plural(enum snapshot_object_kind kind);

/* What comes before the object: "waits to receive from ", "waits to lock ", "in ". */
const char *describe_verb(enum snapshot_object_kind kind, enum snapshot_direction direction);

/* Words for JSON: "channel", "nil_channel", ...; "receive", "send", ... */
const char *describe_kind(enum snapshot_object_kind kind);
const char *describe_direction(enum snapshot_direction direction);

/* True for wait reasons behind which there is an object that a source can find. */
bool describe_has_object(enum wait_reason reason);

/* Appends string ID of SNAPSHOT escaped, "?" for 0. */
void describe_string(struct string_builder *builder, const struct snapshot *snapshot, uint32_t id);

#endif
