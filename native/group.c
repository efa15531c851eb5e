/* Counting events by window and key: in a table with a cell for every possibility where that is small, else by sorting.
 *
 * No hash table: a sort by radix is as fast for many keys, gives the order that is wanted, and nobody can choose keys
 * that make it slow.
 */
#include "kernel.h"

#include <stdlib.h>

#define BLOCK 1024
#define CELLS_MAX (4u << 20)
#define SECONDS_LIMIT (INT64_C(1) << 40) /* far outside the years 1 to 9999 */

typedef struct {
    const Grouping *from;
    int64_t first_s;     /* the start of the first window */
    uint32_t *ranks;     /* of each merchant's id among the distinct ids */
    uint64_t *ids;       /* by rank */
    uint64_t cells;      /* of one window */
    uint64_t windows;    /* from the first to the last */
    bool by_merchant, by_bracket, by_method, bracket_first;
} Plan;

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
static Status rank_merchants(Plan *plan) {
    size_t count = plan->from->merchant_count;
    const uint64_t *ids = plan->from->merchant_ids;
    uint64_t largest = 0;
    uint64_t *order = malloc((2 * count + 1) * sizeof *order), *sorted = order;
    plan->ranks = malloc((count + 1) * sizeof *plan->ranks);
    plan->ids = malloc((count + 1) * sizeof *plan->ids);
    if (plan->ranks == NULL || plan->ids == NULL || order == NULL) {
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
        if (i == 0 || id != plan->ids[ranks - 1]) {
            plan->ids[ranks++] = id;
        }
        plan->ranks[sorted[i] & (MERCHANTS_MAX - 1)] = ranks - 1;
    }
    free(order);
    plan->cells = ranks;
    return DONE;
}

static Status make_plan(const Grouping *from, Plan *plan, const char **problem) {
    int64_t least, largest;
    *plan = (Plan){.from = from, .cells = 1, .windows = 1};
    bounds_signed(from->seconds, from->count, &least, &largest);
    if (least < -SECONDS_LIMIT || largest > SECONDS_LIMIT) {
        *problem = "a second is out of range";
        return INVALID;
    }
    if (from->window_s != 0) {
        int64_t window_s = from->window_s, rest = least % window_s;
        plan->first_s = least - (rest < 0 ? rest + window_s : rest);
        plan->windows = (uint64_t)(largest - plan->first_s) / from->window_s + 1;
    }
    for (int i = 0; i < from->keys_count; i++) {
        plan->by_merchant |= from->keys[i] == KEY_MERCHANT;
        plan->by_method |= from->keys[i] == KEY_METHOD;
        plan->by_bracket |= from->keys[i] == KEY_BRACKET;
        plan->bracket_first |= from->keys[i] == KEY_BRACKET && !plan->by_method;
    }
    if (plan->by_method && from->count && largest_unsigned(from->methods, 1, from->count) >= METHODS) {
        *problem = "a method is out of range";
        return INVALID;
    }
    if (plan->by_merchant) {
        if (from->merchant_count > MERCHANTS_MAX ||
            largest_unsigned(from->merchant_ids, 8, from->merchant_count) >= MERCHANT_IDS_MAX) {
            *problem = "a merchant's id is out of range";
            return INVALID;
        }
        if (from->count && largest_unsigned(from->merchants, 4, from->count) >= from->merchant_count) {
            *problem = "a merchant is out of range";
            return INVALID;
        }
        Status status = rank_merchants(plan);
        if (status != DONE) {
            return status;
        }
    }
    plan->cells *= (plan->by_method ? METHODS : 1) * (plan->by_bracket ? BRACKETS : 1);
    if (plan->windows > UINT64_MAX / 2 / plan->cells) {
        *problem = "the windows are too many";
        return INVALID;
    }
    return DONE;
}

static inline uint32_t bracket_of(int64_t amount) {
    static const int64_t floors[] = BRACKET_FLOORS;
    return (uint32_t)(amount >= floors[0]) + (amount >= floors[1]) + (amount >= floors[2]) + (amount >= floors[3]);
}

/* The window of each of a block of events. A constant divisor compiles to a multiplication. */
static void block_windows(const Plan *plan, const int64_t *seconds, size_t count, uint64_t *keys) {
    uint64_t first = (uint64_t)plan->first_s;
    uint32_t window_s = plan->from->window_s;
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
static void block_keys(const Plan *plan, size_t start, size_t count, uint64_t *keys) {
    const Grouping *from = plan->from;
    uint32_t codes[BLOCK];
    const uint8_t *methods = from->methods + start;
    const int64_t *amounts = from->amounts + start;
    block_windows(plan, from->seconds + start, count, keys);
    if (plan->by_merchant) {
        for (size_t i = 0; i < count; i++) {
            codes[i] = plan->ranks[from->merchants[start + i]];
        }
    } else {
        memset(codes, 0, count * sizeof *codes);
    }
    if (plan->by_bracket && plan->bracket_first) {
        for (size_t i = 0; i < count; i++) {
            codes[i] = codes[i] * BRACKETS + bracket_of(amounts[i]);
        }
    }
    if (plan->by_method) {
        for (size_t i = 0; i < count; i++) {
            codes[i] = codes[i] * METHODS + methods[i];
        }
    }
    if (plan->by_bracket && !plan->bracket_first) {
        for (size_t i = 0; i < count; i++) {
            codes[i] = codes[i] * BRACKETS + bracket_of(amounts[i]);
        }
    }
    for (size_t i = 0; i < count; i++) {
        keys[i] = keys[i] * plan->cells + codes[i];
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

static inline void groups_add(Groups *groups, const Plan *plan, uint64_t window, uint64_t cell, uint64_t count) {
    int64_t window_s = plan->from->window_s;
    uint64_t radix = (plan->by_method ? METHODS : 1) * (plan->by_bracket ? BRACKETS : 1);
    size_t index = groups->count++;
    groups->windows[index] = window_s == 0 ? 0 : plan->first_s / window_s + (int64_t)window;
    groups->codes[index] = plan->by_merchant ? plan->ids[cell / radix] * radix + cell % radix : cell;
    groups->counts[index] = count;
}

static Status count_in_table(const Plan *plan, Groups *groups) {
    size_t cells = plan->windows * plan->cells;
    uint32_t *table = calloc(cells, sizeof *table);
    uint64_t keys[BLOCK];
    if (table == NULL) {
        return NO_MEMORY;
    }
    for (size_t start = 0; start < plan->from->count; start += BLOCK) {
        size_t count = plan->from->count - start < BLOCK ? plan->from->count - start : BLOCK;
        block_keys(plan, start, count, keys);
        for (size_t i = 0; i < count; i++) {
            table[keys[i]]++;
        }
    }
    size_t used = 0;
    for (size_t i = 0; i < cells; i++) {
        used += table[i] != 0;
    }
    if (!groups_reserve(groups, used)) {
        free(table);
        return NO_MEMORY;
    }
    const uint32_t *cell = table;
    for (uint64_t window = 0; window < plan->windows; window++) {
        for (uint64_t code = 0; code < plan->cells; code++, cell++) {
            if (*cell != 0) {
                groups_add(groups, plan, window, code, *cell);
            }
        }
    }
    free(table);
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

static Status count_by_sorting(const Plan *plan, Groups *groups) {
    size_t count = plan->from->count;
    uint64_t *keys = malloc(2 * (count + 1) * sizeof *keys), *sorted = keys;
    if (keys == NULL || !groups_reserve(groups, count)) {
        free(keys);
        return NO_MEMORY;
    }
    for (size_t start = 0; start < count; start += BLOCK) {
        block_keys(plan, start, count - start < BLOCK ? count - start : BLOCK, keys + start);
    }
    if (count <= 64) {
        sort_few(keys, count);
    } else {
        sorted = sort_keys(keys, keys + count, count, 0, plan->windows * plan->cells);
    }
    for (size_t i = 0, next; i < count; i = next) {
        next = i + 1;
        while (next < count && sorted[next] == sorted[i]) {
            next++;
        }
        groups_add(groups, plan, sorted[i] / plan->cells, sorted[i] % plan->cells, next - i);
    }
    free(keys);
    return DONE;
}

Status group(const Grouping *grouping, Groups *groups, const char **problem) {
    Plan plan = {0};
    *groups = (Groups){0};
    if (grouping->count == 0) {
        return DONE;
    }
    Status status = make_plan(grouping, &plan, problem);
    if (status == DONE) {
        uint64_t cells = plan.windows * plan.cells;
        bool small = cells <= CELLS_MAX && cells <= grouping->count * 32 + 64;
        status = small ? count_in_table(&plan, groups) : count_by_sorting(&plan, groups);
    }
    free(plan.ranks);
    free(plan.ids);
    return status;
}
