// The fused kernels' entry points: choice of the instruction set, threads, scratch memory.
#include "Kernels.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>
#include <vector>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "../Boundary.h"

namespace {

using ct::kernels::Table;

struct Variant {
    const char *name;
    const Table *table;
    bool available;
};

// From the widest vectors to the narrowest.
const std::vector<Variant> &variants() {
    static const std::vector<Variant> all = {
#if defined(__x86_64__)
        {"avx512", &ct::kernels::avx512, __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma")},
        {"avx2", &ct::kernels::avx2, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")},
#endif
        {"baseline", &ct::kernels::baseline, true},
    };
    return all;
}

std::atomic<const Variant *> chosen{nullptr};

const Variant &variant() {
    if (const Variant *set = chosen.load()) return *set;
    return *std::find_if(variants().begin(), variants().end(), [](const Variant &each) { return each.available; });
}

// Makes results too small for a normal number zero while it lives: they come up wherever decays are multiplied, and are slow.
class FlushDenormals {
public:
#if defined(__x86_64__)
    FlushDenormals() : saved(_mm_getcsr()) { _mm_setcsr(saved | 0x8040); }
    ~FlushDenormals() { _mm_setcsr(saved); }

private:
    unsigned saved;
#elif defined(__aarch64__)
    FlushDenormals() {
        asm volatile("mrs %0, fpcr" : "=r"(saved));
        asm volatile("msr fpcr, %0" : : "r"(saved | (uint64_t(1) << 24)));
    }
    ~FlushDenormals() { asm volatile("msr fpcr, %0" : : "r"(saved)); }

private:
    uint64_t saved;
#endif
};

// Runs a function on `threads` threads at once: on libtorch's OpenMP team where there is one, since its idle threads would spin beside others.
void onThreads(int threads, void (*function)(void *), void *context) {
    using Parallel = void (*)(void (*)(void *), void *, unsigned, unsigned);
    static const auto parallel = reinterpret_cast<Parallel>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
    if (threads == 1) return function(context);
    if (parallel != nullptr) return parallel(function, context, static_cast<unsigned>(threads), 0);
    std::vector<std::thread> others;
    for (int i = 1; i < threads; i++) others.emplace_back(function, context);
    function(context);
    for (auto &thread : others) thread.join();
}

// Calls body(unit, scratch) for each unit, with `scratchCount` floats that no other call has at the same time.
template <typename Body>
void forEach(int64_t units, int64_t scratchCount, const Body &body) {
    if (units == 0) return;
    int threads = at::in_parallel_region() ? 1 : static_cast<int>(std::min<int64_t>(at::get_num_threads(), units));
    at::Tensor scratch = at::empty({threads * scratchCount}, at::kFloat);
    struct Work {
        const Body &body;
        float *scratch;
        int64_t scratchCount, units;
        std::atomic<int64_t> next{0}, worker{0};
    } work{body, scratch.data_ptr<float>(), scratchCount, units};
    onThreads(
        threads,
        [](void *context) {
            auto &work = *static_cast<Work *>(context);
            FlushDenormals flush;
            float *scratch = work.scratch + work.worker++ * work.scratchCount;
            for (int64_t unit = work.next++; unit < work.units; unit = work.next++) work.body(unit, scratch);
        },
        &work);
}

}  // namespace

int ct_attention(const CTAttention *problem, bool backward) {
    return ct::guarded([&] {
        const Table &table = *variant().table;
        forEach(problem->batch * problem->heads, table.attentionScratch(*problem, backward),
                [&](int64_t row, float *scratch) { table.attention(*problem, backward, row, scratch); });
    });
}

int ct_selective_scan(const CTSelectiveScan *problem, bool backward) {
    return ct::guarded([&] {
        const Table &table = *variant().table;
        forEach(table.scanUnits(*problem, backward), table.scanScratch(*problem, backward),
                [&](int64_t unit, float *scratch) { table.scan(*problem, backward, unit, scratch); });
    });
}

int ct_state_space(const CTStateSpace *problem, bool backward) {
    return ct::guarded([&] {
        const Table &table = *variant().table;
        forEach((backward ? problem->groups : problem->batch) * problem->features, table.stateSpaceScratch(*problem, backward),
                [&](int64_t unit, float *scratch) { table.stateSpace(*problem, backward, unit, scratch); });
    });
}

int ct_quantized_linear(const CTQuantizedLinear *problem) {
    return ct::guarded([&] {
        const Table &table = *variant().table;
        forEach(table.quantizedUnits(*problem), 0, [&](int64_t unit, float *) { table.quantized(*problem, unit); });
    });
}

const char *ct_kernel_variant(void) { return variant().name; }

bool ct_set_kernel_variant(const char *name) {
    for (const Variant &each : variants())
        if (each.available && std::strcmp(each.name, name) == 0) {
            chosen = &each;
            return true;
        }
    return false;
}

bool ct_kernels_optimized(void) {
#ifdef __OPTIMIZE__
    return true;
#else
    return false;
#endif
}
