/* Who is at the other end of a unix socket: netlink's sock_diag(7) tells, /proc does not. One
 * request, a stream of messages, each a struct unix_diag_msg with attributes; UNIX_DIAG_PEER is an
 * inode. */
#include "target/process_sockets.h"

#include "base/cleanup.h"
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

enum {
    PROCESS_SOCKET_PEERS_BUFFER = 64 << 10,
    PROCESS_SOCKET_PEERS_READS = 100000 /* bounds a stream without an end */
};

/* Asks for every unix socket with its peer; -1 when the kernel does not answer such requests. */
static int process_socket_peers_ask(void)
{
    CLEANUP_CLOSE int descriptor = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    struct {
        struct nlmsghdr header;
        struct unix_diag_req request;
    } message = {.header = {.nlmsg_len = sizeof message,
                            .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                            .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
                 .request = {.sdiag_family = AF_UNIX,
                             .udiag_states = UINT32_MAX,
                             .udiag_show = UDIAG_SHOW_PEER}};
    struct timeval patience = {.tv_sec = 1};
    if (descriptor < 0 ||
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        send(descriptor, &message, sizeof message, 0) != (ssize_t)sizeof message) {
        return -1;
    }
    int opened = descriptor;
    descriptor = -1;
    return opened;
}

/* Takes one socket's message. */
static void process_socket_peers_take(struct process_sockets *sockets, struct nlmsghdr *header)
{
    if (header->nlmsg_len < NLMSG_LENGTH(sizeof(struct unix_diag_msg))) {
        return;
    }
    const struct unix_diag_msg *message = NLMSG_DATA(header);
    uint64_t *index = hash_map_get(&sockets->by_inode, message->udiag_ino);
    if (index == NULL) {
        return;
    }
    size_t left = header->nlmsg_len - NLMSG_LENGTH(sizeof *message);
    const uint8_t *position = (const uint8_t *)(message + 1);
    while (left >= sizeof(struct rtattr)) {
        struct rtattr attribute;
        memcpy(&attribute, position, sizeof attribute);
        if (attribute.rta_len < sizeof attribute || attribute.rta_len > left) {
            return;
        }
        uint32_t peer;
        if (attribute.rta_type == UNIX_DIAG_PEER && attribute.rta_len >= RTA_LENGTH(sizeof peer)) {
            memcpy(&peer, position + RTA_LENGTH(0), sizeof peer);
            sockets->items.items[*index].peer = peer;
        }
        size_t step = RTA_ALIGN(attribute.rta_len);
        step = step < left ? step : left;
        position += step;
        left -= step;
    }
}

struct error *process_sockets_find_peers(struct process_sockets *sockets)
{
    CLEANUP_CLOSE int descriptor = process_socket_peers_ask();
    if (descriptor < 0) {
        return NULL;
    }
    CLEANUP_FREE struct nlmsghdr *buffer = malloc(PROCESS_SOCKET_PEERS_BUFFER);
    if (buffer == NULL) {
        return error_no_memory();
    }
    for (int i = 0; i < PROCESS_SOCKET_PEERS_READS; i++) {
        ssize_t got = recv(descriptor, buffer, PROCESS_SOCKET_PEERS_BUFFER, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return NULL;
        }
        unsigned left = (unsigned)got;
        for (struct nlmsghdr *header = buffer; NLMSG_OK(header, left);
             header = NLMSG_NEXT(header, left)) {
            if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR) {
                return NULL;
            }
            process_socket_peers_take(sockets, header);
        }
    }
    return NULL;
}
