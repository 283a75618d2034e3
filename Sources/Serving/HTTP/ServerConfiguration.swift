import Torch

/// What a ``CompletionServer`` is called, where it listens, and the bounds of its requests.
public struct ServerConfiguration: Sendable {
    /// Addresses that only this machine reaches.
    public static let loopbackHosts: Set<String> = ["127.0.0.1", "::1", "localhost"]

    public var modelName: String
    public var host: String
    /// 0 takes a free one.
    public var port: Int
    /// What clients have to send as `Authorization: Bearer`; nil asks for nothing.
    public var apiKey: String?
    public var chatTemplate: ChatTemplate
    /// Most tokens that a request may ask for, and as many as a chat gets that does not say.
    public var maximumTokens: Int
    /// Most bytes of a request's body.
    public var bodyLimit: Int
    /// Seconds that a connection may take for its headers and body, or be idle between requests.
    public var idleTimeout: Double
    /// Seconds that running requests get to end when the server is stopped.
    public var grace: Double

    /// - Throws: `ConfigurationError` naming the first setting that is out of its range, or when an address that other machines reach comes
    ///   without a key.
    public init(
        modelName: String, host: String = "127.0.0.1", port: Int = 8080, apiKey: String? = nil, chatTemplate: ChatTemplate = .plain,
        maximumTokens: Int = 1024, bodyLimit: Int = 1 << 20, idleTimeout: Double = 60, grace: Double = 10
    ) throws {
        self.modelName = modelName
        self.host = host
        self.port = port
        self.apiKey = apiKey
        self.chatTemplate = chatTemplate
        self.maximumTokens = maximumTokens
        self.bodyLimit = bodyLimit
        self.idleTimeout = idleTimeout
        self.grace = grace
        if !(0...65_535).contains(port) { throw ConfigurationError("serving: port is \(port); it has to be 0 to 65535") }
        if apiKey?.isEmpty == true { throw ConfigurationError("serving: the API key is empty; give one, or leave it out") }
        if apiKey == nil, !Self.loopbackHosts.contains(host) {
            throw ConfigurationError("serving: other machines reach \(host), so an API key is needed (--api-key or LINNET_API_KEY)")
        }
        for (name, value) in [("maximumTokens", maximumTokens), ("bodyLimit", bodyLimit)] where value < 1 {
            throw ConfigurationError("serving: \(name) is \(value); it has to be at least 1")
        }
        if !(idleTimeout > 0 && idleTimeout.isFinite) {
            throw ConfigurationError("serving: idleTimeout is \(idleTimeout); it has to be above 0 and finite")
        }
        if !(grace >= 0 && grace.isFinite) { throw ConfigurationError("serving: grace is \(grace); it has to be at least 0 and finite") }
    }
}
