/* Shapes met in the wild, each taken off by the two kinds of layers:
 *   2024-01-02T03:04:05.678901234Z stderr F goroutine 1 [running]:       CRI (kubelet); P for a
 * part
 *   {"log":"goroutine 1 [running]:\n","stream":"stderr","time":"..."}   Docker's json-file; a
 * string without \n is a part
 *   {"level":"error","stack":"goroutine 1 [running]:\nmain.main()..."}  a logger's field; a whole
 * dump level=error msg="goroutine 1 [running]:\nmain.main()..."            logfmt Jan  2 03:04:05
 * host app[7]: goroutine 1 [running]:                 journald, syslog (#011 is a tab) web-1  |
 * goroutine 1 [running]:                                     compose 2024/01/02 03:04:05 goroutine
 * 1 [running]:                          Go's log: on the first line only Escape sequences of
 * terminals and carriage returns are taken off everywhere. */
#include "ingest/go_text_wrap.h"
#include <string.h>

enum { WRAP_CANDIDATES_MAX = 8 };

static const char go_text_wrap_word[] = "goroutine ";

void go_text_wrap_deinit(struct go_text_wrap *wrap)
{
    vector_deinit(&wrap->scratch[0].bytes);
    vector_deinit(&wrap->scratch[1].bytes);
}

/* Appends SIZE bytes. */
static struct error *go_text_wrap_add(struct go_text_lines_buffer *out, const char *bytes,
                                      size_t size)
{
    TRY(vector_reserve(&out->bytes, out->bytes.count + size));
    if (size > 0) {
        memcpy(out->bytes.items + out->bytes.count, bytes, size);
    }
    out->bytes.count += size;
    return NULL;
}

/* The bytes of the escape sequence at AT, or 0: CSI up to its final byte, OSC up to its end. */
static size_t go_text_wrap_sequence(const char *at, size_t size)
{
    if (size < 2 || at[0] != '\033') {
        return 0;
    }
    bool command = at[1] == '[';
    if (!command && at[1] != ']') {
        return 2;
    }
    for (size_t i = 2; i < size; i++) {
        if (command ? at[i] >= '@' && at[i] <= '~' : at[i] == '\a') {
            return i + 1;
        }
    }
    return size;
}

/* Copies SIZE bytes of LINE without escape sequences and without carriage returns at the end. */
static struct error *go_text_wrap_clean(const char *line, size_t size,
                                        struct go_text_lines_buffer *out)
{
    out->bytes.count = 0;
    TRY(vector_reserve(&out->bytes, size + 1));
    while (size > 0 && line[size - 1] == '\r') {
        size--;
    }
    if (memchr(line, '\033', size) == NULL) {
        return go_text_wrap_add(out, line, size);
    }
    for (size_t i = 0; i < size;) {
        size_t skip = go_text_wrap_sequence(line + i, size - i);
        if (skip == 0) {
            out->bytes.items[out->bytes.count++] = line[i++];
        }
        i += skip;
    }
    return NULL;
}

/* Appends the code of \uXXXX whose digits are at AT, in UTF-8; surrogates one by one become U+FFFD.
 */
static size_t go_text_wrap_unicode(const char *at, size_t size, char *out)
{
    uint32_t code = 0;
    if (size < 4) {
        return 0;
    }
    for (size_t i = 0; i < 4; i++) {
        char c = at[i];
        char low = (char)(c | 0x20);
        uint32_t digit = c >= '0' && c <= '9'       ? (uint32_t)(c - '0')
                         : low >= 'a' && low <= 'f' ? (uint32_t)(low - 'a' + 10)
                                                    : 16;
        if (digit == 16) {
            return 0;
        }
        code = code << 4 | digit;
    }
    code = code >= 0xd800 && code <= 0xdfff ? 0xfffd : code;
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    out[0] = (char)(0xe0 | code >> 12);
    out[1] = (char)(0x80 | (code >> 6 & 0x3f));
    out[2] = (char)(0x80 | (code & 0x3f));
    return 3;
}

/* Appends the string that begins at AT (behind its quote) up to its closing quote or the end;
 * *ENDS_RET is where it closes. */
static struct error *go_text_wrap_unquote(const char *at, size_t size,
                                          struct go_text_lines_buffer *out, size_t *ends_ret)
{
    static const char names[] = "nrtbfav\\\"/'";
    static const char values[] = "\n\r\t\b\f\a\v\\\"/'";
    size_t i = 0;
    TRY(vector_reserve(&out->bytes, out->bytes.count + size + 4));
    char *to = out->bytes.items + out->bytes.count;
    while (i < size && at[i] != '"') {
        const char *name =
            at[i] != '\\' || i + 1 == size || at[i + 1] == '\0' ? NULL : strchr(names, at[i + 1]);
        size_t made = 0;
        if (name != NULL) {
            *to++ = values[name - names];
            i += 2;
        } else if (at[i] == '\\' && i + 1 < size && at[i + 1] == 'u' &&
                   (made = go_text_wrap_unicode(at + i + 2, size - i - 2, to)) > 0) {
            to += made;
            i += 6;
        } else {
            *to++ = at[i++];
        }
    }
    out->bytes.count = (size_t)(to - out->bytes.items);
    *ends_ret = i;
    return NULL;
}

/* The string of LINE that holds the byte at WHERE: the offset behind its opening quote, or 0. */
static size_t go_text_wrap_enclosing(const char *line, size_t where)
{
    size_t start = 0;
    for (size_t i = 0; i < where; i++) {
        if (start > 0 && line[i] == '\\') {
            i++;
        } else if (line[i] == '"') {
            start = start == 0 ? i + 1 : 0;
        }
    }
    return start;
}

/* Where the text that names the string at START (behind its quote) begins: `"log":"` or `msg="`. */
static size_t go_text_wrap_key(const char *line, size_t start)
{
    size_t at = start - 1;
    while (at > 0 && start - at < GO_TEXT_LAYER_SIZE && line[at - 1] != '{' &&
           line[at - 1] != ',' && !(line[at - 1] == ' ' && (at < 2 || line[at - 2] != ':'))) {
        at--;
    }
    return at;
}

/* How many bytes of the SIZE at LINE fit LAYER, a prefix; 0 when it does not. *PART_RET: of CRI,
 * the line goes on in the next. */
static size_t go_text_wrap_prefix(const struct go_text_layer *layer, const char *line, size_t size,
                                  bool *part_ret)
{
    size_t at = 0;
    *part_ret = false;
    for (size_t i = 0; i < layer->size;) {
        bool digit = layer->text[i] >= '0' && layer->text[i] <= '9';
        bool kind = layer->text[i] == 'F' && i + 2 == layer->size && i > 0 &&
                    layer->text[i - 1] == ' ' && layer->text[i + 1] == ' ';
        if (at == size) {
            return i + 1 == layer->size && layer->text[i] == ' ' ? size
                                                                 : 0; /* an empty line, trimmed */
        }
        if (digit) {
            size_t start = at;
            while (i < layer->size && layer->text[i] >= '0' && layer->text[i] <= '9') {
                i++;
            }
            while (at < size && line[at] >= '0' && line[at] <= '9') {
                at++;
            }
            if (at == start) {
                return 0;
            }
            continue;
        }
        *part_ret = kind && line[at] == 'P';
        if (line[at] != layer->text[i] && !*part_ret) {
            return 0;
        }
        at++;
        i++;
    }
    return at;
}

/* One layer taken off CONTENT. */
struct go_text_wrap_content {
    const char *text;
    size_t size;
    bool part;    /* no end of line behind it */
    bool several; /* a string of several lines: the dump ends with it */
};

/* Takes a prefix off; journald indents what follows the first line of a message as far. */
static void go_text_wrap_off_prefix(const struct go_text_layer *layer,
                                    struct go_text_wrap_content *content)
{
    bool part;
    size_t skip = go_text_wrap_prefix(layer, content->text, content->size, &part);
    if (skip == 0) {
        while (skip < layer->size && skip < content->size && content->text[skip] == ' ') {
            skip++;
        }
        skip = skip == layer->size ? skip : 0;
    }
    content->text += skip;
    content->size -= skip;
    content->part = content->part || part;
}

/* Takes a string out of what surrounds it. */
static struct error *go_text_wrap_off_string(const struct go_text_layer *layer,
                                             struct go_text_lines_buffer *scratch,
                                             struct go_text_wrap_content *content)
{
    size_t end;
    const char *found = memmem(content->text, content->size, layer->text, layer->size);
    if (found == NULL) {
        return NULL;
    }
    size_t start = (size_t)(found - content->text) + layer->size;
    scratch->bytes.count = 0;
    TRY(go_text_wrap_unquote(content->text + start, content->size - start, scratch, &end));
    size_t size = scratch->bytes.count;
    const char *text = scratch->bytes.items;
    bool ends = size > 0 && text[size - 1] == '\n';
    size -= ends;
    *content = (struct go_text_wrap_content){
        .text = text,
        .size = size,
        .part = layer->ends_lines && !ends,
        .several = size > 0 && memchr(text, '\n', size) != NULL,
    };
    return NULL;
}

/* Appends the lines of CONTENT. */
static struct error *go_text_wrap_add_lines(const struct go_text_wrap_content *content,
                                            struct go_text_lines_buffer *out)
{
    static const char tab[] = "#011";
    const char *end = content->text + content->size;
    for (const char *at = content->text; at <= end;) {
        const char *stop = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
        stop = stop == NULL ? end : stop;
        size_t size = (size_t)(stop - at);
        while (size > 0 && at[size - 1] == '\r') {
            size--;
        }
        if (size >= sizeof tab - 1 && memcmp(at, tab, sizeof tab - 1) == 0) {
            TRY(go_text_wrap_add(out, "\t", 1));
            at += sizeof tab - 1;
            size -= sizeof tab - 1;
        }
        TRY(go_text_wrap_add(out, at, size));
        if (stop < end || !content->part) {
            TRY(go_text_wrap_add(out, "\n", 1));
        }
        at = stop + 1;
    }
    return content->several ? go_text_wrap_add(out, "\n", 1) : NULL;
}

/* Takes the first LAYERS layers off LINE. */
static struct error *go_text_wrap_peel(struct go_text_wrap *wrap, const char *line, size_t size,
                                       struct go_text_wrap_content *ret)
{
    *ret = (struct go_text_wrap_content){.text = line, .size = size};
    while (ret->size > 0 && line[ret->size - 1] == '\r') {
        ret->size--;
    }
    unsigned turn = 0;
    if (memchr(line, '\033', ret->size) != NULL) {
        TRY(go_text_wrap_clean(line, ret->size, &wrap->scratch[turn]));
        ret->text = wrap->scratch[turn].bytes.items;
        ret->size = wrap->scratch[turn].bytes.count;
        turn ^= 1;
    }
    for (size_t i = 0; i < wrap->count; i++) {
        if (wrap->layers[i].kind == GO_TEXT_LAYER_PREFIX) {
            go_text_wrap_off_prefix(&wrap->layers[i], ret);
            continue;
        }
        TRY(go_text_wrap_off_string(&wrap->layers[i], &wrap->scratch[turn], ret));
        turn ^= 1;
    }
    return NULL;
}

struct error *go_text_wrap_take_off(struct go_text_wrap *wrap, const char *line, size_t size,
                                    struct go_text_lines_buffer *out)
{
    struct go_text_wrap_content content;
    TRY(go_text_wrap_peel(wrap, line, size, &content));
    return go_text_wrap_add_lines(&content, out);
}

/* The place of what looks like a header in the SIZE bytes at TEXT from FROM on, at the beginning of
 * a line if there is one; SIZE when there is none. */
static size_t go_text_wrap_find(const char *text, size_t size, size_t from)
{
    size_t first = size;
    for (unsigned i = 0; i < WRAP_CANDIDATES_MAX && from < size; i++) {
        const char *found =
            memmem(text + from, size - from, go_text_wrap_word, sizeof go_text_wrap_word - 1);
        if (found == NULL) {
            break;
        }
        size_t at = (size_t)(found - text);
        if (go_text_header_is_likely(found, size - at)) {
            if (at == 0 || text[at - 1] == '\n') {
                return at;
            }
            first = first == size ? at : first;
        }
        from = at + 1;
    }
    return first;
}

/* Adds the layer that stands before the header at WHERE in CONTENT; false when there is no room. */
static struct error *go_text_wrap_add_layer(struct go_text_wrap *wrap,
                                            const struct go_text_wrap_content *content,
                                            size_t where, bool *ret)
{
    const char *newline = memrchr(content->text, '\n', where);
    const char *line = newline == NULL ? content->text : newline + 1;
    where -= (size_t)(line - content->text);
    size_t string = go_text_wrap_enclosing(line, where);
    size_t from = string > 0 ? go_text_wrap_key(line, string) : 0;
    size_t size = string > 0 ? string - from : where;
    *ret = wrap->count < GO_TEXT_LAYERS && size > 0 && size < GO_TEXT_LAYER_SIZE &&
           (string == 0 || size > 1);
    if (!*ret) {
        return NULL;
    }
    struct go_text_layer *layer = &wrap->layers[wrap->count++];
    *layer = (struct go_text_layer){.size = size};
    memcpy(layer->text, line + from, size);
    if (string > 0) {
        struct go_text_lines_buffer whole = {0};
        size_t end;
        size_t left = content->size - (size_t)(line + string - content->text);
        struct error *error = go_text_wrap_unquote(line + string, left, &whole, &end);
        size_t count = whole.bytes.count;
        layer->kind = GO_TEXT_LAYER_STRING;
        layer->ends_lines = error == NULL && count > 0 && whole.bytes.items[count - 1] == '\n' &&
                            memchr(whole.bytes.items, '\n', count) == whole.bytes.items + count - 1;
        vector_deinit(&whole.bytes);
        return error;
    }
    return NULL;
}

/* True when the line of CONTENT at WHERE is a header. */
static bool go_text_wrap_is_header(const struct go_text_wrap_content *content, size_t where,
                                   struct go_text_memory *memory)
{
    struct go_text_header header;
    const char *line = content->text + where;
    size_t left = content->size - where;
    const char *stop = memchr(line, '\n', left);
    size_t size = stop == NULL ? left : (size_t)(stop - line);
    while (size > 0 && line[size - 1] == '\r') {
        size--;
    }
    return (where == 0 || line[-1] == '\n') && go_text_header_parse(line, size, memory, &header);
}

struct error *go_text_wrap_learn(struct go_text_wrap *wrap, const char *line, size_t size,
                                 struct go_text_memory *memory, bool *ret)
{
    struct go_text_wrap before = *wrap;
    struct go_text_wrap_content content;
    bool more = true;
    *ret = false;
    wrap->count = 0;
    while (more) {
        TRY(go_text_wrap_peel(wrap, line, size, &content));
        size_t where = go_text_wrap_find(content.text, content.size, 0);
        if (where == content.size) {
            break;
        }
        if (go_text_wrap_is_header(&content, where, memory)) {
            *ret = true;
            return NULL;
        }
        TRY(go_text_wrap_add_layer(wrap, &content, where, &more));
    }
    memcpy(wrap->layers, before.layers, sizeof before.layers);
    wrap->count = before.count;
    return NULL;
}
