#include "cli/suggest.h"
#include <string.h>

/* Longer words are not compared: no name of ours is. */
enum { SUGGEST_WORD_MAX = 63 };

void suggest_init(struct suggest *suggest, const char *word)
{
    *suggest = (struct suggest){.word = word};
}

/* The smallest of three. */
static size_t suggest_min(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Insertions, deletions, replacements and swaps of neighbours between A and B. */
static size_t suggest_distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
    size_t rows[3][SUGGEST_WORD_MAX + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b_size; j++) {
        above[j] = j;
    }
    for (size_t i = 1; i <= a_size; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t replaced = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = suggest_min(replaced, above[j] + 1, row[j - 1] + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < row[j]) {
                row[j] = before[j - 2] + 1;
            }
        }
        size_t *free_row = before;
        before = above;
        above = row;
        row = free_row;
    }
    return above[b_size];
}

void suggest_offer(struct suggest *suggest, const char *candidate)
{
    size_t word_size = strlen(suggest->word);
    size_t size = strlen(candidate);
    if (word_size < 2 || word_size > SUGGEST_WORD_MAX || size > SUGGEST_WORD_MAX) {
        return;
    }
    size_t distance = suggest_distance(suggest->word, word_size, candidate, size);
    if (strncmp(candidate, suggest->word, word_size) == 0) {
        distance = 1;
    }
    size_t allowed = word_size <= 3 ? 1 : (word_size + 2) / 3;
    if (distance <= allowed && (suggest->best == NULL || distance < suggest->distance)) {
        suggest->best = candidate;
        suggest->distance = distance;
    }
}
