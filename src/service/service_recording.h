/* A moment of a recording as a target. */
#ifndef UNPARK_SERVICE_SERVICE_RECORDING_H
#define UNPARK_SERVICE_SERVICE_RECORDING_H

#include "base/error.h"
#include "snapshot/snapshot.h"

struct service_recording;

/* Opens the moment that TEXT names: the path of a recording, alone (its last moment) or with
 * @MOMENT behind it (snapshot/recording.h says what moments are called). *RET is NULL when TEXT
 * names no recording. A path that exists is taken as it is, whatever it contains. */
NODISCARD struct error *service_recording_open(const char *text, struct service_recording **ret);
void service_recording_close(struct service_recording *recording);

/* Its name in messages: "recording x.unpark". */
const char *service_recording_name(const struct service_recording *recording);

/* Takes the snapshot of the moment. */
NODISCARD struct error *service_recording_load(const struct service_recording *recording,
                                               struct snapshot **ret);

#endif
