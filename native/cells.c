/* A segment's counters, each with a sum of up to 128 bits: three columns, each as narrow as it fits. */
#include "kernel.h"

#define COLUMNS 3

static bool is_width(int width) { return width == 0 || width == 1 || width == 2 || width == 4 || width == 8; }

bool cells_fit(const unsigned char *cells, size_t length, size_t size) {
    if (length == 0) {
        return true;
    }
    if (length < COLUMNS || !is_width(cells[0]) || !is_width(cells[1]) || !is_width(cells[2])) {
        return false;
    }
    size_t width = (size_t)cells[0] + cells[1] + cells[2];
    return width == 0 ? length == COLUMNS : (length - COLUMNS) % width == 0 && (length - COLUMNS) / width == size;
}

void cells_read(const unsigned char *cells, size_t length, size_t size, const Totals *totals) {
    uint64_t *columns[COLUMNS] = {totals->counts, totals->lows, totals->highs};
    const unsigned char *data = cells + COLUMNS;
    for (int i = 0; i < COLUMNS; i++) {
        int width = length == 0 ? 0 : cells[i];
        if (width == 0) {
            memset(columns[i], 0, size * sizeof *columns[i]);
        } else {
            widen(data, width, size, 0, 8, columns[i]);
            data += size * (size_t)width;
        }
    }
}

bool totals_add_all(const Totals *totals, const Totals *added, size_t size) {
    uint64_t carried = 0;
    for (size_t i = 0; i < size; i++) {
        totals->counts[i] += added->counts[i];
        carried |= totals->counts[i] < added->counts[i];
        totals->lows[i] += added->lows[i];
        uint64_t carry = totals->lows[i] < added->lows[i], high = added->highs[i] + carry;
        totals->highs[i] += high;
        carried |= (high < carry) | (totals->highs[i] < high);
    }
    return carried == 0;
}

size_t cells_size(const Totals *totals, size_t size, int widths[3]) {
    const uint64_t *columns[COLUMNS] = {totals->counts, totals->lows, totals->highs};
    size_t width = 0;
    for (int i = 0; i < COLUMNS; i++) {
        widths[i] = width_for(largest_unsigned(columns[i], 8, size));
        width += (size_t)widths[i];
    }
    return width == 0 ? 0 : COLUMNS + width * size;
}

void cells_write(const Totals *totals, size_t size, const int widths[3], unsigned char *cells) {
    const uint64_t *columns[COLUMNS] = {totals->counts, totals->lows, totals->highs};
    unsigned char *data = cells + COLUMNS;
    for (int i = 0; i < COLUMNS; i++) {
        cells[i] = (unsigned char)widths[i];
        if (widths[i] != 0) {
            narrow_unsigned(columns[i], 8, size, 0, widths[i], data);
            data += size * (size_t)widths[i];
        }
    }
}
