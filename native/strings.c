/* Columns of strings, packed as the journal stores them. */
#include "kernel.h"

bool strings_valid(const uint32_t *ends, size_t count, size_t heap_size) {
    uint32_t before = 0;
    bool rising = true;
    for (size_t i = 0; i < count; i++) {
        rising &= ends[i] >= before;
        before = ends[i];
    }
    return rising && before == heap_size;
}

#define EACH_BYTE UINT64_C(0x0101010101010101)

static void store32(unsigned char *to, uint32_t word) {
    for (int byte = 0; byte < 4; byte++) {
        to[byte] = (unsigned char)(word >> 8 * byte);
    }
}

/* Eight values of 0 to 15, a byte each, as digits of lower case. */
static uint64_t hex_text(uint64_t values) {
    uint64_t above_9 = (values + EACH_BYTE * 0x76) >> 7 & EACH_BYTE;
    return values + EACH_BYTE * '0' + above_9 * ('a' - '0' - 10);
}

/* Four bytes of eight hexadecimal digits; what is not one sets bits in `wrong`. */
static uint32_t hex_bytes(uint64_t text, uint64_t *wrong) {
    uint64_t values = (text & EACH_BYTE * 0x0F) + (text >> 6 & EACH_BYTE) * 9;
    *wrong |= (values & EACH_BYTE * 0xF0) | (hex_text(values & EACH_BYTE * 0x0F) ^ text);
    values = (values << 4 | values >> 8) & UINT64_C(0x00FF00FF00FF00FF);
    values = (values | values >> 8) & UINT64_C(0x0000FFFF0000FFFF);
    return (uint32_t)(values | values >> 16);
}

static uint64_t hex_digits(uint32_t bytes) { /* the inverse */
    uint64_t values = bytes;
    values = (values | values << 16) & UINT64_C(0x0000FFFF0000FFFF);
    values = (values | values << 8) & UINT64_C(0x00FF00FF00FF00FF);
    values = (values >> 4 & UINT64_C(0x000F000F000F000F)) | (values << 8 & UINT64_C(0x0F000F000F000F00));
    return hex_text(values);
}

static uint64_t halves(const char *one, const char *other) { return load32(one) | (uint64_t)load32(other) << 32; }

/* Pack a canonical UUID in lower case; false when the text of that length is any other. */
static inline bool pack_uuid(const char *text, unsigned char *out) {
    uint64_t wrong = 0;
    uint32_t first = hex_bytes(load64(text), &wrong), second = hex_bytes(halves(text + 9, text + 14), &wrong);
    uint32_t third = hex_bytes(halves(text + 19, text + 24), &wrong), fourth = hex_bytes(load64(text + 28), &wrong);
    if (wrong != 0 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-') {
        return false;
    }
    store32(out, first);
    store32(out + 4, second);
    store32(out + 8, third);
    store32(out + 12, fourth);
    return true;
}

static void store_text(char *to, uint64_t text, int length) {
    for (int byte = 0; byte < length; byte++) {
        to[byte] = (char)(text >> 8 * byte);
    }
}

static inline void unpack_uuid(const unsigned char *packed, char *text) {
    uint64_t second = hex_digits(load32(packed + 4)), third = hex_digits(load32(packed + 8));
    text[8] = text[13] = text[18] = text[23] = '-';
    store_text(text, hex_digits(load32(packed)), 8);
    store_text(text + 9, second, 4);
    store_text(text + 14, second >> 32, 4);
    store_text(text + 19, third, 4);
    store_text(text + 24, third >> 32, 4);
    store_text(text + 28, hex_digits(load32(packed + 12)), 8);
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
        size += length == UUID_TEXT && pack_uuid(heap + start, packed) ? 16 : length;
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
        if (length == UUID_TEXT && pack_uuid(heap + start, out)) {
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
