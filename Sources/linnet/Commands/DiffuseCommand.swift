import ArgumentParser

struct DiffuseCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "diffuse", abstract: "Train, sample and evaluate diffusion transformers.",
        discussion: """
            Examples:
              linnet diffuse train --data mnist --size 16 --steps 2000 --out runs/dit
              linnet diffuse train --data mnist --attention linear --teacher runs/dit --inherit --distill --steps 400 --out runs/lit
              linnet diffuse sample --model runs/lit --class 3 --guidance 2 --out threes.png
              linnet diffuse evaluate --model runs/lit --data mnist
            """,
        subcommands: [DiffuseTrainCommand.self, DiffuseSampleCommand.self, DiffuseEvaluateCommand.self])
}
