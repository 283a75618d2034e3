// The kernels with AVX2.
#if defined(__x86_64__)
#include "VariantHeaders.h"

#define CT_LANES 8
#define CT_VARIANT with_avx2
#define CT_TABLE avx2
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#include "Variant.h"
#pragma clang attribute pop
#endif
