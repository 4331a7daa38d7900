#include "support.h"
#include "target/target_core.h"
#include <elf.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, CORE_MAX = 64 * PAGE };

/* A core under construction, in memory. */
struct core_image {
    uint8_t bytes[CORE_MAX];
    size_t size;
    size_t headers; /* program headers so far */
    size_t data;    /* where the next segment's bytes go */
};

/* The header of the image. */
static Elf64_Ehdr *core_header(struct core_image *image)
{
    return (Elf64_Ehdr *)image->bytes;
}

/* The program header INDEX of the image. */
static Elf64_Phdr *core_program_header(struct core_image *image, size_t index)
{
    return (Elf64_Phdr *)(image->bytes + sizeof(Elf64_Ehdr)) + index;
}

/* Starts an empty core for MACHINE. */
static struct core_image *core_begin(uint16_t machine)
{
    struct core_image *image = calloc(1, sizeof *image);
    Elf64_Ehdr *header = core_header(image);
    memcpy(header->e_ident, ELFMAG, SELFMAG);
    header->e_ident[EI_CLASS] = ELFCLASS64;
    header->e_ident[EI_DATA] = ELFDATA2LSB;
    header->e_ident[EI_VERSION] = EV_CURRENT;
    header->e_type = ET_CORE;
    header->e_machine = machine;
    header->e_phoff = sizeof *header;
    header->e_phentsize = sizeof(Elf64_Phdr);
    image->data = PAGE;
    image->size = PAGE;
    return image;
}

/* Adds a segment of TYPE with SIZE bytes (filled with FILL when DATA is NULL). */
static Elf64_Phdr *core_add(struct core_image *image, uint32_t type, uint32_t flags,
                            uint64_t address, const void *data, size_t size, uint8_t fill)
{
    Elf64_Phdr *header = core_program_header(image, image->headers++);
    core_header(image)->e_phnum = (uint16_t)image->headers;
    *header = (Elf64_Phdr){.p_type = type,
                           .p_flags = flags,
                           .p_vaddr = address,
                           .p_offset = image->data,
                           .p_filesz = size,
                           .p_memsz = size};
    if (data != NULL) {
        memcpy(image->bytes + image->data, data, size);
    } else {
        memset(image->bytes + image->data, fill, size);
    }
    image->data += (size + PAGE - 1) / PAGE * PAGE;
    image->size = image->data;
    return header;
}

/* Appends a note to BUFFER at *SIZE. */
static void core_note(uint8_t *buffer, size_t *size, uint32_t type, const void *data,
                      uint32_t length)
{
    uint32_t header[3] = {5, length, type};
    memcpy(buffer + *size, header, sizeof header);
    memcpy(buffer + *size + 12, "CORE\0\0\0", 8);
    if (data != NULL) {
        memcpy(buffer + *size + 20, data, length);
    }
    *size += 20 + (length + 3) / 4 * 4;
}

/* The memory file that core_write made last, and its path. */
static int core_file = -1;
static char core_path[64];

/* Writes the first SIZE bytes of the image to a file; returns its path. */
static const char *core_write(const struct core_image *image, size_t size)
{
    if (core_file >= 0) {
        close(core_file);
    }
    core_file = memfd_create("core", MFD_CLOEXEC);
    assert_true(core_file >= 0);
    assert_int_equal(write(core_file, image->bytes, size), size);
    (void)snprintf(core_path, sizeof core_path, "/proc/self/fd/%d", core_file);
    return core_path;
}

/* Later loads win, gaps fault, what is not dumped is unknown, mappings are disjoint. */
static void test_layers(void **state)
{
    (void)state;
    struct core_image *image = core_begin(EM_X86_64);
    core_add(image, PT_LOAD, PF_R | PF_W, 0x10000, NULL, 3 * PAGE, 1);
    core_add(image, PT_LOAD, PF_R, 0x11000, NULL, PAGE, 2);
    core_add(image, PT_LOAD, PF_R, 0x20000, NULL, PAGE, 3)->p_memsz = 2 * PAGE;
    core_add(image, PT_LOAD, PF_R, 0x12800, NULL, PAGE, 4);
    core_add(image, PT_LOAD, PF_R, UINT64_MAX - PAGE + 2, NULL, PAGE, 5);
    struct target *target;
    assert_success(target_open_core(core_write(image, image->size), NULL, &target));
    uint8_t bytes[4 * PAGE];
    struct target_range ranges[] = {
        {.address = 0x10000, .size = sizeof bytes, .destination = bytes},
        {.address = 0x1f000, .size = 1, .destination = bytes},
        {.address = UINT64_MAX, .size = 2, .destination = bytes}};
    assert_success(target_read_ranges(target, ranges, 3));
    assert_int_equal(ranges[0].done, 0x3800);
    assert_int_equal(ranges[1].done, 0);
    assert_int_equal(ranges[2].done, 0);
    assert_int_equal(bytes[0xfff], 1);
    assert_int_equal(bytes[0x1000], 2);
    assert_int_equal(bytes[0x1fff], 2);
    assert_int_equal(bytes[0x2000], 1);
    assert_int_equal(bytes[0x27ff], 1);
    assert_int_equal(bytes[0x2800], 4);
    assert_success(target_read(target, 0x20000, bytes, PAGE));
    assert_error(target_read(target, 0x20001, bytes, PAGE), ERROR_FAULT);
    size_t count;
    const struct target_mapping *mappings = target_mappings(target, &count);
    assert_int_equal(count, 3);
    for (size_t i = 1; i < count; i++) {
        assert_true(mappings[i - 1].end <= mappings[i].start);
    }
    assert_int_equal(target_kind(target), TARGET_KIND_CORE);
    assert_true(target_stop_held(target));
    int descriptor;
    assert_error(target_open_file(target, &mappings[0], &descriptor), ERROR_NOT_FOUND);
    target_destroy(target);
    free(image);
}

/* Threads, registers and ids of either machine come from the notes. */
static void test_notes(void **state)
{
    (void)state;
    static const struct {
        uint16_t machine;
        size_t words, pc, sp;
    } kinds[] = {{EM_X86_64, 27, 16, 19}, {EM_AARCH64, 34, 32, 31}};
    for (size_t k = 0; k < 2; k++) {
        uint8_t notes[4 * PAGE];
        size_t size = 0;
        for (uint32_t thread = 0; thread < 3; thread++) {
            uint8_t status[112 + 34 * 8 + 8] = {0};
            uint32_t tid = 100 + thread;
            memcpy(status + 32, &tid, sizeof tid);
            for (uint64_t word = 0; word < kinds[k].words; word++) {
                uint64_t value = word * 1000 + thread;
                memcpy(status + 112 + word * 8, &value, sizeof value);
            }
            core_note(notes, &size, NT_PRSTATUS, status, (uint32_t)(112 + kinds[k].words * 8 + 8));
            core_note(notes, &size, NT_FPREGSET, NULL, 3);
        }
        uint8_t info[136] = {0};
        uint32_t pid = 100;
        memcpy(info + 24, &pid, sizeof pid);
        memcpy(info + 40, "prog", 4);
        core_note(notes, &size, NT_PRPSINFO, info, sizeof info);
        struct core_image *image = core_begin(kinds[k].machine);
        core_add(image, PT_NOTE, 0, 0, notes, size, 0);
        core_add(image, PT_LOAD, PF_R, 0x10000, NULL, PAGE, 1);
        struct target *target;
        assert_success(target_open_core(core_write(image, image->size), NULL, &target));
        struct target_thread *threads;
        size_t count;
        assert_success(target_threads(target, &threads, &count));
        assert_int_equal(count, 3);
        assert_int_equal(target_pid(target), 100);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(threads[i].tid, 100 + i);
            assert_int_equal(threads[i].inner_tid, 100 + i);
            assert_true(threads[i].has_registers);
            assert_int_equal(threads[i].registers.pc, kinds[k].pc * 1000 + i);
            assert_int_equal(threads[i].registers.sp, kinds[k].sp * 1000 + i);
        }
        assert_int_equal(threads[1].registers.general[3], (k == 0 ? 12 : 3) * 1000 + 1);
        free(threads);
        target_destroy(target);
        free(image);
    }
}

/* NT_FILE names the mappings; entries of a broken list are not believed. */
static void test_files(void **state)
{
    (void)state;
    struct {
        uint64_t count, page;
        uint64_t ranges[2][3];
        char names[40];
    } list = {2, PAGE, {{0x10000, 0x12000, 3}, {0x20000, 0x21000, 0}}, "/bin/a (deleted)\0/lib/b"};
    for (int variant = 0; variant < 5; variant++) {
        uint8_t notes[PAGE];
        size_t size = 0;
        list.count = variant == 1 ? UINT64_MAX / 24 : variant == 2 ? 3 : 2;
        list.page = variant == 3 ? UINT64_MAX : PAGE;
        list.ranges[1][1] = variant == 4 ? 0 : 0x21000;
        core_note(notes, &size, NT_FILE, &list, sizeof list);
        struct core_image *image = core_begin(EM_X86_64);
        core_add(image, PT_NOTE, 0, 0, notes, size, 0);
        core_add(image, PT_LOAD, PF_R, 0x11000, NULL, PAGE, 1);
        core_add(image, PT_LOAD, PF_R, 0x20000, NULL, PAGE, 1);
        struct target *target;
        assert_success(target_open_core(core_write(image, image->size), NULL, &target));
        size_t count;
        const struct target_mapping *mappings = target_mappings(target, &count);
        assert_int_equal(count, 2);
        if (variant == 0) {
            assert_string_equal(mappings[0].path, "/bin/a");
            assert_true(mappings[0].deleted);
            assert_int_equal(mappings[0].file_offset, 4 * PAGE);
            assert_string_equal(mappings[1].path, "/lib/b");
            assert_false(mappings[1].deleted);
        } else {
            assert_string_equal(mappings[0].path, "");
        }
        target_destroy(target);
        free(image);
    }
}

/* A small executable: one page of headers with a Go build id note, then a page of constants. */
static void core_executable(uint8_t bytes[2 * PAGE], const char *id, uint8_t fill)
{
    memset(bytes, 0, PAGE);
    memset(bytes + PAGE, fill, PAGE);
    Elf64_Ehdr header = {.e_type = ET_EXEC,
                         .e_machine = EM_X86_64,
                         .e_entry = 0x401000,
                         .e_phoff = sizeof header,
                         .e_phentsize = sizeof(Elf64_Phdr),
                         .e_phnum = 2};
    memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    uint32_t length = (uint32_t)strlen(id);
    Elf64_Phdr headers[2] = {{.p_type = PT_NOTE, .p_offset = 3000, .p_filesz = 16 + length},
                             {.p_type = PT_LOAD,
                              .p_flags = PF_R | PF_X,
                              .p_vaddr = 0x400000,
                              .p_filesz = 2 * PAGE,
                              .p_memsz = 2 * PAGE}};
    uint32_t note[4] = {4, length, 4, 0};
    memcpy(&note[3], "Go\0", 4);
    memcpy(bytes, &header, sizeof header);
    memcpy(bytes + sizeof header, headers, sizeof headers);
    if (length > 0) {
        memcpy(bytes + 3000, note, sizeof note);
        memcpy(bytes + 3016, id, length);
    }
}

/* Writes BYTES to a new file in *PATH. */
static void core_write_file(char *path, const uint8_t *bytes, size_t size)
{
    (void)strcpy(path, "/tmp/unpark-test-XXXXXX");
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, bytes, size), size);
    close(descriptor);
}

/* A core of that program: KEPT bytes of its file are dumped. */
static struct core_image *core_of_executable(const uint8_t *bytes, size_t kept)
{
    uint8_t notes[PAGE];
    size_t size = 0;
    uint64_t vector[] = {AT_PHDR, 0x400000 + sizeof(Elf64_Ehdr), AT_ENTRY, 0x401000, AT_NULL, 0};
    core_note(notes, &size, NT_AUXV, vector, sizeof vector);
    struct core_image *image = core_begin(EM_X86_64);
    core_add(image, PT_NOTE, 0, 0, notes, size, 0);
    core_add(image, PT_LOAD, PF_R | PF_X, 0x400000, bytes, kept, 0)->p_memsz = 2 * PAGE;
    core_add(image, PT_LOAD, PF_R | PF_W, 0x500000, NULL, PAGE, 9);
    return image;
}

/* What the core leaves out comes from the executable, when the ids agree. */
static void test_executable(void **state)
{
    (void)state;
    uint8_t bytes[2 * PAGE];
    uint8_t read[2 * PAGE];
    char path[64];
    core_executable(bytes, "abc/def", 7);
    core_write_file(path, bytes, sizeof bytes);
    struct core_image *image = core_of_executable(bytes, PAGE);
    struct target *target;
    assert_success(target_open_core(core_write(image, image->size), path, &target));
    assert_success(target_read(target, 0x400000, read, sizeof read));
    assert_memory_equal(read, bytes, sizeof read);
    const struct target_mapping *mapping = target_find_mapping(target, 0x400000);
    assert_string_equal(mapping->path, path);
    assert_string_equal(target_executable(target), path);
    int descriptor;
    assert_success(target_open_file(target, mapping, &descriptor));
    assert_int_equal(pread(descriptor, read, 4, 0), 4);
    assert_memory_equal(read, ELFMAG, 4);
    close(descriptor);
    target_destroy(target);
    assert_success(target_open_core(core_write(image, image->size), NULL, &target));
    assert_error(target_read(target, 0x400000, read, sizeof read), ERROR_FAULT);
    target_destroy(target);
    unlink(path);
    free(image);
}

/* Another build is refused with both ids; so is one whose contents or place differ when no id
 * tells. */
static void test_mismatch(void **state)
{
    (void)state;
    uint8_t bytes[2 * PAGE];
    uint8_t other[2 * PAGE];
    char path[64];
    struct target *target;
    core_executable(bytes, "abc/def", 7);
    core_executable(other, "abc/xyz\033", 7);
    core_write_file(path, other, sizeof other);
    struct core_image *image = core_of_executable(bytes, PAGE);
    struct error *error = target_open_core(core_write(image, image->size), path, &target);
    assert_non_null(error);
    assert_non_null(strstr(error_message(error), "abc/def"));
    assert_non_null(strstr(error_message(error), "abc/xyz\\x1b"));
    assert_error(error, ERROR_USAGE);
    unlink(path);
    free(image);

    core_executable(bytes, "", 7);
    core_executable(other, "", 8);
    core_write_file(path, other, sizeof other);
    image = core_of_executable(bytes, 2 * PAGE);
    assert_error(target_open_core(core_write(image, image->size), path, &target), ERROR_USAGE);
    unlink(path);
    core_write_file(path, bytes, sizeof bytes);
    assert_success(target_open_core(core_write(image, image->size), path, &target));
    target_destroy(target);
    unlink(path);
    ((Elf64_Ehdr *)bytes)->e_entry++;
    core_write_file(path, bytes, sizeof bytes);
    assert_error(target_open_core(core_write(image, image->size), path, &target), ERROR_USAGE);
    unlink(path);
    assert_error(target_open_core(core_write(image, image->size), "/dev/null", &target),
                 ERROR_USAGE);
    assert_error(target_open_core(core_write(image, image->size), core_path, &target), ERROR_USAGE);
    free(image);
}

/* What is no core of a machine that we read is one clear error. */
static void test_foreign(void **state)
{
    (void)state;
    struct core_image *image = core_begin(EM_X86_64);
    core_add(image, PT_LOAD, PF_R, 0x10000, NULL, PAGE, 1);
    struct target *target;
    Elf64_Ehdr *header = core_header(image);
    header->e_ident[EI_CLASS] = ELFCLASS32;
    assert_error(target_open_core(core_write(image, image->size), NULL, &target),
                 ERROR_UNSUPPORTED);
    header->e_ident[EI_CLASS] = ELFCLASS64;
    header->e_ident[EI_DATA] = ELFDATA2MSB;
    assert_error(target_open_core(core_write(image, image->size), NULL, &target),
                 ERROR_UNSUPPORTED);
    header->e_ident[EI_DATA] = ELFDATA2LSB;
    header->e_machine = EM_S390;
    assert_error(target_open_core(core_write(image, image->size), NULL, &target),
                 ERROR_UNSUPPORTED);
    header->e_machine = EM_X86_64;
    header->e_type = ET_EXEC;
    assert_error(target_open_core(core_write(image, image->size), NULL, &target), ERROR_USAGE);
    header->e_type = ET_CORE;
    header->e_ident[0] = 'x';
    assert_error(target_open_core(core_write(image, image->size), NULL, &target), ERROR_USAGE);
    assert_error(target_open_core(core_write(image, 0), NULL, &target), ERROR_USAGE);
    assert_error(target_open_core("/nonexistent", NULL, &target), ERROR_GONE);
    assert_error(target_open_core("/dev/null", NULL, &target), ERROR_USAGE);
    assert_error(target_open_core("/tmp", NULL, &target), ERROR_USAGE);
    free(image);
}

/* Absurd counts and offsets end in an error or are left out; a cut core opens at any length. */
static void test_absurd(void **state)
{
    (void)state;
    uint8_t notes[PAGE];
    size_t size = 0;
    core_note(notes, &size, NT_PRSTATUS, NULL, 336);
    core_note(notes, &size, NT_FILE, NULL, 100);
    struct core_image *image = core_begin(EM_X86_64);
    core_add(image, PT_NOTE, 0, 0, notes, size, 0);
    core_add(image, PT_LOAD, PF_R, 0x10000, NULL, 2 * PAGE, 1);
    struct target *target;
    for (size_t cut = 0; cut <= image->size; cut += 37) {
        struct error *error = target_open_core(core_write(image, cut), NULL, &target);
        if (error == NULL) {
            uint8_t bytes[2 * PAGE];
            struct target_range range = {
                .address = 0x10000, .size = sizeof bytes, .destination = bytes};
            assert_success(target_read_ranges(target, &range, 1));
            assert_int_equal(range.done, cut <= 2 * PAGE ? 0 : cut - 2 * PAGE);
            target_destroy(target);
        } else {
            assert_true(cut < sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr));
            assert_true(error_code(error) == ERROR_USAGE || error_code(error) == ERROR_CORRUPT);
            error_destroy(error);
        }
    }
    uint32_t huge[3] = {UINT32_MAX, UINT32_MAX, NT_PRSTATUS};
    memcpy(image->bytes + PAGE, huge, sizeof huge);
    assert_success(target_open_core(core_write(image, image->size), NULL, &target));
    target_destroy(target);
    core_program_header(image, 0)->p_offset = UINT64_MAX - 4;
    core_program_header(image, 0)->p_filesz = UINT64_MAX;
    core_program_header(image, 1)->p_offset = UINT64_MAX - 4;
    core_program_header(image, 1)->p_filesz = UINT64_MAX;
    assert_success(target_open_core(core_write(image, image->size), NULL, &target));
    target_destroy(target);
    core_program_header(image, 1)->p_memsz = 0;
    assert_error(target_open_core(core_write(image, image->size), NULL, &target), ERROR_CORRUPT);
    core_header(image)->e_phentsize = 1;
    assert_error(target_open_core(core_write(image, image->size), NULL, &target), ERROR_CORRUPT);
    free(image);
}

/* More program headers than fit the header's field are counted in section header 0. */
static void test_extended_count(void **state)
{
    (void)state;
    struct core_image *image = core_begin(EM_X86_64);
    core_add(image, PT_LOAD, PF_R, 0x10000, NULL, PAGE, 1);
    Elf64_Shdr section = {.sh_info = 1};
    memcpy(image->bytes + 2048, &section, sizeof section);
    core_header(image)->e_phnum = PN_XNUM;
    core_header(image)->e_shoff = 2048;
    struct target *target;
    uint8_t byte;
    assert_success(target_open_core(core_write(image, image->size), NULL, &target));
    assert_success(target_read(target, 0x10fff, &byte, 1));
    target_destroy(target);
    section.sh_info = UINT32_MAX;
    memcpy(image->bytes + 2048, &section, sizeof section);
    assert_error(target_open_core(core_write(image, image->size), NULL, &target), ERROR_LIMIT);
    core_header(image)->e_shoff = UINT64_MAX - 1;
    assert_error(target_open_core(core_write(image, image->size), NULL, &target), ERROR_CORRUPT);
    core_header(image)->e_phnum = 1;
    core_header(image)->e_phoff = UINT64_MAX - 1;
    assert_error(target_open_core(core_write(image, image->size), NULL, &target), ERROR_CORRUPT);
    free(image);
}

/* The layers against a plain array, in random arrangements. */
static void test_space(void **state)
{
    (void)state;
    enum { SPAN = 200, PIECES = 12 };
    int descriptor = memfd_create("space", MFD_CLOEXEC);
    uint8_t file[1000];
    uint32_t random = 1;
    for (size_t i = 0; i < sizeof file; i++) {
        random = random * 1664525u + 1013904223u;
        file[i] = (uint8_t)(random >> 24);
    }
    assert_int_equal(write(descriptor, file, sizeof file), sizeof file);
    for (int round = 0; round < 3000; round++) {
        int expected[SPAN];
        struct target_space space = {0};
        memset(expected, 0xff, sizeof expected);
        for (int i = 0; i < PIECES; i++) {
            random = random * 1664525u + 1013904223u;
            uint64_t start = (random >> 8) % SPAN;
            uint64_t end = start + (random >> 16) % 40;
            uint64_t offset = (random >> 4) % (sizeof file - 40);
            end = end > SPAN ? SPAN : end;
            struct target_space_piece piece = {start, end, offset, descriptor};
            assert_success(target_space_add(&space, piece));
            for (uint64_t at = start; at < end; at++) {
                expected[at] = file[offset + at - start];
            }
        }
        assert_success(target_space_seal(&space));
        for (uint64_t at = 0; at < SPAN; at++) {
            uint8_t byte;
            struct target_range range = {.address = at, .size = 1, .destination = &byte};
            assert_success(target_space_read(&space, &range, 1));
            assert_int_equal(range.done, expected[at] >= 0);
            assert_true(range.done == 0 || byte == expected[at]);
        }
        target_space_deinit(&space);
    }
    close(descriptor);
}

/* Any allocation may fail. */
static struct error *core_work(void *context)
{
    struct target *target;
    struct error *error = target_open_core(core_path, context, &target);
    if (error == NULL) {
        target_destroy(target);
    }
    return error;
}

static void test_memory(void **state)
{
    (void)state;
    uint8_t bytes[2 * PAGE];
    char path[64];
    core_executable(bytes, "abc/def", 7);
    core_write_file(path, bytes, sizeof bytes);
    struct core_image *image = core_of_executable(bytes, PAGE);
    (void)core_write(image, image->size);
    support_exhaust(core_work, path);
    support_exhaust(core_work, NULL);
    unlink(path);
    free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers),   cmocka_unit_test(test_notes),
        cmocka_unit_test(test_files),    cmocka_unit_test(test_executable),
        cmocka_unit_test(test_mismatch), cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_absurd),   cmocka_unit_test(test_extended_count),
        cmocka_unit_test(test_space),    cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
