import Foundation

/// A process that leads a group of its own, whose output is read line by line on two threads, and whose standard input ends with this process.
final class ChildProcess {
    /// Where a child finds the listening socket that it was handed.
    static let listeningDescriptor: Int32 = 3

    let rank: Int
    private(set) var status: ProcessStatus?
    private let identifier: pid_t
    private let input: Int32
    private var readers: [DispatchSemaphore] = []

    /// - Throws: ``LaunchError/notStarted(command:reason:)``.
    init(_ command: [String], environment: [String: String], rank: Int, listening: ListeningSocket?, output: PrefixedOutput) throws {
        self.rank = rank
        let (input, out, errors): (Pipe, Pipe, Pipe) = (try Pipe(), try Pipe(), try Pipe())
        let spawn: Spawn = Spawn()
        spawn.duplicate(input.reading, as: STDIN_FILENO)
        spawn.duplicate(out.writing, as: STDOUT_FILENO)
        spawn.duplicate(errors.writing, as: STDERR_FILENO)
        if let listening { spawn.duplicate(listening.descriptor, as: Self.listeningDescriptor) }
        let started: Result<pid_t, LaunchError> = spawn.start(command, environment: environment)
        for descriptor in [input.reading, out.writing, errors.writing] { close(descriptor) }
        switch started {
        case .success(let made): identifier = made
        case .failure(let error):
            for descriptor in [input.writing, out.reading, errors.reading] { close(descriptor) }
            throw error
        }
        self.input = input.writing
        for (source, target) in [(out.reading, STDOUT_FILENO), (errors.reading, STDERR_FILENO)] {
            readers.append(Self.read(source) { output.write($0, rank: rank, to: target) })
        }
    }

    deinit { close(input) }

    /// The status, where it has ended.
    func poll() -> ProcessStatus? { look(WNOHANG) }

    func wait() { _ = look(0) }

    private func look(_ options: Int32) -> ProcessStatus? {
        if status != nil { return status }
        var code: Int32 = 0
        if waitpid(identifier, &code, options) == identifier {
            status = code & 0x7f == 0 ? .exited((code >> 8) & 0xff) : .signalled(code & 0x7f)
        }
        return status
    }

    /// Sends a signal to the process and what it has started itself.
    func signal(_ number: Int32) {
        if status == nil { kill(-identifier, number) }
    }

    /// Waits for the end, then for what is left of the output, but no longer than a second: a grandchild may hold it open.
    func finish() {
        wait()
        for reader in readers { _ = reader.wait(timeout: .now() + 1) }
    }

    // MARK: Pipes

    private struct Pipe {
        let reading: Int32
        let writing: Int32

        init() throws {
            var ends: [Int32] = [0, 0]
            guard pipe(&ends) == 0 else { throw LaunchError.notStarted(command: "a process", reason: String(cString: strerror(errno))) }
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            (reading, writing) = (ends[0], ends[1])
        }
    }

    /// Gives each line of a descriptor to `body` on a thread of its own, and closes it at its end.
    private static func read(_ descriptor: Int32, _ body: @escaping @Sendable (ArraySlice<UInt8>) -> Void) -> DispatchSemaphore {
        let done: DispatchSemaphore = DispatchSemaphore(value: 0)
        Thread.detachNewThread {
            var rest: [UInt8] = []
            var buffer: [UInt8] = [UInt8](repeating: 0, count: 1 << 16)
            while true {
                let count: Int = Foundation.read(descriptor, &buffer, buffer.count)
                if count < 0, errno == EINTR { continue }
                if count <= 0 { break }
                rest += buffer[..<count]
                var lines: [ArraySlice<UInt8>] = rest.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
                rest = Array(lines.removeLast())
                lines.forEach(body)
            }
            if !rest.isEmpty { body(rest[...]) }
            close(descriptor)
            done.signal()
        }
        return done
    }
}

/// `posix_spawn` and what it needs. A fork would copy libtorch's threads away.
private final class Spawn {
    #if canImport(Darwin)
        private var actions: posix_spawn_file_actions_t?
        private var attributes: posix_spawnattr_t?
    #else
        private var actions: posix_spawn_file_actions_t = posix_spawn_file_actions_t()
        private var attributes: posix_spawnattr_t = posix_spawnattr_t()
    #endif

    init() {
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
        posix_spawnattr_setpgroup(&attributes, 0)
    }

    deinit {
        posix_spawn_file_actions_destroy(&actions)
        posix_spawnattr_destroy(&attributes)
    }

    func duplicate(_ descriptor: Int32, as target: Int32) { posix_spawn_file_actions_adddup2(&actions, descriptor, target) }

    func start(_ command: [String], environment: [String: String]) -> Result<pid_t, LaunchError> {
        let words: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
        let variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in words + variables { free(text) } }
        var identifier: pid_t = 0
        let code: Int32 = posix_spawnp(&identifier, command[0], &actions, &attributes, words, variables)
        if code == 0 { return .success(identifier) }
        return .failure(.notStarted(command: command[0], reason: String(cString: strerror(code))))
    }
}
