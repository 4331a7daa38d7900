/* Filters: each term, their values, their sum. */
#include "snapshot/filter.h"
#include "snapshot_fixture.h"
#include <stdio.h>

/* Goroutines 1 (main, server), 2..5 (workers), 6 (running), 7 (system, leaked). */
static struct snapshot *test_program(void)
{
    struct snapshot_fixture fixture = snapshot_fixture_begin("go1.24.3");
    size_t index;
    struct snapshot_label label = {snapshot_fixture_string(fixture.builder, "tenant"),
                                   snapshot_fixture_string(fixture.builder, "t0")};
    uint32_t labels;
    assert_success(snapshot_builder_labels(fixture.builder, &label, 1, &labels));
    struct snapshot_goroutine *one =
        snapshot_fixture_goroutine(&fixture, 1, fixture.server, WAIT_REASON_SELECT, &index);
    one->creator = 0;
    for (uint64_t id = 2; id <= 5; id++) {
        struct snapshot_goroutine *worker = snapshot_fixture_goroutine(
            &fixture, id, fixture.worker, WAIT_REASON_CHAN_RECEIVE, &index);
        worker->age_ns = (int64_t)id * 60000000000;
        worker->labels = id == 3 ? labels : 0;
    }
    struct snapshot_goroutine *running =
        snapshot_fixture_goroutine(&fixture, 6, 0, WAIT_REASON_NONE, &index);
    running->status = GOROUTINE_STATUS_RUNNING;
    running->wait_reason = WAIT_REASON_CHAN_RECEIVE;
    struct snapshot_goroutine *leaked =
        snapshot_fixture_goroutine(&fixture, 7, fixture.worker, WAIT_REASON_CHAN_SEND, &index);
    leaked->status = GOROUTINE_STATUS_LEAKED;
    leaked->flags = GOROUTINE_SYSTEM;
    return snapshot_fixture_end(&fixture);
}

/* The ids that pass the terms, as text: "2 3 4". */
static const char *test_ids(const struct filter *filter, const struct snapshot *snapshot)
{
    static char text[256];
    uint32_t *selection;
    size_t count;
    size_t all;
    const struct snapshot_goroutine *goroutines = snapshot_goroutines(snapshot, &all);
    assert_success(filter_apply(filter, snapshot, &selection, &count));
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%d", i == 0 ? "" : " ",
                 (int)goroutines[selection[i]].id);
    }
    free(selection);
    return text;
}

/* One term alone. */
static void test_term(enum filter_kind kind, const char *value, const char *ids)
{
    struct snapshot *snapshot = test_program();
    struct filter *filter;
    assert_success(filter_create(&filter));
    assert_success(filter_add(filter, kind, value));
    assert_string_equal(test_ids(filter, snapshot), ids);
    filter_destroy(filter);
    snapshot_destroy(snapshot);
}

/* Every term. */
static void test_terms(void **state)
{
    (void)state;
    test_term(FILTER_STATE, "running", "6");
    test_term(FILTER_STATE, "Waiting", "1 2 3 4 5 7");
    test_term(FILTER_STATE, "leaked,running", "6 7");
    test_term(FILTER_WAIT, "chan", "2 3 4 5 7");
    test_term(FILTER_WAIT, "SELECT", "1");
    test_term(FILTER_FUNCTION, "Pool).worker", "2 3 4 5 7");
    test_term(FILTER_FUNCTION, "/^main\\.s/", "1");
    test_term(FILTER_FUNCTION, "/^(main|net).*serve$/", "1");
    test_term(FILTER_FUNCTION, "nowhere", "");
    test_term(FILTER_FILE, "/src/pool.go", "2 3 4 5 7");
    test_term(FILTER_FILE, "/server\\.go$/", "1");
    test_term(FILTER_CREATOR, "NewPool", "2 3 4 5 6 7");
    test_term(FILTER_START, "worker", "1 2 3 4 5 6 7");
    test_term(FILTER_LABEL, "tenant", "3");
    test_term(FILTER_LABEL, "tenant=t0", "3");
    test_term(FILTER_LABEL, "tenant=t1", "");
    test_term(FILTER_LABEL, "tenan", "");
    test_term(FILTER_MIN_AGE, "4m", "4 5");
    test_term(FILTER_ID, "7,2-3,3-4,1000-2000", "2 3 4 7");
    test_term(FILTER_USER_ONLY, NULL, "1 2 3 4 5 6");
    test_term(FILTER_SYSTEM_ONLY, NULL, "7");
}

/* Terms compose: all must hold; without any, all pass. */
static void test_composition(void **state)
{
    (void)state;
    struct snapshot *snapshot = test_program();
    struct filter *filter;
    assert_success(filter_create(&filter));
    assert_string_equal(test_ids(filter, snapshot), "1 2 3 4 5 6 7");
    assert_success(filter_add(filter, FILTER_MIN_AGE, "3m"));
    assert_string_equal(test_ids(filter, snapshot), "3 4 5");
    assert_success(filter_add(filter, FILTER_ID, "1-4"));
    assert_string_equal(test_ids(filter, snapshot), "3 4");
    assert_success(filter_add(filter, FILTER_LABEL, "tenant"));
    assert_string_equal(test_ids(filter, snapshot), "3");
    assert_success(filter_add(filter, FILTER_SYSTEM_ONLY, NULL));
    assert_string_equal(test_ids(filter, snapshot), "");
    filter_destroy(filter);
    snapshot_destroy(snapshot);
}

/* Values that are refused. */
static void test_bad_values(void **state)
{
    (void)state;
    static const struct {
        enum filter_kind kind;
        const char *value;
    } cases[] = {
        {FILTER_STATE, "sleepy"},
        {FILTER_STATE, "waiting,"},
        {FILTER_STATE, ""},
        {FILTER_WAIT, NULL},
        {FILTER_FUNCTION, "/(/"},
        {FILTER_FUNCTION, "/(a)\\1/"},
        {FILTER_LABEL, "=x"},
        {FILTER_MIN_AGE, "5"},
        {FILTER_MIN_AGE, "-5s"},
        {FILTER_MIN_AGE, "5m3"},
        {FILTER_MIN_AGE, "99999999999h"},
        {FILTER_ID, "7,"},
        {FILTER_ID, "9-3"},
        {FILTER_ID, "x"},
        {FILTER_ID, "1-"},
        {FILTER_ID, "99999999999999999999"},
    };
    char pattern[300];
    memset(pattern, 'a', sizeof pattern);
    pattern[0] = '/';
    pattern[298] = '/';
    pattern[299] = '\0';
    struct filter *filter;
    assert_success(filter_create(&filter));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_error(filter_add(filter, cases[i].kind, cases[i].value), ERROR_USAGE);
    }
    assert_error(filter_add(filter, FILTER_FILE, pattern), ERROR_USAGE);
    filter_destroy(filter);
}

/* Durations in Go's syntax. */
static void test_durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ns;
    } cases[] = {
        {"0", 0},      {"300ms", 300000000}, {"1.5s", 1500000000}, {"1h2m3s", 3723000000000},
        {"7us", 7000}, {"7\xc2\xb5s", 7000}, {"7\xce\xbcs", 7000}, {".5s", 500000000},
        {"10ns", 10},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t ns = -1;
        assert_success(filter_parse_duration(cases[i].text, &ns));
        assert_int_equal(ns, cases[i].ns);
    }
    int64_t ns;
    assert_error(filter_parse_duration("", &ns), ERROR_USAGE);
    assert_error(filter_parse_duration(".s", &ns), ERROR_USAGE);
    assert_error(filter_parse_duration("1x", &ns), ERROR_USAGE);
}

/* Every kind has a record, in order. */
static void test_records(void **state)
{
    (void)state;
    size_t count;
    const struct filter_record *records = filter_records(&count);
    assert_int_equal(count, FILTER_SYSTEM_ONLY + 1);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(records[i].kind, i);
        assert_true(records[i].name[0] != '\0' && records[i].help[0] != '\0');
    }
}

/* Builds a filter and applies it. */
static struct error *test_filter_all(void *context)
{
    static const struct {
        enum filter_kind kind;
        const char *value;
    } terms[] = {{FILTER_FUNCTION, "main"},
                 {FILTER_CREATOR, "New"},
                 {FILTER_LABEL, "a=b"},
                 {FILTER_WAIT, "chan"},
                 {FILTER_ID, "1-3,5,7,9-11"}};
    struct filter *filter;
    TRY(filter_create(&filter));
    struct error *error = NULL;
    for (size_t i = 0; i < sizeof terms / sizeof *terms && error == NULL; i++) {
        error = filter_add(filter, terms[i].kind, terms[i].value);
    }
    uint32_t *selection = NULL;
    size_t count;
    if (error == NULL) {
        error = filter_apply(filter, context, &selection, &count);
    }
    free(selection);
    filter_destroy(filter);
    return error;
}

/* Every allocation may fail. */
static void test_exhaustion(void **state)
{
    (void)state;
    struct snapshot *snapshot = test_program();
    support_exhaust(test_filter_all, snapshot);
    snapshot_destroy(snapshot);
}

/* All tests. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_terms),      cmocka_unit_test(test_composition),
        cmocka_unit_test(test_bad_values), cmocka_unit_test(test_durations),
        cmocka_unit_test(test_records),    cmocka_unit_test(test_exhaustion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
