/* The argument list of a frame as the runtime's traceback prints it: its text with a place for each
 * word, and where in the frame the words are. */
#ifndef UNPARK_GORUNTIME_ARGUMENTS_H
#define UNPARK_GORUNTIME_ARGUMENTS_H

#include "image/function.h"

/* The longest stream the compiler emits (internal/abi.TraceArgsMaxLen), hence most words and text.
 */
enum {
    ARGUMENTS_STREAM_MAX = 171,
    ARGUMENTS_SLOTS_MAX = ARGUMENTS_STREAM_MAX / 2,
    ARGUMENTS_TEXT_MAX = ARGUMENTS_STREAM_MAX * 5
};

/* One word: OFFSET bytes behind the frame's argument pointer, SIZE (at most 8) bytes of it count.
 */
struct arguments_slot {
    uint8_t offset;
    uint8_t size;
};

struct arguments {
    struct arguments_slot slots[ARGUMENTS_SLOTS_MAX];
    uint32_t slot_count;
    uint32_t text_size;
    char text[ARGUMENTS_TEXT_MAX]; /* 0x01 stands for a word; not NUL-terminated */
};

/* Reads the argument info of FUNCTION, live at PC (the address that is symbolised). A function
 * without any has an empty list. ERROR_CORRUPT when the stream has no end. */
NODISCARD struct error *arguments_read(const struct function *function, uint64_t pc,
                                       struct arguments *ret);

#endif
