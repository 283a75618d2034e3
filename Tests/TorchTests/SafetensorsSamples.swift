import Foundation
import Torch

/// Files laid out by hand, so that they can be wrong in every way.
enum SafetensorsSamples {
    /// Length field, header text and data as they stand.
    static func file(header: String, data: [UInt8], length: UInt64? = nil) -> Data {
        let text: [UInt8] = Array(header.utf8)
        let count: [UInt8] = withUnsafeBytes(of: (length ?? UInt64(text.count)).littleEndian) { Array($0) }
        return Data(count + text + data)
    }

    /// A file of one F32 tensor `x` of two elements, with the given entry in place of the right one.
    static func entry(_ entry: String, dataCount: Int = 8) -> Data {
        file(header: "{\"x\":\(entry)}", data: Array(repeating: 0, count: dataCount))
    }

    /// Small tensors of every dtype that the format and Linnet share; among them a scalar and ones without elements.
    static func everyKind() -> [String: Tensor] {
        [
            "f64": Tensor([1.5, -2, .infinity], [3]), "f32": Tensor([0.1, -0.2, 3, 4, 5, 6] as [Float], [2, 3]),
            "f16": Tensor([0.5, -65504], dtype: .float16), "bf16": Tensor([1e30, -3.0], dtype: .bfloat16),
            "i64": Tensor([Int64.min, .max], [2, 1]), "i32": Tensor([Int32.min, 7, .max]), "i16": Tensor([Int16.min, 7, .max]),
            "i8": Tensor([Int8.min, 7, .max]), "u8": Tensor([0, 7, 255] as [UInt8]), "bool": Tensor([true, false, true]),
            "c64": Tensor([1.0, 2.0], dtype: .complex64), "scalar": Tensor(2.5 as Float), "none": Tensor.zeros([0]),
            "none of many": Tensor.zeros([3, 0, 2], dtype: .int64),
        ]
    }
}
