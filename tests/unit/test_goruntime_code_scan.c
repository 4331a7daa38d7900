#include "goruntime/code_scan.h"
#include "support.h"

enum { CAPACITY = 32 };

/* The references of code that ends at an unmapped page. */
static size_t scan(enum target_machine machine, const void *code, size_t size, uint64_t address,
                   struct code_reference *references)
{
    uint8_t *guarded = support_guarded(code, size);
    size_t count = code_scan(machine, guarded, size, address, references, CAPACITY);
    support_guarded_free(guarded, size);
    return count;
}

/* As forEachGRace loads allglen and allgptr. */
static void test_amd64_loads(void **state)
{
    (void)state;
    static const uint8_t code[] = {0x48, 0x8b, 0x0d, 0xbd, 0x82, 0x20, 0x00, /* mov rcx,[rip] */
                                   0x48, 0x89, 0x4c, 0x24, 0x18,             /* mov [rsp+24],rcx */
                                   0x48, 0x8b, 0x1d, 0x14, 0x83, 0x1a, 0x00,
                                   0xeb, 0x84}; /* jmp back */
    struct code_reference found[CAPACITY];
    assert_int_equal(scan(TARGET_MACHINE_AMD64, code, sizeof code, 0x43bfd4, found), 2);
    assert_int_equal(found[0].kind, CODE_REFERENCE_LOAD);
    assert_int_equal(found[0].instruction, 0x43bfd4);
    assert_int_equal(found[0].target, 0x644298);
    assert_int_equal(found[1].target, 0x5e42fb);
}

/* An immediate behind the displacement moves what it is relative to. */
static void test_amd64_immediates(void **state)
{
    (void)state;
    static const uint8_t code[] = {
        0xc7, 0x05, 0x10, 0x00, 0x00, 0x00, 0x10, 0x27, 0x00, 0x00, /* mov dword [rip+16],10000 */
        0x48, 0x83, 0x3d, 0x10, 0x00, 0x00, 0x00, 0x00,             /* cmp qword [rip+16],0 */
        0x66, 0xc7, 0x05, 0x10, 0x00, 0x00, 0x00, 0xfe, 0xff,       /* mov word [rip+16],-2 */
        0xc6, 0x05, 0x10, 0x00, 0x00, 0x00, 0x01,                   /* mov byte [rip+16],1 */
        0xf6, 0x05, 0x10, 0x00, 0x00, 0x00, 0x01,                   /* test byte [rip+16],1 */
        0xf7, 0x15, 0x10, 0x00, 0x00, 0x00,                         /* not dword [rip+16] */
    };
    static const struct code_reference expected[] = {
        {0x1000, 0x100a + 16, 10000, CODE_REFERENCE_STORE_CONSTANT},
        {0x100a, 0x1012 + 16, 0, CODE_REFERENCE_OTHER},
        {0x1012, 0x101b + 16, -2, CODE_REFERENCE_STORE_CONSTANT},
        {0x101b, 0x1022 + 16, 1, CODE_REFERENCE_STORE_CONSTANT},
        {0x1022, 0x1029 + 16, 1, CODE_REFERENCE_OTHER},
        {0x1029, 0x102f + 16, 0, CODE_REFERENCE_OTHER},
    };
    struct code_reference found[CAPACITY];
    assert_int_equal(scan(TARGET_MACHINE_AMD64, code, sizeof code, 0x1000, found), 6);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(found[i].instruction, expected[i].instruction);
        assert_int_equal(found[i].target, expected[i].target);
        assert_int_equal(found[i].kind, expected[i].kind);
    }
    assert_int_equal(found[0].constant, 10000);
    assert_int_equal(found[2].constant, -2);
}

/* Addresses taken, exchanges, SSE, VEX; a negative displacement. */
static void test_amd64_forms(void **state)
{
    (void)state;
    static const uint8_t code[] = {
        0x4c, 0x8d, 0x05, 0xf9, 0xff, 0xff, 0xff,          /* lea r8,[rip-7] */
        0x48, 0x87, 0x05, 0x00, 0x00, 0x00, 0x00,          /* xchg [rip],rax */
        0x44, 0x0f, 0x11, 0x3d, 0x00, 0x00, 0x00, 0x00,    /* movups [rip],xmm15 */
        0xc5, 0xfe, 0x6f, 0x05, 0x00, 0x00, 0x00, 0x00,    /* vmovdqu ymm0,[rip] */
        0xf0, 0x48, 0x0f, 0xb1, 0x0d, 0,    0,    0,    0, /* lock cmpxchg [rip],rcx */
        0x0f, 0xb6, 0x05, 0x00, 0x00, 0x00, 0x00,          /* movzx eax,byte [rip] */
    };
    static const enum code_reference_kind kinds[] = {CODE_REFERENCE_ADDRESS, CODE_REFERENCE_STORE,
                                                     CODE_REFERENCE_STORE,   CODE_REFERENCE_LOAD,
                                                     CODE_REFERENCE_OTHER,   CODE_REFERENCE_LOAD};
    static const uint64_t targets[] = {0x2000, 0x200e, 0x2016, 0x201e, 0x2027, 0x202e};
    struct code_reference found[CAPACITY];
    assert_int_equal(scan(TARGET_MACHINE_AMD64, code, sizeof code, 0x2000, found), 6);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(found[i].kind, kinds[i]);
        assert_int_equal(found[i].target, targets[i]);
    }
}

/* Bytes that look like a reference inside a constant are none. */
static void test_amd64_constant(void **state)
{
    (void)state;
    static const uint8_t code[] = {
        0x48, 0xb8, 0x48, 0x8b, 0x05, 0x10, 0x00, 0x00, 0x00, 0x90, /* mov rax, imm64 */
        0xb9, 0x48, 0x8d, 0x05, 0x10,                               /* mov ecx, imm32 */
        0x48, 0x8b, 0x04, 0x25, 0x10, 0x00, 0x00, 0x00,             /* mov rax,[0x10] */
        0x48, 0x8b, 0x45, 0x10,                                     /* mov rax,[rbp+16] */
        0xc3};
    struct code_reference found[CAPACITY];
    assert_int_equal(scan(TARGET_MACHINE_AMD64, code, sizeof code, 0x1000, found), 0);
}

/* Every way to cut an instruction off, and every byte as an opcode. */
static void test_amd64_garbage(void **state)
{
    (void)state;
    static const uint8_t code[] = {0x66, 0x48, 0xc7, 0x05, 1, 2, 3, 4, 5, 6, 7, 8};
    assert_int_equal(code_scan_amd64_length(code, sizeof code), sizeof code);
    for (size_t size = 0; size < sizeof code; size++) {
        uint8_t *guarded = support_guarded(code, size);
        assert_int_equal(code_scan_amd64_length(guarded, size), 0);
        support_guarded_free(guarded, size);
    }
    for (unsigned byte = 0; byte < 0x10000; byte++) {
        uint8_t any[16] = {(uint8_t)byte, (uint8_t)(byte >> 8), 0x05, 0x05};
        size_t length = code_scan_amd64_length(any, sizeof any);
        assert_true(length <= 15);
        struct code_reference found[CAPACITY];
        assert_true(scan(TARGET_MACHINE_AMD64, any, sizeof any, 0x1000, found) <= CAPACITY);
    }
    static const uint8_t prefixes[32] = {0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                                         0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66};
    assert_int_equal(code_scan_amd64_length(prefixes, sizeof prefixes), 0);
}

/* Go 1.18: ADRP, ADD, LDAR is one load; 1.22 on: the offset is in the load, or a pair is loaded. */
static void test_arm64_loads(void **state)
{
    (void)state;
    static const uint32_t code[] = {
        0x90000e21, 0x9102c021, 0xc8dffc21, /* adrp x1; add x1,x1,#176; ldar x1,[x1] */
        0xd0000f1b, 0xf9442362,             /* adrp x27; ldr x2,[x27,#2112] */
        0xf0000ebb, 0x9138437b, 0xa9400b61, /* adrp x27; add x27,#3600; ldp x1,x2,[x27] */
    };
    struct code_reference found[CAPACITY];
    assert_int_equal(scan(TARGET_MACHINE_ARM64, code, sizeof code, 0x44d40, found), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(found[i].kind, CODE_REFERENCE_LOAD);
    }
    assert_int_equal(found[0].target, 0x2080b0);
    assert_int_equal(found[0].instruction, 0x44d48);
    assert_int_equal(found[1].target, 0x44000 + 0x1e2000 + 2112);
    assert_int_equal(found[2].target, 0x44000 + 0x1d7000 + 3600);
}

/* A constant that is stored, an address that is taken, a page behind the code. */
static void test_arm64_stores(void **state)
{
    (void)state;
    static const uint32_t code[] = {
        0xd284e201, 0xd0000d9b, 0xb9079b61, /* mov x1,#10000; adrp x27; str w1,[x27,#1944] */
        0xf0ffffe0, 0x91004000, 0xb9000001, /* adrp x0,-0x1000; add x0,#16; str w1,[x0] */
        0x91002000, 0xd503201f,             /* add x0,x0,#8; nop */
        0xf900037f,                         /* str xzr,[x27] */
    };
    struct code_reference found[CAPACITY];
    assert_int_equal(scan(TARGET_MACHINE_ARM64, code, sizeof code, 0x4a15c, found), 4);
    assert_int_equal(found[0].kind, CODE_REFERENCE_STORE_CONSTANT);
    assert_int_equal(found[0].constant, 10000);
    assert_int_equal(found[0].target, 0x4a000 + 0x1b2000 + 1944);
    assert_int_equal(found[1].target, 0x49000 + 16);
    assert_int_equal(found[1].kind, CODE_REFERENCE_STORE_CONSTANT);
    assert_int_equal(found[2].kind, CODE_REFERENCE_ADDRESS);
    assert_int_equal(found[2].target, 0x49000 + 24);
    assert_int_equal(found[3].constant, 0);
    assert_int_equal(found[3].target, 0x4a000 + 0x1b2000);
}

/* Calls and other writes make a register unknown. */
static void test_arm64_forgets(void **state)
{
    (void)state;
    static const uint32_t call[] = {0xd0000f1b, 0x94000000, 0xf9442362};  /* adrp; bl; ldr */
    static const uint32_t write[] = {0xd0000f1b, 0xaa0203fb, 0xf9442362}; /* mov x27,x2 */
    static const uint32_t load[] = {0xd0000f1b, 0xf940003b, 0xf9442362};  /* ldr x27,[x1] */
    struct code_reference found[CAPACITY];
    assert_int_equal(scan(TARGET_MACHINE_ARM64, call, sizeof call, 0x1000, found), 0);
    assert_int_equal(scan(TARGET_MACHINE_ARM64, write, sizeof write, 0x1000, found), 0);
    assert_int_equal(scan(TARGET_MACHINE_ARM64, load, sizeof load, 0x1000, found), 0);
    assert_int_equal(scan(TARGET_MACHINE_ARM64, load, 11, 0x1000, found), 0);
}

/* No more references than there is room for. */
static void test_capacity(void **state)
{
    (void)state;
    uint8_t code[70 * 7];
    for (size_t i = 0; i < sizeof code; i += 7) {
        memcpy(code + i, "\x48\x8b\x0d\x00\x00\x00\x00", 7);
    }
    struct code_reference found[CAPACITY];
    assert_int_equal(scan(TARGET_MACHINE_AMD64, code, sizeof code, 0x1000, found), CAPACITY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_amd64_loads),   cmocka_unit_test(test_amd64_immediates),
        cmocka_unit_test(test_amd64_forms),   cmocka_unit_test(test_amd64_constant),
        cmocka_unit_test(test_amd64_garbage), cmocka_unit_test(test_arm64_loads),
        cmocka_unit_test(test_arm64_stores),  cmocka_unit_test(test_arm64_forgets),
        cmocka_unit_test(test_capacity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
