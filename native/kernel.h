/* The compiled kernel without Python: plain C11 over columns in memory.
 *
 * The functions here are twins of tillroll.core.columns and tillroll.core.body, and of the part of tillroll.core.decode
 * that reads ordinary lines. src/tillroll/_kernel.c gives them to Python; tests/fuzz runs them bare under sanitizers.
 */
#ifndef TILLROLL_KERNEL_H
#define TILLROLL_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* These repeat tillroll.core.limits and tillroll.core.report. core.kernel leaves a kernel alone that says otherwise. */
#define AMOUNT_MAX INT64_C(1000000000000)
#define NAME_CHARACTERS_MAX 128
#define LINE_BYTES_MAX (1 << 20)
#define METHODS 3

#define UUID_TEXT 36
#define UUID_LENGTH 0xFFFF /* the stored length that marks a UUID packed into 16 bytes */

typedef enum { DONE = 0, NO_MEMORY, INVALID } Status;

static inline uint64_t load64(const void *at) { /* little-endian */
    uint64_t word;
    memcpy(&word, at, 8);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static inline uint32_t load32(const void *at) {
    uint32_t word;
    memcpy(&word, at, 4);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap32(word);
#endif
    return word;
}

static inline uint16_t load16(const void *at) {
    const unsigned char *bytes = at;
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

/* Both halves of a 128-bit product, folded: the mixing step of wyhash. */
static inline uint64_t mix(uint64_t a, uint64_t b) {
#if defined(__SIZEOF_INT128__)
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
#else
    uint64_t low = (a & 0xFFFFFFFF) * (b & 0xFFFFFFFF), high = (a >> 32) * (b >> 32);
    uint64_t middle = (a >> 32) * (b & 0xFFFFFFFF) ^ (a & 0xFFFFFFFF) * (b >> 32);
    return low ^ high ^ (middle << 32 | middle >> 32);
#endif
}

/* names.c: distinct names, each with a number in a batch by first appearance. */

#define NAME_NEW UINT32_MAX
#define NAME_NO_MEMORY (UINT32_MAX - 1)
#define NAME_UNIT 16 /* bytes in which the heap of names is counted */

typedef struct {
    uint32_t epoch, number; /* in the batch of that epoch */
    uint32_t length;
    char name[];
} Name;

typedef struct {
    uint64_t seed;
    uint64_t *slots; /* hash, then where the name is in the heap, in units, plus 1; 0 is free */
    size_t slots_mask;
    char *heap;
    size_t heap_used, heap_size;
    uint32_t held, epoch;
    uint32_t *batch; /* by number, where in the heap, in units */
    uint32_t batch_count, batch_size;
} Names;

void names_init(Names *names, uint64_t seed);
void names_free(Names *names);
void names_begin(Names *names); /* a new batch */
/* Hold a new name, which names.h has looked up, and return its number. */
uint32_t names_hold(Names *names, uint32_t hash, const char *text, size_t length);
uint32_t names_number(Names *names, Name *name, uint32_t unit); /* of a held name that the batch had not yet */
/* The names of the batch as a string column: the size of its heap, and the column itself. */
size_t names_size(const Names *names);
void names_write(const Names *names, uint32_t *ends, char *heap);
static inline Name *names_at(const Names *names, uint32_t number) {
    return (Name *)(names->heap + (size_t)names->batch[number] * NAME_UNIT);
}

/* kept.c: the fields to be kept of events, and their values. */

#define KEPT_AHEAD 33 /* events whose values are read before they are added */

/* A name that a field to be kept has, or an object on the way to one: in the object of an earlier one, 0 for the event. */
typedef struct {
    uint32_t parent;
    int32_t field; /* -1 for none */
    const char *name;
    size_t length;
} KeepName;

/* A number or a word, as it stands there; a text without an escape; one with a control character; what is not kept. */
enum { KEPT_TOKEN, KEPT_TEXT, KEPT_CONTROL, KEPT_NONE };

typedef struct {
    const char *text;
    uint16_t length, field;
    uint8_t kind;
} KeptValue;

/* A short value that was seen, whole: its first and its last eight bytes. */
typedef struct {
    uint64_t first, last;
    uint32_t epoch, number; /* in the batch of that epoch */
    uint16_t length, kind;
} KeptRecent;

#define KEPT_RECENT 64

typedef struct {
    Names names; /* the values, as they are spelled */
    KeptRecent *recent; /* KEPT_RECENT of them */
    uint32_t *indexes, *unkept;
    size_t size, filled, unkept_size, unkept_count;
    uint32_t absent; /* its number in the batch */
} KeptField;

typedef struct {
    uint64_t seen; /* the last object in which the name was found */
    size_t name, length;
    uint32_t parent;
    int32_t field;
    bool has_names;
} KeepNode;

typedef struct {
    KeptField *fields;
    size_t fields_count;
    KeepNode *nodes; /* the first is the event's object */
    char *names;
    uint32_t *slots;
    size_t slots_mask;
    uint64_t lengths; /* of names: a bit for each */
    uint64_t event;
    KeptValue *values; /* of each event that is read ahead, as many as there are fields */
} Keep;

/* Take names, each after the one in whose object it is. DONE or NO_MEMORY. The Keep is zeros before. */
Status keep_init(Keep *keep, uint64_t seed, const KeepName *names, size_t count, size_t fields);
void keep_free(Keep *keep);
void keep_begin(Keep *keep);               /* a new batch */
bool keep_end(Keep *keep, size_t count);   /* of so many events; a column that nothing was added to stays empty */
void keep_trim(Keep *keep, size_t most);   /* give back columns of more than so many */

/* dictionary.c: distinct names, numbered for good in the order they were added. */

/* What readers hold while they read without Python's lock: names are added behind it, and never moved under it. */
typedef struct {
    size_t users;
    char *heap;
    uint32_t *ends; /* of each name in the heap, after a 0: name n is from ends[n] to ends[n + 1] */
    uint64_t heap_size, ends_size;
} NameHeap;

typedef struct {
    uint64_t seed;
    uint64_t *slots; /* hash, then the number plus 1; 0 is free */
    size_t slots_mask;
    NameHeap *texts; /* NULL at first */
    uint32_t count;
} Dictionary;

void dictionary_init(Dictionary *dictionary, uint64_t seed);
void dictionary_free(Dictionary *dictionary);
void name_heap_release(NameHeap *texts);
/* The numbers of a string column's names, NAME_NEW for those that are not held. */
void dictionary_find_all(const Dictionary *dictionary, const uint32_t *ends, size_t count, const char *heap,
                         uint32_t *numbers);
Status dictionary_add_all(Dictionary *dictionary, const uint32_t *ends, size_t count, const char *heap);

/* cells.c: a segment's counters, each with a sum in two words, as columns that are as narrow as they fit. Cells are three
 * widths, of counts and of the low and the high words, of 0, 1, 2, 4 or 8 bytes, and the columns of these widths; or they
 * are empty, and all is 0. */

typedef struct {
    uint64_t *counts, *lows, *highs;
} Totals;

bool cells_fit(const unsigned char *cells, size_t length, size_t size);
void cells_read(const unsigned char *cells, size_t length, size_t size, const Totals *totals); /* of cells that fit */
size_t cells_size(const Totals *totals, size_t size, int widths[3]);
void cells_write(const Totals *totals, size_t size, const int widths[3], unsigned char *cells); /* that have a size */
bool totals_add_all(const Totals *totals, const Totals *added, size_t size); /* false when one is out of range */
static inline bool totals_add(const Totals *totals, size_t at, uint64_t count, uint64_t low, uint64_t high) {
    totals->counts[at] += count;
    totals->lows[at] += low;
    uint64_t carry = totals->lows[at] < low, all = high + carry;
    totals->highs[at] += all;
    return totals->counts[at] >= count && all >= high && totals->highs[at] >= all;
}

/* select.c: the first of many aggregates in an order. */

typedef enum { BY_DATAPOINT, BY_EVENTS, BY_AMOUNT } SelectionOrder; /* the latter two fall, ties are by datapoint */

typedef struct {
    uint32_t before, after; /* the sizes of what stands before and after the name */
    size_t start;           /* in the bytes of all labels */
} Label;

typedef struct {
    uint64_t count, low, high; /* the amount in two words */
    uint32_t number, label;
} Entry;

typedef struct {
    uint64_t low, high;
} Rank;

/* The aggregates of one kind: which codes of a merchant are added up, and their datapoint's text around the name. */
typedef struct {
    const char *before, *after; /* a zero byte stands for the window */
    size_t before_size, after_size;
    const uint32_t *inner; /* which of a merchant's codes */
    size_t inner_count;
    uint32_t label; /* in the window at hand; NO_LABEL until one is needed */
} Target;

#define NO_LABEL UINT32_MAX

typedef struct {
    uint64_t part;
    const unsigned char *cells;
    size_t length;
} Segment;

/* Single totals by code. */
typedef struct {
    const uint64_t *codes, *counts, *lows, *highs;
    size_t count;
} Loose;

typedef struct {
    bool by_merchant;    /* else all merchants are added up */
    SelectionOrder order;
    uint64_t size, step; /* codes of a part, and of a merchant */
    Target *targets;
    size_t targets_count;
    const uint32_t *wanted; /* merchants, rising; NULL for all */
    size_t wanted_count;
    bool has_after; /* only what comes after this */
    const char *after;
    size_t after_size;
    Rank after_rank;
    uint32_t known; /* merchants that have a name */

    Entry *entries; /* a heap, its root the last in the order */
    size_t used, limit;
    Label *labels;
    size_t labels_used, labels_size, labels_kept; /* so many were left when they were last cleared out */
    char *bytes;
    size_t bytes_used, bytes_size;
    Totals values, added; /* of one part: 0 unless `dirty` */
    bool dirty;
    Totals sums;         /* of each target, where merchants are not told apart */
    uint32_t *touched;   /* the merchants of a part that have any, where they are few */
    uint32_t *marks;     /* the epoch in which a merchant was touched */
    uint32_t epoch;
    size_t touched_count;
    char *last; /* the text of the last entry, for `Place` in select.c */
    size_t last_size;
    uint64_t datapoints, events, amount_low, amount_high;
    const NameHeap *texts; /* while it works */
} Selection;

/* Make room for a selection whose shape, targets and limit are set. */
bool selection_reserve(Selection *selection);
void selection_free(Selection *selection);
/* Take in a window's segments and single totals. `problem` says what was INVALID. */
Status selection_add(Selection *selection, const char *window, size_t window_size, const Segment *segments, size_t count,
                     const Loose *loose, const char **problem);
void selection_sort(Selection *selection);
size_t selection_text(const Selection *selection, const Entry *entry, char *text); /* NULL for the size alone */
/* Take in the names, of the first `known`, that are ASCII and contain a text, small letters meaning both; those that
 * begin with it are before the others. Returns how many are not ASCII, whose numbers go to `others`. */
Status selection_search(Selection *selection, const char *text, size_t size, uint32_t *others, size_t *others_count);

/* parse.c: lines to columns. */

typedef struct {
    uint64_t text, before, position, start, end; /* which text, how many sure events stand before it, where it is */
} Fallback;

/* A name of an object as it stood at its place in the last one, from its quote to its value. */
#define MEMBER_BYTES_MAX 32
typedef struct {
    uint64_t text[MEMBER_BYTES_MAX / 8], mask[MEMBER_BYTES_MAX / 8]; /* a mask of 0 is of no name */
    uint32_t length, parent, node; /* of its object, and its own */
    unsigned field;
} Member;

#define MEMBERS 24

typedef struct {
    int64_t *seconds, *amounts;
    uint32_t *nanos, *merchants, *id_ends;
    uint64_t *positions;
    uint8_t *methods;
    size_t count, size;
    bool plain;  /* no event has a member that is none of the contract's five, and none fell back */
    bool uneven; /* else positions count on from the first, and nanos and id_ends are 0, and none is written yet */
    uint64_t first_position;
    char *ids;
    size_t ids_used, ids_size;
    Fallback *fallback;
    size_t fallback_count, fallback_size, fallback_stop; /* lines are read until so many fell back */
    Names names;
    Keep keep;
    Member members[2 * MEMBERS]; /* of whole objects, and of what follows the ordinary beginning of one */
    char *scratch;
    size_t scratch_size;
    int64_t latest; /* the last second that is not too far in the future */
} Parser;

void parser_init(Parser *parser, uint64_t seed);
void parser_free(Parser *parser);
void parser_trim(Parser *parser); /* give back what a large batch took */
void parser_begin(Parser *parser); /* a new batch */
Status parser_end(Parser *parser); /* DONE or NO_MEMORY */
/* Append the events of one text: of its lines, or, when `whole`, of the one JSON text it is. DONE or NO_MEMORY. The
 * position goes on to that after the last line; the size falls to what was read when `fallback_stop` was reached. */
Status parser_add(Parser *parser, uint64_t text, const char *bytes, size_t *size, uint64_t *position, bool whole);

/* body.c: a body to the places of its events. */

enum { MODE_START, MODE_LINES, MODE_ELEMENT, MODE_OWED, MODE_AFTER_ARRAY, MODE_TOP, MODE_TEXTS, MODE_SEQUENCE, MODES };

typedef struct {
    int mode;
    bool fresh;
    uint64_t position, line, byte, spent;
} PartState;

typedef struct {
    uint64_t *starts, *ends, *positions;
    size_t count, size;
    char *open; /* the brackets that are open, while an event is scanned */
    size_t open_size;
} Places;

/* Find at most so many events from the beginning of a text on, up to where they are lines, and how much of it that is.
 * `final`: the body ends with it. DONE or NO_MEMORY. The caller frees the places. */
Status part(const char *data, size_t size, bool final, size_t most, PartState *state, Places *places, size_t *read);
void places_free(Places *places);
bool may_have_more(const char *data, size_t size, size_t most);

/* columns.c */

uint64_t largest_unsigned(const void *values, int width, size_t count);
void bounds_signed(const int64_t *values, size_t count, int64_t *least, int64_t *largest);
int width_for(uint64_t largest);
void narrow_signed(const int64_t *values, size_t count, int64_t base, int width, unsigned char *out);
void narrow_unsigned(const void *values, int from, size_t count, uint64_t base, int width, unsigned char *out);
void widen(const unsigned char *data, int width, size_t count, uint64_t base, int to, void *out);
void shuffle(const unsigned char *data, int width, size_t count, unsigned char *out);
void unshuffle(const unsigned char *data, int width, size_t count, unsigned char *out);
void pick(const void *values, int width, const uint32_t *indexes, size_t count, void *out);
#define SECONDS_LIMIT (INT64_C(1) << 40) /* far outside the years 1 to 9999 */
#define BOUNDS_MAX 255
/* The window of each second from the first window on, of a length and counted from 1970. */
void windows_of(const int64_t *seconds, size_t count, int64_t largest, int64_t first, uint32_t length, uint32_t *windows);
/* How many of rising bounds are not above each value. */
void bucketize(const int64_t *values, size_t count, const int64_t *bounds, size_t bounds_count, uint8_t *buckets);
/* Each value and the shift that is in force at it: the last whose start is not above it, or the first. */
void shift(const int64_t *values, size_t count, const int64_t *starts, const int64_t *shifts, size_t pieces, int64_t *out);
/* Whether the table says 1 for each code, which is below the table's length. */
void accepts(const void *codes, int width, size_t count, const uint8_t *table, uint8_t *mask);
uint64_t stored_at(const unsigned char *data, int width, size_t index);

/* strings.c: string columns, each string ending where `ends` says in one heap. */

bool strings_valid(const uint32_t *ends, size_t count, size_t heap_size);
/* The size that pack_strings needs; SIZE_MAX when a string is too long. */
size_t packed_size(const uint32_t *ends, size_t count, const char *heap);
void pack_strings(const uint32_t *ends, size_t count, const char *heap, unsigned char *out);
/* Sizes first: false when the data ends early or the heap would pass 4 GiB. */
bool unpacked_size(const unsigned char *data, size_t size, size_t count, size_t *read, size_t *heap_size);
void unpack_strings(const unsigned char *data, size_t count, uint32_t *ends, char *heap);

/* identity.c: names hashed under a store's key, and events compared. Indexes are in range: whoever calls has looked. */

enum { NAME_ID = 1, NAME_KEY = 2, NAME_MESSAGE = 3 }; /* of tillroll.core.batch.NameKind: what an index of names holds */

typedef struct {
    uint64_t low, high;
} NameKey;

typedef struct {
    int64_t second;
    uint32_t nanos;
    uint8_t kind;
    const char *value;
    size_t length;
    uint64_t position;
} EventName;

typedef struct {
    int64_t index, minute, hash;
} NameRow;

/* The events of a batch, as far as they have names. */
typedef struct {
    const int64_t *seconds;
    const uint32_t *nanos, *id_ends; /* id_ends: NULL when no event has an id */
    const char *ids;
    const uint64_t *positions;
    size_t count;
    const uint64_t *run_events; /* each above 0, and all together the events */
    const uint8_t *run_kinds;
    const uint32_t *run_ends;
    const char *run_values;
    size_t runs;
} Named;

int64_t hash_name(NameKey key, const EventName *name);
/* Rows of the events that an index of names holds, sorted, and how many. There is room for all events. */
Status name_rows(NameKey key, const Named *events, NameRow *rows, size_t *count);
/* The pairs of events of sorted rows that share a slot: each but the first, and the first; how many. */
size_t same_slots(const NameRow *rows, size_t count, uint32_t *later, uint32_t *first);
/* Where two rising columns have the same value; how often. There is room for the shorter of them. */
size_t intersect(const uint64_t *one, size_t count, const uint64_t *other, size_t other_count, uint32_t *at,
                 uint32_t *other_at);
/* A byte for each pair of places: 1 where the values there are equal, else 0. */
void equal_at(const void *one, const uint32_t *at, const void *other, const uint32_t *other_at, int width, size_t count,
              char *out);
void equal_strings_at(const uint32_t *ends, const char *heap, const uint32_t *at, const uint32_t *other_ends,
                      const char *other_heap, const uint32_t *other_at, size_t count, char *out);

/* export.c: columns to rows of text. The first two are called twice: without room, for the size, then with it. */

/* Each event's name as an export has it. */
size_t name_texts(const Named *events, uint32_t *ends, char *heap);
/* Strings as JSON or CSV has them; what is empty stays so. */
size_t quote(const uint32_t *ends, size_t count, const char *heap, bool csv, uint32_t *quoted_ends, char *quoted);

/* naming.c: names that an export gave. */

enum { NAME_NONE = 0, NAME_FILE = 4, NAME_NOT_SAID = 255 };
#define NAME_VALUE_BYTES_MAX 8192

/* Whether a line of a text can have a name at all. */
bool may_have_names(const char *text, size_t size);
/* The names of the events at some positions, rising, of lines of which the first has a position: a string column, with room
 * for the text; empty where there is none, or where it is doubtful. INVALID: there are no such lines. */
Status names_in_lines(const char *text, size_t size, uint64_t position, const uint64_t *positions, size_t count,
                      uint32_t *ends, char *heap, uint32_t *doubtful, size_t *doubtful_count);

/* Runs of events of one source, at rising positions; there is room for all events, and all their names. */
typedef struct {
    uint64_t *events;
    uint8_t *kinds;
    uint32_t *ends, *invalid;
    char *values;
    size_t count, invalid_count;
} NamedRuns;

void sources_of_names(const uint32_t *ends, size_t count, const char *heap, const uint32_t *id_ends, const char *ids,
                      NamedRuns *runs, uint64_t *positions);

enum { ROW_LITERAL, ROW_INSTANT, ROW_NUMBER, ROW_CHOICE, ROW_TEXT, ROW_NAME };

/* Which run the last row's name was of: the one before `index`, which ends at `stop`. */
typedef struct {
    size_t index, stop;
} Run;

/* A part of each row: what stands before, and a value of a column. A value that is empty leaves out what is before it. */
typedef struct {
    int kind, width; /* the width of a choice's codes, 1 or 4 */
    const char *before;
    size_t before_size;
    bool before_is_padded;      /* ROW_PADDING bytes can be read from its beginning on */
    const void *values, *nanos; /* seconds and nanos, numbers of 0 and more, codes, or NULL */
    const uint32_t *ends;       /* strings, one for each code or row */
    const char *heap;
    size_t heap_size;
    Named named; /* ids and sources' values quoted */
    size_t ids_size;
    Run run;
} RowPart;

#define ROW_PADDING 48

/* How long rows are from one to another, then their text, for which there is room. Rows are taken in order. */
size_t rows_size(const RowPart *parts, size_t parts_count, size_t first, size_t stop);
void format_rows(RowPart *parts, size_t parts_count, size_t first, size_t stop, char *out, size_t size);

/* group.c */

#define GROUP_COLUMNS_MAX 32
#define GROUP_DIGITS_MAX 8
#define GROUPINGS_MAX 256
#define GROUP_RADIX_MAX (UINT64_C(1) << 40)

/* A code below `radix` for each event; or, with a `parent`, for each code of that column, which stands before this one. */
typedef struct {
    const void *codes;
    int width, parent; /* -1 for none */
    size_t count;
    uint64_t radix;
} GroupColumn;

/* What events are told apart by: columns, of which those up to each end make one digit together, in mixed radix. */
typedef struct {
    int columns[GROUP_COLUMNS_MAX], ends[GROUP_DIGITS_MAX], digits;
} Grouping;

/* Rows by rising digits: how many events each has, and the sum of their weights. */
typedef struct {
    uint64_t *digits[GROUP_DIGITS_MAX], *counts, *sums;
    size_t count;
} Groups;

/* Fills the groups of each grouping, whose arrays the caller frees. `problem` says what was INVALID. */
Status group(const GroupColumn *columns, int columns_count, const int64_t *weights, size_t count,
             const Grouping *groupings, int groupings_count, Groups *groups, const char **problem);
void groups_free(Groups *groups);

/* recount.c: counting by text, which shares nothing with group.c. */

#define SPELLING_PATTERN_MAX 32
#define SPELLING_ROOM (SPELLING_PATTERN_MAX * 8) /* for what a pattern becomes */

enum { SPELL_CLOCK, SPELL_AMOUNT, SPELL_METHOD, SPELL_STRING };
enum { TALLY_RECOUNTED, TALLY_STORED };

typedef struct {
    const char *text;
    size_t size;
} Text;

/* How a dimension's text of an event is written. */
typedef struct {
    int kind;
    Text pattern;                    /* SPELL_CLOCK: as strftime has it, of %Y %m %d %H %G %V %a %z */
    const int64_t *starts, *offsets; /* of the clocks; SPELL_AMOUNT: the least amount of each text but the first */
    size_t pieces;
    const Text *texts; /* of amounts, or of methods */
    size_t texts_count;
    size_t column; /* SPELL_STRING */
} Spelling;

typedef struct {
    size_t spelling;
    const Text *texts; /* sorted */
    size_t count;
} Allowed;

/* What a report's datapoints are: a prefix, and spellings with `|` between; of the events that all of `where` allows. */
typedef struct {
    Text prefix;
    const size_t *by;
    size_t by_count;
    const Allowed *where;
    size_t where_count;
} Recounted;

typedef struct {
    const uint32_t *indexes, *ends; /* of each row, which string */
    const char *heap;
} StringColumn;

typedef struct {
    const int64_t *seconds, *amounts;
    const uint8_t *methods;
    const StringColumn *strings;
    size_t count;
} RecountEvents;

typedef struct {
    uint64_t events, low, high; /* the sum of amounts, in 128 bits */
} Total;

typedef struct {
    Total totals[2]; /* recounted, stored */
    uint32_t report, size;
    char text[];
} Counted;

typedef struct {
    uint64_t seed;
    uint64_t *slots; /* hash, then where it is in the heap, in units, plus 1; 0 is free */
    size_t slots_mask;
    char *heap;
    size_t used, room;
    uint32_t held;
    char *scratch;
    size_t scratch_size;
} Tally;

void tally_init(Tally *tally, uint64_t seed);
void tally_clear(Tally *tally);
void tally_free(Tally *tally);
Counted *tally_next(const Tally *tally, const Counted *counted); /* from NULL to NULL */
bool spelling_pattern_valid(const char *pattern, size_t size);
/* Count events in the wanted reports. Whoever calls has seen that all indexes and methods are in range. */
Status tally_count(Tally *tally, const Spelling *spellings, size_t spellings_count, const Recounted *reports,
                   size_t reports_count, const uint8_t *wanted, const RecountEvents *events);
/* Add what rows say on a side; a row's text is its pieces one after another. `lows` and `highs` may be NULL for 0. */
Status tally_add(Tally *tally, int side, uint32_t report, const StringColumn *pieces, size_t pieces_count, size_t count,
                 const uint64_t *events, const uint64_t *lows, const uint64_t *highs);
/* The records of each of some parts: first their sizes, then themselves. Another level parts them in another way. */
void tally_measure(const Tally *tally, size_t parts, int level, size_t *sizes);
void tally_write(const Tally *tally, size_t parts, int level, char **outs);
/* INVALID when they end early, or are of another report than the first so many. */
Status tally_load(Tally *tally, size_t reports_count, const char *records, size_t size);
/* How many texts were recounted, and those whose sides differ, sorted, which the caller frees; by amounts where it says so. */
Status tally_differing(const Tally *tally, const uint8_t *amounts, size_t *datapoints, Counted ***found, size_t *count);

#endif
