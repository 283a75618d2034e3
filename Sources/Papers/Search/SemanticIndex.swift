import Foundation
import GRDB
import Torch

/// The vectors of all papers by one encoder.
///
/// `@unchecked`, since a `Tensor` is not `Sendable`: the matrix is made once, never leaves this object and is only read.
final class SemanticIndex: @unchecked Sendable {
    let encoder: any SentenceEncoder
    private let ids: [Int64]
    private let places: [Int64: Int]
    /// `[papers, dimensions]`, rows of unit length or zero.
    private let matrix: Tensor

    /// Reads the vectors of an encoder.
    init(_ encoder: any SentenceEncoder, _ database: Database) throws {
        self.encoder = encoder
        let cursor: RowCursor = try Row.fetchCursor(
            database, sql: "SELECT paperID, vector FROM embedding WHERE encoder = ? AND dimensions = ? ORDER BY paperID",
            arguments: [encoder.id, encoder.dimensions])
        var ids: [Int64] = []
        var elements: [Float] = []
        while let row = try cursor.next() {
            let vector: [Float] = Self.floats(row[1])
            guard vector.count == encoder.dimensions else { continue }
            ids.append(row[0])
            elements += vector
        }
        self.ids = ids
        places = Dictionary(uniqueKeysWithValues: ids.enumerated().map { ($1, $0) })
        matrix = Tensor(elements, [ids.count, encoder.dimensions], device: .cpu)
    }

    var count: Int { ids.count }

    /// A paper's vector; nil for a paper that is not encoded, or of which the encoder knows no word.
    func vector(of id: Int64) -> [Float]? {
        guard let place = places[id] else { return nil }
        let vector: [Float] = matrix[place].array(Float.self)
        return vector.contains { $0 != 0 } ? vector : nil
    }

    /// The query's vector: of its terms, where the encoder knows words, else of its text.
    func vector(of query: PaperQuery, _ terms: [QueryTerm]) throws -> [Float] {
        if let model = encoder as? LatentSemanticModel { return model.vector(of: terms) }
        let text: String = query.clauses.compactMap { clause -> String? in
            switch clause {
            case .word(let word): word
            case .phrase(let words): words.joined(separator: " ")
            case .excluded, .condition: nil
            }
        }.joined(separator: " ")
        return try encoder.encode([text]).first ?? []
    }

    /// The papers nearest to a unit vector, with the cosine.
    func nearest(to vector: [Float], _ count: Int) -> [(id: Int64, score: Double)] {
        guard !ids.isEmpty, count > 0 else { return [] }
        return noGrad {
            let (places, cosines): ([Int64], [Float]) = Self.largest(matrix.matmul(Tensor(vector, device: .cpu)), count)
            return zip(places, cosines).map { (ids[Int($0)], Double($1)) }
        }
    }

    /// The nearest of some papers.
    func nearest(to vector: [Float], _ count: Int, among papers: [Int64]) -> [(id: Int64, score: Double)] {
        let known: [Int64] = papers.compactMap { places[$0].map(Int64.init) }
        guard !known.isEmpty, count > 0 else { return [] }
        return noGrad {
            let rows: Tensor = matrix.indexSelect(axis: 0, indices: Tensor(known, device: .cpu))
            let (order, cosines): ([Int64], [Float]) = Self.largest(rows.matmul(Tensor(vector, device: .cpu)), count)
            return zip(order, cosines).map { (ids[Int(known[Int($0)])], Double($1)) }
        }
    }

    private static func largest(_ cosines: Tensor, _ count: Int) -> (places: [Int64], cosines: [Float]) {
        let (values, indices): (Tensor, Tensor) = cosines.topK(min(count, cosines.dim(0)))
        return (indices.array(Int64.self), values.array(Float.self))
    }

    static func floats(_ bytes: Data) -> [Float] {
        bytes.withUnsafeBytes { buffer in
            (0..<buffer.count / 4).map {
                Float(bitPattern: UInt32(littleEndian: buffer.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)))
            }
        }
    }

    static func bytes(_ vector: [Float]) -> Data {
        vector.map(\.bitPattern.littleEndian).withUnsafeBytes { Data($0) }
    }
}
