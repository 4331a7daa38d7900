/* Sockets from /proc/PID/net. Formats (proc(5), net/ipv4/tcp_ipv4.c, net/unix/af_unix.c), one line
 * each: tcp, udp: "SL: LOCAL REMOTE STATE TX:RX TR:WHEN RETRANSMITS UID TIMEOUT INODE ...", the
 * ends as ADDRESS:PORT in hex, addresses in words of the machine's byte order; unix:     "NUM:
 * REFCOUNT PROTOCOL FLAGS TYPE STATE INODE [PATH]", "@" for the NUL of abstract names. */
#include "target/process_sockets.h"

#include "base/cleanup.h"
#include "target/proc.h"
#include "target/process_socket_diag.h"
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    PROCESS_SOCKETS_TABLE_MAX = 512 << 20,
    PROCESS_SOCKETS_TCP_ESTABLISHED = 1, /* include/net/tcp_states.h */
    PROCESS_SOCKETS_TCP_TIME_WAIT = 6,
    PROCESS_SOCKETS_TCP_LISTEN = 10,
    PROCESS_SOCKETS_UNIX_FLAG_LISTEN = 0x10000 /* SO_ACCEPTCON, the FLAGS column */
};

/* TCP states of sockets with a descriptor: all but TIME_WAIT, which have none any more. */
#define PROCESS_SOCKETS_TCP_OPEN (UINT32_MAX & ~(1u << PROCESS_SOCKETS_TCP_TIME_WAIT))

/* Names of TCP states by number; the unremarkable ones are NULL. */
static const char *const process_sockets_states[] = {
    NULL,     NULL,         "syn-sent", "syn-received", "fin-wait-1", "fin-wait-2",  "time-wait",
    "closed", "close-wait", "last-ack", NULL,           "closing",    "syn-received"};

void process_sockets_deinit(struct process_sockets *sockets)
{
    vector_deinit(&sockets->items);
    vector_deinit(&sockets->names);
    hash_map_deinit(&sockets->by_inode);
}

/* Parses ADDRESS:PORT at TEXT. */
static bool process_sockets_end(const char *text, struct process_socket_end *ret)
{
    const char *colon = strchr(text, ':');
    size_t digits = colon == NULL ? 0 : (size_t)(colon - text);
    unsigned port;
    if ((digits != 8 && digits != 32) || sscanf(colon + 1, "%4x", &port) != 1) {
        return false;
    }
    ret->six = digits == 32;
    ret->port = (uint16_t)port;
    for (size_t i = 0; i < digits / 8; i++) {
        char word[9];
        memcpy(word, text + i * 8, 8);
        word[8] = '\0';
        char *end;
        uint32_t value = (uint32_t)strtoul(word, &end, 16);
        if (*end != '\0') {
            return false;
        }
        memcpy(ret->address + i * 4, &value, sizeof value);
    }
    return true;
}

/* Parses a line of an internet table. */
static bool process_sockets_internet(const char *line, struct process_socket *ret,
                                     uint64_t *inode_ret)
{
    char local[48];
    char remote[48];
    unsigned state;
    return sscanf(line, " %*[^:]: %47s %47s %x %*s %*s %*s %*s %*s %" SCNu64, local, remote, &state,
                  inode_ret) == 4 &&
           process_sockets_end(local, &ret->local) && process_sockets_end(remote, &ret->remote) &&
           (ret->state = (uint8_t)state, true);
}

/* Keeps SIZE bytes at NAME; *RET is where. */
static struct error *process_sockets_name(struct process_sockets *sockets, const char *name,
                                          size_t size, size_t *ret)
{
    TRY(vector_reserve(&sockets->names, sockets->names.count + size + 2));
    if (sockets->names.count == 0) {
        sockets->names.items[sockets->names.count++] = '\0';
    }
    *ret = sockets->names.count;
    memcpy(sockets->names.items + sockets->names.count, name, size);
    sockets->names.items[sockets->names.count + size] = '\0';
    sockets->names.count += size + 1;
    return NULL;
}

/* Parses a line of the unix table; *FITS tells whether it is one. */
static struct error *process_sockets_unix(struct process_sockets *sockets, const char *line,
                                          size_t size, struct process_socket *ret,
                                          uint64_t *inode_ret, bool *fits)
{
    unsigned flags;
    unsigned state;
    int behind = 0;
    *fits = sscanf(line, "%*[^:]: %*s %*s %x %*s %x %" SCNu64 "%n", &flags, &state, inode_ret,
                   &behind) == 3 &&
            behind > 0 && (size_t)behind <= size;
    if (!*fits) {
        return NULL;
    }
    ret->state = (flags & PROCESS_SOCKETS_UNIX_FLAG_LISTEN) != 0 ? PROCESS_SOCKETS_TCP_LISTEN : 0;
    const char *name = line + behind;
    size -= (size_t)behind;
    while (size > 0 && *name == ' ') {
        name++;
        size--;
    }
    return size == 0 ? NULL : process_sockets_name(sockets, name, size, &ret->name);
}

struct error *process_sockets_parse(struct process_sockets *sockets, enum process_socket_kind kind,
                                    const char *text)
{
    const char *line = strchr(text, '\n');
    while (line != NULL && *++line != '\0') {
        const char *next = strchr(line, '\n');
        size_t size = next == NULL ? strlen(line) : (size_t)(next - line);
        struct process_socket socket = {.kind = kind};
        uint64_t inode = 0;
        bool fits;
        if (kind == PROCESS_SOCKET_UNIX) {
            TRY(process_sockets_unix(sockets, line, size, &socket, &inode, &fits));
        } else {
            fits = process_sockets_internet(line, &socket, &inode);
        }
        if (fits && inode != 0) {
            TRY(hash_map_put(&sockets->by_inode, inode, sockets->items.count));
            TRY(vector_append(&sockets->items, socket));
        }
        line = next;
    }
    return NULL;
}

/* A table of /proc/PID/net. */
struct process_sockets_table {
    const char *name;
    enum process_socket_kind kind;
};

/* Reads COUNT tables. */
static struct error *process_sockets_read(struct process_sockets *sockets, pid_t pid,
                                          const struct process_sockets_table *tables, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char path[64];
        size_t size;
        CLEANUP_FREE char *text = NULL;
        (void)snprintf(path, sizeof path, "/proc/%d/net/%s", (int)pid, tables[i].name);
        struct error *error = proc_read(path, PROCESS_SOCKETS_TABLE_MAX, &text, &size);
        if (error_catch(&error, ERROR_GONE)) {
            continue;
        }
        TRY(error);
        TRY(process_sockets_parse(sockets, tables[i].kind, text));
    }
    return NULL;
}

/* Reads the next stage; NEAR: the process is in our network namespace. */
static struct error *process_sockets_go_on(struct process_sockets *sockets, pid_t pid, bool near)
{
    static const struct process_sockets_table small[] = {
        {"udp", PROCESS_SOCKET_UDP}, {"udp6", PROCESS_SOCKET_UDP}, {"unix", PROCESS_SOCKET_UNIX}};
    static const struct process_sockets_table tcp[] = {{"tcp", PROCESS_SOCKET_TCP},
                                                       {"tcp6", PROCESS_SOCKET_TCP}};
    bool told = false;
    switch (++sockets->stage) {
    case PROCESS_SOCKETS_LISTENERS:
        return near ? process_socket_diag_tcp(sockets, 1u << PROCESS_SOCKETS_TCP_LISTEN, &told)
                    : NULL;
    case PROCESS_SOCKETS_SMALL:
        TRY(process_sockets_read(sockets, pid, small, sizeof small / sizeof *small));
        return near ? process_sockets_find_peers(sockets) : NULL;
    default:
        if (near) {
            TRY(process_socket_diag_tcp(sockets, PROCESS_SOCKETS_TCP_OPEN, &told));
        }
        return told ? NULL : process_sockets_read(sockets, pid, tcp, sizeof tcp / sizeof *tcp);
    }
}

struct error *process_sockets_find(struct process_sockets *sockets, pid_t pid, uint64_t inode)
{
    while (sockets->stage < PROCESS_SOCKETS_ALL &&
           hash_map_get(&sockets->by_inode, inode) == NULL) {
        bool known;
        TRY(process_sockets_go_on(sockets, pid, proc_same_namespace(pid, "net", &known)));
    }
    return NULL;
}

/* Appends ADDRESS:PORT; IPv4 inside IPv6 is written as IPv4. */
static void process_sockets_add_end(const struct process_socket_end *end,
                                    struct string_builder *ret)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    char text[INET6_ADDRSTRLEN];
    bool four = !end->six || memcmp(end->address, mapped, sizeof mapped) == 0;
    const uint8_t *address = end->six && four ? end->address + sizeof mapped : end->address;
    if (inet_ntop(four ? AF_INET : AF_INET6, address, text, sizeof text) == NULL) {
        return;
    }
    string_builder_format(ret, four ? "%s:%u" : "[%s]:%u", text, end->port);
}

/* True when END names no peer. */
static bool process_sockets_is_unset(const struct process_socket_end *end)
{
    static const uint8_t zero[16];
    return end->port == 0 && memcmp(end->address, zero, end->six ? 16 : 4) == 0;
}

/* Appends an internet socket. */
static void process_sockets_add_internet(const struct process_socket *socket,
                                         struct string_builder *ret)
{
    bool tcp = socket->kind == PROCESS_SOCKET_TCP;
    string_builder_add(ret, tcp ? "tcp " : "udp ");
    process_sockets_add_end(&socket->local, ret);
    if (tcp && socket->state == PROCESS_SOCKETS_TCP_LISTEN) {
        string_builder_add(ret, " listening");
        return;
    }
    if (!process_sockets_is_unset(&socket->remote)) {
        string_builder_add(ret, " -> ");
        process_sockets_add_end(&socket->remote, ret);
    }
    size_t states = sizeof process_sockets_states / sizeof *process_sockets_states;
    if (tcp && socket->state < states && process_sockets_states[socket->state] != NULL) {
        string_builder_format(ret, " %s", process_sockets_states[socket->state]);
    }
}

/* Appends the name of a unix SOCKET; false when it has none. */
static bool process_sockets_add_name(const struct process_sockets *sockets,
                                     const struct process_socket *socket,
                                     struct string_builder *ret)
{
    if (socket->name == 0) {
        return false;
    }
    const char *name = sockets->names.items + socket->name;
    string_builder_add_escaped(ret, name, strlen(name));
    return true;
}

void process_sockets_describe(const struct process_sockets *sockets, uint64_t inode,
                              struct string_builder *ret)
{
    const uint64_t *index = hash_map_get(&sockets->by_inode, inode);
    if (index == NULL) {
        string_builder_format(ret, "socket %" PRIu64, inode);
        return;
    }
    const struct process_socket *socket = &sockets->items.items[*index];
    if (socket->kind != PROCESS_SOCKET_UNIX) {
        process_sockets_add_internet(socket, ret);
        return;
    }
    string_builder_add(ret, "unix ");
    bool named = process_sockets_add_name(sockets, socket, ret);
    if (socket->state == PROCESS_SOCKETS_TCP_LISTEN) {
        string_builder_add(ret, " listening");
    }
    index = socket->peer == 0 ? NULL : hash_map_get(&sockets->by_inode, socket->peer);
    if (index != NULL && sockets->items.items[*index].name != 0) {
        string_builder_add(ret, named ? " -> " : "-> ");
        (void)process_sockets_add_name(sockets, &sockets->items.items[*index], ret);
    } else if (socket->peer != 0) {
        string_builder_format(ret, "%s-> %" PRIu64, named ? " " : "", socket->peer);
    } else if (!named) {
        string_builder_format(ret, "%" PRIu64, inode);
    }
}
