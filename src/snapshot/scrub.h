/* Taking secrets out of a snapshot before anything made of it leaves the house. */
#ifndef UNPARK_SNAPSHOT_SCRUB_H
#define UNPARK_SNAPSHOT_SCRUB_H

#include "base/string_builder.h"
#include "snapshot/snapshot.h"

/* Removes from SNAPSHOT, in place and for good:
 *   - argument words and lists, of every goroutine;
 *   - labels (goroutines that had some have unknown ones);
 *   - addresses: of g's, of code, of objects (which object is which stays), in the texts of system
 *     calls and notes;
 *   - who talks to whom: descriptors keep their kind ("tcp", "unix listening");
 *   - where things lie: the executable and the source keep their last part, files below a home
 *     directory begin with "~"; of the build settings only those stay that cannot hold a secret.
 * Functions, files and lines, wait reasons, ages, ids, types and the program's version stay.
 * Indices of goroutines and objects and ids of frames and stacks stay what they were, so selections
 * and findings made before are still right; ids of strings and pointers from snapshot_string do
 * not. After an error SNAPSHOT may only be destroyed. */
NODISCARD struct error *snapshot_scrub(struct snapshot *snapshot);

/* Appends TEXT of SIZE bytes with hexadecimal numbers of five digits or more written as "0x..." and
 * home directories as "~", for texts about a snapshot that are kept elsewhere. */
void scrub_text(struct string_builder *builder, const char *text, size_t size);

#endif
