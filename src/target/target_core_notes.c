/* The notes of a core (fs/binfmt_elf.c, include/linux/elfcore.h): header of three 4-byte numbers
 * (name size, description size, type), name and description, both padded to 4. Of each thread
 * NT_PRSTATUS: tid at 32, general registers at 112. Of the process NT_PRPSINFO: id at 24, name at
 * 40; NT_AUXV: pairs of words; NT_FILE: count, page size, count triples start/end/page offset, then
 * count names. */
#include "target/target_core.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/cursor.h"
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TARGET_CORE_NOTE_WINDOW = 64 << 10,
    TARGET_CORE_STATUS_MAX = 1024, /* bytes of NT_PRSTATUS that are looked at */
    TARGET_CORE_STATUS_TID = 32,
    TARGET_CORE_STATUS_REGISTERS = 112,
    TARGET_CORE_INFO_PID = 24,
    TARGET_CORE_INFO_NAME = 40,
    TARGET_CORE_VECTOR_MAX = 4096,
    TARGET_CORE_VECTORS_MAX = 4096,   /* bytes of a note of vector registers that are looked at */
    TARGET_CORE_FILE_MAX = 256 << 20, /* bytes of NT_FILE */
    TARGET_CORE_PAGE_MAX = 1 << 30
};

/* Reads through the file in windows: notes of 100,000 threads need not be in memory at once. */
struct target_core_reader {
    const struct target_core *core;
    uint64_t position;
    uint64_t end;
    uint64_t window; /* file offset of the first byte of bytes */
    size_t size;     /* bytes that are there */
    uint8_t bytes[TARGET_CORE_NOTE_WINDOW];
};

/* Copies SIZE bytes at the position into DESTINATION; false when the file does not hold them. */
static bool target_core_reader_peek(struct target_core_reader *reader, uint8_t *destination,
                                    size_t size)
{
    if (size > reader->end - reader->position) {
        return false;
    }
    size_t done = 0;
    while (done < size) {
        uint64_t at = reader->position + done;
        if (at < reader->window || at - reader->window >= reader->size) {
            ssize_t got =
                pread(reader->core->descriptor, reader->bytes, sizeof reader->bytes, (off_t)at);
            if (got < 0 && errno == EINTR) {
                continue;
            }
            if (got <= 0) {
                return false;
            }
            reader->window = at;
            reader->size = (size_t)got;
        }
        size_t offset = (size_t)(at - reader->window);
        size_t part = reader->size - offset < size - done ? reader->size - offset : size - done;
        memcpy(destination + done, reader->bytes + offset, part);
        done += part;
    }
    return true;
}

/* One thread. */
static struct error *target_core_status(struct target_core *core, struct target_core_reader *reader,
                                        uint64_t size)
{
    uint8_t bytes[TARGET_CORE_STATUS_MAX];
    size_t have = size < sizeof bytes ? (size_t)size : sizeof bytes;
    if (have < TARGET_CORE_STATUS_REGISTERS || !target_core_reader_peek(reader, bytes, have)) {
        return NULL;
    }
    struct target_thread thread = {.tid = bytes_i32(bytes + TARGET_CORE_STATUS_TID)};
    thread.inner_tid = thread.tid;
    thread.has_registers =
        target_registers_decode(core->head.machine, bytes + TARGET_CORE_STATUS_REGISTERS,
                                have - TARGET_CORE_STATUS_REGISTERS, &thread.registers);
    return vector_append(&core->threads, thread);
}

/* The process. */
static void target_core_info(struct target_core *core, struct target_core_reader *reader,
                             uint64_t size)
{
    uint8_t bytes[TARGET_CORE_INFO_NAME + 16];
    if (size < sizeof bytes || !target_core_reader_peek(reader, bytes, sizeof bytes)) {
        return;
    }
    int32_t pid = bytes_i32(bytes + TARGET_CORE_INFO_PID);
    core->facts.pid = pid > 0 ? pid : 0;
    memcpy(core->facts.command, bytes + TARGET_CORE_INFO_NAME, 16);
}

/* The auxiliary vector. */
static void target_core_vector(struct target_core *core, struct target_core_reader *reader,
                               uint64_t size)
{
    uint8_t bytes[TARGET_CORE_VECTOR_MAX];
    size_t have = size < sizeof bytes ? (size_t)size : sizeof bytes;
    if (!target_core_reader_peek(reader, bytes, have)) {
        return;
    }
    for (size_t at = 0; at + 16 <= have; at += 16) {
        uint64_t value = bytes_u64(bytes + at + 8);
        switch (bytes_u64(bytes + at)) {
        case AT_NULL:
            return;
        case AT_PHDR:
            core->facts.headers = value;
            break;
        case AT_ENTRY:
            core->facts.entry = value;
            break;
        case AT_EXECFN:
            core->facts.name_address = value;
            break;
        default:
            break;
        }
    }
}

/* Orders files by start for qsort. */
static int target_core_compare_files(const void *left, const void *right)
{
    const struct target_core_file *a = left;
    const struct target_core_file *b = right;
    return (a->start > b->start) - (a->start < b->start);
}

/* Cuts the kernel's suffix off PATH, in place; true when it was there. */
static bool target_core_cut_deleted(char *path)
{
    static const char suffix[] = " (deleted)";
    size_t size = strlen(path);
    if (size < sizeof suffix || strcmp(path + size - (sizeof suffix - 1), suffix) != 0) {
        return false;
    }
    path[size - (sizeof suffix - 1)] = '\0';
    return true;
}

/* Decodes the description of NT_FILE, SIZE bytes at core->file_text. */
static struct error *target_core_decode_files(struct target_core *core, size_t size)
{
    struct cursor cursor;
    uint64_t count;
    uint64_t page;
    cursor_init(&cursor, core->file_text, size, "NT_FILE", 0);
    TRY(cursor_u64(&cursor, &count));
    TRY(cursor_u64(&cursor, &page));
    if (page == 0 || page > TARGET_CORE_PAGE_MAX || count > cursor_left(&cursor) / 24) {
        return error_create(ERROR_CORRUPT, "NT_FILE: absurd counts");
    }
    struct cursor names = cursor;
    TRY(cursor_skip(&names, count * 24));
    for (uint64_t i = 0; i < count; i++) {
        struct target_core_file file;
        const char *path;
        TRY(cursor_u64(&cursor, &file.start));
        TRY(cursor_u64(&cursor, &file.end));
        TRY(cursor_u64(&cursor, &file.offset));
        TRY(cursor_string(&names, &path));
        file.path = core->file_text + (path - core->file_text);
        if (file.start >= file.end || file.offset > INT64_MAX / page) {
            return error_create(ERROR_CORRUPT, "NT_FILE: absurd range");
        }
        file.offset *= page;
        file.deleted = target_core_cut_deleted(file.path);
        TRY(vector_append(&core->files, file));
    }
    if (core->files.count > 0) {
        qsort(core->files.items, core->files.count, sizeof *core->files.items,
              target_core_compare_files);
    }
    return NULL;
}

/* The mapped files; a broken list is as good as none. */
static struct error *target_core_files(struct target_core *core, struct target_core_reader *reader,
                                       uint64_t size)
{
    if (core->file_text != NULL || size > TARGET_CORE_FILE_MAX ||
        size > reader->end - reader->position) {
        return NULL;
    }
    core->file_text = malloc((size_t)size + 1);
    if (core->file_text == NULL) {
        return error_no_memory();
    }
    if (!target_core_reader_peek(reader, (uint8_t *)core->file_text, (size_t)size)) {
        return NULL;
    }
    core->file_text[size] = '\0';
    struct error *error = target_core_decode_files(core, (size_t)size);
    if (error_catch(&error, ERROR_CORRUPT)) {
        core->files.count = 0;
    }
    return error;
}

/* The vector registers of the thread whose status came last; EXTENDED as for the decoder. The
 * larger note wins, whichever comes first. */
static void target_core_vectors(struct target_core *core, struct target_core_reader *reader,
                                uint64_t size, bool extended)
{
    uint8_t bytes[TARGET_CORE_VECTORS_MAX];
    size_t have = size < sizeof bytes ? (size_t)size : sizeof bytes;
    if (core->threads.count == 0) {
        return;
    }
    struct target_registers *registers = &core->threads.items[core->threads.count - 1].registers;
    if ((!registers->has_vector || extended) && target_core_reader_peek(reader, bytes, have)) {
        target_registers_decode_vector(core->head.machine, bytes, have, extended, registers);
    }
}

/* One note that the kernel wrote; the position is at its description. */
static struct error *target_core_note(struct target_core *core, struct target_core_reader *reader,
                                      uint32_t type, uint64_t size)
{
    switch (type) {
    case NT_FPREGSET:
        target_core_vectors(core, reader, size, false);
        return NULL;
    case NT_PRSTATUS:
        return target_core_status(core, reader, size);
    case NT_PRPSINFO:
        target_core_info(core, reader, size);
        return NULL;
    case NT_AUXV:
        target_core_vector(core, reader, size);
        return NULL;
    case NT_FILE:
        return target_core_files(core, reader, size);
    default:
        return NULL;
    }
}

struct error *target_core_read_notes(struct target_core *core, uint64_t offset, uint64_t size)
{
    if (offset >= core->size) {
        return NULL;
    }
    CLEANUP_FREE struct target_core_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        return error_no_memory();
    }
    reader->core = core;
    reader->position = offset;
    reader->end = size < core->size - offset ? offset + size : core->size;
    for (;;) {
        uint8_t header[12];
        if (!target_core_reader_peek(reader, header, sizeof header)) {
            return NULL;
        }
        uint64_t name_size = ((uint64_t)bytes_u32(header) + 3) & ~(uint64_t)3;
        uint64_t note_size = bytes_u32(header + 4);
        uint64_t padded = (note_size + 3) & ~(uint64_t)3;
        uint8_t name[8] = {0};
        reader->position += sizeof header;
        if (name_size == sizeof name && !target_core_reader_peek(reader, name, sizeof name)) {
            return NULL;
        }
        if (name_size > reader->end - reader->position) {
            return NULL;
        }
        reader->position += name_size;
        if (memcmp(name, "CORE", 5) == 0) {
            TRY(target_core_note(core, reader, bytes_u32(header + 8), note_size));
        } else if (memcmp(name, "LINUX", 6) == 0 && bytes_u32(header + 8) == NT_X86_XSTATE &&
                   core->head.machine == TARGET_MACHINE_AMD64) {
            target_core_vectors(core, reader, note_size, true);
        }
        if (padded > reader->end - reader->position) {
            return NULL;
        }
        reader->position += padded;
    }
}
