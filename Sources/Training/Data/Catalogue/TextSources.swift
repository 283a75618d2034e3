extension DataSource {
    /// Texts: corpora, labelled sentences, retrieval.
    static let text: [DataSource] = [
        DataSource(
            "tinyshakespeare", title: "Plays of Shakespeare, 1.1 million characters",
            homepage: "https://github.com/karpathy/char-rnn",
            licence: "none stated in the repository; the text is in the public domain",
            files: DataFile.table(
                """
                input.txt 1115394 86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed
                """, base: "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/")),
        DataSource(
            "wikitext-2", title: "WikiText-2: Wikipedia articles, tokenised",
            homepage: "https://github.com/pytorch/examples",
            licence: "BSD-3-Clause for the repository; the text is CC BY-SA (not stated there)",
            notes: "train.txt has no vetted digest and may be missing.",
            files: DataFile.table(
                """
                test.txt 1256449 d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0
                valid.txt 1121681 f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8
                """, base: "https://raw.githubusercontent.com/pytorch/examples/main/word_language_model/data/wikitext-2/"),
            optionalFiles: [
                DataFile(
                    "train.txt",
                    address: "https://raw.githubusercontent.com/pytorch/examples/main/word_language_model/data/wikitext-2/train.txt")
            ]),
        DataSource(
            "sst2", title: "Stanford Sentiment Treebank, two classes",
            homepage: "https://github.com/clairett/pytorch-sentiment-classification",
            licence: "none stated",
            notes: "Tab-separated without header or quoting: sentence, label.",
            files: DataFile.table(
                """
                dev.tsv 92057 eddea6b39e601dd4e7a672b53cc40fdf6019fa80522f351206c24340ca5d9359
                test.tsv 188749 831169c7e2e429d6026e1bdbb542f33b636e3e596caad9602ebc953c205928b7
                train.tsv 720259 ec192f833a64da08f475488a77b0d0b47db47acd0f458bd18433fc793b569920
                """, base: "https://raw.githubusercontent.com/clairett/pytorch-sentiment-classification/master/data/SST2/")),
        DataSource(
            "ag_news", title: "AG News: four classes of news items",
            homepage: "https://github.com/mhjabreel/CharCnn_Keras",
            licence: "non-commercial, per readme.txt",
            notes: "train.csv has no vetted digest and may be missing.",
            files: DataFile.table(
                """
                classes.txt 31 612dbfa932f07a6ed837295a7d5746ce7412e7bb4bc32ba919fdb3cda3a1b9b5
                readme.txt 1795 779c2e6bbf93dd810d9c7b318006daef7a4bfc34062002461d251dc10fb9f58c
                test.csv 1857427 521465c2428ed7f02f8d6db6ffdd4b5447c1c701962353eb2c40d548c3c85699
                """, base: "https://raw.githubusercontent.com/mhjabreel/CharCnn_Keras/master/data/ag_news_csv/"),
            optionalFiles: [
                DataFile(
                    "train.csv", address: "https://raw.githubusercontent.com/mhjabreel/CharCnn_Keras/master/data/ag_news_csv/train.csv")
            ]),
        DataSource(
            "trec_qc", title: "TREC question classification",
            homepage: "https://github.com/harvardnlp/sent-conv-torch",
            licence: "a LICENSE file for the repository; data: none stated",
            notes: "Latin-1, one 'COARSE:fine question' a line.",
            files: DataFile.table(
                """
                TREC_10.label 23354 033f22c028c2bbba9ca682f68ffe204dc1aa6e1cf35dd6207f2d4ca67f0d0e8e
                train_5500.label 335858 9e4c8bdcaffb96ed61041bd64b564183d52793a8e91d84fc3a8646885f466ec3
                """, base: "https://raw.githubusercontent.com/harvardnlp/sent-conv-torch/master/data/raw/")),
        DataSource(
            "sentences", title: "Sentence polarity and subjectivity",
            homepage: "https://github.com/harvardnlp/sent-conv-torch",
            licence: "a LICENSE file for the repository; data: none stated",
            notes: "Latin-1, one sentence a line.",
            files: DataFile.table(
                """
                rt-polarity.neg 612256 4ace77d558c3714723843f1d65b60c01e3417b208180f0728808d76ad0eeeaca
                rt-polarity.pos 626139 2da124ec187a9d5a29c9f04e91c540e02baed5af8868f550a26bd6fd4dbf8bf0
                subj.objective 669456 5ddc9b44dc60d64d651347fcd7bdd489b0c70661e3f768215c16eea36f51204a
                subj.subjective 630790 73a2dcf8dc3cbcc7f068a70ef9f021c86b2a8e4dac81566b7fd015b3e938f2c5
                """, base: "https://raw.githubusercontent.com/harvardnlp/sent-conv-torch/master/data/raw/")),
        DataSource(
            "sts-b", title: "STS Benchmark: similarity of sentence pairs",
            homepage: "https://github.com/eumesy/data-sts",
            licence: "scores CC BY-SA 4.0; sentences mixed (LICENSE.txt)",
            notes: "Tab-separated without quoting; some rows have nine fields: take fields 5 to 7.",
            files: DataFile.table(
                """
                LICENSE.txt 6641 3dfc3217395f8c5dd05c5f8995f25fe2f8fd258e6dd770b3de480749caee8c70
                readme.txt 5994 e9488363d211c32ca5e912954f16eb9233cfed1b5b4b0475d0d812d35d7c8ef1
                sts-dev.csv 255680 5d7e944d8b02734b07bfdb5df67db3420c64bed153fcaa1ba47ad03480cf4234
                sts-test.csv 282419 affe45928a66ee5a708531233c95b7dacbbdc57f974f002a3d32ea0180cf816a
                sts-train.csv 901177 0f71910b59aa1ad973c5897f0791f3b0965a92b8f82b1a95f3eea9f4162fda82
                """)),
        DataSource(
            "cranfield", title: "Cranfield: abstracts, queries and relevance judgements",
            homepage: "https://github.com/manchandasahil/Cran-Lucene-Search-Engine",
            licence: "none stated",
            notes: "cranqrel is a four-column variant; its query numbers are positions 1 to 225.",
            files: DataFile.table(
                """
                cran.all.1400 1644706 b234544b6ceccd131520df4a3cb6d42aee6576eb577933d047e722bbfe7b0b09
                cran.qry 28957 99578ceb88941ef89c14faf7c63c23776a376d8fba319b990f01d0c601d8b03f
                cranqrel 21378 9216b57a532e8139b30334602eae9592b9b73d265ed148b885001a98a5beeda7
                """)),
        DataSource(
            "instruct", title: "Seed tasks of Alpaca and user-oriented instructions of Self-Instruct",
            homepage: "https://github.com/tatsu-lab/stanford_alpaca",
            licence: "Apache-2.0 and a separate DATA_LICENSE (Alpaca); Apache-2.0 (self-instruct)",
            files: DataFile.table(
                """
                seed_tasks.jsonl 110934 7779004fa198fdf27cf70a159363879d8a26c53329e11b436af17b3941875f48
                user_oriented_instructions.jsonl 170193 81d60a117db495cecedecd9193504fd07c5b5a42f6699ef6b0f9da10fc22f42e
                """)),
    ]
}
