/* "Did you mean": the known word closest to a misspelt one. */
#ifndef UNPARK_CLI_SUGGEST_H
#define UNPARK_CLI_SUGGEST_H

#include <stddef.h>

/* The search for the word closest to WORD. */
struct suggest {
    const char *word;
    const char *best; /* NULL while nothing is close enough */
    size_t distance;  /* edits from word to best */
};

/* Starts a search; WORD must outlive it. */
void suggest_init(struct suggest *suggest, const char *word);

/* Offers CANDIDATE, kept when it is closer than what was offered before and close enough: at most a
 * third of the word's letters differ, or CANDIDATE starts with the word. */
void suggest_offer(struct suggest *suggest, const char *candidate);

#endif
