/* Columns of strings: packed as the journal stores them, and hashed as indexes store them. */
#include "kernel.h"

#define HASH_MULTIPLIER UINT64_C(0x9E3779B97F4A7C15)

bool strings_valid(const uint32_t *ends, size_t count, size_t heap_size) {
    uint32_t before = 0;
    bool rising = true;
    for (size_t i = 0; i < count; i++) {
        rising &= ends[i] >= before;
        before = ends[i];
    }
    return rising && before == heap_size;
}

static const int8_t hex_value[256] = {
#define ROW -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1
    ROW, ROW, ROW,
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, -1, -1, -1, -1, -1, -1,
    ROW, ROW, -1, 10, 11, 12, 13, 14, 15, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    ROW, ROW, ROW, ROW, ROW, ROW, ROW, ROW, ROW
#undef ROW
};
static const uint8_t hex_at[16] = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};

/* Pack a canonical UUID in lower case; false when the text is any other. */
static bool pack_uuid(const char *text, size_t length, unsigned char *out) {
    if (length != UUID_TEXT || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-') {
        return false;
    }
    int wrong = 0;
    for (int i = 0; i < 16; i++) {
        int high = hex_value[(unsigned char)text[hex_at[i]]], low = hex_value[(unsigned char)text[hex_at[i] + 1]];
        wrong |= high | low;
        out[i] = (unsigned char)((unsigned)high << 4 | (unsigned)low);
    }
    return wrong >= 0;
}

static void unpack_uuid(const unsigned char *packed, char *text) {
    static const char digits[] = "0123456789abcdef";
    text[8] = text[13] = text[18] = text[23] = '-';
    for (int i = 0; i < 16; i++) {
        text[hex_at[i]] = digits[packed[i] >> 4];
        text[hex_at[i] + 1] = digits[packed[i] & 15];
    }
}

size_t packed_size(const uint32_t *ends, size_t count, const char *heap) {
    size_t size = 2 * count;
    uint32_t start = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t length = ends[i] - start;
        unsigned char packed[16];
        if (length >= UUID_LENGTH) {
            return SIZE_MAX;
        }
        size += pack_uuid(heap + start, length, packed) ? 16 : length;
        start = ends[i];
    }
    return size;
}

void pack_strings(const uint32_t *ends, size_t count, const char *heap, unsigned char *out) {
    unsigned char *lengths = out;
    uint32_t start = 0;
    out += 2 * count;
    for (size_t i = 0; i < count; i++) {
        uint32_t length = ends[i] - start, stored = length;
        if (length == UUID_TEXT && pack_uuid(heap + start, length, out)) {
            stored = UUID_LENGTH;
            out += 16;
        } else {
            memcpy(out, heap + start, length);
            out += length;
        }
        *lengths++ = (unsigned char)stored;
        *lengths++ = (unsigned char)(stored >> 8);
        start = ends[i];
    }
}

bool unpacked_size(const unsigned char *data, size_t size, size_t count, size_t *read, size_t *heap_size) {
    if (count > size / 2) {
        return false;
    }
    size_t stored = 0, texts = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned length = load16(data + 2 * i);
        stored += length == UUID_LENGTH ? 16 : length;
        texts += length == UUID_LENGTH ? UUID_TEXT : length;
    }
    *read = 2 * count + stored;
    *heap_size = texts;
    return *read <= size && texts <= UINT32_MAX;
}

void unpack_strings(const unsigned char *data, size_t count, uint32_t *ends, char *heap) {
    const unsigned char *at = data + 2 * count;
    uint32_t end = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned length = load16(data + 2 * i);
        if (length == UUID_LENGTH) {
            unpack_uuid(at, heap + end);
            at += 16;
            end += UUID_TEXT;
        } else {
            memcpy(heap + end, at, length);
            at += length;
            end += length;
        }
        ends[i] = end;
    }
}

int64_t hash_name(uint64_t kind, const char *value, size_t length, uint64_t position) {
    uint64_t state = (HASH_MULTIPLIER * (kind + 1)) ^ length;
    for (; length >= 8; value += 8, length -= 8) {
        state = (state ^ load64(value)) * HASH_MULTIPLIER;
        state ^= state >> 32;
    }
    if (length != 0) {
        char padded[8] = {0};
        memcpy(padded, value, length);
        state = (state ^ load64(padded)) * HASH_MULTIPLIER;
        state ^= state >> 32;
    }
    state = (state ^ position) * HASH_MULTIPLIER;
    state ^= state >> 32;
    return (int64_t)state;
}

void hash_ids(const uint32_t *ends, size_t count, const char *heap, uint64_t kind, int64_t *out) {
    uint32_t start = 0;
    for (size_t i = 0; i < count; i++) {
        out[i] = ends[i] > start ? hash_name(kind, heap + start, ends[i] - start, 0) : 0;
        start = ends[i];
    }
}
