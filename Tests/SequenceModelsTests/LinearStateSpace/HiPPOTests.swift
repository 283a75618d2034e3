import TestSupport
import Testing
import Torch

@testable import SequenceModels

/// HiPPO matrices, their discretisations, and what their states remember.
@Suite(.ownRandomNumbers) struct HiPPOTests {
    @Test(arguments: [HiPPO.legs, .legt])
    func constantInputSettlesAtTheFirstBasisFunction(_ measure: HiPPO) {
        let (A, B): (Tensor, Tensor) = measure.matrices(order: 24, device: .cpu)
        #expect(relativeError(A.selected(axis: 1, index: 0), -B) < 1e-14)
        let (transition, drive): (Tensor, Tensor) = generalizedBilinear(A: A, B: B, dt: 0.5)
        var state: Tensor = drive.zerosLike()
        for _ in 0..<400 { state = transition.matmul(state) + drive }
        let first: Tensor = Tensor.eye(24, dtype: .float64, device: .cpu).selected(axis: 0, index: 0)
        #expect(relativeError(state, first) < 1e-9)
    }

    @Test(arguments: HiPPO.allCases)
    func bilinearTransformIsStableForEveryStep(_ measure: HiPPO) {
        let (A, B): (Tensor, Tensor) = measure.matrices(order: 16, device: .cpu)
        for step in [1e-4, 1e-2, 1, 100] {
            let radius: Double = generalizedBilinear(A: A, B: B, dt: step).A.eigenvalues().abs().max().item()
            #expect(radius < 1, "step \(step)")
        }
        // Euler's method is not, which shows that the test can see instability.
        let euler: Double = generalizedBilinear(A: A, B: B, dt: 100, alpha: 0).A.eigenvalues().abs().max().item()
        #expect(euler > 1)
    }

    @Test(arguments: [0, 0.5, 1])
    func transformSatisfiesItsImplicitEquation(_ alpha: Double) {
        let (A, B): (Tensor, Tensor) = HiPPO.legs.matrices(order: 8, device: .cpu)
        let (transition, drive): (Tensor, Tensor) = generalizedBilinear(A: A, B: B, dt: 0.3, alpha: alpha)
        let state: Tensor = Tensor.normal([8], dtype: .float64, device: .cpu, generator: RandomGenerator(seed: 1, device: .cpu))
        let next: Tensor = transition.matmul(state) + drive * 2.0
        let slope: Tensor = A.matmul(next * alpha + state * (1 - alpha)) + B * 2.0
        #expect(relativeError(next, state + slope * 0.3) < 1e-12)
    }

    @Test func bilinearTransformConvergesToTheExactOne() {
        let (A, B): (Tensor, Tensor) = HiPPO.legt.matrices(order: 4, device: .cpu)
        func error(_ step: Double) -> Double {
            relativeError(generalizedBilinear(A: A, B: B, dt: step).A, zeroOrderHold(A: A, B: B, dt: step).A)
        }
        // Third order in one step.
        #expect(error(0.005) < error(0.01) / 7 && error(0.01) > 0)
    }

    /// One state, A = -1, B = 1, backward Euler with Δ = exp(z) is the gate of a recurrent network (lemma 3.1).
    @Test func oneStateIsASigmoidGate() {
        let z: Tensor = .linspace(-4, 4, count: 9, dtype: .float64, device: .cpu)
        let (A, B): (Tensor, Tensor) = (Tensor([-1.0], [1, 1], device: .cpu), Tensor([1.0], device: .cpu))
        let (keep, write): (Tensor, Tensor) = generalizedBilinear(A: A, B: B, dt: z.exp(), alpha: 1)
        #expect(relativeError(write.flattened(), z.sigmoid()) < 1e-12)
        #expect(relativeError(keep.flattened(), 1.0 - z.sigmoid()) < 1e-12)
    }

    /// A smooth signal on every r-th sample with r times the step ends in the same state.
    @Test(arguments: [2, 4])
    func resamplingWithAScaledStepKeepsTheState(_ factor: Int) {
        let (A, B): (Tensor, Tensor) = HiPPO.legs.matrices(order: 16, device: .cpu)
        func final(_ factor: Int) -> Tensor {
            let (length, step): (Int, Double) = (2000 / factor, 1e-3 * Double(factor))
            let times: Tensor = (Tensor.arange(length, dtype: .float64, device: .cpu) + 1.0) * step
            let signal: Tensor = (times * 6.0).sin() + (times * 2.5).cos() * 0.5
            let system: (A: Tensor, B: Tensor) = generalizedBilinear(A: A, B: B, dt: step)
            return krylov(A: system.A, B: system.B, length: length).flipped(axes: [-1]).matmul(signal)
        }
        let reference: Tensor = final(1)
        let change: Double = ((final(factor) - reference).norm() / reference.norm()).item()
        #expect(change < 0.01)
    }

    /// The state of LegT holds the last window of the input in Legendre polynomials.
    @Test func legtStateReconstructsItsWindow() {
        #expect(windowError(HiPPO.legt.matrices(order: 32, device: .cpu)) < 0.05)
        let random: Tensor = .normal([32, 32], dtype: .float64, device: .cpu, generator: RandomGenerator(seed: 3, device: .cpu)) / 32.0
        #expect(windowError((random, HiPPO.legt.matrices(order: 32, device: .cpu).B)) > 0.5)
    }

    private func windowError(_ system: (A: Tensor, B: Tensor)) -> Double {
        let (step, length, order): (Double, Int, Int) = (1e-3, 4000, 32)
        let window: Int = Int(HiPPO.defaultWindow / step)
        let times: Tensor = (Tensor.arange(length, dtype: .float64, device: .cpu) + 1.0) * step
        let signal: Tensor = (times * 5.0).sin() + (times * 9.0).cos() * 0.7
        let (transition, drive): (Tensor, Tensor) = generalizedBilinear(A: system.A, B: system.B, dt: step)
        let state: Tensor = krylov(A: transition, B: drive, length: length).flipped(axes: [-1]).matmul(signal)
        let past: Tensor = signal.narrowed(axis: 0, start: length - window, length: window)
        let places: Tensor = .linspace(-1, 1, count: window, dtype: .float64, device: .cpu)
        let found: Tensor = legendreSeries(state, at: places, order: order)
        return ((found - past).norm() / past.norm()).item()
    }

    /// `Σ x_n √(2n+1) P_n(s)`.
    private func legendreSeries(_ coefficients: Tensor, at places: Tensor, order: Int) -> Tensor {
        var polynomials: [Tensor] = [places.onesLike(), places]
        for n in 1..<(order - 1) {
            polynomials.append((places * polynomials[n] * Double(2 * n + 1) - polynomials[n - 1] * Double(n)) / Double(n + 1))
        }
        let norms: Tensor = Tensor((0..<order).map { Double(2 * $0 + 1).squareRoot() }, device: .cpu)
        return (coefficients * norms).matmul(stacked(polynomials))
    }
}
