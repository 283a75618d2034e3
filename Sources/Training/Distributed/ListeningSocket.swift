import Foundation

/// A TCP socket that listens on a port which the system chose, so that nobody else can take the port before rank 0 serves on it.
public final class ListeningSocket {
    public let descriptor: Int32
    public let port: Int

    /// - Parameter port: 0 lets the system choose.
    /// - Throws: ``DistributedError/environment(_:)`` where no socket is to be had or the port is taken.
    public init(port: Int = 0) throws {
        #if os(Linux)
            let kind: Int32 = Int32(SOCK_STREAM.rawValue)
        #else
            let kind: Int32 = SOCK_STREAM
        #endif
        let made: Int32 = socket(AF_INET6, kind, 0)
        guard made >= 0 else { throw Self.failure("no socket for the rendezvous") }
        var (yes, no): (Int32, Int32) = (1, 0)
        setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        setsockopt(made, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &no, socklen_t(MemoryLayout<Int32>.size))
        var address: sockaddr_in6 = sockaddr_in6()
        address.sin6_family = sa_family_t(AF_INET6)
        address.sin6_port = in_port_t(port).bigEndian
        var length: socklen_t = socklen_t(MemoryLayout<sockaddr_in6>.size)
        let status: Int32 = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(made, $0, length) != 0 || listen(made, 128) != 0 || getsockname(made, $0, &length) != 0 ? -1 : 0
            }
        }
        guard status == 0 else {
            let failure: DistributedError = Self.failure("port \(port) for the rendezvous")
            close(made)
            throw failure
        }
        descriptor = made
        self.port = Int(in_port_t(bigEndian: address.sin6_port))
    }

    deinit { close(descriptor) }

    private static func failure(_ what: String) -> DistributedError {
        .environment("\(what) is not to be had: \(String(cString: strerror(errno)))")
    }
}
