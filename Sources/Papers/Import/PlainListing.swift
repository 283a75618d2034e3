import Foundation

/// Reads a plain listing: a title, an empty line, an abstract, an empty line, and so on.
enum PlainListing {
    /// - Throws: ``ImportError`` where a title is alone, or so long that an empty line seems to be missing.
    static func papers(_ text: String) throws(ImportError) -> [ImportedPaper] {
        let blocks: [Block] = blocks(text)
        guard !blocks.isEmpty else { throw ImportError("the file has no papers") }
        var papers: [ImportedPaper] = []
        for start in stride(from: 0, to: blocks.count, by: 2) {
            let title: Block = blocks[start]
            guard title.text.count <= longestTitle else {
                throw ImportError(
                    line: title.line,
                    "a title of \(title.text.count) characters; is an empty line missing, or one too many in the abstract before?")
            }
            guard start + 1 < blocks.count else {
                throw ImportError(line: title.line, "the title '\(title.text.prefix(60))' has no abstract")
            }
            papers.append(ImportedPaper(title: title.text, abstract: blocks[start + 1].text, place: "line \(title.line)"))
        }
        return papers
    }

    private static let longestTitle: Int = 300

    private struct Block {
        let line: Int
        var text: String
    }

    /// Lines between empty lines, joined.
    private static func blocks(_ text: String) -> [Block] {
        var blocks: [Block] = []
        var isInside: Bool = false
        for (number, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            let line: String = ImportedPaper.tidy(line.replacingOccurrences(of: "\u{feff}", with: ""))
            if line.isEmpty {
                isInside = false
            } else if isInside {
                blocks[blocks.count - 1].text += " " + line
            } else {
                blocks.append(Block(line: number + 1, text: line))
                isInside = true
            }
        }
        return blocks
    }
}
