/* The catalogue of causes for people. */
#include "emit/causes.h"
#include "leak/cause_facts.h"
#include "leak/cause_table.h"
#include <string.h>

enum { CAUSES_NAME_WIDTH = 28, CAUSES_WIDTH = 98 };

/* How far a cause can be proved. */
static const char *causes_proof(const struct cause *cause)
{
    switch (cause->proof) {
    case CAUSE_PROVABLE:
        return "can be proved, when nothing that lives reaches what is waited for";
    case CAUSE_REACHABLE:
        return "usually not: what is waited for stays reachable; growth and age speak for it";
    case CAUSE_EVIDENCE:
        return "no: the wait is for the outside world; growth and age speak for it";
    case CAUSE_BENIGN:
        break;
    }
    return "it is no leak, and never reported";
}

/* Writes LABEL and TEXT, in ROLE. */
static void causes_line(const char *label, const char *text, const struct emit_style *style,
                        enum emit_role role, struct emit_sink *sink)
{
    emit_sink_format(sink, "  %-18s", label);
    emit_style_begin(style, sink, role);
    emit_sink_add(sink, text);
    emit_style_end(style, sink, role);
    emit_sink_add(sink, "\n");
}

/* Writes SIZE bytes of TEXT as one of a list behind BEFORE, on a new line when it is full. */
static void causes_item(const char *before, const char *text, size_t size, size_t *column,
                        struct emit_sink *sink)
{
    emit_sink_add(sink, before);
    *column += strlen(before);
    if (*column + size > CAUSES_WIDTH) {
        emit_sink_add(sink, "\n      ");
        *column = strlen("      ");
    }
    emit_sink_add_bytes(sink, text, size);
    *column += size;
}

/* Writes the words for FACTS behind LABEL; nothing for none. */
static void causes_facts(const char *label, uint64_t facts, struct emit_sink *sink)
{
    size_t column = 0;
    for (uint64_t left = facts; left != 0; left &= left - 1) {
        bool shown;
        const char *text = cause_facts_text(left & -left, &shown);
        causes_item(left == facts ? label : "; ", text, strlen(text), &column, sink);
    }
    emit_sink_add(sink, facts == 0 ? "" : "\n");
}

/* Writes the texts of names of functions. */
static void causes_functions(const struct cause_signature *signature, struct emit_sink *sink)
{
    size_t column = 0;
    const char *before = signature->names == NAMES_MUST ? "    needs a function like "
                                                        : "    helped by a function like ";
    for (const char *at = signature->functions; *at != '\0';) {
        size_t size = strcspn(at, "|");
        causes_item(before, at, size, &column, sink);
        before = ", ";
        at += size + (at[size] == '|');
    }
    emit_sink_add(sink, signature->functions[0] == '\0' ? "" : "\n");
}

/* Writes one way to recognise a cause. */
static void causes_signature(const struct cause_signature *signature, struct emit_sink *sink)
{
    causes_facts("  recognised in: ", signature->waits, sink);
    causes_facts("    must hold: ", signature->needs, sink);
    causes_facts("    must not hold: ", signature->excludes, sink);
    causes_facts("    speaks for it: ", signature->helps, sink);
    causes_functions(signature, sink);
}

struct error *causes_text_write_list(const struct emit_style *style, struct emit_sink *sink)
{
    for (size_t i = 0; i < cause_count(); i++) {
        const struct cause *cause = cause_at(i);
        emit_style_begin(style, sink, EMIT_HEADING);
        emit_sink_add(sink, cause->id);
        emit_style_end(style, sink, EMIT_HEADING);
        size_t size = strlen(cause->id);
        emit_sink_add_spaces(sink, size < CAUSES_NAME_WIDTH ? CAUSES_NAME_WIDTH - size : 1);
        emit_sink_format(sink, "%s\n", cause->title);
    }
    return emit_sink_flush(sink);
}

struct error *causes_text_write_one(const struct cause *cause, const struct emit_style *style,
                                    struct emit_sink *sink)
{
    emit_style_begin(style, sink, EMIT_HEADING);
    emit_sink_format(sink, "%s: %s", cause->id, cause->title);
    emit_style_end(style, sink, EMIT_HEADING);
    emit_sink_add(sink, "\n");
    causes_line("should wake it:", cause->waker, style, EMIT_PLAIN, sink);
    causes_line("fix:", cause->fix, style, EMIT_GOOD, sink);
    causes_line("provable:", causes_proof(cause), style, EMIT_PLAIN, sink);
    size_t count;
    const struct cause_signature *signatures = cause_signatures(&count);
    for (size_t i = 0; i < count; i++) {
        if (signatures[i].number == cause->number) {
            causes_signature(&signatures[i], sink);
        }
    }
    emit_sink_format(sink, "  example: docs/causes/%s.md\n", cause->id);
    return emit_sink_flush(sink);
}
