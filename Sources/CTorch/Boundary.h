// Shared by the sources of CTorch: handles to and from libtorch's types, and the catch-all of every entry point.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/Generator.h>

#include <exception>
#include <string>

#include "CTorch.h"

namespace ct {

void setError(const char *message);

inline at::TensorImpl *impl(CTTensor handle) { return reinterpret_cast<at::TensorImpl *>(handle); }

// A tensor that holds its own reference.
inline at::Tensor tensor(CTTensor handle) {
    if (handle == nullptr) return at::Tensor();
    return at::Tensor(c10::intrusive_ptr<at::TensorImpl, c10::UndefinedTensorImpl>::reclaim_copy(impl(handle)));
}

// Gives the reference away; an undefined tensor becomes NULL.
inline CTTensor handle(at::Tensor &&tensor) {
    if (!tensor.defined()) return nullptr;
    return reinterpret_cast<CTTensor>(tensor.unsafeReleaseTensorImpl());
}

inline at::Generator &generator(CTGenerator handle) { return *reinterpret_cast<at::Generator *>(handle); }

inline int64_t encode(c10::Device device) {
    return (static_cast<int64_t>(device.type()) << 8) | (static_cast<int64_t>(device.index()) + 1);
}

inline c10::Device decode(int64_t code) {
    return c10::Device(static_cast<c10::DeviceType>(code >> 8), static_cast<c10::DeviceIndex>((code & 0xff) - 1));
}

// Runs `body`, turning any exception into a status and this thread's message.
template <typename Body>
int guarded(Body &&body) noexcept {
    try {
        body();
        return 0;
    } catch (const c10::Error &error) {
        setError(error.what_without_backtrace());
    } catch (const std::exception &error) {
        setError(error.what());
    } catch (...) {
        setError("unknown C++ exception");
    }
    return 1;
}

}  // namespace ct
