// Arithmetic on tiles that lie in the first two caches. Included once by each variant, inside its namespace and under its target
// attribute, so there is no include guard; CT_LANES is the number of floats in a vector register.
//
// A tile is row-major with rows of a multiple of 16 floats and at most `chunk` steps, a multiple of 8; what the data does not fill is zero.

typedef float Vector __attribute__((ext_vector_type(CT_LANES)));
typedef int32_t IntVector __attribute__((ext_vector_type(CT_LANES)));
typedef float Vector8 __attribute__((ext_vector_type(8)));

// Rows and vectors of the block of results that the inner loop keeps in registers.
constexpr int blockRows = CT_LANES == 16 ? 8 : 4;
constexpr int blockVectors = CT_LANES == 4 ? 4 : 2;

// Memory need not be aligned.
template <typename V = Vector>
inline V load(const float *source) {
    V value;
    __builtin_memcpy(&value, source, sizeof(V));
    return value;
}

template <typename V>
inline void store(float *target, V value) {
    __builtin_memcpy(target, &value, sizeof(V));
}

template <typename V>
inline float sum(V value) {
    if constexpr (sizeof(V) == 2 * sizeof(float))
        return value.x + value.y;
    else
        return sum(value.lo + value.hi);
}

// e^x to about one unit in the last place; 0 below -87 and e^88 above 88.
inline Vector exponential(Vector x) {
    const float log2e = 1.44269504f, high = 0.693359375f, low = -2.12194440e-4f;
    Vector bounded = x < -87.0f ? Vector(-87.0f) : x;
    bounded = bounded > 88.0f ? Vector(88.0f) : bounded;
    // Adding 1.5 · 2²³ rounds to an integer.
    const Vector shift = 12582912.0f;
    Vector power = (bounded * log2e + shift) - shift;
    Vector r = bounded - power * high - power * low;
    Vector series = 1.9875691500e-4f;
    series = series * r + 1.3981999507e-3f;
    series = series * r + 8.3334519073e-3f;
    series = series * r + 4.1665795894e-2f;
    series = series * r + 1.6666665459e-1f;
    series = series * r + 5.0000001201e-1f;
    Vector mantissa = series * (r * r) + r + 1.0f;
    IntVector exponent = (__builtin_convertvector(power, IntVector) + 127) << 23;
    Vector result = mantissa * (Vector)exponent;
    return x < -87.0f ? Vector(0.0f) : result;
}

// --- Products --------------------------------------------------------------------------------------------------

enum class Store { set, add, subtract };

// Which steps of the inner axis, or which columns, a row of the result has to do with.
enum class Range { all, lower, upper };

// A tile in memory: its first element and the distance between rows.
struct Tile {
    float *data;
    int stride;

    float *row(int index) const { return data + index * stride; }
    Tile from(int row, int column) const { return {data + row * stride + column, stride}; }
};

// A block of the product A·B that stays in registers. Transposed: A's rows are the inner axis.
template <typename V, int Rows, int Count, bool Transposed, Store Mode>
inline __attribute__((always_inline)) void multiplyBlock(int inner, Tile a, Tile b, Tile c) {
    constexpr int lanes = sizeof(V) / sizeof(float);
    V sums[Rows][Count];
    CT_UNROLL for (int i = 0; i < Rows; i++) CT_UNROLL for (int j = 0; j < Count; j++) sums[i][j] = 0.0f;
    for (int k = 0; k < inner; k++) {
        V right[Count];
        CT_UNROLL for (int j = 0; j < Count; j++) right[j] = load<V>(b.row(k) + j * lanes);
        CT_UNROLL for (int i = 0; i < Rows; i++) {
            V left = Transposed ? a.row(k)[i] : a.row(i)[k];
            CT_UNROLL for (int j = 0; j < Count; j++) sums[i][j] += left * right[j];
        }
    }
    CT_UNROLL for (int i = 0; i < Rows; i++) CT_UNROLL for (int j = 0; j < Count; j++) {
        float *target = c.row(i) + j * lanes;
        if constexpr (Mode == Store::set) store(target, sums[i][j]);
        if constexpr (Mode == Store::add) store(target, load<V>(target) + sums[i][j]);
        if constexpr (Mode == Store::subtract) store(target, load<V>(target) - sums[i][j]);
    }
}

// A strip of `Count` vectors, all rows.
template <typename V, int Rows, int Count, bool Transposed, Store Mode>
void multiplyStrip(int rows, int inner, Tile a, Tile b, Tile c, Range innerRange, int first, int last) {
    for (int i = first; i < last && i < rows; i += Rows) {
        int start = innerRange == Range::upper ? i : 0;
        int end = innerRange == Range::lower ? std::min(inner, i + Rows) : inner;
        Tile left = Transposed ? a.from(start, i) : a.from(i, start);
        multiplyBlock<V, Rows, Count, Transposed, Mode>(end - start, left, b.from(start, 0), c.from(i, 0));
    }
}

// C = A·B, C + A·B or C − A·B, with C of `rows` by `columns`. `innerRange` says that A, as it is multiplied, is triangular; what it holds
// beyond the diagonal inside a block of 8 must then be zero. `outer` leaves out the blocks of C that are wholly beyond the diagonal.
template <bool Transposed = false, Store Mode = Store::set>
void multiply(int rows, int columns, int inner, Tile a, Tile b, Tile c, Range innerRange = Range::all, Range outer = Range::all) {
    constexpr int width = blockVectors * CT_LANES;
    for (int j = 0; j < columns;) {
        int step = columns - j >= width ? width : 16;
        int first = outer == Range::lower ? j / blockRows * blockRows : 0;
        int last = outer == Range::upper ? j + step : rows;
        if (step == width)
            multiplyStrip<Vector, blockRows, blockVectors, Transposed, Mode>(rows, inner, a, b.from(0, j), c.from(0, j), innerRange, first, last);
        else
            multiplyStrip<Vector, blockRows, 16 / CT_LANES, Transposed, Mode>(rows, inner, a, b.from(0, j), c.from(0, j), innerRange, first, last);
        j += step;
    }
}

// The same for a C of 8 columns.
template <bool Transposed = false, Store Mode = Store::set>
void multiplyNarrow(int rows, int inner, Tile a, Tile b, Tile c) {
    multiplyStrip<Vector8, 8, 1, Transposed, Mode>(rows, inner, a, b, c, Range::all, 0, rows);
}

// One strip of the solution of L X = B, or of Lᵀ X = B, in place of B.
template <int Count, bool Transposed>
void solveStrip(int rows, Tile l, Tile x) {
    for (int step = 0; step < rows; step += blockRows) {
        int i = Transposed ? rows - blockRows - step : step;
        int start = Transposed ? i + blockRows : 0;
        int end = Transposed ? rows : i;
        // What the blocks solved before contribute, then the block's own triangle, row by row in registers.
        Vector values[blockRows][Count];
        CT_UNROLL for (int r = 0; r < blockRows; r++) CT_UNROLL for (int j = 0; j < Count; j++) values[r][j] = load(x.row(i + r) + j * CT_LANES);
        for (int k = start; k < end; k++) {
            Vector right[Count];
            CT_UNROLL for (int j = 0; j < Count; j++) right[j] = load(x.row(k) + j * CT_LANES);
            CT_UNROLL for (int r = 0; r < blockRows; r++) {
                Vector left = Transposed ? l.row(k)[i + r] : l.row(i + r)[k];
                CT_UNROLL for (int j = 0; j < Count; j++) values[r][j] -= left * right[j];
            }
        }
        CT_UNROLL for (int n = 1; n < blockRows; n++) CT_UNROLL for (int m = 0; m < n; m++) {
            int r = Transposed ? blockRows - 1 - n : n, s = Transposed ? blockRows - 1 - m : m;
            Vector left = Transposed ? l.row(i + s)[i + r] : l.row(i + r)[i + s];
            CT_UNROLL for (int j = 0; j < Count; j++) values[r][j] -= left * values[s][j];
        }
        CT_UNROLL for (int r = 0; r < blockRows; r++) CT_UNROLL for (int j = 0; j < Count; j++) store(x.row(i + r) + j * CT_LANES, values[r][j]);
    }
}

// Solves (I + L) X = B, or (I + L)ᵀ X = B, in place of B; only what L holds below its diagonal takes part.
template <bool Transposed>
void solveUnitTriangular(int rows, int columns, Tile l, Tile x) {
    constexpr int width = blockVectors * CT_LANES;
    for (int j = 0; j < columns;) {
        int step = columns - j >= width ? width : 16;
        if (step == width)
            solveStrip<blockVectors, Transposed>(rows, l, x.from(0, j));
        else
            solveStrip<16 / CT_LANES, Transposed>(rows, l, x.from(0, j));
        j += step;
    }
}

// --- Rows ------------------------------------------------------------------------------------------------------

inline void fill(float *target, int count, float value) {
    for (int j = 0; j < count; j += CT_LANES) store(target + j, Vector(value));
}

inline void scale(float *target, int count, float factor) {
    for (int j = 0; j < count; j += CT_LANES) store(target + j, load(target + j) * factor);
}

// target = a ⊙ b; any of them may be the same.
inline void product(float *target, const float *a, const float *b, int count) {
    for (int j = 0; j < count; j += CT_LANES) store(target + j, load(a + j) * load(b + j));
}

inline float dot(const float *a, const float *b, int count) {
    Vector result = 0.0f;
    for (int j = 0; j < count; j += CT_LANES) result += load(a + j) * load(b + j);
    return sum(result);
}

// Eight rows by eight columns, transposed in registers.
inline void transposeBlock(Tile source, Tile target) {
    Vector8 a[8], b[8];
    CT_UNROLL for (int i = 0; i < 8; i++) a[i] = load<Vector8>(source.row(i));
    CT_UNROLL for (int i = 0; i < 8; i += 2) {
        b[i] = __builtin_shufflevector(a[i], a[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
        b[i + 1] = __builtin_shufflevector(a[i], a[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
    }
    CT_UNROLL for (int i = 0; i < 8; i += 4) CT_UNROLL for (int n = 0; n < 2; n++) {
        a[i + n] = __builtin_shufflevector(b[i + n], b[i + n + 2], 0, 1, 8, 9, 4, 5, 12, 13);
        a[i + n + 2] = __builtin_shufflevector(b[i + n], b[i + n + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
    CT_UNROLL for (int n = 0; n < 4; n++) {
        store(target.row(n), __builtin_shufflevector(a[n], a[n + 4], 0, 1, 2, 3, 8, 9, 10, 11));
        store(target.row(n + 4), __builtin_shufflevector(a[n], a[n + 4], 4, 5, 6, 7, 12, 13, 14, 15));
    }
}

inline void transpose(int rows, int columns, Tile source, Tile target) {
    for (int i = 0; i < rows; i += 8)
        for (int j = 0; j < columns; j += 8) transposeBlock(source.from(i, j), target.from(j, i));
}

// Steps of the caller's memory, `distance` floats apart, as rows of a tile; the rest of the tile becomes zero.
inline void gather(const float *source, int64_t distance, int steps, int width, float factor, int rows, int columns, Tile target) {
    for (int i = 0; i < rows; i++) {
        float *row = target.row(i);
        int j = 0;
        if (i < steps) {
            const float *from = source + i * distance;
            for (; j + CT_LANES <= width; j += CT_LANES) store(row + j, load(from + j) * factor);
            for (; j < width; j++) row[j] = from[j] * factor;
        }
        for (; j < columns; j++) row[j] = 0.0f;
    }
}

inline void scatter(Tile source, int steps, int width, float factor, float *target, int64_t distance) {
    for (int i = 0; i < steps; i++) {
        const float *row = source.row(i);
        float *to = target + i * distance;
        int j = 0;
        for (; j + CT_LANES <= width; j += CT_LANES) store(to + j, load(row + j) * factor);
        for (; j < width; j++) to[j] = row[j] * factor;
    }
}
