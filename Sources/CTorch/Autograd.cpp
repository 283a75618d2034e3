// Gradients, grad mode and custom nodes.
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>

#include <array>

#include "Boundary.h"

using torch::autograd::variable_list;

namespace {

variable_list tensors(const CTTensor *handles, int count) {
    variable_list result;
    result.reserve(count);
    for (int i = 0; i < count; i++) result.push_back(ct::tensor(handles ? handles[i] : nullptr));
    return result;
}

// A node whose backward is a closure of the caller.
struct ClosureNode : public torch::autograd::Node {
    CTBackward backward;
    void (*releaseContext)(void *);
    void *context;
    std::string label;

    ~ClosureNode() override { releaseContext(context); }

    std::string name() const override { return label; }

    variable_list apply(variable_list &&gradients) override {
        std::vector<CTTensor> incoming;
        for (auto &gradient : gradients) incoming.push_back(gradient.defined() ? reinterpret_cast<CTTensor>(gradient.unsafeGetTensorImpl()) : nullptr);
        std::vector<CTTensor> outgoing(num_outputs(), nullptr);
        std::array<char, 4096> message{};
        int status = backward(context, incoming.data(), static_cast<int>(incoming.size()), outgoing.data(), static_cast<int>(outgoing.size()),
                              message.data(), static_cast<int>(message.size()));
        variable_list result;
        for (auto handle : outgoing) {
            at::Tensor owned = ct::tensor(handle);
            ct_release(handle);
            result.push_back(std::move(owned));
        }
        TORCH_CHECK(status == 0, message.data());
        return result;
    }
};

}  // namespace

bool ct_grad_enabled(void) { return at::GradMode::is_enabled(); }

void ct_set_grad_enabled(bool enabled) { at::GradMode::set_enabled(enabled); }

int ct_grad(const CTTensor *outputs, int outputCount, const CTTensor *inputs, int inputCount, const CTTensor *outputGradients,
            bool retainGraph, bool createGraph, bool allowUnused, CTTensor *results) {
    return ct::guarded([&] {
        auto gradients = torch::autograd::grad(tensors(outputs, outputCount), tensors(inputs, inputCount),
                                               outputGradients ? tensors(outputGradients, outputCount) : variable_list(outputCount),
                                               retainGraph, createGraph, allowUnused);
        for (int i = 0; i < inputCount; i++) results[i] = ct::handle(std::move(gradients[i]));
    });
}

int ct_custom_node(const char *name, const CTTensor *inputs, int inputCount, const CTTensor *outputs, int outputCount, CTBackward backward,
                   void (*release)(void *), void *context, CTTensor *results) {
    auto node = c10::make_intrusive<ClosureNode>();
    node->backward = backward;
    node->releaseContext = release;
    node->context = context;
    node->label = name;
    return ct::guarded([&] {
        auto sources = tensors(inputs, inputCount);
        bool needed = torch::autograd::compute_requires_grad(sources);
        if (needed) node->set_next_edges(torch::autograd::collect_next_edges(sources));
        for (int i = 0; i < outputCount; i++) {
            // A fresh alias, so that the graph hangs on the result and not on the caller's handle.
            at::Tensor output = ct::tensor(outputs[i]).detach();
            if (needed && torch::autograd::isDifferentiableType(output.scalar_type())) torch::autograd::set_history(output, node);
            results[i] = ct::handle(std::move(output));
        }
    });
}

int ct_add_gradient_hook(CTTensor tensor, void (*hook)(void *, CTTensor), void (*release)(void *), void *context, uint32_t *result) {
    std::shared_ptr<void> owned(context, release);
    return ct::guarded([&] {
        *result = ct::tensor(tensor).register_hook([hook, owned](const at::Tensor &gradient) {
            hook(owned.get(), reinterpret_cast<CTTensor>(gradient.unsafeGetTensorImpl()));
        });
    });
}

void ct_remove_gradient_hook(CTTensor tensor, uint32_t hook) { ct::tensor(tensor).remove_hook(hook); }

bool ct_autocast_enabled(int32_t deviceType) { return at::autocast::is_autocast_enabled(static_cast<at::DeviceType>(deviceType)); }

int32_t ct_autocast_type(int32_t deviceType) {
    return static_cast<int32_t>(at::autocast::get_autocast_dtype(static_cast<at::DeviceType>(deviceType)));
}

void ct_set_autocast(int32_t deviceType, bool enabled, int32_t scalarType) {
    auto type = static_cast<at::DeviceType>(deviceType);
    at::autocast::set_autocast_enabled(type, enabled);
    at::autocast::set_autocast_dtype(type, static_cast<at::ScalarType>(scalarType));
    // Weights cast under autocast are cached; the cache must not outlive the scope in which they were cast.
    if (!enabled) at::autocast::clear_cache();
}
