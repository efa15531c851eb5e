/* Columns to rows of text: what an export writes. Twins of tillroll.core.rows. */
#include "kernel.h"

#define INSTANT_BYTES 20 /* YYYY-MM-DDThh:mm:ssZ */
/* Of several callers, one of which is a loop over rows: called there, names would cost it 6 %. */
#define INLINED __attribute__((always_inline)) static inline

static inline uint32_t start_of(const uint32_t *ends, size_t index) { return index == 0 ? 0 : ends[index - 1]; }

static const char two_digits[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748"
                                 "49505152535455565758596061626364656667686970717273747576777879808182838485868788899091929394959697"
                                 "9899";

static inline void put_two(unsigned number, char *out) { memcpy(out, two_digits + 2 * number, 2); }

static inline size_t digits_of(uint64_t number) {
    size_t digits = 1;
    for (; number >= 10000; number /= 10000) {
        digits += 4;
    }
    return digits + (number >= 10) + (number >= 100) + (number >= 1000);
}

static inline size_t put_number(uint64_t number, char *out) {
    size_t digits = digits_of(number);
    char *at = out + digits;
    for (; number >= 100; number /= 100) {
        put_two((unsigned)(number % 100), at -= 2);
    }
    if (number >= 10) {
        put_two((unsigned)number, out);
    } else {
        *out = (char)('0' + number);
    }
    return digits;
}

static size_t put(const char *text, size_t length, char *out) {
    if (out != NULL && length != 0) {
        memcpy(out, text, length);
    }
    return length;
}

/* quoting */

static const char hexadecimal[] = "0123456789abcdef";

/* How a byte stands in JSON's text; `escape` has room for 6. */
static inline size_t escaped(unsigned char byte, char *escape) {
    static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* each byte, then what stands behind the backslash */
    const char *found = byte == 0 ? NULL : strchr(short_forms, byte);
    escape[0] = '\\';
    if (found != NULL) {
        escape[1] = found[1];
        return 2;
    }
    memcpy(escape + 1, "u00", 3);
    escape[4] = hexadecimal[byte >> 4];
    escape[5] = hexadecimal[byte & 15];
    return 6;
}

#define ONES UINT64_C(0x0101010101010101) /* in each of eight bytes */

/* The top bit of each byte that is this one; above the lowest there may be false ones. */
static inline uint64_t bytes_that_are(uint64_t bytes, char byte) {
    uint64_t other = bytes ^ ONES * (unsigned char)byte;
    return (other - ONES) & ~other & ONES << 7;
}

/* Where the first byte stands, from a place on, that JSON escapes; `length` when there is none. */
static size_t escaped_at(const char *text, size_t at, size_t length) {
    for (; at + 8 <= length; at += 8) {
        uint64_t bytes = load64(text + at), control = (bytes - ONES * 0x20) & ~bytes & ONES << 7;
        if (control | bytes_that_are(bytes, '"') | bytes_that_are(bytes, '\\')) {
            break;
        }
    }
    while (at < length && (unsigned char)text[at] >= 0x20 && text[at] != '"' && text[at] != '\\') {
        at++;
    }
    return at;
}

static size_t put_json(const char *text, size_t length, char *out) {
    size_t used = put("\"", 1, out), plain = 0;
    for (size_t at; (at = escaped_at(text, plain, length)) < length; plain = at + 1) {
        char escape[6];
        used += put(text + plain, at - plain, out == NULL ? NULL : out + used);
        used += put(escape, escaped((unsigned char)text[at], escape), out == NULL ? NULL : out + used);
    }
    used += put(text + plain, length - plain, out == NULL ? NULL : out + used);
    return used + put("\"", 1, out == NULL ? NULL : out + used);
}

static bool is_quoted(const char *text, size_t length) {
    size_t at = 0;
    for (; at + 8 <= length; at += 8) {
        uint64_t bytes = load64(text + at);
        if (bytes_that_are(bytes, ',') | bytes_that_are(bytes, '"') | bytes_that_are(bytes, '\n') |
            bytes_that_are(bytes, '\r')) {
            return true;
        }
    }
    for (; at < length; at++) {
        if (text[at] == ',' || text[at] == '"' || text[at] == '\n' || text[at] == '\r') {
            return true;
        }
    }
    return false;
}

static size_t put_csv(const char *text, size_t length, char *out) {
    if (!is_quoted(text, length)) {
        return put(text, length, out);
    }
    size_t used = put("\"", 1, out);
    for (size_t i = 0; i < length; i++) {
        used += put("\"", text[i] == '"', out == NULL ? NULL : out + used);
        used += put(text + i, 1, out == NULL ? NULL : out + used);
    }
    return used + put("\"", 1, out == NULL ? NULL : out + used);
}

size_t quote(const uint32_t *ends, size_t count, const char *heap, bool csv, uint32_t *quoted_ends, char *quoted) {
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        const char *text = heap + start_of(ends, i);
        size_t length = ends[i] - start_of(ends, i);
        char *out = quoted == NULL ? NULL : quoted + used;
        if (length != 0) { /* nothing stays nothing: it stands for what is not there */
            used += csv ? put_csv(text, length, out) : put_json(text, length, out);
        }
        if (quoted_ends != NULL) {
            quoted_ends[i] = (uint32_t)used;
        }
    }
    return used;
}

/* rows */

/* The day of the proleptic Gregorian calendar, as YYYY-MM-DD; after Howard Hinnant's civil_from_days. */
static void put_day(int64_t day, char *out) {
    int64_t shifted = day + 719468, era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    unsigned of_era = (unsigned)(shifted - era * 146097);
    unsigned year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned shifted_month = (5 * of_year + 2) / 153, month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
    unsigned year = (unsigned)((int64_t)year_of_era + era * 400 + (month <= 2));
    put_two(year / 100, out);
    put_two(year % 100, out + 2);
    out[4] = out[7] = '-';
    put_two(month, out + 5);
    put_two(of_year - (153 * shifted_month + 2) / 5 + 1, out + 8);
}

static int fraction_digits(uint32_t nanos) {
    int digits = nanos == 0 ? 0 : 9;
    for (; digits != 0 && nanos % 10 == 0; nanos /= 10) {
        digits--;
    }
    return digits;
}

/* The minute of the last instant, which is mostly that of the next. */
typedef struct {
    int64_t start;
    char text[17]; /* YYYY-MM-DDThh:mm: */
} Minute;

static void minute_of(int64_t seconds, Minute *minute) {
    int64_t day = seconds / 86400 - (seconds % 86400 < 0);
    unsigned of_day = (unsigned)(seconds - day * 86400) / 60;
    minute->start = day * 86400 + of_day * 60;
    put_day(day, minute->text);
    minute->text[10] = 'T';
    put_two(of_day / 60, minute->text + 11);
    put_two(of_day % 60, minute->text + 14);
    minute->text[13] = minute->text[16] = ':';
}

static inline char *put_instant(int64_t seconds, uint32_t nanos, Minute *last, char *out) {
    if (seconds < last->start || seconds - last->start >= 60) {
        minute_of(seconds, last);
    }
    memcpy(out, last->text, sizeof last->text);
    put_two((unsigned)(seconds - last->start), out + 17);
    out += INSTANT_BYTES - 1;
    if (nanos != 0) {
        int digits = fraction_digits(nanos);
        *out = '.';
        for (int i = 9; i > digits; i--) {
            nanos /= 10;
        }
        for (int i = digits; i > 0; i--, nanos /= 10) {
            out[i] = (char)('0' + nanos % 10);
        }
        out += 1 + digits;
    }
    *out = 'Z';
    return out + 1;
}

/* A text, and whether what stands behind it may be read. */
typedef struct {
    const char *text;
    size_t length;
    bool is_padded; /* by ROW_PADDING bytes */
} Cell;

static inline Cell string_at(const RowPart *part, size_t at) {
    uint32_t start = start_of(part->ends, at), end = part->ends[at];
    return (Cell){part->heap + start, end - start, (size_t)start + ROW_PADDING <= part->heap_size};
}

static inline size_t code_at(const RowPart *part, size_t row) {
    return part->width == 1 ? ((const uint8_t *)part->values)[row] : ((const uint32_t *)part->values)[row];
}

/* Copies of one size take no call; what they write too much is written over, or there is room for it. */
static inline char *put_text(Cell text, char *out, const char *end) {
    if (text.length <= ROW_PADDING && text.is_padded && end - out >= ROW_PADDING) {
        memcpy(out, text.text, 16);
        if (text.length > 16) {
            memcpy(out + 16, text.text + 16, ROW_PADDING - 16);
        }
    } else {
        memcpy(out, text.text, text.length);
    }
    return out + text.length;
}

/* The name of the next row: what its source is, its position unless it has an id, and the source's value or that id. */
typedef struct {
    const char *kind;
    size_t kind_size, digits; /* no digit where there is no position */
    uint64_t position;
    Cell value;
    bool is_quoted;
} RowName;

/* The length of the name, 0 where there is none. */
INLINED size_t name_at(const RowPart *part, size_t row, Run *run, RowName *name) {
    static const char *const kinds[] = {"", "id:", "key:", "message:", "file:"};
    static const uint8_t sizes[] = {0, 3, 4, 8, 5};
    const Named *named = &part->named;
    for (; row >= run->stop; run->index++) {
        run->stop += named->run_events[run->index];
    }
    size_t at = run->index - 1;
    int kind = named->run_kinds[at];
    uint32_t start = start_of(named->run_ends, at);
    name->value = (Cell){named->run_values + start, named->run_ends[at] - start, false};
    if (named->id_ends != NULL && named->id_ends[row] != (start = start_of(named->id_ends, row))) {
        kind = NAME_ID;
        name->value = (Cell){named->ids + start, named->id_ends[row] - start, (size_t)start + ROW_PADDING <= part->ids_size};
    }
    if (kind == NAME_NONE) {
        return 0;
    }
    name->kind = kinds[kind];
    name->kind_size = sizes[kind];
    name->position = named->positions[row];
    name->digits = kind == NAME_ID ? 0 : digits_of(name->position);
    name->is_quoted = name->value.length != 0 && name->value.text[0] == '"';
    return name->kind_size + name->digits + (name->digits != 0) + name->value.length;
}

/* The quote that a value begins with moves before the kind. */
INLINED char *put_row_name(const RowName *name, char *out, const char *end) {
    Cell value = name->value;
    if (name->is_quoted) {
        *out++ = '"';
        value.text++;
        value.length--;
        value.is_padded = false;
    }
    memcpy(out, name->kind, name->kind_size);
    out += name->kind_size;
    if (name->digits != 0) {
        out += put_number(name->position, out);
        *out++ = ':';
    }
    return put_text(value, out, end);
}

size_t name_texts(const Named *events, uint32_t *ends, char *heap) {
    RowPart part = {.named = *events}; /* nothing behind a text may be read */
    size_t used = 0;
    for (size_t row = 0; row < events->count; row++) {
        RowName name;
        size_t length = name_at(&part, row, &part.run, &name);
        if (heap != NULL) {
            if (length != 0) {
                name.is_quoted = false; /* a quote that it begins with is its own */
                put_row_name(&name, heap + used, heap + used + length);
            }
            ends[row] = (uint32_t)(used + length);
        }
        used += length;
    }
    return used;
}

/* How many bytes a part takes in some rows. */
static size_t part_size(const RowPart *part, size_t first, size_t stop) {
    size_t size = 0, left_out = 0;
    switch (part->kind) {
    case ROW_INSTANT:
        size = (stop - first) * INSTANT_BYTES;
        for (size_t row = first; row < stop; row++) {
            uint32_t nanos = ((const uint32_t *)part->nanos)[row];
            size += nanos == 0 ? 0 : (size_t)fraction_digits(nanos) + 1;
        }
        break;
    case ROW_NUMBER:
        for (size_t row = first; row < stop; row++) {
            size += digits_of((uint64_t)((const int64_t *)part->values)[row]);
        }
        break;
    case ROW_CHOICE:
    case ROW_TEXT:
        for (size_t row = first; row < stop; row++) {
            size_t length = string_at(part, part->kind == ROW_TEXT ? row : code_at(part, row)).length;
            size += length;
            left_out += length == 0;
        }
        break;
    case ROW_NAME: {
        Run run = part->run;
        RowName name;
        for (size_t row = first; row < stop; row++) {
            size_t length = name_at(part, row, &run, &name);
            size += length;
            left_out += length == 0;
        }
        break;
    }
    default:
        break;
    }
    return size + (stop - first - left_out) * part->before_size;
}

size_t rows_size(const RowPart *parts, size_t parts_count, size_t first, size_t stop) {
    size_t size = 0;
    for (size_t i = 0; i < parts_count; i++) {
        size += part_size(&parts[i], first, stop);
    }
    return size;
}

void format_rows(RowPart *parts, size_t parts_count, size_t first, size_t stop, char *out, size_t size) {
    const char *end = out + size;
    Minute minute = {.start = INT64_MAX};
    for (size_t row = first; row < stop; row++) {
        for (size_t i = 0; i < parts_count; i++) {
            RowPart *part = &parts[i];
            Cell before = {part->before, part->before_size, part->before_is_padded}, text;
            RowName name;
            switch (part->kind) {
            case ROW_INSTANT:
                out = put_text(before, out, end);
                out = put_instant(((const int64_t *)part->values)[row], ((const uint32_t *)part->nanos)[row], &minute, out);
                break;
            case ROW_NUMBER:
                out = put_text(before, out, end);
                out += put_number((uint64_t)((const int64_t *)part->values)[row], out);
                break;
            case ROW_CHOICE:
            case ROW_TEXT:
                text = string_at(part, part->kind == ROW_TEXT ? row : code_at(part, row));
                if (text.length != 0) {
                    out = put_text(text, put_text(before, out, end), end);
                }
                break;
            case ROW_NAME:
                if (name_at(part, row, &part->run, &name) != 0) {
                    out = put_row_name(&name, put_text(before, out, end), end);
                }
                break;
            default:
                out = put_text(before, out, end);
            }
        }
    }
}
