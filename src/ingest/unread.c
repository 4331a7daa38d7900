/* Formats that are recognised and not read in this build. Whoever brings a reader takes its line
 * out here. */
#include "ingest/ingest.h"

struct error *ingest_counted_read(const uint8_t *bytes, size_t size,
                                  struct snapshot_builder *builder)
{
    (void)bytes;
    (void)size;
    (void)builder;
    return error_create(ERROR_UNSUPPORTED, "goroutine profiles as text (debug=1) are not read yet");
}
