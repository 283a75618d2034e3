// The kernels for any processor: NEON on arm64, SSE2 on x86-64.
#include "VariantHeaders.h"

// Vectors of 8 floats are passed in two registers here. No other file calls these functions, so how does not matter.
#pragma clang diagnostic ignored "-Wpsabi"

#define CT_LANES 4
#define CT_VARIANT without_extensions
#define CT_TABLE baseline
#include "Variant.h"
