/* Asking the kernel about sockets over netlink (sock_diag(7)); no other room includes it. */
#ifndef UNPARK_TARGET_PROCESS_SOCKET_DIAG_H
#define UNPARK_TARGET_PROCESS_SOCKET_DIAG_H

#include "target/process_sockets.h"
#include <linux/netlink.h>

/* Called with each message of an answer: PAYLOAD of SIZE bytes, aligned as netlink aligns. */
typedef struct error *process_socket_diag_visitor(void *context, const void *payload, size_t size);

/* Sends REQUEST (SIZE bytes, at most 64: what follows the netlink header) and visits the answer;
 * *RET is false when the kernel does not answer such requests or did not to the end. An error of
 * the visitor ends it. */
NODISCARD struct error *process_socket_diag_dump(const void *request, size_t size,
                                                 process_socket_diag_visitor *visitor,
                                                 void *context, bool *ret);

/* Adds the TCP sockets of our own network namespace that are in one of STATES (bits 1 << state,
 * net/tcp_states.h) and have an inode; *RET is false when the kernel does not tell. */
NODISCARD struct error *process_socket_diag_tcp(struct process_sockets *sockets, uint32_t states,
                                                bool *ret);

#endif
