import Foundation
import SequenceModels
import Torch
import Training

/// Questions about scenes of handwritten digits: a grid of two by two cells, some of them empty, on 56 x 56 pixels.
struct DigitScenes: Sendable {
    /// A scene's cells (rows first; -1 is an empty one), and a question about it.
    struct Scene: Sendable {
        let cells: [Int]
        let question: [Int]
        let answer: Int
    }

    static let side: Int = 28
    static let patchSide: Int = 7
    static let patches: Int = 64
    static let questionLength: Int = 5

    private static let words: [String] = [
        "?", "a", "at", "bottom", "digit", "empty", "how", "is", "left", "many", "no", "of", "right", "row", "sum", "there", "top", "yes",
    ]
    /// Words, then the numbers 0 to 18.
    static let vocabularySize: Int = words.count + 19

    /// Pixels of the digits, `[count, 784]`, and their labels.
    private let pixels: [Float]
    private let labels: [Int]
    /// Fixed scenes; empty where each batch draws its own.
    let scenes: [Scene]

    /// - Parameters:
    ///   - images: of digits.
    ///   - range: which of them the scenes are made of.
    ///   - count: scenes.
    ///   - seed: of the scenes.
    init(_ images: LabelledImages, _ range: Range<Int>, count: Int, seed: UInt64) {
        pixels = range.flatMap { images.image($0) }
        labels = range.map { Int(images.labels[$0]) }
        var random: SplitMix64 = SplitMix64(seed: seed)
        let labels: [Int] = labels
        scenes = (0..<count).map { _ in Self.scene(labels, &random) }
    }

    static func number(_ value: Int) -> Int { words.count + value }
    static func word(_ word: String) -> Int { words.firstIndex(of: word) ?? 0 }

    // MARK: Scenes and questions

    private static func scene(_ labels: [Int], _ random: inout SplitMix64) -> Scene {
        func draw(_ bound: Int) -> Int { Int(random.next(below: UInt64(bound))) }
        var cells: [Int] = (0..<4).map { _ in draw(10) < 3 ? -1 : draw(labels.count) }
        if cells.allSatisfy({ $0 < 0 }) { cells[draw(4)] = draw(labels.count) }
        let digits: [Int?] = cells.map { $0 < 0 ? nil : labels[$0] }
        let present: [Int] = digits.compactMap { $0 }
        // Often a digit of the scene, so that an answer is not "none" most of the time.
        let asked: Int = draw(2) == 0 ? present[draw(present.count)] : draw(10)
        let (question, answer): ([Int], Int) = question(kind: draw(4), place: draw(4), asked: asked, digits: digits)
        return Scene(cells: cells, question: question, answer: answer)
    }

    /// The tokens of a question of one of four kinds, and of its answer.
    static func question(kind: Int, place: Int, asked: Int, digits: [Int?]) -> (tokens: [Int], answer: Int) {
        func tokens(_ sentence: String, _ last: Int) -> [Int] { sentence.split(separator: " ").map { word(String($0)) } + [last] }
        let (row, column): (String, String) = (place < 2 ? "top" : "bottom", place % 2 == 0 ? "left" : "right")
        switch kind {
        case 0:
            return (tokens("digit at \(row) \(column)", word("?")), digits[place].map { number($0) } ?? word("empty"))
        case 1:
            return (tokens("how many of", number(asked)) + [word("?")], number(digits.count { $0 == asked }))
        case 2:
            let cells: ArraySlice<Int?> = place < 2 ? digits[0..<2] : digits[2..<4]
            return (tokens("sum of \(row) row", word("?")), number(cells.reduce(0) { $0 + ($1 ?? 0) }))
        default:
            return (tokens("is there a", number(asked)) + [word("?")], word(digits.contains(asked) ? "yes" : "no"))
        }
    }

    // MARK: Batches

    /// Patches `[B, 64, 49]` (row by row), questions `[B, 5]` and answers `[B]`.
    func batch(_ chosen: [Scene]) -> SceneBatch {
        let empty: [Float] = Array(repeating: 0, count: Self.side * Self.side)
        var canvas: [Float] = []
        canvas.reserveCapacity(chosen.count * 4 * empty.count)
        for cell in chosen.flatMap(\.cells) {
            canvas += cell < 0 ? empty[...] : pixels[cell * empty.count..<(cell + 1) * empty.count]
        }
        return SceneBatch(
            canvas: canvas, questions: chosen.flatMap { $0.question.map { Int64($0) } }, answers: chosen.map { Int64($0.answer) })
    }

    /// Random scenes of these, by step.
    func batches(rows: Int, seed: UInt64) -> GeneratedBatches<SceneBatch> {
        GeneratedBatches(itemsPerBatch: rows, itemName: "scenes") { step in
            var random: SplitMix64 = SplitMix64(seed: seed &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(step))
            return batch((0..<rows).map { _ in scenes[Int(random.next(below: UInt64(scenes.count)))] })
        }
    }

    /// All scenes once.
    func all(rows: Int) -> [SceneBatch] {
        stride(from: 0, to: scenes.count, by: rows).map { batch(Array(scenes[$0..<min($0 + rows, scenes.count)])) }
    }
}

/// Scenes and questions about them.
struct SceneBatch: Sendable {
    /// Cells of 28 x 28 pixels, four of them a scene.
    let canvas: [Float]
    let questions: [Int64]
    let answers: [Int64]

    var rows: Int { answers.count }

    /// `[B, 64, 49]`: the canvas cut into 8 x 8 patches of 7 x 7 pixels, row by row.
    var patches: Tensor {
        // Rows and columns of cells, of patches in a cell, and of pixels in a patch.
        let cut: Tensor = Tensor(canvas, [rows, 2, 2, 4, 7, 4, 7])
        return cut.transposed(0, 1, 3, 2, 5, 4, 6).reshaped(rows, DigitScenes.patches, DigitScenes.patchSide * DigitScenes.patchSide)
    }

    var tokens: Tensor { Tensor(questions, [rows, DigitScenes.questionLength]) }
    var wanted: Tensor { Tensor(answers) }
}
