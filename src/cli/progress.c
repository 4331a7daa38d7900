#include "cli/progress.h"
#include "base/clock.h"
#include "cli/signals.h"
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define PROGRESS_DELAY_NS UINT64_C(300000000)
#define PROGRESS_PERIOD_NS UINT64_C(100000000)

void progress_init(struct progress *progress, const struct terminal *terminal, const char *what)
{
    *progress =
        (struct progress){.what = what, .started = clock_now(), .enabled = terminal->progress};
}

/* Writes SIZE bytes to stderr; that they may not arrive is of no interest. */
static void progress_write(const char *text, int size)
{
    ssize_t written = write(STDERR_FILENO, text, (size_t)size);
    (void)written;
}

void progress_update(void *context, uint64_t done, uint64_t total)
{
    struct progress *progress = context;
    uint64_t now = clock_now();
    if (!progress->enabled || now - progress->started < PROGRESS_DELAY_NS) {
        return;
    }
    uint64_t drawn = atomic_load(&progress->drawn);
    if ((drawn != 0 && now - drawn < PROGRESS_PERIOD_NS) ||
        !atomic_compare_exchange_strong(&progress->drawn, &drawn, now)) {
        return;
    }
    signals_clear_on_death(1);
    char line[128];
    int size =
        total == 0
            ? snprintf(line, sizeof line, "\r\033[K%s: %" PRIu64, progress->what, done)
            : snprintf(line, sizeof line, "\r\033[K%s: %" PRIu64 " of %" PRIu64 " (%" PRIu64 " %%)",
                       progress->what, done, total, done * 100 / total);
    if (size > 0 && size < (int)sizeof line) {
        progress_write(line, size);
    }
}

void progress_deinit(struct progress *progress)
{
    if (atomic_load(&progress->drawn) != 0) {
        progress_write("\r\033[K", 4);
        signals_clear_on_death(0);
    }
}
