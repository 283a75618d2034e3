import Foundation
import TestSupport

/// The Python package `tokenizers`, against which the tokenizers here are checked.
enum PythonTokenizers {
    /// Whether Python has the package.
    static let isAvailable: Bool = PythonPeer.has("tokenizers")
    static let missing: String = "no Python with the package tokenizers: run `make test`, or set LINNET_PYTHON"

    struct WrongAnswer: Error {
        let lines: Int
    }

    /// Trains byte-level BPE on a file as a single text and writes `tokenizer.json`.
    static func train(corpus: URL, vocabularySize: Int, minimumFrequency: Int, specialTokens: [String], to file: URL) throws {
        try PythonPeer.run(
            trainingScript, corpus.path, String(vocabularySize), String(minimumFrequency), file.path, specialTokens.joined(separator: " "))
    }

    /// Writes tokenizers of many kinds, trained on a file, into a folder.
    static func makeVariants(corpus: URL, in folder: URL) throws { try PythonPeer.run(variantsScript, corpus.path, folder.path) }

    /// What the package makes of texts (broken UTF-8 replaced) and of lists of ids, for each tokenizer file: a line for each text, as
    /// ``line(ids:text:textWithSpecialTokens:)`` writes it, and then each list's text in hexadecimal.
    static func answers(texts: [[UInt8]], idLists: [[Int]], files: [URL]) throws -> [[Substring]] {
        try TestPaths.withTemporaryFolder { folder in
            let (request, answer) = (folder.appendingPathComponent("in"), folder.appendingPathComponent("out"))
            let lines = texts.map { "T" + hexadecimal($0) } + idLists.map { "I" + $0.map(String.init).joined(separator: " ") }
            try lines.joined(separator: "\n").write(to: request, atomically: true, encoding: .utf8)
            try PythonPeer.run(codingScript, request.path, answer.path, files.map(\.path).joined(separator: "\n"))
            let text = String(decoding: try Data(contentsOf: answer), as: UTF8.self)
            let all = text.split(separator: "\n", omittingEmptySubsequences: false)
            guard all.count == lines.count * files.count else {
                throw WrongAnswer(lines: all.count)
            }
            return files.indices.map { Array(all[$0 * lines.count..<($0 + 1) * lines.count]) }
        }
    }

    static func line(ids: [Int], text: String, textWithSpecialTokens: String) -> String {
        "\(ids.map(String.init).joined(separator: " "))|\(hexadecimal(text.utf8))|\(hexadecimal(textWithSpecialTokens.utf8))"
    }

    private static let codingScript = """
        import sys
        from tokenizers import Tokenizer
        request, answer, files = sys.argv[1:]
        lines = open(request).read().split("\\n")
        def text(t, ids, skip): return t.decode(ids, skip_special_tokens=skip).encode().hex()
        def reply(t, line):
            if line[0] == "I": return text(t, [int(i) for i in line[1:].split()], True)
            ids = t.encode(bytes.fromhex(line[1:]).decode("utf-8", "replace")).ids
            return " ".join(map(str, ids)) + "|" + text(t, ids, True) + "|" + text(t, ids, False)
        open(answer, "w").write("\\n".join(reply(t, line) for t in map(Tokenizer.from_file, files.split("\\n")) for line in lines))
        """

    private static let trainingScript = """
        import os, sys
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        from tokenizers import Tokenizer, models, trainers, pre_tokenizers, decoders
        corpus, size, frequency, output = sys.argv[1:5]
        t = Tokenizer(models.BPE())
        t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        t.decoder = decoders.ByteLevel()
        t.train_from_iterator([open(corpus, newline="").read()], trainers.BpeTrainer(vocab_size=int(size), min_frequency=int(frequency),
            special_tokens=sys.argv[5].split(), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
        t.save(output)
        """

    private static let variantsScript = """
        import os, sys, json
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        from tokenizers import AddedToken as A, Regex, Tokenizer, models as M, trainers as T, pre_tokenizers as P
        from tokenizers import decoders as D, normalizers as N, processors as R
        corpus, folder = sys.argv[1:]
        text = [open(corpus, newline="").read()[:60000], "é e\\u0301 日本語 中文 한국어 👩‍👩‍👧 hello World 1234567 ٣٤٥ ½ the  and \\u3000 ﬁ ẞ " * 40]
        def byte_level(**k): return T.BpeTrainer(vocab_size=600, show_progress=False, special_tokens=["<|endoftext|>"],
            initial_alphabet=P.ByteLevel.alphabet(), **k)
        def characters(special=["<unk>", "<s>", "</s>"], **k): return T.BpeTrainer(vocab_size=600, show_progress=False, special_tokens=special, **k)
        added = [A("<mask>", lstrip=True, special=True, normalized=False), A("<|pad|>", rstrip=True, special=True, normalized=False),
            A("York", single_word=True), A("hello", normalized=True), A("he", normalized=True), A("[MASK]", lstrip=True, rstrip=True, normalized=False)]
        def make(name, model=None, trainer=None, norm=None, pre=None, dec=None, post=None, added=[]):
            t = Tokenizer(model or M.BPE())
            if norm: t.normalizer = norm
            if pre: t.pre_tokenizer = pre
            if dec: t.decoder = dec
            t.train_from_iterator(text, trainer or byte_level())
            if post: t.post_processor = post
            t.add_tokens(added)
            t.save(folder + "/" + name + ".json")
        BL = lambda regex=True, prefix=False: P.ByteLevel(add_prefix_space=prefix, use_regex=regex)
        BD, unk = D.ByteLevel(), lambda **k: M.BPE(unk_token="<unk>", **k)
        grouped = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
        split = lambda pattern, behavior="isolated", invert=False: P.Sequence([P.Split(pattern, behavior, invert), BL(False)])
        make("prefix_space", pre=BL(prefix=True), dec=BD, added=added, post=R.RobertaProcessing(("</s>", 2), ("<s>", 0)))
        make("llama3", pre=split(Regex(grouped)), dec=BD, added=added)
        make("qwen", norm=N.NFC(), pre=split(Regex(grouped.replace("{1,3}", ""))), dec=BD)
        make("nfkc_lower_strip", norm=N.Sequence([N.NFKC(), N.Lowercase(), N.Strip(True, True)]), pre=BL(), dec=BD, added=added)
        make("nfd_accents", norm=N.Sequence([N.NFD(), N.StripAccents()]), pre=BL(), dec=BD)
        make("nfkd", norm=N.NFKD(), pre=BL(), dec=BD)
        make("digits", pre=P.Sequence([P.Digits(True), BL()]), dec=BD)
        make("digits_punctuation", pre=P.Sequence([P.Digits(False), P.Punctuation("contiguous"), BL(False)]), dec=BD)
        make("expression", pre=split(Regex(r"\\d{1,2}|[\\p{Lu}]\\w*|\\s+|[^\\s\\w]")), dec=BD)
        for behavior in ["removed", "merged_with_previous", "merged_with_next", "contiguous"]:
            for invert in [False, True]: make(f"{behavior}_{invert}", pre=split(Regex(r"\\s|[aeiou]"), behavior, invert), dec=BD)
        make("split_string", pre=split("an"), dec=BD)
        make("whitespace", unk(), characters(), pre=P.Whitespace())
        make("fuse_unknown", unk(fuse_unk=True), characters(limit_alphabet=60), pre=P.WhitespaceSplit())
        make("word_end", unk(end_of_word_suffix="</w>"), characters(limit_alphabet=60, end_of_word_suffix="</w>"), pre=P.WhitespaceSplit(), dec=D.BPEDecoder())
        make("continuing", unk(continuing_subword_prefix="##"), characters(limit_alphabet=60, continuing_subword_prefix="##"), pre=P.Whitespace(), dec=D.WordPiece())
        for scheme in ["always", "first", "never"]:
            for splits in [True, False]:
                make(f"metaspace_{scheme}_{splits}", unk(), characters(limit_alphabet=70), pre=P.Metaspace(prepend_scheme=scheme, split=splits),
                    dec=D.Metaspace(prepend_scheme=scheme), added=added)
        make("llama2", unk(fuse_unk=True, byte_fallback=True), T.BpeTrainer(vocab_size=900, show_progress=False, limit_alphabet=70, max_token_length=12,
            special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]), norm=N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")]),
            dec=D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)]), added=added[:1],
            post=R.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B:1", special_tokens=[("<s>", 1)]))
        make("replace_strip", None, characters(), norm=N.Replace(Regex(r"\\s+"), "_"), pre=P.CharDelimiterSplit("_"),
            dec=D.Sequence([D.Strip("a", 1, 0), D.Fuse(), D.Replace("e", "E")]))
        make("byte_level_normalizer", norm=N.Sequence([N.Nmt(), N.ByteLevel()]), dec=BD)
        make("byte_level_first", pre=P.Sequence([BL(), P.Digits(True)]), dec=BD)
        make("steps_after_fusion", pre=BL(), dec=D.Sequence([BD, D.Strip("\\n", 1, 0), D.Strip(" ", 2, 0), D.WordPiece()]))
        for lower, accents in [(True, None), (False, False), (False, True)]:
            make(f"bert_{lower}_{accents}", M.WordPiece(unk_token="[UNK]"), T.WordPieceTrainer(vocab_size=700, limit_alphabet=200, show_progress=False,
                special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]), norm=N.BertNormalizer(True, True, accents, lower), added=added,
                pre=P.BertPreTokenizer(), dec=D.WordPiece(cleanup=lower), post=R.BertProcessing(("[SEP]", 3), ("[CLS]", 2)))
        j = json.load(open(folder + "/llama3.json"))
        j["model"].update(ignore_merges=True, merges=[" ".join(m) for m in j["model"]["merges"][:200]])
        json.dump(j, open(folder + "/ignore_merges.json", "w"))
        """
}
