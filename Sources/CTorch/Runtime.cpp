// Random generators, threads, devices and the allocation counter.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <torch/version.h>

#include <algorithm>
#include <optional>

#include "Boundary.h"

namespace {

CTGenerator own(at::Generator generator) { return reinterpret_cast<CTGenerator>(new at::Generator(std::move(generator))); }

// Freed blocks are reported with the size that they were allocated with, negated.
struct AllocationCounter : public c10::MemoryReportingInfoBase {
    int64_t current = 0;
    int64_t peak = 0;

    void reportMemoryUsage(void *, int64_t size, size_t, size_t, c10::Device device) override {
        if (!device.is_cpu()) return;
        current += size;
        peak = std::max(peak, current);
    }

    bool memoryProfilingEnabled() const override { return true; }
};

thread_local std::shared_ptr<AllocationCounter> counter;
thread_local std::optional<c10::DebugInfoGuard> counterGuard;

}  // namespace

int ct_generator(int64_t device, uint64_t seed, CTGenerator *result) {
    return ct::guarded([&] {
        auto place = ct::decode(device);
        at::Generator made = place.is_cpu() ? at::detail::createCPUGenerator(seed) : at::globalContext().defaultGenerator(place).clone();
        made.set_current_seed(seed);
        *result = own(made);
    });
}

int ct_default_generator(int64_t device, CTGenerator *result) {
    return ct::guarded([&] { *result = own(at::globalContext().defaultGenerator(ct::decode(device))); });
}

void ct_release_generator(CTGenerator generator) { delete &ct::generator(generator); }

void ct_generator_seed(CTGenerator generator, uint64_t seed) {
    auto &target = ct::generator(generator);
    std::lock_guard<std::mutex> lock(target.mutex());
    target.set_current_seed(seed);
}

int ct_generator_state(CTGenerator generator, CTTensor *result) {
    return ct::guarded([&] {
        auto &source = ct::generator(generator);
        std::lock_guard<std::mutex> lock(source.mutex());
        *result = ct::handle(source.get_state());
    });
}

int ct_set_generator_state(CTGenerator generator, CTTensor state) {
    return ct::guarded([&] {
        auto &target = ct::generator(generator);
        std::lock_guard<std::mutex> lock(target.mutex());
        target.set_state(ct::tensor(state));
    });
}

int ct_threads(void) { return at::get_num_threads(); }

void ct_set_threads(int count) { at::set_num_threads(count); }

int ct_cuda_device_count(void) { return at::hasCUDA() ? static_cast<int>(at::globalContext().getAcceleratorHooksInterface(at::kCUDA).deviceCount()) : 0; }

bool ct_mps_available(void) { return at::hasMPS(); }

const char *ct_version(void) { return TORCH_VERSION; }

int ct_memory_begin(void) {
    return ct::guarded([&] {
        TORCH_CHECK(!counter, "allocations of this thread are being counted already");
        counter = std::make_shared<AllocationCounter>();
        counterGuard.emplace(c10::DebugInfoKind::PROFILER_STATE, counter);
    });
}

void ct_memory_now(int64_t *current, int64_t *peak) {
    *current = counter ? counter->current : 0;
    *peak = counter ? counter->peak : 0;
}

void ct_memory_end(void) {
    counterGuard.reset();
    counter.reset();
}
