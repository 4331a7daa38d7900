/* The sockets of a network namespace by inode; no other room includes it. */
#ifndef UNPARK_TARGET_PROCESS_SOCKETS_H
#define UNPARK_TARGET_PROCESS_SOCKETS_H

#include "base/hash_map.h"
#include "base/vector.h"
#include "target/process.h"

/* The families of sockets that have a table. */
enum process_socket_kind { PROCESS_SOCKET_TCP, PROCESS_SOCKET_UDP, PROCESS_SOCKET_UNIX };

/* One end of an internet socket. */
struct process_socket_end {
    uint8_t address[16]; /* network order; IPv4 in the first four */
    uint16_t port;
    bool six; /* IPv6 */
};

/* One socket. */
struct process_socket {
    enum process_socket_kind kind;
    uint8_t state; /* of TCP (net/tcp_states.h) or UNIX (net.h's socket_state) */
    struct process_socket_end local;
    struct process_socket_end remote;
    size_t name;   /* UNIX: index in names, 0 for none */
    uint64_t peer; /* UNIX: inode of the other end, 0 unknown */
};

/* How much has been read. */
enum process_sockets_stage {
    PROCESS_SOCKETS_NONE,
    PROCESS_SOCKETS_LISTENERS, /* TCP sockets that listen, if the kernel tells them apart */
    PROCESS_SOCKETS_SMALL,     /* and all of UDP and UNIX */
    PROCESS_SOCKETS_ALL        /* and all of TCP */
};

/* Zero is empty. */
struct process_sockets {
    enum process_sockets_stage stage;
    VECTOR(struct process_socket) items;
    VECTOR(char) names;       /* NUL-terminated, the first is "" */
    struct hash_map by_inode; /* index in items */
};

/* Reads tables of the network namespace that PID is in until the socket INODE is known or all have
 * been read; the cheap ones first, each once. A table that the kernel does not have is empty.
 * SOCKETS starts as zeros; process_sockets_deinit afterwards, also on error. */
NODISCARD struct error *process_sockets_find(struct process_sockets *sockets, pid_t pid,
                                             uint64_t inode);

/* Frees everything. */
void process_sockets_deinit(struct process_sockets *sockets);

/* Parses the text of a table of /proc/net; lines that break the format are skipped. */
NODISCARD struct error *process_sockets_parse(struct process_sockets *sockets,
                                              enum process_socket_kind kind, const char *text);

/* Asks the kernel which unix sockets are connected to which (sock_diag(7)); only for our own
 * network namespace. What cannot be learned stays unknown. */
NODISCARD struct error *process_sockets_find_peers(struct process_sockets *sockets);

/* Appends what socket INODE is, "socket INODE" when it is in no table. */
void process_sockets_describe(const struct process_sockets *sockets, uint64_t inode,
                              struct string_builder *ret);

#endif
