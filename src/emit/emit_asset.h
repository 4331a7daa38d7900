/* Scripts and styles that go into pages and graphs as they are: the files of src/emit/assets, made
 * part of the program by tools/embed. */
#ifndef UNPARK_EMIT_EMIT_ASSET_H
#define UNPARK_EMIT_EMIT_ASSET_H

#include <stddef.h>

struct emit_asset {
    const char *text; /* holds neither "</script" nor "]]>" */
    size_t size;
    const char *sha256; /* of the text, in base64 */
};

extern const struct emit_asset emit_asset_flame_css;
extern const struct emit_asset emit_asset_flame_js;
extern const struct emit_asset emit_asset_page_css;
extern const struct emit_asset emit_asset_page_js;

#endif
