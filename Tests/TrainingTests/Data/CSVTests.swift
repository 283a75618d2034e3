import Foundation
import TestSupport
import Testing

@testable import Training

@Suite(.ownRandomNumbers) struct CSVTests {
    private func table(_ text: String, _ format: CSVFormat = .csv, kinds: [String: CSVColumn.Kind] = [:]) throws -> CSVTable {
        try CSVTable(Array(text.utf8), path: "t.csv", format: format, kinds: kinds)
    }

    private func problem(_ text: String, _ format: CSVFormat = .csv, kinds: [String: CSVColumn.Kind] = [:]) -> String? {
        do {
            _ = try table(text, format, kinds: kinds)
            return nil
        } catch { return "\(error)" }
    }

    @Test func quotesLineEndsAndMissingValues() throws {
        let parsed = try table("\u{FEFF}id,name,x\r\n1,\"a \"\"b\"\", c\r\nd\", 2.5 \r\n\r\n2,,?\r\n3,e,-1e3", kinds: ["name": .text])
        #expect(parsed.names == ["id", "name", "x"])
        #expect(parsed.rowCount == 3)
        #expect(parsed.rowLines == [2, 5, 6])
        #expect(parsed.columns[0] == .numeric([1, 2, 3]))
        #expect(parsed.columns[1] == .text(["a \"b\", c\r\nd", nil, "e"]))
        let numbers = try parsed.numbers("x")
        #expect(numbers[0] == 2.5 && numbers[1].isNaN && numbers[2] == -1000)
    }

    @Test func kindsAreInferredOrForced() throws {
        let text = "a,b,c\nred,1,x\nblue,2,y\nred,3,z\n,4,w\n"
        let parsed = try table(text)
        #expect(parsed.columns[0] == .categorical(codes: [1, 0, 1, -1], levels: ["blue", "red"]))
        #expect(parsed.columns[1].kind == .numeric)
        #expect(parsed.columns[2].kind == .text)
        #expect(try table(text, kinds: ["b": .categorical]).columns[1] == .categorical(codes: [0, 1, 2, 3], levels: ["1", "2", "3", "4"]))
    }

    @Test func otherDelimitersCommentsAndEncodings() throws {
        let tabs = try table("a \"quoted\" word\t1\nb\t0\n", .tsv)
        #expect(tabs.names == ["column1", "column2"])
        #expect(tabs.columns[0] == .text(["a \"quoted\" word", "b"]))
        let latin = try CSVTable([0x61, 0x0A, 0xE9, 0x0A], path: "l", format: CSVFormat(encoding: .latin1))
        #expect(latin.columns[0] == .text(["é"]))
        #expect(
            try table("# note\na;b\n1;2", CSVFormat(delimiter: UInt8(ascii: ";"), comment: UInt8(ascii: "#"))).columns[1] == .numeric([2]))
        #expect(try table("a,b\n1,").columns[1] == .categorical(codes: [-1], levels: []))
    }

    @Test func badTablesNameTheLine() {
        #expect(problem("a,b\n1,2\n3\n") == "t.csv, line 3: the row has 1 fields, expected 2")
        #expect(problem("a,b\n1,\"x\ny\n") == "t.csv, line 2: a quoted field that starts here is never closed")
        #expect(problem("a\n\"x\"y\n") == "t.csv, line 2: text follows a closing quote; a quote inside a field is written twice")
        #expect(problem("a,a\n1,2\n") == "t.csv, line 1: two columns are named 'a'")
        #expect(problem("a\n1\n\nx\n", kinds: ["a": .numeric]) == "t.csv, line 4: column 'a': 'x' is not a number")
        #expect(problem("a\n1\n", kinds: ["b": .numeric]) == "t.csv: there is no column 'b'; the columns are a")
        #expect(problem("a,b\n") == "t.csv: the table has no rows")
        #expect(problem("") == "t.csv: the table has no rows")
        let notUTF8 = #expect(throws: DataFormatError.self) { try CSVTable([0x61, 0x0A, 0xFF, 0x0A], path: "t.csv") }
        #expect(notUTF8?.description == "t.csv, line 2: field 1 is not UTF-8")
    }

    @Test func randomBytesNeverTrap() {
        var generator = SplitMix64(seed: 1)
        let alphabet = Array("\",\r\n ab1\u{FF}".utf8)
        var parsed = 0
        for _ in 0..<3000 {
            let bytes = (0..<Int(generator.next(below: 40))).map { _ in alphabet[Int(generator.next(below: UInt64(alphabet.count)))] }
            if (try? CSVTable(bytes, path: "t")) != nil { parsed += 1 }
        }
        #expect(parsed > 10)
    }

    @Test(.enabled(if: PythonPeer.has(), "no Python: set LINNET_PYTHON"))
    func readsTheSameFieldsAsPython() throws {
        guard let folder = testData("ag_news") else { return print("readsTheSameFieldsAsPython: skipped, ag_news is not here") }
        let format = CSVFormat(hasHeader: false, trimsBlanks: false, missing: [])
        let parsed = try CSVTable(path: folder + "/test.csv", format: format, kinds: ["column2": .text, "column3": .text])
        guard case .text(let titles) = parsed.columns[1], case .text(let bodies) = parsed.columns[2] else {
            Issue.record("not text"); return
        }
        let joined = zip(titles, bodies).map { "\($0!)\u{1}\($1!)\n" }.joined()
        let expected = try PythonPeer.run(
            "import csv,hashlib,sys\nr=list(csv.reader(open(sys.argv[1],encoding='utf8',newline='')))\n"
                + "print(len(r),hashlib.sha256(''.join(f'{a[1]}\\x01{a[2]}\\n' for a in r).encode()).hexdigest())", folder + "/test.csv")
        #expect("\(parsed.rowCount) \(SHA256.digest(Array(joined.utf8)))\n" == expected)
    }

    @Test func readsTheRealTables() throws {
        guard let housing = testData("california_housing"), let adult = testData("adult") else {
            return print("readsTheRealTables: skipped, california_housing or adult is not here")
        }
        let houses = try CSVTable(path: housing + "/housing.csv")
        #expect(houses.rowCount == 20_640 && houses.names.count == 10)
        #expect(try houses.numbers("total_bedrooms").count { $0.isNaN } == 207)
        guard case .categorical(_, let levels) = try houses.column("ocean_proximity") else { Issue.record("not categorical"); return }
        #expect(levels == ["<1H OCEAN", "INLAND", "ISLAND", "NEAR BAY", "NEAR OCEAN"])
        let census = try CSVTable(path: adult + "/adult-test.csv", format: CSVFormat(hasHeader: false))
        #expect(census.rowCount == 16_281 && census.columns.count == 15)
    }
}
