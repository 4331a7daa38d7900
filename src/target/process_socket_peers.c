/* Who is at the other end of a unix socket: netlink's sock_diag(7) tells, /proc does not. Each
 * message is a struct unix_diag_msg with attributes; UNIX_DIAG_PEER is an inode. */
#include "target/process_socket_diag.h"

#include <linux/rtnetlink.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/socket.h>

/* Takes one socket's message. */
static struct error *process_socket_peers_take(void *context, const void *payload, size_t size)
{
    struct process_sockets *sockets = context;
    const struct unix_diag_msg *message = payload;
    if (size < sizeof *message) {
        return NULL;
    }
    uint64_t *index = hash_map_get(&sockets->by_inode, message->udiag_ino);
    if (index == NULL) {
        return NULL;
    }
    size_t left = size - sizeof *message;
    const uint8_t *position = (const uint8_t *)(message + 1);
    while (left >= sizeof(struct rtattr)) {
        struct rtattr attribute;
        memcpy(&attribute, position, sizeof attribute);
        if (attribute.rta_len < sizeof attribute || attribute.rta_len > left) {
            return NULL;
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
    return NULL;
}

struct error *process_sockets_find_peers(struct process_sockets *sockets)
{
    struct unix_diag_req request = {
        .sdiag_family = AF_UNIX, .udiag_states = UINT32_MAX, .udiag_show = UDIAG_SHOW_PEER};
    bool told; /* what was not stays unknown */
    return process_socket_diag_dump(&request, sizeof request, process_socket_peers_take, sockets,
                                    &told);
}
