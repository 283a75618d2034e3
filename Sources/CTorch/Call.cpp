// The dispatcher boundary: an operator is looked up once and then called boxed.
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>

#include <sstream>
#include <vector>

#include "Boundary.h"

namespace {

thread_local std::string lastError;
thread_local std::vector<std::string> captures;

// What the schema asks for, where a plain int or list would not say.
enum class Expected : uint8_t { other, real, scalarList, realList };

struct Operator {
    c10::OperatorHandle handle;
    std::vector<Expected> expected;
    std::vector<c10::IValue> defaults;  // one an argument; None where the schema has no default
    size_t required;                    // arguments before the first that has a default

    explicit Operator(c10::OperatorHandle found) : handle(found), required(0) {
        const auto &arguments = found.schema().arguments();
        for (size_t i = 0; i < arguments.size(); i++) {
            expected.push_back(classify(arguments[i].type()));
            const auto &value = arguments[i].default_value();
            defaults.push_back(value ? *value : c10::IValue());
            if (!value) required = i + 1;
        }
    }

    static Expected classify(c10::TypePtr type) {
        if (auto optional = type->cast<c10::OptionalType>()) type = optional->getElementType();
        if (type->kind() == c10::TypeKind::FloatType) return Expected::real;
        if (auto list = type->cast<c10::ListType>()) {
            if (list->getElementType()->kind() == c10::TypeKind::NumberType) return Expected::scalarList;
            if (list->getElementType()->kind() == c10::TypeKind::FloatType) return Expected::realList;
        }
        return Expected::other;
    }
};

template <typename T, typename Element>
c10::IValue list(const CTValue &value) {
    auto elements = static_cast<const Element *>(value.pointer);
    c10::List<T> result;
    result.reserve(value.count);
    for (int i = 0; i < value.count; i++) result.push_back(static_cast<T>(elements[i]));
    return result;
}

c10::IValue scalarList(const CTValue &value) {
    c10::impl::GenericList result(c10::NumberType::get());
    result.reserve(value.count);
    for (int i = 0; i < value.count; i++) {
        if (value.kind == CTKindIntList)
            result.push_back(c10::IValue(static_cast<const int64_t *>(value.pointer)[i]));
        else
            result.push_back(c10::IValue(static_cast<const double *>(value.pointer)[i]));
    }
    return result;
}

c10::IValue tensorList(const CTValue &value) {
    auto handles = static_cast<const CTTensor *>(value.pointer);
    c10::List<at::Tensor> result;
    result.reserve(value.count);
    for (int i = 0; i < value.count; i++) result.push_back(ct::tensor(handles[i]));
    return result;
}

c10::IValue optionalTensorList(const CTValue &value) {
    auto handles = static_cast<const CTTensor *>(value.pointer);
    c10::List<std::optional<at::Tensor>> result;
    result.reserve(value.count);
    for (int i = 0; i < value.count; i++)
        result.push_back(handles[i] ? std::optional<at::Tensor>(ct::tensor(handles[i])) : std::nullopt);
    return result;
}

c10::IValue unbox(const CTValue &value, Expected expected) {
    switch (value.kind) {
        case CTKindNone: return c10::IValue();
        case CTKindTensor: return ct::tensor(static_cast<CTTensor>(const_cast<void *>(value.pointer)));
        case CTKindInt: return expected == Expected::real ? c10::IValue(static_cast<double>(value.integer)) : c10::IValue(value.integer);
        case CTKindDouble: return value.real;
        case CTKindBool: return value.integer != 0;
        case CTKindComplex: return c10::complex<double>(value.real, value.imaginary);
        case CTKindString: return std::string(static_cast<const char *>(value.pointer));
        case CTKindIntList:
            if (expected == Expected::scalarList) return scalarList(value);
            if (expected == Expected::realList) return list<double, int64_t>(value);
            return list<int64_t, int64_t>(value);
        case CTKindDoubleList: return expected == Expected::scalarList ? scalarList(value) : list<double, double>(value);
        case CTKindBoolList: return list<bool, int64_t>(value);
        case CTKindTensorList: return tensorList(value);
        case CTKindOptionalTensorList: return optionalTensorList(value);
        case CTKindDevice: return ct::decode(value.integer);
        case CTKindGenerator: return ct::generator(static_cast<CTGenerator>(const_cast<void *>(value.pointer)));
    }
    TORCH_CHECK(false, "unknown kind of argument ", static_cast<int>(value.kind));
}

CTValue tensorValue(at::Tensor &&tensor) {
    CTValue value{};
    value.kind = tensor.defined() ? CTKindTensor : CTKindNone;
    value.pointer = ct::handle(std::move(tensor));
    return value;
}

void box(c10::IValue &&result, std::vector<CTValue> &values) {
    CTValue value{};
    if (result.isTensor()) {
        values.push_back(tensorValue(std::move(result).toTensor()));
    } else if (result.isTensorList()) {
        for (at::Tensor element : result.toTensorVector()) values.push_back(tensorValue(std::move(element)));
    } else if (result.isBool()) {
        value.kind = CTKindBool;
        value.integer = result.toBool();
        values.push_back(value);
    } else if (result.isInt()) {
        value.kind = CTKindInt;
        value.integer = result.toInt();
        values.push_back(value);
    } else if (result.isDouble()) {
        value.kind = CTKindDouble;
        value.real = result.toDouble();
        values.push_back(value);
    } else if (result.isComplexDouble()) {
        value.kind = CTKindComplex;
        value.real = result.toComplexDouble().real();
        value.imaginary = result.toComplexDouble().imag();
        values.push_back(value);
    } else {
        TORCH_CHECK(result.isNone(), "a result of type ", result.tagKind(), " has no counterpart in the C boundary");
        values.push_back(value);
    }
}

thread_local torch::jit::Stack threadStack;
thread_local bool threadStackInUse = false;

// The stack of one call: this thread's, which keeps its memory from call to call, or one of its own for a call inside a call
// (an operator in a custom backward).
class CallStack {
public:
    CallStack() : outermost(!threadStackInUse) { threadStackInUse = true; }
    ~CallStack() {
        if (!outermost) return;
        threadStack.clear();
        threadStackInUse = false;
    }
    CallStack(const CallStack &) = delete;
    CallStack &operator=(const CallStack &) = delete;

    torch::jit::Stack &values() { return outermost ? threadStack : inner; }

private:
    bool outermost;
    torch::jit::Stack inner;
};

// Leaves the results on `stack`.
void invoke(Operator *op, const CTValue *arguments, int count, torch::jit::Stack &stack) {
    size_t total = op->defaults.size();
    TORCH_CHECK(static_cast<size_t>(count) <= total && static_cast<size_t>(count) >= op->required, "takes ", op->required, " to ", total,
                " arguments, ", count, " given: ", op->handle.schema());
    stack.reserve(total);
    for (int i = 0; i < count; i++) stack.push_back(unbox(arguments[i], op->expected[i]));
    for (size_t i = count; i < total; i++) stack.push_back(op->defaults[i]);
    op->handle.callBoxed(&stack);
}

}  // namespace

void ct::setError(const char *message) { lastError = message; }

const char *ct_last_error(void) { return lastError.c_str(); }

void ct_capture_begin(void) { captures.emplace_back(); }

const char *ct_capture_end(void) {
    thread_local std::string text;
    text = captures.back();
    captures.pop_back();
    return text.empty() ? nullptr : text.c_str();
}

bool ct_capture_record(const char *message) {
    if (captures.empty()) return false;
    if (captures.back().empty()) captures.back() = message;
    return true;
}

int ct_operator(const char *name, const char *overload, CTOperator *result) {
    return ct::guarded([&] {
        auto found = c10::Dispatcher::singleton().findSchemaOrThrow(name, overload);
        *result = reinterpret_cast<CTOperator>(new Operator(found));
    });
}

const char *ct_operator_schema(CTOperator op) {
    thread_local std::string text;
    std::ostringstream stream;
    stream << reinterpret_cast<Operator *>(op)->handle.schema();
    text = stream.str();
    return text.c_str();
}

int ct_call(CTOperator op, const CTValue *arguments, int count, const CTValue **results, int *resultCount) {
    thread_local std::vector<CTValue> values;
    return ct::guarded([&] {
        CallStack stack;
        invoke(reinterpret_cast<Operator *>(op), arguments, count, stack.values());
        values.clear();
        for (auto &result : stack.values()) box(std::move(result), values);
        *results = values.data();
        *resultCount = static_cast<int>(values.size());
    });
}

int ct_call1(CTOperator op, const CTValue *arguments, int count, CTTensor *result) {
    return ct::guarded([&] {
        CallStack stack;
        invoke(reinterpret_cast<Operator *>(op), arguments, count, stack.values());
        *result = ct::handle(std::move(stack.values().front()).toTensor());
    });
}
