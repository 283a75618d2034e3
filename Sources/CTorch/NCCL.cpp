// Only a CUDA build of libtorch has the first of these headers; the others come with CUDA, or with the wheels that such a build depends on.
#if defined(__linux__) && __has_include(<c10/cuda/impl/cuda_cmake_macros.h>) && __has_include(<cuda_runtime_api.h>) && __has_include(<nccl.h>) \
    && __has_include(<crt/host_config.h>) && __has_include(<nv/target>)
#define USE_C10D_NCCL
#endif

#if defined(__linux__) && __has_include(<torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>)
#include "NCCL.h"

#ifdef USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

namespace ct {

c10::intrusive_ptr<c10d::Backend> ncclBackend(const c10::intrusive_ptr<c10d::Store> &store, int rank, int worldSize,
                                              std::chrono::milliseconds timeout) {
#ifdef USE_C10D_NCCL
    if (at::cuda::device_count() == 0) return {};
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = timeout;
    auto names = c10::make_intrusive<c10d::PrefixStore>("nccl", store);
    return c10::make_intrusive<c10d::ProcessGroupNCCL>(names, rank, worldSize, options);
#else
    return {};
#endif
}

}  // namespace ct
#endif
