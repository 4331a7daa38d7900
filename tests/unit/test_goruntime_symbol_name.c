#include "goruntime/symbol_name.h"
#include "support.h"

/* What the release prints for a raw name. */
static void check_printed(int minor, const char *name, const char *expected)
{
    struct string_builder text = {0};
    symbol_name_add_printed(minor, name, &text);
    assert_string_equal(string_builder_text(&text), expected);
    string_builder_deinit(&text);
}

static void test_type_arguments_become_dots(void **state)
{
    (void)state;
    check_printed(20, "main.f[...]", "main.f[...]");
    check_printed(20, "main.f[int]", "main.f[int]"); /* the linker's business up to 1.20 */
    check_printed(21, "main.f[go.shape.int]", "main.f[...]");
    check_printed(21, "main.(*T[go.shape.[]int]).m.func1", "main.(*T[...]).m.func1");
    check_printed(26, "main.(*T[int]).m[string]", "main.(*T[...]");
    check_printed(27, "main.(*T[int]).m[string].func1", "main.(*T[...]).m[...].func1");
    check_printed(27, "main.T[[2]int].m[map[string][]int]", "main.T[...].m[...]");
    check_printed(27, "main.f[map[string]int]", "main.f[...]");
    check_printed(27, "main.f[int", "main.f[int");
    check_printed(27, "main.f]int[", "main.f]int[");
    check_printed(27, "main.f[a]]b[c]", "main.f[a]]b[c]");
    check_printed(27, "main.f[[]", "main.f[[]");
    check_printed(24, "", "");
}

static void test_panics_are_called_panic(void **state)
{
    (void)state;
    check_printed(18, "runtime.gopanic", "panic");
    check_printed(27, "runtime.gopanic", "panic");
    check_printed(27, "runtime.gopanicked", "runtime.gopanicked");
}

/* Whether the release shows a function that is no wrapper. */
static bool is_shown(int minor, const char *name, bool first)
{
    return symbol_name_is_shown(layout_find(minor, LAYOUT_MACHINE_AMD64), name, 0, 0, first);
}

static void test_runtime_functions_are_hidden(void **state)
{
    (void)state;
    assert_true(is_shown(22, "main.main", true));
    assert_false(is_shown(22, "runtime.gopark", true));
    assert_true(is_shown(22, "runtime.Gosched", true));
    assert_true(is_shown(22, "runtime/pprof.Do", true));
    assert_false(is_shown(22, "gogo", true));
    assert_false(is_shown(22, "runtime.gopanic", true));
    assert_true(is_shown(22, "runtime.gopanic", false));
}

static void test_exported_methods_show_since_1_23(void **state)
{
    (void)state;
    assert_false(is_shown(22, "runtime.(*Frames).Next", true));
    assert_true(is_shown(23, "runtime.(*Frames).Next", true));
    assert_false(is_shown(23, "runtime.(*mheap).Next", true));
    assert_true(is_shown(22, "runtime.Func.unexported", true));
    assert_false(is_shown(23, "runtime.Func.unexported", true));
    assert_false(is_shown(23, "runtime.", true));
}

static void test_wrappers_hide_behind_what_they_call(void **state)
{
    (void)state;
    for (int minor = LAYOUT_MINOR_MIN; minor <= LAYOUT_MINOR_MAX; minor++) {
        const struct layout *layout = layout_find(minor, LAYOUT_MACHINE_AMD64);
        uint8_t wrapper = (uint8_t)layout->func_id_wrapper;
        assert_true(symbol_name_is_elided(layout, wrapper, 0));
        assert_true(symbol_name_is_elided(layout, wrapper, wrapper));
        assert_false(symbol_name_is_elided(layout, 0, 0));
        assert_false(symbol_name_is_elided(layout, wrapper, (uint8_t)layout->func_id_gopanic));
        assert_false(symbol_name_is_elided(layout, wrapper, (uint8_t)layout->func_id_sigpanic));
        assert_false(symbol_name_is_elided(layout, wrapper, (uint8_t)layout->func_id_panicwrap));
        assert_false(symbol_name_is_shown(layout, "main.T.m", wrapper, 0, true));
    }
}

static void test_runners_of_finalizers_show_since_1_25(void **state)
{
    (void)state;
    const struct layout *old = layout_find(24, LAYOUT_MACHINE_AMD64);
    const struct layout *new = layout_find(25, LAYOUT_MACHINE_AMD64);
    assert_false(symbol_name_is_shown(old, "runtime.runfinq", (uint8_t)old->func_id_run_finalizers,
                                      0, true));
    assert_true(symbol_name_is_shown(new, "runtime.runFinalizers",
                                     (uint8_t) new->func_id_run_finalizers, 0, true));
    assert_true(symbol_name_is_shown(new, "runtime.runCleanups",
                                     (uint8_t) new->func_id_run_cleanups, 0, true));
}

static void test_packages_end_at_the_first_dot_of_the_last_element(void **state)
{
    (void)state;
    assert_int_equal(symbol_name_package("main.main"), 4);
    assert_int_equal(symbol_name_package("net/http.(*conn).serve"), 8);
    assert_int_equal(symbol_name_package("gopkg.in/yaml%2ev2.F"), 18);
    assert_int_equal(symbol_name_package("main.f[go.shape/x.y]"), 4);
    assert_int_equal(symbol_name_package("gogo"), 0);
    assert_int_equal(symbol_name_package(""), 0);
    assert_true(symbol_name_is_runtime("runtime.main"));
    assert_true(symbol_name_is_runtime("internal/runtime/atomic.Load"));
    assert_true(symbol_name_is_runtime("gogo"));
    assert_false(symbol_name_is_runtime("runtimex.main"));
    assert_false(symbol_name_is_runtime("internal/poll.runtime_pollWait"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_type_arguments_become_dots),
        cmocka_unit_test(test_panics_are_called_panic),
        cmocka_unit_test(test_runtime_functions_are_hidden),
        cmocka_unit_test(test_exported_methods_show_since_1_23),
        cmocka_unit_test(test_wrappers_hide_behind_what_they_call),
        cmocka_unit_test(test_runners_of_finalizers_show_since_1_25),
        cmocka_unit_test(test_packages_end_at_the_first_dot_of_the_last_element),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
