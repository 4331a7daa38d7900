/* The bounded cursor: the input is a program of reads over itself. No sequence of reads leaves the
 * window (the sanitizer sees it), and a failed read does not move. */
#include "base/cursor.h"
#include <stdlib.h>

/* Entry point of the fuzzer. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One read chosen by OPERATION; COUNT is its argument where it takes one. */
static struct error *fuzz_read(struct cursor *cursor, uint8_t operation, uint64_t count,
                               uint64_t *ret)
{
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    const uint8_t *bytes;
    const char *text;
    struct cursor part;
    switch (operation % 10) {
    case 0:
        return cursor_u8(cursor, &u8);
    case 1:
        return cursor_u16(cursor, &u16);
    case 2:
        return cursor_u32(cursor, &u32);
    case 3:
        return cursor_u64(cursor, ret);
    case 4:
        return cursor_uvarint(cursor, ret);
    case 5:
        return cursor_string(cursor, &text);
    case 6:
        return cursor_skip(cursor, count);
    case 7:
        TRY(cursor_bytes(cursor, count, &bytes));
        *ret = count == 0 ? 0 : bytes[count - 1];
        return NULL;
    case 8:
        TRY(cursor_sub(cursor, count, "part", &part));
        return cursor_u64(&part, ret);
    default:
        return cursor_seek(cursor, count);
    }
}

/* Runs one program of at most 1,000 reads. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor program;
    struct cursor cursor;
    cursor_init(&program, data, size, "program", 0);
    cursor_init(&cursor, data, size, "window", 0xffffffffffffff00);
    uint64_t count = 0;
    for (int i = 0; i < 1000; i++) {
        uint8_t operation;
        struct error *error = cursor_u8(&program, &operation);
        if (error != NULL) {
            error_destroy(error);
            break;
        }
        const struct cursor before = cursor;
        error = fuzz_read(&cursor, operation, operation >= 128 ? count : operation / 10u, &count);
        bool moved = cursor.position != before.position;
        if (error != NULL && moved && operation % 10 != 8) {
            abort();
        }
        error_destroy(error);
        if (cursor.position < cursor.start || cursor.position > cursor.end) {
            abort();
        }
    }
    return 0;
}
