#include "ingest/go_text.h"

struct error *go_text_create(struct snapshot_builder *builder, uint64_t dump, struct go_text **ret)
{
    (void)builder;
    (void)dump;
    (void)ret;
    return error_create(ERROR_UNSUPPORTED, "Go's text is not read yet");
}

void go_text_destroy(struct go_text *text)
{
    (void)text;
}

struct error *go_text_feed(struct go_text *text, const char *bytes, size_t size)
{
    (void)text;
    (void)bytes;
    (void)size;
    return NULL;
}

struct error *go_text_finish(struct go_text *text)
{
    (void)text;
    return NULL;
}
