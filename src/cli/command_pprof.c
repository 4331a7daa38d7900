/* unpark pprof: a pprof endpoint for a program that has none. */
#include "base/cleanup.h"
#include "cli/commands.h"
#include "cli/option_sets.h"
#include "cli/output.h"
#include "cli/signals.h"
#include "http/pprof_endpoint.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

CLEANUP_DEFINE(service, struct service, service_close)
CLEANUP_DEFINE(endpoint, struct pprof_endpoint, pprof_endpoint_destroy)
CLEANUP_DEFINE(server, struct http_server, http_server_destroy)

#define COMMAND_PPROF_LISTEN "127.0.0.1:6060"

enum { COMMAND_PPROF_FILE_MAX = 65536, COMMAND_PPROF_NAMES_MAX = 32 };

static const struct option command_pprof_listen = {.name = "listen",
                                                   .letter = 'l',
                                                   .kind = OPTION_TEXT,
                                                   .parameter = "ADDRESS:PORT",
                                                   .help = "where to listen (" COMMAND_PPROF_LISTEN
                                                           "); port 0: any free one"};
static const struct option command_pprof_token = {
    .name = "token",
    .kind = OPTION_TEXT,
    .parameter = "TOKEN",
    .help = "demand TOKEN of every request; @FILE reads it from FILE; other than loopback "
            "addresses have one in any case"};
static const struct option command_pprof_host = {
    .name = "host",
    .kind = OPTION_TEXT,
    .parameter = "NAME",
    .repeatable = true,
    .help = "a name of this machine that requests may use in their address"};
static const struct option command_pprof_cert = {.name = "cert",
                                                 .kind = OPTION_FILE,
                                                 .parameter = "FILE",
                                                 .help = "serve HTTPS with this certificate (PEM)"};
static const struct option command_pprof_key = {
    .name = "key", .kind = OPTION_FILE, .parameter = "FILE", .help = "and this key (PEM)"};
static const struct option command_pprof_insecure = {
    .name = "insecure",
    .kind = OPTION_FLAG,
    .help = "serve other machines without HTTPS: token and stacks can be read on the way"};
static const struct option command_pprof_stop = {
    .name = "stop",
    .kind = OPTION_FLAG,
    .help = "stop the program briefly for each request, to add the stacks of running goroutines"};

/* Where and to whom. */
static const struct option_group *command_pprof_serve_group(void)
{
    static const struct option *const options[] = {
        &command_pprof_listen, &command_pprof_token,    &command_pprof_host, &command_pprof_cert,
        &command_pprof_key,    &command_pprof_insecure, &option_scrub,       NULL};
    static const struct option_group group = {"Serving", options};
    return &group;
}

/* How the target is treated. */
static const struct option_group *command_pprof_stop_group(void)
{
    static const struct option *const options[] = {&command_pprof_stop, &option_max_stop, NULL};
    static const struct option_group group = {"Stopping", options};
    return &group;
}

/* Reads the small file at PATH as a heap string. */
static struct error *command_pprof_read(const char *path, char **ret)
{
    CLEANUP_CLOSE int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    CLEANUP_FREE char *text = calloc(1, COMMAND_PPROF_FILE_MAX + 1);
    size_t size = 0;
    if (descriptor < 0) {
        return error_errno(errno, "%s", path);
    }
    if (text == NULL) {
        return error_no_memory();
    }
    for (ssize_t got = 1; got > 0 && size < COMMAND_PPROF_FILE_MAX; size += (size_t)got) {
        got = read(descriptor, text + size, COMMAND_PPROF_FILE_MAX - size);
        if (got < 0) {
            return error_errno(errno, "%s", path);
        }
    }
    *ret = TAKE(text);
    return NULL;
}

/* What the endpoint needs of the invocation, owned. */
struct command_pprof_wish {
    struct http_address address;
    char *token, *certificate, *key;
    const char *names[COMMAND_PPROF_NAMES_MAX + 1];
};

/* Frees a wish. */
static void command_pprof_wish_deinit(struct command_pprof_wish *wish)
{
    free(wish->token);
    free(wish->certificate);
    free(wish->key);
}

/* Reads the token that was given, by value or by file. */
static struct error *command_pprof_find_token(const char *text, char **ret)
{
    if (text == NULL) {
        return NULL;
    }
    if (text[0] != '@') {
        *ret = strdup(text);
        return *ret == NULL ? error_no_memory() : NULL;
    }
    TRY(command_pprof_read(text + 1, ret));
    (*ret)[strcspn(*ret, "\r\n")] = '\0';
    return NULL;
}

/* Collects the names of --host. */
static struct error *command_pprof_find_names(const struct options *options, const char **names)
{
    size_t count = 0;
    for (size_t i = 0; i < options->values.count; i++) {
        if (options->values.items[i].option != &command_pprof_host) {
            continue;
        }
        if (count == COMMAND_PPROF_NAMES_MAX) {
            return error_create(ERROR_USAGE, "more than %d names", COMMAND_PPROF_NAMES_MAX);
        }
        names[count++] = options->values.items[i].text;
    }
    return NULL;
}

/* Refuses files that are no PEM of what they should be; TLS itself would not say which is wrong. */
static struct error *command_pprof_check_pem(const struct command_pprof_wish *wish)
{
    if (wish->certificate == NULL) {
        return NULL;
    }
    if (strstr(wish->certificate, "-----BEGIN CERTIFICATE-----") == NULL ||
        strstr(wish->certificate, "-----END CERTIFICATE-----") == NULL) {
        return error_create(ERROR_USAGE, "--cert: no certificate in PEM in it");
    }
    if (strstr(wish->key, "PRIVATE KEY-----") == NULL) {
        return error_create(ERROR_USAGE, "--key: no private key in PEM in it");
    }
    if (strstr(wish->key, "ENCRYPTED") != NULL) {
        return error_advise(error_create(ERROR_USAGE, "--key: it is locked by a password"),
                            "openssl pkey -in KEY -out FILE takes that off");
    }
    return NULL;
}

/* Refuses what would be dangerous or makes no sense. */
static struct error *command_pprof_check(const struct options *options,
                                         const struct command_pprof_wish *wish)
{
    if ((wish->certificate == NULL) != (wish->key == NULL)) {
        return error_create(ERROR_USAGE, "--cert and --key belong together");
    }
    TRY(command_pprof_check_pem(wish));
    if (!wish->address.loopback && wish->certificate == NULL &&
        !options_has(options, &command_pprof_insecure)) {
        return error_advise(error_create(ERROR_USAGE,
                                         "--listen %s can be reached from other machines, without "
                                         "encryption",
                                         options_text(options, &command_pprof_listen)),
                            "give --cert and --key, or --insecure if the network can be trusted");
    }
    return NULL;
}

/* Reads the wish from OPTIONS. */
static struct error *command_pprof_wish_init(const struct options *options,
                                             struct command_pprof_wish *wish)
{
    const char *listen = options_text(options, &command_pprof_listen);
    const char *certificate = options_text(options, &command_pprof_cert);
    const char *key = options_text(options, &command_pprof_key);
    TRY(http_guard_parse_address(listen == NULL ? COMMAND_PPROF_LISTEN : listen, &wish->address));
    TRY(command_pprof_find_token(options_text(options, &command_pprof_token), &wish->token));
    TRY(command_pprof_find_names(options, wish->names));
    if (certificate != NULL) {
        TRY(command_pprof_read(certificate, &wish->certificate));
    }
    if (key != NULL) {
        TRY(command_pprof_read(key, &wish->key));
    }
    return command_pprof_check(options, wish);
}

/* Says on stdout where the endpoint is. */
static struct error *command_pprof_announce(const struct pprof_endpoint *endpoint,
                                            const struct http_server *server)
{
    CLEANUP(output_deinit) struct output output;
    const char *token = http_server_token(server);
    const char *name = pprof_endpoint_name(endpoint);
    TRY(output_init(&output, NULL));
    emit_sink_add(&output.sink, "serving ");
    emit_sink_add_escaped(&output.sink, name, strlen(name));
    emit_sink_add(&output.sink, " at ");
    emit_sink_add(&output.sink, http_server_url(server));
    emit_sink_add(&output.sink, "/debug/pprof/");
    if (token != NULL) {
        emit_sink_add(&output.sink, "?token=");
        emit_sink_add(&output.sink, token);
    }
    emit_sink_add(&output.sink, "\n");
    return output_commit(&output);
}

/* Serves until a signal comes (NULL) or the target ends. The signals are held back by the caller.
 */
static struct error *command_pprof_serve(struct pprof_endpoint *endpoint,
                                         const struct command_pprof_wish *wish)
{
    sigset_t ending;
    (void)sigemptyset(&ending);
    (void)sigaddset(&ending, SIGINT);
    (void)sigaddset(&ending, SIGTERM);
    CLEANUP_CLOSE int descriptor = signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK);
    if (descriptor < 0) {
        return error_errno(errno, "signalfd");
    }
    struct http_server_options options = {.address = &wish->address,
                                          .token = wish->token,
                                          .make_token = !wish->address.loopback,
                                          .names = wish->names,
                                          .certificate = wish->certificate,
                                          .key = wish->key,
                                          .handler = pprof_endpoint_handle,
                                          .context = endpoint};
    CLEANUP(cleanup_server) struct http_server *server = NULL;
    TRY(http_server_create(&options, &server));
    TRY(command_pprof_announce(endpoint, server));
    TRY(pprof_endpoint_wait(endpoint, descriptor));
    struct signalfd_siginfo taken; /* or it would end us when it is let through again */
    (void)!read(descriptor, &taken, sizeof taken);
    return NULL;
}

/* Serves the target. */
static struct error *command_pprof_run(struct invocation *invocation, int *exit_ret)
{
    (void)exit_ret;
    const struct options *options = &invocation->options;
    CLEANUP(command_pprof_wish_deinit) struct command_pprof_wish wish = {.token = NULL};
    TRY(command_pprof_wish_init(options, &wish));
    CLEANUP(cleanup_service) struct service *service = NULL;
    TRY(option_sets_open(options, &service));
    struct pprof_endpoint_options endpoint_options = {.service = service,
                                                      .stop =
                                                          options_has(options, &command_pprof_stop),
                                                      .scrub = options_has(options, &option_scrub),
                                                      .max_stop_ns = option_sets_max_stop(options)};
    CLEANUP(cleanup_endpoint) struct pprof_endpoint *endpoint = NULL;
    TRY(pprof_endpoint_create(&endpoint_options, &endpoint));
    sigset_t old;
    signals_hold(&old);
    struct error *error = command_pprof_serve(endpoint, &wish);
    signals_release(&old);
    return error;
}

const struct command command_pprof = {
    .name = "pprof",
    .summary = "a pprof endpoint for a program that has none",
    .description =
        "Serves what net/http/pprof would serve about the goroutines of TARGET, as if the program "
        "had imported it: /debug/pprof/goroutine with debug=0, 1 and 2, /debug/pprof/goroutineleak "
        "and a page of links at /debug/pprof/. go tool pprof, Parca, Pyroscope and browsers read "
        "it. What else net/http/pprof serves cannot be read from outside.\n\n"
        "Every request looks at the program as it is at that moment; requests that come at the "
        "same "
        "time share a look. goroutineleak proves leaks as unpark leaks does, for which the program "
        "may be stopped (never longer than --max-stop), at most once a second; when nothing can be "
        "proved the answer is 503 and the reason, not an empty profile.\n\n"
        "It ends at SIGINT or SIGTERM, with status 0, or when the program ends, with status 3.\n\n"
        "On a loopback address, which is the default, any user of this machine may ask; with "
        "--token only those who know it, by the header \"Authorization: Bearer TOKEN\" or the "
        "parameter token in the address. Other addresses always have a token, made at random "
        "unless "
        "it is given, and need --cert and --key, or --insecure. Requests must name the server by "
        "an address of its own or a name given with --host.\n\n"
        "With --cert and --key, two PEM files, it serves HTTPS and nothing else, TLS 1.2 or later. "
        "The certificate, with those of its issuers behind it, must hold the name or address that "
        "clients use, in subjectAltName; the key must have no password. Both are read once: after "
        "a renewal start unpark pprof anew. Clients must trust the certificate or its issuer "
        "(curl --cacert, ca_file in the configuration of Parca, Alloy and Prometheus). One that "
        "signs itself:\n\n"
        " openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 \\\n"
        "   -subj /CN=unpark -addext subjectAltName=IP:10.0.0.7,DNS:box7.example \\\n"
        "   -keyout k.pem -out c.pem\n\n"
        "Only what is at hand is served: with seconds= (differences over time) the answer is 400, "
        "and what cannot be read from outside is 404, so switch heap, cpu, block and mutex off in "
        "a scraper's configuration.",
    .arguments = (const struct command_argument[]){{.name = "TARGET"}, {.name = NULL}},
    .options = (option_group_source *const[]){option_group_target, command_pprof_serve_group,
                                              command_pprof_stop_group, option_group_common, NULL},
    .examples =
        (const struct command_example[]){
            {"unpark pprof 4711", "at http://127.0.0.1:6060/debug/pprof/"},
            {"go tool pprof -top http://127.0.0.1:6060/debug/pprof/goroutine",
             "what go tool pprof makes of it"},
            {"unpark pprof name:etcd --listen 10.0.0.7:6060 --token @/run/token --cert c.pem --key "
             "k.pem",
             "for a scraper on another machine"},
            {NULL, NULL},
        },
    .targets = true,
    .run = command_pprof_run,
};
