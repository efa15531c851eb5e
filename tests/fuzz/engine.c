/* A small stand-in for libFuzzer, for machines with gcc and without clang: mutates inputs, and keeps those that reach
 * new edges of the code, as gcc's -fsanitize-coverage=trace-pc tells.
 *
 * engine CORPUS SECONDS SEED: fuzz that long; SECONDS 0 runs each kept input once. An input under way stands in the file
 * CORPUS/../current: after a crash that is the culprit.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define INPUT_MAX 4096
#define CORPUS_MAX 4096
#define EDGES 8192

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
void __sanitizer_cov_trace_pc(void);

typedef struct {
    uint8_t *data;
    size_t size;
} Input;

static _Alignas(8) uint8_t hits[EDGES];
static uint8_t seen[EDGES];
static uintptr_t before;
static Input corpus[CORPUS_MAX];
static size_t corpus_count;
static uint64_t state;
static struct {
    uint64_t size;
    uint8_t data[INPUT_MAX];
} *current;

static const char *const words[] = {
    "{\"date\":\"2011-12-03T10:15:30Z\",\"amount\":4285,\"paymentMethod\":\"SLICE_IT\",\"merchantId\":\"m\"}\n",
    "{\"date\": \"2011-12-03T10:15:30.25+01:00\", \"amount\": 0, \"paymentMethod\": \"PAY_NOW\", \"merchantId\": \"x\"}\n",
    "\"date\":", "\"amount\":", "\"paymentMethod\":", "\"merchantId\":", "\"id\":", "\"PAY_NOW\"", "\"PAY_LATER\"",
    "\"SLICE_IT\"", "\"2024-02-29T23:59:59Z\"", ".999999999", "+23:59", "-00:00", "Z\"", "1000000000000", "1000000000001",
    "9999999", "99999999", "0", "-1", "1e3", "true", "false", "null", "\\u0041", "\\\"", "|", "<10", "10-50", "2011-12-03",
    "{", "}", "[", "]", ":", ",", "\"", "\n", "\r\n", " ", "\t", "\xEF\xBB\xBF", "\xC3\xA9", "\x7F", "0001-01-01T00:00:00",
    "9999-12-31", "1bb53ed1-787b-4543-9def-ea18eef7902e", "\xFF\xFF", ",\"x\":", ",\"id\":\"i\"}", "\"}\n", "                                                                ",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
};

void __sanitizer_cov_trace_pc(void) {
    uintptr_t here = (uintptr_t)__builtin_return_address(0);
    hits[(here ^ before >> 1) % EDGES]++;
    before = here;
}

static uint64_t below(uint64_t bound) { /* xorshift64* */
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (state * UINT64_C(0x2545F4914F6CDD1D) >> 32) % bound;
}

/* Run one input; whether it reached an edge, or a magnitude of passing it, that none did before. */
static bool run(const uint8_t *data, size_t size) {
    memset(hits, 0, sizeof hits);
    before = 0;
    current->size = size;
    memcpy(current->data, data, size);
    LLVMFuzzerTestOneInput(data, size);
    bool fresh = false;
    for (size_t edge = 0; edge < EDGES; edge++) {
        uint64_t eight;
        memcpy(&eight, hits + (edge & ~(size_t)7), 8);
        if (eight == 0) {
            edge |= 7;
        } else if (hits[edge] != 0) {
            uint8_t magnitude = (uint8_t)(1u << (31 - __builtin_clz((unsigned)hits[edge])));
            fresh |= (seen[edge] & magnitude) == 0;
            seen[edge] |= magnitude;
        }
    }
    return fresh;
}

static void keep(const uint8_t *data, size_t size) {
    if (corpus_count < CORPUS_MAX) {
        Input *input = &corpus[corpus_count++];
        input->data = malloc(size + 1);
        input->size = size;
        memcpy(input->data, data, size);
    }
}

static size_t insert(uint8_t *data, size_t size, size_t at, const void *what, size_t length) {
    if (size + length > INPUT_MAX) {
        return size;
    }
    memmove(data + at + length, data + at, size - at);
    memcpy(data + at, what, length);
    return size + length;
}

static size_t mutate(uint8_t *data, size_t size) {
    size_t at = below(size + 1), length = 1 + below(24);
    const char *word = words[below(sizeof words / sizeof *words)];
    const Input *other = &corpus[below(corpus_count)];
    uint8_t piece[64];
    switch (below(8)) {
    case 0:
        if (at < size) {
            data[at] ^= (uint8_t)(1u << below(8));
        }
        return size;
    case 1:
        if (at < size) {
            data[at] = (uint8_t)(below(2) ? '0' + below(10) : 32 + below(95));
        }
        return size;
    case 2:
        return insert(data, size, at, word, strlen(word));
    case 3:
        length = at + length > size ? size - at : length;
        memmove(data + at, data + at + length, size - at - length);
        return size - length;
    case 4: /* copy a piece of the same input */
        length = at + length > size ? size - at : length;
        memcpy(piece, data + at, length);
        return insert(data, size, below(size + 1), piece, length);
    case 5: /* a piece of another one */
        if (other->size != 0) {
            size_t from = below(other->size), most = other->size - from;
            length = below(4) == 0 ? most : length > most ? most : length;
            return insert(data, size, at, other->data + from, length);
        }
        return size;
    case 6:
        if (at < size) {
            data[at] = (uint8_t)below(256);
        }
        return size;
    default:
        return size > 1 && below(4) == 0 ? below(size) + 1 : size;
    }
}

static void load(const char *directory) {
    DIR *files = opendir(directory);
    for (struct dirent *file; files != NULL && (file = readdir(files)) != NULL;) {
        char path[1024];
        uint8_t data[INPUT_MAX];
        snprintf(path, sizeof path, "%s/%s", directory, file->d_name);
        FILE *from = file->d_name[0] == '.' ? NULL : fopen(path, "rb");
        if (from != NULL) {
            size_t size = fread(data, 1, sizeof data, from);
            fclose(from);
            run(data, size);
            keep(data, size);
        }
    }
    if (files != NULL) {
        closedir(files);
    }
}

static void save(const char *directory, const uint8_t *data, size_t size) {
    uint64_t name = UINT64_C(0xCBF29CE484222325); /* FNV-1a */
    for (size_t i = 0; i < size; i++) {
        name = (name ^ data[i]) * UINT64_C(0x100000001B3);
    }
    char path[1024];
    snprintf(path, sizeof path, "%s/%016llx", directory, (unsigned long long)name);
    FILE *to = fopen(path, "wb");
    if (to != NULL) {
        fwrite(data, 1, size, to);
        fclose(to);
    }
}

int main(int count, char **arguments) {
    char path[1024];
    if (count != 4) {
        fprintf(stderr, "usage: %s CORPUS SECONDS SEED\n", arguments[0]);
        return 2;
    }
    const char *directory = arguments[1];
    long seconds = atol(arguments[2]);
    state = strtoull(arguments[3], NULL, 10) * 2 + 1;
    snprintf(path, sizeof path, "%s/../current", directory);
    int file = open(path, O_RDWR | O_CREAT, 0644);
    if (file < 0 || ftruncate(file, sizeof *current) < 0) {
        perror(path);
        return 2;
    }
    current = mmap(NULL, sizeof *current, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    load(directory);
    if (corpus_count == 0) {
        keep((const uint8_t *)"l", 1);
    }
    size_t loaded = corpus_count;
    unsigned long long runs = loaded;
    for (time_t stop = time(NULL) + seconds; seconds != 0 && time(NULL) < stop; runs++) {
        uint8_t data[INPUT_MAX];
        const Input *from = &corpus[below(corpus_count)];
        size_t size = from->size;
        memcpy(data, from->data, size);
        for (uint64_t steps = 1 + below(6); steps > 0; steps--) {
            size = mutate(data, size);
        }
        if (size != 0 && run(data, size)) {
            keep(data, size);
            save(directory, data, size);
        }
    }
    size_t edges = 0;
    for (size_t edge = 0; edge < EDGES; edge++) {
        edges += seen[edge] != 0;
    }
    unlink(path);
    printf("%llu inputs, %zu kept (%zu new), %zu edges, nothing found\n", runs, corpus_count, corpus_count - loaded, edges);
    return 0;
}
