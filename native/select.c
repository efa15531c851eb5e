/* The first of many aggregates in an order: out of segments, without making a datapoint that is not among them. */
#include "kernel.h"

#include <stdlib.h>

#define CELLS_HEAD 3 /* the widths that cells begin with */
#define FEW_SHARE 4  /* of the merchants of a part: fewer than one of so many are read one by one */

static const uint32_t no_name[2]; /* the one name where merchants are not told apart */

void selection_free(Selection *s) {
    free(s->entries);
    free(s->labels);
    free(s->bytes);
    free(s->values.counts);
    free(s->sums.counts);
    free(s->touched);
    free(s->marks);
    free(s->last);
}

static bool totals_reserve(Totals *totals, size_t size) {
    totals->counts = calloc(3 * size + 1, sizeof *totals->counts);
    totals->lows = totals->counts + size;
    totals->highs = totals->lows + size;
    return totals->counts != NULL;
}

bool selection_reserve(Selection *s) {
    size_t size = (size_t)s->size, merchants = (size_t)(s->size / s->step);
    s->entries = malloc(s->limit * sizeof *s->entries);
    s->touched = malloc(merchants * sizeof *s->touched);
    s->marks = calloc(merchants, sizeof *s->marks);
    if (!totals_reserve(&s->values, 2 * size) || !totals_reserve(&s->sums, s->targets_count)) {
        return false;
    }
    uint64_t *all = s->values.counts; /* both have their columns in one piece, so that one is cleared at once */
    s->values = (Totals){all, all + size, all + 2 * size};
    s->added = (Totals){all + 3 * size, all + 4 * size, all + 5 * size};
    return s->entries != NULL && s->touched != NULL && s->marks != NULL;
}

/* A datapoint in the pieces that it is made of. */
typedef struct {
    const char *at[3];
    size_t size[3];
} Pieces;

static Pieces pieces_of(const Selection *s, const Entry *entry) {
    const Label *label = &s->labels[entry->label];
    const uint32_t *ends = s->by_merchant ? s->texts->ends + entry->number : no_name;
    const char *heap = s->by_merchant ? s->texts->heap : "", *bytes = s->bytes + label->start;
    return (Pieces){{bytes, heap + ends[0], bytes + label->before}, {label->before, ends[1] - ends[0], label->after}};
}

static int compare_pieces(const Pieces *one, const Pieces *other) {
    int i = 0, j = 0;
    size_t x = 0, y = 0;
    for (;;) {
        while (i < 3 && x == one->size[i]) {
            i++;
            x = 0;
        }
        while (j < 3 && y == other->size[j]) {
            j++;
            y = 0;
        }
        if (i == 3 || j == 3) {
            return (j == 3) - (i == 3);
        }
        size_t left = one->size[i] - x, right = other->size[j] - y, both = left < right ? left : right;
        int order = memcmp(one->at[i] + x, other->at[j] + y, both);
        if (order != 0) {
            return order;
        }
        x += both;
        y += both;
    }
}

static inline Rank rank_of(const Selection *s, uint64_t count, uint64_t low, uint64_t high) {
    return s->order == BY_AMOUNT ? (Rank){low, high} : (Rank){count, 0};
}

static inline int compare_ranks(Rank one, Rank other) {
    return one.high != other.high ? (one.high > other.high) - (one.high < other.high)
                                  : (one.low > other.low) - (one.low < other.low);
}

static inline Rank entry_rank(const Selection *s, const Entry *entry) {
    return rank_of(s, entry->count, entry->low, entry->high);
}

static bool comes_before(const Selection *s, const Entry *one, const Entry *other) {
    if (s->order != BY_DATAPOINT) {
        int order = compare_ranks(entry_rank(s, one), entry_rank(s, other));
        if (order != 0) {
            return order > 0;
        }
    }
    Pieces its = pieces_of(s, one), others = pieces_of(s, other);
    return compare_pieces(&its, &others) < 0;
}

/* The bounded heap. */

static void sink(Selection *s, size_t at, size_t used) {
    Entry entry = s->entries[at];
    for (size_t child; (child = 2 * at + 1) < used; at = child) {
        if (child + 1 < used && comes_before(s, &s->entries[child], &s->entries[child + 1])) {
            child++;
        }
        if (!comes_before(s, &entry, &s->entries[child])) {
            break;
        }
        s->entries[at] = s->entries[child];
    }
    s->entries[at] = entry;
}

static void offer(Selection *s, Entry entry) {
    if (s->used == s->limit) {
        if (comes_before(s, &entry, &s->entries[0])) {
            s->entries[0] = entry;
            sink(s, 0, s->used);
        }
        return;
    }
    size_t at = s->used++;
    for (; at > 0 && comes_before(s, &s->entries[(at - 1) / 2], &entry); at = (at - 1) / 2) {
        s->entries[at] = s->entries[(at - 1) / 2];
    }
    s->entries[at] = entry;
}

void selection_sort(Selection *s) {
    for (size_t left = s->used; left > 1; left--) {
        Entry last = s->entries[0];
        s->entries[0] = s->entries[left - 1];
        s->entries[left - 1] = last;
        sink(s, 0, left - 1);
    }
}

size_t selection_text(const Selection *s, const Entry *entry, char *text) {
    Pieces pieces = pieces_of(s, entry);
    size_t size = 0;
    for (int i = 0; i < 3; i++) {
        if (text != NULL) {
            memcpy(text + size, pieces.at[i], pieces.size[i]);
        }
        size += pieces.size[i];
    }
    return size;
}

/* Labels: what stands before and after the name, for one window and target. */

static bool reserve(void **data, size_t *size, size_t wanted, size_t item) {
    if (wanted > *size) {
        size_t more = wanted + wanted / 2 + 64;
        void *grown = realloc(*data, more * item);
        if (grown == NULL) {
            return false;
        }
        *data = grown;
        *size = more;
    }
    return true;
}

static uint32_t write_text(char *to, const char *text, size_t size, const char *window, size_t window_size) {
    char *start = to;
    for (size_t i = 0; i < size; i++) {
        if (text[i] != 0) {
            *to++ = text[i];
        } else if (window_size != 0) {
            memcpy(to, window, window_size);
            to += window_size;
        }
    }
    return (uint32_t)(to - start);
}

/* Make a target's label of the window at hand, unless it is there. */
static bool add_label(Selection *s, Target *target, const char *window, size_t window_size) {
    size_t bytes = s->bytes_used + target->before_size + target->after_size + 2 * window_size;
    if (target->label != NO_LABEL) {
        return true;
    }
    if (s->labels_used + 1 >= NO_LABEL || bytes > SIZE_MAX / 2 ||
        !reserve((void **)&s->labels, &s->labels_size, s->labels_used + 1, sizeof(Label)) ||
        !reserve((void **)&s->bytes, &s->bytes_size, bytes + 1, 1)) {
        return false;
    }
    target->label = (uint32_t)s->labels_used;
    Label *label = &s->labels[s->labels_used++];
    label->start = s->bytes_used;
    char *at = s->bytes + label->start;
    label->before = write_text(at, target->before, target->before_size, window, window_size);
    label->after = write_text(at + label->before, target->after, target->after_size, window, window_size);
    s->bytes_used += label->before + label->after;
    return true;
}

/* Drop the labels that no entry has, once they are many: memory follows the page and not the report. */
static bool clear_labels(Selection *s) {
    if (s->labels_used <= 2 * (s->labels_kept + s->used) + 4096) {
        return true;
    }
    uint32_t *moved = calloc(s->labels_used, sizeof *moved);
    if (moved == NULL) {
        return false;
    }
    for (size_t i = 0; i < s->used; i++) {
        moved[s->entries[i].label] = 1;
    }
    size_t kept = 0, bytes = 0;
    for (size_t i = 0; i < s->labels_used; i++) {
        if (moved[i] != 0) {
            Label label = s->labels[i];
            size_t size = (size_t)label.before + label.after;
            memmove(s->bytes + bytes, s->bytes + label.start, size);
            label.start = bytes;
            bytes += size;
            moved[i] = (uint32_t)kept;
            s->labels[kept++] = label;
        }
    }
    for (size_t i = 0; i < s->used; i++) {
        s->entries[i].label = moved[s->entries[i].label];
    }
    free(moved);
    s->labels_used = s->labels_kept = kept;
    s->bytes_used = bytes;
    return true;
}

/* Where all datapoints that begin so lie: -1 before a text, 1 after it, 0 where the beginning does not say it. */
static int bearing_of(const char *before, size_t size, const Pieces *text) {
    for (int i = 0; i < 3; i++) {
        size_t both = size < text->size[i] ? size : text->size[i];
        int order = memcmp(before, text->at[i], both);
        if (order != 0) {
            return order < 0 ? -1 : 1;
        }
        before += both;
        size -= both;
        if (size == 0) {
            return 0;
        }
    }
    return 1; /* it goes on where the text has ended */
}

/* A text after the beginning that all datapoints of a label share with it; or just where they lie. */
typedef struct {
    int bearing;
    const char *rest;
    size_t size;
} Bound;

typedef struct {
    const Label *label;
    uint32_t index;
    Bound after; /* the cursor */
    bool full;
    Bound last; /* the last entry held when the place was made: what does not come before it is not taken */
    Rank last_rank;
} Place;

static Bound bound_of(const Selection *s, const Label *label, const char *text, size_t size) {
    Pieces whole = {{text, "", ""}, {size, 0, 0}};
    Bound bound = {bearing_of(s->bytes + label->start, label->before, &whole), text, size};
    if (bound.bearing == 0) {
        bound.rest += label->before;
        bound.size -= label->before;
    }
    return bound;
}

static bool place_of(Selection *s, uint32_t index, Place *place) {
    *place = (Place){.label = &s->labels[index], .index = index, .full = s->used == s->limit};
    if (s->has_after) {
        place->after = bound_of(s, place->label, s->after, s->after_size);
    }
    if (place->full) {
        size_t size = selection_text(s, &s->entries[0], NULL);
        if (!reserve((void **)&s->last, &s->last_size, size + 1, 1)) {
            return false;
        }
        selection_text(s, &s->entries[0], s->last);
        place->last = bound_of(s, place->label, s->last, size);
        place->last_rank = entry_rank(s, &s->entries[0]);
    }
    return true;
}

/* Whether a datapoint is before a bound, at it, or after it. */
static inline int compare_to(const Selection *s, const Place *place, const Bound *bound, uint32_t number) {
    if (bound->bearing != 0) {
        return bound->bearing;
    }
    const uint32_t *ends = s->by_merchant ? s->texts->ends + number : no_name;
    const char *name = s->by_merchant ? s->texts->heap + ends[0] : "";
    size_t size = ends[1] - ends[0], both = size < bound->size ? size : bound->size;
    int order = memcmp(name, bound->rest, both);
    if (order != 0 || size > bound->size) {
        return order != 0 ? order : 1;
    }
    size_t left = bound->size - size, after = place->label->after, some = left < after ? left : after;
    order = memcmp(s->bytes + place->label->start + place->label->before, bound->rest + size, some);
    return order != 0 ? order : (after > left) - (after < left);
}

static bool is_after(const Selection *s, const Place *place, const Entry *entry) {
    if (!s->has_after) {
        return true;
    }
    int order = s->order == BY_DATAPOINT ? 0 : compare_ranks(entry_rank(s, entry), s->after_rank);
    return order < 0 || (order == 0 && compare_to(s, place, &place->after, entry->number) > 0);
}

/* Count an aggregate, and take it when it is among the first. False when all pass their bits. */
static inline bool take(Selection *s, const Place *place, uint64_t number, uint64_t count, uint64_t low, uint64_t high) {
    Entry entry = {count, low, high, (uint32_t)number, place->index};
    Totals all = {&s->events, &s->amount_low, &s->amount_high};
    s->datapoints++;
    if (!totals_add(&all, 0, count, low, high)) {
        return false;
    }
    Rank rank = rank_of(s, count, low, high);
    if (s->order != BY_DATAPOINT && s->used == s->limit && compare_ranks(rank, entry_rank(s, &s->entries[0])) < 0) {
        return true;
    }
    if (place->full && (s->order == BY_DATAPOINT || compare_ranks(rank, place->last_rank) == 0) &&
        compare_to(s, place, &place->last, entry.number) >= 0) {
        return true;
    }
    if (is_after(s, place, &entry)) {
        offer(s, entry);
    }
    return true;
}

/* One part's counters. */

static size_t first_wanted(const Selection *s, uint64_t number) {
    size_t low = 0, high = s->wanted_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (s->wanted[middle] < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* What is taken in at once. */
typedef struct {
    const char *window;
    size_t window_size;
    const Segment *segments;
    const Loose *loose;
} Group;

static Status take_merchant(Selection *s, size_t index, const Group *group, Place *place, uint64_t first, uint64_t merchant) {
    Target *target = &s->targets[index];
    uint64_t count = 0, low = 0, high = 0;
    const Totals sum = {&count, &low, &high};
    for (size_t i = 0; i < target->inner_count; i++) {
        uint64_t code = merchant * s->step + target->inner[i];
        if (s->values.counts[code] != 0 &&
            !totals_add(&sum, 0, s->values.counts[code], s->values.lows[code], s->values.highs[code])) {
            return INVALID;
        }
    }
    if (count == 0) {
        return DONE;
    }
    if (!s->by_merchant) {
        return totals_add(&s->sums, index, count, low, high) ? DONE : INVALID;
    }
    if (first + merchant >= s->known) {
        return INVALID;
    }
    if (place->label == NULL && (!add_label(s, target, group->window, group->window_size) ||
                                 !place_of(s, target->label, place))) {
        return NO_MEMORY;
    }
    return take(s, place, first + merchant, count, low, high) ? DONE : INVALID;
}

static bool is_wanted(const Selection *s, uint64_t number) {
    size_t at = s->wanted == NULL ? 0 : first_wanted(s, number);
    return s->wanted == NULL || (at < s->wanted_count && s->wanted[at] == number);
}

static Status take_target(Selection *s, size_t index, const Group *group, uint64_t first) {
    uint64_t merchants = s->size / s->step;
    Place place = {.label = NULL};
    Status status = DONE;
    if (s->touched_count != 0) {
        for (size_t i = 0; i < s->touched_count && status == DONE; i++) {
            if (is_wanted(s, first + s->touched[i])) {
                status = take_merchant(s, index, group, &place, first, s->touched[i]);
            }
        }
    } else {
        for (size_t i = first_wanted(s, first);
             i < s->wanted_count && s->wanted[i] < first + merchants && status == DONE; i++) {
            status = take_merchant(s, index, group, &place, first, s->wanted[i] - first);
        }
    }
    return status;
}

static void clear_values(Selection *s) {
    if (s->dirty) {
        memset(s->values.counts, 0, 3 * (size_t)s->size * sizeof *s->values.counts);
        s->dirty = false;
    }
}

/* Add up a part that has single totals alone, and note whose they are. */
static bool add_few(Selection *s, uint64_t part, const Loose *loose, const size_t *order, size_t count) {
    clear_values(s);
    s->epoch++;
    for (size_t i = 0; i < count; i++) {
        size_t at = order[i];
        uint64_t code = loose->codes[at] - part * s->size, merchant = code / s->step;
        if (loose->counts[at] == 0) {
            continue;
        }
        if (s->marks[merchant] != s->epoch) {
            s->marks[merchant] = s->epoch;
            s->touched[s->touched_count++] = (uint32_t)merchant;
        }
        if (!totals_add(&s->values, code, loose->counts[at], loose->lows[at], loose->highs[at])) {
            return false;
        }
    }
    return true;
}

static void clear_few(Selection *s, uint64_t part, const Loose *loose, const size_t *order, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint64_t code = loose->codes[order[i]] - part * s->size;
        s->values.counts[code] = s->values.lows[code] = s->values.highs[code] = 0;
    }
}

static bool add_up(Selection *s, uint64_t part, const Group *group, const size_t *order, size_t count,
                   const size_t *loose_order, size_t loose_count) {
    const Loose *loose = group->loose;
    for (size_t i = 0; i < count; i++) {
        const Segment *segment = &group->segments[order[i]];
        cells_read(segment->cells, segment->length, s->size, i == 0 ? &s->values : &s->added);
        if (i > 0 && !totals_add_all(&s->values, &s->added, s->size)) {
            return false;
        }
    }
    s->dirty = true;
    for (size_t i = 0; i < loose_count; i++) {
        size_t at = loose_order[i];
        if (!totals_add(&s->values, loose->codes[at] - part * s->size, loose->counts[at], loose->lows[at],
                        loose->highs[at])) {
            return false;
        }
    }
    return true;
}

/* Note whose counters are above 0: of a short window mostly few, and each target looks at them. */
static void note_touched(Selection *s, const unsigned char *counts, size_t width) {
    size_t merchants = (size_t)(s->size / s->step), bytes = (size_t)s->step * width;
    for (size_t merchant = 0; merchant < merchants; merchant++, counts += bytes) {
        uint64_t any = 0;
        size_t at = 0;
        for (; at + 8 <= bytes; at += 8) {
            any |= load64((const char *)counts + at);
        }
        for (; at < bytes; at++) {
            any |= counts[at];
        }
        s->touched[s->touched_count] = (uint32_t)merchant;
        s->touched_count += any != 0;
    }
}

/* Read one segment, which is all of a part: of few merchants that have any, theirs alone. */
static void read_alone(Selection *s, const Segment *segment) {
    const unsigned char *cells = segment->cells;
    if (segment->length == 0) {
        return;
    }
    const unsigned char *counts = cells + CELLS_HEAD, *lows = counts + s->size * cells[0], *highs = lows + s->size * cells[1];
    note_touched(s, counts, cells[0]);
    if (s->touched_count > s->size / s->step / FEW_SHARE) {
        cells_read(cells, segment->length, (size_t)s->size, &s->values);
        return;
    }
    for (size_t i = 0; i < s->touched_count; i++) {
        for (size_t code = (size_t)(s->touched[i] * s->step); code < (s->touched[i] + 1) * s->step; code++) {
            s->values.counts[code] = stored_at(counts, cells[0], code);
            s->values.lows[code] = cells[1] == 0 ? 0 : stored_at(lows, cells[1], code);
            s->values.highs[code] = cells[2] == 0 ? 0 : stored_at(highs, cells[2], code);
        }
    }
}

/* The items of each part, by counting: `starts` has room for parts + 2. */
static void sort_by_part(const uint64_t *part_of, size_t count, size_t parts, size_t *starts, size_t *order) {
    memset(starts, 0, (parts + 2) * sizeof *starts);
    for (size_t i = 0; i < count; i++) {
        starts[part_of[i] + 2]++;
    }
    for (size_t part = 2; part < parts + 2; part++) {
        starts[part] += starts[part - 1];
    }
    for (size_t i = 0; i < count; i++) {
        order[starts[part_of[i] + 1]++] = i;
    }
}

/* A step that leads through all of so many parts out of their order: or names that fall would each be taken for a while. */
static size_t stride_of(size_t parts) {
    size_t stride = (size_t)((double)parts * 0.618) | 1;
    for (;; stride += 2) {
        size_t a = parts, b = stride;
        while (b != 0) {
            size_t rest = a % b;
            a = b;
            b = rest;
        }
        if (a == 1) {
            return stride;
        }
    }
}

/* The items in the order of their parts. */
typedef struct {
    size_t *starts, *order;
} ByPart;

static Status take_part(Selection *s, uint64_t part, const Group *group, const ByPart *segments, const ByPart *loose) {
    const size_t *order = segments->order + segments->starts[part], *loose_order = loose->order + loose->starts[part];
    size_t count = segments->starts[part + 1] - segments->starts[part];
    size_t loose_count = loose->starts[part + 1] - loose->starts[part];
    s->touched_count = 0;
    bool added = true;
    if (count == 0) {
        added = add_few(s, part, group->loose, loose_order, loose_count);
    } else if (count == 1 && loose_count == 0 && s->wanted == NULL) {
        read_alone(s, &group->segments[order[0]]);
        s->dirty = true;
    } else {
        added = add_up(s, part, group, order, count, loose_order, loose_count);
        if (s->wanted == NULL) {
            note_touched(s, (const unsigned char *)s->values.counts, sizeof *s->values.counts);
        }
    }
    Status status = added ? DONE : INVALID;
    if (s->touched_count != 0 || (count != 0 && s->wanted != NULL)) {
        for (size_t i = 0; i < s->targets_count && status == DONE; i++) {
            status = take_target(s, i, group, part * (s->size / s->step));
        }
    }
    if (count == 0) {
        clear_few(s, part, group->loose, loose_order, loose_count);
    }
    return status;
}

static Status take_sums(Selection *s, const Group *group) {
    Status status = DONE;
    for (size_t i = 0; i < s->targets_count && status == DONE; i++) {
        Place place;
        uint64_t count = s->sums.counts[i], low = s->sums.lows[i], high = s->sums.highs[i];
        s->sums.counts[i] = s->sums.lows[i] = s->sums.highs[i] = 0;
        if (count == 0) {
            continue;
        }
        if (!add_label(s, &s->targets[i], group->window, group->window_size) ||
            !place_of(s, s->targets[i].label, &place)) {
            return NO_MEMORY;
        }
        status = take(s, &place, 0, count, low, high) ? DONE : INVALID;
    }
    return status;
}

static Status take_parts(Selection *s, size_t parts, const Group *group, const ByPart *segments, const ByPart *loose) {
    size_t stride = stride_of(parts), part = 0;
    Status status = DONE;
    for (size_t step = 0; step < parts && status == DONE; step++, part = (part + stride) % parts) {
        if (segments->starts[part + 1] != segments->starts[part] || loose->starts[part + 1] != loose->starts[part]) {
            status = take_part(s, part, group, segments, loose);
        }
    }
    return status == DONE && !s->by_merchant ? take_sums(s, group) : status;
}

/* Which part each item is of; false when one is of merchants that have no name, or no segment at all. */
static bool parts_of(const Selection *s, size_t parts, const Group *group, size_t count, uint64_t *found) {
    for (size_t i = 0; i < count; i++) {
        const Segment *segment = &group->segments[i];
        found[i] = segment->part;
        if (found[i] >= parts || !cells_fit(segment->cells, segment->length, (size_t)s->size)) {
            return false;
        }
    }
    for (size_t i = 0; i < group->loose->count; i++) {
        found[count + i] = group->loose->codes[i] / s->size;
        if (found[count + i] >= parts) {
            return false;
        }
    }
    return true;
}

Status selection_add(Selection *s, const char *window, size_t window_size, const Segment *segments, size_t count,
                     const Loose *loose, const char **problem) {
    const Group group = {window, window_size, segments, loose};
    uint64_t merchants = s->size / s->step;
    size_t parts = (size_t)((s->known + merchants - 1) / merchants);
    if (count + loose->count == 0) {
        return DONE;
    }
    parts = parts == 0 ? 1 : parts;
    uint64_t *found = malloc((count + loose->count) * sizeof *found);
    size_t *sorted = malloc((count + loose->count + 2 * (parts + 2)) * sizeof *sorted);
    Status status = found == NULL || sorted == NULL ? NO_MEMORY : DONE;
    if (status == DONE && !parts_of(s, parts, &group, count, found)) {
        *problem = "a segment is no row of counters, or is of merchants that have no name";
        status = INVALID;
    }
    for (size_t i = 0; i < s->targets_count; i++) {
        s->targets[i].label = NO_LABEL;
    }
    if (status == DONE) {
        const ByPart by_part = {sorted + count + loose->count, sorted};
        const ByPart loose_by_part = {by_part.starts + parts + 2, sorted + count};
        sort_by_part(found, count, parts, by_part.starts, by_part.order);
        sort_by_part(found + count, loose->count, parts, loose_by_part.starts, loose_by_part.order);
        status = take_parts(s, parts, &group, &by_part, &loose_by_part);
        *problem = "a counter is out of range, or is of a merchant that has no name";
    }
    free(found);
    free(sorted);
    return status == DONE && !clear_labels(s) ? NO_MEMORY : status;
}

/* Search. */

static inline char small(char letter) { return letter >= 'A' && letter <= 'Z' ? (char)(letter + 32) : letter; }

/* Where a text is in a name, its length when it is not. */
static uint32_t find_text(const char *name, uint32_t length, const char *text, size_t size) {
    for (uint32_t at = 0; at + size <= length; at++) {
        size_t same = 0;
        while (same < size && small(name[at + same]) == text[same]) {
            same++;
        }
        if (same == size) {
            return at;
        }
    }
    return length;
}

Status selection_search(Selection *s, const char *text, size_t size, uint32_t *others, size_t *others_count) {
    Target targets[2] = {{"0", "", 1, 0, NULL, 0, NO_LABEL}, {"1", "", 1, 0, NULL, 0, NO_LABEL}};
    *others_count = 0;
    if (!add_label(s, &targets[0], "", 0) || !add_label(s, &targets[1], "", 0)) {
        return NO_MEMORY;
    }
    const uint32_t *ends = s->known == 0 ? no_name : s->texts->ends;
    for (uint32_t number = 0; number < s->known; number++) {
        const char *name = s->texts->heap + ends[number];
        uint32_t length = ends[number + 1] - ends[number];
        char high = 0;
        for (uint32_t i = 0; i < length; i++) {
            high |= name[i];
        }
        if (high & (char)0x80) {
            others[(*others_count)++] = number;
            continue;
        }
        uint32_t at = find_text(name, length, text, size);
        if (at < length || size == 0) {
            offer(s, (Entry){.number = number, .label = at != 0});
        }
    }
    return DONE;
}
