// y = x Wᵀ + b with W in packed codes: decoded in registers, never in memory. Sixteen codes of `Bits` bits take 2 · Bits bytes.

typedef uint32_t WordVector __attribute__((ext_vector_type(CT_LANES)));
typedef uint8_t ByteVector __attribute__((ext_vector_type(CT_LANES)));

// Output rows that one thread computes at a time.
constexpr int quantizedBand = 16;

// Four bytes with eight codes of 3 or 4 bits in them: the first eight of sixteen, or the second.
template <int Bits>
inline uint32_t eightCodes(const uint8_t *codes, int half) {
    uint32_t word;
    // The second three of six bytes end with them.
    __builtin_memcpy(&word, codes + (Bits == 4 ? 4 : 2) * half, 4);
    return word;
}

// Codes of 2 to 4 bits in the lowest bits of their lanes, vector v of sixteen; above them are other codes.
template <int Bits>
inline WordVector spread(const uint8_t *codes, int v) {
    WordVector words, shifts;
    if constexpr (Bits == 2) {
        uint32_t word;
        __builtin_memcpy(&word, codes, 4);
        words = word;
        CT_UNROLL for (int i = 0; i < CT_LANES; i++) shifts[i] = 2 * (v * CT_LANES + i);
    } else {
        words = eightCodes<Bits>(codes, v * CT_LANES / 8);
        if constexpr (CT_LANES == 16) words.hi = eightCodes<Bits>(codes, 1);
        CT_UNROLL for (int i = 0; i < CT_LANES; i++) {
            int code = v * CT_LANES + i;
            shifts[i] = Bits * (code % 8) + (Bits == 3 && code >= 8 ? 8 : 0);
        }
    }
    return words >> shifts;
}

// Sixteen codes as floats.
template <int Bits>
inline void decode(const uint8_t *codes, Vector *values) {
    CT_UNROLL for (int v = 0; v < 16 / CT_LANES; v++) {
        if constexpr (Bits == 8) {
            ByteVector bytes;
            __builtin_memcpy(&bytes, codes + v * CT_LANES, sizeof bytes);
            values[v] = __builtin_convertvector(bytes, Vector);
        } else {
            // Signed numbers have a conversion of their own everywhere.
            values[v] = __builtin_convertvector((IntVector)(spread<Bits>(codes, v) & ((1u << Bits) - 1)), Vector);
        }
    }
}

// Whether a vector has room for what every code of a group stands for, so that a weight is looked up by its code instead of computed from it.
template <int Bits>
constexpr bool fitsATable = CT_LANES >= 8 && (1 << Bits) <= CT_LANES;

// Lanes of the table by indices of which only the lowest bits count: a table repeats its values, so that the bits above a code change nothing.
inline Vector lookUp(Vector table, WordVector indices) {
#if CT_LANES == 16
    return __builtin_ia32_permvarsf512(table, (IntVector)indices);
#elif CT_LANES == 8
    return __builtin_ia32_permvarsf256(table, (IntVector)indices);
#else
    return table;
#endif
}

// A group's scale and zero point, ready for sixteen codes after sixteen.
template <int Bits>
struct GroupDecoder {
    // The table, or the scale.
    Vector scale;
    Vector offset;

    GroupDecoder() = default;

    GroupDecoder(float factor, float zero) : scale(factor), offset(-factor * zero) {
        if constexpr (fitsATable<Bits>) {
            Vector codes;
            CT_UNROLL for (int i = 0; i < CT_LANES; i++) codes[i] = i % (1 << Bits);
            scale = codes * scale + offset;
        }
    }

    void operator()(const uint8_t *codes, Vector *weights) const {
        if constexpr (fitsATable<Bits>) {
            CT_UNROLL for (int v = 0; v < 16 / CT_LANES; v++) weights[v] = lookUp(scale, spread<Bits>(codes, v));
        } else {
            decode<Bits>(codes, weights);
            CT_UNROLL for (int v = 0; v < 16 / CT_LANES; v++) weights[v] = weights[v] * scale + offset;
        }
    }
};

// A number of float16 that is not negative.
inline float fromHalf(uint16_t half) {
    if (half < 0x400) return half * 0x1p-24f;
    uint32_t bits = (uint32_t(half) << 13) + (112u << 23);
    float value;
    __builtin_memcpy(&value, &bits, 4);
    return value;
}

// Where things are in one problem.
struct PackedMatrix {
    const CTQuantizedLinear &problem;
    int64_t groups, codeBytes, zeroBytes;

    explicit PackedMatrix(const CTQuantizedLinear &p)
        : problem(p), groups((p.inputs + p.group - 1) / p.group), codeBytes((p.inputs + 15) / 16 * 2 * p.bits),
          zeroBytes((groups + 15) / 16 * 2 * p.bits) {}

    const uint8_t *codes(int64_t output, int64_t input) const { return problem.codes + output * codeBytes + input / 8 * problem.bits; }
    float scale(int64_t output, int64_t group) const { return fromHalf(problem.scales[output * groups + group]); }
    float zero(int64_t output, int64_t group) const {
        int64_t bit = group * problem.bits;
        const uint8_t *bytes = problem.zeros + output * zeroBytes + bit / 8;
        unsigned word = bytes[0] >> bit % 8;
        if (bit % 8 + problem.bits > 8) word |= unsigned(bytes[1]) << (8 - bit % 8);
        return static_cast<float>(word & ((1u << problem.bits) - 1));
    }
};

// `Rows` rows of x by `Outputs` rows of W.
template <int Bits, int Rows, int Outputs>
void quantizedBlock(const PackedMatrix &m, int64_t row, int64_t output) {
    constexpr int vectors = 16 / CT_LANES;
    const CTQuantizedLinear &p = m.problem;
    const int64_t whole = p.inputs / 16 * 16;
    float tail[Rows][16] = {};
    for (int r = 0; r < Rows; r++) std::copy(p.x + (row + r) * p.inputs + whole, p.x + (row + r + 1) * p.inputs, tail[r]);
    Vector sums[Rows][Outputs];
    CT_UNROLL for (int r = 0; r < Rows; r++) CT_UNROLL for (int o = 0; o < Outputs; o++) sums[r][o] = 0.0f;
    for (int64_t group = 0; group < m.groups; group++) {
        GroupDecoder<Bits> decoders[Outputs];
        const uint8_t *codes[Outputs];
        CT_UNROLL for (int o = 0; o < Outputs; o++) {
            decoders[o] = GroupDecoder<Bits>(m.scale(output + o, group), m.zero(output + o, group));
            codes[o] = m.codes(output + o, group * p.group);
        }
        const int64_t end = std::min(p.inputs, (group + 1) * p.group);
        for (int64_t i = group * p.group; i < end; i += 16) {
            Vector weights[Outputs][vectors];
            CT_UNROLL for (int o = 0; o < Outputs; o++) {
                decoders[o](codes[o], weights[o]);
                codes[o] += 2 * Bits;
            }
            CT_UNROLL for (int r = 0; r < Rows; r++) {
                const float *x = i < whole ? p.x + (row + r) * p.inputs + i : tail[r];
                CT_UNROLL for (int v = 0; v < vectors; v++) {
                    Vector input = load(x + v * CT_LANES);
                    CT_UNROLL for (int o = 0; o < Outputs; o++) sums[r][o] += input * weights[o][v];
                }
            }
        }
    }
    CT_UNROLL for (int r = 0; r < Rows; r++) CT_UNROLL for (int o = 0; o < Outputs; o++)
        p.output[(row + r) * p.outputs + output + o] = sum(sums[r][o]) + (p.bias == nullptr ? 0.0f : p.bias[output + o]);
}

template <int Bits, int Outputs>
void quantizedRows(const PackedMatrix &m, int64_t output) {
    int64_t row = 0, rows = m.problem.rows;
    for (; row + 8 <= rows; row += 8) quantizedBlock<Bits, 8, Outputs == 1 ? 1 : 2>(m, row, output);
    if constexpr (Outputs == 4)
        for (int64_t again = 0; again < row; again += 8) quantizedBlock<Bits, 8, 2>(m, again, output + 2);
    if (row + 4 <= rows) quantizedBlock<Bits, 4, Outputs>(m, row, output), row += 4;
    if (row + 2 <= rows) quantizedBlock<Bits, 2, Outputs>(m, row, output), row += 2;
    if (row < rows) quantizedBlock<Bits, 1, Outputs>(m, row, output);
}

// One row of the matrix itself.
template <int Bits>
void dequantizeRow(const PackedMatrix &m, int64_t output) {
    const CTQuantizedLinear &p = m.problem;
    float *target = p.output + output * p.inputs;
    for (int64_t group = 0; group < m.groups; group++) {
        const GroupDecoder<Bits> decoder(m.scale(output, group), m.zero(output, group));
        const int64_t end = std::min(p.inputs, (group + 1) * p.group);
        for (int64_t i = group * p.group; i < end; i += 16) {
            Vector values[16 / CT_LANES];
            decoder(m.codes(output, i), values);
            float sixteen[16];
            CT_UNROLL for (int v = 0; v < 16 / CT_LANES; v++) store(sixteen + v * CT_LANES, values[v]);
            std::copy_n(sixteen, std::min<int64_t>(16, end - i), target + i);
        }
    }
}

template <int Bits>
void quantizedBandOf(const CTQuantizedLinear &problem, int64_t band) {
    PackedMatrix m(problem);
    int64_t output = band * quantizedBand;
    const int64_t end = std::min(problem.outputs, output + quantizedBand);
    if (problem.x == nullptr) {
        for (; output < end; output++) dequantizeRow<Bits>(m, output);
        return;
    }
    for (; output + 4 <= end; output += 4) quantizedRows<Bits, 4>(m, output);
    for (; output < end; output++) quantizedRows<Bits, 1>(m, output);
}

inline void runQuantized(const CTQuantizedLinear &problem, int64_t band) {
    switch (problem.bits) {
    case 2: return quantizedBandOf<2>(problem, band);
    case 3: return quantizedBandOf<3>(problem, band);
    case 4: return quantizedBandOf<4>(problem, band);
    default: return quantizedBandOf<8>(problem, band);
    }
}

inline int64_t quantizedUnits(const CTQuantizedLinear &problem) { return (problem.outputs + quantizedBand - 1) / quantizedBand; }
