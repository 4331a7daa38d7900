/* Runs a command and measures it as a whole process: from before it is started until its output has
 * ended and it was waited for. A program of its own because a large one (an interpreter) spends
 * milliseconds on starting another, and because the kernel counts the memory of who starts a
 * program in that program's peak. bench-launch COMMAND [ARGUMENT]... The command gets the standard
 * input. On the standard output come one line of JSON (wall and processor seconds, peak KiB, bytes
 * that it wrote, exit code or -signal) and the last bytes that it wrote, at most LAUNCH_TAIL. */
#include "base/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { LAUNCH_TAIL = 4096, LAUNCH_PIECE = 64 << 10 };

/* What a command wrote: how much, and its end. */
struct launch_output {
    uint64_t bytes;
    size_t kept;
    char tail[LAUNCH_TAIL];
};

/* Ends the program with one line. */
static _Noreturn void launch_fail(const char *what, int code)
{
    fprintf(stderr, "launch: %s: %s\n", what, strerror(code));
    exit(1);
}

/* Starts COMMAND with its standard output in the pipe OUTPUT and without its errors. */
static pid_t launch_start(char **command, const int output[2])
{
    posix_spawn_file_actions_t actions;
    pid_t pid = -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, output[0]);
    posix_spawn_file_actions_addclose(&actions, output[1]);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    int code = posix_spawnp(&pid, command[0], &actions, NULL, command, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (code != 0) {
        launch_fail(command[0], code);
    }
    return pid;
}

/* Reads FD to its end. */
static void launch_read(int fd, struct launch_output *ret)
{
    static char piece[LAUNCH_PIECE];
    for (;;) {
        ssize_t got = read(fd, piece, sizeof piece);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            launch_fail("read", errno);
        }
        if (got == 0) {
            return;
        }
        size_t size = (size_t)got;
        size_t fresh = size < LAUNCH_TAIL ? size : LAUNCH_TAIL;
        size_t old = ret->kept < LAUNCH_TAIL - fresh ? ret->kept : LAUNCH_TAIL - fresh;
        memmove(ret->tail, ret->tail + ret->kept - old, old);
        memcpy(ret->tail + old, piece + size - fresh, fresh);
        ret->kept = old + fresh;
        ret->bytes += size;
    }
}

/* Seconds of TIME. */
static double launch_seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        launch_fail("usage: launch COMMAND [ARGUMENT]...", EINVAL);
    }
    static struct launch_output output;
    int fds[2];
    if (pipe(fds) != 0) {
        launch_fail("pipe", errno);
    }
    uint64_t start = clock_now();
    pid_t pid = launch_start(argv + 1, fds);
    close(fds[1]);
    launch_read(fds[0], &output);
    int status = 0;
    struct rusage usage;
    while (wait4(pid, &status, 0, &usage) < 0) {
        if (errno != EINTR) {
            launch_fail("wait", errno);
        }
    }
    double wall = (double)(clock_now() - start) / 1e9;
    printf("{\"wall\": %.6f, \"cpu\": %.6f, \"kib\": %ld, \"bytes\": %llu, \"code\": %d}\n", wall,
           launch_seconds(usage.ru_utime) + launch_seconds(usage.ru_stime), usage.ru_maxrss,
           (unsigned long long)output.bytes,
           WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
    fwrite(output.tail, 1, output.kept, stdout);
    return fflush(stdout) == 0 ? 0 : 1;
}
