/* What is fuzzed of the bare kernel, in libFuzzer's shape. The first byte of an input chooses. Each part checks what must
 * hold whatever the bytes are, and lives in a buffer of exactly its size, so that a sanitizer sees every step outside.
 */
#include "../../native/kernel.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LATEST INT64_C(1800000000)
#define EVENTS_MAX 300

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "does not hold: %s\n", what);
        abort();
    }
}

static char *exact_copy(const uint8_t *data, size_t size) {
    char *copy = malloc(size == 0 ? 1 : size);
    require(copy != NULL, "memory");
    if (size != 0) {
        memcpy(copy, data, size);
    }
    return copy;
}

static Parser all, alone; /* kept from input to input, as they are in use */

#define FIELDS 4

static const KeepName fields[] = {
    {0, 0, "country", 7}, {0, 1, "n", 1}, {0, 2, "customer", 8}, {3, 3, "x", 1},
};

static void begin(Parser *parser) {
    if (parser->names.seed == 0) {
        uint64_t seed = parser == &all ? 1 : 2;
        parser_init(parser, seed);
        require(keep_init(&parser->keep, seed, fields, sizeof fields / sizeof *fields, FIELDS) == DONE, "memory");
    }
    parser_begin(parser);
    parser->latest = LATEST;
    parser->fallback_stop = SIZE_MAX;
}

static size_t add(Parser *parser, const char *text, size_t size, uint64_t *position, bool whole) {
    size_t read = size;
    require(parser_add(parser, 0, text, &read, position, whole) == DONE, "memory");
    require(parser_end(parser) == DONE, "memory");
    require(read <= size && (read > 0 || size == 0), "reading goes on, and not too far");
    return read;
}

static void check_event(const Parser *parser, size_t index) {
    require(parser->seconds[index] <= LATEST, "no date is too far in the future");
    require(parser->nanos[index] < 1000000000, "a fraction is below a second");
    require(parser->amounts[index] >= 0 && parser->amounts[index] <= AMOUNT_MAX, "an amount is in range");
    require(parser->methods[index] < METHODS, "a method is known");
    require(parser->merchants[index] < parser->names.batch_count, "a merchant has a name");
    const Name *name = names_at(&parser->names, parser->merchants[index]);
    require(name->length >= 1 && name->length <= NAME_CHARACTERS_MAX, "a name is neither empty nor too long");
    for (uint32_t i = 0; i < name->length; i++) {
        require(name->name[i] >= 0x20 && name->name[i] < 0x7F && name->name[i] != '|', "a name is plain");
    }
    require(parser->id_ends[index] <= parser->ids_used, "an id is in the heap");
    for (size_t i = 0; i < FIELDS; i++) {
        const KeptField *field = &parser->keep.fields[i];
        require(field->filled == 0 || field->filled == parser->count, "a kept column is whole, or there is none");
        require(field->filled == 0 || field->indexes[index] < field->names.batch_count, "a kept value is known");
    }
}

static const Name *kept_value(const KeptField *field, size_t index) {
    static const Name absent = {.length = 0};
    return field->filled == 0 ? &absent : names_at(&field->names, field->indexes[index]);
}

static void check_same_kept(const Parser *all, size_t index, const Parser *alone) {
    for (size_t i = 0; i < FIELDS; i++) {
        const Name *one = kept_value(&all->keep.fields[i], index), *other = kept_value(&alone->keep.fields[i], 0);
        bool same = one->length == other->length && memcmp(one->name, other->name, one->length) == 0;
        const Name *rest = one->length == 0 ? other : one; /* absent, and told so only where another event is not */
        bool absent = one->length * other->length == 0 && rest->length == 8 && memcmp(rest->name, "(absent)", 8) == 0;
        require(same || absent, "same kept value");
        require(one->length <= 6 * 256, "a kept value is short");
    }
}

/* The same event, of one parser at an index and of another at its last. */
static void check_same(const Parser *all, size_t index, const Parser *alone) {
    size_t last = alone->count - 1;
    const Name *one = names_at(&all->names, all->merchants[index]);
    const Name *other = names_at(&alone->names, alone->merchants[last]);
    uint32_t start = index == 0 ? 0 : all->id_ends[index - 1], length = all->id_ends[index] - start;
    require(all->seconds[index] == alone->seconds[last] && all->nanos[index] == alone->nanos[last], "same instant");
    require(all->amounts[index] == alone->amounts[last] && all->methods[index] == alone->methods[last], "same payment");
    require(all->positions[index] == alone->positions[last], "same position");
    require(one->length == other->length && memcmp(one->name, other->name, one->length) == 0, "same merchant");
    require(length == alone->ids_used && (length == 0 || memcmp(all->ids + start, alone->ids, length) == 0), "same id");
}

/* A line among others, where the template may take it, gives what it gives alone, where the template never looks. */
static void parse_lines(const uint8_t *data, size_t size) {
    char *text = exact_copy(data, size);
    begin(&all);
    size_t event = 0, fallback = 0;
    uint64_t position = 0, after = 0;
    add(&all, text, size, &after, false);
    for (size_t start = 0; start < size; position++) {
        const char *feed = memchr(text + start, '\n', size - start);
        size_t stop = feed == NULL ? size : (size_t)(feed - text);
        char *line = exact_copy((const uint8_t *)text + start, stop - start);
        begin(&alone);
        uint64_t same = position;
        add(&alone, line, stop - start, &same, false);
        require(alone.count + alone.fallback_count <= 1, "a line is one event or none");
        if (alone.count == 1) {
            require(event < all.count, "a line that is sure alone is sure among others");
            check_event(&all, event);
            check_same_kept(&all, event, &alone);
            check_same(&all, event++, &alone);
        } else if (alone.fallback_count == 1) {
            require(fallback < all.fallback_count, "a line that is fallback alone is fallback among others");
            const Fallback *rest = &all.fallback[fallback++];
            require(rest->position == position && rest->before == event, "an fallback line is where it is");
            require(rest->start >= start && rest->end <= stop && rest->start < rest->end, "an fallback line is in its text");
        }
        free(line);
        start = stop + 1;
    }
    require(event == all.count && fallback == all.fallback_count, "every line is sure, fallback or blank");
    require(position == after, "every line is counted");
    free(text);
}

/* What is read in parts, up to one fallback line after another, is what is read at once. */
static void parse_parts(const uint8_t *data, size_t size) {
    char *text = exact_copy(data, size);
    begin(&all);
    uint64_t after = 0, position = 0;
    add(&all, text, size, &after, false);
    size_t event = 0, fallback = 0;
    for (size_t start = 0; start < size;) {
        begin(&alone);
        alone.fallback_stop = 1;
        start += add(&alone, text + start, size - start, &position, false);
        require(alone.fallback_count == 1 || start == size, "reading stops for what is fallback");
        require(alone.fallback_count == 0 || alone.fallback[0].position == all.fallback[fallback].position, "the same is fallback");
        for (size_t i = 0; i < alone.count; i++, event++) {
            require(event < all.count && alone.positions[i] == all.positions[event], "the same position");
            require(alone.amounts[i] == all.amounts[event] && alone.nanos[i] == all.nanos[event], "the same event");
        }
        fallback += alone.fallback_count;
    }
    require(event == all.count && fallback == all.fallback_count && position == after, "nothing is read twice, or not at all");
    free(text);
}

static void parse_whole(const uint8_t *data, size_t size) {
    char *text = exact_copy(data, size);
    begin(&all);
    uint64_t position = 7;
    add(&all, text, size, &position, true);
    require(all.count + all.fallback_count == 1, "a whole text is one event, or fallback");
    if (all.count == 1) {
        check_event(&all, 0);
        require(all.positions[0] == 7, "its position is the one given");
    }
    free(text);
}

static void check_places(const Places *places, size_t size) {
    for (size_t i = 0; i < places->count; i++) {
        require(places->starts[i] <= places->ends[i] && places->ends[i] <= size, "an event is in the text");
        require(i == 0 || places->ends[i - 1] <= places->starts[i], "events do not overlap");
        require(i == 0 || places->positions[i - 1] < places->positions[i], "positions rise");
    }
}

/* A body is parted as it is at once, wherever it is cut, one event after the other. */
static void part_body(const uint8_t *data, size_t size) {
    size_t cut = data[0] * size / 256, read, at = 0, event = 0;
    char *text = exact_copy(data + 1, --size);
    Places whole = {0}, some = {0};
    PartState state = {.fresh = true}, after = state;
    cut = cut > size ? size : cut;
    require(part(text, size, true, 0, &state, &some, &at) == DONE, "memory");
    require(part(text, size, true, SIZE_MAX, &after, &whole, &read) == DONE, "memory");
    require(read == size || after.mode == MODE_LINES, "all is parted, or lines");
    check_places(&whole, size);
    for (bool final = cut <= at; state.mode != MODE_LINES;) {
        size_t stop = final ? size : cut;
        char *rest = exact_copy((const uint8_t *)text + at, stop - at);
        require(part(rest, stop - at, final, 1, &state, &some, &read) == DONE, "memory");
        free(rest);
        check_places(&some, stop - at);
        for (size_t i = 0; i < some.count; i++, event++) {
            require(event < whole.count, "no more events than at once");
            require(some.starts[i] + at == whole.starts[event] && some.ends[i] + at == whole.ends[event], "the same places");
            require(some.positions[i] == whole.positions[event], "the same position");
        }
        at += read;
        if (some.count == 0 && state.mode != MODE_LINES) {
            if (final) {
                break;
            }
            final = true;
        }
    }
    require(event == whole.count && state.mode == after.mode && state.position == after.position, "the same at the end");
    require(state.line == after.line && state.spent == after.spent, "the same lines");
    places_free(&whole);
    places_free(&some);
    free(text);
}

static bool same_string(const uint32_t *ends, const char *heap, size_t one, size_t other) {
    uint32_t start = one == 0 ? 0 : ends[one - 1], other_start = other == 0 ? 0 : ends[other - 1];
    return ends[one] - start == ends[other] - other_start &&
           memcmp(heap + start, heap + other_start, ends[one] - start) == 0;
}

/* Rows of names are sorted, whatever the names are, each event's once. */
static void sort_names(const uint32_t *ends, size_t count, const char *heap) {
    char *exact = exact_copy((const uint8_t *)heap, count == 0 ? 0 : ends[count - 1]);
    int64_t *seconds = calloc(count + 1, 8);
    uint64_t *positions = calloc(count + 1, 8), run = count;
    uint32_t *nanos = calloc(count + 1, 4), value_end = 1;
    NameRow *rows = malloc((count + 1) * sizeof *rows);
    uint8_t kind = NAME_KEY;
    for (size_t i = 0; i < count; i++) {
        seconds[i] = (int64_t)(ends[i] % 200) - 100;
        positions[i] = i % 3;
    }
    Named events = {seconds, nanos, ends, exact, positions, count, &run, &kind, &value_end, "k", count != 0};
    size_t used;
    require(name_rows((NameKey){1, 2}, &events, rows, &used) == DONE && used == count, "every event has a row");
    uint64_t indexes = 0;
    for (size_t i = 0; i < used; i++) {
        indexes += (uint64_t)rows[i].index;
        require(i == 0 || rows[i - 1].minute < rows[i].minute ||
                    (rows[i - 1].minute == rows[i].minute &&
                     (rows[i - 1].hash < rows[i].hash ||
                      (rows[i - 1].hash == rows[i].hash && rows[i - 1].index < rows[i].index))),
                "rows are sorted");
    }
    require(indexes == (uint64_t)count * (count - (count != 0)) / 2, "each event has one row");
    free(exact);
    free(seconds);
    free(positions);
    free(nanos);
    free(rows);
}

/* Strings are numbered up to the first that is there already, and found again under their numbers. */
static void number_strings(const uint32_t *ends, size_t count, const char *heap) {
    Dictionary names;
    dictionary_init(&names, 3);
    bool distinct = dictionary_add_all(&names, ends, count, heap) == DONE;
    uint32_t held = names.count, *numbers = malloc(count * 4 + 1);
    require(held <= count && (held == count) == distinct, "all are numbered that are distinct");
    dictionary_find_all(&names, ends, count, heap, numbers);
    for (size_t i = 0; i < count; i++) {
        require(i >= held || numbers[i] == i, "numbers go on from 0");
        require(i != held || numbers[i] < held, "what is numbered once is not numbered again");
        require(numbers[i] == NAME_NEW || same_string(ends, heap, i, numbers[i]), "a number is that of the string");
    }
    if (held != 0) {
        require(memcmp(names.texts->ends + 1, ends, held * 4) == 0 &&
                    memcmp(names.texts->heap, heap, ends[held - 1]) == 0,
                "the names come back");
    }
    dictionary_free(&names);
    free(numbers);
}

/* What can be unpacked packs and unpacks to the same strings. */
static void strings(const uint8_t *data, size_t size) {
    if (size < 2) {
        return;
    }
    size_t count = load16(data), read, heap_size, again_read, again_size;
    unsigned char *packed = (unsigned char *)exact_copy(data + 2, size - 2);
    if (unpacked_size(packed, size - 2, count, &read, &heap_size)) {
        require(read <= size - 2, "no more is read than there is");
        uint32_t *ends = malloc(count * 4 + 1), *again_ends = malloc(count * 4 + 1);
        char *heap = malloc(heap_size + 1), *again_heap = malloc(heap_size + 1);
        unpack_strings(packed, count, ends, heap);
        require(strings_valid(ends, count, heap_size), "the ends rise to the end");
        size_t length = packed_size(ends, count, heap);
        require(length <= read, "packing again takes no more");
        unsigned char *repacked = malloc(length + 1);
        pack_strings(ends, count, heap, repacked);
        require(unpacked_size(repacked, length, count, &again_read, &again_size), "what was packed can be unpacked");
        require(again_read == length && again_size == heap_size, "the sizes come back");
        unpack_strings(repacked, count, again_ends, again_heap);
        require(memcmp(ends, again_ends, count * 4) == 0 && memcmp(heap, again_heap, heap_size) == 0, "the strings come back");
        sort_names(ends, count, heap);
        char *exact = exact_copy((const uint8_t *)heap, heap_size);
        number_strings(ends, count, exact);
        free(exact);
        free(repacked);
        free(ends);
        free(again_ends);
        free(heap);
        free(again_heap);
    }
    free(packed);
}

/* The code of an event in a column. */
static uint64_t code_in(const GroupColumn *columns, int column, size_t event) {
    const GroupColumn *its = &columns[column];
    return stored_at(its->codes, its->width, its->parent < 0 ? event : code_in(columns, its->parent, event));
}

static uint64_t digit_in(const GroupColumn *columns, const Grouping *grouping, int digit, size_t event) {
    uint64_t code = 0;
    for (int i = digit == 0 ? 0 : grouping->ends[digit - 1]; i < grouping->ends[digit]; i++) {
        code = code * columns[grouping->columns[i]].radix + code_in(columns, grouping->columns[i], event);
    }
    return code;
}

/* Grouping agrees with counting each group by looking at every event. */
static void check_groups(const GroupColumn *columns, const int64_t *weights, size_t events, const Grouping *grouping,
                         const Groups *groups) {
    uint64_t total = 0;
    for (size_t row = 0; row < groups->count; row++) {
        uint64_t count = 0, sum = 0;
        for (size_t event = 0; event < events; event++) {
            bool in = true;
            for (int digit = 0; in && digit < grouping->digits; digit++) {
                in = digit_in(columns, grouping, digit, event) == groups->digits[digit][row];
            }
            count += in;
            sum += in ? (uint64_t)weights[event] : 0;
        }
        require(count == groups->counts[row] && count != 0, "a group counts its events");
        require(sum == groups->sums[row], "a group adds up its weights");
        bool rises = row == 0 || grouping->digits == 0;
        for (int digit = 0; !rises && digit < grouping->digits; digit++) {
            require(groups->digits[digit][row - 1] <= groups->digits[digit][row], "groups rise");
            rises = groups->digits[digit][row - 1] < groups->digits[digit][row];
        }
        require(rises, "groups differ");
        total += count;
    }
    require(total == events, "every event is in a group");
}

static void group_events(const uint8_t *data, size_t size) {
    static const uint64_t radixes[] = {1, 2, 3, 24, 256, 300, 1 << 20, UINT32_MAX, UINT64_C(1) << 33, UINT64_C(1) << 40};
    if (size < 16) {
        return;
    }
    const uint8_t *choice = data;
    size_t count = size - 16 < EVENTS_MAX ? size - 16 : EVENTS_MAX;
    GroupColumn columns[4];
    uint64_t *codes = calloc(4 * 512, sizeof *codes);
    int64_t *weights = calloc(count + 1, sizeof *weights);
    for (int i = 0; i < 4; i++) {
        uint64_t radix = radixes[choice[i] % 10], most = radix + (choice[i] >= 250), *own = codes + i * 512;
        bool table = i > 0 && choice[i] & 16 && columns[i - 1].radix <= 300;
        size_t length = table ? (size_t)columns[i - 1].radix : count;
        for (size_t at = 0; at < length; at++) {
            uint64_t byte = data[16 + (count == 0 ? 0 : (at * (size_t)(i + 1)) % count)] * (count != 0);
            own[at] = (byte << (choice[i + 4] % 33)) % most;
        }
        columns[i] = (GroupColumn){own, 8, table ? i - 1 : -1, length, radix};
    }
    for (size_t at = 0; at < count; at++) {
        weights[at] = (int64_t)data[16 + at] << (choice[8] % 48);
    }
    Grouping groupings[3];
    for (int i = 0; i < 3; i++) {
        Grouping *grouping = &groupings[i];
        grouping->digits = 2;
        int used = 0;
        for (int column = 0; column < 4; column++) {
            if (choice[9 + i] >> column & 1) {
                grouping->columns[used++] = choice[9 + i] & 128 ? 3 - column : column;
            }
            if (column == choice[12] % 4) {
                grouping->ends[0] = used;
            }
        }
        grouping->ends[1] = used;
        for (int at = 0; at < used; at++) { /* which columns they are depends on the order */
            require(grouping->columns[at] >= 0 && grouping->columns[at] < 4, "a column that is there");
        }
    }
    Groups groups[3];
    const char *problem;
    bool done = group(columns, 4, weights, count, groupings, 3, groups, &problem) == DONE;
    for (int i = 0; i < 3; i++) {
        if (done) {
            check_groups(columns, weights, count, &groupings[i], &groups[i]);
        }
        groups_free(&groups[i]);
    }
    free(codes);
    free(weights);
}

/* Items come back from being put byte by byte. */
static void shuffled(const uint8_t *data, size_t size) {
    for (int width = 1; width <= 8; width *= 2) {
        size_t count = size / (size_t)width, used = count * (size_t)width;
        char *items = exact_copy(data, used), *bytes = exact_copy(data, used), *back = exact_copy(data, used);
        memset(back, 0, used);
        shuffle((unsigned char *)items, width, count, (unsigned char *)bytes);
        unshuffle((unsigned char *)bytes, width, count, (unsigned char *)back);
        require(memcmp(items, back, used) == 0, "items come back from being shuffled");
        free(items);
        free(bytes);
        free(back);
    }
}

#define DATE_PATTERN "%Y-%m-%d:%H %G-W%V %a"

/* The text that the C library has for a moment, of years that it writes with four digits. */
static bool library_date(int64_t moment, char *out, size_t room) {
    time_t shown = (time_t)moment;
    struct tm parts;
    return moment >= -30000000000 && moment < 253402214400 && gmtime_r(&shown, &parts) != NULL &&
           strftime(out, room, DATE_PATTERN, &parts) != 0;
}

static uint64_t events_held(const Tally *tally, int side) {
    uint64_t events = 0;
    for (const Counted *counted = NULL; (counted = tally_next(tally, counted)) != NULL;) {
        events += counted->totals[side].events;
    }
    return events;
}

/* What is taken as records and loaded is what was held. */
static void check_records(const Tally *tally, size_t reports, size_t parts, int level) {
    size_t sizes[4], datapoints, same, count;
    char *outs[4], *blocks[4];
    uint8_t amounts[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    Counted **found;
    Tally loaded;
    tally_init(&loaded, tally->seed + 1);
    tally_measure(tally, parts, level, sizes);
    for (size_t i = 0; i < parts; i++) {
        blocks[i] = outs[i] = malloc(sizes[i] + 1);
    }
    tally_write(tally, parts, level, outs);
    for (size_t i = 0; i < parts; i++) {
        require(outs[i] == blocks[i] + sizes[i], "records are as long as was measured");
        char *exact = exact_copy((uint8_t *)blocks[i], sizes[i]);
        require(tally_load(&loaded, reports, exact, sizes[i]) == DONE, "records can be loaded");
        require(sizes[i] == 0 || tally_load(&loaded, reports, exact, sizes[i] - 1) == INVALID, "records that end early cannot");
        free(exact);
        free(blocks[i]);
    }
    require(loaded.held == tally->held, "as many texts are loaded as were held");
    require(tally_differing(tally, amounts, &datapoints, &found, &same) == DONE, "memory");
    free(found);
    require(tally_differing(&loaded, amounts, &datapoints, &found, &count) == DONE, "memory");
    free(found);
    require(count >= same, "what differs is loaded"); /* records that ended early were added in part */
    tally_free(&loaded);
}

/* Events of a byte and more each are counted once in each report, under the text that the C library has for their hour. */
static void recount(const uint8_t *data, size_t size) {
    if (size < 24) {
        return;
    }
    static const Text brackets[] = {{"<", 1}, {"-", 1}, {">", 1}}, methods[] = {{"A", 1}, {"BB", 2}, {"", 0}};
    size_t count = (size - 24) / 4 < EVENTS_MAX ? (size - 24) / 4 : EVENTS_MAX;
    int64_t starts[2] = {INT64_MIN, 0}, offsets[2], bounds[2] = {data[20], 256 + data[21]};
    memcpy(&starts[1], data + 4, 8);
    starts[1] %= SECONDS_LIMIT;
    offsets[0] = ((int64_t)data[0] - 128) * 450;
    offsets[1] = ((int64_t)data[1] - 128) * 451;
    const Spelling spellings[] = {
        {.kind = SPELL_CLOCK, .pattern = {DATE_PATTERN, sizeof DATE_PATTERN - 1}, .starts = starts, .offsets = offsets, .pieces = 2},
        {.kind = SPELL_CLOCK, .pattern = {"%H%z%%", 4}, .starts = starts, .offsets = offsets, .pieces = 1 + (data[2] & 1)},
        {.kind = SPELL_AMOUNT, .starts = bounds, .pieces = 2, .texts = brackets, .texts_count = 3},
        {.kind = SPELL_METHOD, .texts = methods, .texts_count = METHODS},
        {.kind = SPELL_STRING, .column = 0},
    };
    require(!spelling_pattern_valid("%H%z%%", 6) && spelling_pattern_valid("%H%z%%", 4), "a pattern is of known parts");
    static const size_t all[] = {0, 1, 2, 3, 4}, date[] = {0}, name[] = {4, 4};
    const Allowed some[] = {{3, methods, 2}};
    const Recounted reports[] = {
        {{"|own|", 5}, all, 5, NULL, 0}, {{"", 0}, date, 1, NULL, 0}, {{"x", 1}, name, 2, some, 1}, {{"", 0}, all, 0, NULL, 0},
    };
    int64_t *seconds = malloc(count * 8 + 1), *amounts = malloc(count * 8 + 1);
    uint8_t *kinds = malloc(count + 1);
    uint32_t *indexes = malloc(count * 4 + 1), *ends = malloc(count * 4 + 4);
    uint64_t allowed = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t second;
        memcpy(&second, data + 24 + i * 4 <= data + size - 8 ? data + 24 + i * 4 : data + size - 8, 8);
        seconds[i] = data[3] & 1 ? second % SECONDS_LIMIT : second % 4102444800;
        amounts[i] = data[24 + i * 4] * (int64_t)data[3];
        kinds[i] = data[25 + i * 4] % METHODS;
        indexes[i] = (uint32_t)(data[26 + i * 4] % count);
        ends[i] = (uint32_t)((i + 1) * (data[22] % 40));
        allowed += kinds[i] < 2;
    }
    size_t heap_size = count * (data[22] % 40);
    char *heap = malloc(heap_size + 1);
    for (size_t i = 0; i < heap_size; i++) {
        heap[i] = (char)data[i % size];
    }
    const StringColumn strings[] = {{indexes, ends, heap}};
    const RecountEvents events = {seconds, amounts, kinds, strings, count};
    const uint8_t wanted[] = {1, 1, 1, data[23] & 1};
    Tally tally;
    tally_init(&tally, 7);
    require(tally_count(&tally, spellings, 5, reports, 4, wanted, &events) == DONE, "memory");
    require(events_held(&tally, TALLY_RECOUNTED) == count * (2 + wanted[3]) + allowed, "each event is counted once in each report");
    size_t dated = 0;
    for (size_t i = 0; i < count; i++) {
        char expected[64];
        if (!library_date(seconds[i] + offsets[seconds[i] >= starts[1]], expected, sizeof expected)) {
            continue;
        }
        bool is_there = false;
        for (const Counted *counted = NULL; !is_there && (counted = tally_next(&tally, counted)) != NULL;) {
            is_there = counted->report == 1 && counted->size == strlen(expected) && memcmp(counted->text, expected, counted->size) == 0;
        }
        require(is_there, "the date is that of the C library");
        if (++dated == 32) {
            break;
        }
    }
    uint64_t *ones = calloc(count + 1, 8);
    for (size_t i = 0; i < count; i++) {
        ones[i] = i % 3;
    }
    require(tally_add(&tally, TALLY_STORED, data[23] % 4, strings, 1, count, ones, ones, NULL) == DONE, "memory");
    check_records(&tally, 4, 1 + data[23] % 4, data[22]);
    tally_clear(&tally);
    require(tally.held == 0 && tally_next(&tally, NULL) == NULL, "what is cleared holds nothing");
    tally_free(&tally);
    free(ones);
    free(seconds);
    free(amounts);
    free(kinds);
    free(indexes);
    free(ends);
    free(heap);
}

#define SELECTED_ROWS 600 /* of 3 windows, 2 targets and 100 names at most */

typedef struct {
    char text[16];
    size_t size;
    Rank rank;
} Row;

static int row_order(const Row *one, const Row *other, bool by_rank) {
    if (by_rank && (one->rank.high != other->rank.high || one->rank.low != other->rank.low)) {
        bool more = one->rank.high != other->rank.high ? one->rank.high > other->rank.high : one->rank.low > other->rank.low;
        return more ? -1 : 1;
    }
    size_t both = one->size < other->size ? one->size : other->size;
    int order = memcmp(one->text, other->text, both);
    return order != 0 ? order : (one->size > other->size) - (one->size < other->size);
}

/* The first in an order are those of all aggregates, added up one by one and sorted. */
static void select_first(const uint8_t *data, size_t size) {
    static const uint32_t inner[2][3] = {{0, 1, 2}, {1, 0, 2}};
    if (size < 16) {
        return;
    }
    const uint8_t *choice = data;
    uint64_t known = choice[0] % 24, step = 1 + choice[1] % 3, merchants = 1 + choice[2] % 4, total = known * step;
    char *heap = malloc(4 * 24);
    uint32_t ends[24];
    for (uint32_t i = 0, used = 0; i < known; i++) { /* of one to three letters, no two alike */
        heap[used++] = (char)('a' + (i * 7 + choice[3]) % 24);
        for (int more = ((choice[3] + i) & 1) ? 0 : (int)(i % 3); more > 0; more--) {
            heap[used++] = (char)('A' + choice[4 + more] % 60);
        }
        ends[i] = used;
    }
    Dictionary names;
    dictionary_init(&names, 5);
    require(dictionary_add_all(&names, ends, (size_t)known, heap) == DONE, "names are not alike");
    Target targets[2] = {{"", "|x", 0, 2, inner[0], (size_t)step, NO_LABEL}, {"\0|", "", 2, 0, inner[1], 1 + (step > 1), NO_LABEL}};
    if (step == 1) {
        targets[1].inner = inner[0];
    }
    Row after = {.size = choice[9] % 4, .rank = {choice[10] % 16, 0}}, *rows = calloc(SELECTED_ROWS, sizeof *rows);
    memcpy(after.text, choice + 11, after.size);
    if (choice[9] & 64 && known != 0) { /* one that may be there */
        uint32_t number = choice[11] % known, start = number == 0 ? 0 : ends[number - 1];
        after.size = ends[number] - start;
        memcpy(after.text, heap + start, after.size);
        after.text[after.size++] = '|';
        after.text[after.size++] = 'x';
    }
    SelectionOrder order = (SelectionOrder)(choice[7] % 3);
    Selection selection = {.by_merchant = choice[7] & 4, .order = order, .size = step * merchants, .step = step,
                           .targets = targets, .targets_count = 2, .has_after = choice[7] & 8, .after = after.text,
                           .after_size = after.size, .after_rank = after.rank, .known = (uint32_t)known,
                           .limit = 1 + choice[8] % 20, .texts = names.texts};
    uint32_t wanted[24];
    if (choice[7] & 16) {
        for (uint32_t i = 0; i < known; i++) {
            if (choice[i % 16] & 32) {
                wanted[selection.wanted_count++] = i;
            }
        }
        selection.wanted = wanted;
    }
    require(selection_reserve(&selection), "memory");
    size_t used = 0, events = (size - 16) / 3;
    uint64_t *held = calloc(2 * (total + 1), 8), *codes = calloc(3 * (events + 1), 8), *counts = codes + events + 1;
    uint64_t *lows = counts + events + 1, *highs = calloc(events + 1, 8), expected = 0;
    for (int window = 0; window < 3; window++) {
        const char name = "kbz"[window];
        size_t loose_count = 0;
        memset(held, 0, 2 * (total + 1) * 8);
        for (size_t i = 0; i < events && total != 0; i++) {
            const uint8_t *event = data + 16 + 3 * i;
            if (event[0] % 3 == window) {
                codes[loose_count] = (event[0] / 3 * 5 + event[1]) % total;
                counts[loose_count] = event[1] % 4;
                lows[loose_count] = counts[loose_count] * event[2];
                held[2 * codes[loose_count]] += counts[loose_count];
                held[2 * codes[loose_count] + 1] += lows[loose_count];
                loose_count++;
            }
        }
        Segment segments[2];
        size_t segments_count = 0; /* a part of the single totals goes in as cells */
        unsigned char *cells = NULL;
        if (choice[12] & 1 && loose_count != 0) {
            uint64_t part = codes[0] / selection.size, first = part * selection.size;
            uint64_t *part_counts = calloc(3 * (size_t)selection.size, 8);
            Totals sums = {part_counts, part_counts + selection.size, part_counts + 2 * selection.size};
            size_t left = 0;
            for (size_t i = 0; i < loose_count; i++) {
                if (codes[i] / selection.size == part && (choice[12] & 2 || i % 2 == 0)) {
                    require(totals_add(&sums, (size_t)(codes[i] - first), counts[i], lows[i], 0), "small counts add up");
                } else {
                    codes[left] = codes[i];
                    counts[left] = counts[i];
                    lows[left++] = lows[i];
                }
            }
            int widths[3];
            size_t length = cells_size(&sums, (size_t)selection.size, widths);
            cells = malloc(length + 1);
            if (length != 0) {
                cells_write(&sums, (size_t)selection.size, widths, cells);
            }
            segments[segments_count++] = (Segment){part, cells, length};
            loose_count = left;
            free(part_counts);
        }
        const Loose loose = {codes, counts, lows, highs, loose_count};
        const char *problem;
        require(selection_add(&selection, &name, 1, segments, segments_count, &loose, &problem) == DONE, "all is in range");
        free(cells);
        for (int i = 0; i < 2; i++) {
            uint64_t all[2] = {0, 0};
            for (uint64_t number = 0; number < known; number++) {
                bool is_wanted = selection.wanted == NULL;
                for (size_t at = 0; at < selection.wanted_count; at++) {
                    is_wanted |= wanted[at] == number;
                }
                uint64_t count = 0, low = 0;
                for (size_t at = 0; is_wanted && at < targets[i].inner_count; at++) {
                    count += held[2 * (number * step + targets[i].inner[at])];
                    low += held[2 * (number * step + targets[i].inner[at]) + 1];
                }
                all[0] += count;
                all[1] += low;
                if ((selection.by_merchant && count != 0) || (!selection.by_merchant && number + 1 == known && all[0] != 0)) {
                    Row *row = &rows[used];
                    uint64_t amount = selection.by_merchant ? low : all[1];
                    uint32_t start = number == 0 ? 0 : ends[number - 1];
                    row->rank = (Rank){order == BY_AMOUNT ? amount : selection.by_merchant ? count : all[0], 0};
                    if (i == 1) {
                        row->text[row->size++] = name;
                        row->text[row->size++] = '|';
                    }
                    for (uint32_t at = start; selection.by_merchant && at < ends[number]; at++) {
                        row->text[row->size++] = heap[at];
                    }
                    if (i == 0) {
                        row->text[row->size++] = '|';
                        row->text[row->size++] = 'x';
                    }
                    expected++;
                    bool comes_after = !selection.has_after || row_order(row, &after, order != BY_DATAPOINT) > 0;
                    used += comes_after;
                    if (!comes_after) {
                        *row = (Row){.size = 0};
                    }
                }
            }
        }
    }
    for (size_t i = 1; i < used; i++) {
        Row row = rows[i];
        size_t at = i;
        for (; at > 0 && row_order(&row, &rows[at - 1], order != BY_DATAPOINT) < 0; at--) {
            rows[at] = rows[at - 1];
        }
        rows[at] = row;
    }
    selection_sort(&selection);
    require(selection.datapoints == expected, "every aggregate is counted");
    require(selection.used == (used < selection.limit ? used : selection.limit), "as many are taken as there is room for");
    for (size_t i = 0; i < selection.used; i++) {
        Row row = {.size = selection_text(&selection, &selection.entries[i], NULL)};
        require(row.size <= sizeof row.text, "a text is that of a name");
        selection_text(&selection, &selection.entries[i], row.text);
        row.rank.low = order == BY_AMOUNT ? selection.entries[i].low : selection.entries[i].count;
        require(row_order(&row, &rows[i], order != BY_DATAPOINT) == 0, "the first are those of all, sorted");
    }
    selection_free(&selection);
    dictionary_free(&names);
    free(heap);
    free(held);
    free(codes);
    free(highs);
    free(rows);
}

/* Bytes that are no cells are refused, and no step is taken outside of them. */
static void select_anything(const uint8_t *data, size_t size) {
    static const uint32_t inner[] = {0, 1, 2};
    if (size < 2) {
        return;
    }
    uint32_t end = 1;
    Dictionary names;
    dictionary_init(&names, 5);
    require(dictionary_add_all(&names, &end, 1, "m") == DONE, "memory");
    Target target = {"", "", 0, 0, inner, 3, NO_LABEL};
    Selection selection = {.by_merchant = data[0] & 1, .size = 3 * (1 + data[0] / 64), .step = 3, .targets = &target,
                           .targets_count = 1, .known = 1, .limit = 2, .texts = names.texts};
    require(selection_reserve(&selection), "memory");
    char *cells = exact_copy(data + 2, size - 2);
    const Segment segments[] = {{data[1] % 2, (unsigned char *)cells, size - 2}, {0, (unsigned char *)cells, size - 2}};
    const Loose loose = {0};
    const char *problem = NULL;
    Status status = selection_add(&selection, "w", 1, segments, 1 + data[1] / 128, &loose, &problem);
    require(status == DONE || (status == INVALID && problem != NULL), "what is refused is told");
    selection_sort(&selection);
    selection_free(&selection);
    dictionary_free(&names);
    free(cells);
}

/* A copy of so many bytes and no more; nothing may be read or written behind it. */
static void *exactly(const void *data, size_t size) { return exact_copy(data, size); }

static size_t length_of(const uint32_t *ends, size_t index) { return ends[index] - (index == 0 ? 0 : ends[index - 1]); }

/* Names become sources and positions, and those become the names again that were any. */
static void name_events(const uint32_t *ends, size_t count, const char *heap, bool own) {
    uint32_t *id_ends = malloc(count * 4 + 1), used = 0;
    char *ids = malloc((count == 0 ? 0 : ends[count - 1]) + 1);
    for (size_t i = 0; i < count; i++) { /* each has the id that its name says, if that is one */
        size_t length = length_of(ends, i);
        const char *text = heap + (ends[i] - length);
        if (own && length > 3 && memcmp(text, "id:", 3) == 0) {
            memcpy(ids + used, text + 3, length - 3);
            used += (uint32_t)(length - 3);
        }
        id_ends[i] = used;
    }
    NamedRuns runs = {malloc(count * 8 + 1), malloc(count + 1), malloc(count * 4 + 1), malloc(count * 4 + 1),
                      malloc((count == 0 ? 0 : ends[count - 1]) + 1), 0, 0};
    uint64_t *positions = malloc(count * 8 + 1);
    sources_of_names(ends, count, heap, own ? id_ends : NULL, ids, &runs, positions);
    require(runs.count <= count && runs.invalid_count <= count, "a run has an event, and a name is wrong once");
    size_t at = 0, bad = 0;
    for (size_t run = 0; run < runs.count; run++) {
        require(runs.events[run] != 0 && (run == 0 || runs.ends[run] >= runs.ends[run - 1]), "a run has an event and a name");
        for (uint64_t i = 0; i < runs.events[run]; i++, at++) {
            require(i == 0 || positions[at] > positions[at - 1], "positions rise in a run");
            bool invalid = bad < runs.invalid_count && runs.invalid[bad] == at;
            bad += invalid;
            require((runs.kinds[run] == NAME_NOT_SAID) == (invalid || length_of(ends, at) == 0), "each name is told or wrong");
        }
        runs.kinds[run] = runs.kinds[run] == NAME_NOT_SAID ? NAME_NONE : runs.kinds[run];
    }
    require(at == count && bad == runs.invalid_count, "each event is in a run");
    const Named named = {.id_ends = own ? id_ends : NULL, .ids = ids, .positions = positions, .count = count, .run_events = runs.events,
                         .run_kinds = runs.kinds, .run_ends = runs.ends, .run_values = runs.values, .runs = runs.count};
    size_t size = name_texts(&named, NULL, NULL);
    uint32_t *again_ends = malloc(count * 4 + 1);
    char *again = malloc(size == 0 ? 1 : size);
    require(name_texts(&named, again_ends, again) == size, "a text is as long as it was said to be");
    for (size_t i = 0, wrong = 0; i < count; i++) {
        if (wrong < runs.invalid_count && runs.invalid[wrong] == i) {
            wrong++;
            continue;
        }
        size_t length = length_of(ends, i);
        require(length_of(again_ends, i) == length && memcmp(again + again_ends[i] - length, heap + ends[i] - length, length) == 0,
                "a name comes back");
    }
    free(id_ends);
    free(ids);
    free(runs.events);
    free(runs.kinds);
    free(runs.ends);
    free(runs.invalid);
    free(runs.values);
    free(positions);
    free(again_ends);
    free(again);
}

/* Names stand in the lines that they are found in, and where no line may have one there is none. */
static void find_names(const uint8_t *data, size_t size) {
    if (size < 4) {
        return;
    }
    uint64_t first = data[0], position = first + data[1] % 2, positions[64];
    size_t count = 0, doubtful_count, text_size = size - 4;
    char *text = exact_copy(data + 4, text_size);
    for (size_t i = 0; i < 64 && count < data[2] % 64; i++, position++) {
        if ((data[3] >> i % 8 & 1) == 0) {
            positions[count++] = position;
        }
    }
    uint64_t *at = exactly(positions, count * 8);
    uint32_t *ends = malloc(count * 4 + 1), *doubtful = malloc(count * 4 + 1);
    char *heap = malloc(text_size + 1);
    if (names_in_lines(text, text_size, first, at, count, ends, heap, doubtful, &doubtful_count) == DONE) {
        require(doubtful_count <= count && (count == 0 || ends[count - 1] <= text_size), "there is room");
        require(may_have_names(text, text_size) || (doubtful_count == 0 && (count == 0 || ends[count - 1] == 0)), "none is found where none may be");
        uint64_t line = first;
        const char *from = text, *stop = text + text_size;
        for (size_t i = 0; i < count; i++) {
            for (; line < at[i]; line++) {
                from = (const char *)memchr(from, '\n', (size_t)(stop - from)) + 1;
            }
            const char *feed = memchr(from, '\n', (size_t)(stop - from));
            size_t length = length_of(ends, i), room = (size_t)((feed == NULL ? stop : feed) - from);
            require(length == 0 || length + 12 <= room, "a name is shorter than its line");
            require(i == 0 || ends[i] >= ends[i - 1], "ends rise");
        }
        name_events(ends, count, heap, data[1] & 2);
    }
    free(text);
    free(at);
    free(ends);
    free(doubtful);
    free(heap);
}

/* Any strings as names, each of the text's lines one. */
static void take_names(const uint8_t *data, size_t size) {
    if (size == 0) {
        return;
    }
    uint32_t ends[256];
    size_t count = 0, used = 0;
    char *heap = malloc(size);
    for (size_t i = 1; i < size && count < 256; i++) {
        if (data[i] == '\n') {
            ends[count++] = (uint32_t)used;
        } else {
            heap[used++] = (char)data[i];
        }
    }
    uint32_t *exact_ends = exactly(ends, count * 4);
    char *exact = exact_copy((const uint8_t *)heap, count == 0 ? 0 : ends[count - 1]);
    name_events(exact_ends, count, exact, data[0] & 1);
    free(exact_ends);
    free(exact);
    free(heap);
}

/* Read what `quote` wrote; how many bytes. */
static size_t unquote(const char *text, size_t length, bool csv, char *out) {
    if (csv && (length == 0 || text[0] != '"')) {
        memcpy(out, text, length);
        return length;
    }
    size_t used = 0;
    require(length >= 2 && text[0] == '"' && text[length - 1] == '"', "a text is quoted at both ends");
    for (size_t i = 1; i < length - 1; i++) {
        unsigned code = (unsigned char)text[i];
        require(csv || code >= 0x20, "no control stands in a text");
        if (csv ? code == '"' : code == '\\') {
            static const char short_forms[] = "\"\"\\\\b\bf\fn\nr\rt\t";
            const char *found = strchr(short_forms, text[++i]);
            require(i < length - 1 && (csv ? text[i] == '"' : found != NULL || text[i] == 'u'), "an escape is one");
            if (!csv && found == NULL) {
                char digits[5] = {0};
                require(i + 4 < length - 1, "a control has four digits");
                memcpy(digits, text + i + 1, 4);
                code = (unsigned)strtoul(digits, NULL, 16);
                require(code < 0x20, "what needs no escape has none");
                i += 4;
            } else {
                code = csv ? '"' : (unsigned char)found[1];
            }
        } else {
            require(code != '"', "no quote ends a text before its end");
        }
        out[used++] = (char)code;
    }
    return used;
}

static void quote_strings(const uint32_t *ends, size_t count, const char *heap, bool csv) {
    size_t size = quote(ends, count, heap, csv, NULL, NULL);
    uint32_t *quoted_ends = malloc(count * 4 + 1);
    char *quoted = malloc(size == 0 ? 1 : size), *back = malloc(size + 1);
    require(quote(ends, count, heap, csv, quoted_ends, quoted) == size, "a text is as long as it was said to be");
    require(count == 0 || quoted_ends[count - 1] == size, "the ends are those of the text");
    for (size_t i = 0; i < count; i++) {
        size_t length = length_of(ends, i), quoted_length = length_of(quoted_ends, i);
        require((length == 0) == (quoted_length == 0), "nothing stays nothing");
        if (length != 0) {
            require(unquote(quoted + quoted_ends[i] - quoted_length, quoted_length, csv, back) == length, "the length comes back");
            require(memcmp(back, heap + (ends[i] - length), length) == 0, "the text comes back");
        }
    }
    free(quoted_ends);
    free(quoted);
    free(back);
}

/* Rows are as long as they were said to be, and each begins with its date. */
static void export_rows(const uint8_t *data, size_t size) {
    if (size < 4) {
        return;
    }
    size_t rows = data[0] % 48, left = size - 4;
    const uint8_t *bytes = data + 4;
    int64_t seconds[48] = {0}, numbers[48] = {0};
    uint32_t nanos[48] = {0}, ends[48] = {0}, wide[48];
    uint8_t codes[48];
    for (size_t row = 0; row < rows; row++) {
        uint64_t word = 0;
        memcpy(&word, bytes + (left == 0 ? 0 : row * 8 % left), left < 8 ? left : left - row * 8 % left < 8 ? left - row * 8 % left : 8);
        seconds[row] = (int64_t)(word % 315537897600) - 62135596800; /* of the years 1 to 9999 */
        numbers[row] = (int64_t)(word >> (1 + word % 63));
        nanos[row] = word % 3 == 0 ? 0 : (uint32_t)(word % 1000000000 / (word % 7 == 0 ? 1 : 1000000) * (word % 7 == 0 ? 1 : 1000000));
        codes[row] = (uint8_t)(wide[row] = (uint32_t)(word % 3));
        size_t more = row % 3 == data[1] % 3 ? 0 : word % 9, used = row == 0 ? 0 : ends[row - 1];
        ends[row] = (uint32_t)(used + (used + more > left ? 0 : more));
    }
    char *heap = exact_copy(bytes, rows == 0 ? 0 : ends[rows - 1]);
    int64_t *at = exactly(seconds, rows * 8), *amounts = exactly(numbers, rows * 8);
    uint32_t *fractions = exactly(nanos, rows * 4), *text_ends = exactly(ends, rows * 4), *codes_wide = exactly(wide, rows * 4);
    uint8_t *kinds = exactly(codes, rows);
    quote_strings(text_ends, rows, heap, false);
    quote_strings(text_ends, rows, heap, true);
    static const uint32_t choice_ends[] = {3, 3, 4};
    uint64_t places[48], run_events[] = {rows / 2, 0, rows - rows / 2};
    for (size_t row = 0; row < rows; row++) {
        places[row] = (uint64_t)numbers[row];
    }
    uint64_t *positions = exactly(places, rows * 8);
    const uint8_t run_kinds[] = {data[3] % 5, 3, data[3] / 5 % 5};
    const bool own = data[3] & 128;
    const size_t heap_size = rows == 0 ? 0 : ends[rows - 1];
    const Named named = {.id_ends = own ? text_ends : NULL, .ids = heap, .positions = positions, .count = rows, .run_events = run_events,
                         .run_kinds = run_kinds, .run_ends = choice_ends, .run_values = "onez", .runs = 3};
    RowPart parts[] = {
        {.kind = ROW_INSTANT, .before = "", .values = at, .nanos = fractions},
        {.kind = ROW_NUMBER, .before = ",\"n\":", .before_size = data[2] % 6, .values = amounts},
        {.kind = ROW_CHOICE, .width = 1, .before = "<", .before_size = 1, .values = kinds, .ends = choice_ends, .heap = "onez", .heap_size = 4},
        {.kind = ROW_CHOICE, .width = 4, .before = "", .values = codes_wide, .ends = choice_ends, .heap = "onez", .heap_size = 4},
        {.kind = ROW_TEXT, .before = ",\"t\":", .before_size = data[2] / 6 % 6, .ends = text_ends, .heap = heap, .heap_size = heap_size},
        {.kind = ROW_NAME, .before = ",\"_\":", .before_size = data[2] / 36 % 6, .named = named, .ids_size = heap_size},
        {.kind = ROW_LITERAL, .before = "}\n", .before_size = 2},
    };
    size_t half = rows / 3, length = rows_size(parts, 7, 0, rows), first = rows_size(parts, 7, 0, half);
    char *out = malloc(length == 0 ? 1 : length), *from = out;
    format_rows(parts, 7, 0, half, out, first);
    require(rows_size(parts, 7, half, rows) == length - first, "rows are as long in pieces");
    format_rows(parts, 7, half, rows, out + first, length - first);
    for (size_t row = 0; row < rows; row++) {
        char expected[64];
        require((size_t)(out + length - from) >= 22 && from[10] == 'T', "a row begins with an instant");
        require(!library_date(seconds[row], expected, sizeof expected) || memcmp(from, expected, 10) == 0, "the date is that of the C library");
        uint32_t text_end = (uint32_t)length_of(ends, row);
        char name[600];
        size_t id_length = own ? text_end : 0, run = row < rows / 2 ? 0 : 2, name_length = 0;
        uint8_t kind = id_length != 0 ? NAME_ID : run_kinds[run];
        if (kind != NAME_NONE) { /* as name_texts writes the one name */
            const uint64_t one = 1;
            const uint32_t value_end = run == 0 ? 3 : 1;
            const Named single = {.id_ends = own ? &text_end : NULL, .ids = heap + (ends[row] - text_end), .positions = &positions[row],
                                  .count = 1, .run_events = &one, .run_kinds = &run_kinds[run], .run_ends = &value_end,
                                  .run_values = run == 0 ? "one" : "z", .runs = 1};
            name_length = name_texts(&single, NULL, NULL);
            require(name_length < sizeof name, "a name is no longer than its parts");
            name_texts(&single, &(uint32_t){0}, name);
            const char *value = id_length != 0 ? heap + (ends[row] - text_end) : run == 0 ? "one" : "z";
            if (value[0] == '"') { /* the quote moves to the front */
                size_t before = name_length - (id_length != 0 ? id_length : value_end);
                memmove(name + 1, name, before);
                name[0] = '"';
            }
        }
        const uint32_t name_end = (uint32_t)name_length;
        RowPart alone[] = {
            {.kind = ROW_INSTANT, .before = "", .values = &at[row], .nanos = &fractions[row]},
            {.kind = ROW_NUMBER, .before = ",\"n\":", .before_size = parts[1].before_size, .values = &amounts[row]},
            {.kind = ROW_CHOICE, .width = 1, .before = "<", .before_size = 1, .values = &kinds[row], .ends = choice_ends, .heap = "onez"},
            {.kind = ROW_CHOICE, .width = 4, .before = "", .values = &codes_wide[row], .ends = choice_ends, .heap = "onez"},
            {.kind = ROW_TEXT, .before = ",\"t\":", .before_size = parts[4].before_size, .ends = &text_end, .heap = heap + (ends[row] - text_end)},
            {.kind = ROW_TEXT, .before = ",\"_\":", .before_size = parts[5].before_size, .ends = &name_end, .heap = name},
            {.kind = ROW_LITERAL, .before = "}\n", .before_size = 2},
        };
        size_t row_length = rows_size(alone, 7, 0, 1);
        char *line = malloc(row_length);
        format_rows(alone, 7, 0, 1, line, row_length);
        require(row_length <= (size_t)(out + length - from), "a row is in the rows");
        require(memcmp(line, from, row_length) == 0, "a row is the same by itself");
        from += row_length;
        free(line);
    }
    require(from == out + length, "rows are as long as they were said to be");
    free(heap);
    free(at);
    free(amounts);
    free(fractions);
    free(text_ends);
    free(codes_wide);
    free(kinds);
    free(positions);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    switch (data[0]) {
    case 'w':
        parse_whole(data + 1, size - 1);
        break;
    case 's':
        strings(data + 1, size - 1);
        break;
    case 'g':
        group_events(data + 1, size - 1);
        break;
    case 'r':
        recount(data + 1, size - 1);
        break;
    case 'o':
        select_first(data + 1, size - 1);
        break;
    case 'a':
        select_anything(data + 1, size - 1);
        break;
    case 'c':
        shuffled(data + 1, size - 1);
        break;
    case 'n':
        find_names(data + 1, size - 1);
        break;
    case 'm':
        take_names(data + 1, size - 1);
        break;
    case 'e':
        export_rows(data + 1, size - 1);
        break;
    case 'b':
        if (size > 1) {
            part_body(data + 1, size - 1);
        }
        break;
    default:
        parse_lines(data + 1, size - 1);
        parse_parts(data + 1, size - 1);
    }
    return 0;
}
