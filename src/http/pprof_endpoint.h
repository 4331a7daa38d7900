/* The pprof endpoint of a program that has none: what net/http/pprof would answer about its
 * goroutines, for go tool pprof, Parca, Pyroscope and people. */
#ifndef UNPARK_HTTP_PPROF_ENDPOINT_H
#define UNPARK_HTTP_PPROF_ENDPOINT_H

#include "http/http_server.h"
#include "service/service_leaks.h"

struct pprof_endpoint;

struct pprof_endpoint_options {
    struct service *service; /* the target; must outlive the endpoint */
    bool stop;               /* a brief stop in each look, for running goroutines' stacks */
    bool scrub;              /* secrets are taken out of what leaves */
    uint64_t max_stop_ns;    /* longest stop of a look or a proof; 0: no limit */
};

/* An endpoint for a target that can be read: one look is taken here, to be sure of that. */
NODISCARD struct error *pprof_endpoint_create(const struct pprof_endpoint_options *options,
                                              struct pprof_endpoint **ret);

/* Frees it; no request may be under way. NULL is fine. */
void pprof_endpoint_destroy(struct pprof_endpoint *endpoint);

/* Answers requests; CONTEXT is the endpoint. Requests that come while a look is taken share it, and
 * leaks are not proved again within a second of the last proof. */
http_handler pprof_endpoint_handle;

/* Waits until DESCRIPTOR is readable (NULL) or the target has ended (ERROR_GONE, which says so). */
NODISCARD struct error *pprof_endpoint_wait(struct pprof_endpoint *endpoint, int descriptor);

/* What is served, "process 4711"; lives as long as the endpoint. */
const char *pprof_endpoint_name(const struct pprof_endpoint *endpoint);

#endif
