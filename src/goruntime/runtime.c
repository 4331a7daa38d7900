#include "base/cleanup.h"
#include "base/clock.h"
#include "base/string_builder.h"
#include "goruntime/globals.h"
#include "goruntime/internal.h"
#include "goruntime/self_check.h"
#include <stdlib.h>

enum { RUNTIME_ATTEMPTS = 4, RUNTIME_PAUSE_NS = 1000000 };

CLEANUP_DEFINE(goruntime, struct goruntime, goruntime_destroy)

/* Checks LAYOUT and takes it when it passes. */
static struct error *runtime_try_row(struct goruntime *runtime, const struct layout *layout,
                                     struct self_check *ret)
{
    TRY(self_check_row(runtime->target, runtime->image, layout, &runtime->globals, ret));
    if (self_check_passed(ret)) {
        runtime->layout = layout;
    }
    return NULL;
}

/* Checks the row of RUNTIME's release, more than once: the program may just be changing what is
 * checked, and a neighbour's row may pass a moment later without being right. Then those of its
 * neighbours, nearest first; *FIRST is how the release's own row did. runtime->layout stays NULL
 * when none passes. */
static struct error *runtime_choose_row(struct goruntime *runtime, struct self_check *first)
{
    const struct layout *own = image_layout(runtime->image);
    unsigned attempts = target_kind(runtime->target) == TARGET_KIND_LIVE ? RUNTIME_ATTEMPTS : 1;
    for (unsigned attempt = 0; attempt < attempts && runtime->layout == NULL; attempt++) {
        clock_sleep(attempt * RUNTIME_PAUSE_NS);
        TRY(runtime_try_row(runtime, own, first));
    }
    for (int distance = 0; distance <= LAYOUT_MINOR_MAX - LAYOUT_MINOR_MIN; distance++) {
        const struct layout *layout;
        for (size_t i = 0; (layout = layout_at(i)) != NULL && runtime->layout == NULL; i++) {
            struct self_check check;
            /* An image has a row. NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
            if (layout != own && layout->machine == own->machine &&
                abs(layout->minor - own->minor) == distance) {
                TRY(runtime_try_row(runtime, layout, &check));
            }
        }
    }
    return NULL;
}

/* Writes down what is odd but bearable. */
static struct error *runtime_doubt(struct goruntime *runtime, const struct self_check *first)
{
    const struct layout *own = image_layout(runtime->image);
    struct string_builder text = {0};
    if (runtime->layout != own) {
        string_builder_format(
            &text, "%s does not look as its release should (%s), but as Go 1.%d does",
            image_go_version(runtime->image), first->reason, runtime->layout->minor);
    }
    if (runtime->globals.allm == 0) {
        string_builder_format(&text, "%sthe list of threads was not found",
                              text.size > 0 ? "; " : "");
    }
    if (runtime->globals.semtable == 0) {
        string_builder_format(&text, "%sthe table of semaphores was not found",
                              text.size > 0 ? "; " : "");
    }
    if (text.size == 0) {
        string_builder_deinit(&text);
        return NULL;
    }
    return string_builder_take(&text, &runtime->doubt);
}

/* Finds, chooses, checks. */
struct error *goruntime_create(struct target *target, struct image *image, struct goruntime **ret)
{
    CLEANUP(cleanup_goruntime) struct goruntime *runtime = calloc(1, sizeof *runtime);
    if (runtime == NULL) {
        return error_no_memory();
    }
    runtime->target = target;
    runtime->image = image;
    TRY(globals_find_allgs(target, image, &runtime->globals));
    struct self_check first = {0};
    TRY(runtime_choose_row(runtime, &first));
    if (runtime->layout == NULL) {
        return error_create(ERROR_UNSUPPORTED,
                            "%s: the Go runtime (%s) has an unknown layout: %zu of %zu goroutines "
                            "do not fit (%s)",
                            target_name(target), image_go_version(image), first.odd, first.checked,
                            first.reason);
    }
    TRY(globals_find_rest(target, image, runtime->layout, &runtime->globals));
    TRY(runtime_doubt(runtime, &first));
    *ret = TAKE(runtime);
    return NULL;
}

/* Frees what create made. */
void goruntime_destroy(struct goruntime *runtime)
{
    if (runtime != NULL) {
        free(runtime->doubt);
        free(runtime);
    }
}

/* Accessors. */
struct target *goruntime_target(const struct goruntime *runtime)
{
    return runtime->target;
}

/* The image that was given. */
struct image *goruntime_image(const struct goruntime *runtime)
{
    return runtime->image;
}

/* The row that passed. */
const struct layout *goruntime_layout(const struct goruntime *runtime)
{
    return runtime->layout;
}

/* Where the variables are. */
const struct goruntime_globals *goruntime_globals(const struct goruntime *runtime)
{
    return &runtime->globals;
}

const char *goruntime_doubt(const struct goruntime *runtime)
{
    return runtime->doubt;
}
