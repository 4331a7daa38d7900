#include "support.h"
#include "target/process.h"
#include "target/process_socket_diag.h"
#include "target/process_sockets.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Describes descriptor FD of this process; the text is valid until the next call. */
static const char *process_describe(int fd)
{
    static struct string_builder builder;
    struct process_descriptors *descriptors;
    string_builder_clear(&builder);
    if (fd < 0) {
        string_builder_deinit(&builder);
        return NULL;
    }
    assert_success(process_descriptors_create(getpid(), &descriptors));
    assert_success(process_descriptors_describe(descriptors, fd, &builder));
    process_descriptors_destroy(descriptors);
    return string_builder_text(&builder);
}

/* Real descriptors of every kind. */
static void test_descriptors(void **state)
{
    (void)state;
    char expected[128];
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    assert_memory_equal(process_describe(pipes[0]), "pipe ", 5);
    int event = eventfd(0, EFD_CLOEXEC);
    assert_string_equal(process_describe(event), "eventfd");
    FILE *file = fopen("/proc/self/status", "r");
    assert_non_null(file);
    (void)snprintf(expected, sizeof expected, "file /proc/%d/status", (int)getpid());
    assert_string_equal(process_describe(fileno(file)), expected);

    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener >= 0 && bind(listener, (struct sockaddr *)&address, size) == 0) {
        assert_int_equal(listen(listener, 1), 0);
        assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
        (void)snprintf(expected, sizeof expected, "tcp [::1]:%u listening",
                       ntohs(address.sin6_port));
        assert_string_equal(process_describe(listener), expected);
    }
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    size = sizeof four;
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server, (struct sockaddr *)&four, size), 0);
    assert_int_equal(listen(server, 1), 0);
    assert_int_equal(getsockname(server, (struct sockaddr *)&four, &size), 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in own;
    assert_int_equal(connect(client, (struct sockaddr *)&four, size), 0);
    assert_int_equal(getsockname(client, (struct sockaddr *)&own, &size), 0);
    (void)snprintf(expected, sizeof expected, "tcp 127.0.0.1:%u -> 127.0.0.1:%u",
                   ntohs(own.sin_port), ntohs(four.sin_port));
    assert_string_equal(process_describe(client), expected);
    close(client);
    close(server);
    close(listener);
    (void)fclose(file);
    close(event);
    close(pipes[0]);
    close(pipes[1]);
    (void)process_describe(-1);
}

/* What SOCKETS knows about descriptor FD, into RET. */
static void process_socket_text(const struct process_sockets *sockets, int fd,
                                struct string_builder *ret)
{
    struct stat status;
    assert_int_equal(fstat(fd, &status), 0);
    string_builder_clear(ret);
    process_sockets_describe(sockets, status.st_ino, ret);
}

/* A listener is found without reading connections; those are the same whoever tells them. */
static void test_socket_stages(void **state)
{
    (void)state;
    struct process_sockets sockets = {0};
    struct process_sockets connections = {0};
    struct string_builder text = {0};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    struct stat status;
    bool told;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, size), 0);
    assert_success(process_socket_diag_tcp(&connections, UINT32_MAX & ~(1u << 10), &told));
    assert_int_equal(fstat(listener, &status), 0);
    assert_success(process_sockets_find(&sockets, getpid(), status.st_ino));
    process_socket_text(&sockets, listener, &text);
    assert_non_null(strstr(string_builder_text(&text), " listening"));
    if (told) {
        assert_int_equal(sockets.stage, PROCESS_SOCKETS_LISTENERS);
        process_socket_text(&sockets, client, &text);
        assert_memory_equal(string_builder_text(&text), "socket ", 7);
        process_socket_text(&connections, listener, &text);
        assert_memory_equal(string_builder_text(&text), "socket ", 7);
        process_socket_text(&connections, client, &text);
        assert_memory_equal(string_builder_text(&text), "tcp 127.0.0.1:", 14);
    }
    assert_success(process_sockets_find(&sockets, getpid(), 0));
    assert_int_equal(sockets.stage, PROCESS_SOCKETS_ALL);
    process_socket_text(&sockets, client, &text);
    assert_non_null(strstr(string_builder_text(&text), " -> 127.0.0.1:"));
    close(client);
    close(listener);
    string_builder_deinit(&text);
    process_sockets_deinit(&sockets);
    process_sockets_deinit(&connections);
}

/* Unix sockets show their name, and the name of the other end where they have none. */
static void test_unix_sockets(void **state)
{
    (void)state;
    char expected[128];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "unpark-test-%d",
                          (int)getpid());
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server, 1), 0);
    (void)snprintf(expected, sizeof expected, "unix @%s listening", address.sun_path + 1);
    assert_string_equal(process_describe(server), expected);
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, size), 0);
    int accepted = accept4(server, NULL, NULL, SOCK_CLOEXEC);
    assert_true(accepted >= 0);
    (void)snprintf(expected, sizeof expected, "unix -> @%s", address.sun_path + 1);
    assert_string_equal(process_describe(client), expected);
    close(accepted);
    close(client);
    close(server);
    (void)process_describe(-1);
}

/* Tables parse line by line; broken lines are skipped and names are escaped. */
static void test_socket_tables(void **state)
{
    (void)state;
    struct process_sockets sockets = {0};
    struct string_builder builder = {0};
    assert_success(process_sockets_parse(
        &sockets, PROCESS_SOCKET_TCP,
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
        "   0: 0100007F:1F90 0200000A:0050 08 00000000:00000000 00:00000000 00000000  0 0 71 1\n"
        "   1: 0100007F:1F90\n"
        "   2: nonsense:1F90 0200000A:0050 08 00000000:00000000 00:00000000 00000000  0 0 72 1\n"
        "   3: 0000000000000000FFFF00000100007F:0016 00000000000000000000000000000000:0000 0A "
        "00000000:00000000 00:00000000 00000000 0 0 73 1\n"
        "   4: B80D0120000000000000000001000000:0016 B80D0120000000000000000002000000:0017 01 "
        "00000000:00000000 00:00000000 00000000 0 0 74 1"));
    assert_success(process_sockets_parse(
        &sockets, PROCESS_SOCKET_UDP,
        "header\n   0: 0100007F:0035 00000000:0000 07 0:0 00:0 0 0 0 75 1\n"));
    assert_success(
        process_sockets_parse(&sockets, PROCESS_SOCKET_UNIX,
                              "Num       RefCount Protocol Flags    Type St Inode Path\n"
                              "0000: 00000002 00000000 00010000 0001 01 76 /run/a\033[2Jb\n"
                              "0000: 00000003 00000000 00000000 0001 03 77\n"
                              "0000: 00000003 00000000 0000\n"));
    static const struct {
        uint64_t inode;
        const char *text;
    } expected[] = {{71, "tcp 127.0.0.1:8080 -> 10.0.0.2:80 close-wait"},
                    {72, "socket 72"},
                    {73, "tcp 127.0.0.1:22 listening"},
                    {74, "tcp [2001:db8::1]:22 -> [2001:db8::2]:23"},
                    {75, "udp 127.0.0.1:53"},
                    {76, "unix /run/a\\x1b[2Jb listening"},
                    {77, "unix 77"}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        string_builder_clear(&builder);
        process_sockets_describe(&sockets, expected[i].inode, &builder);
        assert_string_equal(string_builder_text(&builder), expected[i].text);
    }
    string_builder_deinit(&builder);
    process_sockets_deinit(&sockets);
}

/* A closed descriptor and an ended process are told apart. */
static void test_descriptor_errors(void **state)
{
    (void)state;
    struct process_descriptors *descriptors;
    struct string_builder builder = {0};
    assert_success(process_descriptors_create(getpid(), &descriptors));
    assert_error(process_descriptors_describe(descriptors, 100000, &builder), ERROR_NOT_FOUND);
    process_descriptors_destroy(descriptors);
    pid_t child = fork();
    if (child == 0) {
        _exit(0);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_success(process_descriptors_create(child, &descriptors));
    assert_error(process_descriptors_describe(descriptors, 0, &builder), ERROR_GONE);
    process_descriptors_destroy(descriptors);
    process_descriptors_destroy(NULL);
    struct process_info info;
    assert_error(process_info_init(&info, child), ERROR_GONE);
    string_builder_deinit(&builder);
}

/* This process is in the list and described as it is. */
static void test_info(void **state)
{
    (void)state;
    pid_t *pids;
    size_t count;
    bool found = false;
    assert_success(process_list(&pids, &count));
    for (size_t i = 0; i < count; i++) {
        assert_true(i == 0 || pids[i - 1] < pids[i]);
        found = found || pids[i] == getpid();
    }
    assert_true(found);
    free(pids);
    struct process_info info;
    assert_success(process_info_init(&info, getpid()));
    assert_int_equal(info.pid, getpid());
    assert_int_equal(info.uid, geteuid());
    assert_int_equal(info.threads, 1);
    assert_int_equal(info.state, 'R');
    assert_true(info.age_ns < 3600u * 1000000000u);
    assert_true(info.resident_bytes > 0);
    assert_int_equal(info.tracer, 0);
    assert_false(info.kernel_thread);
    assert_true(info.executable_known);
    assert_false(info.executable_deleted);
    assert_non_null(strstr(info.executable, "test_target_process"));
    assert_non_null(strstr(info.command_line, "test_target_process"));
    assert_memory_equal(info.command, "test_target_pro", 15);
    assert_true(strlen(info.user) > 0);
    process_info_deinit(&info);
    assert_null(info.user);
}

/* Names per machine, nothing outside of the tables. */
static void test_system_calls(void **state)
{
    (void)state;
    assert_string_equal(process_system_call_name(TARGET_MACHINE_AMD64, 202), "futex");
    assert_string_equal(process_system_call_name(TARGET_MACHINE_ARM64, 98), "futex");
    assert_string_equal(process_system_call_name(TARGET_MACHINE_AMD64, 0), "read");
    assert_string_equal(process_system_call_name(TARGET_MACHINE_ARM64, 462), "mseal");
    assert_null(process_system_call_name(TARGET_MACHINE_AMD64, -1));
    assert_null(process_system_call_name(TARGET_MACHINE_AMD64, 400));
    assert_null(process_system_call_name(TARGET_MACHINE_ARM64, INT64_MAX));
}

/* Any allocation may fail. */
static struct error *process_work(void *context)
{
    (void)context;
    struct process_info info;
    struct process_sockets sockets = {0};
    struct error *error = process_info_init(&info, getpid());
    if (error == NULL) {
        process_info_deinit(&info);
        error = process_sockets_parse(&sockets, PROCESS_SOCKET_UNIX,
                                      "h\n0: 2 0 0 1 01 76 /run/a\n0: 2 0 0 1 01 77 /run/b\n");
    }
    process_sockets_deinit(&sockets);
    return error;
}

static void test_memory(void **state)
{
    (void)state;
    support_exhaust(process_work, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptors),   cmocka_unit_test(test_unix_sockets),
        cmocka_unit_test(test_socket_tables), cmocka_unit_test(test_descriptor_errors),
        cmocka_unit_test(test_socket_stages), cmocka_unit_test(test_info),
        cmocka_unit_test(test_system_calls),  cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
