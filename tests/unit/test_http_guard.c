/* Who may ask: addresses, Host, tokens, other people's pages. */
#include "http/http_guard.h"
#include "support.h"
#include <arpa/inet.h>

/* A guard for listening at TEXT. */
static struct http_guard test_guard(const char *text)
{
    struct http_guard guard = {.tls = false};
    struct http_address address;
    assert_success(http_guard_parse_address(text, &address));
    assert_success(http_guard_set_address(&guard, &address));
    return guard;
}

/* What can be listened at. */
static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool loopback, any;
    } good[] = {
        {"127.0.0.1:6060", true, false},  {"127.9.9.9:0", true, false},
        {"localhost:80", true, false},    {"[::1]:6060", true, false},
        {":6060", false, true},           {"0.0.0.0:1", false, true},
        {"[::]:1", false, true},          {"10.0.0.7:65535", false, false},
        {"[fe80::1]:6060", false, false},
    };
    static const char *const bad[] = {
        "",
        "6060",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "::1:80",
        "[::1]",
        "example.com:80",
        "127.0.0.1:+80",
        "127.1:80",
        "127.0.0.1: 80",
        "[]:80",
        "[::1]:x",
        "[127.0.0.1]:80",
        "127.0.0.1:80 ",
        "[::1%lo]:80",
        "localhost.:80",
        "[",
        "999999999999999999999999999999999999999999999999999999999999999999999999999999999.1:80"};
    struct http_address address;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_success(http_guard_parse_address(good[i].text, &address));
        assert_int_equal(address.loopback, good[i].loopback);
        assert_int_equal(address.any, good[i].any);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_error(http_guard_parse_address(bad[i], &address), ERROR_USAGE);
    }
}

/* Host must be right to the last character. */
static void test_hosts(void **state)
{
    (void)state;
    struct http_guard guard = test_guard("127.0.0.1:6060");
    assert_success(http_guard_add_name(&guard, "box.example"));
    assert_error(http_guard_add_name(&guard, "a b"), ERROR_USAGE);
    assert_error(http_guard_add_name(&guard, ""), ERROR_USAGE);
    static const char *const good[] = {"127.0.0.1:6060", "localhost:6060", "LocalHost:6060",
                                       "[::1]:6060", "box.example:6060"};
    static const char *const bad[] = {"",
                                      "127.0.0.1",
                                      "localhost",
                                      "127.0.0.1:60600",
                                      "127.0.0.1:606",
                                      "10.0.0.1:6060",
                                      "localhost.evil.com:6060",
                                      "evil.com:6060",
                                      "127.0.0.1:6060 ",
                                      "box.example",
                                      "xlocalhost:6060"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(http_guard_allows_host(&guard, good[i]));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(http_guard_allows_host(&guard, bad[i]));
    }
    assert_false(http_guard_allows_host(&guard, NULL));
    http_guard_deinit(&guard);
    guard = test_guard("0.0.0.0:6060");
    assert_true(http_guard_allows_host(&guard, "10.1.2.3:6060"));
    assert_true(http_guard_allows_host(&guard, "[fe80::2]:6060"));
    assert_false(http_guard_allows_host(&guard, "10.1.2.3:6061"));
    assert_false(http_guard_allows_host(&guard, "evil.com:6060"));
    assert_false(http_guard_allows_host(&guard, ":6060"));
    http_guard_deinit(&guard);
    guard = test_guard("10.0.0.7:80");
    assert_true(http_guard_allows_host(&guard, "10.0.0.7"));
    assert_false(http_guard_allows_host(&guard, "localhost"));
    http_guard_deinit(&guard);
}

/* A token is there as a whole or not at all. */
static void test_token(void **state)
{
    (void)state;
    struct http_guard guard = test_guard("127.0.0.1:6060");
    assert_true(http_guard_allows_token(&guard, NULL, NULL));
    assert_error(http_guard_set_token(&guard, "short"), ERROR_USAGE);
    assert_error(http_guard_set_token(&guard, "with spaces in it, long"), ERROR_USAGE);
    assert_success(http_guard_set_token(&guard, "0123456789abcdef"));
    assert_false(http_guard_allows_token(&guard, NULL, NULL));
    assert_false(http_guard_allows_token(&guard, "Bearer ", ""));
    assert_false(http_guard_allows_token(&guard, "0123456789abcdef", NULL));
    assert_false(http_guard_allows_token(&guard, "Bearer 0123456789abcde", "0123456789abcdeg"));
    assert_false(http_guard_allows_token(&guard, "Bearer 0123456789abcdef0", NULL));
    assert_false(http_guard_allows_token(&guard, NULL, "0123456789abcdef0123456789abcdef"));
    assert_true(http_guard_allows_token(&guard, "bearer 0123456789abcdef", NULL));
    assert_true(http_guard_allows_token(&guard, NULL, "0123456789abcdef"));
    assert_success(http_guard_set_token(&guard, NULL));
    assert_int_equal(strlen(guard.token), 2 * HTTP_TOKEN_BYTES);
    http_guard_deinit(&guard);
}

/* Pages of others may not ask by way of a user's browser. */
static void test_sites(void **state)
{
    (void)state;
    struct http_guard guard = test_guard("127.0.0.1:6060");
    assert_true(http_guard_allows_site(&guard, NULL, NULL));
    assert_true(http_guard_allows_site(&guard, "none", NULL));
    assert_true(http_guard_allows_site(&guard, "same-origin", "http://localhost:6060"));
    assert_false(http_guard_allows_site(&guard, "cross-site", NULL));
    assert_false(http_guard_allows_site(&guard, "same-site", NULL));
    assert_false(http_guard_allows_site(&guard, NULL, "http://evil.com"));
    assert_false(http_guard_allows_site(&guard, NULL, "https://localhost:6060"));
    assert_false(http_guard_allows_site(&guard, NULL, "null"));
    assert_false(http_guard_allows_site(&guard, NULL, "http://localhost:6060.evil.com"));
    http_guard_deinit(&guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_token),
        cmocka_unit_test(test_sites),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
