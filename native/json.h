/* JSON that is passed over: any value by RFC 8259's grammar, and nothing else.
 *
 * Each function takes where its text begins, of which a zero or a line feed follows, and PADDING bytes, and returns where
 * it stands then; NULL when the text is none, or the reference decoder shall say. `whole`: a line feed is a space.
 */
#ifndef TILLROLL_JSON_H
#define TILLROLL_JSON_H

#include "fields.h"

#define DEPTH_MAX 64 /* what is nested deeper is left to the reference decoder */

static inline const char *skip_space(const char *at, bool whole) {
    while (*at == ' ' || *at == '\t' || *at == '\r' || (whole && *at == '\n')) {
        at++;
    }
    return at;
}

/* How a string was written. */
typedef struct {
    bool escaped; /* there is a backslash in it */
    bool control; /* a control character from U+007F to U+009F stands in it */
} Written;

static inline bool is_continuation(char byte) { return ((unsigned char)byte & 0xC0) == 0x80; }

/* Pass over one character of several bytes. */
static inline const char *skip_character(const char *at) {
    unsigned first = (unsigned char)at[0], second = (unsigned char)at[1];
    if (!is_continuation(at[1]) || first < 0xC2) {
        return NULL;
    }
    if (first < 0xE0) {
        return at + 2;
    }
    if (!is_continuation(at[2])) {
        return NULL;
    }
    if (first < 0xF0) { /* neither longer than need be, nor half a surrogate pair */
        return (first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ? NULL : at + 3;
    }
    bool in_range = first < 0xF5 && !(first == 0xF0 && second < 0x90) && !(first == 0xF4 && second > 0x8F);
    return in_range && is_continuation(at[3]) ? at + 4 : NULL;
}

static inline bool is_hex(char character) {
    unsigned letter = (unsigned char)character | 0x20;
    return (unsigned char)(character - '0') < 10 || (letter >= 'a' && letter <= 'f');
}

static inline const char *skip_escape(const char *at) {
    switch (at[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return at + 2;
    case 'u':
        return is_hex(at[2]) && is_hex(at[3]) && is_hex(at[4]) && is_hex(at[5]) ? at + 6 : NULL;
    default:
        return NULL;
    }
}

/* Pass over what no plain string has in it. */
static const char *skip_odd(const char *at, Written *written) {
    while (at != NULL && *at != '"') {
        if (*at == '\\') {
            written->escaped = true;
            at = skip_escape(at);
        } else if ((unsigned char)*at >= 0x80) {
            written->control |= (unsigned char)at[0] == 0xC2 && (unsigned char)at[1] < 0xA0;
            at = skip_character(at);
        } else if (*at == 0x7F) {
            written->control = true;
            at++;
        } else {
            size_t plain = plain_length(at, LINE_BYTES_MAX);
            at = plain == 0 ? NULL : at + plain;
        }
    }
    return at;
}

/* Pass over a string after its quote; the result stands at the closing one. */
static inline const char *end_of_string(const char *at, Written *written) {
    *written = (Written){false, false};
    at += plain_length(at, LINE_BYTES_MAX);
    return *at == '"' ? at : skip_odd(at, written);
}

static inline const char *skip_string(const char *at) {
    Written written;
    at = end_of_string(at, &written);
    return at == NULL ? NULL : at + 1;
}

static inline bool is_decimal(char character) { return (unsigned char)(character - '0') < 10; }

static inline const char *skip_digits(const char *at) {
    while (is_decimal(*at)) {
        at++;
    }
    return at;
}

/* How a number was written: where its parts end. */
typedef struct {
    const char *digits, *whole, *end; /* the first digit, the end of the whole part, the end of the fraction */
} Number;

/* Pass over a number. */
static inline const char *skip_number(const char *at, Number *number) {
    at += *at == '-';
    number->digits = at;
    if (!is_decimal(*at)) {
        return NULL;
    }
    at = *at == '0' ? at + 1 : skip_digits(at);
    number->whole = at;
    if (*at == '.') {
        if (!is_decimal(at[1])) {
            return NULL;
        }
        at = skip_digits(at + 1);
    }
    number->end = at;
    if (*at == 'e' || *at == 'E') {
        at += at[1] == '+' || at[1] == '-' ? 2 : 1;
        return is_decimal(*at) ? skip_digits(at) : NULL;
    }
    return at;
}

static inline const char *skip_word(const char *at) {
    if (memcmp(at, "true", 4) == 0 || memcmp(at, "null", 4) == 0) {
        return at + 4;
    }
    return memcmp(at, "false", 5) == 0 ? at + 5 : NULL;
}

static inline const char *skip_scalar(const char *at) {
    Number number;
    if (*at == '"') {
        return skip_string(at + 1);
    }
    return *at == '-' || is_decimal(*at) ? skip_number(at, &number) : skip_word(at);
}

/* Pass over a name and its colon; the result stands where its value begins. */
static inline const char *skip_name(const char *at, bool whole) {
    if (*at != '"' || (at = skip_string(at + 1)) == NULL) {
        return NULL;
    }
    at = skip_space(at, whole);
    return *at == ':' ? skip_space(at + 1, whole) : NULL;
}

/* Pass over an array or an object. */
static const char *skip_nested(const char *at, bool whole) {
    uint64_t objects = 0; /* a bit for each bracket that is open, the innermost lowest */
    int depth = 0;
    for (;;) {
        if (*at == '{' || *at == '[') { /* a value is due */
            bool is_object = *at == '{';
            if (depth++ == DEPTH_MAX) {
                return NULL;
            }
            objects = objects << 1 | is_object;
            at = skip_space(at + 1, whole);
            if (*at != (is_object ? '}' : ']')) {
                if (is_object && (at = skip_name(at, whole)) == NULL) {
                    return NULL;
                }
                continue;
            }
        } else {
            if ((at = skip_scalar(at)) == NULL) {
                return NULL;
            }
            at = skip_space(at, whole);
        }
        while (*at == ((objects & 1) != 0 ? '}' : ']')) { /* a value has ended */
            objects >>= 1;
            if (--depth == 0) {
                return at + 1;
            }
            at = skip_space(at + 1, whole);
        }
        if (*at != ',') {
            return NULL;
        }
        at = skip_space(at + 1, whole);
        if ((objects & 1) != 0 && (at = skip_name(at, whole)) == NULL) {
            return NULL;
        }
    }
}

static inline const char *skip_value(const char *at, bool whole) {
    return *at == '{' || *at == '[' ? skip_nested(at, whole) : skip_scalar(at);
}

#endif
