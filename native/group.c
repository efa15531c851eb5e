/* Counting and summing by columns of codes, in several groupings at once: in a table with a cell for every possibility
 * where that is small, else by sorting.
 *
 * No hash table: a sort by radix is as fast for many keys, gives the order that is wanted, and nobody can choose keys
 * that make it slow.
 */
#include "kernel.h"

#include <stdlib.h>

#define BLOCK 1024
#define CELLS_MAX (1u << 20)
#define INNER_MAX 1024
#define FEW 64

/* A column with its codes numbered without gaps, which the tables need: by rising code, so that order stays. */
typedef struct {
    int root;        /* the column whose codes are there */
    uint64_t radix;  /* of the numbers */
    uint32_t *map;   /* from a root's code to the number; NULL when they are the same */
    uint64_t *codes; /* from the number to the code; NULL when they are the same */
} Numbered;

typedef struct {
    uint64_t sum, count;
} Cell;

typedef struct {
    uint64_t key, value;
} Pair;

typedef struct {
    const Grouping *grouping;
    uint64_t cells;                 /* UINT64_MAX when they are more than 64 bits count */
    Cell *table;                    /* NULL where cells are many: then */
    uint64_t *words;                /* the key of each event, in so many words one after another, */
    int words_count;                /* the most significant first, */
    int word_of[GROUP_COLUMNS_MAX]; /* and in which of them each of the grouping's columns is */
    int finer;                      /* the plan whose table adds up to this one's; -1 when events are counted */
} Plan;

typedef struct {
    const GroupColumn *columns;
    int columns_count;
    const int64_t *weights;
    size_t count;
    Numbered numbered[GROUP_COLUMNS_MAX];
} Input;

/* Sort by key, eleven bits at a time, each pass keeping the order of the one before. Returns where the result is. */
static Pair *sort_pairs(Pair *pairs, Pair *spare, size_t count, uint64_t largest) {
    for (int shift = 0; shift < 64 && largest >> shift != 0; shift += 11) {
        size_t starts[2049] = {0};
        for (size_t i = 0; i < count; i++) {
            starts[(pairs[i].key >> shift & 2047) + 1]++;
        }
        for (int digit = 0; digit < 2048; digit++) {
            starts[digit + 1] += starts[digit];
        }
        for (size_t i = 0; i < count; i++) {
            spare[starts[pairs[i].key >> shift & 2047]++] = pairs[i];
        }
        Pair *sorted = spare;
        spare = pairs;
        pairs = sorted;
    }
    return pairs;
}

static void sort_few(Pair *pairs, size_t count) {
    for (size_t i = 1; i < count; i++) {
        Pair pair = pairs[i];
        size_t at = i;
        for (; at > 0 && pairs[at - 1].key > pair.key; at--) {
            pairs[at] = pairs[at - 1];
        }
        pairs[at] = pair;
    }
}

static Pair *sorted_pairs(Pair *pairs, size_t count, uint64_t largest) {
    if (count <= FEW) {
        sort_few(pairs, count);
        return pairs;
    }
    return sort_pairs(pairs, pairs + count, count, largest);
}

/* Columns. */

static uint64_t code_at(const GroupColumn *column, size_t index) {
    return stored_at(column->codes, column->width, index);
}

static Status check_column(const Input *input, int index, const char **problem) {
    const GroupColumn *column = &input->columns[index];
    *problem = "a column's radix is out of range";
    if (column->radix == 0 || column->radix > GROUP_RADIX_MAX || (column->parent < 0 && column->radix > UINT32_MAX)) {
        return INVALID;
    }
    *problem = "a column is a table of none before it";
    if (column->parent >= index) {
        return INVALID;
    }
    *problem = "a table has not an entry for each code of its column";
    if (column->parent >= 0 && column->count != input->columns[column->parent].radix) {
        return INVALID;
    }
    *problem = "columns differ in length";
    if (column->parent < 0 && column->count != input->count) {
        return INVALID;
    }
    *problem = "a code is out of range";
    if (largest_unsigned(column->codes, column->width, column->count) >= column->radix && column->count != 0) {
        return INVALID;
    }
    return DONE;
}

/* Number the distinct codes of a table, where they are few of many. */
static Status number_table(const GroupColumn *column, Numbered *numbered) {
    size_t count = column->count, used = 0;
    Pair *pairs = malloc((2 * count + 1) * sizeof *pairs);
    numbered->map = malloc((count + 1) * sizeof *numbered->map);
    numbered->codes = malloc((count + 1) * sizeof *numbered->codes);
    if (pairs == NULL || numbered->map == NULL || numbered->codes == NULL) {
        free(pairs);
        return NO_MEMORY;
    }
    bool rising = true;
    for (size_t i = 0; i < count; i++) {
        pairs[i] = (Pair){code_at(column, i), i};
        rising = rising && (i == 0 || pairs[i - 1].key <= pairs[i].key);
    }
    Pair *sorted = rising ? pairs : sorted_pairs(pairs, count, column->radix);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || sorted[i].key != numbered->codes[used - 1]) {
            numbered->codes[used++] = sorted[i].key;
        }
        numbered->map[sorted[i].value] = (uint32_t)(used - 1);
    }
    free(pairs);
    numbered->radix = used;
    return DONE;
}

static Status number_column(Input *input, int index) {
    const GroupColumn *column = &input->columns[index];
    Numbered *numbered = &input->numbered[index];
    *numbered = (Numbered){.root = index, .radix = column->radix};
    if (column->parent < 0) {
        return DONE;
    }
    const Numbered *parent = &input->numbered[column->parent];
    uint64_t root_radix = input->columns[parent->root].radix;
    numbered->root = parent->root;
    if (column->radix > column->count) {
        Status status = number_table(column, numbered);
        if (status != DONE) {
            return status;
        }
    } else {
        numbered->map = malloc((column->count + 1) * sizeof *numbered->map);
        if (numbered->map == NULL) {
            return NO_MEMORY;
        }
        widen(column->codes, column->width, column->count, 0, 4, numbered->map);
    }
    if (column->parent == parent->root) {
        return DONE;
    }
    uint32_t *composed = malloc((root_radix + 1) * sizeof *composed); /* the parent's codes are not its numbers */
    if (composed == NULL) {
        return NO_MEMORY;
    }
    for (uint64_t code = 0; code < root_radix; code++) {
        uint64_t number = parent->map[code];
        composed[code] = numbered->map[parent->codes == NULL ? number : parent->codes[number]];
    }
    free(numbered->map);
    numbered->map = composed;
    return DONE;
}

/* Whether each code of a column tells the code of another. */
static bool tells(const Input *input, int finer, int column) {
    while (column > finer) {
        column = input->columns[column].parent;
    }
    return column == finer;
}

/* Plans. */

static uint64_t times(uint64_t cells, uint64_t radix) {
    return cells > UINT64_MAX / radix ? UINT64_MAX : cells * radix;
}

static Status plan_cells(Plan *plan, const Input *input, const Grouping *grouping, const char **problem) {
    *plan = (Plan){.grouping = grouping, .cells = 1, .words_count = 1, .finer = -1};
    uint64_t word = 1;
    for (int i = 0, digit = 0; digit < grouping->digits; digit++) {
        for (uint64_t codes = 1; i < grouping->ends[digit]; i++) {
            const Numbered *numbered = &input->numbered[grouping->columns[i]];
            codes = times(codes, input->columns[grouping->columns[i]].radix);
            *problem = "the codes of a digit are too many";
            if (codes > INT64_MAX) {
                return INVALID;
            }
            plan->cells = times(plan->cells, numbered->radix);
            word = times(word, numbered->radix);
            if (word == UINT64_MAX) {
                word = numbered->radix;
                plan->words_count++;
            }
            plan->word_of[i] = plan->words_count - 1;
        }
    }
    if (input->count > FEW && plan->cells <= CELLS_MAX && plan->cells <= input->count * 32) {
        plan->table = calloc(plan->cells, sizeof *plan->table);
        return plan->table == NULL ? NO_MEMORY : DONE;
    }
    plan->words = malloc((size_t)plan->words_count * (input->count + 1) * sizeof *plan->words);
    return plan->words == NULL ? NO_MEMORY : DONE;
}

static int columns_in(const Plan *plan) {
    return plan->grouping->digits == 0 ? 0 : plan->grouping->ends[plan->grouping->digits - 1];
}

/* Which of a finer plan's columns tells a column; -1 where none does. */
static int teller(const Input *input, const Plan *finer, int column) {
    for (int i = 0; i < columns_in(finer); i++) {
        if (tells(input, finer->grouping->columns[i], column)) {
            return i;
        }
    }
    return -1;
}

static bool is_sum_of(const Input *input, const Plan *plan, const Plan *finer) {
    bool is = plan->table != NULL && finer->table != NULL;
    for (int i = 0; is && i < columns_in(plan); i++) {
        is = teller(input, finer, plan->grouping->columns[i]) >= 0;
    }
    return is;
}

/* The least plan, by cells, whose table adds up to that of a plan. One of as many cells has to come before it. */
static int find_finer(const Input *input, const Plan *plans, int count, int of) {
    int least = -1;
    for (int other = 0; other < count; other++) {
        bool before = plans[other].cells > plans[of].cells || (other < of && plans[other].cells == plans[of].cells);
        if (other != of && before && is_sum_of(input, &plans[of], &plans[other]) &&
            (least < 0 || plans[other].cells < plans[least].cells)) {
            least = other;
        }
    }
    return least;
}

/* Counting events. */

typedef struct {
    size_t start, count;
    bool there[GROUP_COLUMNS_MAX];
    uint32_t *numbers; /* of each column, BLOCK of them */
} Block;

static const uint32_t *block_numbers(Block *block, const Input *input, int column) {
    uint32_t *numbers = block->numbers + (size_t)column * BLOCK;
    if (block->there[column]) {
        return numbers;
    }
    block->there[column] = true;
    const Numbered *numbered = &input->numbered[column];
    if (numbered->root != column) {
        const uint32_t *codes = block_numbers(block, input, numbered->root);
        for (size_t i = 0; i < block->count; i++) {
            numbers[i] = numbered->map[codes[i]];
        }
        return numbers;
    }
    const GroupColumn *root = &input->columns[column];
    const unsigned char *from = (const unsigned char *)root->codes + block->start * (size_t)root->width;
    widen(from, root->width, block->count, 0, 4, numbers);
    return numbers;
}

static void count_in_table(const Plan *plan, const Input *input, Block *block) {
    uint32_t keys[BLOCK];
    memset(keys, 0, block->count * sizeof *keys);
    for (int i = 0; i < columns_in(plan); i++) {
        int column = plan->grouping->columns[i];
        const uint32_t *numbers = block_numbers(block, input, column);
        uint32_t radix = (uint32_t)input->numbered[column].radix;
        for (size_t at = 0; at < block->count; at++) {
            keys[at] = keys[at] * radix + numbers[at];
        }
    }
    const int64_t *weights = input->weights + block->start;
    for (size_t at = 0; at < block->count; at++) {
        Cell *cell = &plan->table[keys[at]];
        cell->sum += (uint64_t)weights[at];
        cell->count++;
    }
}

static void note_words(const Plan *plan, const Input *input, Block *block) {
    for (int word = 0; word < plan->words_count; word++) {
        memset(plan->words + (size_t)word * input->count + block->start, 0, block->count * sizeof *plan->words);
    }
    for (int i = 0; i < columns_in(plan); i++) {
        int column = plan->grouping->columns[i];
        const uint32_t *numbers = block_numbers(block, input, column);
        uint64_t radix = input->numbered[column].radix;
        uint64_t *words = plan->words + (size_t)plan->word_of[i] * input->count + block->start;
        for (size_t at = 0; at < block->count; at++) {
            words[at] = words[at] * radix + numbers[at];
        }
    }
}

static Status count_events(const Input *input, const Plan *plans, int count) {
    Block block = {.numbers = malloc(((size_t)input->columns_count * BLOCK + 1) * sizeof *block.numbers)};
    if (block.numbers == NULL) {
        return NO_MEMORY;
    }
    for (size_t start = 0; start < input->count; start += BLOCK) {
        block.start = start;
        block.count = input->count - start < BLOCK ? input->count - start : BLOCK;
        memset(block.there, 0, sizeof block.there);
        for (int i = 0; i < count; i++) {
            if (plans[i].table == NULL) {
                note_words(&plans[i], input, &block);
            } else if (plans[i].finer < 0) {
                count_in_table(&plans[i], input, &block);
            }
        }
    }
    free(block.numbers);
    return DONE;
}

/* Walking a table: what each cell's columns add to some outputs. The last column, and those before it while they
 * have few cells together, are found in a table; the others turn like an odometer. */

typedef struct {
    int outputs, outer, columns;
    uint64_t radixes[GROUP_COLUMNS_MAX], digits[GROUP_COLUMNS_MAX];
    uint64_t *added[GROUP_DIGITS_MAX][GROUP_COLUMNS_MAX]; /* by output, column and number; NULL adds nothing */
    uint64_t *inner[GROUP_DIGITS_MAX];                    /* by output and cell of the columns at the end */
    uint64_t totals[GROUP_DIGITS_MAX];                    /* of the outer columns as they stand */
    uint64_t inner_cells;
} Walk;

static void walk_free(Walk *walk) {
    for (int output = 0; output < GROUP_DIGITS_MAX; output++) {
        for (int i = 0; i < GROUP_COLUMNS_MAX; i++) {
            free(walk->added[output][i]);
        }
        free(walk->inner[output]);
    }
}

static void walk_init(Walk *walk, const Plan *plan, const Input *input, int outputs) {
    memset(walk, 0, sizeof *walk);
    walk->outputs = outputs;
    walk->columns = columns_in(plan);
    for (int i = 0; i < walk->columns; i++) {
        walk->radixes[i] = input->numbered[plan->grouping->columns[i]].radix;
    }
}

static uint64_t *walk_add(Walk *walk, int output, int column) {
    if (walk->added[output][column] == NULL) {
        walk->added[output][column] = calloc(walk->radixes[column], sizeof(uint64_t));
    }
    return walk->added[output][column];
}

static uint64_t added_by(const Walk *walk, int output, int column, uint64_t number) {
    return walk->added[output][column] == NULL ? 0 : walk->added[output][column][number];
}

static Status walk_begin(Walk *walk) {
    walk->outer = walk->columns;
    walk->inner_cells = 1;
    while (walk->outer > 0) {
        uint64_t cells = walk->inner_cells * walk->radixes[walk->outer - 1];
        if (walk->outer < walk->columns && cells > INNER_MAX) {
            break;
        }
        walk->inner_cells = cells;
        walk->outer--;
    }
    for (int output = 0; output < walk->outputs; output++) {
        walk->inner[output] = calloc(walk->inner_cells, sizeof(uint64_t));
        if (walk->inner[output] == NULL) {
            return NO_MEMORY;
        }
        uint64_t stride = 1;
        for (int i = walk->columns; i-- > walk->outer; stride *= walk->radixes[i]) {
            for (uint64_t cell = 0; cell < walk->inner_cells; cell++) {
                walk->inner[output][cell] += added_by(walk, output, i, cell / stride % walk->radixes[i]);
            }
        }
        for (int i = 0; i < walk->outer; i++) {
            walk->totals[output] += added_by(walk, output, i, 0);
        }
    }
    return DONE;
}

static void walk_turn(Walk *walk) {
    for (int i = walk->outer; i-- > 0;) {
        uint64_t before = walk->digits[i], after = before + 1 == walk->radixes[i] ? 0 : before + 1;
        walk->digits[i] = after;
        for (int output = 0; output < walk->outputs; output++) {
            walk->totals[output] += added_by(walk, output, i, after) - added_by(walk, output, i, before);
        }
        if (after != 0) {
            return;
        }
    }
}

static uint32_t number_of(const Numbered *numbered, uint64_t root_code) {
    return numbered->map == NULL ? (uint32_t)root_code : numbered->map[root_code];
}

static Status add_up(const Input *input, const Plan *finer, const Plan *plan) {
    Walk walk;
    walk_init(&walk, finer, input, 1);
    uint64_t stride = 1;
    Status status = DONE;
    for (int i = columns_in(plan); status == DONE && i-- > 0;) {
        int column = plan->grouping->columns[i], from = teller(input, finer, column);
        const Numbered *coarse = &input->numbered[column], *fine = &input->numbered[finer->grouping->columns[from]];
        uint64_t *added = walk_add(&walk, 0, from), root_radix = input->columns[coarse->root].radix;
        uint64_t *told = malloc((walk.radixes[from] + 1) * sizeof *told);
        if (added == NULL || told == NULL) {
            status = NO_MEMORY;
        } else {
            memset(told, 0, (walk.radixes[from] + 1) * sizeof *told);
            for (uint64_t code = 0; code < root_radix; code++) {
                told[number_of(fine, code)] = number_of(coarse, code);
            }
            for (uint64_t number = 0; number < walk.radixes[from]; number++) {
                added[number] += told[number] * stride;
            }
        }
        free(told);
        stride *= coarse->radix;
    }
    status = status == DONE ? walk_begin(&walk) : status;
    for (const Cell *cell = finer->table; status == DONE && cell < finer->table + finer->cells; walk_turn(&walk)) {
        Cell *to = plan->table + walk.totals[0];
        for (uint64_t inner = 0; inner < walk.inner_cells; inner++, cell++) {
            Cell *sum = to + walk.inner[0][inner];
            sum->sum += cell->sum;
            sum->count += cell->count;
        }
    }
    walk_free(&walk);
    return status;
}

/* Results. */

static bool groups_reserve(Groups *groups, int digits, size_t count) {
    groups->counts = malloc((count + 1) * 8);
    groups->sums = malloc((count + 1) * 8);
    bool got = groups->counts != NULL && groups->sums != NULL;
    for (int digit = 0; digit < digits; digit++) {
        groups->digits[digit] = malloc((count + 1) * 8);
        got = got && groups->digits[digit] != NULL;
    }
    return got;
}

void groups_free(Groups *groups) {
    for (int digit = 0; digit < GROUP_DIGITS_MAX; digit++) {
        free(groups->digits[digit]);
    }
    free(groups->counts);
    free(groups->sums);
}

static uint64_t code_of(const Input *input, int column, uint64_t number) {
    const uint64_t *codes = input->numbered[column].codes;
    return codes == NULL ? number : codes[number];
}

/* What each number of each column adds to the digit it is in. */
static Status walk_digits(Walk *walk, const Plan *plan, const Input *input) {
    const Grouping *grouping = plan->grouping;
    for (int digit = 0, start = 0; digit < grouping->digits; start = grouping->ends[digit++]) {
        uint64_t stride = 1;
        for (int i = grouping->ends[digit]; i-- > start;) {
            int column = grouping->columns[i];
            uint64_t *added = walk_add(walk, digit, i);
            if (added == NULL) {
                return NO_MEMORY;
            }
            for (uint64_t number = 0; number < walk->radixes[i]; number++) {
                added[number] = code_of(input, column, number) * stride;
            }
            stride *= input->columns[column].radix;
        }
    }
    return DONE;
}

static Status groups_of_table(const Plan *plan, const Input *input, Groups *groups) {
    size_t used = 0;
    for (uint64_t cell = 0; cell < plan->cells; cell++) {
        used += plan->table[cell].count != 0;
    }
    Walk walk;
    walk_init(&walk, plan, input, plan->grouping->digits);
    Status status = groups_reserve(groups, walk.outputs, used) ? walk_digits(&walk, plan, input) : NO_MEMORY;
    status = status == DONE ? walk_begin(&walk) : status;
    for (const Cell *cell = plan->table; status == DONE && cell < plan->table + plan->cells; walk_turn(&walk)) {
        for (uint64_t inner = 0; inner < walk.inner_cells; inner++, cell++) {
            if (cell->count != 0) {
                size_t row = groups->count++;
                groups->counts[row] = cell->count;
                groups->sums[row] = cell->sum;
                for (int digit = 0; digit < walk.outputs; digit++) {
                    groups->digits[digit][row] = walk.totals[digit] + walk.inner[digit][inner];
                }
            }
        }
    }
    walk_free(&walk);
    return status;
}

/* The events by rising key: sorted by the last word first, each sort keeping the order of the one before. Each has its
 * first word, and its index; its weight in place of the index where that word is all of the key. */
static const Pair *sorted_events(const Plan *plan, const Input *input, Pair *pairs) {
    size_t count = input->count;
    for (size_t i = 0; i < count; i++) {
        pairs[i].value = plan->words_count == 1 ? (uint64_t)input->weights[i] : i;
    }
    Pair *sorted = pairs;
    for (int word = plan->words_count; word-- > 0;) {
        const uint64_t *words = plan->words + (size_t)word * count;
        uint64_t largest = 0;
        for (size_t i = 0; i < count; i++) {
            sorted[i].key = words[plan->words_count == 1 ? i : sorted[i].value];
            largest = sorted[i].key > largest ? sorted[i].key : largest;
        }
        if (count <= FEW) {
            sort_few(sorted, count);
        } else {
            sorted = sort_pairs(sorted, sorted == pairs ? pairs + count : pairs, count, largest);
        }
    }
    return sorted;
}

static bool same_key(const Plan *plan, size_t count, const Pair *one, const Pair *other) {
    bool same = one->key == other->key;
    for (int word = 1; same && word < plan->words_count; word++) {
        const uint64_t *words = plan->words + (size_t)word * count;
        same = words[one->value] == words[other->value];
    }
    return same;
}

/* The quotient; of small numbers a processor finds it much sooner. */
static inline uint64_t divided(uint64_t number, uint64_t by) {
    return (number | by) >> 32 == 0 ? (uint32_t)number / (uint32_t)by : number / by;
}

/* What an event's key is made of; events come by rising key, so that most differ from the one before in the last alone. */
typedef struct {
    uint64_t codes[GROUP_COLUMNS_MAX];
    uint64_t start, radix; /* of the keys that differ in the last number alone; no keys at first */
} Told;

static void tell(const Plan *plan, const Input *input, const Pair *event, Told *told) {
    const int *columns = plan->grouping->columns, last = columns_in(plan) - 1;
    if (event->key - told->start < told->radix) {
        told->codes[last] = code_of(input, columns[last], event->key - told->start);
        return;
    }
    uint64_t words[GROUP_COLUMNS_MAX] = {event->key};
    for (int word = 1; word < plan->words_count; word++) {
        words[word] = plan->words[(size_t)word * input->count + event->value];
    }
    for (int i = last; i >= 0; i--) {
        uint64_t *word = &words[plan->word_of[i]], radix = input->numbered[columns[i]].radix, rest = divided(*word, radix);
        told->codes[i] = code_of(input, columns[i], *word - rest * radix);
        *word = rest;
        if (i == last && plan->words_count == 1) {
            told->start = rest * radix;
            told->radix = radix;
        }
    }
}

static void note_digits(const Plan *plan, const Input *input, Groups *groups, const uint64_t *codes) {
    const Grouping *grouping = plan->grouping;
    for (int digit = 0, i = 0; digit < grouping->digits; digit++) {
        uint64_t code = 0;
        for (; i < grouping->ends[digit]; i++) {
            code = code * input->columns[grouping->columns[i]].radix + codes[i];
        }
        groups->digits[digit][groups->count] = code;
    }
}

static Status groups_of_words(const Plan *plan, const Input *input, Groups *groups) {
    size_t count = input->count;
    Pair *pairs = malloc((2 * count + 1) * sizeof *pairs);
    if (pairs == NULL || !groups_reserve(groups, plan->grouping->digits, count)) {
        free(pairs);
        return NO_MEMORY;
    }
    const Pair *sorted = sorted_events(plan, input, pairs);
    Told told = {.radix = 0};
    for (size_t i = 0, next; i < count; i = next) {
        uint64_t sum = 0;
        for (next = i; next < count && same_key(plan, count, &sorted[i], &sorted[next]); next++) {
            uint64_t value = sorted[next].value;
            sum += plan->words_count == 1 ? value : (uint64_t)input->weights[value];
        }
        tell(plan, input, &sorted[i], &told);
        note_digits(plan, input, groups, told.codes);
        groups->counts[groups->count] = next - i;
        groups->sums[groups->count++] = sum;
    }
    free(pairs);
    return DONE;
}

/* All of it. */

static Status check_weights(const Input *input, const char **problem) {
    int64_t least = 0, largest = 0;
    bounds_signed(input->weights, input->count, &least, &largest);
    *problem = "a weight is below 0, or all weights might add up to more than 64 bits";
    return least < 0 || (uint64_t)largest > UINT64_MAX / input->count ? INVALID : DONE;
}

static Status fill_tables(const Input *input, Plan *plans, int count) {
    for (int i = 0; i < count; i++) {
        plans[i].finer = find_finer(input, plans, count, i);
    }
    Status status = count_events(input, plans, count);
    bool filled[GROUPINGS_MAX];
    int left = 0;
    for (int i = 0; i < count; i++) {
        filled[i] = plans[i].finer < 0;
        left += !filled[i];
    }
    while (status == DONE && left > 0) { /* a finer one comes before those that it adds up to */
        for (int i = 0; i < count && status == DONE; i++) {
            if (!filled[i] && filled[plans[i].finer]) {
                status = add_up(input, &plans[plans[i].finer], &plans[i]);
                filled[i] = true;
                left--;
            }
        }
    }
    return status;
}

static Status group_planned(Input *input, const Grouping *groupings, int count, Plan *plans, Groups *groups,
                            const char **problem) {
    Status status = check_weights(input, problem);
    for (int i = 0; i < input->columns_count && status == DONE; i++) {
        status = check_column(input, i, problem);
        status = status == DONE ? number_column(input, i) : status;
    }
    for (int i = 0; i < count && status == DONE; i++) {
        status = plan_cells(&plans[i], input, &groupings[i], problem);
    }
    status = status == DONE ? fill_tables(input, plans, count) : status;
    for (int i = 0; i < count && status == DONE; i++) {
        status = plans[i].table != NULL ? groups_of_table(&plans[i], input, &groups[i])
                                        : groups_of_words(&plans[i], input, &groups[i]);
    }
    return status;
}

Status group(const GroupColumn *columns, int columns_count, const int64_t *weights, size_t count,
             const Grouping *groupings, int groupings_count, Groups *groups, const char **problem) {
    Input input = {.columns = columns, .columns_count = columns_count, .weights = weights, .count = count};
    Plan *plans = calloc((size_t)groupings_count + 1, sizeof *plans);
    Status status = plans == NULL || count > UINT32_MAX ? NO_MEMORY : DONE;
    memset(groups, 0, (size_t)groupings_count * sizeof *groups);
    if (count != 0 && status == DONE) {
        status = group_planned(&input, groupings, groupings_count, plans, groups, problem);
    }
    for (int i = 0; plans != NULL && i < groupings_count; i++) {
        free(plans[i].table);
        free(plans[i].words);
    }
    free(plans);
    for (int i = 0; i < columns_count; i++) {
        free(input.numbered[i].map);
        free(input.numbered[i].codes);
    }
    return status;
}
