/* A small program's goroutines, for tests of the rooms snapshot and emit.
 * snapshot_fixture_begin, then snapshot_fixture_goroutine for each, then
 * snapshot_fixture_end. Stacks: WORKER (chan receive under main.worker), SERVER (select under
 * net/http and main), RECURSION (deep). */
#ifndef UNPARK_TESTS_UNIT_SNAPSHOT_FIXTURE_H
#define UNPARK_TESTS_UNIT_SNAPSHOT_FIXTURE_H

#include "snapshot/snapshot.h"
#include "support.h"

/* What is being built; errors are asserted away. */
struct snapshot_fixture {
    struct snapshot_builder *builder;
    uint32_t worker, server, recursion; /* stacks */
    uint32_t creator, start;            /* frames */
};

/* Interns a string. */
static inline uint32_t snapshot_fixture_string(struct snapshot_builder *builder, const char *text)
{
    uint32_t id = 0;
    assert_success(snapshot_builder_string(builder, text, strlen(text), &id));
    return id;
}

/* Adds a frame; ARGUMENTS may be NULL for unknown. */
static inline uint32_t snapshot_fixture_frame(struct snapshot_builder *builder,
                                              const char *function, const char *file, uint32_t line,
                                              uint32_t offset, const char *arguments,
                                              uint32_t flags)
{
    struct snapshot_frame frame = {
        .pc = 0x401000 + line,
        .function = function == NULL ? 0 : snapshot_fixture_string(builder, function),
        .file = file == NULL ? 0 : snapshot_fixture_string(builder, file),
        .line = line,
        .entry_offset = offset,
        .arguments = arguments == NULL ? 0 : snapshot_fixture_string(builder, arguments),
        .flags = flags,
    };
    uint32_t id = 0;
    assert_success(snapshot_builder_frame(builder, &frame, &id));
    return id;
}

/* Adds a stack. */
static inline uint32_t snapshot_fixture_stack(struct snapshot_builder *builder,
                                              const uint32_t *frames, size_t count)
{
    uint32_t id = 0;
    assert_success(snapshot_builder_stack(builder, frames, count, &id));
    return id;
}

/* Begins a program of Go RELEASE ("go1.24.3"). */
static inline struct snapshot_fixture snapshot_fixture_begin(const char *release)
{
    struct snapshot_fixture fixture = {0};
    assert_success(snapshot_builder_create(&fixture.builder));
    struct snapshot_builder *builder = fixture.builder;
    struct snapshot_program *program = snapshot_builder_program(builder);
    program->source = snapshot_fixture_string(builder, "process 4711");
    program->executable = snapshot_fixture_string(builder, "/usr/bin/api");
    program->go_version = snapshot_fixture_string(builder, release);
    program->module = snapshot_fixture_string(builder, "example.com/api");
    program->module_version = snapshot_fixture_string(builder, "v1.2.3");
    program->pid = 4711;
    program->threads = 12;
    program->read_ns = 12300000;
    program->stopped_ns = 0;
    program->taken_at_ns = 1700000000123456789;
    const uint32_t worker[] = {
        snapshot_fixture_frame(builder, "runtime.gopark", "/go/src/runtime/proc.go", 398, 0xce,
                               "\1, \1", FRAME_RUNTIME | FRAME_HIDDEN),
        snapshot_fixture_frame(builder, "runtime.chanrecv1", "/go/src/runtime/chan.go", 442, 0x12,
                               "\1, ?", FRAME_RUNTIME | FRAME_HIDDEN),
        snapshot_fixture_frame(builder, "main.receive", "/src/pool.go", 30, UINT32_MAX, NULL,
                               FRAME_INLINED),
        snapshot_fixture_frame(builder, "main.(*Pool).worker", "/src/pool.go", 41, 0x1d,
                               "\1, {\1, ...}", 0),
        snapshot_fixture_frame(builder, "runtime.goexit", "/go/src/runtime/asm_amd64.s", 1650, 1,
                               "{}", FRAME_RUNTIME | FRAME_HIDDEN),
    };
    const uint32_t server[] = {
        worker[0],
        snapshot_fixture_frame(builder, "net/http.(*conn).serve", "/go/src/net/http/server.go",
                               2000, 0x5d, "", FRAME_STANDARD_LIBRARY),
        snapshot_fixture_frame(builder, "main.serve", "/src/server.go", 12, 0x2a, "\1", 0),
    };
    uint32_t recursion[300];
    for (size_t i = 0; i < 300; i++) {
        recursion[i] = snapshot_fixture_frame(builder, i < 3 ? "runtime.gopark" : "main.down",
                                              "/src/deep.go", (uint32_t)(1000 + i), 0x10, "\1",
                                              i < 3 ? FRAME_RUNTIME | FRAME_HIDDEN : 0);
    }
    fixture.worker = snapshot_fixture_stack(builder, worker, 5);
    fixture.server = snapshot_fixture_stack(builder, server, 3);
    fixture.recursion = snapshot_fixture_stack(builder, recursion, 300);
    fixture.creator =
        snapshot_fixture_frame(builder, "main.NewPool", "/src/pool.go", 22, 0x45, NULL, 0);
    fixture.start = worker[3];
    return fixture;
}

/* Adds a goroutine with ID that waits for REASON with STACK; more is filled in through the result
 * until the next call. */
static inline struct snapshot_goroutine *
snapshot_fixture_goroutine(struct snapshot_fixture *fixture, uint64_t id, uint32_t stack,
                           enum wait_reason reason, size_t *index)
{
    struct snapshot_goroutine *goroutine = NULL;
    assert_success(snapshot_builder_goroutines(fixture->builder, 1, &goroutine, index));
    goroutine->id = id;
    goroutine->stack = stack;
    goroutine->status = GOROUTINE_STATUS_WAITING;
    goroutine->wait_reason = (uint8_t)reason;
    goroutine->creator = fixture->creator;
    goroutine->start = fixture->start;
    return goroutine;
}

/* Lets the goroutine at INDEX wait on a channel of ints at ADDRESS; returns the object. */
static inline uint32_t snapshot_fixture_channel(struct snapshot_fixture *fixture, size_t index,
                                                uint64_t address, enum snapshot_direction direction)
{
    struct snapshot_object object = {.address = address, .kind = OBJECT_CHANNEL};
    object.channel.length = 0;
    object.channel.capacity = 0;
    object.channel.element_type = snapshot_fixture_string(fixture->builder, "int");
    uint32_t id = 0;
    assert_success(snapshot_builder_object(fixture->builder, &object, &id));
    struct snapshot_wait wait = {.object = id, .direction = direction};
    assert_success(snapshot_builder_waits(fixture->builder, index, &wait, 1));
    return id;
}

/* Ends building. */
static inline struct snapshot *snapshot_fixture_end(struct snapshot_fixture *fixture)
{
    struct snapshot *snapshot = NULL;
    assert_success(snapshot_builder_finish(fixture->builder, &snapshot));
    fixture->builder = NULL;
    return snapshot;
}

#endif
