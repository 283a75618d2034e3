import ArgumentParser
import SequenceModels
import Training

/// The sets of images that `--data` names.
enum ImageData: String, ExpressibleByArgument, CaseIterable {
    case mnist, cifar10

    var channels: Int { self == .mnist ? 1 : 3 }

    /// Images for diffusion.
    /// - Parameters:
    ///   - side: rows and columns that they are shrunk to.
    ///   - limit: most training images; all by default.
    ///   - held: most test images.
    func images(side: Int, limit: Int?, held: Int) throws -> (train: SequenceDataset, test: SequenceDataset) {
        let (train, test): (LabelledImages, LabelledImages)
        switch self {
        case .mnist:
            let folder: String = try DataDirectory.standard.locate("mnist")
            (train, test) = (try MNIST.load(.train, folder: folder), try MNIST.load(.test, folder: folder))
        case .cifar10:
            let folder: String = try Self.photographs()
            (train, test) = (try CIFAR10.load(.train, folder: folder), try CIFAR10.load(.test, folder: folder))
        }
        return (.diffusionImages(train, side: side, limit: limit), .diffusionImages(test, side: side, limit: held))
    }

    /// The whole set, or the part of it that comes from JPEG files.
    private static func photographs() throws -> String {
        do { return try DataDirectory.standard.locate("cifar10") } catch {
            guard let part = try? DataDirectory.standard.locate("cifar10-jpeg") else { throw error }
            return part
        }
    }
}
