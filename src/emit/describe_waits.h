/* One item of a wait summary in words. */
#ifndef UNPARK_EMIT_DESCRIBE_WAITS_H
#define UNPARK_EMIT_DESCRIBE_WAITS_H

#include "base/string_builder.h"
#include "emit/wait_summary.h"

/* Appends what ITEM stands for: an object as describe_object has it, "3 channels, e.g. chan int
 * ...", "due in 2s to 10s". Names of the target's are escaped. */
NODISCARD struct error *describe_waits_object(struct string_builder *builder,
                                              struct snapshot *snapshot,
                                              const struct wait_summary_item *item);

/* Appends every item with its verb, in one line: "waits to receive from ... or to send to ...";
 * nothing when nothing is known. */
NODISCARD struct error *describe_waits_line(struct string_builder *builder,
                                            struct snapshot *snapshot,
                                            const struct wait_summary *summary);

#endif
