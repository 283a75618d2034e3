// libtorch's wheel has gloo compiled in but leaves its headers out, and ProcessGroupGloo.hpp includes them. CTorch makes process groups through
// libtorch's own functions and holds gloo's objects by pointer only, so that declaring their names is enough; nothing here has a layout
// that libtorch relies on. Where a real gloo is installed, its headers come first on the path and these are not read.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace gloo {

class Context {
public:
    void setTimeout(std::chrono::milliseconds timeout);
};

namespace rendezvous {

class Store {
public:
    virtual ~Store();
    virtual void set(const std::string &key, const std::vector<char> &value) = 0;
    virtual std::vector<char> get(const std::string &key) = 0;
    virtual void wait(const std::vector<std::string> &keys) = 0;
    virtual void wait(const std::vector<std::string> &keys, const std::chrono::milliseconds &timeout);
};

}  // namespace rendezvous

namespace transport {

class Device;
class UnboundBuffer;

}  // namespace transport
}  // namespace gloo
