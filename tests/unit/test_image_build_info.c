#include "image/build_info.h"
#include "support.h"

/* A blob while it is put together. */
struct blob {
    uint8_t bytes[4096];
    size_t size;
};

/* Appends bytes. */
static void test_blob_add(struct blob *blob, const void *bytes, size_t size)
{
    memcpy(blob->bytes + blob->size, bytes, size);
    blob->size += size;
}

/* Starts with the header. */
static void test_blob_init(struct blob *blob, uint8_t flags)
{
    *blob = (struct blob){.size = 32};
    memcpy(blob->bytes, BUILD_INFO_MAGIC, BUILD_INFO_MAGIC_SIZE);
    blob->bytes[14] = 8;
    blob->bytes[15] = flags;
}

/* Appends a length of up to two bytes and the text. */
static void test_blob_add_string(struct blob *blob, const char *text, size_t size)
{
    uint8_t length[2] = {(uint8_t)(size & 0x7f), (uint8_t)(size >> 7)};
    length[0] |= size >= 0x80 ? 0x80 : 0;
    test_blob_add(blob, length, size >= 0x80 ? 2 : 1);
    test_blob_add(blob, text, size);
}

/* Appends LINES between sentinels. */
static void test_blob_add_lines(struct blob *blob, const char *lines)
{
    char text[2048];
    size_t size = strlen(lines);
    memset(text, 0x30, 16);
    memcpy(text + 16, lines, size);
    memset(text + 16 + size, 0xf9, 16);
    test_blob_add_string(blob, text, size + 32);
}

/* Parses a copy of BLOB that ends at an unmapped page. */
static struct error *test_blob_parse(const struct blob *blob, struct image_build_info *info,
                                     char **storage)
{
    uint8_t *copy = support_guarded(blob->bytes, blob->size);
    struct error *error = build_info_parse((struct image_bytes){copy, blob->size}, info, storage);
    support_guarded_free(copy, blob->size);
    return error;
}

static const char lines[] = "path\texample.com/cmd/a\n"
                            "mod\texample.com\tv1.4.0\th1:xyz=\n"
                            "dep\texample.com/b\tv0.1.0\th1:b=\n"
                            "dep\texample.com/c\tv0.2.0\n"
                            "=>\t../c\t(devel)\t\n"
                            "unknown\tline\n"
                            "build\t-compiler=gc\n"
                            "build\t-ldflags=\"-s -w\"\n"
                            "build\tvcs=git\n"
                            "build\tvcs.revision=0123abcd\n"
                            "build\tvcs.time=2026-01-02T03:04:05Z\n"
                            "build\tvcs.modified=true\n";

/* Everything that a blob can say. */
static void test_full(void **state)
{
    (void)state;
    struct blob blob;
    struct image_build_info info;
    char *storage;
    test_blob_init(&blob, 2);
    test_blob_add_string(&blob, "go1.27.4", 8);
    test_blob_add_lines(&blob, lines);
    assert_success(test_blob_parse(&blob, &info, &storage));
    assert_string_equal(info.go_version, "go1.27.4");
    assert_string_equal(info.path, "example.com/cmd/a");
    assert_string_equal(info.module, "example.com");
    assert_string_equal(info.version, "v1.4.0");
    assert_string_equal(info.revision, "0123abcd");
    assert_string_equal(info.revision_time, "2026-01-02T03:04:05Z");
    assert_true(info.modified);
    assert_string_equal(info.settings, "-compiler=gc\n-ldflags=\"-s -w\"\nvcs=git\n"
                                       "vcs.revision=0123abcd\nvcs.time=2026-01-02T03:04:05Z\n"
                                       "vcs.modified=true");
    assert_string_equal(info.dependencies,
                        "example.com/b v0.1.0\nexample.com/c v0.2.0 => ../c (devel)");
    free(storage);
}

/* Versions are kept as they are; without module text the rest is empty. */
static void test_versions(void **state)
{
    (void)state;
    static const char *const versions[] = {"go1.24.4-fips", "go1.25.1 X:nogreenteagc",
                                           "devel go1.28-4f1c2a Mon Jan 5", "go1.18"};
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        struct blob blob;
        struct image_build_info info;
        char *storage;
        test_blob_init(&blob, 2);
        test_blob_add_string(&blob, versions[i], strlen(versions[i]));
        test_blob_add_string(&blob, "", 0);
        assert_success(test_blob_parse(&blob, &info, &storage));
        assert_string_equal(info.go_version, versions[i]);
        assert_string_equal(info.path, "");
        assert_string_equal(info.settings, "");
        assert_string_equal(info.dependencies, "");
        assert_false(info.modified);
        free(storage);
    }
}

/* Every cut of a blob fails, and cleanly. */
static void test_cut(void **state)
{
    (void)state;
    struct blob blob;
    test_blob_init(&blob, 2);
    test_blob_add_string(&blob, "go1.22.1", 8);
    test_blob_add_lines(&blob, lines);
    size_t whole = blob.size;
    for (size_t size = 0; size < whole; size++) {
        struct image_build_info info;
        char *storage;
        blob.size = size;
        assert_error(test_blob_parse(&blob, &info, &storage),
                     size < 32 ? ERROR_NOT_FOUND : ERROR_CORRUPT);
    }
}

/* Lengths without end, absurd lengths, empty versions. */
static void test_broken(void **state)
{
    (void)state;
    struct blob blob;
    struct image_build_info info;
    char *storage;
    test_blob_init(&blob, 2);
    memset(blob.bytes + 32, 0xff, 100);
    blob.size = 132;
    assert_error(test_blob_parse(&blob, &info, &storage), ERROR_CORRUPT);
    const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
    memcpy(blob.bytes + 32, huge, sizeof huge);
    assert_error(test_blob_parse(&blob, &info, &storage), ERROR_CORRUPT);
    memset(blob.bytes + 32, 0, 100);
    assert_error(test_blob_parse(&blob, &info, &storage), ERROR_CORRUPT);
    test_blob_init(&blob, 0);
    test_blob_add_string(&blob, "go1.17", 6);
    assert_error(test_blob_parse(&blob, &info, &storage), ERROR_UNSUPPORTED);
    test_blob_init(&blob, 2);
    blob.bytes[0] = 0;
    assert_error(test_blob_parse(&blob, &info, &storage), ERROR_NOT_FOUND);
}

/* A blob, without memory. */
static struct error *test_exhaust(void *context)
{
    const struct blob *blob = context;
    struct image_build_info info;
    char *storage;
    TRY(build_info_parse((struct image_bytes){blob->bytes, blob->size}, &info, &storage));
    free(storage);
    return NULL;
}

/* Every allocation may fail. */
static void test_no_memory(void **state)
{
    (void)state;
    struct blob blob;
    test_blob_init(&blob, 2);
    test_blob_add_string(&blob, "go1.22.1", 8);
    test_blob_add_lines(&blob, lines);
    support_exhaust(test_exhaust, &blob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full),   cmocka_unit_test(test_versions),  cmocka_unit_test(test_cut),
        cmocka_unit_test(test_broken), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
