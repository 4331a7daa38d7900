/* Scoring the signatures of the catalogue against a finding.
 *
 * A signature is out unless the goroutines wait as it says, all facts that it needs hold and none
 * that it excludes. Then it earns points for what speaks for it: a library's own function name says
 * most, a fact that had to hold says more than one that merely fits. A cause counts once, with its
 * best signature. */
#include "leak/cause_match.h"
#include "base/string_builder.h"
#include "leak/cause_facts.h"
#include "leak/cause_table.h"
#include <stdlib.h>
#include <string.h>

enum {
    MATCH_BASE = 20,
    MATCH_NEED = 12,
    MATCH_HELP = 6,
    MATCH_NAME = 12,    /* a word in the program's own names */
    MATCH_LIBRARY = 45, /* a function of a library, with its package or type */
    MATCH_DOUBT = 8,    /* a cause that is usually proved, or usually not, and here is not, or is */
    MATCH_MIN = 26,     /* below this nothing is said */
    MATCH_BEHIND = 25,  /* nor of what is so far behind the best */
    MATCH_MAX = 100,
    MATCH_NAME_SIZE = 96
};

/* One scored signature. */
struct match {
    const struct cause_signature *signature;
    int score;
    const char *function; /* the one that a text of the signature was found in, or NULL */
    enum cause_place place;
    bool library; /* it is a library's */
};

/* True when TEXT names a library's function rather than a word that any program may use. */
static bool match_is_library(const char *text)
{
    return strchr(text, '/') != NULL || strstr(text, "(*") != NULL || strstr(text, "_C") != NULL ||
           (strchr(text, '.') != NULL && text[0] != '.');
}

/* Looks for the signature's function texts; the points that the best one earns. */
static int match_functions(const struct finding_input *input, const struct finding *finding,
                           struct match *match)
{
    int best = 0;
    const char *at = match->signature->functions;
    while (*at != '\0') {
        size_t size = strcspn(at, "|");
        char text[MATCH_NAME_SIZE];
        if (size > 0 && size < sizeof text) {
            memcpy(text, at, size);
            text[size] = '\0';
            bool library = match_is_library(text);
            int points = library ? MATCH_LIBRARY : MATCH_NAME;
            enum cause_place place;
            const char *function =
                points > best ? cause_facts_find_function(input, finding, text, library, &place)
                              : NULL;
            if (function != NULL) {
                best = points;
                match->function = function;
                match->place = place;
                match->library = library;
            }
        }
        at += size + (at[size] == '|');
    }
    return best;
}

/* What the verdict says against a cause that can be proved as PROOF says. */
static int match_doubt(const struct finding *finding, enum cause_proof proof)
{
    if (finding->verdict == LEAK_VERDICT_PROVED) {
        return proof == CAUSE_PROVABLE ? 0 : MATCH_DOUBT;
    }
    return finding->verdict == LEAK_VERDICT_SUSPECTED && proof == CAUSE_PROVABLE ? MATCH_DOUBT : 0;
}

/* Scores MATCH's signature for a finding with FACTS; 0 when it does not fit. */
static int match_score(const struct finding_input *input, const struct finding *finding,
                       uint64_t facts, struct match *match)
{
    const struct cause_signature *signature = match->signature;
    if ((signature->waits & facts) == 0 || (signature->needs & facts) != signature->needs ||
        (signature->excludes & facts) != 0) {
        return 0;
    }
    int names = match_functions(input, finding, match);
    if (names == 0 && signature->names == NAMES_MUST) {
        return 0;
    }
    int score = MATCH_BASE + names + MATCH_NEED * __builtin_popcountll(signature->needs) +
                MATCH_HELP * __builtin_popcountll(signature->helps & facts) -
                match_doubt(finding, cause_at((size_t)signature->number - 1)->proof);
    return score > MATCH_MAX ? MATCH_MAX : score;
}

/* Appends the words for FACTS that a finding does not show anyway, or with ALL for those as well.
 */
static void match_add_facts(uint64_t facts, bool all, struct string_builder *clause)
{
    for (uint64_t left = facts; left != 0; left &= left - 1) {
        bool shown;
        const char *text = cause_facts_text(left & -left, &shown);
        if (text != NULL && (all || !shown)) {
            string_builder_format(clause, "%s%s", clause->size > 0 ? ", " : "", text);
        }
    }
}

/* Appends each of the signature's facts that holds, in words; where the wait alone says all, that.
 */
static void match_evidence(const struct match *match, uint64_t facts, struct string_builder *clause)
{
    static const char *const places[] = {[CAUSE_PLACE_STACK] = "is in the stack",
                                         [CAUSE_PLACE_WAKER] = "refers to it",
                                         [CAUSE_PLACE_CREATOR] = "started it"};
    if (match->function != NULL) {
        string_builder_format(clause, "%s %s", match->function, places[match->place]);
    }
    uint64_t said = (match->signature->needs | match->signature->helps) & facts;
    if ((said & FACT_CYCLE) != 0) {
        said &= ~(FACT_PARTNER_LOCKS | FACT_MUTUAL | FACT_HOLDS_LOCK); /* what a cycle is made of */
    }
    match_add_facts(said, false, clause);
    if (clause->size == 0) {
        match_add_facts(match->signature->waits & facts, true, clause);
    }
}

/* Puts MATCH among the best, unless its cause is there already with as good a signature. */
static void match_keep(struct match *best, size_t *count, const struct match *match)
{
    for (size_t i = 0; i < *count; i++) {
        if (best[i].signature->number == match->signature->number) {
            if (best[i].score >= match->score) {
                return;
            }
            memmove(&best[i], &best[i + 1], (*count - i - 1) * sizeof *best);
            --*count;
            break;
        }
    }
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

/* True when MATCH's signature speaks of goroutines that are still there, or knows the library. */
static bool match_of_others(const struct match *match)
{
    return (match->signature->needs & FACTS_OF_PARTNERS) != 0 || match->library;
}

struct error *cause_match(const struct finding_input *input, struct finding *finding, bool follows)
{
    struct match best[FINDING_CAUSES_MAX + 1];
    size_t kept = 0;
    size_t count;
    uint64_t facts;
    TRY(cause_facts(input, finding, &facts));
    const struct cause_signature *signatures = cause_signatures(&count);
    for (size_t i = 0; i < count; i++) {
        struct match match = {.signature = &signatures[i]};
        match.score = match_score(input, finding, facts, &match);
        if (follows && !match_of_others(&match)) {
            continue;
        }
        if (match.score >= MATCH_MIN &&
            cause_at((size_t)signatures[i].number - 1)->proof != CAUSE_BENIGN) {
            match_keep(best, &kept, &match);
        }
    }
    for (size_t i = 0; i < kept && best[i].score + MATCH_BEHIND >= best[0].score; i++) {
        struct string_builder clause = {0};
        struct finding_cause *cause = &finding->causes[i];
        match_evidence(&best[i], facts, &clause);
        struct error *error = string_builder_take(&clause, &cause->evidence);
        string_builder_deinit(&clause);
        TRY(error);
        cause->cause = cause_at((size_t)best[i].signature->number - 1);
        cause->score = best[i].score;
        finding->cause_count++;
    }
    return NULL;
}
