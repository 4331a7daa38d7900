/* Flame graphs as SVG. */
#ifndef UNPARK_EMIT_FLAME_SVG_H
#define UNPARK_EMIT_FLAME_SVG_H

#include "emit/emit_sink.h"
#include "emit/flame_tree.h"

enum {
    FLAME_SVG_DEPTH_MAX = 200,  /* rows; for flame_tree_init */
    FLAME_SVG_NODES_MAX = 8000, /* frames drawn; what is lighter is counted, not drawn */
    FLAME_SVG_SHARE_MIN = 24000 /* a frame must be one part in so many of the whole */
};

/* What stands around the graph of a file of its own. Texts are the target's and get escaped. */
struct flame_svg_frame {
    const char *heading, *subheading;
};

/* Draws TREE (ordered by weight), the root on top. With FRAME it is a complete file with style and
 * script inside; NULL: an <svg> element for a page that has the assets flame.css and flame.js. The
 * size is bounded whatever TREE holds. */
NODISCARD struct error *flame_svg_write(const struct flame_tree *tree,
                                        const struct flame_svg_frame *frame,
                                        struct emit_sink *sink);

/* Writes the legend of the colours as an SVG group at X, Y. */
void flame_svg_write_legend(struct emit_sink *sink, unsigned x, unsigned y);

#endif
