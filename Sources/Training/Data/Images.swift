import Foundation
import Torch

/// An array of bytes in the idx format of MNIST.
public struct IDXArray: Sendable, Equatable {
    /// The sizes of the dimensions, outermost first.
    public let shape: [Int]
    /// The elements in row-major order.
    public let elements: [UInt8]

    /// Reads an idx file of unsigned bytes, plain or gzip's.
    public init(path: String) throws {
        try self.init(Gzip.readFile(path), path: path)
    }

    /// Reads an idx array from bytes; `path` names them in errors.
    public init(_ bytes: [UInt8], path: String) throws(DataFormatError) {
        var reader = ByteReader(bytes, path: path)
        let magic = Array(try reader.take(4, "the idx header"))
        guard magic[0] == 0 && magic[1] == 0 else { throw reader.error("not an idx file: it must start with two zero bytes", at: 0) }
        guard magic[2] == 0x08 else {
            throw reader.error("the idx element type is 0x\(String(magic[2], radix: 16)), expected 0x8 (unsigned byte)", at: 2)
        }
        guard magic[3] > 0 else { throw reader.error("the idx array has no dimension", at: 3) }
        var shape = [Int]()
        var count = 1
        for dimension in 0..<magic[3] {
            let size = Int(try reader.bigEndian32("the size of dimension \(dimension)"))
            let (product, overflow) = count.multipliedReportingOverflow(by: size)
            guard !overflow else { throw reader.error("the idx dimensions \(shape + [size]) are too large") }
            shape.append(size)
            count = product
        }
        guard count == reader.remaining else {
            throw reader.error("the dimensions \(shape) need \(count) bytes, the file has \(reader.remaining)")
        }
        self.shape = shape
        elements = Array(bytes[reader.offset...])
    }
}

/// Labelled images of one size, as bytes.
public struct LabelledImages: Sendable, Equatable {
    public let channels: Int
    public let height: Int
    public let width: Int
    /// The class of each image.
    public let labels: [UInt8]
    /// [N, channels, height, width] in row-major order, 0 to 255.
    public let pixels: [UInt8]

    public var count: Int { labels.count }
    public var imageSize: Int { channels * height * width }

    /// Image `index`, [channels, height, width], scaled to 0...1.
    public func image(_ index: Int) -> [Float] {
        pixels[index * imageSize..<(index + 1) * imageSize].map { Float($0) / 255 }
    }

    /// Image `index`, [channels, side, side], each pixel the mean of the area that it covers in the original.
    public func image(_ index: Int, resizedTo side: Int) -> [Float] {
        precondition(side > 0, "an image of \(side) pixels to a side")
        let (columns, rows): ([AreaWeights], [AreaWeights]) = (
            AreaWeights.all(from: width, to: side), AreaWeights.all(from: height, to: side)
        )
        let source: [Float] = image(index)
        return (0..<channels).flatMap { channel in
            rows.flatMap { row in
                columns.map { column in row.mean { y in column.mean { x in source[(channel * height + y) * width + x] } } }
            }
        }
    }

    /// The CIFAR-10 binary format: records of a label and 3 x 32 x 32 bytes, plane by plane; plain or gzip's.
    public static func cifar10(path: String) throws -> LabelledImages {
        let bytes = try Gzip.readFile(path)
        let record = 1 + 3 * 32 * 32
        guard !bytes.isEmpty && bytes.count % record == 0 else {
            throw DataFormatError(path: path, "has \(bytes.count) bytes, not a whole number of CIFAR-10 records of \(record) bytes")
        }
        var labels = [UInt8]()
        var pixels = [UInt8]()
        pixels.reserveCapacity(bytes.count)
        for start in stride(from: 0, to: bytes.count, by: record) {
            guard bytes[start] < 10 else {
                throw DataFormatError(path: path, at: .offset(start), "the label is \(bytes[start]), expected 0 to 9")
            }
            labels.append(bytes[start])
            pixels.append(contentsOf: bytes[start + 1..<start + record])
        }
        return LabelledImages(channels: 3, height: 32, width: 32, labels: labels, pixels: pixels)
    }
}

/// What one pixel of a resized row takes from the original's: neighbours with the shares that they have in it, which sum to 1.
private struct AreaWeights {
    let first: Int
    let shares: [Float]

    static func all(from size: Int, to target: Int) -> [AreaWeights] {
        (0..<target).map { index in
            let (start, end): (Double, Double) = (Double(index * size) / Double(target), Double((index + 1) * size) / Double(target))
            let covered: Range<Int> = Int(start)..<min(size, Int(end.rounded(.up)))
            let shares: [Float] = covered.map { Float((min(end, Double($0 + 1)) - max(start, Double($0))) / (end - start)) }
            return AreaWeights(first: covered.lowerBound, shares: shares)
        }
    }

    func mean(_ value: (Int) -> Float) -> Float {
        shares.indices.reduce(0) { $0 + shares[$1] * value(first + $1) }
    }
}

/// The CIFAR-10 photographs.
public enum CIFAR10 {
    public enum Part: String, Sendable { case train, test }

    /// The folder of the JPEG copy (`cifar10-jpeg`) or else of the set itself; throws as `DataDirectory.locate` where there is neither.
    public static func locate(in data: DataDirectory) throws(DataSourceError) -> String {
        if let copy = try? data.locate("cifar10-jpeg") { return copy }
        return try data.locate("cifar10")
    }

    /// Reads one part from the set's folder (``locate(in:)``): every file whose name begins with `train` or `data_batch`,
    /// respectively `test`, in the order of their names.
    public static func load(_ part: Part, folder: String) throws -> LabelledImages {
        let prefixes: [String] = part == .train ? ["train", "data_batch"] : ["test"]
        let entries: [String]
        do { entries = try FileManager.default.contentsOfDirectory(atPath: folder).sorted() } catch {
            throw DataFormatError(path: folder, "is not a folder that can be read")
        }
        let files: [String] = entries.filter { name in
            (name.hasSuffix(".bin") || name.hasSuffix(".bin.gz")) && prefixes.contains { name.hasPrefix($0) }
        }
        guard !files.isEmpty else { throw DataFormatError(path: folder, "has no \(prefixes[0])*.bin with CIFAR-10 records") }
        let parts: [LabelledImages] = try files.map { try LabelledImages.cifar10(path: "\(folder)/\($0)") }
        return LabelledImages(
            channels: 3, height: 32, width: 32, labels: parts.flatMap(\.labels), pixels: parts.flatMap(\.pixels))
    }
}

/// The MNIST digits.
public enum MNIST {
    public enum Part: String, Sendable { case train, test }

    /// Reads one part from the set's folder (`DataDirectory.locate("mnist")`), from files that are plain or gzip's.
    public static func load(_ part: Part, folder: String) throws -> LabelledImages {
        let prefix = part == .train ? "train" : "t10k"
        let images = try IDXArray(path: file(folder, "\(prefix)-images-idx3-ubyte"))
        let labelPath = file(folder, "\(prefix)-labels-idx1-ubyte")
        let labels = try IDXArray(path: labelPath)
        guard images.shape.count == 3 else {
            throw DataFormatError(path: folder, "the images have \(images.shape.count) dimensions, expected 3")
        }
        guard labels.shape == [images.shape[0]] else {
            throw DataFormatError(path: labelPath, "has labels of shape \(labels.shape) for \(images.shape[0]) images")
        }
        return LabelledImages(
            channels: 1, height: images.shape[1], width: images.shape[2], labels: labels.elements, pixels: images.elements)
    }

    private static func file(_ folder: String, _ name: String) -> String {
        let plain = folder + "/" + name
        return access(plain, R_OK) == 0 ? plain : plain + ".gz"
    }
}
