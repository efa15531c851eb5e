/* Counting events by window and key, in several ways at once: in a table with a cell for every possibility where that is small, else by sorting.
 *
 * No hash table: a sort by radix is as fast for many keys, gives the order that is wanted, and nobody can choose keys
 * that make it slow.
 */
#include "kernel.h"

#include <stdlib.h>

#define BLOCK 1024
#define CELLS_MAX (4u << 20)
#define SECONDS_LIMIT (INT64_C(1) << 40) /* far outside the years 1 to 9999 */

/* What the ways have in common. */
typedef struct {
    const Events *events;
    int64_t least, largest; /* seconds */
    uint32_t *ranks;        /* of each merchant's id among the distinct ids */
    uint64_t *ids;          /* by rank */
    uint64_t distinct;
} Common;

typedef struct {
    const Way *way;
    int64_t first_s;  /* the start of the first window */
    uint64_t cells;   /* of one window */
    uint64_t windows; /* from the first to the last */
    bool by_merchant, by_bracket, by_method, bracket_first;
    uint32_t *table; /* a counter for every cell of every window, or, where those are many, */
    uint64_t *keys;  /* the cell of every event, and as much room */
    int finer;       /* the way whose table is added up to this one's; -1 when events are counted */
} Plan;

/* A block of events as numbers to make keys of, each found once for all ways that need it. */
typedef struct {
    size_t start, count;
    const uint8_t *methods;
    uint32_t brackets[BLOCK], ranks[BLOCK];
    bool with_brackets, with_ranks;
} Block;

/* Sort by the bits from `shift` up, eleven at a time, each pass keeping the order of the one before. Returns where the
 * result is: in one of the two arrays. */
static uint64_t *sort_keys(uint64_t *keys, uint64_t *spare, size_t count, int shift, uint64_t largest) {
    for (; shift < 64 && largest >> shift != 0; shift += 11) {
        size_t starts[2049] = {0};
        for (size_t i = 0; i < count; i++) {
            starts[(keys[i] >> shift & 2047) + 1]++;
        }
        for (int digit = 0; digit < 2048; digit++) {
            starts[digit + 1] += starts[digit];
        }
        for (size_t i = 0; i < count; i++) {
            spare[starts[keys[i] >> shift & 2047]++] = keys[i];
        }
        uint64_t *sorted = spare;
        spare = keys;
        keys = sorted;
    }
    return keys;
}

/* Number the merchants by rising id, equal ids alike. */
static Status rank_merchants(Common *common) {
    size_t count = common->events->merchant_count;
    const uint64_t *ids = common->events->merchant_ids;
    uint64_t largest = 0;
    uint64_t *order = malloc((2 * count + 1) * sizeof *order), *sorted = order;
    common->ranks = malloc((count + 1) * sizeof *common->ranks);
    common->ids = malloc((count + 1) * sizeof *common->ids);
    if (common->ranks == NULL || common->ids == NULL || order == NULL) {
        free(order);
        return NO_MEMORY;
    }
    bool rising = true;
    for (size_t i = 0; i < count; i++) {
        order[i] = ids[i] << MERCHANTS_BITS | i;
        rising &= order[i] >= largest;
        largest = order[i] > largest ? order[i] : largest;
    }
    if (!rising) {
        sorted = sort_keys(order, order + count, count, MERCHANTS_BITS, largest);
    }
    uint32_t ranks = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t id = sorted[i] >> MERCHANTS_BITS;
        if (i == 0 || id != common->ids[ranks - 1]) {
            common->ids[ranks++] = id;
        }
        common->ranks[sorted[i] & (MERCHANTS_MAX - 1)] = ranks - 1;
    }
    free(order);
    common->distinct = ranks;
    return DONE;
}

static Status check_events(Common *common, bool by_method, bool by_merchant, const char **problem) {
    const Events *events = common->events;
    bounds_signed(events->seconds, events->count, &common->least, &common->largest);
    if (common->least < -SECONDS_LIMIT || common->largest > SECONDS_LIMIT) {
        *problem = "a second is out of range";
        return INVALID;
    }
    if (by_method && largest_unsigned(events->methods, 1, events->count) >= METHODS) {
        *problem = "a method is out of range";
        return INVALID;
    }
    if (!by_merchant) {
        return DONE;
    }
    if (events->merchant_count > MERCHANTS_MAX ||
        largest_unsigned(events->merchant_ids, 8, events->merchant_count) >= MERCHANT_IDS_MAX) {
        *problem = "a merchant's id is out of range";
        return INVALID;
    }
    if (largest_unsigned(events->merchants, 4, events->count) >= events->merchant_count) {
        *problem = "a merchant is out of range";
        return INVALID;
    }
    return rank_merchants(common);
}

static void plan_keys(Plan *plan, const Way *way) {
    *plan = (Plan){.way = way, .cells = 1, .windows = 1, .finer = -1};
    for (int i = 0; i < way->keys_count; i++) {
        plan->by_merchant |= way->keys[i] == KEY_MERCHANT;
        plan->by_method |= way->keys[i] == KEY_METHOD;
        plan->by_bracket |= way->keys[i] == KEY_BRACKET;
        plan->bracket_first |= way->keys[i] == KEY_BRACKET && !plan->by_method;
    }
}

static Status plan_cells(Plan *plan, const Common *common, const char **problem) {
    size_t count = common->events->count;
    if (plan->way->window_s != 0) {
        int64_t window_s = plan->way->window_s, rest = common->least % window_s;
        plan->first_s = common->least - (rest < 0 ? rest + window_s : rest);
        plan->windows = (uint64_t)(common->largest - plan->first_s) / plan->way->window_s + 1;
    }
    plan->cells = (plan->by_merchant ? common->distinct : 1) * (plan->by_method ? METHODS : 1) *
                  (plan->by_bracket ? BRACKETS : 1);
    if (plan->windows > UINT64_MAX / 2 / plan->cells) {
        *problem = "the windows are too many";
        return INVALID;
    }
    uint64_t cells = plan->windows * plan->cells;
    if (cells <= CELLS_MAX && cells <= count * 32 + 64) {
        plan->table = calloc(cells, sizeof *plan->table);
        return plan->table == NULL ? NO_MEMORY : DONE;
    }
    plan->keys = malloc(2 * (count + 1) * sizeof *plan->keys);
    return plan->keys == NULL ? NO_MEMORY : DONE;
}

/* An amount's bracket; the amount is cut to 32 bits first, of which the compiler compares many at once. */
static inline uint32_t cut_amount(int64_t amount) {
    return amount < 0 ? 0 : amount > INT32_MAX ? INT32_MAX : (uint32_t)amount;
}

static inline uint32_t bracket_of(uint32_t cut) {
    static const int32_t floors[] = BRACKET_FLOORS;
    int32_t amount = (int32_t)cut;
    return (uint32_t)(amount >= floors[0]) + (amount >= floors[1]) + (amount >= floors[2]) + (amount >= floors[3]);
}

static void block_brackets(Block *block, const Events *events) {
    const int64_t *amounts = events->amounts + block->start;
    for (size_t i = 0; i < block->count; i++) {
        block->brackets[i] = cut_amount(amounts[i]);
    }
    for (size_t i = 0; i < block->count; i++) {
        block->brackets[i] = bracket_of(block->brackets[i]);
    }
    block->with_brackets = true;
}

static void block_ranks(Block *block, const Common *common) {
    const uint32_t *merchants = common->events->merchants + block->start;
    for (size_t i = 0; i < block->count; i++) {
        block->ranks[i] = common->ranks[merchants[i]];
    }
    block->with_ranks = true;
}

/* The window of each of a block of events. A constant divisor compiles to a multiplication. */
static void block_windows(const Plan *plan, const int64_t *seconds, size_t count, uint64_t *keys) {
    uint64_t first = (uint64_t)plan->first_s;
    uint32_t window_s = plan->way->window_s;
#define DIVIDE(type, divisor)                                                           \
    for (size_t i = 0; i < count; i++) {                                                \
        keys[i] = (uint64_t)((type)((uint64_t)seconds[i] - first) / (divisor));         \
    }
    if (window_s == 0) {
        memset(keys, 0, count * sizeof *keys);
    } else if (plan->windows <= UINT32_MAX / window_s) {
        if (window_s == 3600) {
            DIVIDE(uint32_t, 3600u)
        } else if (window_s == 86400) {
            DIVIDE(uint32_t, 86400u)
        } else {
            DIVIDE(uint32_t, window_s)
        }
    } else {
        DIVIDE(uint64_t, window_s)
    }
}

/* The cell of each of a block of events: window, then code by rank. */
static void block_keys(const Plan *plan, const Common *common, Block *block, uint64_t *keys) {
    uint32_t codes[BLOCK] = {0};
    size_t count = block->count;
    if (plan->by_bracket && !block->with_brackets) {
        block_brackets(block, common->events);
    }
    if (plan->by_merchant && !block->with_ranks) {
        block_ranks(block, common);
    }
#define ADD(radix, digits)                              \
    for (size_t i = 0; i < count; i++) {                \
        codes[i] = codes[i] * (radix) + (digits)[i];    \
    }
    if (plan->by_merchant) {
        memcpy(codes, block->ranks, count * sizeof *codes);
    }
    if (plan->by_bracket && plan->bracket_first) {
        ADD(BRACKETS, block->brackets)
    }
    if (plan->by_method) {
        ADD(METHODS, block->methods)
    }
    if (plan->by_bracket && !plan->bracket_first) {
        ADD(BRACKETS, block->brackets)
    }
    block_windows(plan, common->events->seconds + block->start, count, keys);
    uint64_t cells = plan->cells;
    if (cells <= UINT32_MAX && plan->windows <= UINT32_MAX) { /* a product that the processor has for many at once */
        for (size_t i = 0; i < count; i++) {
            keys[i] = (uint64_t)(uint32_t)keys[i] * (uint32_t)cells + codes[i];
        }
    } else {
        for (size_t i = 0; i < count; i++) {
            keys[i] = keys[i] * cells + codes[i];
        }
    }
}

static void count_events(const Common *common, Plan *plans, int ways) {
    const Events *events = common->events;
    uint64_t keys[BLOCK];
    Block block;
    for (size_t start = 0; start < events->count; start += BLOCK) {
        block.start = start;
        block.count = events->count - start < BLOCK ? events->count - start : BLOCK;
        block.methods = events->methods + start;
        block.with_brackets = block.with_ranks = false;
        for (int way = 0; way < ways; way++) {
            Plan *plan = &plans[way];
            if (plan->finer >= 0) {
                continue;
            }
            if (plan->table == NULL) {
                block_keys(plan, common, &block, plan->keys + start);
                continue;
            }
            block_keys(plan, common, &block, keys);
            for (size_t i = 0; i < block.count; i++) {
                plan->table[keys[i]]++;
            }
        }
    }
}

/* Whether each cell of one way is the sum of cells of another. */
static bool is_sum_of(const Plan *plan, const Plan *finer) {
    uint32_t window_s = plan->way->window_s, finer_s = finer->way->window_s;
    return plan->by_merchant <= finer->by_merchant && plan->by_bracket <= finer->by_bracket &&
           plan->by_method <= finer->by_method && (window_s == 0 || (finer_s != 0 && window_s % finer_s == 0));
}

/* The finest way whose table adds up to that of a way; -1 where there is none. Of two alike, the first is the finer. */
static int find_finer(const Plan *plans, int ways, int way) {
    for (int other = 0; other < ways && plans[way].table != NULL; other++) {
        bool finer = plans[other].table != NULL && is_sum_of(&plans[way], &plans[other]);
        if (finer && other != way && (other < way || !is_sum_of(&plans[other], &plans[way]))) {
            int finest = find_finer(plans, ways, other);
            return finest < 0 ? other : finest;
        }
    }
    return -1;
}

/* How many codes a merchant has. */
static uint64_t radix_of(const Plan *plan) {
    return (plan->by_method ? METHODS : 1) * (plan->by_bracket ? BRACKETS : 1);
}

static uint64_t code_of(const Plan *plan, uint64_t bracket, uint64_t method) {
    uint64_t code = plan->by_bracket && plan->bracket_first ? bracket : 0;
    code = plan->by_method ? code * METHODS + method : code;
    return plan->by_bracket && !plan->bracket_first ? code * BRACKETS + bracket : code;
}

static void add_up(const Plan *finer, const Plan *plan) {
    uint64_t radix = radix_of(finer), ranks = finer->cells / radix, merchant = plan->by_merchant ? radix_of(plan) : 0;
    uint64_t codes[BRACKETS * METHODS];
    for (uint64_t bracket = 0; bracket < BRACKETS; bracket++) {
        for (uint64_t method = 0; method < METHODS; method++) {
            codes[code_of(finer, bracket, method)] = code_of(plan, bracket, method);
        }
    }
    const uint32_t *from = finer->table;
    for (uint64_t window = 0; window < finer->windows; window++) {
        uint64_t start = 0;
        if (plan->way->window_s != 0) {
            int64_t second = finer->first_s + (int64_t)(window * finer->way->window_s);
            start = (uint64_t)(second - plan->first_s) / plan->way->window_s * plan->cells;
        }
        for (uint64_t rank = 0; rank < ranks; rank++, from += radix) {
            for (uint64_t code = 0; code < radix; code++) {
                plan->table[start + rank * merchant + codes[code]] += from[code];
            }
        }
    }
}

static bool groups_reserve(Groups *groups, size_t count) {
    groups->windows = malloc((count + 1) * 8);
    groups->codes = malloc((count + 1) * 8);
    groups->counts = malloc((count + 1) * 8);
    return groups->windows != NULL && groups->codes != NULL && groups->counts != NULL;
}

void groups_free(Groups *groups) {
    free(groups->windows);
    free(groups->codes);
    free(groups->counts);
}

static inline void groups_add(Groups *groups, int64_t window, uint64_t code, uint64_t count) {
    size_t index = groups->count++;
    groups->windows[index] = window;
    groups->codes[index] = code;
    groups->counts[index] = count;
}

static int64_t first_window(const Plan *plan) {
    return plan->way->window_s == 0 ? 0 : plan->first_s / plan->way->window_s;
}

static Status groups_of_table(const Plan *plan, const Common *common, Groups *groups) {
    size_t cells = plan->windows * plan->cells, used = 0;
    for (size_t i = 0; i < cells; i++) {
        used += plan->table[i] != 0;
    }
    if (!groups_reserve(groups, used)) {
        return NO_MEMORY;
    }
    const uint32_t *cell = plan->table;
    uint64_t radix = radix_of(plan), ranks = plan->cells / radix;
    int64_t first = first_window(plan);
    for (uint64_t window = 0; window < plan->windows; window++) {
        for (uint64_t rank = 0; rank < ranks; rank++) {
            uint64_t code = plan->by_merchant ? common->ids[rank] * radix : 0;
            for (uint64_t rest = 0; rest < radix; rest++, cell++) {
                if (*cell != 0) {
                    groups_add(groups, first + (int64_t)window, code + rest, *cell);
                }
            }
        }
    }
    return DONE;
}

static void sort_few(uint64_t *keys, size_t count) {
    for (size_t i = 1; i < count; i++) {
        uint64_t key = keys[i];
        size_t at = i;
        for (; at > 0 && keys[at - 1] > key; at--) {
            keys[at] = keys[at - 1];
        }
        keys[at] = key;
    }
}

static Status groups_of_keys(const Plan *plan, const Common *common, Groups *groups) {
    size_t count = common->events->count;
    uint64_t *sorted = plan->keys;
    if (!groups_reserve(groups, count)) {
        return NO_MEMORY;
    }
    if (count <= 64) {
        sort_few(sorted, count);
    } else {
        sorted = sort_keys(sorted, sorted + count, count, 0, plan->windows * plan->cells);
    }
    uint64_t radix = radix_of(plan);
    int64_t first = first_window(plan);
    for (size_t i = 0, next; i < count; i = next) {
        next = i + 1;
        while (next < count && sorted[next] == sorted[i]) {
            next++;
        }
        uint64_t cell = sorted[i] % plan->cells;
        uint64_t code = plan->by_merchant ? common->ids[cell / radix] * radix + cell % radix : cell;
        groups_add(groups, first + (int64_t)(sorted[i] / plan->cells), code, next - i);
    }
    return DONE;
}

static Status group_planned(Common *common, const Way *ways, int count, Plan *plans, Groups *groups,
                            const char **problem) {
    bool by_method = false, by_merchant = false;
    for (int way = 0; way < count; way++) {
        plan_keys(&plans[way], &ways[way]);
        by_method |= plans[way].by_method;
        by_merchant |= plans[way].by_merchant;
    }
    Status status = check_events(common, by_method, by_merchant, problem);
    for (int way = 0; way < count && status == DONE; way++) {
        status = plan_cells(&plans[way], common, problem);
    }
    if (status == DONE) {
        for (int way = 0; way < count; way++) {
            plans[way].finer = find_finer(plans, count, way);
        }
        count_events(common, plans, count);
    }
    for (int way = 0; way < count && status == DONE; way++) {
        if (plans[way].finer >= 0) {
            add_up(&plans[plans[way].finer], &plans[way]);
        }
    }
    for (int way = 0; way < count && status == DONE; way++) {
        const Plan *plan = &plans[way];
        status = plan->table != NULL ? groups_of_table(plan, common, &groups[way])
                                     : groups_of_keys(plan, common, &groups[way]);
    }
    return status;
}

Status group(const Events *events, const Way *ways, int count, Groups *groups, const char **problem) {
    Common common = {.events = events};
    Plan plans[WAYS_MAX] = {{0}};
    Status status = DONE;
    memset(groups, 0, (size_t)count * sizeof *groups);
    if (events->count != 0) {
        status = group_planned(&common, ways, count, plans, groups, problem);
    }
    for (int way = 0; way < count; way++) {
        free(plans[way].table);
        free(plans[way].keys);
    }
    free(common.ranks);
    free(common.ids);
    return status;
}
