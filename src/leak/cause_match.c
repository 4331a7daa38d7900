/* Scoring the rows of the catalogue against a finding.
 *
 * A row is out unless the goroutines wait as it says and all facts that it needs hold. Then it
 * earns points for what speaks for it: a library's own function name says most, a fact that had to
 * hold says more than one that merely fits. Rows that rest on nothing but the kind of wait stay
 * below the rows that know more. */
#include "leak/cause_match.h"
#include "base/string_builder.h"
#include "leak/cause_facts.h"
#include "leak/cause_table.h"
#include <stdlib.h>
#include <string.h>

enum {
    MATCH_BASE = 20,
    MATCH_NEED = 14,
    MATCH_HELP = 6,
    MATCH_NAME = 12,    /* a word in the program's own names */
    MATCH_LIBRARY = 45, /* a function of a library, with its package */
    MATCH_MIN = 26,     /* below this nothing is said */
    MATCH_MAX = 100,
    MATCH_NAME_SIZE = 96
};

/* One scored row. */
struct match {
    const struct cause_row *row;
    int score;
    char name[MATCH_NAME_SIZE]; /* the function text that was found, "" none */
};

/* Looks for the row's function texts; the points that the best one earns. */
static int match_functions(const struct finding_input *input, const struct finding *finding,
                           struct match *match)
{
    int best = 0;
    const char *at = match->row->functions;
    while (*at != '\0') {
        size_t size = strcspn(at, "|");
        char text[MATCH_NAME_SIZE];
        if (size > 0 && size < sizeof text) {
            memcpy(text, at, size);
            text[size] = '\0';
            bool library = strchr(text, '/') != NULL || strstr(text, ".(*") != NULL ||
                           strstr(text, "._") != NULL;
            int points = library ? MATCH_LIBRARY : MATCH_NAME;
            if (points > best && cause_facts_has_function(input, finding, text)) {
                best = points;
                memcpy(match->name, text, size + 1);
            }
        }
        at += size + (at[size] == '|');
    }
    return best;
}

/* True when a row can only be told by its function names: its wait alone says nothing. */
static bool match_needs_name(const struct cause_row *row)
{
    bool specific = row->needs != 0 ||
                    (row->waits & (FACT_NIL | FACT_EMPTY | FACT_COND | FACT_WAIT_GROUP)) != 0;
    return row->functions[0] != '\0' && !specific && row->cause.number != 5 &&
           row->cause.number != 20;
}

/* Scores ROW for a finding with FACTS. */
static int match_score(const struct finding_input *input, const struct finding *finding,
                       unsigned facts, struct match *match)
{
    const struct cause_row *row = match->row;
    if ((row->waits & facts) == 0 || (row->needs & facts) != row->needs) {
        return 0;
    }
    int names = match_functions(input, finding, match);
    if (names == 0 && match_needs_name(row)) {
        return 0;
    }
    int score = MATCH_BASE + names + MATCH_NEED * __builtin_popcount(row->needs) +
                MATCH_HELP * __builtin_popcount(row->helps & facts);
    if (finding->verdict == LEAK_VERDICT_PROVED && row->cause.proof == CAUSE_EVIDENCE) {
        score -= MATCH_NEED; /* a proof excludes what waits for the outside world */
    }
    return score > MATCH_MAX ? MATCH_MAX : score;
}

/* Appends each of the row's facts that holds, in words. */
static void match_evidence(const struct match *match, unsigned facts, struct string_builder *clause)
{
    static const struct {
        unsigned fact;
        const char *text;
    } words[] = {
        {FACT_UNBUFFERED, "the channel has no buffer"},
        {FACT_FULL, "the buffer is full"},
        {FACT_TIMER, "it is a timer's channel"},
        {FACT_SHARED, "several wait for the same object"},
        {FACT_MANY, "several were started by one goroutine"},
        {FACT_CREATOR_GONE, "the goroutine that started it has ended"},
        {FACT_NO_PARTNER, "no other stuck goroutine refers to it"},
        {FACT_PARTNER_SENDS, "another that refers to it is itself stuck sending"},
        {FACT_PARTNER_LOCKS, "another that refers to it is itself stuck at a lock"},
        {FACT_PARTNER_WAITS, "another that refers to it waits itself"},
        {FACT_HOLDS_LOCK, "others wait for a lock that it refers to"},
        {FACT_CYCLE, "the goroutines wait for each other's locks"},
        {FACT_TYPE_TWICE, "two methods of one type are in the stack"},
        {FACT_RWMUTEX, "it is an RWMutex"},
    };
    const char *separator = "";
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (((match->row->needs | match->row->helps) & facts & words[i].fact) != 0) {
            string_builder_format(clause, "%s%s", separator, words[i].text);
            separator = ", ";
        }
    }
    if (match->name[0] != '\0') {
        string_builder_format(clause, "%s\"%s\" is in the stack", separator, match->name);
    }
}

/* Puts MATCH among the best. */
static void match_keep(struct match *best, size_t *count, const struct match *match)
{
    size_t at = *count;
    while (at > 0 && best[at - 1].score < match->score) {
        at--;
    }
    if (at == FINDING_CAUSES_MAX) {
        return;
    }
    size_t last = *count < FINDING_CAUSES_MAX ? *count : FINDING_CAUSES_MAX - 1;
    memmove(&best[at + 1], &best[at], (last - at) * sizeof *best);
    best[at] = *match;
    *count = last + 1;
}

struct error *cause_match(const struct finding_input *input, struct finding *finding)
{
    struct match best[FINDING_CAUSES_MAX + 1];
    size_t kept = 0;
    size_t count;
    unsigned facts = cause_facts(input, finding);
    const struct cause_row *rows = cause_table(&count);
    for (size_t i = 0; i < count; i++) {
        struct match match = {.row = &rows[i]};
        match.score = match_score(input, finding, facts, &match);
        if (match.score >= MATCH_MIN && rows[i].cause.proof != CAUSE_BENIGN) {
            match_keep(best, &kept, &match);
        }
    }
    for (size_t i = 0; i < kept; i++) {
        struct string_builder clause = {0};
        struct finding_cause *cause = &finding->causes[i];
        match_evidence(&best[i], facts, &clause);
        struct error *error = string_builder_take(&clause, &cause->evidence);
        string_builder_deinit(&clause);
        TRY(error);
        cause->cause = &best[i].row->cause;
        cause->score = best[i].score;
        finding->cause_count++;
    }
    return NULL;
}
