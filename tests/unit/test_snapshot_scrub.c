/* Scrubbing: nothing that is a secret can be found in the snapshot any more, and everything else is
 * what and where it was. */
#include "snapshot/group.h"
#include "snapshot/scrub.h"
#include "snapshot_fixture.h"
#include <stdlib.h>

/* A program with a secret in every place that can hold one. */
static struct snapshot *test_program(void)
{
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.27.4");
    struct snapshot_builder *builder = fixture.builder;
    struct snapshot_program *program = snapshot_builder_program(builder);
    program->source = snapshot_fixture_string(builder, "core file /data/SECRET/core.4711");
    program->executable = snapshot_fixture_string(builder, "/home/SECRET/api");
    program->settings = snapshot_fixture_string(
        builder, "GOOS=linux\n-ldflags=-X main.token=SECRET\nvcs=git\nCGO_CFLAGS=-I/SECRET");
    uint32_t frame =
        snapshot_fixture_frame(builder, "main.work", "/home/SECRET/src/work.go", 7, 0x1d, "\1", 0);
    uint32_t stack = snapshot_fixture_stack(builder, &frame, 1);
    const struct snapshot_label label = {snapshot_fixture_string(builder, "SECRET key"),
                                         snapshot_fixture_string(builder, "SECRET value")};
    uint32_t labels = 0;
    assert_success(snapshot_builder_labels(builder, &label, 1, &labels));
    size_t index;
    struct snapshot_goroutine *goroutine =
        snapshot_fixture_goroutine(&fixture, 17, stack, WAIT_REASON_CHAN_RECEIVE, &index);
    goroutine->labels = labels;
    goroutine->address = 0xc000123456;
    const uint64_t word = 0xc000abcdef;
    assert_success(snapshot_builder_arguments(builder, index, &word, 1));
    (void)snapshot_fixture_channel(&fixture, index, 0xc000654321, DIRECTION_RECEIVE);
    snapshot_fixture_goroutine(&fixture, 18, fixture.worker, WAIT_REASON_IO_WAIT, &index);
    struct snapshot_object descriptor = {.kind = OBJECT_DESCRIPTOR, .address = 0x7f0000001000};
    descriptor.descriptor.descriptor = 7;
    descriptor.descriptor.description = snapshot_fixture_string(builder, "tcp SECRET:80 listening");
    struct snapshot_object call = {.kind = OBJECT_SYSTEM_CALL};
    call.system_call.text = snapshot_fixture_string(builder, "futex(0xSECRET, 0x80)");
    struct snapshot_wait waits[2] = {{.direction = DIRECTION_READ}, {.direction = DIRECTION_WAIT}};
    assert_success(snapshot_builder_object(builder, &descriptor, &waits[0].object));
    assert_success(snapshot_builder_object(builder, &call, &waits[1].object));
    assert_success(snapshot_builder_waits(builder, index, waits, 2));
    assert_success(snapshot_builder_note(builder, "goroutine 3: 0xc000beef00 of '/home/SECRET/x'"));
    return snapshot_fixture_end(&fixture);
}

/* No string holds a secret, not even one that nothing refers to. */
static void test_nothing_is_left(void **state)
{
    (void)state;
    struct snapshot *snapshot = test_program();
    assert_success(snapshot_scrub(snapshot));
    for (uint32_t id = 1; id <= snapshot_string_count(snapshot); id++) {
        assert_null(strstr(snapshot_string(snapshot, id), "SECRET"));
    }
    size_t count;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(snapshot, &count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(goroutines[i].address, 0);
        assert_int_equal(goroutines[i].arguments, 0);
        assert_int_equal(goroutines[i].labels, 0);
    }
    for (uint32_t id = 1; id <= snapshot_frame_count(snapshot); id++) {
        assert_int_equal(snapshot_frame(snapshot, id)->pc, 0);
        assert_int_equal(snapshot_frame(snapshot, id)->arguments, 0);
    }
    for (uint32_t i = 0; i < snapshot_object_count(snapshot); i++) {
        assert_int_equal(snapshot_object(snapshot, i)->address, 0);
    }
    const char *const *notes = snapshot_notes(snapshot, &count);
    assert_int_equal(count, 1);
    assert_string_equal(notes[0], "goroutine 3: 0x... of '~/x'");
    snapshot_destroy(snapshot);
}

/* What is no secret stays, and what was unknown stays unknown. */
static void test_the_rest_stays(void **state)
{
    (void)state;
    struct snapshot *snapshot = test_program();
    assert_success(snapshot_scrub(snapshot));
    const struct snapshot_program *program = snapshot_program(snapshot);
    assert_string_equal(snapshot_string(snapshot, program->source), "core file core.4711");
    assert_string_equal(snapshot_string(snapshot, program->executable), "api");
    assert_string_equal(snapshot_string(snapshot, program->settings), "GOOS=linux\nvcs=git");
    assert_string_equal(snapshot_string(snapshot, program->module_version), "v1.2.3");
    assert_int_equal(program->revision, 0);
    size_t count;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(snapshot, &count);
    assert_int_equal(count, 2);
    assert_int_equal(goroutines[0].id, 17);
    assert_true(goroutines[0].flags & GOROUTINE_LABELS_UNKNOWN);
    assert_false(goroutines[1].flags & GOROUTINE_LABELS_UNKNOWN);
    const uint32_t *stack = snapshot_stack(snapshot, goroutines[0].stack, &count);
    assert_int_equal(count, 1);
    const struct snapshot_frame *frame = snapshot_frame(snapshot, stack[0]);
    assert_string_equal(snapshot_string(snapshot, frame->function), "main.work");
    assert_string_equal(snapshot_string(snapshot, frame->file), "~/src/work.go");
    assert_int_equal(frame->line, 7);
    const struct snapshot_object *channel = snapshot_object(snapshot, 0);
    assert_string_equal(snapshot_string(snapshot, channel->channel.element_type), "int");
    const struct snapshot_object *descriptor = snapshot_object(snapshot, 1);
    assert_int_equal(descriptor->descriptor.descriptor, 7);
    assert_string_equal(snapshot_string(snapshot, descriptor->descriptor.description),
                        "tcp listening");
    assert_string_equal(snapshot_string(snapshot, snapshot_object(snapshot, 2)->system_call.text),
                        "futex");
    snapshot_destroy(snapshot);
}

/* Groups are the same before and after. */
static void test_groups_stay(void **state)
{
    (void)state;
    struct snapshot *snapshot = test_program();
    struct group_list before;
    struct group_list after;
    assert_success(group_list_init(&before, snapshot, NULL, 0, GROUP_BY_ID));
    assert_success(snapshot_scrub(snapshot));
    assert_success(group_list_init(&after, snapshot, NULL, 0, GROUP_BY_ID));
    assert_int_equal(before.count, after.count);
    for (size_t i = 0; i < before.count; i++) {
        assert_int_equal(before.items[i].stack, after.items[i].stack);
        assert_int_equal(before.items[i].members[0], after.items[i].members[0]);
    }
    group_list_deinit(&before);
    group_list_deinit(&after);
    snapshot_destroy(snapshot);
}

/* Texts. */
static void test_texts(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"0x12 and 0x1234", "0x12 and 0x1234"},
        {"at 0xc000012345, 0XBEEF", "at 0x..., 0XBEEF"},
        {"/home/Alice/x:3", "~/x:3"},
        {"in /Users/bob", "in ~"},
        {"/root/a /rooted/a", "~/a /rooted/a"},
        {"/srv/home/Alice", "/srv/home/Alice"},
        {"0x", "0x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct string_builder text = {0};
        scrub_text(&text, cases[i][0], strlen(cases[i][0]));
        assert_string_equal(string_builder_text(&text), cases[i][1]);
        string_builder_deinit(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_left),
        cmocka_unit_test(test_the_rest_stays),
        cmocka_unit_test(test_groups_stay),
        cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
