/* Facts about partners: stuck goroutines whose stacks still refer to what others wait for.
 *
 * A Go mutex has no owner, so a reference is a hint, and two things make it a weak one. Who merely
 * has the lock in a variable (a function that started the workers and joins them) is no holder when
 * another stands in a method of the same type. And mutexes of eight bytes share a block of the
 * allocator, in pairs that have nothing to do with each other: a reference to one looks like a
 * reference to both. */
#include "leak/cause_facts_internal.h"
#include "leak/finding_internal.h"
#include <string.h>

enum {
    PARTNERS_MEMBERS_MAX = 4096,  /* of a finding that are looked at */
    PARTNERS_KNOWN_MAX = 16,      /* of these, with partners: more say the same */
    PARTNERS_WAITS_MAX = 16,      /* of a member */
    PARTNERS_REFERENCES_MAX = 32, /* to one object */
    PARTNERS_SCAN_MAX = 1 << 16
};

/* Everything about the partners of one finding. */
struct partners {
    const struct finding_input *input;
    const struct finding *finding;
    const struct snapshot_goroutine *goroutines;
    const char *function; /* where the finding waits, or NULL */
    uint64_t near;        /* facts of those inside the same function or type */
    uint64_t far;         /* of the others */
    bool peer;            /* FACT_PEER_SENDS */
};

/* True when INDEX is a member of FINDING. */
static bool partners_is_member(const struct finding *finding, uint32_t index)
{
    size_t low = 0;
    size_t high = finding->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (finding->members[middle] < index) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < finding->count && finding->members[low] == index;
}

/* True when a member of FINDING refers to OBJECT. */
static bool partners_refers(const struct finding_input *input, const struct finding *finding,
                            uint32_t object)
{
    for (size_t i = finding_first_reference(input, object);
         i < input->reference_count && input->references[i].object == object; i++) {
        if (partners_is_member(finding, input->references[i].goroutine)) {
            return true;
        }
    }
    return false;
}

/* True for a lock of OBJECT's kind. */
static bool partners_is_lock(const struct snapshot_object *object)
{
    return object->kind == OBJECT_MUTEX || object->kind == OBJECT_RWMUTEX;
}

/* What PARTNER's own wait says. */
static uint64_t partners_wait(const struct partners *partners,
                              const struct snapshot_goroutine *partner)
{
    static const struct {
        uint64_t waits, fact;
    } kinds[] = {
        {FACT_SEND | FACT_SENDS, FACT_PARTNER_SENDS},
        {FACT_RECEIVE | FACT_SELECT, FACT_PARTNER_RECEIVES},
        {FACT_LOCK | FACT_RLOCK, FACT_PARTNER_LOCKS},
        {FACT_WAIT_GROUP, FACT_PARTNER_JOINS},
        {FACT_IO | FACT_SYSCALL | FACT_SLEEP, FACT_PARTNER_IO},
        {FACT_COND, FACT_PARTNER_CONDITION},
    };
    uint64_t waits = cause_facts_waiting(partners->input, partner);
    uint64_t facts = 0;
    waits &= (waits & FACT_SEND) != 0 ? ~FACT_SELECT : ~UINT64_C(0);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        facts |= (waits & kinds[i].waits) != 0 ? kinds[i].fact : 0;
    }
    size_t count;
    const struct snapshot_wait *list = snapshot_waits(partners->input->snapshot, partner, &count);
    for (size_t i = 0; i < count && i < PARTNERS_WAITS_MAX && (facts & FACT_MUTUAL) == 0; i++) {
        facts |=
            partners_refers(partners->input, partners->finding, list[i].object) ? FACT_MUTUAL : 0;
    }
    return facts;
}

/* True when PARTNER stands in the function that the finding waits in, or in a method of the same
 * type: it may well be inside of what a lock guards. */
static bool partners_is_inside(const struct partners *partners,
                               const struct snapshot_goroutine *partner)
{
    return partners->function != NULL &&
           cause_facts_is_inside(partners->input, partner->stack, partners->function);
}

/* Takes the references to OBJECT, for which goroutine WAITER waits; true when there is one. */
static bool partners_take(struct partners *partners, uint32_t waiter, uint32_t object)
{
    const struct finding_input *input = partners->input;
    size_t first = finding_first_reference(input, object);
    bool lock = partners_is_lock(snapshot_object(input->snapshot, object));
    bool found = false;
    for (size_t i = first; i < input->reference_count && i < first + PARTNERS_REFERENCES_MAX &&
                           input->references[i].object == object;
         i++) {
        const struct finding_reference *reference = &input->references[i];
        if (finding_is_neighbour(input, waiter, reference)) {
            continue;
        }
        const struct snapshot_goroutine *partner = &partners->goroutines[reference->goroutine];
        uint64_t facts = partners_wait(partners, partner);
        if (!lock || partners_is_inside(partners, partner)) {
            partners->near |= facts;
        } else {
            partners->far |= facts;
        }
        found = true;
    }
    return found;
}

/* What members refer to that others wait for: a lock, or a group to be finished. */
static uint64_t partners_held(const struct finding_input *input, const struct finding *finding)
{
    const uint64_t all = FACT_HOLDS_LOCK | FACT_JOINED;
    uint64_t facts = 0;
    for (size_t i = 0; i < input->reference_count && i < PARTNERS_SCAN_MAX && facts != all; i++) {
        const struct finding_reference *reference = &input->references[i];
        const struct snapshot_object *object = snapshot_object(input->snapshot, reference->object);
        uint64_t fact = partners_is_lock(object)            ? FACT_HOLDS_LOCK
                        : object->kind == OBJECT_WAIT_GROUP ? FACT_JOINED
                                                            : 0;
        if ((facts & fact) != fact && partners_is_member(finding, reference->goroutine) &&
            !finding_is_neighbour(input, finding->members[0], reference)) {
            facts |= fact;
        }
    }
    return facts;
}

/* True when goroutine INDEX waits to send to another channel than OBJECT. */
static bool partners_sends(const struct partners *partners, uint32_t index, uint32_t object)
{
    size_t count;
    const struct snapshot_wait *waits =
        snapshot_waits(partners->input->snapshot, &partners->goroutines[index], &count);
    for (size_t i = 0; i < count && i < PARTNERS_WAITS_MAX; i++) {
        if (waits[i].direction == DIRECTION_SEND && waits[i].object != object) {
            return true;
        }
    }
    return false;
}

/* Sets *RET when another that waits for channel OBJECT as well waits to send to a different one. */
static struct error *partners_peer(const struct partners *partners, uint32_t object, bool *ret)
{
    const uint32_t *goroutines;
    const uint8_t *directions;
    size_t count;
    TRY(snapshot_object_waiters(partners->input->snapshot, object, &goroutines, &directions,
                                &count));
    for (size_t i = 0; i < count && i < PARTNERS_REFERENCES_MAX && !*ret; i++) {
        *ret = directions[i] == DIRECTION_RECEIVE &&
               !partners_is_member(partners->finding, goroutines[i]) &&
               partners_sends(partners, goroutines[i], object);
    }
    return NULL;
}

/* Takes what MEMBER waits for; *FOUND counts those that others refer to. */
static struct error *partners_take_member(struct partners *partners, uint32_t member, size_t *found)
{
    size_t count;
    bool any = false;
    const struct snapshot_wait *waits =
        snapshot_waits(partners->input->snapshot, &partners->goroutines[member], &count);
    for (size_t i = 0; i < count && i < PARTNERS_WAITS_MAX; i++) {
        any = partners_take(partners, member, waits[i].object) || any;
        if (count > 1 && !partners->peer) {
            TRY(partners_peer(partners, waits[i].object, &partners->peer));
        }
    }
    *found += any;
    return NULL;
}

struct error *cause_facts_partners(const struct finding_input *input, const struct finding *finding,
                                   uint64_t *ret)
{
    size_t total;
    struct partners partners = {.input = input,
                                .finding = finding,
                                .goroutines = snapshot_goroutines(input->snapshot, &total),
                                .function = cause_facts_user_function(input, finding)};
    bool known = finding->verdict == LEAK_VERDICT_PROVED; /* references are of the proved alone */
    size_t found = 0;
    for (size_t i = 0;
         known && i < finding->count && i < PARTNERS_MEMBERS_MAX && found < PARTNERS_KNOWN_MAX;
         i++) {
        TRY(partners_take_member(&partners, finding->members[i], &found));
    }
    uint64_t facts = partners.near != 0 ? partners.near : partners.far;
    facts |= known && facts == 0 ? FACT_NO_PARTNER : 0;
    facts |= partners_held(input, finding) | (partners.peer ? FACT_PEER_SENDS : 0);
    facts |= finding->class_ == LEAK_CLASS_CYCLE ? FACT_CYCLE : 0;
    *ret |= facts;
    return NULL;
}
