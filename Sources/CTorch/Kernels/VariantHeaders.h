// What the variants include outside their namespaces.
#pragma once

#include <algorithm>
#include <cstdint>

#include "Kernels.h"

#define CT_UNROLL _Pragma("clang loop unroll(full)")
