import Torch

/// A fixture cannot be run or does not fit its handler, as one line.
struct FixtureError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// What a fixture gives an operator: the `in.*` tensors, float32 ones converted to the run's type, and the shapes of what is expected.
struct FixtureInputs {
    let file: SafetensorsFile
    /// float64 or float32.
    let dtype: DType
    /// The fixture's name after the operator's, such as `b1_t64_h2_k16_v24_state`, for options that stand nowhere else.
    let variant: String
    /// Inputs that record gradients, in place of those in the file.
    var leaves: [String: Tensor] = [:]

    /// Input `in.NAME`.
    func tensor(_ name: String) throws -> Tensor {
        if let leaf = leaves[name] { return leaf }
        let stored: Tensor = try file.tensor("in.\(name)")
        return stored.dtype == .float32 ? stored.asType(dtype) : stored
    }

    /// Input `in.NAME`, or nil where the file has none.
    func optional(_ name: String) throws -> Tensor? { file.contains("in.\(name)") ? try tensor(name) : nil }

    /// The option `in.NAME`, a tensor of one element.
    func double(_ name: String) throws -> Double { try file.tensor("in.\(name)").item(Double.self) }

    /// The option `in.NAME`, a tensor of one integer.
    func int(_ name: String) throws -> Int { try file.tensor("in.\(name)").item(Int.self) }

    /// The cotangent `cot.NAME` in the run's type.
    func cotangent(_ name: String) throws -> Tensor { try file.tensor("cot.\(name)").asType(dtype) }

    /// The names after `PREFIX.` of the file's tensors.
    func names(_ prefix: String) -> [String] {
        file.names.filter { $0.hasPrefix("\(prefix).") }.map { String($0.dropFirst(prefix.count + 1)) }.sorted()
    }

    /// Shape of any tensor of the file, for instance of an expected output that says how long it should be.
    func shape(_ name: String) throws -> [Int] {
        guard let info = file.info(name) else { throw FixtureError("the file has no \(name)") }
        return info.shape
    }
}
