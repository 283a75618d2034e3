// An allocator that keeps large freed blocks for the next tensors.
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>

#include <algorithm>
#include <bit>
#include <map>
#include <mutex>
#include <unordered_map>

#include "Boundary.h"

namespace {

constexpr size_t smallestKept = size_t{1} << 20;

// Up to an eighth more than asked for, so that tensors of nearly the same size share their blocks.
size_t rounded(size_t bytes) {
    size_t step = std::bit_floor(bytes) / 8;
    return (bytes + step - 1) / step * step;
}

struct BlockCache final : c10::Allocator {
    struct Block {
        void *data;
        uint64_t freed;
    };

    std::mutex mutex;
    size_t limit = 0;
    size_t kept = 0;
    uint64_t clock = 0;
    std::multimap<size_t, Block> blocks;
    // Blocks that are in use and may be kept, with their sizes.
    std::unordered_map<void *, size_t> lent;

    c10::DataPtr allocate(size_t bytes) override {
        void *data = bytes < smallestKept ? c10::alloc_cpu(bytes) : take(rounded(bytes));
        c10::profiledCPUMemoryReporter().New(data, bytes);
        return {data, data, &BlockCache::release, c10::Device(c10::kCPU)};
    }

    c10::DeleterFnPtr raw_deleter() const override { return &BlockCache::release; }

    void copy_data(void *to, const void *from, std::size_t bytes) const override { default_copy_data(to, from, bytes); }

    void *take(size_t bytes) {
        {
            std::lock_guard<std::mutex> guard(mutex);
            auto found = blocks.find(bytes);
            if (found != blocks.end()) {
                void *data = found->second.data;
                blocks.erase(found);
                kept -= bytes;
                lent.emplace(data, bytes);
                return data;
            }
        }
        void *data = c10::alloc_cpu(bytes);
        std::lock_guard<std::mutex> guard(mutex);
        lent.emplace(data, bytes);
        return data;
    }

    static void release(void *data);

    void give(void *data) {
        std::lock_guard<std::mutex> guard(mutex);
        auto found = lent.find(data);
        if (found == lent.end()) return c10::free_cpu(data);
        size_t bytes = found->second;
        lent.erase(found);
        blocks.emplace(bytes, Block{data, clock++});
        kept += bytes;
        shrink();
    }

    // Frees what has been unused for longest. There are few blocks of this size, so a search through all of them is cheap.
    void shrink() {
        while (kept > limit) {
            auto oldest = std::min_element(blocks.begin(), blocks.end(), [](auto &a, auto &b) { return a.second.freed < b.second.freed; });
            c10::free_cpu(oldest->second.data);
            kept -= oldest->first;
            blocks.erase(oldest);
        }
    }
};

// Never destroyed: tensors may outlive every static object.
BlockCache &cache() {
    static BlockCache &cache = *new BlockCache;
    return cache;
}

void BlockCache::release(void *data) {
    if (!data) return;
    c10::profiledCPUMemoryReporter().Delete(data);
    cache().give(data);
}

}  // namespace

void ct_keep_blocks(size_t bytes) {
    BlockCache &blocks = cache();
    {
        std::lock_guard<std::mutex> guard(blocks.mutex);
        blocks.limit = bytes;
        blocks.shrink();
    }
    c10::SetCPUAllocator(&blocks, 1);
}
