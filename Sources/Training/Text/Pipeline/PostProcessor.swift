/// Puts special tokens around the ids of a text or of two (`post_processor` in the file).
struct PostProcessor: Sendable {
    /// A part of what comes out.
    enum Piece: Sendable {
        case first(typeID: Int)
        case second(typeID: Int)
        case tokens([Int], typeID: Int)
    }

    let single: [Piece]
    let pair: [Piece]

    /// Ids as they are, the second text's after the first's.
    private static let plain = PostProcessor(single: [.first(typeID: 0)], pair: [.first(typeID: 0), .second(typeID: 1)])

    private init(single: [Piece], pair: [Piece]) {
        self.single = single
        self.pair = pair
    }

    /// Reads the field; without one nothing is added.
    init(_ field: JSONField?) throws {
        guard let field else {
            self = Self.plain
            return
        }
        let type = try field.type()
        switch type {
        case "ByteLevel": self = Self.plain
        case "TemplateProcessing": try self.init(template: field)
        case "BertProcessing", "RobertaProcessing": try self.init(classifier: field, isRoberta: type == "RobertaProcessing")
        case "Sequence": try self.init(sequence: field)
        default: throw field.unsupported("post-processor \(type)")
        }
    }

    private init(sequence field: JSONField) throws {
        let steps = try field.required("processors").elements()
        // Byte-level processors only move offsets, which are not kept here.
        let effective = try steps.filter { try $0.type() != "ByteLevel" }
        guard effective.count <= 1 else { throw field.unsupported("a sequence of several templates") }
        try self.init(effective.first)
    }

    private init(template field: JSONField) throws {
        let tokens = try field.required("special_tokens")
        single = try Self.pieces(field.required("single"), tokens, isPair: false)
        pair = try Self.pieces(field.required("pair"), tokens, isPair: true)
    }

    private static func pieces(_ template: JSONField, _ tokens: JSONField, isPair: Bool) throws -> [Piece] {
        try template.elements().map { element in
            if let sequence = try element.optional("Sequence") {
                let typeID = Int(try sequence.required("type_id").id())
                switch try sequence.required("id").text() {
                case "A": return .first(typeID: typeID)
                case "B" where isPair: return .second(typeID: typeID)
                default: throw sequence.invalid("the id must be \(isPair ? "A or B" : "A")")
                }
            }
            let special = try element.required("SpecialToken")
            let name = try special.required("id").text()
            let ids = try tokens.required(name).required("ids").elements().map { Int(try $0.id()) }
            return .tokens(ids, typeID: Int(try special.required("type_id").id()))
        }
    }

    /// `[CLS] A [SEP] B [SEP]` of BERT, `<s> A </s></s> B </s>` of RoBERTa, whose type ids are all 0.
    private init(classifier field: JSONField, isRoberta: Bool) throws {
        let classID = try Self.tokenID(field.required("cls"))
        let separatorID = try Self.tokenID(field.required("sep"))
        let secondType = isRoberta ? 0 : 1
        single = [.tokens([classID], typeID: 0), .first(typeID: 0), .tokens([separatorID], typeID: 0)]
        pair =
            single + (isRoberta ? [.tokens([separatorID], typeID: 0)] : [])
            + [.second(typeID: secondType), .tokens([separatorID], typeID: secondType)]
    }

    /// The id in `["[CLS]", 101]`.
    private static func tokenID(_ field: JSONField) throws -> Int {
        let parts = try field.elements()
        guard parts.count == 2 else { throw field.invalid("expected a token and its id") }
        return Int(try parts[1].id())
    }

    /// The ids of one text.
    func process(_ ids: [Int]) -> [Int] { assemble(single, first: ids, second: []).ids }

    /// The ids of two texts, and for each which segment it belongs to.
    func process(_ first: [Int], _ second: [Int]) -> (ids: [Int], typeIDs: [Int]) { assemble(pair, first: first, second: second) }

    private func assemble(_ pieces: [Piece], first: [Int], second: [Int]) -> (ids: [Int], typeIDs: [Int]) {
        var ids: [Int] = []
        var typeIDs: [Int] = []
        for piece in pieces {
            let (part, typeID) =
                switch piece {
                case .first(let typeID): (first, typeID)
                case .second(let typeID): (second, typeID)
                case .tokens(let tokens, let typeID): (tokens, typeID)
                }
            ids.append(contentsOf: part)
            typeIDs.append(contentsOf: repeatElement(typeID, count: part.count))
        }
        return (ids, typeIDs)
    }
}
