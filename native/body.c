/* A body to the places of its events: the twin of tillroll.core.body, where it is described. */
#include "kernel.h"

#include <stdlib.h>

#define BACK_BYTES (UINT64_C(1) << 16)
#define SEPARATOR 0x1E
#define GLANCE_BYTES 4096

typedef enum { COMMA, CLOSED, BROKEN_OFF, WHOLE, UNCLOSED, REST, UNCERTAIN } How;

/* How an event ends, where, where what follows begins, and how many bytes of it are read again then. */
typedef struct {
    How how;
    size_t end, then;
    uint64_t again;
} Ending;

/* The scan of one event. */
typedef struct {
    const char *data;
    size_t size, start, at;
    bool in_array, final;
    uint64_t credit;
    size_t depth;
    bool due, fresh;
    size_t object_end, inner; /* SIZE_MAX for none */
} Scan;

typedef struct {
    const char *data;
    size_t size, at, most;
    bool final;
    PartState *state;
    Places *places;
    size_t record_end; /* of the record of a sequence in which the next text begins */
} Parting;

#define NONE SIZE_MAX

static bool is_space(char byte) { return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n'; }

static bool is_mark(const char *data, size_t size, size_t at) {
    return size - at >= 3 && memcmp(data + at, "\xEF\xBB\xBF", 3) == 0;
}

static size_t find(const char *data, size_t at, size_t size, char byte) {
    const char *found = at < size ? memchr(data + at, byte, size - at) : NULL;
    return found == NULL ? size : (size_t)(found - data);
}

static Ending ending(How how, size_t end, size_t then) { return (Ending){how, end, then, 0}; }

/* Break off at the first object that began a line, if reading again what was read up to `to` is paid for; else `other`. */
static Ending go_back(const Scan *scan, size_t to, Ending other) {
    if (scan->inner == NONE || to - scan->inner > scan->credit + scan->inner) {
        return other;
    }
    return (Ending){BROKEN_OFF, scan->inner, scan->inner, to - scan->inner};
}

static Ending rest(const Scan *scan) { return go_back(scan, scan->size, ending(REST, scan->size, scan->size)); }

static Ending uncertain(const Scan *scan) { return ending(UNCERTAIN, scan->size, scan->size); }

static void step(Scan *scan, size_t at, bool due) {
    scan->at = at;
    scan->due = due;
    scan->fresh = false;
    scan->object_end = NONE;
}

/* Pass over a string; true when that ends the event. */
static bool take_string(Scan *scan, Ending *found) {
    const char *data = scan->data;
    size_t at = scan->at + 1, size = scan->size, feed = NONE;
    for (; at < size && data[at] != '"'; at++) {
        at += data[at] == '\\' && at + 1 < size; /* whatever it escapes */
        feed = data[at] == '\n' && feed == NONE ? at : feed;
    }
    bool is_cut = at >= size;
    size_t end = is_cut ? size : at + 1;
    if ((is_cut || (feed != NONE && end == size)) && !scan->final) {
        *found = uncertain(scan);
        return true;
    }
    if (feed != NONE && (end == size || memchr(",:}] \t\r\n", data[end], 8) == NULL)) {
        step(scan, feed, false);
        return false;
    }
    if (is_cut) {
        *found = rest(scan);
        return true;
    }
    step(scan, end, false);
    return false;
}

static Status push(Places *places, size_t depth, char bracket) {
    if (depth == places->open_size) {
        size_t size = depth == 0 ? 256 : depth * 2;
        char *open = realloc(places->open, size);
        if (open == NULL) {
            return NO_MEMORY;
        }
        places->open = open;
        places->open_size = size;
    }
    places->open[depth] = bracket;
    return DONE;
}

/* A bracket opens: true when the event was over before. */
static bool take_open(Scan *scan, char bracket, Ending *found) {
    size_t at = scan->at;
    if (bracket == '{' && at > scan->start) {
        if (scan->object_end != NONE && scan->depth == 0) { /* a comma is missing */
            *found = ending(BROKEN_OFF, scan->object_end, at);
            return true;
        }
        if (scan->fresh && !scan->due) {
            *found = go_back(scan, at, ending(BROKEN_OFF, at, at));
            return true;
        }
        if (scan->fresh && scan->inner == NONE) {
            scan->inner = at;
        }
    }
    return false;
}

/* Where events go on after brackets that do not match: at the next object that begins a line. */
static Ending resume(const Scan *scan) {
    const char *data = scan->data;
    size_t at = scan->at, size = scan->size;
    while ((at = find(data, at, size, '\n')) < size) {
        while (at < size && (is_space(data[at]) || is_mark(data, size, at))) {
            at += is_space(data[at]) ? 1 : 3;
        }
        if (at < size && data[at] == '{') {
            return go_back(scan, at, ending(BROKEN_OFF, at, at));
        }
    }
    return scan->final ? rest(scan) : uncertain(scan);
}

/* A bracket closes: true when that ends the event. */
static bool take_close(Scan *scan, const char *open, char bracket, Ending *found) {
    if (scan->depth == 0 && bracket == ']') {
        *found = ending(CLOSED, scan->at, scan->at + 1);
        return true;
    }
    char opened = bracket == ']' ? '[' : '{';
    if (scan->depth == 0 || open[scan->depth - 1] != opened) {
        *found = resume(scan);
        return true;
    }
    scan->depth--;
    step(scan, scan->at + 1, false);
    if (scan->depth == 0 && !scan->in_array) {
        *found = ending(WHOLE, scan->at, scan->at);
        return true;
    }
    if (scan->depth == 0 && opened == '{') {
        scan->object_end = scan->at;
    }
    return false;
}

static bool is_other(char byte) {
    switch (byte) {
    case '"': case '[': case ']': case '{': case '}': case ',': case ':':
        return false;
    default:
        return !is_space(byte);
    }
}

static size_t skip_other(const char *data, size_t at, size_t size) {
    while (at < size && is_other(data[at])) {
        bool escapes = data[at] == '\\' && at + 1 < size && (data[at + 1] == '"' || data[at + 1] == '\\');
        at += escapes ? 2 : 1; /* an escaped quote begins no string here either */
    }
    return at;
}

/* Scan one event. */
static Status scan_event(Scan *scan, Places *places, Ending *found) {
    const char *data = scan->data;
    while (scan->at < scan->size) {
        char byte = data[scan->at];
        bool over = false;
        if (is_space(byte)) {
            scan->fresh |= byte == '\n';
            scan->at++;
        } else if (byte == '\xEF' && scan->fresh && !scan->final && scan->size - scan->at < 3) {
            break;
        } else if (byte == '\xEF' && scan->fresh && is_mark(data, scan->size, scan->at)) {
            scan->at += 3;
        } else if (byte == '"') {
            over = take_string(scan, found);
        } else if (byte == '{' || byte == '[') {
            over = take_open(scan, byte, found);
            if (!over) {
                if (push(places, scan->depth++, byte) != DONE) {
                    return NO_MEMORY;
                }
                step(scan, scan->at + 1, byte == '[');
            }
        } else if (byte == '}' || byte == ']') {
            over = take_close(scan, places->open, byte, found);
        } else if (byte == ',' && scan->depth == 0 && scan->in_array) {
            *found = ending(COMMA, scan->at, scan->at + 1);
            over = true;
        } else if (byte == ',' || byte == ':') {
            step(scan, scan->at + 1, byte == ':' || (scan->depth > 0 && places->open[scan->depth - 1] == '['));
        } else {
            step(scan, skip_other(data, scan->at, scan->size), false);
        }
        if (over) {
            return DONE;
        }
    }
    if (!scan->final) {
        *found = uncertain(scan);
    } else if (scan->in_array && scan->depth == 0) {
        *found = ending(UNCLOSED, scan->size, scan->size);
        *found = scan->object_end == NONE ? go_back(scan, scan->size, *found) : *found;
    } else {
        *found = rest(scan);
    }
    return DONE;
}

static Scan scan_from(const char *data, size_t size, size_t at) {
    return (Scan){.data = data, .size = size, .start = at, .at = at, .due = true, .object_end = NONE, .inner = NONE};
}

static size_t count_feeds(const char *data, size_t at, size_t end) {
    size_t count = 0;
    while ((at = find(data, at, end, '\n')) < end) {
        at++;
        count++;
    }
    return count;
}

static void skip_blank(Parting *parting) {
    const char *data = parting->data;
    PartState *state = parting->state;
    size_t at = parting->at, size = parting->size;
    while (at < size) {
        if (data[at] == '\n') {
            state->line++;
            state->fresh = true;
            at++;
        } else if (is_space(data[at])) {
            at++;
        } else if (state->fresh && is_mark(data, size, at)) {
            at += 3;
        } else if (data[at] == ',' && (state->mode == MODE_TEXTS || (state->mode == MODE_SEQUENCE && !state->fresh))) {
            at++;
        } else {
            break;
        }
    }
    parting->at = at;
}

static bool grow(uint64_t **array, size_t size) {
    uint64_t *grown = realloc(*array, size * sizeof **array);
    if (grown != NULL) {
        *array = grown;
    }
    return grown != NULL;
}

static Status add(Parting *parting, size_t start, size_t end, bool broken_off) {
    const char *data = parting->data;
    Places *places = parting->places;
    PartState *state = parting->state;
    if (places->count == places->size) {
        size_t size = places->size == 0 ? 64 : places->size * 2;
        if (!grow(&places->starts, size) || !grow(&places->ends, size) || !grow(&places->positions, size)) {
            return NO_MEMORY;
        }
        places->size = size;
    }
    while (end > start) {
        /* The marks of the line that begins the next. */
        bool mark = broken_off && end - start > 3 && is_mark(data, end, end - 3) && is_space(data[end - 4]);
        if (!mark && !is_space(data[end - 1])) {
            break;
        }
        end -= mark ? 3 : 1;
    }
    if ((state->mode == MODE_TOP || state->mode == MODE_TEXTS) && state->position < state->line) {
        state->position = state->line;
    }
    places->starts[places->count] = start;
    places->ends[places->count] = end;
    places->positions[places->count++] = state->position++;
    return DONE;
}

static void go_to(Parting *parting, size_t at, bool fresh) {
    parting->state->line += count_feeds(parting->data, parting->at, at);
    parting->at = at;
    parting->state->fresh = fresh;
}

/* Whether an array is but the first, bad line of lines: whole, without an object, and no array follows. */
static Status is_line(Parting *parting, bool *answer) {
    const char *data = parting->data;
    size_t at = parting->at, size = parting->size - at > LINE_BYTES_MAX ? at + LINE_BYTES_MAX : parting->size;
    size_t feed = find(data, at, size, '\n'), after = feed, end = feed;
    while (after < size && (is_space(data[after]) || is_mark(data, size, after))) {
        after += is_space(data[after]) ? 1 : 3;
    }
    *answer = false;
    if (after >= size || data[after] == '[' || find(data, at, feed, '{') < feed) {
        return DONE;
    }
    while (is_space(data[end - 1])) {
        end--;
    }
    Scan scan = scan_from(data, end, at);
    Ending found;
    scan.final = true;
    Status status = scan_event(&scan, parting->places, &found);
    *answer = status == DONE && found.how == WHOLE && found.end == end;
    return status;
}

/* Tell what the body begins as; stays at MODE_START when more of it is needed for that. */
static Status begin(Parting *parting) {
    char byte = parting->data[parting->at];
    PartState *state = parting->state;
    if (!parting->final && parting->size - parting->at < LINE_BYTES_MAX) {
        return DONE;
    }
    if (byte != '[') {
        state->mode = byte == SEPARATOR ? MODE_SEQUENCE : MODE_TOP;
        return DONE;
    }
    bool line;
    Status status = is_line(parting, &line);
    state->mode = line ? MODE_LINES : MODE_AFTER_ARRAY;
    return status;
}

/* How many bytes may be read again, less the place in the text where they begin. */
static uint64_t credit(const Parting *parting) { return BACK_BYTES + parting->state->byte - parting->state->spent; }

/* Scan the event that begins here, and see that going back in it is paid for. */
static Status scan_here(Parting *parting, bool in_array, Ending *found) {
    Scan scan = scan_from(parting->data, parting->size, parting->at);
    scan.in_array = in_array;
    scan.final = parting->final;
    scan.credit = credit(parting);
    Status status = scan_event(&scan, parting->places, found);
    parting->state->spent += status == DONE ? found->again : 0;
    return status;
}

static Status next_element(Parting *parting, bool *more) {
    PartState *state = parting->state;
    char byte = parting->data[parting->at];
    Status status = DONE;
    *more = true;
    if (byte == ',' || byte == ']') {
        if (byte == ',' || state->mode == MODE_OWED) {
            status = add(parting, parting->at, parting->at, false);
        }
        state->mode = byte == ',' ? MODE_OWED : MODE_AFTER_ARRAY;
        go_to(parting, parting->at + 1, false);
        return status;
    }
    Ending found;
    status = scan_here(parting, true, &found);
    *more = found.how != UNCERTAIN;
    if (status != DONE || !*more) {
        return status;
    }
    status = add(parting, parting->at, found.end, found.how == BROKEN_OFF);
    if (status != DONE) {
        return status;
    }
    go_to(parting, found.then, found.how == BROKEN_OFF);
    bool whole = parting->data[parting->places->ends[parting->places->count - 1] - 1] == '}';
    if (found.how == CLOSED || found.how == REST || (found.how == UNCLOSED && !whole)) {
        state->mode = MODE_AFTER_ARRAY;
    } else {
        state->mode = found.how == COMMA ? MODE_OWED : MODE_ELEMENT;
    }
    return DONE;
}

static Status add_lines(Parting *parting, size_t until) {
    Status status = DONE;
    skip_blank(parting);
    while (parting->at < until && status == DONE) {
        size_t end = find(parting->data, parting->at, until, '\n');
        status = add(parting, parting->at, end, false);
        go_to(parting, end, false);
        skip_blank(parting);
    }
    return status;
}

static size_t skip_in_line(const char *data, size_t at, size_t size) {
    while (at < size && is_space(data[at]) && data[at] != '\n') {
        at++;
    }
    return at;
}

/* What stands on a line behind an object and perhaps a comma. */
static size_t behind(const char *data, size_t at, size_t size) {
    at = skip_in_line(data, at, size);
    return at < size && data[at] == ',' ? skip_in_line(data, at + 1, size) : at;
}

static Status next_text(Parting *parting, bool *more) {
    const char *data = parting->data;
    PartState *state = parting->state;
    size_t start = parting->at;
    *more = true;
    if (data[start] != '{') {
        size_t end = find(data, start, parting->size, '\n');
        *more = end < parting->size || parting->final;
        Status status = *more ? add(parting, start, end, false) : DONE;
        if (*more) {
            go_to(parting, end, false);
        }
        return status;
    }
    Ending found, after;
    uint64_t spent = state->spent;
    Status status = scan_here(parting, false, &found);
    if (status != DONE) {
        return status;
    }
    bool in_line = find(data, start, found.end, '\n') == found.end;
    if (found.how == BROKEN_OFF && state->mode == MODE_TOP && !in_line) {
        Scan scan = scan_from(data, parting->size, found.then);
        scan.final = parting->final;
        scan.credit = credit(parting);
        status = scan_event(&scan, parting->places, &after);
        if (status != DONE) {
            return status;
        }
        bool line = after.how == WHOLE && find(data, found.then, after.end, '\n') == after.end;
        if (line || after.how == BROKEN_OFF) { /* then these are lines, each a bad one */
            return add_lines(parting, found.then);
        }
        found.how = after.how == UNCERTAIN ? UNCERTAIN : found.how;
    }
    if (found.how == WHOLE && state->mode == MODE_TOP && in_line && state->fresh) {
        size_t next = behind(data, found.end, parting->size);
        if (next == parting->size && !parting->final) {
            found.how = UNCERTAIN;
        } else if (next == parting->size || data[next] != '{') {
            state->mode = MODE_LINES;
            return DONE;
        }
    }
    if (found.how == UNCERTAIN) {
        state->spent = spent;
        *more = false;
        return DONE;
    }
    if (found.how == WHOLE && state->mode == MODE_TOP && (state->fresh || !in_line)) {
        state->mode = MODE_TEXTS;
    }
    status = add(parting, start, found.end, found.how == BROKEN_OFF);
    go_to(parting, found.then, found.how == BROKEN_OFF);
    return status;
}

/* Take the next text of a sequence, of which none reaches over a separator. */
static Status next_in_record(Parting *parting, bool *more) {
    size_t size = parting->size;
    bool final = parting->final;
    *more = true;
    if (parting->data[parting->at] == SEPARATOR) {
        go_to(parting, parting->at + 1, true);
        return DONE;
    }
    if (parting->record_end <= parting->at) {
        parting->record_end = find(parting->data, parting->at, size, SEPARATOR);
    }
    parting->size = parting->record_end;
    parting->final = final || parting->record_end < size;
    Status status = next_text(parting, more);
    parting->size = size;
    parting->final = final;
    return status;
}

/* Take the next event, or what is between two; `more` is false when more of the text is needed for that. */
static Status next(Parting *parting, bool *more) {
    PartState *state = parting->state;
    switch (state->mode) {
    case MODE_SEQUENCE:
        return next_in_record(parting, more);
    case MODE_ELEMENT:
    case MODE_OWED:
        return next_element(parting, more);
    case MODE_AFTER_ARRAY:
        *more = true;
        state->mode = parting->data[parting->at] == '[' ? MODE_ELEMENT : MODE_TOP;
        if (parting->data[parting->at] == ',') { /* it goes on: one bracket too many has closed it */
            state->mode = MODE_OWED;
        }
        if (state->mode != MODE_TOP) {
            go_to(parting, parting->at + 1, false);
        }
        return DONE;
    default:
        return next_text(parting, more);
    }
}

Status part(const char *data, size_t size, bool final, size_t most, PartState *state, Places *places, size_t *read) {
    Parting parting = {data, size, 0, most, final, state, places, 0};
    Status status = DONE;
    places->count = 0;
    while (status == DONE && state->mode != MODE_LINES) {
        skip_blank(&parting);
        if (parting.at == size) {
            if (final && (state->mode == MODE_ELEMENT || state->mode == MODE_OWED)) {
                status = add(&parting, size, size, false); /* the end of the array, and perhaps more, is missing */
                state->mode = MODE_AFTER_ARRAY;
            }
            break;
        }
        bool more = true;
        if (!final && state->fresh && size - parting.at < 3 && data[parting.at] == '\xEF') {
            break; /* perhaps the beginning of a mark */
        }
        if (state->mode == MODE_START) {
            status = begin(&parting);
            more = state->mode != MODE_START;
        } else if (places->count >= most) {
            break;
        } else {
            status = next(&parting, &more);
        }
        if (!more) {
            break;
        }
    }
    *read = parting.at;
    state->byte += parting.at;
    return status;
}

/* Whether a body may have more than `most` events, see core.body. Most bodies need not be read to their end for that. */
bool may_have_more(const char *data, size_t size, size_t most) {
    static const uint8_t parts[256] = {['\n'] = 1, [','] = 1, ['{'] = 1, [SEPARATOR] = 1};
    size_t events = 2, at = 0; /* what stands before the first of these bytes, and an array's missing end */
    while (events <= most && size - at > most - events) {
        size_t end = size - at > GLANCE_BYTES ? at + GLANCE_BYTES : size;
        size_t odd = 0;
        for (; end - at > 1; at += 2) { /* two sums at once */
            events += parts[(uint8_t)data[at]];
            odd += parts[(uint8_t)data[at + 1]];
        }
        events += odd;
        if (at < end) {
            events += parts[(uint8_t)data[at++]];
        }
    }
    return size > most && events > most;
}

void places_free(Places *places) {
    free(places->starts);
    free(places->ends);
    free(places->positions);
    free(places->open);
}
