/* Counting by text: the datapoint of each event is written out, and counted in a table of texts.
 *
 * Audit compares aggregates with what is counted here. So nothing here is shared with how they are counted: no codes, no
 * columns of them, no grouping. What a dimension writes is told by a `Spelling` of its own.
 */
#include "kernel.h"
#include "names.h"

#include <stdlib.h>

#define HOUR INT64_C(3600)
#define DAY (24 * HOUR)
#define FIRST_LOCAL INT64_C(-62135596800) /* 0001-01-01T00:00:00 */
#define LAST_LOCAL INT64_C(253402300800)  /* 10000-01-01T00:00:00 */
#define UNIT 8                            /* bytes in which the heap is counted */
#define SPARE 16                          /* bytes after a text that may be read */

static int64_t floor_div(int64_t value, int64_t by) { return value / by - (value % by < 0); }

/* What the clocks show at a moment, on the day at the edge outside the years 1 to 9999, and how far they are ahead. */
static int64_t shown_at(const Spelling *spelling, int64_t moment, int64_t *offset) {
    size_t low = 0, high = spelling->pieces;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (spelling->starts[middle] <= moment) {
            low = middle;
        } else {
            high = middle;
        }
    }
    *offset = spelling->offsets[low];
    int64_t shown = moment + *offset, into_day = shown - floor_div(shown, DAY) * DAY;
    return shown < FIRST_LOCAL ? FIRST_LOCAL + into_day : shown >= LAST_LOCAL ? LAST_LOCAL - DAY + into_day : shown;
}

typedef struct {
    int year, month, day, hour, weekday; /* 0 is Monday */
    int64_t days;                        /* since 1970 */
} Moment;

static bool is_leap(int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

static int64_t days_before_year(int64_t year) { /* from 0001-01-01 */
    int64_t past = year - 1;
    return past * 365 + past / 4 - past / 100 + past / 400;
}

/* The date of a day of the years 1 to 9999. */
static void set_date(Moment *moment, int64_t days) {
    static const int before_month[13] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    int64_t from_first = days + 719162, year = from_first / 366 + 1; /* not later than the year that is looked for */
    while (days_before_year(year + 1) <= from_first) {
        int64_t lacking = (from_first - days_before_year(year + 1)) / 366;
        year += lacking + 1;
    }
    int in_year = (int)(from_first - days_before_year(year)), leap = is_leap(year), month = in_year / 31;
    while (before_month[month + 1] + (month >= 1 && leap) <= in_year) {
        month++;
    }
    moment->days = days;
    moment->year = (int)year;
    moment->month = month + 1;
    moment->day = in_year - before_month[month] - (month >= 2 && leap) + 1;
    moment->weekday = (int)(from_first % 7); /* 0001-01-01 was a Monday */
}

static char *put_number(char *out, int64_t number, int digits) {
    for (int at = digits - 1; at >= 0; at--) {
        out[at] = (char)('0' + number % 10);
        number /= 10;
    }
    return out + digits;
}

static char *put_offset(char *out, int64_t offset) {
    int64_t seconds = offset < 0 ? -offset : offset;
    *out++ = offset < 0 ? '-' : '+';
    out = put_number(out, seconds / HOUR, 2);
    *out++ = ':';
    out = put_number(out, seconds % HOUR / 60, 2);
    if (seconds % 60 != 0) {
        *out++ = ':';
        out = put_number(out, seconds % 60, 2);
    }
    return out;
}

/* The ISO week is that of its Thursday. */
static char *put_week(char *out, const Moment *moment, bool year) {
    Moment thursday;
    set_date(&thursday, moment->days - moment->weekday + 3);
    if (year) {
        return put_number(out, thursday.year, 4);
    }
    int64_t in_year = thursday.days + 719162 - days_before_year(thursday.year);
    return put_number(out, in_year / 7 + 1, 2);
}

static char *put_part(char *out, char part, const Moment *moment, int64_t offset) {
    static const char weekdays[7][4] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
    switch (part) {
    case 'Y':
        return put_number(out, moment->year, 4);
    case 'm':
        return put_number(out, moment->month, 2);
    case 'd':
        return put_number(out, moment->day, 2);
    case 'H':
        return put_number(out, moment->hour, 2);
    case 'G':
    case 'V':
        return put_week(out, moment, part == 'G');
    case 'a':
        memcpy(out, weekdays[moment->weekday], 3);
        return out + 3;
    case 'z':
        return put_offset(out, offset);
    default:
        return out;
    }
}

bool spelling_pattern_valid(const char *pattern, size_t size) {
    if (size > SPELLING_PATTERN_MAX) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if (pattern[i] == '%' && (i + 1 == size || pattern[++i] == 0 || strchr("YmdHGVaz", pattern[i]) == NULL)) {
            return false;
        }
    }
    return true;
}

/* As strftime does, of the clocks of a zone. */
static Text spell_clock(const Spelling *spelling, int64_t second, char *room) {
    int64_t offset, shown = shown_at(spelling, second, &offset);
    Moment moment = {.hour = (int)((shown - floor_div(shown, DAY) * DAY) / HOUR)};
    set_date(&moment, floor_div(shown, DAY));
    char *out = room;
    for (size_t i = 0; i < spelling->pattern.size; i++) {
        char character = spelling->pattern.text[i];
        if (character == '%') {
            out = put_part(out, spelling->pattern.text[++i], &moment, offset);
        } else {
            *out++ = character;
        }
    }
    return (Text){room, (size_t)(out - room)};
}

static Text spell(const Spelling *spelling, const RecountEvents *events, size_t at, char *room) {
    size_t which = 0;
    switch (spelling->kind) {
    case SPELL_CLOCK:
        return spell_clock(spelling, events->seconds[at], room);
    case SPELL_AMOUNT:
        while (which + 1 < spelling->texts_count && events->amounts[at] >= spelling->starts[which]) {
            which++;
        }
        return spelling->texts[which];
    case SPELL_METHOD:
        return spelling->texts[events->methods[at]];
    default: {
        const StringColumn *column = &events->strings[spelling->column];
        uint32_t index = column->indexes[at], start = index == 0 ? 0 : column->ends[index - 1];
        return (Text){column->heap + start, column->ends[index] - start};
    }
    }
}

static int compare_texts(const void *one, const void *other) {
    const Text *a = one, *b = other;
    int order = memcmp(a->text, b->text, a->size < b->size ? a->size : b->size);
    return order != 0 ? order : (a->size > b->size) - (a->size < b->size);
}

static bool is_counted(const Recounted *report, const Text *texts) {
    for (size_t i = 0; i < report->where_count; i++) {
        const Allowed *allowed = &report->where[i];
        if (bsearch(&texts[allowed->spelling], allowed->texts, allowed->count, sizeof(Text), compare_texts) == NULL) {
            return false;
        }
    }
    return true;
}

/* The table. */

void tally_init(Tally *tally, uint64_t seed) { *tally = (Tally){.seed = seed}; }

void tally_clear(Tally *tally) {
    tally->used = 0;
    tally->held = 0;
    if (tally->slots != NULL) {
        memset(tally->slots, 0, (tally->slots_mask + 1) * sizeof *tally->slots);
    }
}

void tally_free(Tally *tally) {
    free(tally->slots);
    free(tally->heap);
    free(tally->scratch);
    tally_init(tally, tally->seed);
}

static uint64_t hash_of(const Tally *tally, uint32_t report, const char *text, size_t size) {
    return hash_text(tally->seed + report, text, size);
}

static size_t counted_size(size_t text) { return (sizeof(Counted) + text + SPARE + UNIT - 1) / UNIT * UNIT; }

Counted *tally_next(const Tally *tally, const Counted *counted) {
    char *next = counted == NULL ? tally->heap : (char *)counted + counted_size(counted->size);
    return tally->used == 0 || next == tally->heap + tally->used ? NULL : (Counted *)next;
}

static bool tally_grow(Tally *tally) {
    size_t slots = tally->slots == NULL ? 1024 : 2 * (tally->slots_mask + 1);
    uint64_t *made = calloc(slots, sizeof *made);
    if (made == NULL) {
        return false;
    }
    for (size_t i = 0; tally->slots != NULL && i <= tally->slots_mask; i++) {
        uint64_t entry = tally->slots[i];
        size_t slot = entry >> 32;
        for (; entry != 0 && made[slot & (slots - 1)] != 0; slot++) {
        }
        made[slot & (slots - 1)] |= entry;
    }
    free(tally->slots);
    tally->slots = made;
    tally->slots_mask = slots - 1;
    return true;
}

static Counted *tally_hold(Tally *tally, uint32_t report, const char *text, size_t size) {
    size_t needed = counted_size(size);
    if (tally->room - tally->used < needed) {
        size_t room = tally->room + (tally->room < (size_t)8 << 20 ? tally->room : (size_t)4 << 20) + needed + 4096;
        char *heap = room / UNIT >= UINT32_MAX ? NULL : realloc(tally->heap, room);
        if (heap == NULL) {
            return NULL;
        }
        tally->heap = heap;
        tally->room = room;
    }
    Counted *counted = (Counted *)(tally->heap + tally->used);
    memset(counted, 0, needed);
    counted->report = report;
    counted->size = (uint32_t)size;
    memcpy(counted->text, text, size);
    tally->used += needed;
    tally->held++;
    return counted;
}

/* What is counted of a text, after which SPARE bytes may be read; NULL when there is no memory. */
static Counted *tally_at(Tally *tally, uint32_t report, const char *text, size_t size) {
    if (tally->slots == NULL || 2 * (size_t)tally->held > tally->slots_mask) {
        if (!tally_grow(tally)) {
            return NULL;
        }
    }
    uint64_t hash = hash_of(tally, report, text, size) & UINT32_MAX, entry;
    size_t slot = hash;
    for (; (entry = tally->slots[slot & tally->slots_mask]) != 0; slot++) {
        Counted *counted = (Counted *)(tally->heap + (size_t)((uint32_t)entry - 1) * UNIT);
        if (entry >> 32 == hash && counted->report == report && counted->size == size && same_text(counted->text, text, size)) {
            return counted;
        }
    }
    Counted *counted = tally_hold(tally, report, text, size);
    if (counted != NULL) {
        tally->slots[slot & tally->slots_mask] = hash << 32 | ((size_t)((char *)counted - tally->heap) / UNIT + 1);
    }
    return counted;
}

static void total_add(Total *total, uint64_t events, uint64_t low, uint64_t high) {
    total->events += events;
    total->low += low;
    total->high += high + (total->low < low);
}

/* Room for a text in the scratch; NULL when there is no memory. */
static char *scratch_for(Tally *tally, size_t size) {
    if (tally->scratch == NULL || tally->scratch_size < size + SPARE) {
        char *scratch = realloc(tally->scratch, 2 * size + SPARE + 64);
        if (scratch == NULL) {
            return NULL;
        }
        tally->scratch = scratch;
        tally->scratch_size = 2 * size + SPARE + 64;
        memset(scratch, 0, tally->scratch_size);
    }
    return tally->scratch;
}

static Status count_event(Tally *tally, const Recounted *report, uint32_t number, const Text *texts, int64_t amount) {
    size_t size = report->prefix.size + report->by_count;
    for (size_t i = 0; i < report->by_count; i++) {
        size += texts[report->by[i]].size;
    }
    char *text = scratch_for(tally, size);
    if (text == NULL) {
        return NO_MEMORY;
    }
    memcpy(text, report->prefix.text, report->prefix.size);
    char *out = text + report->prefix.size;
    for (size_t i = 0; i < report->by_count; i++) {
        if (i > 0) {
            *out++ = '|';
        }
        const Text *part = &texts[report->by[i]];
        memcpy(out, part->text, part->size);
        out += part->size;
    }
    Counted *counted = tally_at(tally, number, text, (size_t)(out - text));
    if (counted == NULL) {
        return NO_MEMORY;
    }
    total_add(&counted->totals[TALLY_RECOUNTED], 1, (uint64_t)amount, amount < 0 ? UINT64_MAX : 0);
    return DONE;
}

Status tally_count(Tally *tally, const Spelling *spellings, size_t spellings_count, const Recounted *reports,
                   size_t reports_count, const uint8_t *wanted, const RecountEvents *events) {
    Text *texts = malloc((spellings_count + 1) * sizeof *texts);
    char *rooms = malloc((spellings_count + 1) * SPELLING_ROOM);
    Status status = texts == NULL || rooms == NULL ? NO_MEMORY : DONE;
    for (size_t at = 0; status == DONE && at < events->count; at++) {
        for (size_t i = 0; i < spellings_count; i++) {
            texts[i] = spell(&spellings[i], events, at, rooms + i * SPELLING_ROOM);
        }
        for (size_t i = 0; status == DONE && i < reports_count; i++) {
            if (wanted[i] && is_counted(&reports[i], texts)) {
                status = count_event(tally, &reports[i], (uint32_t)i, texts, events->amounts[at]);
            }
        }
    }
    free(texts);
    free(rooms);
    return status;
}

Status tally_add(Tally *tally, int side, uint32_t report, const StringColumn *pieces, size_t pieces_count, size_t count,
                 const uint64_t *events, const uint64_t *lows, const uint64_t *highs) {
    for (size_t row = 0; row < count; row++) {
        uint64_t low = lows == NULL ? 0 : lows[row], high = highs == NULL ? 0 : highs[row];
        if ((events[row] | low | high) == 0) {
            continue;
        }
        size_t size = 0;
        for (size_t i = 0; i < pieces_count; i++) {
            uint32_t index = pieces[i].indexes[row];
            size += pieces[i].ends[index] - (index == 0 ? 0 : pieces[i].ends[index - 1]);
        }
        char *text = scratch_for(tally, size), *out = text;
        for (size_t i = 0; text != NULL && i < pieces_count; i++) {
            uint32_t index = pieces[i].indexes[row], start = index == 0 ? 0 : pieces[i].ends[index - 1];
            memcpy(out, pieces[i].heap + start, pieces[i].ends[index] - start);
            out += pieces[i].ends[index] - start;
        }
        Counted *counted = text == NULL ? NULL : tally_at(tally, report, text, size);
        if (counted == NULL) {
            return NO_MEMORY;
        }
        total_add(&counted->totals[side], events[row], low, high);
    }
    return DONE;
}

/* What is held as records, parted by the hash: which are few bits above those that the table needs. */

static size_t part_of(const Tally *tally, const Counted *counted, size_t parts, int level) {
    uint64_t hash = hash_of(tally, counted->report, counted->text, counted->size);
    return (size_t)(mix(hash + (uint64_t)level, UINT64_C(0x9E3779B97F4A7C15)) % parts);
}

static size_t record_size(const Counted *counted) { return sizeof(Counted) + counted->size; }

void tally_measure(const Tally *tally, size_t parts, int level, size_t *sizes) {
    memset(sizes, 0, parts * sizeof *sizes);
    for (const Counted *counted = NULL; (counted = tally_next(tally, counted)) != NULL;) {
        sizes[part_of(tally, counted, parts, level)] += record_size(counted);
    }
}

void tally_write(const Tally *tally, size_t parts, int level, char **outs) {
    for (const Counted *counted = NULL; (counted = tally_next(tally, counted)) != NULL;) {
        size_t part = part_of(tally, counted, parts, level), size = record_size(counted);
        memcpy(outs[part], counted, size);
        outs[part] += size;
    }
}

Status tally_load(Tally *tally, size_t reports_count, const char *records, size_t size) {
    for (size_t at = 0; at < size;) {
        Counted counted;
        if (size - at < sizeof counted) {
            return INVALID;
        }
        memcpy(&counted, records + at, sizeof counted);
        at += sizeof counted;
        if (size - at < counted.size || counted.report >= reports_count) {
            return INVALID;
        }
        char *text = scratch_for(tally, counted.size);
        if (text == NULL) {
            return NO_MEMORY;
        }
        memcpy(text, records + at, counted.size);
        at += counted.size;
        Counted *held = tally_at(tally, counted.report, text, counted.size);
        if (held == NULL) {
            return NO_MEMORY;
        }
        for (int side = 0; side < 2; side++) {
            const Total *total = &counted.totals[side];
            total_add(&held->totals[side], total->events, total->low, total->high);
        }
    }
    return DONE;
}

static bool differs(const Counted *counted, const uint8_t *amounts) {
    const Total *one = &counted->totals[TALLY_RECOUNTED], *other = &counted->totals[TALLY_STORED];
    return one->events != other->events || (amounts[counted->report] && (one->low != other->low || one->high != other->high));
}

static int compare_counted(const void *one, const void *other) {
    const Counted *a = *(Counted *const *)one, *b = *(Counted *const *)other;
    if (a->report != b->report) {
        return a->report < b->report ? -1 : 1;
    }
    Text text = {a->text, a->size}, other_text = {b->text, b->size};
    return compare_texts(&text, &other_text);
}

Status tally_differing(const Tally *tally, const uint8_t *amounts, size_t *datapoints, Counted ***found, size_t *count) {
    size_t differing = 0;
    *datapoints = 0;
    for (Counted *counted = NULL; (counted = tally_next(tally, counted)) != NULL;) {
        *datapoints += counted->totals[TALLY_RECOUNTED].events != 0;
        differing += differs(counted, amounts);
    }
    *found = malloc(differing * sizeof **found + 8);
    if (*found == NULL) {
        return NO_MEMORY;
    }
    *count = 0;
    for (Counted *counted = NULL; (counted = tally_next(tally, counted)) != NULL;) {
        if (differs(counted, amounts)) {
            (*found)[(*count)++] = counted;
        }
    }
    qsort(*found, *count, sizeof **found, compare_counted);
    return DONE;
}
