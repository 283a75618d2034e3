// What the variants of the fused kernels share: the table that each fills in, and scratch memory.
#pragma once

#include <cstdint>

#include "CTorch.h"

namespace ct::kernels {

// Steps in a chunk.
constexpr int chunk = 64;

constexpr int roundUp(int64_t value, int multiple) { return static_cast<int>((value + multiple - 1) / multiple * multiple); }

// Hands out pieces of one block of memory, each at the start of a cache line. Without a block it only counts.
class Arena {
public:
    explicit Arena(float *start) : start(start) {}

    float *take(int64_t count) {
        float *piece = start == nullptr ? nullptr : start + used;
        used += (count + 15) / 16 * 16;
        return piece;
    }

    int64_t count() const { return used; }

private:
    float *start;
    int64_t used = 0;
};

// The kernels for one instruction set. A row is one head of one batch element; a unit of a scan is a run of channels
// of one, a unit of a state space one feature of a batch element (backward: of a group of them), one of a
// quantised product some rows of the matrix.
struct Table {
    void (*attention)(const CTAttention &problem, bool backward, int64_t row, float *scratch);
    int64_t (*attentionScratch)(const CTAttention &problem, bool backward);
    void (*scan)(const CTSelectiveScan &problem, bool backward, int64_t unit, float *scratch);
    int64_t (*scanScratch)(const CTSelectiveScan &problem, bool backward);
    int64_t (*scanUnits)(const CTSelectiveScan &problem, bool backward);
    void (*stateSpace)(const CTStateSpace &problem, bool backward, int64_t unit, float *scratch);
    int64_t (*stateSpaceScratch)(const CTStateSpace &problem, bool backward);
    void (*quantized)(const CTQuantizedLinear &problem, int64_t unit);
    int64_t (*quantizedUnits)(const CTQuantizedLinear &problem);
};

#if defined(__x86_64__)
extern const Table avx512, avx2;
#endif
extern const Table baseline;

}  // namespace ct::kernels
