import Foundation
import Torch

/// Runs fixtures through the operators of a registry.
struct FixtureHarness: Sendable {
    let operators: [FixtureOperator]
    /// Operators that do not exist yet, by name.
    let pending: [String]

    enum Outcome {
        /// Names of the file's tensors that were compared.
        case passed(compared: Set<String>)
        case pending(operatorName: String)
        case failed([String])
    }

    /// Relative to the largest entry: a float64 run against float64 values, against the same rounded to float32, and a float32 run.
    private enum Tolerance {
        static let float64: Double = 1e-9
        static let rounding: Double = 1e-7
        static let float32: Double = 1e-4
    }

    func run(_ fixture: FixtureCase) -> Outcome {
        guard let name = operatorName(of: fixture.name) else {
            return .failed([
                "\(fixture.name): unknown operator; known are \((operators.map(\.name) + pending).sorted().joined(separator: ", "))"
            ])
        }
        guard let found = operators.first(where: { $0.name == name }) else { return .pending(operatorName: name) }
        do {
            let file: SafetensorsFile = try SafetensorsFile(fixture.file)
            var failures: [String] = []
            var compared: Set<String> = []
            for form in found.forms {
                for dtype in [DType.float64, .float32] {
                    let variant: String = String(fixture.name.dropFirst(name.count + 1))
                    let inputs: FixtureInputs = FixtureInputs(file: file, dtype: dtype, variant: variant)
                    let values: [String: Tensor] = try withTorchErrors { try form.evaluate(inputs) }
                    let place: String = [fixture.name, form.label, "\(dtype)"].filter { !$0.isEmpty }.joined(separator: " ")
                    failures += try compare(values, with: inputs, place: place, compared: &compared)
                }
            }
            let expected: Set<String> = Set(file.names.filter { !$0.hasPrefix("in.") && !$0.hasPrefix("cot.") })
            let left: [String] = expected.subtracting(compared).sorted()
            if expected.isEmpty { failures.append("\(fixture.name): the file expects nothing") }
            if !left.isEmpty { failures.append("\(fixture.name): the handler computes no \(left.joined(separator: ", "))") }
            return failures.isEmpty ? .passed(compared: compared) : .failed(failures)
        } catch {
            return .failed(["\(fixture.name): \(error)"])
        }
    }

    /// The longest operator name that the fixture's name begins with, up to its end or `_`.
    func operatorName(of fixture: String) -> String? {
        (operators.map(\.name) + pending).filter { fixture == $0 || fixture.hasPrefix("\($0)_") }.max { $0.count < $1.count }
    }

    private func compare(
        _ values: [String: Tensor], with inputs: FixtureInputs, place: String, compared: inout Set<String>
    ) throws -> [String] {
        var failures: [String] = []
        for (name, actual) in values.sorted(by: { $0.key < $1.key }) {
            for (key, tolerance) in expectations(for: name, dtype: inputs.dtype) where inputs.file.contains(key) {
                compared.insert(key)
                let scale: Double? = name == "out.loss" && inputs.dtype == .float32 ? try lossScale(inputs) : nil
                let comparison: FixtureComparison = FixtureComparison(
                    expected: try inputs.file.tensor(key), actual: actual, tolerance: tolerance, scale: scale)
                if let failure = comparison.failure() { failures.append("\(place): \(key): \(failure)") }
            }
        }
        return failures
    }

    /// The tensors of the file that a value is compared with: `out64.o` and `out.o` for `out.o`.
    private func expectations(for name: String, dtype: DType) -> [(key: String, tolerance: Double)] {
        let dot: String.Index = name.firstIndex(of: ".") ?? name.endIndex
        let exact: String = "\(name[..<dot])64\(name[dot...])"
        guard dtype == .float64 else { return [(exact, Tolerance.float32), (name, Tolerance.float32)] }
        return [(exact, Tolerance.float64), (name, Tolerance.rounding)]
    }

    /// The size of a loss before its terms cancel, which is what a float32 sum is accurate to.
    private func lossScale(_ inputs: FixtureInputs) throws -> Double? {
        let sizes: [Double] = try inputs.names("cot").filter { inputs.file.contains("out.\($0)") }.map { name in
            (try inputs.file.tensor("out.\(name)") * inputs.file.tensor("cot.\(name)")).abs().sum().item()
        }
        return sizes.isEmpty ? nil : sizes.reduce(0, +)
    }
}
