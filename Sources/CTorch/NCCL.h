// The collectives of tensors on GPUs.
#pragma once

#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

namespace ct {

// Null where libtorch or this machine has no NCCL. The members find one another at the first operation.
c10::intrusive_ptr<c10d::Backend> ncclBackend(const c10::intrusive_ptr<c10d::Store> &store, int rank, int worldSize,
                                              std::chrono::milliseconds timeout);

}  // namespace ct
