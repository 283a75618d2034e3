// The kernels with AVX512.
#if defined(__x86_64__)
#include "VariantHeaders.h"

#define CT_LANES 16
#define CT_VARIANT with_avx512
#define CT_TABLE avx512
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))), apply_to = function)
#include "Variant.h"
#pragma clang attribute pop
#endif
