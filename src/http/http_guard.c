#include "http/http_guard.h"
#include "base/cleanup.h"
#include "base/string_builder.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

enum { HTTP_PORT = 80, HTTPS_PORT = 443, HTTP_ADDRESS_MAX = 64 };

/* Parses the port behind the last colon. */
static bool http_guard_parse_port(const char *text, uint16_t *ret)
{
    char *end;
    if (*text < '0' || *text > '9' || strlen(text) > 5) {
        return false;
    }
    unsigned long port = strtoul(text, &end, 10);
    *ret = (uint16_t)port;
    return *end == '\0' && port <= UINT16_MAX;
}

/* Sets ADDRESS to the numeric HOST, which may be "" for every one. */
static bool http_guard_parse_host(const char *host, uint16_t port, struct http_address *ret)
{
    struct sockaddr_in *four = (struct sockaddr_in *)&ret->socket;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&ret->socket;
    size_t size = strlen(host);
    char inside[HTTP_ADDRESS_MAX];
    *ret = (struct http_address){0};
    if (size > 2 && host[0] == '[' && host[size - 1] == ']' && size < sizeof inside) {
        memcpy(inside, host + 1, size - 2);
        inside[size - 2] = '\0';
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(port);
        ret->size = sizeof *six;
        ret->any = inet_pton(AF_INET6, inside, &six->sin6_addr) == 1 &&
                   IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr);
        ret->loopback = IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
        return inet_pton(AF_INET6, inside, &six->sin6_addr) == 1;
    }
    const char *number = *host == '\0'                    ? "0.0.0.0"
                         : strcmp(host, "localhost") == 0 ? "127.0.0.1"
                                                          : host;
    four->sin_family = AF_INET;
    four->sin_port = htons(port);
    ret->size = sizeof *four;
    if (inet_pton(AF_INET, number, &four->sin_addr) != 1) {
        return false;
    }
    ret->any = four->sin_addr.s_addr == htonl(INADDR_ANY);
    ret->loopback = ntohl(four->sin_addr.s_addr) >> 24 == 127;
    return true;
}

struct error *http_guard_parse_address(const char *text, struct http_address *ret)
{
    const char *colon = strrchr(text, ':');
    char host[HTTP_ADDRESS_MAX];
    uint16_t port;
    size_t size = colon == NULL ? 0 : (size_t)(colon - text);
    if (colon != NULL && size < sizeof host && http_guard_parse_port(colon + 1, &port)) {
        memcpy(host, text, size);
        host[size] = '\0';
        if (http_guard_parse_host(host, port, ret)) {
            return NULL;
        }
    }
    return error_advise(error_create(ERROR_USAGE, "'%s' is no address to listen at", text),
                        "a number and a port: 127.0.0.1:6060, [::1]:6060, 127.0.0.1:0 for any "
                        "free port");
}

/* Lets Host say the SIZE bytes at NAME, with the port unless it goes without saying. */
static struct error *http_guard_add(struct http_guard *guard, const char *name)
{
    struct string_builder whole = {0};
    string_builder_add(&whole, name);
    if (guard->port != (guard->tls ? HTTPS_PORT : HTTP_PORT)) {
        string_builder_format(&whole, ":%u", guard->port);
    }
    char *host;
    struct error *error = string_builder_take(&whole, &host);
    string_builder_deinit(&whole);
    TRY(error);
    error = vector_append(&guard->hosts, host);
    if (error != NULL) {
        free(host);
    }
    return error;
}

struct error *http_guard_set_address(struct http_guard *guard, const struct http_address *address)
{
    static const char *const loopback[] = {"127.0.0.1", "localhost", "[::1]"};
    bool six = address->socket.ss_family == AF_INET6;
    const struct sockaddr_in *in4 = (const struct sockaddr_in *)&address->socket;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->socket;
    guard->port = ntohs(six ? in6->sin6_port : in4->sin_port);
    guard->any_number = address->any;
    for (size_t i = 0; i < sizeof loopback / sizeof *loopback; i++) {
        if (address->loopback || address->any) {
            TRY(http_guard_add(guard, loopback[i]));
        }
    }
    char number[INET6_ADDRSTRLEN];
    char host[INET6_ADDRSTRLEN + 2];
    const void *bytes = six ? (const void *)&in6->sin6_addr : (const void *)&in4->sin_addr;
    if (inet_ntop(address->socket.ss_family, bytes, number, sizeof number) == NULL) {
        return error_errno(errno, "inet_ntop");
    }
    size_t size = strlen(number);
    memcpy(host + six, number, size + 1);
    if (six) {
        host[0] = '[';
        memcpy(host + 1 + size, "]", 2);
    }
    return address->any ? NULL : http_guard_add(guard, host);
}

struct error *http_guard_add_name(struct http_guard *guard, const char *name)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    if (*name == '\0' || name[strspn(name, letters)] != '\0') {
        return error_create(ERROR_USAGE, "'%s' is no name of a machine", name);
    }
    return http_guard_add(guard, name);
}

/* Makes a token of random bytes. */
static struct error *http_guard_make_token(char **ret)
{
    uint8_t bytes[HTTP_TOKEN_BYTES];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        return error_errno(errno, "no random bytes for a token");
    }
    struct string_builder text = {0};
    for (size_t i = 0; i < sizeof bytes; i++) {
        string_builder_format(&text, "%02x", bytes[i]);
    }
    struct error *error = string_builder_take(&text, ret);
    string_builder_deinit(&text);
    return error;
}

struct error *http_guard_set_token(struct http_guard *guard, const char *token)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~-";
    char *own = NULL;
    if (token == NULL) {
        TRY(http_guard_make_token(&own));
    } else {
        size_t size = strlen(token);
        if (size < HTTP_TOKEN_MIN || size > HTTP_TOKEN_MAX || strspn(token, letters) != size) {
            return error_create(ERROR_USAGE, "a token has %d to %d letters, digits and . _ ~ -",
                                HTTP_TOKEN_MIN, HTTP_TOKEN_MAX);
        }
        own = strdup(token);
    }
    if (own == NULL) {
        return error_no_memory();
    }
    free(guard->token);
    guard->token = own;
    return NULL;
}

void http_guard_deinit(struct http_guard *guard)
{
    for (size_t i = 0; i < guard->hosts.count; i++) {
        free(guard->hosts.items[i]);
    }
    vector_deinit(&guard->hosts);
    if (guard->token != NULL) {
        explicit_bzero(guard->token, strlen(guard->token));
    }
    free(guard->token);
    *guard = (struct http_guard){0};
}

/* Whether HOST is a numeric address with our port. No page of a stranger's comes from one by way of
 * a name that was made to lead to us. */
static bool http_guard_is_number(const struct http_guard *guard, const char *host)
{
    struct http_address address = {0};
    struct error *error = http_guard_parse_address(host, &address);
    bool parsed = error == NULL;
    error_destroy(error);
    const struct sockaddr_in *in4 = (const struct sockaddr_in *)&address.socket;
    return parsed && *host != ':' && strncmp(host, "localhost", 9) != 0 &&
           ntohs(in4->sin_port) == guard->port; /* NOLINT(clang-analyzer-core.CallAndMessage): set
                                                   when PARSED; sin6_port lies in the same place */
}

bool http_guard_allows_host(const struct http_guard *guard, const char *host)
{
    if (host == NULL) {
        return false;
    }
    for (size_t i = 0; i < guard->hosts.count; i++) {
        if (strcasecmp(guard->hosts.items[i], host) == 0) {
            return true;
        }
    }
    return guard->any_number && http_guard_is_number(guard, host);
}

/* Compares in a time that depends on GIVEN's length alone. */
static bool http_guard_equals(const char *given, const char *wanted)
{
    size_t given_size = strlen(given);
    size_t wanted_size = strlen(wanted);
    unsigned different = given_size != wanted_size;
    for (size_t i = 0; i < given_size; i++) {
        different |= (unsigned char)given[i] ^ (unsigned char)wanted[i % wanted_size];
    }
    return different == 0;
}

bool http_guard_allows_token(const struct http_guard *guard, const char *authorization,
                             const char *query)
{
    static const char bearer[] = "Bearer ";
    if (guard->token == NULL) {
        return true;
    }
    bool headed = authorization != NULL &&
                  strncasecmp(authorization, bearer, sizeof bearer - 1) == 0 &&
                  http_guard_equals(authorization + sizeof bearer - 1, guard->token);
    return headed || (query != NULL && http_guard_equals(query, guard->token));
}

bool http_guard_allows_site(const struct http_guard *guard, const char *site, const char *origin)
{
    static const char http[] = "http://";
    static const char https[] = "https://";
    if (site != NULL && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0) {
        return false;
    }
    const char *scheme = guard->tls ? https : http;
    return origin == NULL || (strncmp(origin, scheme, strlen(scheme)) == 0 &&
                              http_guard_allows_host(guard, origin + strlen(scheme)));
}
