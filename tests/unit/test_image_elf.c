#include "image/build_info.h"
#include "image/elf_file.h"
#include "support.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

/* A file of one text and one data segment, without sections at first. */
enum {
    FILE_SIZE = 0x1000,
    FILE_TEXT = 0x400,  /* offset of the read-only segment, 0x400 bytes */
    FILE_DATA = 0x800,  /* offset of the writable segment, 0x400 bytes */
    FILE_NAMES = 0xc00, /* offset of section names */
    FILE_SECTIONS = 0xd00
};

/* Builds it. */
static void test_file_init(uint8_t *bytes)
{
    memset(bytes, 0, FILE_SIZE);
    Elf64_Ehdr header = {
        .e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
        .e_type = ET_EXEC,
        .e_machine = EM_X86_64,
        .e_phoff = sizeof header,
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 3,
    };
    const Elf64_Phdr segments[] = {
        {.p_type = PT_LOAD,
         .p_flags = PF_R,
         .p_offset = FILE_TEXT,
         .p_vaddr = 0x400400,
         .p_filesz = 0x400},
        {.p_type = PT_LOAD,
         .p_flags = PF_R | PF_W,
         .p_offset = FILE_DATA,
         .p_vaddr = 0x600800,
         .p_filesz = 0x400},
        {.p_type = PT_NOTE, .p_offset = 0x200, .p_filesz = 0x40},
    };
    memcpy(bytes, &header, sizeof header);
    memcpy(bytes + sizeof header, segments, sizeof segments);
    const Elf64_Nhdr note = {.n_namesz = 4, .n_descsz = 5, .n_type = 4};
    memcpy(bytes + 0x200, &note, sizeof note);
    memcpy(bytes + 0x20c, "Go\0\0ab/cd", 9);
    const Elf64_Nhdr gnu = {.n_namesz = 4, .n_descsz = 2, .n_type = NT_GNU_BUILD_ID};
    memcpy(bytes + 0x218, &gnu, sizeof gnu);
    memcpy(bytes + 0x224, "GNU\0\x12\x34", 6);
}

/* Adds section headers: names, and NAME over the data segment. */
static void test_file_add_section(uint8_t *bytes, const char *name)
{
    const Elf64_Shdr sections[] = {
        {.sh_type = SHT_NULL},
        {.sh_type = SHT_STRTAB, .sh_name = 0, .sh_offset = FILE_NAMES, .sh_size = 0x40},
        {.sh_type = SHT_PROGBITS,
         .sh_name = 1,
         .sh_addr = 0x600800,
         .sh_offset = FILE_DATA,
         .sh_size = 0x100},
    };
    memcpy(bytes + FILE_NAMES + 1, name, strlen(name));
    memcpy(bytes + FILE_SECTIONS, sections, sizeof sections);
    Elf64_Ehdr header;
    memcpy(&header, bytes, sizeof header);
    header.e_shoff = FILE_SECTIONS;
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = 3;
    header.e_shstrndx = 1;
    memcpy(bytes, &header, sizeof header);
}

/* A build info blob at AT. */
static void test_put_build_info(uint8_t *at, const char *version)
{
    memcpy(at, BUILD_INFO_MAGIC, BUILD_INFO_MAGIC_SIZE);
    at[14] = 8;
    at[15] = 2;
    at[32] = (uint8_t)strlen(version);
    memcpy(at + 33, version, strlen(version));
}

/* Identifies the SIZE bytes as a file. */
static struct error *test_identify(const uint8_t *bytes, size_t size, struct image_build_info *info,
                                   char **storage)
{
    int descriptor = memfd_create("elf", MFD_CLOEXEC);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, bytes, size), size);
    struct error *error = image_identify_file(descriptor, info, storage);
    close(descriptor);
    return error;
}

/* Identification succeeds and says VERSION. */
static void test_expect_version(const uint8_t *bytes, const char *version)
{
    struct image_build_info info;
    char *storage;
    assert_success(test_identify(bytes, FILE_SIZE, &info, &storage));
    assert_string_equal(info.go_version, version);
    assert_string_equal(info.module, "");
    free(storage);
}

/* Identification fails with CODE. */
static void test_expect_failure(const uint8_t *bytes, size_t size, enum error_code code)
{
    struct image_build_info info;
    char *storage;
    assert_error(test_identify(bytes, size, &info, &storage), code);
}

/* Headers, sections, notes and addresses of a sound file. */
static void test_sound(void **state)
{
    (void)state;
    uint8_t *bytes = support_guarded(NULL, FILE_SIZE);
    struct elf_file file;
    Elf64_Shdr section;
    struct image_bytes note;
    uint64_t address;
    test_file_init(bytes);
    test_file_add_section(bytes, ".go.buildinfo");
    assert_success(elf_file_init(&file, (struct image_bytes){bytes, FILE_SIZE}));
    assert_int_equal(file.segment_count, 3);
    assert_true(elf_file_find_section(&file, ".go.buildinfo", &section));
    assert_ptr_equal(elf_file_section_bytes(&file, &section).data, bytes + FILE_DATA);
    assert_false(elf_file_find_section(&file, ".go", &section));
    assert_true(elf_file_find_note(&file, "Go", 4, &note));
    assert_int_equal(note.size, 5);
    assert_memory_equal(note.data, "ab/cd", 5);
    assert_true(elf_file_find_note(&file, "GNU", NT_GNU_BUILD_ID, &note));
    assert_memory_equal(note.data, "\x12\x34", 2);
    assert_false(elf_file_find_note(&file, "GNU", 77, &note));
    assert_true(elf_file_address(&file, FILE_DATA + 8, &address));
    assert_int_equal(address, 0x600808);
    assert_false(elf_file_address(&file, 0, &address));
    assert_true(elf_file_is_writable(&file, FILE_DATA));
    assert_false(elf_file_is_writable(&file, FILE_TEXT));
    assert_int_equal(elf_file_bytes_at(&file, 0x4007ff).size, 1);
    assert_null(elf_file_bytes_at(&file, 0x400800).data);
    support_guarded_free(bytes, FILE_SIZE);
}

/* Cut anywhere, a file is refused or loses what lies behind the cut. */
static void test_cut(void **state)
{
    (void)state;
    uint8_t whole[FILE_SIZE];
    test_file_init(whole);
    test_file_add_section(whole, ".go.module");
    test_put_build_info(whole + FILE_DATA, "go1.22");
    for (size_t size = 0; size < FILE_SIZE; size += size < 0x300 ? 1 : 97) {
        uint8_t *bytes = support_guarded(whole, size);
        struct elf_file file;
        Elf64_Shdr section;
        struct image_bytes note;
        struct image_build_info info;
        char *storage;
        struct error *error = elf_file_init(&file, (struct image_bytes){bytes, size});
        if (error == NULL) {
            bool complete = size >= FILE_SECTIONS + 3 * sizeof section;
            assert_int_equal(elf_file_find_section(&file, ".go.module", &section), complete);
            (void)elf_file_find_note(&file, "GNU", NT_GNU_BUILD_ID, &note);
            error = build_info_read(&file, &info, &storage);
            if (error == NULL) {
                assert_string_equal(info.go_version, "go1.22");
                free(storage);
            }
        }
        error_destroy(error);
        support_guarded_free(bytes, size);
    }
}

/* Files that are no ELF file for us. */
static void test_refused(void **state)
{
    (void)state;
    uint8_t bytes[FILE_SIZE];
    test_file_init(bytes);
    test_expect_failure(bytes, FILE_SIZE, ERROR_NOT_GO);
    test_expect_failure(bytes, 0, ERROR_NOT_GO);
    test_expect_failure(bytes, 40, ERROR_NOT_GO);
    bytes[EI_CLASS] = ELFCLASS32;
    test_expect_failure(bytes, FILE_SIZE, ERROR_UNSUPPORTED);
    test_file_init(bytes);
    bytes[EI_DATA] = ELFDATA2MSB;
    test_expect_failure(bytes, FILE_SIZE, ERROR_UNSUPPORTED);
    test_file_init(bytes);
    bytes[0] = '#';
    test_expect_failure(bytes, FILE_SIZE, ERROR_NOT_GO);
    test_file_init(bytes);
    memset(bytes + 32, 0xff, 8); /* program headers far outside */
    test_expect_failure(bytes, FILE_SIZE, ERROR_NOT_GO);
    int descriptor = open("/", O_RDONLY | O_CLOEXEC);
    struct image_build_info info;
    char *storage;
    assert_error(image_identify_file(descriptor, &info, &storage), ERROR_NOT_GO);
    close(descriptor);
}

/* Build info by section, and by search of the writable segment where it must be aligned. */
static void test_build_info(void **state)
{
    (void)state;
    uint8_t bytes[FILE_SIZE];
    test_file_init(bytes);
    test_put_build_info(bytes + FILE_DATA + 0x20, "go1.26.1");
    test_expect_version(bytes, "go1.26.1");
    test_file_init(bytes);
    test_put_build_info(bytes + FILE_DATA + 0x28, "go1.26.1");
    test_expect_failure(bytes, FILE_SIZE, ERROR_NOT_GO);
    test_put_build_info(bytes + FILE_DATA + 0x100, "go1.25");
    test_expect_version(bytes, "go1.25");
    test_file_init(bytes);
    test_put_build_info(bytes + FILE_TEXT,
                        "go1.26.1"); /* read-only: only text that looks like it */
    test_expect_failure(bytes, FILE_SIZE, ERROR_NOT_GO);
    test_file_init(bytes);
    test_file_add_section(bytes, ".go.buildinfo");
    test_put_build_info(bytes + FILE_DATA, "go1.20");
    test_expect_version(bytes, "go1.20");
}

/* The pointer form of old releases: version by pointer, as far as the file has it. */
static void test_pointers(void **state)
{
    (void)state;
    uint8_t bytes[FILE_SIZE];
    test_file_init(bytes);
    test_put_build_info(bytes + FILE_DATA, "");
    bytes[FILE_DATA + 15] = 0;
    const uint64_t header[] = {0x400420, 6};
    const uint64_t pointer = 0x600840;
    memcpy(bytes + FILE_DATA + 16, &pointer, sizeof pointer);
    memcpy(bytes + FILE_DATA + 0x40, header, sizeof header);
    memcpy(bytes + FILE_TEXT + 0x20, "go1.16", 6);
    test_expect_version(bytes, "go1.16");
    memset(bytes + FILE_DATA + 0x40, 0xff, 16);
    test_expect_version(bytes, "");
    memset(bytes + FILE_DATA + 16, 0xff, 8);
    test_expect_version(bytes, "");
}

/* Without build info the linker's marks tell Go programs. */
static void test_marks(void **state)
{
    (void)state;
    static const char *const names[] = {".gopclntab", ".data.rel.ro.gopclntab", ".go.module"};
    uint8_t bytes[FILE_SIZE];
    for (size_t i = 0; i < 3; i++) {
        test_file_init(bytes);
        test_file_add_section(bytes, names[i]);
        test_expect_version(bytes, "");
    }
    const uint8_t header[] = {0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8};
    test_file_init(bytes);
    memcpy(bytes + FILE_TEXT + 0x40, header, sizeof header);
    test_expect_failure(bytes, FILE_SIZE, ERROR_NOT_GO);
    for (size_t i = 0; i < 5; i++) {
        bytes[FILE_TEXT + 0x40 + 32 + 8 * i] = (uint8_t)(96 + 16 * i);
    }
    test_expect_version(bytes, "");
    memcpy(bytes + FILE_TEXT + 0x3fa, header, 6); /* cut by the end of the segment */
    test_expect_version(bytes, "");
    bytes[FILE_TEXT + 0x40 + 48] = 96; /* offsets that do not ascend */
    test_expect_failure(bytes, FILE_SIZE, ERROR_NOT_GO);
    bytes[FILE_TEXT + 0x40 + 48] = 96 + 32;
    test_file_add_section(bytes, ".text");
    test_expect_failure(bytes, FILE_SIZE, ERROR_NOT_GO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound),    cmocka_unit_test(test_cut),
        cmocka_unit_test(test_refused),  cmocka_unit_test(test_build_info),
        cmocka_unit_test(test_pointers), cmocka_unit_test(test_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
