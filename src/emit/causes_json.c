/* The catalogue of causes as JSON, schema "unpark.causes/1" (docs/json.md). */
#include "emit/causes.h"
#include "emit/json_writer.h"
#include "leak/cause_facts.h"
#include "leak/cause_table.h"
#include <string.h>

/* The word for how far CAUSE can be proved. */
static const char *causes_json_proof(const struct cause *cause)
{
    static const char *const words[] = {[CAUSE_PROVABLE] = "provable",
                                        [CAUSE_REACHABLE] = "reachable",
                                        [CAUSE_EVIDENCE] = "evidence",
                                        [CAUSE_BENIGN] = "benign"};
    return words[cause->proof];
}

/* Writes the words for FACTS as an array NAME. */
static void causes_json_facts(struct json_writer *writer, const char *name, uint64_t facts)
{
    json_writer_begin_array(writer, name);
    for (uint64_t left = facts; left != 0; left &= left - 1) {
        bool shown;
        json_writer_text(writer, NULL, cause_facts_text(left & -left, &shown));
    }
    json_writer_end_array(writer);
}

/* Writes one signature. */
static void causes_json_signature(struct json_writer *writer,
                                  const struct cause_signature *signature)
{
    json_writer_begin_object(writer, NULL);
    causes_json_facts(writer, "waits", signature->waits);
    causes_json_facts(writer, "needs", signature->needs);
    causes_json_facts(writer, "excludes", signature->excludes);
    causes_json_facts(writer, "helps", signature->helps);
    json_writer_bool(writer, "function_needed", signature->names == NAMES_MUST);
    json_writer_begin_array(writer, "functions");
    for (const char *at = signature->functions; *at != '\0';) {
        size_t size = strcspn(at, "|");
        json_writer_string(writer, NULL, at, size);
        at += size + (at[size] == '|');
    }
    json_writer_end_array(writer);
    json_writer_end_object(writer);
}

/* Writes one row. */
static void causes_json_row(struct json_writer *writer, const struct cause *cause)
{
    size_t count;
    const struct cause_signature *signatures = cause_signatures(&count);
    json_writer_begin_object(writer, NULL);
    json_writer_text(writer, "id", cause->id);
    json_writer_i64(writer, "number", cause->number);
    json_writer_text(writer, "proof", causes_json_proof(cause));
    json_writer_text(writer, "title", cause->title);
    json_writer_text(writer, "waker", cause->waker);
    json_writer_text(writer, "fix", cause->fix);
    json_writer_begin_array(writer, "signatures");
    for (size_t i = 0; i < count; i++) {
        if (signatures[i].number == cause->number) {
            causes_json_signature(writer, &signatures[i]);
        }
    }
    json_writer_end_array(writer);
    json_writer_end_object(writer);
}

struct error *causes_json_write(const struct cause *cause, struct emit_sink *sink)
{
    struct json_writer writer;
    json_writer_init(&writer, sink);
    json_writer_begin_object(&writer, NULL);
    json_writer_text(&writer, "schema", "unpark.causes/1");
    json_writer_begin_array(&writer, "causes");
    for (size_t i = 0; i < cause_count(); i++) {
        if (cause == NULL || cause == cause_at(i)) {
            causes_json_row(&writer, cause_at(i));
        }
    }
    json_writer_end_array(&writer);
    json_writer_end_object(&writer);
    emit_sink_add(sink, "\n");
    return emit_sink_flush(sink);
}
