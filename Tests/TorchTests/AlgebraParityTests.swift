import TestSupport
import Testing
import Torch

/// Fourier transforms, linear algebra, gathering and searching against Python's torch, and against their own definitions.
@Suite(
    .ownRandomNumbers,
    .enabled(if: TorchReference.isAvailable, "needs the Python packages torch and safetensors: make test installs them")
)
struct AlgebraParityTests {
    @Test func fourierTransforms() throws {
        let t: [String: Tensor] = try TorchReference.tensors(
            """
            x = t["x"] = g(3, 8, 5)
            for norm in ("backward", "ortho", "forward"):
                r = torch.view_as_real
                t[norm + "fft"] = r(torch.fft.fft(x, 10, 1, norm))
                t[norm + "rfft"] = r(torch.fft.rfft(x, 6, 1, norm))
                t[norm + "irfft"] = torch.fft.irfft(torch.fft.rfft(x, dim=-1), 5, -1, norm)
                t[norm + "fft2"] = r(torch.fft.fft2(x, norm=norm))
                t[norm + "fftn"] = r(torch.fft.fftn(x, norm=norm))
            t["frequencies"] = torch.fft.fftfreq(7, 0.5, dtype=torch.float64)
            t["shifted"] = torch.fft.fftshift(t["frequencies"])
            """)
        let x: Tensor = try #require(t["x"])
        for norm in FourierNorm.allCases {
            expectClose(x.fft(count: 10, axis: 1, norm: norm).viewAsReal(), t["\(norm)fft"])
            expectClose(x.rfft(count: 6, axis: 1, norm: norm).viewAsReal(), t["\(norm)rfft"])
            expectClose(x.rfft().irfft(count: 5, norm: norm), t["\(norm)irfft"])
            expectClose(x.fft2(norm: norm).viewAsReal(), t["\(norm)fft2"])
            expectClose(x.fftn(norm: norm).viewAsReal(), t["\(norm)fftn"])
            expectClose(x.fft(axis: 0, norm: norm).ifft(axis: 0, norm: norm).real(), x)
            expectClose(x.rfft2(norm: norm).irfft2(counts: [8, 5], norm: norm), x)
            expectClose(x.fftn(norm: norm).ifftn(norm: norm).real(), x)
            expectClose(x.fft2(norm: norm).ifft2(norm: norm).real(), x)
        }
        let frequencies: Tensor = Tensor.fftFrequencies(7, spacing: 0.5, dtype: .float64)
        expectClose(frequencies, t["frequencies"])
        expectClose(frequencies.fftShifted(), t["shifted"])
        expectClose(frequencies.fftShifted().ifftShifted(), frequencies)
        #expect(Tensor.rfftFrequencies(8).array(Float.self) == [0, 0.125, 0.25, 0.375, 0.5])
    }

    @Test func functionsOfMatrices() throws {
        let t: [String: Tensor] = try TorchReference.tensors(
            """
            L = torch.linalg
            a = t["a"] = g(3, 4, 4)
            b = t["b"] = g(3, 4, 2)
            t["det"], (t["sign"], t["log"]) = L.det(a), L.slogdet(a)
            t["exp"], t["power"] = L.matrix_exp(a), L.matrix_power(a, -3)
            t["solve"], t["pinv"], t["lstsq"] = L.solve(a, b), L.pinv(b), L.lstsq(b, a).solution
            for name, order in dict(frobenius="fro", nuclear="nuc", spectral=2, one=1, infinity=float("inf")).items():
                t[name] = L.matrix_norm(a, order)
            t["values"], t["cond"] = L.svdvals(a), L.cond(a)
            t["kron"], t["trace"] = torch.kron(b[0], b[1]), torch.trace(a[0])
            """)
        let (a, b): (Tensor, Tensor) = (try #require(t["a"]), try #require(t["b"]))
        expectClose(a.determinant(), t["det"])
        expectClose(a.logDeterminant().sign, t["sign"])
        expectClose(a.logDeterminant().logAbsolute, t["log"])
        expectClose(a.matrixExp(), t["exp"])
        expectClose(a.matrixPower(-3), t["power"], tolerance: 1e-7)
        expectClose(a.solve(b), t["solve"])
        expectClose(b.pseudoInverse(), t["pinv"])
        expectClose(b.leastSquares(a), t["lstsq"])
        for norm in Tensor.MatrixNorm.allCases { expectClose(a.matrixNorm(norm), t["\(norm)"]) }
        expectClose(a.singularValues(), t["values"])
        expectClose(a.conditionNumber(), t["cond"], tolerance: 1e-7)
        expectClose(b[0].kronecker(b[1]), t["kron"])
        expectClose(a[0].trace(), t["trace"])
    }

    @Test func factorizationsMultiplyBack() throws {
        let generator: RandomGenerator = RandomGenerator(seed: 3, device: .cpu)
        let a: Tensor = .normal([2, 5, 3], dtype: .float64, device: .cpu, generator: generator)
        let square: Tensor = .normal([2, 4, 4], dtype: .float64, device: .cpu, generator: generator)
        let positive: Tensor = square.matmul(square.mT) + Tensor.eye(4, dtype: .float64, device: .cpu)
        let (u, s, vh): (Tensor, Tensor, Tensor) = a.svd()
        #expect(u.shape == [2, 5, 3] && vh.shape == [2, 3, 3])
        expectClose((u * s.expandedDimensions(axis: -2)).matmul(vh), a)
        #expect(a.svd(fullMatrices: true).u.shape == [2, 5, 5])
        let (q, r): (Tensor, Tensor) = a.qr()
        expectClose(q.matmul(r), a)
        expectClose(q.mT.matmul(q)[0], Tensor.eye(3, dtype: .float64, device: .cpu))
        #expect(a.qr(complete: true).q.shape == [2, 5, 5])
        let (values, vectors): (Tensor, Tensor) = positive.eigh()
        expectClose((vectors * values.expandedDimensions(axis: -2)).matmul(vectors.mT), positive)
        expectClose(positive.eigenvaluesHermitian(), values)
        let (roots, columns): (Tensor, Tensor) = square.eig()
        expectClose(square.asType(.complex128).matmul(columns), columns * roots.expandedDimensions(axis: -2))
        expectClose(square.eigenvalues().sum(), square.asType(.complex128).diagonal().sum())
        let lower: Tensor = positive.cholesky()
        expectClose(lower.matmul(lower.mT), positive)
        let (p, l, upper): (Tensor, Tensor, Tensor) = square.lu()
        expectClose(p.matmul(l).matmul(upper), square)
        expectClose(square.inverse().matmul(square)[1], Tensor.eye(4, dtype: .float64, device: .cpu))
        #expect(a[0].matmul(a[0].mT).matrixRank().item(Int.self) == 3)
        #expect(throws: TorchError.self) { try withTorchErrors { (-positive).cholesky() } }
    }

    @Test func gatheringAndScattering() throws {
        let t: [String: Tensor] = try TorchReference.tensors(
            """
            x, s = t["x"], t["s"] = g(4, 5), g(4, 3)
            i, j = t["i"], t["j"] = torch.randint(0, 5, (4, 3)), torch.tensor([3, 0, 3])
            m = t["m"] = x > 0
            t["gather"], t["along"] = x.gather(1, i), torch.take_along_dim(x, x.argsort(0), 0)
            t["add"] = x.scatter_add(1, i, s)
            for name in ("sum", "prod", "mean", "amax", "amin"):
                t[name] = x.scatter_reduce(1, i, s, name, include_self=False)
            t["select"], t["indexAdd"] = x.index_select(0, j), x.index_add(0, j, s.new_ones(3, 5), alpha=2.0)
            t["fill"], t["maskedSelect"] = x.masked_fill(m, 9.0), x.masked_select(m)
            t["where"], t["whereNumber"] = torch.where(m, x, -x), torch.where(m, 1.0, x)
            t["nonzero"] = m.nonzero()
            row = t["row"] = g(7).sort().values
            t["left"], t["right"] = torch.searchsorted(row, x), torch.searchsorted(row, row, right=True)
            t["oneHot"] = F.one_hot(i, 6)
            t["values"], t["inverse"], t["counts"] = torch.unique(i, return_inverse=True, return_counts=True)
            t["rows"] = torch.unique(i[[0, 1, 0]], dim=0)
            t["distances"] = torch.cdist(x, x[:2], 1.0)
            t["grid0"], t["grid1"] = torch.meshgrid(row, s[0], indexing="ij")
            """)
        let (x, s, i): (Tensor, Tensor, Tensor) = (try #require(t["x"]), try #require(t["s"]), try #require(t["i"]))
        let (j, m, row): (Tensor, Tensor, Tensor) = (try #require(t["j"]), try #require(t["m"]), try #require(t["row"]))
        expectClose(x.gather(axis: 1, indices: i), t["gather"])
        expectClose(x.takeAlong(x.argSort(axis: 0), axis: 0), t["along"])
        expectClose(x.scatterAdd(axis: 1, indices: i, source: s), t["add"])
        for reduction in Tensor.ScatterReduction.allCases {
            let reduced: Tensor = x.scatterReduce(axis: 1, indices: i, source: s, reduction, includingSelf: false)
            expectClose(reduced, t[reduction.rawValue])
        }
        expectClose(x.indexSelect(axis: 0, indices: j), t["select"])
        expectClose(x.indexAdd(axis: 0, indices: j, source: Tensor.ones([3, 5], dtype: .float64), scale: 2), t["indexAdd"])
        expectClose(x.maskedFill(m, 9.0), t["fill"])
        expectClose(x.maskedSelect(m), t["maskedSelect"])
        expectClose(which(m, x, -x), t["where"])
        expectClose(which(m, 1.0, x), t["whereNumber"])
        expectClose(m.nonzero(), t["nonzero"])
        expectClose(row.searchSorted(x), t["left"])
        expectClose(row.searchSorted(row, right: true), t["right"])
        expectClose(i.oneHot(6), t["oneHot"])
        let (values, inverse, counts): (Tensor, Tensor, Tensor) = i.unique()
        expectClose(values, t["values"])
        expectClose(inverse, t["inverse"])
        expectClose(counts, t["counts"])
        expectClose(i[[0, 1, 0]].unique(axis: 0).values, t["rows"])
        expectClose(x.pairwiseDistances(to: x[..<2], order: 1), t["distances"])
        let grids: [Tensor] = meshgrid([row, s[0]])
        expectClose(grids[0], t["grid0"])
        expectClose(grids[1], t["grid1"])
    }
}
