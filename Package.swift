// swift-tools-version: 6.1
import PackageDescription

// Targets in import order: imports go downward only (Documentation/Architecture.md).
let package = Package(
    name: "linnet",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "Torch", targets: ["Torch"]),
        .library(name: "NN", targets: ["NN"]),
        .library(name: "Optim", targets: ["Optim"]),
        .library(name: "Training", targets: ["Training"]),
        .library(name: "SequenceModels", targets: ["SequenceModels"]),
        .library(name: "Efficiency", targets: ["Efficiency"]),
        .library(name: "Serving", targets: ["Serving"]),
        .library(name: "Experiments", targets: ["Experiments"]),
        .library(name: "Papers", targets: ["Papers"]),
        .library(name: "LinnetWeb", targets: ["LinnetWeb"]),
        .executable(name: "linnet", targets: ["linnet"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/hummingbird-project/swift-mustache", from: "2.1.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
        .package(url: "https://github.com/swift-server/async-http-client.git", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
    ],
    targets: [
        .systemLibrary(name: "CLibtorch", pkgConfig: "libtorch"),
        .systemLibrary(name: "CZlib"),
        .target(name: "CTorch", dependencies: ["CLibtorch"]),
        .target(name: "Torch", dependencies: ["CTorch"]),
        .target(name: "NN", dependencies: ["Torch"]),
        .target(name: "Optim", dependencies: ["NN"]),
        .target(
            name: "Training",
            dependencies: [
                "NN", "Optim", "CZlib",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
                .product(name: "GRDB", package: "GRDB.swift"),
            ],
            exclude: ["Records/TensorBoard/event.proto"]),
        .target(name: "SequenceModels", dependencies: ["Training"]),
        .target(name: "Efficiency", dependencies: ["SequenceModels"]),
        .target(
            name: "Serving",
            dependencies: [
                "SequenceModels",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ]),
        .target(name: "Experiments", dependencies: ["Efficiency", "SequenceModels"]),
        .target(
            name: "Papers",
            dependencies: [
                "Experiments",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "Yams", package: "Yams"),
            ],
            resources: [.copy("Cards"), .copy("Judgements"), .copy("Search/synonyms.yaml")]),
        .target(
            name: "LinnetWeb",
            dependencies: [
                "Papers",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Mustache", package: "swift-mustache"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            resources: [.copy("Templates"), .copy("Static")]),
        .executableTarget(
            name: "linnet",
            dependencies: [
                "Experiments", "LinnetWeb", "Papers", "Serving",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Yams", package: "Yams"),
            ]),
        .executableTarget(
            name: "linnet-bench", dependencies: ["Efficiency", "Papers", "SequenceModels"], path: "Benchmarks", exclude: ["peers"]),
        .target(name: "TestSupport", path: "Tests/TestSupport"),
        .testTarget(name: "TorchTests", dependencies: ["Torch", "TestSupport"]),
        .testTarget(name: "NNTests", dependencies: ["NN", "TestSupport"]),
        .testTarget(name: "OptimTests", dependencies: ["Optim", "TestSupport"]),
        .testTarget(name: "TrainingTests", dependencies: ["Training", "TestSupport"]),
        .testTarget(name: "SequenceModelsTests", dependencies: ["SequenceModels", "TestSupport"]),
        .testTarget(
            name: "ServingTests",
            dependencies: ["Serving", "TestSupport", .product(name: "HummingbirdTesting", package: "hummingbird")]),
        .testTarget(name: "EfficiencyTests", dependencies: ["Efficiency", "TestSupport"]),
        .testTarget(name: "FixtureTests", dependencies: ["SequenceModels", "Optim", "NN", "Torch", "TestSupport"]),
        .testTarget(name: "ExperimentsTests", dependencies: ["Experiments", "TestSupport"]),
        .testTarget(
            name: "PapersTests",
            dependencies: [
                "Papers", "SequenceModels", "TestSupport",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ]),
        .testTarget(
            name: "LinnetWebTests",
            dependencies: [
                "LinnetWeb", "TestSupport",
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "HummingbirdTesting", package: "hummingbird"),
            ],
            exclude: ["Browser"]),
        .testTarget(name: "CLITests", dependencies: ["linnet", "SequenceModels", "Serving", "Training", "TestSupport"]),
    ],
    cxxLanguageStandard: .cxx20
)
