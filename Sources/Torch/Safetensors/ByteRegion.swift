import Foundation

/// Memory with the bytes of a file, released when the last holder goes. The address is a number, since what is read or
/// written through it is for the holders of tensors over the region to agree on.
final class ByteRegion: Sendable {
    private let address: UInt
    let count: Int
    private let isMapping: Bool

    private init(_ start: UnsafeMutableRawPointer, count: Int, isMapping: Bool) {
        address = UInt(bitPattern: start)
        self.count = count
        self.isMapping = isMapping
    }

    deinit {
        if isMapping { munmap(start, count) } else { start.deallocate() }
    }

    var start: UnsafeMutableRawPointer { UnsafeMutableRawPointer(bitPattern: address)! }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: count) }

    /// A copy of `data`, aligned for every element type.
    static func copying(_ data: Data) -> ByteRegion {
        let start: UnsafeMutableRawPointer = .allocate(byteCount: max(1, data.count), alignment: 64)
        data.copyBytes(to: UnsafeMutableRawBufferPointer(start: start, count: data.count))
        return ByteRegion(start, count: data.count, isMapping: false)
    }

    /// Maps a file privately: pages are read when they are touched, and writing to them copies them in memory and
    /// never reaches the file.
    static func mapping(_ url: URL) throws -> ByteRegion {
        func failure(_ operation: String) -> SafetensorsError {
            SafetensorsError(.inputOutput, file: url.path, "could not \(operation): \(String(cString: strerror(errno)))")
        }
        let descriptor: Int32 = open(url.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw failure("open") }
        defer { close(descriptor) }
        var status: stat = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure("stat") }
        guard status.st_mode & S_IFMT == S_IFREG else { throw SafetensorsError(.inputOutput, file: url.path, "it is no regular file") }
        let count: Int = Int(status.st_size)
        guard count > 0 else { return copying(Data()) }
        let flags: Int32 = MAP_PRIVATE | MAP_NORESERVE
        guard let start = mmap(nil, count, PROT_READ | PROT_WRITE, flags, descriptor, 0), start != MAP_FAILED else { throw failure("map") }
        return ByteRegion(start, count: count, isMapping: true)
    }
}
