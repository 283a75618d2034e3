// Metadata and memory of tensors.
#include <ATen/ops/from_blob.h>

#include "Boundary.h"

void ct_release(CTTensor tensor) {
    if (tensor == nullptr) return;
    auto reclaimed = c10::intrusive_ptr<at::TensorImpl, c10::UndefinedTensorImpl>::reclaim(ct::impl(tensor));
}

CTTensor ct_retain(CTTensor tensor) { return ct::handle(ct::tensor(tensor)); }

int ct_dim(CTTensor tensor) { return static_cast<int>(ct::impl(tensor)->dim()); }

int64_t ct_size(CTTensor tensor, int axis) { return ct::impl(tensor)->sizes()[axis]; }

int64_t ct_stride(CTTensor tensor, int axis) { return ct::impl(tensor)->strides()[axis]; }

int64_t ct_element_count(CTTensor tensor) { return ct::impl(tensor)->numel(); }

int32_t ct_scalar_type(CTTensor tensor) { return static_cast<int32_t>(c10::typeMetaToScalarType(ct::impl(tensor)->dtype())); }

int64_t ct_device(CTTensor tensor) { return ct::encode(ct::impl(tensor)->device()); }

bool ct_is_contiguous(CTTensor tensor) { return ct::impl(tensor)->is_contiguous(); }

bool ct_requires_grad(CTTensor tensor) { return ct::tensor(tensor).requires_grad(); }

bool ct_has_grad_function(CTTensor tensor) { return ct::tensor(tensor).grad_fn() != nullptr; }

int ct_set_requires_grad(CTTensor tensor, bool value) {
    return ct::guarded([&] { ct::tensor(tensor).set_requires_grad(value); });
}

int ct_data(CTTensor tensor, void **result) {
    return ct::guarded([&] {
        TORCH_CHECK(ct::impl(tensor)->device().is_cpu(), "elements can be read only from a CPU tensor; this one is on ",
                    ct::impl(tensor)->device());
        *result = ct::tensor(tensor).data_ptr();
    });
}

const void *ct_storage(CTTensor tensor) { return ct::impl(tensor)->storage().data(); }

int64_t ct_storage_bytes(CTTensor tensor) { return static_cast<int64_t>(ct::impl(tensor)->storage().nbytes()); }

int ct_from_memory(void *data, const int64_t *sizes, int dimensions, int32_t scalarType, void (*release)(void *), void *context,
                   CTTensor *result) {
    return ct::guarded([&] {
        auto options = at::TensorOptions().dtype(static_cast<at::ScalarType>(scalarType));
        *result = ct::handle(at::from_blob(
            data, at::IntArrayRef(sizes, static_cast<size_t>(dimensions)), [release, context](void *) { release(context); }, options));
    });
}
