/* What the formats of the wait graph share: words. */
#ifndef UNPARK_EMIT_GRAPH_INTERNAL_H
#define UNPARK_EMIT_GRAPH_INTERNAL_H

#include "emit/graph.h"

/* "1127 goroutines, sync.Mutex.Lock": how many and what they are doing. */
void graph_add_group_state(struct string_builder *builder, const struct graph_view *view,
                           size_t group);

/* "main.worker main.go:54": where; names of the target's are escaped for terminals only. */
void graph_add_group_place(struct string_builder *builder, const struct graph_view *view,
                           size_t group);

/* The object, or how many of what kind with an example. */
NODISCARD struct error *graph_add_object(struct string_builder *builder,
                                         const struct graph_view *view, size_t object);

/* The word on the edge of a wait: "receive", "lock". */
const char *graph_wait_word(const struct wait_graph_wait *wait);

/* The function behind a reach, short, or "": escaped as above. */
void graph_add_reach(struct string_builder *builder, const struct wait_graph_reach *reach);

/* True when all of a group's goroutines are proved stuck. */
bool graph_is_proved(const struct wait_graph_group *group);

/* What is not in the picture, one line without full stop; nothing when all is. */
void graph_add_rest(struct string_builder *builder, const struct graph_view *view);

#endif
