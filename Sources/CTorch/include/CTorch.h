// The C ABI over libtorch: the dispatcher, and beside it only what the dispatcher cannot do.
//
// Conventions
// - A tensor handle (CTTensor) owns one reference; whoever receives one from a call releases it with ct_release.
//   Handles passed in are borrowed.
// - Functions that can fail return 0 on success and 1 on failure; ct_last_error() then has the message of this thread.
//   No C++ exception leaves this boundary.
#ifndef CTORCH_H
#define CTORCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CTTensorImpl *CTTensor;
typedef struct CTOperatorImpl *CTOperator;
typedef struct CTGeneratorImpl *CTGenerator;
typedef struct CTStoreImpl *CTStore;
typedef struct CTProcessGroupImpl *CTProcessGroup;
typedef struct CTWorkImpl *CTWork;

// What a CTValue holds; pointers are borrowed for the length of the call.
typedef enum : int32_t {
    CTKindNone = 0,
    CTKindTensor,              // pointer: CTTensor
    CTKindInt,                 // integer
    CTKindDouble,              // real
    CTKindBool,                // integer, 0 or 1
    CTKindComplex,             // real, imaginary
    CTKindString,              // pointer: NUL-terminated UTF-8
    CTKindIntList,             // pointer: const int64_t *, count
    CTKindDoubleList,          // pointer: const double *, count
    CTKindBoolList,            // pointer: const int64_t * (0 or 1), count
    CTKindTensorList,          // pointer: const CTTensor *, count
    CTKindOptionalTensorList,  // pointer: const CTTensor * (NULL is none), count
    CTKindDevice,              // integer: type << 8 | (index + 1)
    CTKindGenerator,           // pointer: CTGenerator
} CTKind;

typedef struct {
    CTKind kind;
    int32_t count;
    union {
        int64_t integer;
        double real;
        const void *pointer;
    };
    double imaginary;
} CTValue;

const char *ct_last_error(void);
// Capturing of failures on this thread (nests): between begin and end the first recorded message is kept.
void ct_capture_begin(void);
// Leaves one level; gives that level's message or NULL. Valid until the next call on this thread.
const char *ct_capture_end(void);
// False where nothing is capturing.
bool ct_capture_record(const char *message);

// --- Operators -------------------------------------------------------------------------------------------------

// Looks an operator up by name ("aten::mul") and overload ("Tensor"); the handle lives as long as the process.
int ct_operator(const char *name, const char *overload, CTOperator *result);
// "aten::mul.Tensor(Tensor self, Tensor other) -> Tensor"; valid until the next call on this thread.
const char *ct_operator_schema(CTOperator op);
// Calls an operator boxed. Missing trailing arguments take the schema's defaults. Results are flattened (a tensor list
// becomes that many tensors) into storage of this thread that the next ct_call reuses; their tensors are the caller's.
int ct_call(CTOperator op, const CTValue *arguments, int count, const CTValue **results, int *resultCount);
// The same for the common operator with exactly one tensor as its result.
int ct_call1(CTOperator op, const CTValue *arguments, int count, CTTensor *result);

// --- Tensors ---------------------------------------------------------------------------------------------------

void ct_release(CTTensor tensor);
CTTensor ct_retain(CTTensor tensor);
int ct_dim(CTTensor tensor);
int64_t ct_size(CTTensor tensor, int axis);
int64_t ct_stride(CTTensor tensor, int axis);
int64_t ct_element_count(CTTensor tensor);
int32_t ct_scalar_type(CTTensor tensor);
int64_t ct_device(CTTensor tensor);  // as in CTKindDevice
bool ct_is_contiguous(CTTensor tensor);
bool ct_requires_grad(CTTensor tensor);
bool ct_has_grad_function(CTTensor tensor);
int ct_set_requires_grad(CTTensor tensor, bool value);
// Start of the elements (NULL for an empty tensor); CPU tensors only.
int ct_data(CTTensor tensor, void **result);
// Identity of the storage, to tell views apart from copies.
const void *ct_storage(CTTensor tensor);
int64_t ct_storage_bytes(CTTensor tensor);
// A tensor over memory that the caller owns; `release(context)` runs when libtorch drops the storage.
int ct_from_memory(void *data, const int64_t *sizes, int dimensions, int32_t scalarType, void (*release)(void *), void *context,
                   CTTensor *result);

// --- Autograd --------------------------------------------------------------------------------------------------

bool ct_grad_enabled(void);
void ct_set_grad_enabled(bool enabled);
// Gradients of `outputs` with respect to `inputs`, written to `results` (NULL where there is no path and allowUnused).
// `outputGradients` may be NULL, or hold NULLs, for ones.
int ct_grad(const CTTensor *outputs, int outputCount, const CTTensor *inputs, int inputCount, const CTTensor *outputGradients,
            bool retainGraph, bool createGraph, bool allowUnused, CTTensor *results);

// The backward of a custom node: receives one gradient per output (NULL is zero), returns one per input (NULL is none).
// Owned handles in `inputGradients`. Returns 0, or 1 with a NUL-terminated message in `message` (bounded by messageSize).
typedef int (*CTBackward)(void *context, const CTTensor *outputGradients, int outputCount, CTTensor *inputGradients, int inputCount,
                          char *message, int messageSize);
// Attaches `outputs` (computed without a graph) to `inputs` by a node that calls `backward`. `release(context)` runs with the
// node's end, or at once where no input needs a gradient. Writes owned handles to `results`.
int ct_custom_node(const char *name, const CTTensor *inputs, int inputCount, const CTTensor *outputs, int outputCount, CTBackward backward,
                   void (*release)(void *), void *context, CTTensor *results);

// Calls `hook` with the finished gradient of `tensor` in every backward pass, also one by ct_grad, as soon as it is known; the gradient is borrowed.
// `release(context)` runs when the tensor ends or the hook is removed.
int ct_add_gradient_hook(CTTensor tensor, void (*hook)(void *context, CTTensor gradient), void (*release)(void *), void *context,
                         uint32_t *result);
void ct_remove_gradient_hook(CTTensor tensor, uint32_t hook);

// --- Fused kernels ---------------------------------------------------------------------------------------------
// float32 on the CPU, multi-threaded over heads or channels, with the widest vectors that the processor has. Forward and backward of whole
// operators; a backward needs the inputs alone.

// [B, T, H, D] or [B, T, H] in the caller's memory: distances in floats along the first three axes; the last axis is dense.
typedef struct {
    float *data;  // NULL is absent
    int64_t batch, time, head;
} CTSequence;

typedef enum : int32_t {
    CTAttentionHeadDecay = 0,  // gate: log-decay [B, T, H], or absent for none
    CTAttentionChannelDecay,   // gate: log-decay [B, T, H, K]
    CTAttentionDelta,          // gate: write strengths [B, T, H]
} CTAttentionKind;

// States are dense [B, H, K, V]; NULL is zeros where it is read and not wanted where it is written.
typedef struct {
    CTAttentionKind kind;
    float scale;  // factor on q
    int64_t batch, length, heads, keys, values;
    CTSequence q, k, v, gate;
    const float *initialState;
    // Forward.
    CTSequence output;
    float *finalState;
    // Backward. Of the gradients written, the gate's may be absent.
    CTSequence outputGradient;
    const float *finalStateGradient;
    CTSequence qGradient, kGradient, vGradient, gateGradient;
    float *initialStateGradient;
} CTAttention;

int ct_attention(const CTAttention *problem, bool backward);

// h_t = exp(step_t A) h_{t-1} + step_t u_t B_t, y_t = C_t h_t. u, step, output: [B, T, D]; a: [N, D]; b, c: [B, T, N] (CTSequence.head unused);
// states: dense [B, N, D].
typedef struct {
    int64_t batch, length, channels, order;
    CTSequence u, step, b, c;
    const float *a, *initialState;
    // Forward.
    CTSequence output;
    float *finalState;
    // Backward. Channels are cut into `groups`, each with gradients of B and C of its own, dense [groups, B, T, N] and zero at first; the gradient
    // of A is one for each batch element, [B, N, D]. The caller sums both.
    int64_t groups;
    CTSequence outputGradient;
    const float *finalStateGradient;
    CTSequence uGradient, stepGradient;
    float *aGradient, *bGradient, *cGradient, *initialStateGradient;
} CTSelectiveScan;

int ct_selective_scan(const CTSelectiveScan *problem, bool backward);

// x_t = A x_{t-1} + B u_t, y_t = C x_t for each feature. All dense: input [B, H, T], output [B, H, M, T], a [H, N, N], b [H, N], c [H, M, N], states
// [B, H, N]. Where mask [B, T] is 0 the state stands still; NULL is ones.
typedef struct {
    int64_t batch, features, length, order, channels;
    const float *input, *a, *b, *c, *initialState, *mask;
    // Forward.
    float *output, *finalState;
    // Backward. Batch elements are cut into `groups`, each with gradients of a, b and c of its own, [groups, ...], which the caller sums.
    int64_t groups;
    const float *outputGradient, *finalStateGradient;
    float *inputGradient, *aGradient, *bGradient, *cGradient, *initialStateGradient;
} CTStateSpace;

int ct_state_space(const CTStateSpace *problem, bool backward);

// y = x Wᵀ + b, x [rows, inputs] and y [rows, outputs] dense, with W in codes of 2, 3, 4 or 8 bits: weight = scale (code − zero), a scale (float16, not
// negative) and a zero point for each `group` inputs of a row. Eight codes take `bits` bytes, the first in the lowest bits; rows of codes and of zero
// points are filled up to a multiple of 16 codes; `group` is a multiple of 16. Without x the output is W itself, [outputs, inputs].
typedef struct {
    int64_t rows, inputs, outputs, bits, group;
    const float *x;  // NULL for the matrix
    const uint8_t *codes, *zeros;
    const uint16_t *scales;
    const float *bias;  // NULL for none
    float *output;
} CTQuantizedLinear;

int ct_quantized_linear(const CTQuantizedLinear *problem);

// The vectors in use: "avx512", "avx2" or "baseline". False for an unknown name or one that the processor lacks.
const char *ct_kernel_variant(void);
bool ct_set_kernel_variant(const char *name);
// Whether these kernels were compiled with optimisation; without it libtorch's operators are faster.
bool ct_kernels_optimized(void);

bool ct_autocast_enabled(int32_t deviceType);
int32_t ct_autocast_type(int32_t deviceType);
void ct_set_autocast(int32_t deviceType, bool enabled, int32_t scalarType);

// --- Random, threads, devices, memory --------------------------------------------------------------------------

int ct_generator(int64_t device, uint64_t seed, CTGenerator *result);
int ct_default_generator(int64_t device, CTGenerator *result);
void ct_release_generator(CTGenerator generator);
void ct_generator_seed(CTGenerator generator, uint64_t seed);
int ct_generator_state(CTGenerator generator, CTTensor *result);
int ct_set_generator_state(CTGenerator generator, CTTensor state);

int ct_threads(void);
void ct_set_threads(int count);
int ct_cuda_device_count(void);
bool ct_mps_available(void);
const char *ct_version(void);

// Counts CPU allocations of this thread between begin and end: bytes alive now beyond the start, and their peak.
int ct_memory_begin(void);
void ct_memory_now(int64_t *current, int64_t *peak);
void ct_memory_end(void);
// From now on keeps freed CPU blocks of 1 MB and more for the next tensors, `bytes` of them at most; 0 frees them all and keeps none.
void ct_keep_blocks(size_t bytes);

// --- Several processes (c10d) ----------------------------------------------------------------------------------

// Whether libtorch was built with gloo; without it the calls below fail and say so.
bool ct_distributed_available(void);

// Where processes find one another. Handles are owned; a store stays alive as long as a group that was made from it.
int ct_store_hash(CTStore *result);  // for threads of one process
int ct_store_file(const char *path, int worldSize, CTStore *result);
// `server` is true for one process, which may bring a descriptor that listens already (-1 is none).
int ct_store_tcp(const char *host, int port, bool server, int worldSize, int listeningDescriptor, int64_t timeoutMilliseconds, CTStore *result);
int ct_store_prefix(const char *prefix, CTStore store, CTStore *result);
void ct_release_store(CTStore store);

// Waits until all `worldSize` members have called. `interface` names the network interface; NULL takes the one by which `peer` is reached.
// `gpus` says that each member has a GPU of its own.
int ct_process_group(CTStore store, int rank, int worldSize, const char *interface, const char *peer, int64_t timeoutMilliseconds,
                     bool gpus, CTProcessGroup *result);
// Waits for the operations in flight.
void ct_release_process_group(CTProcessGroup group);
// Whether tensors may be on GPUs (NCCL); otherwise all are on the CPU.
bool ct_process_group_takes_gpu(CTProcessGroup group);

typedef enum : int32_t {
    CTAllReduce = 0,  // outputs: one, changed in place
    CTBroadcast,      // outputs: one, changed in place; peer: the root
    CTAllGather,      // inputs: one; outputs: one a rank
    CTReduceScatter,  // inputs: one a rank; outputs: one
    CTAllToAll,       // inputs and outputs: one a rank
    CTSend,           // inputs: one; peer: the receiver
    CTReceive,        // outputs: one; peer: the sender
    CTBarrier,
} CTCollectiveKind;

typedef enum : int32_t { CTSum = 0, CTMaximum, CTMinimum } CTReduction;

typedef struct {
    CTCollectiveKind kind;
    CTReduction reduction;
    int32_t peer, tag;
    const CTTensor *inputs;
    const CTTensor *outputs;
    int32_t inputCount, outputCount;
} CTCollective;

// Starts an operation, which all members have to start in the same order. Tensors are contiguous.
int ct_collective(CTProcessGroup group, const CTCollective *collective, CTWork *result);
// Waits for its end; fails where a peer was lost or the group's timeout went by.
int ct_work_wait(CTWork work);
bool ct_work_is_done(CTWork work);
void ct_release_work(CTWork work);

#ifdef __cplusplus
}
#endif
#endif
