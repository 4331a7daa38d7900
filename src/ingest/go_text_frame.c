/* traceback2 and printcreatedby of runtime/traceback.go, printCgoTraceback, printAncestorTraceback:
 *   FUNCTION(ARGUMENTS)                 TAB FILE:LINE[ +0xOFFSET][ fp=0xFP sp=0xSP pc=0xPC]
 *   created by FUNCTION[ in goroutine N]   TAB FILE:LINE[ +0xOFFSET]
 *   C-FUNCTION                          TAB [FILE:LINE ]pc=0xPC
 *   non-Go function at pc=0xPC
 *   ...additional frames elided...      up to 1.20, and of ancestors
 *   ...N frames elided...               from 1.21
 *   TAB goroutine running on other thread; stack unavailable
 *   [originating from goroutine N]:
 * ARGUMENTS are words in hexadecimal, '{' '}' ',' ' ' '_' '.' and '?' (go_text_frame_is_argument).
 * A place may be indented by spaces: tabs do not survive every clipboard. */
#include "ingest/go_text_frame.h"
#include <string.h>

enum { FRAME_INDENT_MAX = 16, FRAME_LINE_MAX = 1 << 30 };

const uint8_t go_text_frame_hex[256] = {
    ['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16};

/* Takes a decimal number of at most 18 digits off the end of PART. */
static bool go_text_frame_cut_number(struct go_text_part *part, uint64_t *ret)
{
    uint64_t value = 0;
    uint64_t power = 1;
    size_t digits = 0;
    while (digits < part->size && digits < 18) {
        char c = part->text[part->size - 1 - digits];
        if (c < '0' || c > '9') {
            break;
        }
        value += power * (uint64_t)(c - '0');
        power *= 10;
        digits++;
    }
    part->size -= digits;
    *ret = value;
    return digits > 0;
}

/* Takes TEXT off the end of PART. */
static bool go_text_frame_cut(struct go_text_part *part, const char *text)
{
    size_t size = strlen(text);
    if (part->size < size || memcmp(part->text + part->size - size, text, size) != 0) {
        return false;
    }
    part->size -= size;
    return true;
}

/* Takes NAME and a hexadecimal number off the end of PART. */
static bool go_text_frame_cut_hex(struct go_text_part *part, const char *name, uint64_t *ret)
{
    size_t size = strlen(name);
    const char *end = part->text + part->size;
    for (size_t digits = 1; digits <= GO_TEXT_HEX_MAX && digits + 2 + size <= part->size;
         digits++) {
        const char *word = end - digits - 2;
        if (word[0] == '0' && word[1] == 'x') {
            uint64_t value;
            if (go_text_frame_word(word, end, &value) != end ||
                memcmp(word - size, name, size) != 0) {
                return false;
            }
            *ret = value;
            part->size -= digits + 2 + size;
            return true;
        }
    }
    return false;
}

/* Takes the indent off the front of PART. */
static bool go_text_frame_cut_indent(struct go_text_part *part)
{
    size_t indent = part->size > 0 && part->text[0] == '\t' ? 1 : 0;
    while (indent < part->size && indent < FRAME_INDENT_MAX && part->text[0] == ' ' &&
           part->text[indent] == ' ') {
        indent++;
    }
    part->text += indent;
    part->size -= indent;
    return indent > 0 && part->size > 0;
}

/* Reads FILE:LINE at the whole of PART. */
static bool go_text_frame_place(struct go_text_part part, struct go_text_frame *ret)
{
    uint64_t line;
    if (!go_text_frame_cut_number(&part, &line) || !go_text_frame_cut(&part, ":") ||
        part.size == 0 || line > FRAME_LINE_MAX) {
        return false;
    }
    ret->file = part;
    ret->line = (uint32_t)line;
    return true;
}

/* Reads a second line. */
static bool go_text_frame_second(struct go_text_part part, struct go_text_frame *ret)
{
    uint64_t value;
    uint64_t offset = UINT32_MAX;
    if (!go_text_frame_cut_indent(&part)) {
        return false;
    }
    if (ret->lines == GO_TEXT_LINES_FOREIGN) {
        if (!go_text_frame_cut_hex(&part, "pc=", &ret->pc)) {
            return false;
        }
        return part.size == 0 || (go_text_frame_cut(&part, " ") && go_text_frame_place(part, ret));
    }
    if (go_text_frame_cut_hex(&part, " pc=", &value)) {
        (void)go_text_frame_cut_hex(&part, " sp=", &value);
        (void)go_text_frame_cut_hex(&part, " fp=", &value);
    }
    (void)go_text_frame_cut_hex(&part, " +", &offset);
    ret->offset = offset < UINT32_MAX ? (uint32_t)offset : UINT32_MAX;
    return go_text_frame_place(part, ret);
}

/* True for the characters of argument lists. */
static inline bool go_text_frame_is_argument(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == 'x' || c == ' ' || c == ',' ||
           c == '.' || c == '?' || c == '_' || c == '{' || c == '}';
}

/* Reads FUNCTION(ARGUMENTS). */
static bool go_text_frame_call(struct go_text_part part, struct go_text_frame *ret)
{
    if (part.size < 3 || part.text[part.size - 1] != ')') {
        return false;
    }
    size_t open = part.size - 1;
    while (open > 0 && go_text_frame_is_argument(part.text[open - 1])) {
        open--;
    }
    if (open < 2 || part.text[open - 1] != '(') {
        return false;
    }
    ret->function = (struct go_text_part){part.text, open - 1};
    ret->arguments = (struct go_text_part){part.text + open, part.size - 1 - open};
    ret->lines = GO_TEXT_LINES_FUNCTION;
    return part.text[0] != '\t' && part.text[0] != ' ';
}

/* Takes TEXT off the front of PART. */
static bool go_text_frame_cut_front(struct go_text_part *part, const char *text)
{
    size_t size = strlen(text);
    if (part->size < size || memcmp(part->text, text, size) != 0) {
        return false;
    }
    part->text += size;
    part->size -= size;
    return true;
}

/* Reads "created by FUNCTION in goroutine N", the part behind "created by ". */
static bool go_text_frame_creator(struct go_text_part part, struct go_text_frame *ret)
{
    struct go_text_part whole = part;
    ret->lines = GO_TEXT_LINES_CREATOR;
    if (!go_text_frame_cut_number(&part, &ret->parent) ||
        !go_text_frame_cut(&part, " in goroutine ")) {
        ret->parent = 0;
        part = whole;
    }
    ret->function = part;
    return part.size > 0;
}

/* Reads a line that stands alone. */
static bool go_text_frame_alone(struct go_text_part part, struct go_text_frame *ret)
{
    struct go_text_part rest = part;
    uint64_t count = 0;
    if (go_text_frame_cut_front(&rest, "...") && go_text_frame_cut(&rest, " frames elided...")) {
        bool known = go_text_frame_cut_number(&rest, &count) && count > 0 && count < UINT32_MAX;
        ret->lines = GO_TEXT_LINES_ELIDED;
        ret->line = known ? (uint32_t)count : 0;
        return rest.size == 0 || go_text_frame_cut(&rest, "additional");
    }
    rest = part;
    if (go_text_frame_cut_front(&rest, "[originating from goroutine ") &&
        go_text_frame_cut(&rest, "]:") && go_text_frame_cut_number(&rest, &ret->parent)) {
        ret->lines = GO_TEXT_LINES_ANCESTOR;
        return rest.size == 0;
    }
    rest = part;
    if (go_text_frame_cut_hex(&rest, "non-Go function at pc=", &ret->pc)) {
        ret->lines = GO_TEXT_LINES_PC;
        return rest.size == 0;
    }
    rest = part;
    ret->lines = GO_TEXT_LINES_UNAVAILABLE;
    return go_text_frame_cut_indent(&rest) &&
           go_text_frame_cut_front(&rest, "goroutine running on other thread; stack unavailable") &&
           rest.size == 0;
}

bool go_text_frame_is_pair(const struct go_text_frame *frame)
{
    return frame->lines == GO_TEXT_LINES_FUNCTION || frame->lines == GO_TEXT_LINES_FOREIGN ||
           frame->lines == GO_TEXT_LINES_CREATOR;
}

bool go_text_frame_parse(const char *line, size_t size, const char *second, size_t second_size,
                         struct go_text_frame *ret)
{
    struct go_text_part part = {line, size};
    struct go_text_part next = {second, second_size};
    *ret = (struct go_text_frame){.offset = UINT32_MAX};
    if (size == 0 || memchr(line, GO_TEXT_WORD, size) != NULL ||
        memchr(line, GO_TEXT_PARENT, size) != NULL || memchr(line, GO_TEXT_SKIP, size) != NULL ||
        memchr(line, GO_TEXT_END, size) != NULL || go_text_frame_alone(part, ret)) {
        return true;
    }
    bool creator = go_text_frame_cut_front(&part, "created by ");
    *ret = (struct go_text_frame){.offset = UINT32_MAX};
    if (!(creator ? go_text_frame_creator(part, ret) : go_text_frame_call(part, ret))) {
        bool name = line[0] != '\t' && line[0] != ' ';
        ret->lines = name ? GO_TEXT_LINES_FOREIGN : GO_TEXT_LINES_NONE;
        ret->function = part;
    }
    if (ret->lines == GO_TEXT_LINES_NONE) {
        return true;
    }
    if (second == NULL) {
        return false;
    }
    if (memchr(second, GO_TEXT_WORD, second_size) != NULL ||
        memchr(second, GO_TEXT_SKIP, second_size) != NULL ||
        memchr(second, GO_TEXT_PARENT, second_size) != NULL ||
        memchr(second, GO_TEXT_END, second_size) != NULL || !go_text_frame_second(next, ret)) {
        ret->lines = GO_TEXT_LINES_NONE;
    }
    return true;
}

/* Appends the argument list with MARK bytes for its words. */
static void go_text_frame_add_arguments(struct go_text_part arguments, struct string_builder *text)
{
    const char *end = arguments.text + arguments.size;
    bool fresh = true; /* a word may begin here */
    for (const char *at = arguments.text; at < end;) {
        uint64_t value;
        const char *next = fresh && *at == '0' ? go_text_frame_word(at, end, &value) : NULL;
        if (next != NULL) {
            string_builder_add_char(text, GO_TEXT_WORD);
            at = next;
            fresh = false;
            continue;
        }
        fresh = *at == ' ' || *at == '{';
        string_builder_add_char(text, *at++);
    }
}

void go_text_frame_template(const struct go_text_frame *frame, struct string_builder *template)
{
    string_builder_clear(template);
    go_text_frame_add_arguments(frame->arguments, template);
}

/* Appends PART with one hexadecimal number behind each of " fp=", " sp=", " pc=" at its end left
 * out. */
static void go_text_frame_add_place(struct go_text_part part, struct string_builder *text)
{
    static const char *const names[] = {" fp=", " sp=", " pc="};
    struct go_text_part rest = part;
    bool found[3] = {false};
    uint64_t value;
    for (size_t i = 3; i > 0; i--) {
        found[i - 1] = go_text_frame_cut_hex(&rest, names[i - 1], &value);
    }
    string_builder_add_bytes(text, rest.text, rest.size);
    for (size_t i = 0; i < 3; i++) {
        if (found[i]) {
            string_builder_add(text, names[i]);
            string_builder_add_char(text, GO_TEXT_SKIP);
        }
    }
}

void go_text_frame_pattern(const struct go_text_frame *frame, struct go_text_part line,
                           struct go_text_part second, struct string_builder *pattern)
{
    string_builder_clear(pattern);
    if (frame->lines == GO_TEXT_LINES_FUNCTION) {
        string_builder_add_bytes(pattern, line.text, frame->function.size + 1);
        go_text_frame_add_arguments(frame->arguments, pattern);
        string_builder_add_char(pattern, ')');
    } else if (frame->lines == GO_TEXT_LINES_CREATOR && frame->parent != 0) {
        (void)go_text_frame_cut_number(&line, &(uint64_t){0});
        string_builder_add_bytes(pattern, line.text, line.size);
        string_builder_add_char(pattern, GO_TEXT_PARENT);
    } else {
        string_builder_add_bytes(pattern, line.text, line.size);
    }
    string_builder_add_char(pattern, '\n');
    if (!go_text_frame_is_pair(frame)) {
        return;
    }
    if (frame->lines == GO_TEXT_LINES_FUNCTION) {
        go_text_frame_add_place(second, pattern);
    } else {
        string_builder_add_bytes(pattern, second.text, second.size);
    }
    string_builder_add_char(pattern, '\n');
}
