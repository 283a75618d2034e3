// Process groups of libtorch's c10d: stores for the rendezvous, gloo as the transport and NCCL between GPUs, collectives as work to wait for.
#include "Boundary.h"

#if defined(__linux__) && __has_include(<torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>)
#define USE_C10D_GLOO
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "NCCL.h"

namespace {

using Gloo = c10d::ProcessGroupGloo;

struct Group {
    c10::intrusive_ptr<Gloo> gloo;
    // Null where there is none.
    c10::intrusive_ptr<c10d::Backend> nccl;

    c10d::Backend &backend(const std::vector<at::Tensor> &tensors) const {
        if (nccl && !tensors.empty() && tensors[0].is_cuda()) return *nccl;
        return *gloo;
    }
};

c10::intrusive_ptr<c10d::Store> &store(CTStore handle) { return *reinterpret_cast<c10::intrusive_ptr<c10d::Store> *>(handle); }

CTStore own(c10::intrusive_ptr<c10d::Store> made) {
    return reinterpret_cast<CTStore>(new c10::intrusive_ptr<c10d::Store>(std::move(made)));
}

Group &group(CTProcessGroup handle) { return *reinterpret_cast<Group *>(handle); }

c10::intrusive_ptr<c10d::Work> &work(CTWork handle) { return *reinterpret_cast<c10::intrusive_ptr<c10d::Work> *>(handle); }

// This machine's address on the way to `peer`, as a number. Connecting a datagram socket sends nothing; it only chooses the route.
std::string addressTowards(const char *peer) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_DGRAM;
    addrinfo *found = nullptr;
    int status = getaddrinfo(peer, "9", &hints, &found);
    TORCH_CHECK(status == 0, "the host ", peer, " is unknown: ", gai_strerror(status));
    std::string result;
    for (auto candidate = found; candidate != nullptr && result.empty(); candidate = candidate->ai_next) {
        int descriptor = socket(candidate->ai_family, candidate->ai_socktype | SOCK_CLOEXEC, candidate->ai_protocol);
        if (descriptor < 0) continue;
        sockaddr_storage address{};
        socklen_t length = sizeof(address);
        char text[NI_MAXHOST];
        if (connect(descriptor, candidate->ai_addr, candidate->ai_addrlen) == 0 &&
            getsockname(descriptor, reinterpret_cast<sockaddr *>(&address), &length) == 0 &&
            getnameinfo(reinterpret_cast<sockaddr *>(&address), length, text, sizeof(text), nullptr, 0, NI_NUMERICHOST) == 0) {
            result = text;
        }
        close(descriptor);
    }
    freeaddrinfo(found);
    TORCH_CHECK(!result.empty(), "no way leads from this machine to ", peer);
    return result;
}

std::vector<at::Tensor> tensors(const CTTensor *handles, int count) {
    std::vector<at::Tensor> result;
    result.reserve(count);
    for (int i = 0; i < count; i++) result.push_back(ct::tensor(handles[i]).detach());
    return result;
}

c10d::ReduceOp reduction(CTReduction kind) {
    switch (kind) {
        case CTMaximum: return c10d::ReduceOp::MAX;
        case CTMinimum: return c10d::ReduceOp::MIN;
        default: return c10d::ReduceOp::SUM;
    }
}

c10::intrusive_ptr<c10d::Work> start(const Group &members, const CTCollective &what) {
    auto inputs = tensors(what.inputs, what.inputCount);
    auto outputs = tensors(what.outputs, what.outputCount);
    auto &backend = members.backend(outputs.empty() ? inputs : outputs);
    switch (what.kind) {
        case CTAllReduce: {
            c10d::AllreduceOptions options;
            options.reduceOp = reduction(what.reduction);
            return backend.allreduce(outputs, options);
        }
        case CTBroadcast: {
            c10d::BroadcastOptions options;
            options.rootRank = what.peer;
            return backend.broadcast(outputs, options);
        }
        case CTAllGather: {
            std::vector<std::vector<at::Tensor>> lists{outputs};
            return backend.allgather(lists, inputs);
        }
        case CTReduceScatter: {
            c10d::ReduceScatterOptions options;
            options.reduceOp = reduction(what.reduction);
            std::vector<std::vector<at::Tensor>> lists{inputs};
            return backend.reduce_scatter(outputs, lists, options);
        }
        case CTAllToAll: return backend.alltoall(outputs, inputs);
        case CTSend: return backend.send(inputs, what.peer, what.tag);
        case CTReceive: return backend.recv(outputs, what.peer, what.tag);
        case CTBarrier: return backend.barrier();
    }
    TORCH_CHECK(false, "unknown collective ", static_cast<int>(what.kind));
}

}  // namespace

bool ct_distributed_available(void) { return true; }

int ct_store_hash(CTStore *result) {
    return ct::guarded([&] { *result = own(c10::make_intrusive<c10d::HashStore>()); });
}

int ct_store_file(const char *path, int worldSize, CTStore *result) {
    return ct::guarded([&] { *result = own(c10::make_intrusive<c10d::FileStore>(path, worldSize)); });
}

int ct_store_tcp(const char *host, int port, bool server, int worldSize, int listeningDescriptor, int64_t timeoutMilliseconds, CTStore *result) {
    return ct::guarded([&] {
        c10d::TCPStoreOptions options;
        options.port = static_cast<uint16_t>(port);
        options.isServer = server;
        options.numWorkers = worldSize;
        options.timeout = std::chrono::milliseconds(timeoutMilliseconds);
        if (server && listeningDescriptor >= 0) options.masterListenFd = listeningDescriptor;
        *result = own(c10::make_intrusive<c10d::TCPStore>(host, options));
    });
}

int ct_store_prefix(const char *prefix, CTStore base, CTStore *result) {
    return ct::guarded([&] { *result = own(c10::make_intrusive<c10d::PrefixStore>(prefix, store(base))); });
}

void ct_release_store(CTStore handle) { delete &store(handle); }

int ct_process_group(CTStore rendezvous, int rank, int worldSize, const char *interface, const char *peer, int64_t timeoutMilliseconds,
                     bool gpus, CTProcessGroup *result) {
    return ct::guarded([&] {
        auto timeout = std::chrono::milliseconds(timeoutMilliseconds);
        auto options = Gloo::Options::create(timeout);
        options->devices.push_back(interface ? Gloo::createDeviceForInterface(interface) : Gloo::createDeviceForHostname(addressTowards(peer)));
        store(rendezvous)->setTimeout(timeout);
        auto made = std::make_unique<Group>();
        made->gloo = c10::make_intrusive<Gloo>(store(rendezvous), rank, worldSize, options);
        if (gpus) made->nccl = ct::ncclBackend(store(rendezvous), rank, worldSize, timeout);
        *result = reinterpret_cast<CTProcessGroup>(made.release());
    });
}

void ct_release_process_group(CTProcessGroup handle) { delete &group(handle); }

bool ct_process_group_takes_gpu(CTProcessGroup handle) { return static_cast<bool>(group(handle).nccl); }

int ct_collective(CTProcessGroup handle, const CTCollective *collective, CTWork *result) {
    return ct::guarded([&] {
        *result = reinterpret_cast<CTWork>(new c10::intrusive_ptr<c10d::Work>(start(group(handle), *collective)));
    });
}

int ct_work_wait(CTWork handle) {
    return ct::guarded([&] { work(handle)->wait(); });
}

bool ct_work_is_done(CTWork handle) { return work(handle)->isCompleted(); }

void ct_release_work(CTWork handle) { delete &work(handle); }

#else

namespace {

int unavailable() {
    ct::setError("this libtorch was built without gloo, which several processes need; use the Linux wheel");
    return 1;
}

}  // namespace

bool ct_distributed_available(void) { return false; }
int ct_store_hash(CTStore *) { return unavailable(); }
int ct_store_file(const char *, int, CTStore *) { return unavailable(); }
int ct_store_tcp(const char *, int, bool, int, int, int64_t, CTStore *) { return unavailable(); }
int ct_store_prefix(const char *, CTStore, CTStore *) { return unavailable(); }
void ct_release_store(CTStore) {}
int ct_process_group(CTStore, int, int, const char *, const char *, int64_t, bool, CTProcessGroup *) { return unavailable(); }
void ct_release_process_group(CTProcessGroup) {}
bool ct_process_group_takes_gpu(CTProcessGroup) { return false; }
int ct_collective(CTProcessGroup, const CTCollective *, CTWork *) { return unavailable(); }
int ct_work_wait(CTWork) { return unavailable(); }
bool ct_work_is_done(CTWork) { return true; }
void ct_release_work(CTWork) {}

#endif
