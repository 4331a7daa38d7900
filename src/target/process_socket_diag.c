/* One request, a stream of messages up to NLMSG_DONE. Of TCP each is a struct inet_diag_msg
 * (linux/inet_diag.h): ends in network order, the inode. Unlike /proc/net/tcp, whose reader walks
 * the kernel's table of connections twice, the kernel skips that table when only listening sockets
 * are asked for. */
#include "target/process_socket_diag.h"

#include "base/cleanup.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

enum {
    PROCESS_SOCKET_DIAG_BUFFER = 64 << 10,
    PROCESS_SOCKET_DIAG_REQUEST = 64,
    PROCESS_SOCKET_DIAG_READS = 1000000 /* bounds a stream without an end */
};

/* Sends REQUEST; -1 when the kernel does not take it. */
static int process_socket_diag_ask(const void *request, size_t size)
{
    CLEANUP_CLOSE int descriptor = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    struct {
        struct nlmsghdr header;
        uint8_t request[PROCESS_SOCKET_DIAG_REQUEST];
    } message = {.header = {.nlmsg_len = (uint32_t)NLMSG_LENGTH(size),
                            .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                            .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}};
    struct timeval patience = {.tv_sec = 1};
    if (descriptor < 0 || size > sizeof message.request) {
        return -1;
    }
    memcpy(message.request, request, size);
    if (setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        send(descriptor, &message, message.header.nlmsg_len, 0) !=
            (ssize_t)message.header.nlmsg_len) {
        return -1;
    }
    int opened = descriptor;
    descriptor = -1;
    return opened;
}

/* Visits the messages in LEFT bytes of BUFFER; *END: the last one was among them, *RET: and it was
 * no failure. */
static struct error *process_socket_diag_take(struct nlmsghdr *buffer, unsigned left,
                                              process_socket_diag_visitor *visitor, void *context,
                                              bool *end, bool *ret)
{
    for (struct nlmsghdr *header = buffer; NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
        if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR) {
            *ret = header->nlmsg_type == NLMSG_DONE;
            *end = true;
            return NULL;
        }
        if (header->nlmsg_len >= NLMSG_HDRLEN) {
            TRY(visitor(context, NLMSG_DATA(header), header->nlmsg_len - NLMSG_HDRLEN));
        }
    }
    return NULL;
}

struct error *process_socket_diag_dump(const void *request, size_t size,
                                       process_socket_diag_visitor *visitor, void *context,
                                       bool *ret)
{
    *ret = false;
    CLEANUP_CLOSE int descriptor = process_socket_diag_ask(request, size);
    if (descriptor < 0) {
        return NULL;
    }
    CLEANUP_FREE struct nlmsghdr *buffer = malloc(PROCESS_SOCKET_DIAG_BUFFER);
    if (buffer == NULL) {
        return error_no_memory();
    }
    bool end = false;
    for (int i = 0; i < PROCESS_SOCKET_DIAG_READS && !end; i++) {
        ssize_t got = recv(descriptor, buffer, PROCESS_SOCKET_DIAG_BUFFER, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return NULL;
        }
        TRY(process_socket_diag_take(buffer, (unsigned)got, visitor, context, &end, ret));
    }
    return NULL;
}

/* One end of a socket. */
static struct process_socket_end process_socket_diag_end(const struct inet_diag_msg *message,
                                                         const __be32 *address, __be16 port)
{
    struct process_socket_end end = {.port = ntohs(port), .six = message->idiag_family == AF_INET6};
    memcpy(end.address, address, end.six ? 16 : 4);
    return end;
}

/* Adds one TCP socket. */
static struct error *process_socket_diag_visit(void *context, const void *payload, size_t size)
{
    struct process_sockets *sockets = context;
    struct inet_diag_msg message;
    if (size < sizeof message) {
        return NULL;
    }
    memcpy(&message, payload, sizeof message);
    if (message.idiag_inode == 0) {
        return NULL;
    }
    struct process_socket socket = {
        .kind = PROCESS_SOCKET_TCP,
        .state = message.idiag_state,
        .local = process_socket_diag_end(&message, message.id.idiag_src, message.id.idiag_sport),
        .remote = process_socket_diag_end(&message, message.id.idiag_dst, message.id.idiag_dport)};
    TRY(hash_map_put(&sockets->by_inode, message.idiag_inode, sockets->items.count));
    return vector_append(&sockets->items, socket);
}

struct error *process_socket_diag_tcp(struct process_sockets *sockets, uint32_t states, bool *ret)
{
    static const uint8_t families[] = {AF_INET, AF_INET6};
    *ret = true;
    for (size_t i = 0; i < sizeof families && *ret; i++) {
        struct inet_diag_req_v2 request = {
            .sdiag_family = families[i], .sdiag_protocol = IPPROTO_TCP, .idiag_states = states};
        TRY(process_socket_diag_dump(&request, sizeof request, process_socket_diag_visit, sockets,
                                     ret));
    }
    return NULL;
}
