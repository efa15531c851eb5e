/* Columns to rows of text: what an export writes. Twins of tillroll.core.rows. */
#include "kernel.h"

#define INSTANT_BYTES 20 /* YYYY-MM-DDThh:mm:ssZ */

static inline uint32_t start_of(const uint32_t *ends, size_t index) { return index == 0 ? 0 : ends[index - 1]; }

/* names */

static const char *const kind_text[] = {"", "id:", "key:", "message:", "file:"};

static size_t put_number(uint64_t number, char *out) {
    char digits[20];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    if (out != NULL) {
        for (size_t i = 0; i < count; i++) {
            out[i] = digits[count - 1 - i];
        }
    }
    return count;
}

static size_t put(const char *text, size_t length, char *out) {
    if (out != NULL && length != 0) {
        memcpy(out, text, length);
    }
    return length;
}

static size_t put_name(uint8_t kind, uint64_t position, const char *value, size_t length, char *out) {
    if (kind == 0) {
        return 0;
    }
    size_t used = put(kind_text[kind], strlen(kind_text[kind]), out);
    if (kind != NAME_ID) {
        used += put_number(position, out == NULL ? NULL : out + used);
        used += put(":", 1, out == NULL ? NULL : out + used);
    }
    return used + put(value, length, out == NULL ? NULL : out + used);
}

size_t name_texts(const Named *events, uint32_t *ends, char *heap) {
    size_t used = 0, index = 0;
    for (size_t run = 0; run < events->runs; run++) {
        uint32_t start = start_of(events->run_ends, run);
        const char *value = events->run_values + start;
        size_t length = events->run_ends[run] - start;
        for (uint64_t i = 0; i < events->run_events[run]; i++, index++) {
            char *out = heap == NULL ? NULL : heap + used;
            uint32_t id = events->id_ends == NULL ? 0 : start_of(events->id_ends, index);
            uint32_t id_length = events->id_ends == NULL ? 0 : events->id_ends[index] - id;
            if (id_length != 0) {
                used += put_name(NAME_ID, 0, events->ids + id, id_length, out);
            } else {
                used += put_name(events->run_kinds[run], events->positions[index], value, length, out);
            }
            if (ends != NULL) {
                ends[index] = (uint32_t)used;
            }
        }
    }
    return used;
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

static void put_two(unsigned number, char *out) {
    out[0] = (char)('0' + number / 10);
    out[1] = (char)('0' + number % 10);
}

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

/* What the last instant was: mostly of the same day as the next. */
typedef struct {
    int64_t day;
    char text[10];
} Day;

static size_t put_instant(int64_t seconds, uint32_t nanos, Day *last, char *out) {
    int digits = fraction_digits(nanos);
    size_t size = INSTANT_BYTES + (size_t)(digits == 0 ? 0 : digits + 1);
    int64_t day = seconds / 86400 - (seconds % 86400 < 0);
    unsigned second = (unsigned)(seconds - day * 86400);
    if (day != last->day) {
        last->day = day;
        put_day(day, last->text);
    }
    memcpy(out, last->text, sizeof last->text);
    out[10] = 'T';
    put_two(second / 3600, out + 11);
    out[13] = out[16] = ':';
    put_two(second / 60 % 60, out + 14);
    put_two(second % 60, out + 17);
    if (digits != 0) {
        out[19] = '.';
        for (int i = 9; i > digits; i--) {
            nanos /= 10;
        }
        for (int i = digits; i > 0; i--, nanos /= 10) {
            out[19 + i] = (char)('0' + nanos % 10);
        }
    }
    out[size - 1] = 'Z';
    return size;
}

static int digits_of(uint64_t number) {
    int digits = 1;
    for (; number >= 10000; number /= 10000) {
        digits += 4;
    }
    return digits + (number >= 10) + (number >= 100) + (number >= 1000);
}

/* How many bytes a part takes in all rows. */
static size_t part_size(const RowPart *part, size_t rows) {
    size_t size = part->kind == ROW_CHOICE ? 0 : rows * part->before_size;
    const int64_t *numbers = part->values;
    const uint32_t *nanos = part->nanos;
    switch (part->kind) {
    case ROW_INSTANT:
        size += rows * INSTANT_BYTES;
        for (size_t row = 0; row < rows; row++) {
            size += nanos[row] == 0 ? 0 : (size_t)fraction_digits(nanos[row]) + 1;
        }
        break;
    case ROW_NUMBER:
        for (size_t row = 0; row < rows; row++) {
            size += (size_t)digits_of((uint64_t)numbers[row]);
        }
        break;
    case ROW_CHOICE:
        for (size_t row = 0; row < rows; row++) {
            size_t at = part->width == 1 ? ((const uint8_t *)part->values)[row] : ((const uint32_t *)part->values)[row];
            size_t length = part->ends[at] - start_of(part->ends, at);
            size += length == 0 ? 0 : length + part->before_size;
        }
        break;
    case ROW_TEXT:
        for (size_t row = 0; row < rows; row++) {
            size -= part->ends[row] == start_of(part->ends, row) ? part->before_size : 0;
        }
        size += rows == 0 ? 0 : part->ends[rows - 1];
        break;
    default:
        break;
    }
    return size;
}

size_t rows_size(const RowPart *parts, size_t parts_count, size_t rows) {
    size_t size = 0;
    for (size_t i = 0; i < parts_count; i++) {
        size += part_size(&parts[i], rows);
    }
    return size;
}

static inline char *put_value(const RowPart *part, size_t row, Day *day, char *out) {
    size_t at;
    switch (part->kind) {
    case ROW_INSTANT:
        return out + put_instant(((const int64_t *)part->values)[row], ((const uint32_t *)part->nanos)[row], day, out);
    case ROW_NUMBER:
        return out + put_number((uint64_t)((const int64_t *)part->values)[row], out);
    case ROW_CHOICE:
        at = part->width == 1 ? ((const uint8_t *)part->values)[row] : ((const uint32_t *)part->values)[row];
        break;
    default:
        at = row;
    }
    uint32_t start = start_of(part->ends, at);
    memcpy(out, part->heap + start, part->ends[at] - start);
    return out + (part->ends[at] - start);
}

void format_rows(const RowPart *parts, size_t parts_count, size_t rows, char *out) {
    Day day = {.day = INT64_MIN};
    for (size_t row = 0; row < rows; row++) {
        for (size_t i = 0; i < parts_count; i++) {
            const RowPart *part = &parts[i];
            char *value = out + part->before_size;
            char *end = part->kind == ROW_LITERAL ? value : put_value(part, row, &day, value);
            if (end == value && part->kind != ROW_LITERAL) {
                continue;
            }
            memcpy(out, part->before, part->before_size);
            out = end;
        }
    }
}
