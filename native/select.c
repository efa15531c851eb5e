/* The first of many aggregates in an order: out of segments, without making a datapoint that is not among them. */
#include "kernel.h"

#include <stdlib.h>

static const uint32_t no_name[2]; /* the one name where merchants are not told apart */

void selection_free(Selection *s) {
    free(s->entries);
    free(s->labels);
    free(s->bytes);
    free(s->values);
    free(s->sums);
    free(s->touched);
    free(s->last);
    s->entries = NULL;
    s->labels = NULL;
    s->bytes = s->last = NULL;
    s->touched = NULL;
    s->values = s->sums = NULL;
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

static bool comes_before(const Selection *s, const Entry *one, const Entry *other) {
    if (s->falling && one->count != other->count) {
        return one->count > other->count;
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

static bool add_labels(Selection *s, const char *window, size_t window_size) {
    size_t bytes = s->bytes_used;
    for (size_t i = 0; i < s->targets_count; i++) {
        bytes += s->targets[i].before_size + s->targets[i].after_size + 2 * window_size;
    }
    if (s->labels_used + s->targets_count > UINT32_MAX || bytes > SIZE_MAX / 2 ||
        !reserve((void **)&s->labels, &s->labels_size, s->labels_used + s->targets_count, sizeof(Label)) ||
        !reserve((void **)&s->bytes, &s->bytes_size, bytes + 1, 1)) {
        return false;
    }
    for (size_t i = 0; i < s->targets_count; i++) {
        const Target *target = &s->targets[i];
        Label *label = &s->labels[s->labels_used++];
        label->start = s->bytes_used;
        char *at = s->bytes + label->start;
        label->before = write_text(at, target->before, target->before_size, window, window_size);
        label->after = write_text(at + label->before, target->after, target->after_size, window, window_size);
        s->bytes_used += label->before + label->after;
    }
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
    uint64_t last_count;
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
        place->last_count = s->entries[0].count;
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
    if (!s->has_after || (s->falling && entry->count < s->after_count)) {
        return true;
    }
    return (!s->falling || entry->count == s->after_count) && compare_to(s, place, &place->after, entry->number) > 0;
}

/* Count an aggregate, and take it when it is among the first. False when the counts pass 64 bits. */
static inline bool take(Selection *s, const Place *place, uint64_t count, uint64_t number) {
    Entry entry = {count, (uint32_t)number, place->index};
    s->datapoints++;
    s->events += count;
    if (s->events < count) {
        return false;
    }
    if (s->falling && s->used == s->limit && count < s->entries[0].count) {
        return true;
    }
    if (place->full && (!s->falling || count == place->last_count) &&
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

static inline bool take_merchant(Selection *s, const Target *target, size_t index, const Place *place, uint64_t first,
                                 uint64_t merchant) {
    const uint64_t *values = s->values + merchant * s->step;
    uint64_t count = 0;
    for (size_t i = 0; i < target->residues_count; i++) {
        count += values[target->residues[i]];
        if (count < values[target->residues[i]]) {
            return false;
        }
    }
    if (count == 0) {
        return true;
    }
    if (!s->by_merchant) {
        s->sums[index] += count;
        return s->sums[index] >= count;
    }
    return first + merchant < s->known && take(s, place, count, first + merchant);
}

static bool take_target(Selection *s, const Target *target, size_t index, const Place *place, uint64_t first) {
    uint64_t merchants = s->size / s->step;
    if (s->touched_count != 0) {
        for (size_t i = 0; i < s->touched_count; i++) {
            size_t at = s->wanted == NULL ? 0 : first_wanted(s, first + s->touched[i]);
            bool wanted = s->wanted == NULL || (at < s->wanted_count && s->wanted[at] == first + s->touched[i]);
            if (wanted && !take_merchant(s, target, index, place, first, s->touched[i])) {
                return false;
            }
        }
        return true;
    }
    if (s->wanted != NULL) {
        for (size_t i = first_wanted(s, first); i < s->wanted_count && s->wanted[i] < first + merchants; i++) {
            if (!take_merchant(s, target, index, place, first, s->wanted[i] - first)) {
                return false;
            }
        }
        return true;
    }
    for (uint64_t merchant = 0; merchant < merchants; merchant++) {
        if (!take_merchant(s, target, index, place, first, merchant)) {
            return false;
        }
    }
    return true;
}

/* Add up a part that has single counts alone, and note whose they are; the counters of others are left as they were. */
static bool add_few(Selection *s, uint64_t part, const uint64_t *codes, const uint64_t *counts, const size_t *loose,
                    size_t loose_count) {
    s->touched_count = 0;
    for (size_t i = 0; i < loose_count; i++) {
        memset(s->values + (codes[loose[i]] - part * s->size) / s->step * s->step, 0, s->step * sizeof *s->values);
    }
    for (size_t i = 0; i < loose_count; i++) {
        uint64_t code = codes[loose[i]] - part * s->size, *its = s->values + code / s->step * s->step, any = 0;
        for (uint64_t j = 0; j < s->step; j++) {
            any |= its[j];
        }
        if (any == 0 && counts[loose[i]] != 0) {
            s->touched[s->touched_count++] = (uint32_t)(code / s->step);
        }
        s->values[code] += counts[loose[i]];
        if (s->values[code] < counts[loose[i]]) {
            return false;
        }
    }
    return true;
}

static bool add_up(Selection *s, uint64_t part, const Segment *segments, const size_t *order, size_t count,
                   const uint64_t *codes, const uint64_t *counts, const size_t *loose, size_t loose_count) {
    uint64_t *added = s->values + s->size;
    s->touched_count = 0;
    if (count == 0) {
        return add_few(s, part, codes, counts, loose, loose_count);
    }
    for (size_t i = 0; i < count; i++) {
        const Segment *segment = &segments[order[i]];
        widen(segment->cells, (int)(segment->length / s->size), s->size, 0, 8, i == 0 ? s->values : added);
        for (uint64_t j = 0; i > 0 && j < s->size; j++) {
            s->values[j] += added[j];
            if (s->values[j] < added[j]) {
                return false;
            }
        }
    }
    for (size_t i = 0; i < loose_count; i++) {
        uint64_t *value = &s->values[codes[loose[i]] - part * s->size];
        *value += counts[loose[i]];
        if (*value < counts[loose[i]]) {
            return false;
        }
    }
    return true;
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

static Status take_parts(Selection *s, size_t parts, const Segment *segments, const size_t *starts, const size_t *order,
                       const uint64_t *codes, const uint64_t *counts, const size_t *loose_starts,
                       const size_t *loose_order) {
    uint32_t label = (uint32_t)(s->labels_used - s->targets_count);
    size_t stride = stride_of(parts), part = 0;
    for (size_t step = 0; step < parts; step++, part = (part + stride) % parts) {
        size_t count = starts[part + 1] - starts[part], loose = loose_starts[part + 1] - loose_starts[part];
        if (count + loose == 0) {
            continue;
        }
        if (!add_up(s, part, segments, order + starts[part], count, codes, counts, loose_order + loose_starts[part],
                    loose)) {
            return INVALID;
        }
        if (count == 0 && s->touched_count == 0) {
            continue; /* counts of 0 */
        }
        for (size_t i = 0; i < s->targets_count; i++) {
            Place place;
            if (!place_of(s, label + (uint32_t)i, &place)) {
                return NO_MEMORY;
            }
            if (!take_target(s, &s->targets[i], i, &place, part * (s->size / s->step))) {
                return INVALID;
            }
        }
    }
    for (size_t i = 0; i < s->targets_count; i++) {
        uint64_t sum = s->sums[i];
        s->sums[i] = 0;
        if (sum == 0) {
            continue;
        }
        Place place;
        if (!place_of(s, label + (uint32_t)i, &place)) {
            return NO_MEMORY;
        }
        if (!take(s, &place, sum, 0)) {
            return INVALID;
        }
    }
    return DONE;
}

/* Which part each item is of; false when one is of merchants that have no name, or no segment at all. */
static bool parts_of(const Selection *s, size_t parts, const Segment *segments, size_t count, const uint64_t *codes,
                     size_t counted, uint64_t *found) {
    for (size_t i = 0; i < count; i++) {
        uint64_t width = segments[i].length / s->size;
        found[i] = segments[i].part;
        if (found[i] >= parts || width * s->size != segments[i].length ||
            (width != 1 && width != 2 && width != 4 && width != 8)) {
            return false;
        }
    }
    for (size_t i = 0; i < counted; i++) {
        found[count + i] = codes[i] / s->size;
        if (found[count + i] >= parts) {
            return false;
        }
    }
    return true;
}

Status selection_add(Selection *s, const char *window, size_t window_size, const Segment *segments, size_t count,
                     const uint64_t *codes, const uint64_t *counts, size_t counted, const char **problem) {
    uint64_t merchants = s->size / s->step;
    size_t parts = merchants == 1 ? 1 : (s->known + merchants - 1) / merchants, labels = s->labels_used;
    size_t bytes = s->bytes_used;
    if (count + counted == 0) {
        return DONE;
    }
    parts = parts == 0 ? 1 : parts;
    uint64_t *found = malloc((count + counted) * sizeof *found);
    size_t *sorted = malloc((count + counted + 2 * (parts + 2)) * sizeof *sorted);
    Status status = found == NULL || sorted == NULL || !add_labels(s, window, window_size) ? NO_MEMORY : DONE;
    if (status == DONE && !parts_of(s, parts, segments, count, codes, counted, found)) {
        *problem = "a segment is no row of counters, or is of merchants that have no name";
        status = INVALID;
    }
    if (status == DONE) {
        size_t *starts = sorted + count + counted, *loose_starts = starts + parts + 2;
        sort_by_part(found, count, parts, starts, sorted);
        sort_by_part(found + count, counted, parts, loose_starts, sorted + count);
        status = take_parts(s, parts, segments, starts, sorted, codes, counts, loose_starts, sorted + count);
        *problem = "a counter is out of range, or is of a merchant that has no name";
    }
    bool used = false;
    for (size_t i = 0; i < s->used && !used; i++) {
        used = s->entries[i].label >= labels;
    }
    if (!used) {
        s->labels_used = labels;
        s->bytes_used = bytes;
    }
    free(found);
    free(sorted);
    return status;
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
    static const Target targets[2] = {{"0", "", 1, 0, NULL, 0}, {"1", "", 1, 0, NULL, 0}};
    s->targets = targets;
    s->targets_count = 2;
    *others_count = 0;
    if (!add_labels(s, "", 0)) {
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
            offer(s, (Entry){0, number, at != 0});
        }
    }
    return DONE;
}
