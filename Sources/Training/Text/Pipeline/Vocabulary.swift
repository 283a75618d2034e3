/// Tokens and their ids, both ways. Tokens are UTF-8 bytes, so that canonically equivalent tokens stay apart.
struct Vocabulary: Sendable {
    /// Ids stay below this, so that the vocabulary's size fits 32 bits with sign.
    private static let idLimit = UInt32(Int32.max)

    private(set) var ids: [[UInt8]: UInt32] = [:]
    private(set) var tokens: [UInt32: [UInt8]] = [:]

    /// Reads an object of token and id.
    init(_ field: JSONField) throws {
        let members = try field.members()
        ids.reserveCapacity(members.count)
        tokens.reserveCapacity(members.count)
        for member in members {
            let name = String(decoding: member.key, as: UTF8.self)
            guard case .integer(let number) = member.value, let id = UInt32(exactly: number), id < Self.idLimit else {
                throw field.invalid("the id of \(name.debugDescription) must be a whole number below \(Self.idLimit)")
            }
            if let other = tokens[id], other != member.key {
                throw field.invalid("id \(id) is given to two tokens, \(name.debugDescription) is the second")
            }
            if let earlier = ids.updateValue(id, forKey: member.key), earlier != id { tokens[earlier] = nil }
            tokens[id] = member.key
        }
    }

    var count: Int { ids.count }

    /// The id that a field's token has.
    func id(of field: JSONField) throws -> UInt32 {
        let token = try field.bytes()
        guard let id = ids[token] else {
            throw field.invalid("\(String(decoding: token, as: UTF8.self).debugDescription) is not in the vocabulary")
        }
        return id
    }
}
